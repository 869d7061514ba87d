//! Organisations with their people, boxes, keys and settings, and beside each box its model.

use super::{
    FieldArgs, administrator,
    clock::Clock,
    model::{Alert, Grant, Here, Limits, Model, Setup},
    newcomer::Newcomer,
    visit::{Carried, Given, Printed},
};
use crate::{
    api::{Api, text},
    chance::Chance,
    client::{Connection, Target},
    fleet::{PLANS, bin_name},
    process::ServerProcess,
    report::LoadError,
    vbox::{Storage, VirtualBox},
    wire::Size,
};
use serde_json::{Value, json};
use std::time::Duration;

/// People of each organisation, and those who use one box.
const PEOPLE: usize = 40;
pub const STAFF: usize = 4;
/// Bins beside those of the keys.
const SPARE_BINS: usize = 2;
/// From this one on organisations want their keys' codes at boxes that nobody can ask.
const TOLD_KEY_CODES: usize = 1;
/// Keys that have a code from the beginning.
const CODED: usize = 3;
/// Everybody of so many has no PIN; of so many boxes one wants PINs, and one takes no key from nobody.
const WITHOUT_PIN: usize = 5;
const WANTS_PIN: usize = 4;
const NAMED_ONLY: usize = 3;
/// At one of so many boxes there is a key that nobody knows the fob of.
const NEWCOMERS: usize = 2;
/// What there is of each size.
pub const SIZES: [Size; 4] = [Size::Small, Size::Medium, Size::Medium, Size::Large];
const UNCONFIRMED_MIN: u64 = 61;
pub const LATE: Limits = Limits { after_pick_up: Some(120), after_end: Some(30), before_booking: Some(30) };

pub struct Person {
    pub id: String,
    pub code: String,
    pub badge: String,
    /// Not everybody has one.
    pub pin: Option<String>,
}

pub struct Organisation {
    pub api: Api,
    pub people: Vec<Person>,
    /// Codes that its keys were given so far.
    codes: u32,
}

impl Organisation {
    /// Five digits that it has not used.
    pub fn next_code(&mut self) -> String {
        self.codes += 1;
        format!("{:05}", self.codes)
    }
}

/// A box with all that is known of it.
pub struct Site {
    pub organisation: usize,
    pub vbox: VirtualBox,
    pub model: Model,
    pub link: Option<Connection>,
    /// The road is open.
    pub online: bool,
    /// It has synced since, and so decides with the server.
    pub connected: bool,
    pub fobs: Vec<String>,
    /// A key that has no fob yet; its number comes after those of the others.
    pub newcomer: Option<Newcomer>,
    pub keys: Vec<String>,
    /// Of its organisation, by the model's numbers.
    pub staff: Vec<usize>,
    /// The server's ids of the model's grants.
    pub accesses: Vec<String>,
    pub bins: Vec<String>,
    /// Codes that its bookings and keys were given, those of today and those of yesterday.
    pub given: Vec<Given>,
    /// Offline codes, of all its sheets.
    pub printed: Vec<Printed>,
}

impl Site {
    /// By which a key is recognised; what is not one of the box's keys yet is its newcomer.
    pub fn fob(&self, key: usize) -> &str {
        let newcomer = self.newcomer.as_ref().map(|newcomer| &newcomer.fob);
        self.fobs.get(key).or(newcomer).map_or("", String::as_str)
    }
}

pub struct World {
    pub target: Target,
    pub organisations: Vec<Organisation>,
    pub sites: Vec<Site>,
    pub carried: Carried,
    /// The alerts of each box that were in force at the last look.
    pub told: Vec<Vec<Alert>>,
}

impl World {
    pub async fn made(
        server: &ServerProcess,
        args: &FieldArgs,
        chance: &Chance,
        clock: &Clock,
    ) -> Result<Self, LoadError> {
        let target = server.target.clone();
        let mut operator = Api::new(target.clone(), &*server.operator_token, chance.fork(1));
        let mut organisations = Vec::new();
        for (plan, _) in PLANS {
            organisations.push(organisation(&mut operator, plan, chance).await?);
        }
        let mut world = Self {
            target,
            organisations,
            sites: Vec::new(),
            carried: Carried::default(),
            told: vec![Vec::new(); args.boxes],
        };
        for index in 0..args.boxes {
            let site = site(&mut world.organisations, index, args, chance, clock).await?;
            world.sites.push(site);
        }
        for organisation in &mut world.organisations[TOLD_KEY_CODES..] {
            organisation.api.patch("/offline/settings", &json!({"key_codes": true})).await?;
        }
        for site in &mut world.sites {
            first_contact(site, &world.target, clock).await?;
        }
        Ok(world)
    }
}

async fn organisation(operator: &mut Api, plan: &str, chance: &Chance) -> Result<Organisation, LoadError> {
    let body = json!({
        "name": format!("Field {plan}"), "plan": plan, "language": "en", "zone": "Europe/Rome",
        "owner": {"name": "Owner", "email": "owner@field.example"},
    });
    let made = operator.post("/organisations", &body).await?;
    let mut api = operator.with_token(text(&made, "token", "POST /organisations")?, chance.fork(2));
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        let (code, badge) = (format!("{:06}", 100_000 + number * 7919), format!("badge-{number}"));
        let pin = (number % WITHOUT_PIN != 0).then(|| format!("{}", 1_000 + number * 7));
        let body = json!({"name": format!("Person {number}"), "access_code": code, "badges": [badge], "pin": pin});
        let id = text(&api.post("/people", &body).await?, "person", "POST /people")?;
        people.push(Person { id, code, badge, pin });
    }
    let late = json!({
        "after_pick_up_minutes": LATE.after_pick_up, "after_end_minutes": LATE.after_end,
        "before_booking_minutes": LATE.before_booking,
    });
    let settings = json!({"unconfirmed_minutes": UNCONFIRMED_MIN, "late": late, "exchange": "flagged"});
    api.put("/alerts/settings", &settings).await?;
    Ok(Organisation { api, people, codes: 0 })
}

async fn site(
    organisations: &mut [Organisation],
    index: usize,
    args: &FieldArgs,
    chance: &Chance,
    clock: &Clock,
) -> Result<Site, LoadError> {
    let at = index % organisations.len();
    let organisation = &mut organisations[at];
    let mut chance = chance.fork(1000 + index as u64);
    let first = chance.index(PEOPLE);
    let staff: Vec<usize> = (0..STAFF).map(|offset| (first + offset) % PEOPLE).collect();
    let bins: Vec<String> = (0..args.keys + SPARE_BINS).map(bin_name).collect();
    let fobs: Vec<String> = (0..args.keys).map(|key| format!("{index:05}-{key}")).collect();
    let keys: Vec<Value> =
        fobs.iter().zip(&bins).map(|(fob, bin)| json!({"name": fob, "fob": fob, "bin": bin})).collect();
    let with_pin = staff.iter().copied().filter(|person| organisation.people[*person].pin.is_some()).collect();
    let here = Here { organisation: at, site: index, staff: staff.clone(), with_pin };
    let mut model = Model::new(here, bins.len(), args.keys, PLANS[at].1.as_millis() as u64, UNCONFIRMED_MIN);
    model.limits = vec![LATE; args.keys];
    model.tells_key_codes = at >= TOLD_KEY_CODES;
    let for_ever = |person, key| Grant { person, key, ..Grant::default() };
    model.grants = vec![for_ever(0, None), for_ever(1, None), for_ever(2, Some(0)), for_ever(3, Some(0))];
    let grants: Vec<Value> = model
        .grants
        .iter()
        .map(|grant| {
            let person = &organisation.people[staff[grant.person]].id;
            match grant.key {
                None => json!({"person": person, "box": true}),
                Some(key) => json!({"person": person, "key_index": key}),
            }
        })
        .collect();
    let body = json!({
        "name": format!("Box {index:05}"), "model": "MS5", "zone": "Europe/Rome", "bins": bins, "keys": keys,
        "accesses": grants, "enrol": true,
    });
    let (api, call) = (&mut organisation.api, "POST /boxes");
    let made = api.post("/boxes", &body).await?;
    let (id, code) = (text(&made, "box", call)?, text(&made, "enrolment_code", call)?);
    let list = |name: &str| -> Vec<String> {
        made[name].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (keys, accesses) = (list("keys"), list("accesses"));
    // Two keys with limits of their own.
    let own = [(1, Some(60)), (2, None)];
    for (key, minutes) in own.into_iter().filter(|(key, _)| *key < keys.len()) {
        let path = format!("/boxes/{id}/keys/{}/alerts", keys[key]);
        api.put(&path, &json!({"late_after_pick_up_minutes": minutes})).await?;
        model.limits[key].after_pick_up = minutes;
    }
    let newcomer = match index % NEWCOMERS {
        0 => Some(Newcomer::made(api, &id, format!("{index:05}-new")).await?),
        _ => None,
    };
    let identity = api.enrol(&code).await?;
    let content = bins.iter().cloned().enumerate().map(|(bin, label)| (label, fobs.get(bin).cloned()));
    let setup = Setup {
        named_only: index % NAMED_ONLY == 1,
        wants_pin: index % WANTS_PIN == 2,
        bins: bins.iter().map(|_| SIZES[chance.index(SIZES.len())]).collect(),
        keys: keys.iter().map(|_| SIZES[chance.index(SIZES.len())]).collect(),
    };
    let vbox = VirtualBox::new(identity, content.collect::<Vec<_>>(), Storage::Memory, chance)?;
    let mut site = Site {
        organisation: at,
        vbox,
        model,
        link: None,
        online: true,
        connected: true,
        fobs,
        newcomer,
        keys,
        staff,
        accesses,
        bins,
        given: Vec::new(),
        printed: Vec::new(),
    };
    administrator::set_up(&mut site, &mut organisation.api, setup, clock).await?;
    for key in 0..args.keys.min(CODED) {
        let code = organisation.next_code();
        administrator::key_code(&mut site, &mut organisation.api, key, code, clock).await?;
    }
    administrator::print(&mut site, &mut organisation.api, false, clock).await?;
    Ok(site)
}

/// Until the box has everything, its people's codes and its keys' too, which come by messages.
async fn first_contact(site: &mut Site, target: &Target, clock: &Clock) -> Result<(), LoadError> {
    let codes = site.model.key_codes.iter().filter(|code| site.model.tells_key_codes && code.is_some()).count();
    for _ in 0..100 {
        super::contact::contact(site, target, clock).await?;
        let state = site.vbox.state();
        let told = state.key_codes.values().filter(|key| key.code.is_some()).count();
        let known = state.people.values().filter(|person| person.code.is_some()).count();
        let pins = state.pins.values().filter(|known| known.pin.is_some()).count();
        let wanted = if site.model.setup.wants_pin { site.model.here.with_pin.len() } else { 0 };
        if known == STAFF && pins == wanted && told == codes && state.offline_sheet == site.model.sheet {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(LoadError::Unfit(format!("{} never heard of its people's and keys' codes", site.vbox.id())))
}
