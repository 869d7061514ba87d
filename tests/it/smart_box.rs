//! A SmartBox as the protocol asks for one: it stores what it gets and sends what it has written.

use crate::rig::{Answer, Client, string};
use hmac::{Hmac, Mac};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

pub const ENTRIES_MAX: usize = 256;

pub fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[derive(Clone)]
pub struct TestBox {
    pub client: Client,
    pub id: String,
    pub token: String,
    pub generation: u64,
    pub model: String,
    verifier_key: Vec<u8>,
    pub cursor: Option<String>,
    /// Everything ever written; entry `seq` stands at `seq - 1`.
    pub journal: Vec<Value>,
    /// The next sequence number that the server expects.
    pub resume_at: u64,
    /// The stored state, by the names that `removed` uses.
    pub items: BTreeMap<String, Value>,
    pub ticket: Option<String>,
    /// What this box's clock is off.
    pub clock_off_ms: i64,
}

impl TestBox {
    pub fn enrol(anyone: &Client, code: &str) -> Self {
        let told = anyone.post("/box/v1/enrol", &json!({"code": code})).is(201);
        let token = string(&told, "token");
        assert!(token.starts_with("cbx_"), "{told}");
        assert!(told["server_ms"].as_u64().unwrap().abs_diff(now_ms()) < 60_000, "{told}");
        let verifier_key = unhex(&string(&told, "verifier_key"));
        assert_eq!(verifier_key.len(), 32);
        Self {
            client: anyone.with_token(&token),
            id: string(&told, "box"),
            token,
            generation: told["generation"].as_u64().unwrap(),
            model: string(&told, "model"),
            verifier_key,
            cursor: None,
            journal: Vec::new(),
            resume_at: 1,
            items: BTreeMap::new(),
            ticket: None,
            clock_off_ms: 0,
        }
    }

    /// The same cabinet with a new identity: what it has written stays.
    pub fn enrol_again(&mut self, anyone: &Client, code: &str) {
        let fresh = Self::enrol(anyone, code);
        let journal = std::mem::take(&mut self.journal);
        *self = Self { journal, resume_at: self.resume_at, clock_off_ms: self.clock_off_ms, ..fresh };
    }

    pub fn clock_ms(&self) -> u64 {
        now_ms().saturating_add_signed(self.clock_off_ms)
    }

    pub fn head(&self) -> u64 {
        self.journal.len() as u64
    }

    pub fn pick_up(&mut self, bin: &str, fob: &str, person: Option<&str>) -> u64 {
        self.write("pick_up", bin, Some(fob), person)
    }

    pub fn drop_off(&mut self, bin: &str, fob: &str, person: Option<&str>) -> u64 {
        self.write("drop_off", bin, Some(fob), person)
    }

    pub fn opened(&mut self, bin: &str) -> u64 {
        self.write("opened", bin, None, None)
    }

    /// Writes an entry into the journal, now by this box's clock.
    pub fn write(&mut self, kind: &str, bin: &str, fob: Option<&str>, person: Option<&str>) -> u64 {
        self.write_at(self.clock_ms(), kind, bin, fob, person)
    }

    pub fn write_at(&mut self, at_ms: u64, kind: &str, bin: &str, fob: Option<&str>, person: Option<&str>) -> u64 {
        let seq = self.head() + 1;
        let mut entry = json!({"seq": seq, "at_ms": at_ms, "kind": kind, "bin": bin});
        let mut set = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                entry[name] = value.into();
            }
        };
        set("cursor", self.cursor.as_deref());
        set("fob", fob);
        set("person", person);
        self.journal.push(entry);
        seq
    }

    /// The sync that this box would send now.
    pub fn request(&self) -> Value {
        self.request_of(self.resume_at, ENTRIES_MAX)
    }

    /// A sync with so many entries from this number on.
    pub fn request_of(&self, from: u64, entries: usize) -> Value {
        let from = usize::try_from(from - 1).unwrap().min(self.journal.len());
        let until = (from + entries).min(self.journal.len());
        json!({
            "cursor": self.cursor,
            "journal": {
                "head": self.head(), "more": until < self.journal.len(), "entries": &self.journal[from..until],
            },
            "clock_ms": self.clock_ms(),
            "health": {"battery_percent": 97, "mains": true, "link": "ethernet", "firmware": "5.1.2"},
        })
    }

    pub fn send(&self, request: &Value) -> Answer {
        let ticket: Vec<_> = self.ticket.as_deref().map(|ticket| ("castellan-ticket", ticket)).into_iter().collect();
        self.client.send("POST", "/box/v1/sync", &ticket, Some(request.to_string().as_bytes()))
    }

    /// One sync, whole: sends what is unsent, stores what comes.
    #[track_caller]
    pub fn sync(&mut self) -> Value {
        let told = self.send(&self.request()).is(200);
        self.store(&told);
        told
    }

    /// The outcomes of one sync, in order, such as `applied` or `flagged not_permitted`.
    #[track_caller]
    pub fn outcomes(&mut self) -> Vec<String> {
        outcomes_of(&self.sync())
    }

    /// Syncs until nothing is unsent and nothing has changed: what the server knows by itself is here then.
    #[track_caller]
    pub fn sync_until_quiet(&mut self) {
        for _ in 0..50 {
            let told = self.sync();
            if self.resume_at > self.head() && no_changes(&told) {
                return;
            }
        }
        panic!("this box never comes to rest");
    }

    pub fn confirm(&self) -> Answer {
        self.client.post("/box/v1/confirm", &json!({"cursor": self.cursor}))
    }

    /// Stores an answer: changes and cursor in one step.
    #[track_caller]
    pub fn store(&mut self, told: &Value) {
        let changes = &told["changes"];
        if changes["full"] == true {
            self.items.clear();
        }
        for name in changes["removed"].as_array().into_iter().flatten() {
            self.items.remove(name.as_str().unwrap());
        }
        for (list, of) in [("bins", "bin"), ("keys", "key"), ("accesses", "access"), ("people", "person")] {
            for item in changes[list].as_array().into_iter().flatten() {
                let name = item[of].as_str().unwrap();
                let name = if of == "bin" { format!("bin:{name}") } else { name.to_owned() };
                self.items.insert(name, item.clone());
            }
        }
        self.cursor = Some(string(told, "cursor"));
        self.resume_at = told["resume_at"].as_u64().unwrap();
        self.ticket = Some(string(told, "ticket"));
        assert!(told["next_sync_s"].as_u64().unwrap() >= 1, "{told}");
    }

    /// Whether this box would open for this access code.
    pub fn knows_code(&self, person: &str, code: &str) -> bool {
        self.items.get(person).is_some_and(|item| item["code"] == self.verifier("code:", code))
    }

    pub fn knows_badge(&self, person: &str, badge: &str) -> bool {
        let verifier = self.verifier("badge:", badge);
        let badges = |item: &Value| item["badges"].as_array().is_some_and(|badges| badges.contains(&json!(verifier)));
        self.items.get(person).is_some_and(badges)
    }

    pub fn verifier(&self, kind: &str, value: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.verifier_key).unwrap();
        mac.update(kind.as_bytes());
        mac.update(value.as_bytes());
        mac.finalize().into_bytes()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What is stored is what the server has, item by item.
    #[track_caller]
    pub fn must_equal(&self, inventory: &Value) {
        let mut wanted: BTreeMap<String, Value> = BTreeMap::new();
        let list = |name: &str| inventory[name].as_array().unwrap().clone();
        for bin in list("bins") {
            wanted.insert(format!("bin:{}", string(&bin, "bin")), pick(&bin, &["bin", "state", "fob", "confirmed"]));
        }
        for key in list("keys") {
            wanted.insert(string(&key, "key"), pick(&key, &["key", "fob", "roaming", "groups"]));
        }
        for access in list("accesses") {
            wanted.insert(string(&access, "access"), pick(&access, &["access", "person"]));
        }
        for person in list("people") {
            wanted.insert(person.as_str().unwrap().to_owned(), json!({"person": person}));
        }
        let stored: BTreeMap<String, Value> = self
            .items
            .iter()
            .map(|(name, item)| {
                let names: Vec<&str> = match wanted.get(name).and_then(Value::as_object) {
                    Some(wanted) => wanted.keys().map(String::as_str).collect(),
                    None => vec![],
                };
                (name.clone(), pick(item, &names))
            })
            .collect();
        assert_eq!(stored, wanted);
    }
}

/// These members alone; what is left out counts as an empty list.
fn pick(value: &Value, names: &[&str]) -> Value {
    let member = |name: &&str| {
        let member = value.get(*name).cloned();
        ((*name).to_owned(), member.unwrap_or_else(|| if *name == "groups" { json!([]) } else { Value::Null }))
    };
    Value::Object(names.iter().map(member).collect::<Map<_, _>>())
}

fn no_changes(told: &Value) -> bool {
    let empty = |list: &str| told["changes"][list].as_array().is_none_or(Vec::is_empty);
    told["changes"]["full"] != true && ["bins", "keys", "accesses", "people", "removed"].iter().all(|list| empty(list))
}

pub fn outcomes_of(told: &Value) -> Vec<String> {
    let outcome = |receipt: &Value| match receipt["reason"].as_str() {
        Some(reason) => format!("{} {reason}", receipt["outcome"].as_str().unwrap()),
        None => string(receipt, "outcome"),
    };
    told["receipts"].as_array().into_iter().flatten().map(outcome).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
