//! What a user agent tells: vendor, model, MAC.

use super::{Model, Vendor};
use crate::devices::Mac;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Agent {
    pub vendor: Vendor,
    pub model: Option<Model>,
    pub mac: Option<Mac>,
}

impl Agent {
    /// Nothing where it is no phone's.
    pub fn read(text: &str) -> Option<Self> {
        let vendor = vendor(text)?;
        Some(Self { vendor, model: model(vendor, text).and_then(|name| name.parse().ok()), mac: mac(vendor, text) })
    }
}

fn vendor(text: &str) -> Option<Vendor> {
    let lower = text.to_ascii_lowercase();
    let begins = |words: &[&str]| words.iter().any(|word| lower.starts_with(word));
    Some(if begins(&["mozilla/4.0 (compatible; snom", "snom"]) {
        Vendor::Snom
    } else if begins(&["yealink", "vp530", "w52p ", "w56p "]) {
        Vendor::Yealink
    } else if begins(&["grandstream"]) {
        Vendor::Grandstream
    } else if begins(&["linksys/", "sipura/", "cisco/", "cisco-cp-"]) {
        Vendor::Cisco
    } else if begins(&["filetransport poly"]) {
        Vendor::Polycom
    } else if begins(&["aastra", "mitel"]) {
        Vendor::Aastra
    } else if begins(&["gigaset ", "maxwell ", "n510 ip pro/", "n510-ip-pro/", "n720 dm pro/", "n720-dm-pro/"]) {
        Vendor::Gigaset
    } else if begins(&["panasonic"]) {
        Vendor::Panasonic
    } else if begins(&["fanvil"]) {
        Vendor::Fanvil
    } else if begins(&["smartnode"]) {
        Vendor::Patton
    } else if begins(&["htek"]) {
        Vendor::Htek
    } else {
        return None;
    })
}

/// The text between two others.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(middle, _)| middle)
}

fn model(vendor: Vendor, text: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    let found = match vendor {
        Vendor::Snom => between(text, "snom", "-SIP")?.trim_start_matches('-').to_owned(),
        Vendor::Yealink => {
            let first = words.next()?;
            let word = match first.split_once('-') {
                Some((_, model)) => model,
                None if first.eq_ignore_ascii_case("yealink") => {
                    words.next().filter(|word| *word != "SIP").or(words.next())?
                }
                None => first,
            };
            word.trim_start_matches("SIP-").trim_start_matches("VP-").to_owned()
        }
        Vendor::Grandstream => words.find(|word| !matches!(*word, "Grandstream" | "Model" | "HW"))?.to_owned(),
        Vendor::Cisco if text.starts_with("Cisco-CP-") => between(text, "Cisco-", "/")?.to_owned(),
        // Model and version: `SPA-942-6.1.5(a)`.
        Vendor::Cisco => words.next()?.split_once('/')?.1.rsplit_once('-')?.0.replace('-', ""),
        Vendor::Polycom => between(words.nth(1)?, "-", "-UA/")?.replace('_', ""),
        Vendor::Aastra => words.next()?.trim_start_matches("Aastra").trim_start_matches("Mitel").to_owned(),
        Vendor::Gigaset => text
            .split_once('/')?
            .0
            .trim_start_matches("Gigaset ")
            .replace("-IP-", " IP ")
            .replace("-DM-", " DM ")
            .replace("-PRO", " PRO"),
        Vendor::Panasonic => between(text, "Panasonic", "/")?.trim_start_matches(['_', '-', ' ']).to_owned(),
        Vendor::Fanvil | Vendor::Htek => words.nth(1)?.to_owned(),
        Vendor::Patton => between(text, "Model:", "/")?.to_owned(),
    };
    Some(found)
}

fn mac(vendor: Vendor, text: &str) -> Option<Mac> {
    // A Cisco that shows one group shows its serial number, which may look like a MAC.
    if vendor == Vendor::Cisco {
        let (before, _) = text.split_once(")(")?;
        return before.rsplit_once('(').and_then(|(_, mac)| mac.parse().ok());
    }
    let mut words = text.split(|c: char| c.is_whitespace() || matches!(c, ';' | '(' | ')'));
    words.find_map(|word| {
        let word = ["MAC:", "SN:", "Serial:"].into_iter().find_map(|name| word.strip_prefix(name)).unwrap_or(word);
        // Versions have dots.
        let spelled = matches!(word.len(), 12 | 17) && !word.contains(['.', '_']);
        if spelled { word.parse().ok() } else { None }
    })
}
