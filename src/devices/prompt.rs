//! A PAP as the answer to 401: user is the phone's MAC, password what the person at the phone has typed.

use super::{
    Door, Mac,
    digest::Shown,
    enter::{self, Entry},
    guard::Source,
    page::ANSWER_TAKES,
    words::Pap,
};
use crate::{
    http::{Ask, Problem},
    kernel::{DeviceId, OrgId, VaultField, time},
};

/// Enters the PAP that came with a request, if one did. What is none is not judged.
pub(super) async fn enter(
    ask: &Ask,
    door: &Door,
    org: OrgId,
    device: DeviceId,
    mac: Mac,
    shown: &Shown<'_>,
) -> Result<(), Problem> {
    let (started, user) = (time::instant(), mac.to_string());
    let typed;
    let entry = match shown {
        Shown::Basic { user: shown, password } if shown.eq_ignore_ascii_case(&user) => {
            let Some(pap) = Pap::parse(password) else { return Ok(()) };
            typed = pap;
            Entry::Pap(&typed)
        }
        Shown::Digest(response) => {
            let Some(digest) = response.of_person(&user) else { return Ok(()) };
            let sealed = ask.engine.open_vault(device.at(org), VaultField::Pap).await?;
            let pap = sealed.and_then(|pap| Pap::parse(std::str::from_utf8(&pap).ok()?));
            // One that comes a second time is judged as one that is not right: nobody learns whether it was.
            let is_first = || door.nonces.take(response.once, ask.now());
            match pap.filter(|pap| response.proves(&user, pap.as_str()) && is_first()) {
                Some(pap) => {
                    typed = pap;
                    Entry::Pap(&typed)
                }
                None => Entry::Unexplained(digest),
            }
        }
        _ => return Ok(()),
    };
    // Who may come from a trusted address needs no PAP: whoever is asked is a stranger.
    let Some(from) = ask.from else { return Ok(()) };
    let entered = enter::enter(ask, door, org, Source::Address(from.to_canonical()), Some(mac), &entry).await;
    // How long it took tells nothing, whatever became of it.
    tokio::time::sleep(ANSWER_TAKES.saturating_sub(started.elapsed())).await;
    entered.map(drop)
}
