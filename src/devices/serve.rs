//! A phone's own request: which file, for whom, and how much of it.

use super::{
    digest::{self, Request, Shown},
    door::{Door, is_path_of, org_of_path},
    mac::Mac,
    prompt,
    provisioning::{Account, Credential, File, Pbx, Phone, RenderError, Rendered, Shows, Trust, Unknown, Wanted, fits},
    rows::{AccountsPlain, DeviceRow},
    state::{Command, Device, Refusal, Told},
    trust,
    words::{self, Contact, FILE_MAX, Salt, USER_AGENT_MAX, Why},
};
use crate::{
    http::{Ask, Code, Problem},
    kernel::{Address, Codec, DeviceId, KeyedHash, OrgId, RowSpace, UnixMillis, VaultField},
    metrics,
    orgs::{Organisation, OrganisationView},
    store::{Db, Keyring, StoreError, keys},
};
use std::{net::IpAddr, rc::Rc, sync::Arc, time::Duration};

/// What a phone asks.
pub struct Fetch {
    /// The organisation's part of the path.
    pub path: String,
    /// What follows it, as it was sent.
    pub rest: String,
    pub query: Option<String>,
    pub method: &'static str,
    /// Path and query as they were sent.
    pub target: String,
    pub user_agent: Option<String>,
    pub authorization: Option<Vec<u8>>,
    /// What the connection's certificate proves.
    pub certified: Option<Mac>,
}

/// What it gets.
pub enum Served {
    File(Body),
    /// It is to show its credential.
    Challenge(Vec<String>),
    /// What it has put here.
    Taken,
}

pub struct Body {
    pub content_type: &'static str,
    pub bytes: Vec<u8>,
    /// To be told when the last byte was sent to a GET.
    pub then: Option<Delivery>,
}

/// The file that holds a device's credential is on its way.
pub struct Delivery {
    device: DeviceId,
    org: OrgId,
    salt: Salt,
    why: Why,
}

/// How a phone shows who it is besides `Authorization`.
enum Way<'a> {
    Plain,
    /// It is asked for its credential.
    Asked,
    Key(&'a str),
}

const KEY_LONGEST: usize = 64;

/// Takes what stands between the organisation and the file.
fn way(rest: &str) -> (Way<'_>, &str) {
    let rest = rest.trim_start_matches('/');
    if let Some(file) = rest.strip_prefix("auth/") {
        return (Way::Asked, file);
    }
    match rest.strip_prefix("key-").and_then(|rest| rest.split_once('/')) {
        // What could be no key leads nowhere, as any folder.
        Some((key, file)) if key.len() <= KEY_LONGEST && key.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            (Way::Key(key), file)
        }
        _ => (Way::Plain, rest),
    }
}

fn contradicted(asked: Mac, told: Mac) -> Problem {
    ::metrics::counter!(metrics::PHONES_CONTRADICTED).increment(1);
    tracing::warn!(%asked, %told, "a phone asked for another one's configuration");
    Code::MacContradicted.into()
}

fn refused(_: Refusal) -> Problem {
    Code::NotFound.into()
}

/// The organisation of a path.
pub(super) async fn organisation(ask: &Ask, path: &str) -> Result<(OrgId, Arc<OrganisationView>), Problem> {
    let org = org_of_path(path).ok_or(Code::NotFound)?;
    let view = ask.engine.view::<Organisation>(org.at(org)).await?;
    let view = view.filter(|view| is_path_of(ask.engine.keys(), org, &view.phones, path));
    view.map(|view| (org, view)).ok_or_else(|| Code::NotFound.into())
}

/// Asks for the credential, or for the PAP. `stale`: with what it has just shown a phone may come again by itself.
fn challenge(ask: &Ask, door: &Door, org: OrgId, realm: &str, stale: bool) -> Served {
    let nonce = digest::nonce(ask.engine.keys(), org, ask.now(), ask.engine.chance().bytes());
    Served::Challenge(digest::challenges(realm, &nonce, stale, door.basic_allowed))
}

pub async fn serve(ask: &Rc<Ask>, door: &Arc<Door>, fetch: Fetch) -> Result<Served, Problem> {
    let (org, view) = organisation(ask, &fetch.path).await?;
    let (way, file) = way(&fetch.rest);
    let wanted = match Wanted::parse(file, fetch.query.as_deref(), fetch.user_agent.as_deref()) {
        Ok(wanted) => wanted,
        Err(Unknown::Name) => return Err(Code::NotFound.into()),
        Err(Unknown::Contradiction { asked, told }) => return Err(contradicted(asked, told)),
    };
    if let (File::Device(asked), Some(told)) = (&wanted.file, fetch.certified)
        && *asked != told
    {
        return Err(contradicted(*asked, told));
    }
    if fetch.method == "PUT" {
        return if wanted.file == File::Upload { Ok(Served::Taken) } else { Err(Code::MethodNotAllowed.into()) };
    }
    if matches!(wanted.file, File::Absent | File::Upload) {
        return Err(Code::NotFound.into());
    }
    let now = ask.now();
    let request = Request { method: fetch.method, target: &fetch.target, basic_allowed: door.basic_allowed };
    let keys = ask.engine.keys();
    let header = fetch.authorization.as_deref();
    let shown = match way {
        Way::Key(key) => Shown::Key(key),
        Way::Plain | Way::Asked => Shown::read(header, &request, keys, org, now),
    };
    if let (Way::Asked, Shown::Nothing | Shown::Stale) = (&way, &shown) {
        return Ok(challenge(ask, door, org, digest::REALM, matches!(shown, Shown::Stale)));
    }
    let base = match &way {
        Way::Asked => format!("{}/auth/", door.provisioning_url(&fetch.path)),
        Way::Key(key) => format!("{}/key-{key}/", door.provisioning_url(&fetch.path)),
        Way::Plain => format!("{}/", door.provisioning_url(&fetch.path)),
    };
    let prompts = door.settings.ask_for_pap && matches!(way, Way::Plain) && wanted.vendor.shows() != Shows::Path;
    let (path, name) = (fetch.path.clone(), file.to_owned());
    let certified = fetch.certified.is_some();
    let asked = Asked { org, view, wanted, base, shown, certified, prompts, path, name };
    match asked.wanted.file {
        File::Device(mac) => asked.device(ask, door, &fetch, mac, now).await,
        _ => asked.common(ask, door).await,
    }
}

/// A request that names a file.
struct Asked<'a> {
    org: OrgId,
    view: Arc<OrganisationView>,
    wanted: Wanted,
    /// Where the phone is to ask for the files that this one names.
    base: String,
    shown: Shown<'a>,
    /// Whether a certificate says that it is the phone that it asks for.
    certified: bool,
    /// Whether the person at the phone is asked for the PAP.
    prompts: bool,
    path: String,
    name: String,
}

/// What is written into a file, as it is handed to a thread that reads.
struct Writing {
    door: Arc<Door>,
    view: Arc<OrganisationView>,
    wanted: Wanted,
    mac: Mac,
    base: String,
    label: String,
}

impl Writing {
    fn rendered(&self, trust: Trust<'_>) -> Result<Rendered, RenderError> {
        let pbx = &self.view.phones.pbx;
        let settings = &self.door.settings;
        let phone = Phone {
            mac: self.mac,
            label: &self.label,
            language: self.view.language,
            zone: &self.view.zone,
            base_url: &self.base,
            poll_s: match trust {
                Trust::Full { .. } => settings.full_poll_s,
                Trust::Minimal { .. } => settings.minimal_poll_s,
            },
            pbx: Pbx {
                registrar: &pbx.registrar,
                registrar_port: pbx.registrar_port,
                emergency_numbers: &pbx.emergency_numbers,
                authentication_number: &pbx.authentication_number,
            },
            trust,
        };
        self.door.templates.device(self.wanted.vendor, self.wanted.model.as_ref(), &phone)
    }

    fn minimal(&self, keys: &dyn KeyedHash, org: OrgId) -> Result<Rendered, RenderError> {
        let (user, password) = words::derived_account(keys, org, self.mac);
        self.rendered(Trust::Minimal { user: &user, password: &password })
    }
}

fn unrendered(error: RenderError) -> Problem {
    match error {
        RenderError::NoFile(_) => Code::NotFound.into(),
        // Another vendor's phone than the one that was set up.
        RenderError::Value(_) => {
            tracing::warn!(%error, "a phone cannot be told what is set up for it");
            Problem::detailed(Code::NotFound, "such a phone cannot be told what is set up for it")
        }
        error => {
            tracing::error!(%error, "a phone's file cannot be made");
            Code::Internal.into()
        }
    }
}

impl Asked<'_> {
    fn writing(&self, door: &Arc<Door>, mac: Mac) -> Writing {
        Writing {
            door: Arc::clone(door),
            view: Arc::clone(&self.view),
            wanted: self.wanted.clone(),
            mac,
            base: self.base.clone(),
            label: String::new(),
        }
    }

    /// A file that every phone may have.
    async fn common(self, ask: &Ask, door: &Arc<Door>) -> Result<Served, Problem> {
        let (door, wanted, base) = (Arc::clone(door), self.wanted, self.base);
        let rendered = ask.engine.with_db(move |_, _| Ok(door.templates.common(&wanted, &base))).await?;
        let Rendered { content_type, body } = rendered.map_err(unrendered)?;
        Ok(Served::File(Body { content_type, bytes: body, then: None }))
    }

    async fn device(
        self,
        ask: &Rc<Ask>,
        door: &Arc<Door>,
        fetch: &Fetch,
        mac: Mac,
        now: UnixMillis,
    ) -> Result<Served, Problem> {
        let org = self.org;
        let keys = ask.engine.keys();
        let mut looked = self.looked(ask, mac, now).await?;
        if let (Some(_), Shown::Digest(response)) = (looked.shown, &self.shown)
            && !door.nonces.take(response.once, now)
        {
            return Ok(challenge(ask, door, org, digest::REALM, true));
        }
        if looked.why.is_none() && self.prompts {
            if let (Some(row), Some(from)) = (&looked.row, ask.from) {
                door.saw(looked.device, mac, from.to_canonical());
                self.note(ask, door, looked.device, row, fetch, false, now);
            }
            if let Shown::Nothing | Shown::Stale = self.shown {
                return Ok(challenge(ask, door, org, digest::PAP_REALM, matches!(self.shown, Shown::Stale)));
            }
            // Who was wrong gets the minimal one: after another 401 phones send the same again by themselves.
            prompt::enter(ask, door, org, looked.device, mac, &self.shown).await?;
            looked = self.looked(ask, mac, ask.now()).await?;
        }
        let Looked { device, row, shown, why } = looked;
        let Some((row, why)) = row.as_ref().zip(why) else {
            // For a MAC that nobody has set up all is the same, and nobody notes it.
            let mut writing = self.writing(door, mac);
            writing.base = format!("{}/", door.provisioning_url(&self.path));
            let rendered = ask.engine.with_db(move |_, keys| Ok(writing.minimal(keys, org))).await?;
            let Rendered { content_type, body } = rendered.map_err(unrendered)?;
            if let (Some(row), Some(from)) = (&row, ask.from) {
                door.saw(device, mac, from.to_canonical());
                self.note(ask, door, device, row, fetch, false, now);
            }
            count("minimal");
            return Ok(Served::File(Body { content_type, bytes: body, then: None }));
        };
        let salt = match row.credential {
            Some(salt) => salt,
            None => admitted(ask, device, org).await?,
        };
        if row.previous.is_some() && shown == row.credential {
            tell_later(ask, device, org, Command::Used { salt }, false);
        }
        self.note(ask, door, device, row, fetch, true, now);
        let mut writing = self.writing(door, mac);
        let url = door.provisioning_url(&self.path);
        writing.base = match self.wanted.vendor.shows() {
            Shows::Password | Shows::Digest => format!("{url}/auth/"),
            Shows::Path => format!("{url}/key-{}/", words::credential(keys, device, salt).as_str()),
        };
        writing.label = row.description.label.to_string();
        writing.wanted.model = writing.wanted.model.take().or_else(|| row.description.model.clone());
        let rendered = ask.engine.with_db(move |db, keys| full(db, keys, &writing, device.at(org), device, salt));
        let Rendered { content_type, body } = rendered.await?.map_err(unrendered)?;
        count("full");
        let is_open = !row.authentication.is_done() && fetch.method == "GET";
        let then = is_open.then_some(Delivery { device, org, salt, why });
        Ok(Served::File(Body { content_type, bytes: body, then }))
    }

    /// What is known of the device of a MAC, and whether it may have everything.
    async fn looked(&self, ask: &Ask, mac: Mac, now: UnixMillis) -> Result<Looked, Problem> {
        let org = self.org;
        let (device, row) = ask.engine.with_db(move |db, keys| find(db, keys, org, mac)).await?;
        let salts = row.as_ref().map_or([None; 2], |row| [row.credential, row.previous]);
        let shown = trust::shown_credential(ask.engine.keys(), device, mac, salts, &self.shown);
        let why = row.as_ref().and_then(|row| trust::why(row, &self.view.phones, ask.from, shown, self.certified, now));
        Ok(Looked { device, row, shown, why })
    }

    /// Remembers a contact, if it says something new: polling writes nothing.
    #[expect(clippy::too_many_arguments, reason = "all that a contact is")]
    fn note(
        &self,
        ask: &Rc<Ask>,
        door: &Arc<Door>,
        device: DeviceId,
        row: &DeviceRow,
        fetch: &Fetch,
        full: bool,
        now: UnixMillis,
    ) {
        let Some(address) = ask.from.map(|from| from.to_canonical()) else { return };
        let contact = Contact {
            address,
            user_agent: words::printable(fetch.user_agent.as_deref().unwrap_or_default(), USER_AGENT_MAX),
            file: words::printable(&self.name, FILE_MAX),
            full,
        };
        let last = row.contact.as_ref();
        let moves = last.is_none_or(|last| contact.moves(last));
        match contact.pause_after(last).map(|pause| row.contact_at.plus(pause)).filter(|due| now < *due) {
            None => tell_later(ask, device, self.org, Command::Seen(contact), moves),
            Some(due) if moves && door.waits(device, row.description.mac) => {
                note_later(ask, door, device.at(self.org), row.description.mac, contact, due);
            }
            Some(_) => {}
        }
    }
}

/// Tells a device where its phone was last, when it may be told again: a restart must not forget it.
fn note_later(ask: &Rc<Ask>, door: &Arc<Door>, device: Address, mac: Mac, contact: Contact, due: UnixMillis) {
    let (ask, door, working) = (Rc::clone(ask), Arc::clone(door), ask.working());
    tokio::task::spawn_local(async move {
        tokio::time::sleep(Duration::from_millis(due.0.saturating_sub(ask.now().0))).await;
        let address = door.waited(DeviceId(device.entity.raw), mac).unwrap_or(contact.address);
        let seen = Command::Seen(Contact { address, ..contact });
        persistently(&ask, device, seen, PERSISTENCE).await;
        drop(working);
    });
}

/// A device as a request finds it.
struct Looked {
    device: DeviceId,
    row: Option<DeviceRow>,
    /// The credential that came with the request and is the device's.
    shown: Option<Salt>,
    why: Option<Why>,
}

fn count(served: &'static str) {
    ::metrics::counter!(metrics::PHONES_SERVED, "configuration" => served).increment(1);
}

/// The device of a MAC, and its row. Where there is none, as much is read, of one that is not there.
pub(super) fn find(db: &Db, ring: &Keyring, org: OrgId, mac: Mac) -> Result<(DeviceId, Option<DeviceRow>), StoreError> {
    let partition = db.partition_of(org);
    let found = db.get(&keys::row(partition, RowSpace::DeviceMacs, org, &mac.0))?;
    let found = found.as_deref().and_then(DeviceId::from_bytes);
    let hash = ring.keyed_hash("devices.nobody", &[&org.to_bytes(), &mac.0]);
    let nobody = DeviceId(hash[..16].iter().fold(0, |id, byte| id << 8 | u128::from(*byte)));
    let device = found.unwrap_or(nobody);
    let row = db.get(&keys::row(partition, RowSpace::Devices, org, &device.to_bytes()))?;
    let row = row.map(|row| DeviceRow::decode_from(&row));
    Ok((device, row.transpose().map_err(|why| StoreError::Corrupt { what: "device's row", why })?))
}

fn full(
    db: &Db,
    keys: &Keyring,
    writing: &Writing,
    subject: Address,
    device: DeviceId,
    salt: Salt,
) -> Result<Result<Rendered, RenderError>, StoreError> {
    let sealed = keys.read(db, subject, VaultField::SipSecret)?.filter(|sealed| !sealed.is_empty());
    let plain = sealed.map_or_else(|| Ok(AccountsPlain::default()), |sealed| AccountsPlain::decode_from(&sealed));
    let plain = plain.map_err(|why| StoreError::Corrupt { what: "device's accounts", why })?;
    let vendor = writing.wanted.vendor;
    // The phone that asks may have fewer lines than the one that was set up.
    let lines = plain.accounts.iter().take(vendor.accounts_max());
    if lines.clone().any(|account| !fits(vendor, &account.user) || !fits(vendor, &account.password)) {
        return Ok(Err(RenderError::Value("an account of another vendor's phone")));
    }
    let accounts: Vec<Account> = lines
        .map(|account| Account {
            display_name: shown_name(&account.name, &writing.label, &account.user).to_owned(),
            user: account.user.clone(),
            authentication_user: None,
            password: account.password.clone(),
            registrar: None,
        })
        .collect();
    let (user, password) = (writing.mac.to_string(), words::credential(keys, device, salt));
    let credential = Credential { user: &user, password: &password };
    Ok(writing.rendered(Trust::Full { accounts: &accounts, credential }))
}

/// What an account without a name of its own is called.
fn shown_name<'a>(name: &'a str, label: &'a str, user: &'a str) -> &'a str {
    [name, label].into_iter().find(|text| !text.trim().is_empty()).unwrap_or(user)
}

/// A credential for a phone that is trusted without a PAP.
async fn admitted(ask: &Ask, device: DeviceId, org: OrgId) -> Result<Salt, Problem> {
    let salt = Salt::of(ask.engine.chance().bytes());
    match ask.tell::<Device>(device.at(org), Command::Admit { salt }, refused).await?.answer {
        Told::Credential(Some(salt)) => Ok(salt),
        _ => Err(Code::Internal.into()),
    }
}

/// How often something that must not be forgotten is tried again when the server is busy.
const PERSISTENCE: u32 = 8;

/// Tells a device something after the answer.
fn tell_later(ask: &Rc<Ask>, device: DeviceId, org: OrgId, command: Command, must: bool) {
    let (ask, working) = (Rc::clone(ask), ask.working());
    tokio::task::spawn_local(async move {
        persistently(&ask, device.at(org), command, if must { PERSISTENCE } else { 1 }).await;
        drop(working);
    });
}

async fn persistently(ask: &Ask, device: Address, command: Command, attempts: u32) {
    for attempt in 0..attempts {
        if attempt > 0 {
            tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
        }
        match ask.tell::<Device>(device, command.clone(), refused).await {
            Err(problem) if problem.code() == Code::Busy => {}
            _ => break,
        }
    }
}

impl Delivery {
    /// The last byte was sent.
    pub fn done(self, ask: &Rc<Ask>) {
        let to: Option<IpAddr> = ask.from.map(|from| from.to_canonical());
        let command = Command::Delivered { salt: self.salt, to, why: self.why };
        tell_later(ask, self.device, self.org, command, true);
    }
}
