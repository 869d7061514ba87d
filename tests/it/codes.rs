//! What a box decides with no network, told by a real server: the box's own side against it. A box syncs, goes offline
//! (nobody asks the server), decides, and its journal is taken afterwards.

use crate::{
    rig::{Answer, Rig, string},
    site::Org,
};
use castellan_load::{
    Chance, VirtualBox,
    vbox::{self, Attempt, Refusal, Storage},
    wire::Enrolment,
};
use serde_json::{Value, json};
use std::time::Duration;

fn now_ms() -> u64 {
    crate::smart_box::now_ms()
}

pub struct Cabinet {
    pub vbox: VirtualBox,
    pub client: crate::rig::Client,
}

impl Cabinet {
    /// A box `A-1`, `A-2`, … with what is really in the bins, enrolled and in sync.
    pub fn new(rig: &Rig, org: &Org, id: &str, bins: &[(&str, Option<&str>)], storage: Storage) -> Self {
        let told = rig.nobody().post("/box/v1/enrol", &json!({"code": org.code(id)})).is(201);
        let identity: Enrolment = serde_json::from_value(told).unwrap();
        let client = rig.nobody().with_token(&identity.token);
        let bins = bins.iter().map(|(bin, fob)| ((*bin).to_owned(), fob.map(str::to_owned)));
        let vbox = VirtualBox::new(identity, bins, storage, Chance::seeded(1)).unwrap();
        let mut cabinet = Self { vbox, client };
        cabinet.sync();
        cabinet
    }

    /// Outcomes of the entries that were receipted, with their reasons.
    pub fn sync(&mut self) -> Vec<String> {
        let body: Value = serde_json::from_slice(&self.vbox.sync_body(now_ms())).unwrap();
        let told = self.client.post("/box/v1/sync", &body).is(200);
        let answer = serde_json::from_value(told).unwrap();
        let applied = self.vbox.apply(answer).unwrap().unwrap();
        let outcome = |receipt: &castellan_load::wire::Receipt| match &receipt.reason {
            Some(reason) => format!("{} {reason}", receipt.outcome.name()),
            None => receipt.outcome.name().to_owned(),
        };
        applied.receipts.iter().map(|(_, receipt)| outcome(receipt)).collect()
    }

    /// Syncs until the server has told everything that is on its way between its entities.
    pub fn sync_until(&mut self, holds: impl Fn(&VirtualBox) -> bool) {
        crate::rig::eventually("the box is told", || {
            self.sync();
            holds(&self.vbox)
        });
    }

    pub fn types(&mut self, digits: &str, fob: Option<&str>) -> Result<String, Refusal> {
        opened(self.vbox.type_digits(digits, fob, None, now_ms()).unwrap())
    }

    pub fn shows(&mut self, text: &str, fob: Option<&str>) -> Result<String, Refusal> {
        opened(self.vbox.show_qr(text, fob, None, now_ms()).unwrap())
    }
}

pub fn opened(attempt: Attempt) -> Result<String, Refusal> {
    match attempt {
        Attempt::Done(exchange) => Ok(exchange.bin),
        Attempt::Opened(bins) => Ok(bins.join(" ")),
        Attempt::Refused(refusal) => Err(refusal),
        Attempt::NothingInside(bin) => panic!("nothing in {bin}"),
    }
}

fn by_of(org: &Org, id: &str) -> Vec<String> {
    org.history(id).iter().rev().filter_map(|line| line["by"].as_str().map(str::to_owned)).collect()
}

pub fn put_code(org: &Org, id: &str, key: &str, code: &str) -> Answer {
    let body = json!({"code": code}).to_string();
    org.client.send("PUT", &format!("/boxes/{id}/keys/{key}/code"), &[], Some(body.as_bytes()))
}

pub fn pass(org: &Org, id: &str, access: &str) -> Value {
    org.client.post(&format!("/boxes/{id}/accesses/{access}/passes"), &json!({})).is(201)
}

/// Case 6.
#[test]
fn one_booking_code_at_two_offline_boxes_opens_as_far_as_each_fits() {
    let rig = Rig::start();
    let org = rig.org();
    let (a, b) = (org.smart_box("MS5", 2), org.smart_box("MS5", 2));
    let (van, _car) = (org.key(&a, "F1", Some("A-1")), org.key(&b, "F2", Some("A-1")));
    let person = org.person("Anna");
    let access = org.access_with(&a, &json!({"person": person, "key": van}));
    let over = org.access_with(&b, &json!({"person": person, "box": true, "until": "2026-01-01T00:00:00Z"}));
    let made = org.client.post(&format!("/boxes/{a}/accesses/{access}/booking"), &json!({})).is(201);
    let code = string(&made, "code");
    org.client.post(&format!("/boxes/{b}/accesses/{over}/booking"), &json!({"code": code})).is(201);
    let mut first = Cabinet::new(&rig, &org, &a, &[("A-1", Some("F1")), ("A-2", None)], Storage::Memory);
    let mut second = Cabinet::new(&rig, &org, &b, &[("A-1", Some("F2")), ("A-2", None)], Storage::Memory);
    first.sync_until(|vbox| !vbox.state().bookings.is_empty());
    second.sync_until(|vbox| !vbox.state().bookings.is_empty());
    assert_eq!(first.types(&code, Some("F1")), Ok("A-1".into()));
    assert_eq!(second.types(&code, Some("F2")), Err(Refusal::Expired), "as far as it fits");
    assert_eq!(first.sync(), ["applied"]);
    assert_eq!(by_of(&org, &a), ["booking_code"]);
    org.client.delete(&format!("/boxes/{a}/accesses/{access}")).is(200);
    first.sync_until(|vbox| vbox.state().bookings.is_empty());
    assert_eq!(first.types(&code, Some("F1")), Err(Refusal::UnknownCode));
    assert!(!rig.log_text().contains(&code));
}

#[test]
fn no_digits_mean_two_things() {
    let rig = Rig::start();
    let org = rig.org();
    let id = org.smart_box("MS5", 1);
    let key = org.key(&id, "F1", None);
    let anna = org.person_with(&json!({"name": "Anna", "access_code": "482913"}));
    let ben = org.person("Ben");
    let access = org.access(&id, &ben);
    let code_of_key = |code: &str| put_code(&org, &id, &key, code);
    code_of_key("482913").problem(409, "codes.taken");
    code_of_key("123").problem(400, "request.invalid");
    code_of_key("739104").is(200);
    let book = |code: &str| org.client.post(&format!("/boxes/{id}/accesses/{access}/booking"), &json!({"code": code}));
    book("739104").problem(409, "codes.taken");
    book("482913").problem(409, "codes.taken");
    book("555777").is(201);
    let wants = |code: &str| org.client.patch(&format!("/people/{anna}"), &json!({"access_code": code}));
    wants("555777").problem(409, "people.access_code_taken");
    wants("739104").problem(409, "people.access_code_taken");
    let own = org.client.patch(&format!("/people/{ben}"), &json!({"access_code": "555777"}));
    own.problem(409, "codes.taken");
    code_of_key("739105").is(200);
    wants("739104").is(200);
    org.client.delete(&format!("/boxes/{id}/accesses/{access}/booking")).is(200);
    wants("555777").is(200);
    code_of_key("739104").is(200);
}

/// Neither while it has the sheet's box itself for a key's code, nor after.
#[test]
fn what_stands_on_a_sheet_becomes_nobodys() {
    let rig = Rig::start();
    let org = rig.org();
    let smart_box = org.ready_box(1);
    let key = org.key(&smart_box.id, "F1", None);
    let path = format!("/boxes/{}/offline-codes", smart_box.id);
    let sheet = org.client.post(&path, &json!({"count": 2})).is(200);
    let code = codes_of(&sheet, None)[1];
    put_code(&org, &smart_box.id, &key, code).problem(409, "codes.taken");
    org.client.delete(&format!("/boxes/{}/keys/{key}/code", smart_box.id)).is(200);
    let wants = json!({"name": "Anna", "access_code": code});
    org.client.post("/people", &wants).problem(409, "people.access_code_taken");
    org.client.post(&path, &json!({"count": 2})).is(200);
}

/// Case 11.
#[test]
fn a_key_code_opens_at_an_offline_box_only_if_the_organisation_wants_it() {
    let rig = Rig::start();
    let org = rig.org();
    let id = org.smart_box("MS5", 2);
    let key = org.key(&id, "F1", Some("A-1"));
    put_code(&org, &id, &key, "4711").is(200);
    let mut cabinet = Cabinet::new(&rig, &org, &id, &[("A-1", Some("F1")), ("A-2", None)], Storage::Memory);
    assert_eq!(cabinet.types("4711", None), Err(Refusal::UnknownCode));
    org.client.patch("/offline/settings", &json!({"key_codes": true})).is(200);
    cabinet.sync_until(|vbox| vbox.state().key_codes.values().any(|known| known.code.is_some()));
    assert_eq!(cabinet.types("4711", None), Ok("A-1".into()));
    assert_eq!(cabinet.sync(), ["applied"]);
    assert_eq!(by_of(&org, &id), ["key_code"]);
    org.client.patch("/offline/settings", &json!({"key_codes": false})).is(200);
    cabinet.sync_until(|vbox| vbox.state().key_codes.is_empty());
}

pub fn codes_of<'a>(sheet: &'a Value, bin: Option<&str>) -> Vec<&'a str> {
    let lists = sheet["lists"].as_array().unwrap();
    let list = lists.iter().find(|list| list["bin"].as_str() == bin).unwrap();
    list["codes"].as_array().unwrap().iter().map(|code| code["code"].as_str().unwrap()).collect()
}

/// Case 10.
#[test]
fn offline_codes_open_once_and_wrong_ones_close_the_keypad_over_a_reboot() {
    let rig = Rig::start();
    let org = rig.org();
    let id = org.smart_box("MS5", 2);
    let folder = tempfile::tempdir().unwrap();
    org.client.post(&format!("/boxes/{id}/offline-codes"), &json!({})).problem(409, "boxes.not_enrolled");
    let bins = [("A-1", Some("F1")), ("A-2", None)];
    let mut cabinet = Cabinet::new(&rig, &org, &id, &bins, Storage::folder(folder.path()));
    assert_eq!(org.show(&id)["unprepared"], true);
    let sheet = org.client.post(&format!("/boxes/{id}/offline-codes"), &json!({"count": 20})).is(200);
    assert_eq!(org.show(&id)["unprepared"], false);
    let (one, whole) = (codes_of(&sheet, Some("A-1")), codes_of(&sheet, None));
    assert_eq!(cabinet.types(one[1], None), Ok("A-1".into()), "one may be left out");
    for wrong in [one[1], one[0], one[15]] {
        assert_eq!(cabinet.types(wrong, None), Err(Refusal::UnknownCode), "twice, behind, far ahead");
    }
    assert_eq!(cabinet.types(whole[0], None), Ok("A-1 A-2".into()));
    assert_eq!(cabinet.sync(), ["applied", "applied"]);
    assert_eq!(by_of(&org, &id), ["offline_code", "offline_code"]);
    assert_eq!(
        (org.bin(&id, "A-1")["confirmed"].clone(), org.bin(&id, "A-2")["confirmed"].clone()),
        (false.into(), false.into())
    );
    org.client.post(&format!("/boxes/{id}/bins/A-1/confirmation"), &json!({})).is(200);
    assert_eq!(org.bin(&id, "A-1")["confirmed"], true);
    let next = org.client.post(&format!("/boxes/{id}/offline-codes"), &json!({"count": 2})).is(200);
    assert_eq!(codes_of(&next, Some("A-1")), one[2..4], "used ones are not printed again");
    let renewed = org.client.post(&format!("/boxes/{id}/offline-codes"), &json!({"renew": true})).is(200);
    assert_eq!(cabinet.types(one[2], None), Ok("A-1".into()), "the box has not heard of the new sheet");
    assert_eq!(cabinet.sync(), ["flagged code_reused"]);
    for old in [one[3], one[4], one[5], one[6]] {
        assert_eq!(cabinet.types(old, None), Err(Refusal::UnknownCode), "the old sheet is dead");
    }
    assert_eq!(cabinet.types("00000000", None), Err(Refusal::UnknownCode));
    let right = codes_of(&renewed, Some("A-2"))[0];
    assert_eq!(cabinet.types(right, None), Err(Refusal::Throttled));
    let identity = cabinet.vbox.identity.clone();
    drop(cabinet.vbox);
    let mut again = VirtualBox::new(identity, [], Storage::folder(folder.path()), Chance::seeded(2)).unwrap();
    assert_eq!(
        opened(again.type_digits(right, None, None, now_ms()).unwrap()),
        Err(Refusal::Throttled),
        "over a reboot"
    );
    let later = now_ms() + 61_000;
    assert_eq!(opened(again.type_digits(right, None, None, later).unwrap()), Ok("A-2".into()));
    let identity = again.identity.clone();
    drop(again);
    let mut again = VirtualBox::new(identity, [], Storage::folder(folder.path()), Chance::seeded(3)).unwrap();
    assert_eq!(opened(again.type_digits(right, None, None, later).unwrap()), Err(Refusal::UnknownCode), "used is used");
    let path = format!("/boxes/{id}/offline-codes");
    let page = org.client.send("POST", &path, &[("accept", "text/html")], Some(b"{}")).told();
    assert!(page.contains("<h2>A-2</h2>") && page.contains("offline codes, sheet 1"), "{page}");
    assert!(!rig.log_text().contains(right));
}

/// Case 2, and what a pass is for.
#[test]
fn what_is_granted_after_the_box_went_offline_opens_by_pass_once() {
    let rig = Rig::start();
    let org = rig.org();
    let (id, elsewhere) = (org.smart_box("MS5", 2), org.smart_box("MS5", 2));
    let van = org.key(&id, "F1", Some("A-1"));
    org.key(&id, "F2", Some("A-2"));
    let other_van = org.key(&elsewhere, "F3", Some("A-1"));
    let folder = tempfile::tempdir().unwrap();
    let bins = [("A-1", Some("F1")), ("A-2", Some("F2"))];
    let mut cabinet = Cabinet::new(&rig, &org, &id, &bins, Storage::folder(folder.path()));
    // From here on the box hears nothing.
    let anna = org.person_with(&json!({"name": "Anna", "access_code": "482913"}));
    let access = org.access_with(&id, &json!({"person": anna, "key": van}));
    assert_eq!(cabinet.types("482913", Some("F1")), Err(Refusal::UnknownCode), "granted too late");
    let signed = pass(&org, &id, &access);
    let text = string(&signed, "text");
    let foreign = org.access_with(&elsewhere, &json!({"person": anna, "key": other_van}));
    let foreign = string(&pass(&org, &elsewhere, &foreign), "text");
    assert_eq!(cabinet.shows(&foreign, Some("F1")), Err(Refusal::NotPermitted), "another box");
    let stranger = rig.org();
    let there = stranger.smart_box("MS5", 1);
    let their_access = stranger.access(&there, &stranger.person("Eve"));
    let theirs = string(&pass(&stranger, &there, &their_access), "text");
    assert_eq!(cabinet.shows(&theirs, Some("F1")), Err(Refusal::NotSigned), "another organisation");
    let mut forged = text.clone().into_bytes();
    forged[60] = if forged[60] == b'A' { b'B' } else { b'A' };
    assert_eq!(cabinet.shows(&String::from_utf8(forged).unwrap(), None), Err(Refusal::NotSigned));
    let late = cabinet.vbox.show_qr(&text, None, None, now_ms() + 13 * 3_600_000).unwrap();
    assert_eq!(opened(late), Err(Refusal::Expired));
    let early = cabinet.vbox.show_qr(&text, None, None, now_ms() - 3_600_000).unwrap();
    assert_eq!(opened(early), Err(Refusal::NotYetValid));
    // The access is withdrawn: the pass holds until its end, not longer.
    let second = string(&pass(&org, &id, &access), "text");
    assert_eq!(cabinet.shows(&text, Some("F2")), Ok("A-1".into()), "the key that it names, whatever is asked for");
    cabinet.vbox.put_by_hand("A-1", Some("F1"));
    cabinet.vbox.drop_off(None, "F9", now_ms()).unwrap();
    assert_eq!(cabinet.shows(&text, None), Err(Refusal::PassUsed), "photographed");
    let identity = cabinet.vbox.identity.clone();
    cabinet.vbox = VirtualBox::new(
        identity,
        [("A-1".into(), Some("F1".into()))],
        Storage::folder(folder.path()),
        Chance::seeded(2),
    )
    .unwrap();
    assert_eq!(cabinet.shows(&text, None), Err(Refusal::PassUsed), "over a reboot");
    // To the server an entry is younger by what it was under way: on a slow machine more than a moment.
    std::thread::sleep(Duration::from_secs(2));
    org.client.delete(&format!("/boxes/{id}/accesses/{access}")).is(200);
    assert_eq!(cabinet.shows(&second, None), Err(Refusal::KeyNotHere));
    assert_eq!(cabinet.sync(), ["applied"]);
    assert_eq!(by_of(&org, &id), ["pass"]);
    let line = &org.history(&id)[0];
    assert_eq!((&line["pass"], &line["person"]), (&signed["pass"], &json!(anna)));
}

#[test]
fn a_pass_that_is_over_still_brings_its_key_back() {
    let rig = Rig::start();
    let org = rig.org();
    let id = org.smart_box("MS5", 2);
    let van = org.key(&id, "F1", Some("A-1"));
    let mut cabinet = Cabinet::new(&rig, &org, &id, &[("A-1", Some("F1")), ("A-2", None)], Storage::Memory);
    let anna = org.person("Anna");
    let access = org.access_with(&id, &json!({"person": anna, "key": van}));
    let text = string(&pass(&org, &id, &access), "text");
    assert_eq!(cabinet.shows(&text, None), Ok("A-1".into()));
    let back = cabinet.vbox.leave(Some(vbox::Shown::Qr(&text)), "F1", now_ms() + 13 * 3_600_000).unwrap();
    assert_eq!(opened(back), Ok("A-1".into()), "over, and used");
    let again = cabinet.vbox.show_qr(&text, None, None, now_ms() + 13 * 3_600_000).unwrap();
    assert_eq!(opened(again), Err(Refusal::Expired), "it opens for nobody any more");
    assert_eq!(cabinet.sync(), ["applied", "applied"]);
    assert_eq!(by_of(&org, &id), ["pass", "pass"]);
    assert_eq!(org.history(&id)[0]["person"], json!(anna));
}

#[test]
fn a_personal_qr_code_is_judged_by_what_the_box_knows() {
    let rig = Rig::start();
    let org = rig.org();
    let id = org.smart_box("MS5", 2);
    let (van, _) = (org.key(&id, "F1", Some("A-1")), org.key(&id, "F2", Some("A-2")));
    let anna = org.person("Anna");
    org.access_with(&id, &json!({"person": anna, "key": van}));
    let mut cabinet = Cabinet::new(&rig, &org, &id, &[("A-1", Some("F1")), ("A-2", Some("F2"))], Storage::Memory);
    let text = string(&org.client.post(&format!("/people/{anna}/qr"), &json!({"hours": 1})).is(200), "text");
    assert_eq!(cabinet.shows(&text, Some("F2")), Err(Refusal::NotPermitted));
    assert_eq!(cabinet.shows(&text, Some("F1")), Ok("A-1".into()));
    assert_eq!((cabinet.sync(), by_of(&org, &id)), (vec!["applied".to_owned()], vec!["personal_qr".to_owned()]));
}

#[test]
fn a_new_key_is_told_before_it_signs_and_a_stolen_one_holds_no_longer() {
    let rig = Rig::start();
    let org = rig.org();
    let id = org.smart_box("MS5", 2);
    org.key(&id, "F1", Some("A-1"));
    let anna = org.person("Anna");
    let access = org.access(&id, &anna);
    let mut cabinet = Cabinet::new(&rig, &org, &id, &[("A-1", Some("F1")), ("A-2", None)], Storage::Memory);
    let old = string(&pass(&org, &id, &access), "text");
    org.client.post("/offline/public-keys", &json!({})).is(200);
    cabinet.sync_until(|vbox| vbox.state().public_keys.len() == 2);
    assert_eq!(org.client.get("/offline/settings").is(200)["public_keys"][1]["number"], 2);
    org.client.post("/offline/public-keys", &json!({"at_once": true})).is(200);
    cabinet.sync_until(|vbox| vbox.state().public_keys.iter().any(|key| key.number == 3));
    assert_eq!(cabinet.shows(&old, Some("F1")), Err(Refusal::NotSigned));
    let new = string(&pass(&org, &id, &access), "text");
    assert_eq!(cabinet.shows(&new, Some("F1")), Ok("A-1".into()));
}
