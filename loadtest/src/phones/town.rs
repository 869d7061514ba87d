//! Organisations, sites and desks, made over the API.

use super::{
    desk::{Callers, Desk},
    handset::Handset,
    model::Lists,
    vendors::Vendor,
    world::Organisation,
};
use crate::{
    api::{Api, text},
    chance::Chance,
    client::Target,
    fleet::gather,
    report::LoadError,
    screen::bar,
};
use serde_json::json;
use std::{
    cell::{Cell, RefCell},
    net::Ipv4Addr,
    rc::Rc,
};

/// Calls that are in flight together while the town is made.
const BUILDERS: usize = 24;

/// People behind one public address.
pub struct SiteOfDesks {
    pub organisation: usize,
    pub home: Ipv4Addr,
    pub lists: Rc<RefCell<Lists>>,
    pub desks: Vec<Desk>,
    pub chance: Chance,
}

/// The part of an address behind the host.
fn path_of(url: &str) -> String {
    let behind = url.split_once("://").map_or(url, |(_, rest)| rest);
    behind.find('/').map_or("", |at| &behind[at..]).trim_end_matches('/').to_owned()
}

pub async fn organisations(operator: &mut Api, count: usize, chance: &Chance) -> Result<Vec<Organisation>, LoadError> {
    let mut made = Vec::new();
    for index in 0..count {
        let run = chance.fork(index as u64 + 99).number() % 1_000_000;
        let body = json!({
            "name": format!("Telephones {index} {run:06}"), "plan": "business_pro", "language": "en",
            "zone": "Europe/Rome", "owner": {"name": "Owner", "email": format!("owner@phones{index}.example")},
        });
        let answer = operator.post("/organisations", &body).await?;
        let token = text(&answer, "token", "POST /organisations")?;
        let mut admin = operator.with_token(&*token, chance.fork(1000 + index as u64));
        let settings = json!({
            "registrar": "pbx.example.com", "emergency_numbers": ["112", "118"], "authentication_number": "*99",
        });
        admin.patch("/phones/settings", &settings).await?;
        let path = admin.post("/phones/path", &json!({})).await?;
        let body = json!({ "label": "Telephone system", "scopes": ["devices:authenticate"] });
        let pbx = admin.post("/tokens", &body).await?;
        made.push(Organisation {
            token,
            pbx_token: text(&pbx, "token", "POST /tokens")?,
            provisioning: path_of(&text(&path, "provisioning_url", "POST /phones/path")?),
            page: path_of(&text(&path, "page_url", "POST /phones/path")?),
        });
    }
    Ok(made)
}

impl Organisation {
    pub fn callers(&self, target: &Target, chance: &Chance) -> Callers {
        Callers {
            admin: Api::new(target.clone(), &*self.token, chance.fork(1)),
            pbx: Api::new(target.clone(), &*self.pbx_token, chance.fork(2)),
        }
    }
}

/// How many desks each site has: homes, offices, some large ones.
pub fn site_sizes(devices: usize, chance: &mut Chance) -> Vec<usize> {
    let mut left = devices;
    let mut sizes = Vec::new();
    while left > 0 {
        let size = match chance.index(20) {
            0..=10 => 1 + chance.index(2),
            11..=17 => 3 + chance.index(9),
            18 => 12 + chance.index(18),
            _ => 30 + chance.index(31),
        };
        sizes.push(size.min(left));
        left -= size.min(left);
    }
    sizes
}

/// Addresses of a site and of a stranger who knows its phones.
fn addresses(organisation: usize, site: usize) -> [Ipv4Addr; 2] {
    let [_, _, high, low] = (site as u32).to_be_bytes();
    let organisation = organisation as u8;
    [Ipv4Addr::new(10, organisation, high, low), Ipv4Addr::new(11, organisation, high, low)]
}

/// Sets the devices up, shows their PAPs, and whitelists some sites for good.
pub async fn sites(
    target: &Target,
    organisations: &[Organisation],
    sizes: &[usize],
    permanent_share: f64,
    chance: &Chance,
) -> Result<Vec<SiteOfDesks>, LoadError> {
    let progress = bar("devices", sizes.iter().sum::<usize>() as u64);
    let next = Rc::new(Cell::new(0));
    let first: Vec<usize> = sizes.iter().scan(0, |sum, size| Some(std::mem::replace(sum, *sum + size))).collect();
    let makers = (0..BUILDERS.min(sizes.len())).map(|maker| {
        let (target, chance, next, progress) = (target.clone(), chance.clone(), next.clone(), progress.clone());
        let (organisations, sizes, first) = (organisations.to_vec(), sizes.to_vec(), first.clone());
        async move {
            let maker_chance = chance.fork(7000 + maker as u64);
            let mut callers: Vec<Callers> =
                organisations.iter().map(|organisation| organisation.callers(&target, &maker_chance)).collect();
            let mut made = Vec::new();
            while next.get() < sizes.len() {
                let index = next.replace(next.get() + 1);
                let at = index % organisations.len();
                let mut chance = chance.fork(100_000 + index as u64);
                let [home, elsewhere] = addresses(at, index);
                let lists = Rc::new(RefCell::new(Lists::default()));
                let admin = &mut callers[at].admin;
                if chance.happens(permanent_share) {
                    admin.post("/phones/whitelist", &json!({ "network": home.to_string() })).await?;
                    lists.borrow_mut().permanent = true;
                }
                let mut desks = Vec::new();
                for number in first[index]..first[index] + sizes[index] {
                    let vendor = Vendor::drawn(&mut chance);
                    let handset = handset(vendor, number, &organisations[at]);
                    let (id, pap) = set_up(admin, &handset, number, index).await?;
                    let desk_chance = chance.fork(number as u64);
                    desks.push(Desk::new(id, at, [home, elsewhere], handset, pap, lists.clone(), desk_chance));
                    progress.inc(1);
                }
                let paps: Vec<_> = desks.iter().map(|desk| desk.model.pap.clone()).collect();
                let count = desks.len();
                for (at, desk) in desks.iter_mut().enumerate().filter(|_| count > 1) {
                    desk.neighbours_pap.clone_from(&paps[(at + 1) % count]);
                }
                made.push((index, SiteOfDesks { organisation: at, home, lists, desks, chance }));
            }
            Ok(made)
        }
    });
    let sites = gather(makers).await?;
    progress.finish_and_clear();
    Ok(sites)
}

pub fn handset(vendor: Vendor, number: usize, organisation: &Organisation) -> Handset {
    let mac = vendor.mac(number as u32 + 1);
    let account = format!("u{mac}");
    Handset::new(vendor, &mac, &organisation.provisioning, &account)
}

/// Sets a device up; its id and its PAP.
pub async fn set_up(
    admin: &mut Api,
    handset: &Handset,
    number: usize,
    site: usize,
) -> Result<(String, String), LoadError> {
    let account = json!({ "user": handset.account, "password": format!("Pw-{number}"), "name": "Desk" });
    let body = json!({
        "mac": handset.mac, "vendor": handset.vendor.word(), "model": handset.vendor.model(),
        "label": format!("Desk {number}"), "site": format!("Site {site}"), "accounts": [account],
    });
    let answer = admin.post("/devices", &body).await?;
    let id = text(&answer, "device", "POST /devices")?;
    let call = format!("/devices/{id}/pap");
    let shown = admin.get(&call).await?;
    Ok((id, text(&shown, "pap", &call)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_have_all_devices_and_addresses_of_their_own() {
        let sizes = site_sizes(5000, &mut Chance::seeded(3));
        assert_eq!(sizes.iter().sum::<usize>(), 5000);
        assert!(sizes.len() > 200 && sizes.contains(&1) && sizes.iter().any(|size| *size > 30), "{}", sizes.len());
        let all: std::collections::BTreeSet<_> = (0..5000).flat_map(|site| addresses(site % 5, site)).collect();
        assert_eq!(all.len(), 10_000);
        assert_eq!(path_of("https://x.example/provisioning/abc-def/"), "/provisioning/abc-def");
    }
}
