//! Which file a phone asks for, out of the path, the query and the user agent.

use super::{Model, Vendor, agent::Agent, files};
use crate::devices::Mac;

/// What a phone wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Out of the user agent, else out of the file's name, else out of the MAC: never out of what is stored, so that an
    /// answer does not tell which devices there are.
    pub vendor: Vendor,
    /// Out of the user agent or the file's name.
    pub model: Option<Model>,
    /// Out of the path or the query, else out of the user agent.
    pub mac: Option<Mac>,
    pub file: File,
}

/// What kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    /// A boot or master file: it says what else to fetch, holds no secret, and every phone may have it.
    Master,
    /// This device's configuration: the file that holds accounts and credential, or the minimal configuration.
    Device(Mac),
    /// Exists and says nothing: an empty directory and the like. Every phone may have it.
    Empty,
    /// Is asked for by phones and is not here: 404, and no failed attempt.
    Absent,
    /// The phone's own: a PUT is taken and dropped, a GET is answered as `Absent`.
    Upload,
}

/// Why nothing can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    #[error("no phone asks for such a file")]
    Name,
    /// To be logged: a phone does not speak of another one's MAC.
    #[error("the MAC addresses {asked} and {told} in one request contradict each other")]
    Contradiction { asked: Mac, told: Mac },
}

/// Longer than any name that a phone asks for.
const LONGEST_PATH: usize = 200;
const LONGEST_QUERY: usize = 500;
const LONGEST_AGENT: usize = 500;

impl Wanted {
    /// `path` is what stands behind the organisation's part, as it was sent (not percent-decoded: no phone's file needs
    /// it); a leading slash does not matter.
    pub fn parse(path: &str, query: Option<&str>, user_agent: Option<&str>) -> Result<Self, Unknown> {
        let name = file_name(path)?;
        let asked_in_query = mac_in_query(query)?;
        let agent = user_agent.filter(|text| text.len() <= LONGEST_AGENT).and_then(Agent::read);
        let told = agent.as_ref().and_then(|agent| agent.mac);

        let lower = name.map(str::to_ascii_lowercase).unwrap_or_default();
        let vendor = agent.as_ref().map(|agent| agent.vendor).or_else(|| files::vendor_by_name(&lower));
        let vendor = vendor.or_else(|| Vendor::of_mac(files::mac_by_name(&lower).or(asked_in_query)?));
        let vendor = vendor.ok_or(Unknown::Name)?;
        // What lies in folders is firmware, sounds and languages.
        let meant = if name.is_some() { files::meant(vendor, &lower, asked_in_query) } else { files::Meant::absent() };

        let asked = meant.mac.or(asked_in_query);
        for (asked, told) in [(meant.mac, asked_in_query), (asked, told)] {
            if let (Some(asked), Some(told)) = (asked, told)
                && asked != told
            {
                return Err(Unknown::Contradiction { asked, told });
            }
        }
        let model = agent.and_then(|agent| agent.model).or(meant.model);
        let served = model.as_ref().is_none_or(|model| vendor.serves(model));
        Ok(Self { vendor, model, mac: asked.or(told), file: if served { meant.file } else { File::Absent } })
    }
}

/// The file's name; nothing where it lies in a folder.
fn file_name(path: &str) -> Result<Option<&str>, Unknown> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/+".contains(&byte);
    if path.len() > LONGEST_PATH || !path.bytes().all(plain) {
        return Err(Unknown::Name);
    }
    // Gigaset doubles slashes.
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    if parts.clone().any(|part| part.starts_with('.')) {
        return Err(Unknown::Name);
    }
    let first = parts.next().unwrap_or_default();
    Ok(if parts.next().is_none() { Some(first) } else { None })
}

/// `?mac=`, as Snom and Cisco fill it in. One that is none is no phone's; other parameters do not matter.
fn mac_in_query(query: Option<&str>) -> Result<Option<Mac>, Unknown> {
    let Some(query) = query else { return Ok(None) };
    if query.len() > LONGEST_QUERY {
        return Err(Unknown::Name);
    }
    let mut found = None;
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !name.eq_ignore_ascii_case("mac") {
            continue;
        }
        let mac = value.replace("%3A", ":").replace("%3a", ":").parse().map_err(|_| Unknown::Name)?;
        match found {
            Some(asked) if asked != mac => return Err(Unknown::Contradiction { asked, told: mac }),
            _ => found = Some(mac),
        }
    }
    Ok(found)
}
