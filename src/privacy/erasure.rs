//! Organisations that go: begun by one record of the system organisation, ended by another, everything in between can be
//! cut off and goes on.

use super::retention::{Settings, count, failed, pace};
use crate::{
    engine::{Call, Engine, Failure},
    kernel::OrgId,
    orgs::{Organisation, organisation::Command},
};
use std::convert::Infallible;

/// Erases every organisation whose erasure has begun.
pub async fn erase_what_is_to_go(engine: &Engine, settings: &Settings) -> Result<(), Failure<Infallible>> {
    for organisation in engine.erasures().await.map_err(failed)? {
        erase(engine, settings, organisation).await?;
    }
    Ok(())
}

async fn erase(engine: &Engine, settings: &Settings, organisation: OrgId) -> Result<(), Failure<Infallible>> {
    engine.close_organisation(organisation);
    engine.put_to_sleep(organisation).await;
    engine.close_feed(organisation).await?;
    let mut rows = 0;
    while let removed @ 1.. = engine.erase_step(organisation).await? {
        rows += removed;
        count("erased", removed);
        pace(removed, settings.records_per_s).await;
    }
    let call = Call::own(engine.clock().now());
    let done = Command::Erased { organisation };
    let told = engine.ask::<Organisation>(OrgId::SYSTEM.at(OrgId::SYSTEM), done, call).await;
    told.map_err(|failure| Failure::Store(format!("{failure:?}")))?;
    engine.forget_organisation(organisation);
    tracing::info!(%organisation, rows, "an organisation was erased");
    Ok(())
}
