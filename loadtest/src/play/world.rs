//! The box, the people in front of it, and the administrator's view of it.

use super::{
    BoxArgs,
    model::{Model, Person, ServerSide, Tone},
};
use crate::{
    api::{Api, text},
    chance::Chance,
    client::Target,
    clock::{from_rfc3339, now_ms},
    process::TempFolder,
    report::LoadError,
    site::Site,
    vbox::{Storage, VirtualBox},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

pub struct World {
    pub title: String,
    pub target: Target,
    pub vbox: VirtualBox,
    pub people: Vec<Person>,
    /// The organisation's, if we have its token.
    api: Option<Api>,
    /// Accesses to the whole box, by person.
    accesses: BTreeMap<String, String>,
    /// How far its events have been told.
    told: u64,
    /// Where signed passes are put.
    papers: TempFolder,
}

/// With their codes and PINs.
const NAMES: [(&str, &str, &str); 3] =
    [("Anna", "482913", "2468"), ("Bruno", "117204", "1357"), ("Carla", "905561", "8642")];
/// Looks, twenty a second.
const CODES_WITHIN: usize = 100;
const BINS: usize = 8;
const KEYS: usize = 5;

fn accesses_known(made: &Value) -> usize {
    made["accesses"].as_array().map_or(0, Vec::len)
}

fn storage(args: &BoxArgs) -> Storage {
    args.keep.as_ref().map_or(Storage::Memory, Storage::folder)
}

impl World {
    /// An organisation of its own, on a server that lets us make one.
    pub async fn made(site: &Site, args: &BoxArgs, chance: &Chance) -> Result<Self, LoadError> {
        let mut operator = site.operator(chance);
        let body = json!({
            "name": "A box to play with", "plan": "business_pro", "language": "en", "zone": "Europe/Rome",
            "owner": {"name": "Owner", "email": "owner@play.example"},
        });
        let made = operator.post("/organisations", &body).await?;
        let mut api = operator.with_token(text(&made, "token", "POST /organisations")?, chance.fork(2));
        let mut people = Vec::new();
        for (name, code, pin) in NAMES {
            let badge = format!("badge-{name}");
            let body = json!({"name": name, "access_code": code, "badges": [badge], "pin": pin});
            let id = text(&api.post("/people", &body).await?, "person", "POST /people")?;
            people.push(Person { id, name: name.to_owned(), code: code.to_owned(), badge, pin: pin.to_owned() });
        }
        let bins: Vec<String> = (1..=BINS).map(|bin| format!("A-{bin}")).collect();
        let fobs: Vec<String> = (1..=KEYS).map(|key| format!("VAN-{key}")).collect();
        let keys: Vec<Value> =
            fobs.iter().zip(&bins).map(|(fob, bin)| json!({"name": fob, "fob": fob, "bin": bin})).collect();
        // Carla has to be let in first: see `g`.
        let accesses: Vec<Value> = people[..2].iter().map(|who| json!({"person": who.id, "box": true})).collect();
        let body = json!({
            "name": "Porter's lodge", "model": "MS5", "zone": "Europe/Rome", "bins": bins, "keys": keys,
            "accesses": accesses, "enrol": true,
        });
        let made = api.post("/boxes", &body).await?;
        let ids = made["accesses"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let accesses = people.iter().map(|who| who.id.clone()).zip(ids.map(str::to_owned)).collect();
        let settings = json!({"late": {"after_pick_up_minutes": 1}, "unconfirmed_minutes": 1});
        api.put("/alerts/settings", &settings).await?;
        let identity = api.enrol(&text(&made, "enrolment_code", "POST /boxes")?).await?;
        let content = bins.into_iter().enumerate().map(|(at, bin)| (bin, fobs.get(at).cloned()));
        let mut vbox = VirtualBox::new(identity, content, storage(args), chance.fork(3))?;
        let mut link = None;
        // People's codes come to the box by messages, a moment after their accesses.
        for _ in 0..CODES_WITHIN {
            crate::fleet::first_sync(&mut link, &site.target, &mut vbox).await?;
            let people = &vbox.state().people;
            if people.len() == accesses_known(&made) && people.values().all(|person| person.code.is_some()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Self {
            title: "Porter's lodge".to_owned(),
            target: site.target.clone(),
            vbox,
            people,
            api: Some(api),
            accesses,
            told: 0,
            papers: TempFolder::new()?,
        })
    }

    /// The box that an enrolment code is for. What is in its bins is what the server believes.
    pub async fn of_code(url: &str, code: &str, args: &BoxArgs, chance: &Chance) -> Result<Self, LoadError> {
        let target = Target::from_url(url).map_err(LoadError::Unfit)?;
        let mut api = Api::new(target.clone(), args.organisation_token.clone().unwrap_or_default(), chance.fork(2));
        let identity = api.enrol(code).await?;
        let mut link = None;
        let mut first = VirtualBox::new(identity.clone(), [], Storage::Memory, chance.fork(4))?;
        crate::fleet::first_sync(&mut link, &target, &mut first).await?;
        let content: Vec<_> = first.believed().map(|(bin, fob)| (bin.to_owned(), fob.map(str::to_owned))).collect();
        let vbox = VirtualBox::new(identity, content, storage(args), chance.fork(3))?;
        let api = args.organisation_token.is_some().then_some(api);
        let title = vbox.id().to_owned();
        let (accesses, papers) = (BTreeMap::new(), TempFolder::new()?);
        Ok(Self { title, target, vbox, people: Vec::new(), api, accesses, told: 0, papers })
    }

    pub fn name_of(&self, person: &str) -> String {
        self.people.iter().find(|who| who.id == person).map_or(person, |who| &who.name).to_owned()
    }

    /// What the server says of the box, and what has happened since it was last asked.
    pub async fn ask(&mut self, model: &mut Model) {
        let id = self.vbox.id().to_owned();
        let Some(api) = &mut self.api else { return };
        let Ok(shown) = api.get(&format!("/boxes/{id}")).await else { return };
        let alerts = api.get(&format!("/alerts?box={id}")).await.unwrap_or_default();
        let kinds = alerts["items"].as_array().into_iter().flatten().filter_map(|alert| alert["kind"].as_str());
        let settings = api.get(&format!("/boxes/{id}/settings")).await.unwrap_or_default();
        let (now, at) = (now_ms(), |field: &str| shown[field].as_str().and_then(from_rfc3339));
        model.server = Some(ServerSide {
            plan: shown["plan"].as_str().unwrap_or_default().to_owned(),
            offline: shown["offline"] == true,
            reconciling: shown["reconciling"] == true,
            late: shown["late"] == true,
            pending_s: at("pending_since").map(|since| now.saturating_sub(since) / 1000),
            due_in_s: at("due_by").map(|due| (due as i64 - now as i64) / 1000),
            alerts: kinds.map(str::to_owned).collect(),
            pins: settings["second_factor"] == "pin",
        });
        let events = api.get(&format!("/audit?entity={id}&limit=30")).await.unwrap_or_default();
        let mut news: Vec<(u64, String)> = Vec::new();
        for event in events["items"].as_array().into_iter().flatten() {
            let (Some(revision), Some(kind)) = (event["revision"].as_u64(), event["type"].as_str()) else { continue };
            if revision > self.told {
                news.push((revision, kind.to_owned()));
            }
        }
        // Newest first; what every sync leaves is no news.
        let first = self.told == 0;
        for (revision, kind) in news.into_iter().rev() {
            self.told = self.told.max(revision);
            if !first && !matches!(kind.as_str(), "boxes.synced" | "boxes.confirmed") {
                model.tell(Tone::Server, format!("server: {kind}"));
            }
        }
    }

    /// Lets a person take everything of this box, or no more.
    pub async fn grant(&mut self, person: &str, model: &mut Model) {
        let (id, name) = (self.vbox.id().to_owned(), self.name_of(person));
        let Some(api) = &mut self.api else {
            return model.tell(Tone::Bad, "Without a token of the organisation nothing can be granted.");
        };
        match self.accesses.remove(person) {
            Some(access) => match api.delete(&format!("/boxes/{id}/accesses/{access}")).await {
                Ok(()) => model.tell(
                    Tone::Server,
                    format!("{name} has no access any more; the box hears of it in its next sync."),
                ),
                Err(error) => model.tell(Tone::Bad, error.to_string()),
            },
            None => match api.post(&format!("/boxes/{id}/accesses"), &json!({"person": person, "box": true})).await {
                Ok(made) => {
                    let access = made["access"].as_str().unwrap_or_default().to_owned();
                    self.accesses.insert(person.to_owned(), access);
                    model.tell(Tone::Server, format!("{name} has access now; the box hears of it in its next sync."));
                }
                Err(error) => model.tell(Tone::Bad, error.to_string()),
            },
        }
    }

    /// Switches between pick-ups with a PIN besides and without.
    pub async fn want_pins(&mut self, model: &mut Model) {
        let Some(api) = &mut self.api else {
            return model.tell(Tone::Bad, "Without a token of the organisation nothing can be set.");
        };
        let wanted = !model.server.as_ref().is_some_and(|server| server.pins);
        let body = json!({"second_factor": if wanted { "pin" } else { "none" }});
        match api.patch(&format!("/boxes/{}/settings", self.vbox.id()), &body).await {
            Ok(_) => {
                let what = if wanted { "a PIN besides" } else { "no PIN any more" };
                model.tell(Tone::Server, format!("Pick-ups want {what}; the box hears of it in its next sync."));
            }
            Err(error) => model.tell(Tone::Bad, error.to_string()),
        }
    }

    /// Signs a pass for what the person may take here, or who the person is, into a file.
    pub async fn sign(&mut self, person: &str, pass: bool, model: &mut Model) {
        let name = self.name_of(person);
        let Some(api) = &mut self.api else {
            return model.tell(Tone::Bad, "Without a token of the organisation nothing can be signed.");
        };
        let (path, what) = match (pass, self.accesses.get(person)) {
            (true, None) => return model.tell(Tone::Bad, format!("{name} has no access to be signed (g: grant).")),
            (true, Some(access)) => (format!("/boxes/{}/accesses/{access}/passes", self.vbox.id()), "pass"),
            (false, _) => (format!("/people/{person}/qr"), "personal QR code"),
        };
        let file = self.papers.path().join(format!("{}-{name}.txt", if pass { "pass" } else { "qr" }));
        let made = api.post(&path, &json!({})).await;
        let written = made.map_err(|error| error.to_string()).and_then(|made| {
            let text = text(&made, "text", &path).map_err(|error| error.to_string())?;
            std::fs::write(&file, text + "\n").map_err(|error| error.to_string())
        });
        match written {
            Ok(()) => {
                model.last_file = file.display().to_string();
                model.tell(Tone::Server, format!("A {what} for {name} is signed: {} (f: show it).", file.display()));
            }
            Err(error) => model.tell(Tone::Bad, error),
        }
    }
}
