//! The wire of a connected box: exchanges that it asks for, orders that it fetches; and its administration.

pub(crate) mod events;
pub mod exchanges;
pub mod old;
pub mod orders;
pub mod settings;

use super::schema::met;
use crate::{
    boxes::OnlineRefusal,
    http::{Code, Problem},
    kernel::schema::closed,
};
use utoipa::openapi::{OneOfBuilder, Ref};

/// An object with exactly one of these fields.
fn one_of(fields: &[(&'static str, String)]) -> OneOfBuilder {
    fields.iter().fold(OneOfBuilder::new(), |all, (field, of)| {
        all.item(closed().property(*field, Ref::from_schema_name(of)).required(*field))
    })
}

pub(super) fn refused(refusal: OnlineRefusal) -> Problem {
    match refusal {
        OnlineRefusal::Reconciling => Code::BoxReconciling.into(),
        OnlineRefusal::Throttled { retry_s } => Problem::from(Code::TooManyWrongCodes).retry_after_s(retry_s),
        OnlineRefusal::PersonNeeded => Code::PersonNeeded.into(),
        OnlineRefusal::NotPermitted => Code::ExchangeNotPermitted.into(),
        OnlineRefusal::SecondFactorNeeded => Code::SecondFactorNeeded.into(),
        OnlineRefusal::KeyNotHere => Code::KeyNotHere.into(),
        OnlineRefusal::KeyInBin => Code::KeyInBin.into(),
        OnlineRefusal::BinClosed => Code::BinClosed.into(),
        OnlineRefusal::OnlyProtectedLeft => Code::OnlyProtectedLeft.into(),
        OnlineRefusal::NoFreeBin => Code::NoFreeBin.into(),
        OnlineRefusal::TooSmall => Code::BinsTooSmall.into(),
        OnlineRefusal::UnderWay => Code::ExchangeUnderWay.into(),
        OnlineRefusal::ExchangeEnded => Code::ExchangeEnded.into(),
        OnlineRefusal::Offline => Code::BoxOffline.into(),
        OnlineRefusal::OrderEnded => Code::OrderEnded.into(),
        OnlineRefusal::TooManyOrders => Code::TooManyOrders.into(),
    }
}
