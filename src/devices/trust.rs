//! Who gets the full configuration, and why. Pure.

use super::{
    Mac,
    digest::Shown,
    rows::DeviceRow,
    words::{self, Authentication, Salt, Why},
};
use crate::{
    kernel::{DeviceId, KeyedHash, UnixMillis},
    orgs::Phones,
};
use std::net::IpAddr;

/// Why this request is trusted, if it is. `shown`: the credential that came with it and is the device's. `certified`:
/// its vendor's certificate says that it is this device, which stands in for the PAP, where a PAP would be taken.
pub fn why(
    row: &DeviceRow,
    phones: &Phones,
    from: Option<IpAddr>,
    shown: Option<Salt>,
    certified: bool,
    now: UnixMillis,
) -> Option<Why> {
    if row.suspended_at(now).is_some() {
        return Some(Why::Suspension);
    }
    if row.authentication == Authentication::Blocked {
        return None;
    }
    if shown.is_some() {
        return Some(Why::Credential);
    }
    if certified && !matches!(row.authentication.at(now), Authentication::Failed { .. }) {
        return Some(Why::Certificate);
    }
    let from = from?.to_canonical();
    if row.window.is_some_and(|window| window.address == from && now < window.until) {
        return Some(Why::Pap);
    }
    phones.trusts(from, now).then_some(Why::Whitelist)
}

/// Which of a device's credentials was shown. Both are made and compared, whether there are any or not.
pub fn shown_credential(
    keys: &dyn KeyedHash,
    device: DeviceId,
    mac: Mac,
    [current, previous]: [Option<Salt>; 2],
    shown: &Shown<'_>,
) -> Option<Salt> {
    let proves = |salt: Option<Salt>| {
        let password = words::credential(keys, device, salt.unwrap_or(Salt([0; 16])));
        salt.filter(|_| shown.proves(&mac.to_string(), &password))
    };
    let (current, previous) = (proves(current), proves(previous));
    current.or(previous)
}
