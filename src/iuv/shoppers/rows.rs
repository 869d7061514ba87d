//! List rows, and what is sealed. Stored: numbers are append-only.

use super::{
    state::{Known, Order},
    words::StoreRole,
};
use crate::{
    iuv::words::{Group, VerificationKind},
    kernel::{ShopperId, StoreId, UnixMillis},
};
use minicbor::{Decode, Encode};

/// `RowSpace::Shoppers`, by store and shopper. Names are read from the vault.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct ShopperRow {
    #[n(0)]
    pub kind: VerificationKind,
    #[n(1)]
    pub groups: Vec<Group>,
    #[n(2)]
    pub member: Option<Box<str>>,
    #[n(3)]
    pub created: UnixMillis,
    #[n(4)]
    pub signed_in: Option<UnixMillis>,
    #[n(5)]
    pub allowed: bool,
    #[n(6)]
    pub has_password: bool,
    #[n(7)]
    pub roles: Vec<StoreRole>,
    #[n(8)]
    pub orders: u32,
}

impl ShopperRow {
    pub fn of(known: &Known) -> Self {
        Self {
            kind: known.membership.kind,
            groups: known.membership.groups.clone(),
            member: known.membership.member.clone(),
            created: known.created,
            signed_in: known.signed_in,
            allowed: known.allowed,
            has_password: known.password.is_some(),
            roles: known.roles.clone(),
            orders: known.orders.len() as u32,
        }
    }
}

/// `RowSpace::Orders`, by store, shopper and number.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct OrderRow {
    #[n(0)]
    pub order: Order,
}

pub fn key(store: StoreId, shopper: ShopperId) -> Vec<u8> {
    [StoreId::to_bytes(store), ShopperId::to_bytes(shopper)].concat()
}

pub fn order_key(store: StoreId, shopper: ShopperId, number: u32) -> Vec<u8> {
    [&key(store, shopper)[..], &number.to_be_bytes()].concat()
}
