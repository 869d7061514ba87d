//! Where a page of what a box has numbered ended: of conflicts, alerts, orders.

use crate::{
    boxes::numbered_key,
    http::RowKey,
    kernel::{BoxId, schema::pattern},
};
use std::{borrow::Cow, fmt, str::FromStr};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

/// A box, and the number of something in it. Their rows stand by rising number, or the newest first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<const NEWEST_FIRST: bool>(pub BoxId, pub u64);

impl<const NEWEST_FIRST: bool> PartialSchema for Place<NEWEST_FIRST> {
    fn schema() -> RefOr<Schema> {
        pattern(r"^box_[0-7][0-9a-hjkmnp-tv-z]{25}\.[0-9]{1,18}$").examples(["box_0123456789abcdefghjkmnpqrs.1"]).into()
    }
}

impl<const NEWEST_FIRST: bool> ToSchema for Place<NEWEST_FIRST> {
    fn name() -> Cow<'static, str> {
        "BoxPlace".into()
    }
}

impl<const NEWEST_FIRST: bool> FromStr for Place<NEWEST_FIRST> {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (id, number) = text.split_once('.').ok_or(())?;
        Ok(Self(id.parse().map_err(|_| ())?, number.parse().map_err(|_| ())?))
    }
}

impl<const NEWEST_FIRST: bool> fmt::Display for Place<NEWEST_FIRST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl<const NEWEST_FIRST: bool> RowKey for Place<NEWEST_FIRST> {
    fn to_key(&self) -> Vec<u8> {
        numbered_key(self.0, if NEWEST_FIRST { !self.1 } else { self.1 }).to_vec()
    }

    fn from_key(key: &[u8]) -> Option<Self> {
        let (id, number) = key.split_at_checked(16)?;
        let number = u64::from_be_bytes(number.try_into().ok()?);
        Some(Self(BoxId::from_bytes(id)?, if NEWEST_FIRST { !number } else { number }))
    }
}
