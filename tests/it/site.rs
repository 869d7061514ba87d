//! What tests make on a server: an organisation with people, boxes, keys and accesses.

use crate::{
    rig::{Client, Rig, eventually, string},
    smart_box::TestBox,
};
use serde_json::{Value, json};

pub struct Org {
    /// Holds the organisation's first token.
    pub client: Client,
    pub id: String,
    pub owner: String,
    pub token: String,
}

impl Rig {
    pub fn org(&self) -> Org {
        self.org_with("premium")
    }

    pub fn org_with(&self, plan: &str) -> Org {
        let made = self.operator().post("/organisations", &organisation(plan)).is(201);
        let token = string(&made, "token");
        Org {
            client: self.client(Some(&token)),
            id: string(&made, "organisation"),
            owner: string(&made, "owner"),
            token,
        }
    }
}

pub fn organisation(plan: &str) -> Value {
    json!({
        "name": "Rossi Auto", "plan": plan, "language": "it", "zone": "Europe/Rome",
        "owner": {"name": "Anna Rossi", "email": "anna@rossi.example"},
    })
}

impl Org {
    pub fn person(&self, name: &str) -> String {
        string(&self.client.post("/people", &json!({"name": name})).is(201), "person")
    }

    pub fn person_with(&self, body: &Value) -> String {
        string(&self.client.post("/people", body).is(201), "person")
    }

    /// Of keys.
    pub fn group(&self, name: &str) -> String {
        string(&self.client.post("/groups", &json!({"name": name})).is(201), "group")
    }

    /// A box with bins `A-1` to `A-<bins>`.
    pub fn smart_box(&self, model: &str, bins: usize) -> String {
        let bins: Vec<_> = (1..=bins).map(|bin| format!("A-{bin}")).collect();
        let body = json!({"name": "Porter's lodge", "model": model, "zone": "Europe/Rome", "bins": bins});
        string(&self.client.post("/boxes", &body).is(201), "box")
    }

    /// A box, enrolled and in sync.
    pub fn ready_box(&self, bins: usize) -> TestBox {
        let mut smart_box = self.enrolled(&self.smart_box("MS5", bins));
        smart_box.sync_until_quiet();
        smart_box
    }

    pub fn code(&self, smart_box: &str) -> String {
        string(&self.client.post(&format!("/boxes/{smart_box}/enrolment"), &json!({})).is(201), "code")
    }

    pub fn enrolled(&self, smart_box: &str) -> TestBox {
        TestBox::enrol(&self.client, &self.code(smart_box))
    }

    /// A key, in a bin if one is named.
    pub fn key(&self, smart_box: &str, fob: &str, bin: Option<&str>) -> String {
        self.key_with(smart_box, &json!({"name": format!("Key {fob}"), "fob": fob, "bin": bin}))
    }

    pub fn roaming_key(&self, smart_box: &str, fob: &str, bin: Option<&str>) -> String {
        self.key_with(smart_box, &json!({"name": format!("Key {fob}"), "fob": fob, "bin": bin, "roaming": true}))
    }

    pub fn key_with(&self, smart_box: &str, body: &Value) -> String {
        string(&self.client.post(&format!("/boxes/{smart_box}/keys"), body).is(201), "key")
    }

    /// Lets a person take everything of this box.
    pub fn access(&self, smart_box: &str, person: &str) -> String {
        self.access_with(smart_box, &json!({"person": person, "box": true}))
    }

    pub fn access_with(&self, smart_box: &str, body: &Value) -> String {
        string(&self.client.post(&format!("/boxes/{smart_box}/accesses"), body).is(201), "access")
    }

    /// A box asks people for their credentials by a message when it is enrolled: it has them some time later.
    pub fn credentials_reach(&self, smart_box: &str) {
        let told = format!("/audit?type=boxes.credentials&entity={smart_box}");
        eventually("the box has the person's credentials", || !self.client.all(&told, 5).is_empty());
    }

    pub fn show(&self, smart_box: &str) -> Value {
        self.client.get(&format!("/boxes/{smart_box}")).is(200)
    }

    pub fn inventory(&self, smart_box: &str) -> Value {
        self.client.get(&format!("/boxes/{smart_box}/inventory")).is(200)
    }

    /// A bin as the server believes it.
    pub fn bin(&self, smart_box: &str, bin: &str) -> Value {
        let inventory = self.inventory(smart_box);
        let bins = inventory["bins"].as_array().unwrap();
        bins.iter().find(|known| known["bin"] == bin).unwrap_or_else(|| panic!("no bin {bin}: {inventory}")).clone()
    }

    /// Where the server believes a key is, if its record lives in this box.
    pub fn place(&self, smart_box: &str, key: &str) -> Option<Value> {
        let inventory = self.inventory(smart_box);
        let keys = inventory["keys"].as_array().unwrap();
        keys.iter().find(|known| known["key"] == key).map(|known| known["place"].clone())
    }

    /// Newest first.
    pub fn history(&self, smart_box: &str) -> Vec<Value> {
        self.client.all(&format!("/boxes/{smart_box}/history"), 200)
    }

    /// With what was ignored or rejected.
    pub fn whole_history(&self, smart_box: &str) -> Vec<Value> {
        self.client.all(&format!("/boxes/{smart_box}/history?all=true"), 200)
    }

    pub fn conflicts(&self) -> Vec<Value> {
        self.conflicts_by(200)
    }

    pub fn conflicts_by(&self, limit: usize) -> Vec<Value> {
        self.client.all("/conflicts", limit)
    }
}
