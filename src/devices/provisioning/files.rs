//! The names of the files that phones ask for, vendor by vendor. Names come in lower case.

use super::{File, Model, Vendor};
use crate::devices::Mac;

/// What a name means.
pub(super) struct Meant {
    pub file: File,
    pub mac: Option<Mac>,
    pub model: Option<Model>,
}

impl Meant {
    pub fn absent() -> Self {
        Self::of(File::Absent)
    }

    fn of(file: File) -> Self {
        Self { file, mac: None, model: None }
    }

    fn about(file: File, mac: Mac) -> Self {
        Self { file, mac: Some(mac), model: None }
    }

    fn device(mac: Mac) -> Self {
        Self::about(File::Device(mac), mac)
    }
}

/// A MAC behind a prefix, and what stands behind it.
fn mac_after<'a>(name: &'a str, prefix: &str) -> Option<(Mac, &'a str)> {
    let (digits, rest) = name.strip_prefix(prefix)?.split_at_checked(12)?;
    let ends = !rest.starts_with(|c: char| c.is_ascii_alphanumeric());
    let mac = digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| digits.parse().ok())??;
    ends.then_some((mac, rest))
}

/// What stands before a MAC in some name.
const PREFIXES: [&str; 7] = ["", "cfg", "config", "spa", "device-", "mn_", "sep"];

/// The MAC that a name holds, whatever the vendor.
pub(super) fn mac_by_name(name: &str) -> Option<Mac> {
    let after_model = || mac_after(name.split_once('-')?.1, "");
    PREFIXES.iter().find_map(|prefix| mac_after(name, prefix)).or_else(after_model).map(|(mac, _)| mac)
}

/// Whose a name is that only one vendor's phones ask for.
pub(super) fn vendor_by_name(name: &str) -> Option<Vendor> {
    let begins = |prefix: &str| name.starts_with(prefix);
    let (stem, ending) = name.rsplit_once('.')?;
    Some(match ending {
        _ if begins("snom") => Vendor::Snom,
        "boot" => Vendor::Yealink,
        "cfg" if begins("y00000000") => Vendor::Yealink,
        "cfg" if begins("spa") => Vendor::Cisco,
        "cfg" if begins("kx-") || mac_after(name, "config").is_some() => Vendor::Panasonic,
        "cfg" if begins("mn_") || matches!(stem, "aastra" | "startup") => Vendor::Aastra,
        "tuz" => Vendor::Aastra,
        "cfg" if begins("f0") => Vendor::Fanvil,
        _ if begins(COMMON) || mac_after(name, "device-").is_some() => Vendor::Polycom,
        "cfg" | "xml" if matches!(suffix(name)?, "-phone.cfg" | "-web.cfg" | "-license.cfg" | "-directory.xml") => {
            Vendor::Polycom
        }
        _ => return None,
    })
}

/// In place of a MAC in Polycom's files for all.
const COMMON: &str = "000000000000";

/// What stands behind a MAC at the beginning.
fn suffix(name: &str) -> Option<&str> {
    mac_after(name, "").map(|(_, rest)| rest)
}

/// What `name` means to a vendor's phones. `queried` is the MAC out of the query.
pub(super) fn meant(vendor: Vendor, name: &str, queried: Option<Mac>) -> Meant {
    let meant = match vendor {
        Vendor::Snom => snom(name, queried),
        Vendor::Yealink => yealink(name),
        Vendor::Grandstream => grandstream(name),
        Vendor::Cisco => cisco(name, queried),
        Vendor::Polycom => polycom(name),
        Vendor::Aastra => aastra(name),
        Vendor::Gigaset => gigaset(name),
        Vendor::Panasonic => panasonic(name),
        Vendor::Fanvil => fanvil(name),
        Vendor::Patton => mac_dot(name, ".cfg").map(Meant::device),
        Vendor::Htek => htek(name),
    };
    meant.unwrap_or_else(Meant::absent)
}

/// `<mac><ending>`.
fn mac_dot(name: &str, ending: &str) -> Option<Mac> {
    mac_after(name, "").filter(|(_, rest)| *rest == ending).map(|(mac, _)| mac)
}

/// `snomd385.htm`, then `snomd385-000413abcdef.htm`; or whatever name with `{mac}` filled in.
fn snom(name: &str, queried: Option<Mac>) -> Option<Meant> {
    if let Some(mac) = mac_dot(name, ".xml").or_else(|| mac_dot(name, ".htm")) {
        return Some(Meant::device(mac));
    }
    if name.is_empty() {
        return queried.map(Meant::device);
    }
    let stem = name.strip_suffix(".htm").or_else(|| name.strip_suffix(".xml")).or_else(|| name.strip_suffix(".php"))?;
    let model = stem.strip_prefix("snom")?;
    if let Some((model, mac)) = model.split_once('-') {
        let (mac, _) = mac_after(mac, "").filter(|(_, rest)| rest.is_empty())?;
        return Some(Meant { model: model.to_uppercase().parse().ok(), ..Meant::device(mac) });
    }
    let model = model.to_uppercase().parse().ok()?;
    Some(Meant { model: Some(model), ..queried.map_or_else(|| Meant::of(File::Master), Meant::device) })
}

/// `<mac>.boot`, `y000000000000.boot`; where there is none (before V81) `y0000000000NN.cfg` and `<mac>.cfg`.
fn yealink(name: &str) -> Option<Meant> {
    if let Some((mac, rest)) = mac_after(name, "") {
        let file = match rest {
            ".cfg" => File::Device(mac),
            ".boot" => File::Master,
            "-local.cfg" | "-calllog.xml" | "-contact.xml" => File::Upload,
            _ if rest.ends_with(".log") => File::Upload,
            _ => File::Absent,
        };
        return Some(Meant::about(file, mac));
    }
    let (number, ending) = name.strip_prefix('y')?.split_once('.')?;
    let common = number.len() == 12 && number.bytes().all(|byte| byte.is_ascii_digit());
    match ending {
        "boot" if number == COMMON => Some(Meant::of(File::Master)),
        "cfg" if common => Some(Meant::of(File::Empty)),
        _ => None,
    }
}

/// `cfg<mac>` (binary, which is not made here), `cfg<mac>.xml`, `cfg<model>.xml`, `cfg.xml`.
fn grandstream(name: &str) -> Option<Meant> {
    let (mac, rest) = mac_after(name, "cfg")?;
    Some(Meant::about(if rest == ".xml" { File::Device(mac) } else { File::Absent }, mac))
}

/// `spa504g.cfg` names the next file; adapters before them ask for `init.cfg`.
fn cisco(name: &str, queried: Option<Mac>) -> Option<Meant> {
    let mac =
        mac_after(name, "spa").or_else(|| mac_after(name, "")).filter(|(_, rest)| matches!(*rest, ".xml" | ".cfg"));
    if let Some((mac, _)) = mac {
        return Some(Meant::device(mac));
    }
    let model = name.strip_suffix(".cfg").or_else(|| name.strip_suffix(".xml"));
    match (queried, model) {
        (Some(mac), _) if name.is_empty() || model.is_some() => Some(Meant::device(mac)),
        (None, Some("init")) => Some(Meant::of(File::Master)),
        (None, Some(model)) if model.starts_with("spa") || model.starts_with("pap2t") => {
            Some(Meant { model: model.to_uppercase().parse().ok(), ..Meant::of(File::Master) })
        }
        _ => None,
    }
}

/// `<mac>.cfg` is a list of files, `000000000000.cfg` the one for all; the list names `device-<mac>.cfg`.
fn polycom(name: &str) -> Option<Meant> {
    if let Some((mac, rest)) = mac_after(name, "device-") {
        return Some(Meant::about(if rest == ".cfg" { File::Device(mac) } else { File::Absent }, mac));
    }
    let file = |rest: &str| match rest {
        ".cfg" => File::Master,
        "-directory.xml" => File::Empty,
        "-phone.cfg" | "-web.cfg" | "-calls.xml" => File::Upload,
        _ if rest.ends_with(".log") => File::Upload,
        _ => File::Absent,
    };
    if let Some((mac, rest)) = mac_after(name, "") {
        return Some(Meant::about(file(rest), mac));
    }
    let common = file(name.strip_prefix(COMMON)?);
    Some(Meant::of(if common == File::Upload { File::Absent } else { common }))
}

/// `startup.cfg` or `aastra.cfg`, `<model>.cfg`, `<MAC>.cfg`. `MN_<MAC>.cfg` is for another protocol than SIP.
fn aastra(name: &str) -> Option<Meant> {
    if let Some((mac, rest)) = mac_after(name, "") {
        return Some(Meant::about(if rest == ".cfg" { File::Device(mac) } else { File::Absent }, mac));
    }
    if let Some((mac, _)) = mac_after(name, "mn_") {
        return Some(Meant::about(File::Absent, mac));
    }
    matches!(name, "startup.cfg" | "aastra.cfg").then(|| Meant::of(File::Master))
}

fn gigaset(name: &str) -> Option<Meant> {
    let (mac, rest) = mac_after(name, "")?;
    Some(Meant::about(if rest == ".xml" { File::Device(mac) } else { File::Absent }, mac))
}

/// `KX-HDV130.cfg`, then `Config<MAC>.cfg`.
fn panasonic(name: &str) -> Option<Meant> {
    if let Some((mac, rest)) = mac_after(name, "config") {
        return Some(Meant::about(if rest == ".cfg" { File::Device(mac) } else { File::Absent }, mac));
    }
    let model = name.strip_suffix(".cfg").filter(|model| model.starts_with("kx-"))?;
    Some(Meant { model: Some(model.to_uppercase().parse().ok()?), ..Meant::of(File::Master) })
}

/// `F0V00X500000.cfg` and the like by model, then `<mac>.cfg`.
fn fanvil(name: &str) -> Option<Meant> {
    mac_dot(name, ".cfg").or_else(|| mac_dot(name, ".xml")).map(Meant::device)
}

fn htek(name: &str) -> Option<Meant> {
    let (mac, rest) = mac_after(name, "cfg").or_else(|| mac_after(name, ""))?;
    Some(Meant::about(if matches!(rest, ".xml" | ".cfg") { File::Device(mac) } else { File::Absent }, mac))
}
