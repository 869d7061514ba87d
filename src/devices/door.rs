//! What the door needs of devices: templates, counts of wrong PAPs, where phones were last seen, what the operator set.

use super::{Mac, guard::Guards, nonces::Nonces, provisioning::Templates, words::Rules};
use crate::{
    config::{self, Config},
    kernel::{DeviceId, KeyedHash, OrgId, UnixMillis},
    orgs::Phones,
};
use dashmap::DashMap;
use std::{io, mem, net::IpAddr, sync::Arc, time::Duration};
use subtle::ConstantTimeEq;

pub struct Door {
    pub(super) templates: Arc<Templates>,
    pub(super) guards: Guards,
    pub(super) nonces: Nonces,
    pub(super) settings: config::Provisioning,
    pub(super) rules: Rules,
    base_url: Box<str>,
    /// Whether passwords may come in clear.
    pub(super) basic_allowed: bool,
    /// Where each device's last minimal fetch came from, as far as this process has seen it. What a device noted itself
    /// may be a second older.
    seen: DashMap<(DeviceId, Mac), Seen>,
}

struct Seen {
    address: IpAddr,
    /// The device will be told, once it has been noted long enough where it was before.
    is_waiting: bool,
}

/// When there are more, the older ones are taken from what the devices noted.
const SEEN_MAX: usize = 200_000;

impl Door {
    /// Loads the templates and tries each.
    pub fn open(config: &Config, up_since: UnixMillis) -> io::Result<Self> {
        let templates = Templates::load(&config.provisioning.templates_dir).map_err(io::Error::other)?;
        let base_url = config.public.base_url.trim_end_matches('/');
        Ok(Self {
            templates: Arc::new(templates),
            guards: Guards::new(&config.devices, up_since),
            nonces: Nonces::new(up_since),
            basic_allowed: config.provisioning.basic_over_http || base_url.starts_with("https://"),
            settings: config.provisioning.clone(),
            rules: Rules {
                rounds_until_blocked: config.devices.rounds_until_blocked,
                trusted_window: Duration::from_secs(config.devices.trusted_window_s.into()),
            },
            base_url: base_url.into(),
            seen: DashMap::new(),
        })
    }

    /// A phone that is not trusted has asked from there.
    pub(super) fn saw(&self, device: DeviceId, mac: Mac, from: IpAddr) {
        if self.seen.len() >= SEEN_MAX {
            self.seen.clear();
        }
        let here = || Seen { address: from, is_waiting: false };
        self.seen.entry((device, mac)).or_insert_with(here).address = from;
    }

    pub(super) fn last_seen(&self, device: DeviceId, mac: Mac) -> Option<IpAddr> {
        self.seen.get(&(device, mac)).map(|seen| seen.address)
    }

    /// Whether the caller is the one who is to tell the device, when it may be told again.
    pub(super) fn waits(&self, device: DeviceId, mac: Mac) -> bool {
        self.seen.get_mut(&(device, mac)).is_some_and(|mut seen| !mem::replace(&mut seen.is_waiting, true))
    }

    /// Ends the wait: where it was seen last.
    pub(super) fn waited(&self, device: DeviceId, mac: Mac) -> Option<IpAddr> {
        let mut seen = self.seen.get_mut(&(device, mac))?;
        seen.is_waiting = false;
        Some(seen.address)
    }

    /// What phones of an organisation are pointed at, without a slash at its end.
    pub fn provisioning_url(&self, path: &str) -> String {
        format!("{}/provisioning/{path}", self.base_url)
    }

    /// The page for the person at the phone.
    pub fn page_url(&self, path: &str) -> String {
        format!("{}/phone/{path}", self.base_url)
    }

    /// Forgets sources that have been quiet.
    pub fn tidy(&self, now: UnixMillis) {
        self.guards.tidy(now);
    }
}

/// How much of the path is the secret: 80 bits.
const SECRET_LETTERS: usize = 16;

/// The unguessable path of an organisation: whose it is, and the secret.
pub fn path_of(keys: &dyn KeyedHash, org: OrgId, phones: &Phones) -> Option<String> {
    let salt = phones.path?;
    let secret = super::words::letters(&keys.keyed_hash("devices.path", &[&org.to_bytes(), &salt.0]), SECRET_LETTERS);
    let whose = org.to_string();
    let whose = whose.rsplit('_').next().unwrap_or_default();
    Some(format!("{whose}-{}", secret.as_str()))
}

/// Whose path this could be: who has that secret is looked at next.
pub fn org_of_path(path: &str) -> Option<OrgId> {
    let (whose, secret) = path.split_once('-')?;
    (secret.len() == SECRET_LETTERS).then(|| format!("{}_{whose}", OrgId::PREFIX).parse().ok())?
}

pub fn is_path_of(keys: &dyn KeyedHash, org: OrgId, phones: &Phones, path: &str) -> bool {
    path_of(keys, org, phones).is_some_and(|right| right.as_bytes().ct_eq(path.as_bytes()).into())
}
