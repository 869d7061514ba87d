//! Mails, through a real mail server that fails as it is told: each at least once, in order for each recipient, under
//! one name however often it is sent, and never silently lost.

use crate::{
    catcher::{Catcher, header},
    rig::{Rig, eventually, run, string, text},
    site::{Org, organisation},
    smart_box::TestBox,
};
use serde_json::{Value, json};

/// An organisation with an owner of its own.
fn org_of(rig: &Rig, email: &str, language: &str) -> Org {
    let mut body = organisation("premium");
    body["owner"]["email"] = email.into();
    body["language"] = language.into();
    let made = rig.operator().post("/organisations", &body).is(201);
    let token = string(&made, "token");
    Org { client: rig.client(Some(&token)), id: string(&made, "organisation"), owner: string(&made, "owner"), token }
}

/// A box whose key is in bin `A-1`: a pick-up from anywhere else is a conflict.
fn box_with_key(org: &Org) -> TestBox {
    let smart_box = org.smart_box("MS5", 4);
    org.key_with(&smart_box, &json!({"name": "Fuchs & <Söhne>", "fob": "04A2F1", "bin": "A-1"}));
    let mut smart_box = org.enrolled(&smart_box);
    smart_box.sync_until_quiet();
    smart_box
}

/// One sync with one conflict.
#[track_caller]
fn conflict(smart_box: &mut TestBox) {
    smart_box.pick_up("A-2", "04A2F1", None);
    assert_eq!(smart_box.outcomes(), ["ignored key_not_in_bin"]);
}

fn dead(org: &Org) -> Vec<Value> {
    org.client.all("/mails/dead", 200)
}

fn ids(mails: &[Value]) -> Vec<String> {
    mails.iter().map(|mail| string(mail, "message_id")).collect()
}

#[test]
fn one_mail_per_sync_with_all_its_conflicts() {
    let catcher = Catcher::start();
    let rig = Rig::with_mail(&catcher);
    let org = org_of(&rig, "anna@rossi.example", "it");
    let mut smart_box = box_with_key(&org);
    let (joerg, carla) = (org.person("Jörg Müßig <b>Ösi</b>"), org.person("Carla Bruni"));
    smart_box.pick_up("A-2", "04A2F1", Some(&joerg));
    smart_box.pick_up("A-3", "04A2F1", Some(&carla));
    smart_box.drop_off("Z-9", "04A2F1", None);
    smart_box.pick_up("A-4", "04A2F1", Some(&joerg));
    // The mail names people as they are when it is sent.
    catcher.faults(json!([{"at": "mail", "answer": "451 4.3.0 later"}]));
    let outcomes = smart_box.outcomes();
    assert!(outcomes.iter().filter(|outcome| !outcome.starts_with("applied")).count() == 4, "{outcomes:?}");
    org.client.delete(&format!("/people/{carla}")).ok();
    // The try that was under way had her name; the one after the next has not.
    let tries = || rig.metric("castellan_mail_retries_total{reason=\"deferred\"}");
    let until = tries() + 2.0;
    eventually("it was tried again", || tries() >= until);
    catcher.no_faults();
    let [mail] = &catcher.wait_for(1)[..] else { panic!() };
    smart_box.sync();
    assert_eq!(mail["to"], json!(["anna@rossi.example"]));
    assert_eq!(mail["from"], "castellan@castle.example");
    assert_eq!(mail["encrypted"], true);
    assert_eq!(mail["subject"], "Porter's lodge: 4 conflitti da risolvere");
    assert_eq!(header(mail, "Auto-Submitted"), Some("auto-generated"));
    assert_eq!(header(mail, "Content-Language"), Some("it"));
    assert_eq!(header(mail, "To"), Some("Anna Rossi <anna@rossi.example>"));
    assert!(header(mail, "Date").is_some());
    assert!(string(mail, "message_id").ends_with("@castle.example>"), "{mail}");
    let (plain, html) = (string(mail, "text"), string(mail, "html"));
    for part in [
        "Gentile Anna Rossi",
        "Vano: A-2",
        "Vano: A-4",
        "Vano: Z-9",
        "Fuchs & <Söhne> (portachiavi 04A2F1)",
        "Persona: Jörg Müßig <b>Ösi</b>",
        "Persona: persona cancellata",
        "Persona: sconosciuta",
        "prelevata",
        "la chiave si trova nel vano A-1",
        "(Europe/Rome)",
        "Aprire tutti i vani",
    ] {
        assert!(plain.contains(part), "`{part}` is missing in:\n{plain}");
    }
    assert!(!plain.contains("Carla"), "{plain}");
    assert!(html.contains("Jörg Müßig &lt;b&gt;Ösi&lt;&#x2f;b&gt;"), "{html}");
    assert!(html.contains("Fuchs &amp; &lt;Söhne&gt;") && !html.contains("<b>Ösi"), "{html}");
    assert!(html.contains("persona cancellata") && html.contains("<html lang=\"it\">"), "{html}");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(catcher.mails().len(), 1, "a sync without conflicts sends nothing");
    assert!(!rig.log_text().contains("rossi.example"), "no address in the log");
}

#[test]
fn three_languages() {
    let catcher = Catcher::implicit_tls();
    let rig = Rig::with_mail(&catcher);
    let cases = [
        ("it", "Porter's lodge: 1 conflitto da risolvere", "Chiave: Fuchs & <Söhne> (portachiavi 04A2F1)"),
        ("de", "Porter's lodge: 1 Konflikt zu klären", "Schlüssel: Fuchs & <Söhne> (Anhänger 04A2F1)"),
        ("en", "Porter's lodge: 1 conflict to put right", "Key: Fuchs & <Söhne> (fob 04A2F1)"),
    ];
    for (language, subject, line) in cases {
        let org = org_of(&rig, "anna@rossi.example", language);
        conflict(&mut box_with_key(&org));
        let mail = catcher.wait_for(1).remove(0);
        assert_eq!((&mail["subject"], &mail["encrypted"]), (&json!(subject), &json!(true)));
        assert_eq!(header(&mail, "Content-Language"), Some(language));
        assert!(string(&mail, "text").contains(line), "{mail:#?}");
        catcher.forget();
    }
}

#[test]
fn what_was_taken_without_an_answer_comes_again_under_the_same_name() {
    let catcher = Catcher::start();
    let rig = Rig::with_mail(&catcher);
    let org = org_of(&rig, "anna@rossi.example", "en");
    let mut smart_box = box_with_key(&org);
    catcher.faults(json!([{"at": "data", "drop": true, "times": 2}]));
    conflict(&mut smart_box);
    let mails = catcher.wait_for(3);
    let names = ids(&mails);
    assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
    assert_eq!(mails[0]["text"], mails[2]["text"]);
    assert_eq!(header(&mails[0], "Date"), header(&mails[2], "Date"));
    eventually("it is counted", || rig.metric("castellan_mails_total{outcome=\"sent\"}") == 1.0);
    assert_eq!(rig.metric("castellan_mail_retries_total{reason=\"broken\"}"), 2.0);
}

#[test]
fn a_recipient_that_is_put_off_keeps_its_order_and_holds_up_nobody() {
    let catcher = Catcher::start();
    let rig = Rig::with_mail(&catcher);
    let (slow, quick) = (org_of(&rig, "slow@rossi.example", "de"), org_of(&rig, "quick@rossi.example", "en"));
    let (mut slow_box, mut quick_box) = (box_with_key(&slow), box_with_key(&quick));
    catcher.faults(json!([{"at": "rcpt", "to": "slow@rossi.example", "answer": "450 4.2.0 greylisted"}]));
    for _ in 0..6 {
        conflict(&mut slow_box);
    }
    eventually("it is tried again and again", || catcher.tried("slow@rossi.example") > 4);
    for _ in 0..3 {
        conflict(&mut quick_box);
    }
    let mails = catcher.wait_for(3);
    assert!(mails.iter().all(|mail| mail["to"] == json!(["quick@rossi.example"])), "{mails:#?}");
    catcher.no_faults();
    let mails = catcher.wait_for(9);
    let revisions = |to: &str| -> Vec<u64> {
        let of = mails.iter().filter(|mail| mail["to"] == json!([to]));
        of.map(|mail| string(mail, "message_id").split('.').nth(1).unwrap().parse().unwrap()).collect()
    };
    for (to, count) in [("slow@rossi.example", 6), ("quick@rossi.example", 3)] {
        let revisions = revisions(to);
        assert_eq!(revisions.len(), count);
        assert!(revisions.is_sorted(), "{to}: {revisions:?}");
    }
    assert!(rig.metric("castellan_mail_retries_total{reason=\"deferred\"}") > 4.0);
    assert!(dead(&slow).is_empty());
    eventually("no lane is left", || rig.metric("castellan_outbox_lanes{outbox=\"mails\"") == 0.0);
}

#[test]
fn a_mail_server_that_stalls_is_left_alone_for_that_mail_only() {
    let catcher = Catcher::start();
    let rig = Rig::with_mail(&catcher);
    let (stuck, quick) = (org_of(&rig, "stuck@rossi.example", "de"), org_of(&rig, "quick@rossi.example", "en"));
    let (mut stuck_box, mut quick_box) = (box_with_key(&stuck), box_with_key(&quick));
    catcher.faults(json!([{"at": "data", "to": "stuck@rossi.example", "stall_s": 60, "times": 1}]));
    conflict(&mut stuck_box);
    eventually("it is under way", || catcher.tried("stuck@rossi.example") == 1);
    conflict(&mut quick_box);
    let mails = catcher.wait_for(1);
    assert_eq!(mails[0]["to"], json!(["quick@rossi.example"]));
    let mails = catcher.wait_for(2);
    assert_eq!(mails[1]["to"], json!(["stuck@rossi.example"]));
    assert_eq!(rig.metric("castellan_mail_retries_total{reason=\"timeout\"}"), 1.0);
}

#[test]
fn a_dead_letter_says_why_and_can_be_sent_again_or_given_up() {
    let catcher = Catcher::start();
    let mut rig = Rig::with_mail(&catcher);
    let (org, other) = (org_of(&rig, "anna@rossi.example", "it"), org_of(&rig, "eva@rossi.example", "it"));
    let mut smart_box = box_with_key(&org);
    let refusal = "550 5.1.1 <anna@rossi.example>: no such user";
    catcher.faults(json!([{"at": "rcpt", "to": "anna@rossi.example", "answer": refusal, "times": 3}]));
    for number in 1..=3 {
        conflict(&mut smart_box);
        eventually("the letter is dead", || dead(&org).len() == number);
    }
    assert_eq!(catcher.tried("anna@rossi.example"), 3, "what is refused for good is not tried again");
    rig.kill_and_start();
    let letters = dead(&org);
    assert_eq!(letters.len(), 3);
    for (letter, seq) in letters.iter().zip([3, 2, 1]) {
        assert_eq!((&letter["reason"], &letter["code"]), (&json!("rejected"), &json!(550)), "{letter}");
        assert_eq!((&letter["template"], &letter["to"]), (&json!("box_conflicts"), &json!({"owner": true})));
        assert_eq!(letter["about"], json!({"box": smart_box.id, "conflicts": [seq], "total": 1}), "newest first");
    }
    assert!(!json!(letters).to_string().contains("rossi.example"), "no address");
    assert_eq!(org.client.all("/mails/dead", 2), letters, "by pages");
    assert!(dead(&other).is_empty());
    assert_eq!(org.client.get("/boxes").status, 200);

    let path = |letter: &Value| format!("/mails/dead/{}", string(letter, "mail"));
    other.client.post(&format!("{}/resend", path(&letters[0])), &json!({})).problem(404, "object.not_found");
    other.client.delete(&path(&letters[0])).problem(404, "object.not_found");
    let again = format!("{}/resend", path(&letters[2]));
    let first = org.client.post_once(&again, "again", &json!({})).is(200);
    assert_eq!(org.client.post_once(&again, "again", &json!({})).is(200), first);
    org.client.post(&again, &json!({})).problem(404, "object.not_found");
    let mail = catcher.wait_for(1).remove(0);
    assert_eq!(string(&mail, "message_id"), format!("<{}@castle.example>", string(&letters[2], "message_id")));
    org.client.delete(&path(&letters[1])).ok();
    org.client.delete(&path(&letters[1])).problem(404, "object.not_found");
    assert_eq!(dead(&org), letters[..1]);
    // A letter that dies again is a letter again.
    catcher.faults(json!([{"at": "data", "answer": "554 5.7.1 spam", "times": 1}]));
    org.client.post(&format!("{}/resend", path(&letters[0])), &json!({})).is(200);
    eventually("it died again", || dead(&org).first().is_some_and(|letter| letter["code"] == 554));
    assert_eq!(dead(&org)[0]["message_id"], letters[0]["message_id"]);
    assert_eq!(catcher.mails().len(), 1);
    assert!(!rig.log_text().contains("rossi.example"), "no address in the log");
}

#[test]
fn a_wrong_password_kills_no_mail() {
    let catcher = Catcher::start();
    let rig = Rig::with_mail(&catcher);
    let org = org_of(&rig, "anna@rossi.example", "it");
    let mut smart_box = box_with_key(&org);
    catcher.faults(json!([{"at": "auth", "times": 3}]));
    conflict(&mut smart_box);
    catcher.wait_for(1);
    assert!(dead(&org).is_empty());
    assert_eq!(rig.metric("castellan_mail_retries_total{reason=\"login\"}"), 3.0);
}

/// Server and catcher are killed in turn while mails are made: each arrives at least once, the first ones in order.
#[test]
fn kill_9_of_server_and_catcher_loses_no_mail() {
    let mut catcher = Catcher::start();
    let mut rig = Rig::with_mail(&catcher);
    let org = org_of(&rig, "anna@rossi.example", "it");
    let mut smart_box = box_with_key(&org);
    let mut made = 0;
    for round in 0..4 {
        // The catcher answers slowly, so that a kill finds mails under way.
        catcher.faults(json!([{"at": "data", "stall_s": 0.05}]));
        for _ in 0..5 {
            conflict(&mut smart_box);
            made += 1;
        }
        match round {
            0 => rig.kill_and_start(),
            1 => {
                catcher.kill();
                conflict(&mut smart_box);
                made += 1;
                eventually("it was missed", || {
                    rig.metric("castellan_mail_retries_total{reason=\"unreachable\"}") > 0.0
                });
                catcher.start_again();
            }
            2 => {
                catcher.kill();
                rig.kill();
                catcher.start_again();
                rig.start_again();
            }
            _ => {}
        }
    }
    catcher.no_faults();
    let distinct = |mails: &[Value]| {
        let mut seen = Vec::new();
        for id in ids(mails) {
            if !seen.contains(&id) {
                seen.push(id);
            }
        }
        seen
    };
    eventually("every mail is there", || distinct(&catcher.mails()).len() == made);
    let revision = |id: &String| id.split('.').nth(1).unwrap().parse::<u64>().unwrap();
    let order: Vec<u64> = distinct(&catcher.mails()).iter().map(revision).collect();
    assert!(order.is_sorted(), "{order:?}");
    assert!(dead(&org).is_empty());
    eventually("the outbox is empty", || rig.metric("castellan_outbox_lanes{outbox=\"mails\"") == 0.0);
}

#[test]
fn the_owner_chooses_but_hears_of_a_cloned_box_always() {
    let catcher = Catcher::start();
    let rig = Rig::with_mail(&catcher);
    let org = org_of(&rig, "anna@rossi.example", "de");
    assert_eq!(org.client.get("/mails/settings").is(200)["conflicts"], true);
    org.client.patch("/mails/settings", &json!({"conflicts": false})).ok();
    let chosen = org.client.get("/mails/settings").is(200);
    assert_eq!((&chosen["conflicts"], &chosen["guarantee"]), (&json!(false), &json!(true)));
    org.client.patch("/mails/settings", &json!({"spam": false})).problem(400, "request.malformed");
    let mut smart_box = box_with_key(&org);
    conflict(&mut smart_box);
    eventually("nobody wants it", || rig.metric("castellan_mails_total{outcome=\"unwanted\"}") == 1.0);
    // The same number with another content.
    let last = smart_box.journal.len() - 1;
    smart_box.journal[last]["bin"] = "A-3".into();
    smart_box.resume_at = smart_box.head();
    smart_box.sync();
    let mail = catcher.wait_for(1).remove(0);
    let subject = string(&mail, "subject");
    assert!(subject.contains("gesperrt") && subject.contains("womöglich kopiert"), "{subject}");
    assert!(string(&mail, "text").contains("Nummer 1 kam noch einmal mit anderem Inhalt"), "{mail:#?}");
}

#[test]
fn an_owner_without_an_address_is_told_in_the_dead_letters() {
    let catcher = Catcher::start();
    let rig = Rig::with_mail(&catcher);
    let org = org_of(&rig, "anna@rossi.example", "de");
    let mut smart_box = box_with_key(&org);
    org.client.patch(&format!("/people/{}", org.owner), &json!({"email": null})).ok();
    conflict(&mut smart_box);
    eventually("the letter is dead", || dead(&org).first().is_some_and(|letter| letter["reason"] == "no_address"));
    org.client.patch(&format!("/people/{}", org.owner), &json!({"email": "anna@bianchi.example"})).ok();
    let id = string(&dead(&org)[0], "mail");
    org.client.post(&format!("/mails/dead/{id}/resend"), &json!({})).is(200);
    assert_eq!(catcher.wait_for(1)[0]["to"], json!(["anna@bianchi.example"]));
}

#[test]
fn files_for_development() {
    let folder = tempfile::tempdir().unwrap();
    let mails = folder.path().join("mails");
    let rig = Rig::with(&[
        ("MAIL__DRIVER", "file"),
        ("MAIL__FROM", "castellan@castle.example"),
        ("MAIL__FILE_DIR", mails.to_str().unwrap()),
    ]);
    let org = org_of(&rig, "anna@rossi.example", "en");
    conflict(&mut box_with_key(&org));
    let files = || mails.read_dir().map(|files| files.count()).unwrap_or_default();
    eventually("the file is there", || files() == 1);
    let file = mails.read_dir().unwrap().next().unwrap().unwrap().path();
    assert_eq!(file.extension().unwrap(), "eml");
    let mail = std::fs::read_to_string(file).unwrap();
    assert!(mail.contains("To: \"Anna Rossi\" <anna@rossi.example>") && mail.contains("Auto-Submitted"), "{mail}");
}

#[test]
fn without_a_driver_mails_wait_and_it_is_said() {
    let catcher = Catcher::start();
    let mut rig = Rig::start();
    assert!(rig.log_text().contains("no mail leaves this server"), "{}", rig.log_text());
    let org = org_of(&rig, "anna@rossi.example", "en");
    conflict(&mut box_with_key(&org));
    eventually("it waits", || rig.metric("castellan_mail_retries_total{reason=\"no_driver\"}") > 0.0);
    rig.kill();
    for (key, value) in catcher.config() {
        rig.set(key, &value);
    }
    rig.start_again();
    catcher.wait_for(1);
}

#[test]
fn check_config_tries_the_mails() {
    let folder = tempfile::tempdir().unwrap();
    let (file, templates) = (folder.path().join("c.toml"), folder.path().join("templates"));
    std::fs::create_dir(&templates).unwrap();
    let smtp = "driver = \"smtp\"\nfrom = \"a@b.example\"\n";
    let with = |keys: &str| format!("[mail]\n{keys}templates_dir = {templates:?}\n");
    let check = || {
        let checked = run(&["check-config", "--config", file.to_str().unwrap()]);
        (checked.status.success(), text(&checked.stderr))
    };
    for (keys, told) in [
        ("driver = \"smtp\"\n", "mail.smtp_host"),
        ("driver = \"smtp\"\nsmtp_host = \"localhost\"\nfrom = \"nobody\"\n", "mail.from"),
        (&format!("{smtp}smtp_host = \"m.example\"\nsmtp_username = \"u\"\n"), "mail.smtp_password_file"),
        (
            &format!("{smtp}smtp_host = \"m.example\"\nsmtp_username = \"u\"\nsmtp_security = \"plain\"\n"),
            "mail.smtp_security",
        ),
        ("driver = \"pigeon\"\n", "pigeon"),
        ("retry_longest_ms = 1\n", "mail.retry_longest_ms"),
    ] {
        std::fs::write(&file, with(keys)).unwrap();
        let (right, said) = check();
        assert!(!right && said.contains(told), "{keys}: {said}");
    }
    std::fs::write(&file, with("")).unwrap();
    assert!(check().0);
    for (name, content, told) in [
        ("box_conflicts.it.txt", "Subject: x\n\n{{ no_such_thing }}\n", "undefined"),
        ("box_conflicts.it.txt", "no subject\n", "Subject:"),
        ("box_conflicts.de.html", "{% if %}", "syntax"),
        ("box_conflicts.fr.txt", "Subject: x\n", "replaces nothing"),
    ] {
        std::fs::write(templates.join(name), content).unwrap();
        let (right, said) = check();
        assert!(!right && said.contains(told) && said.contains(name.trim_end_matches(".txt")), "{name}: {said}");
        std::fs::remove_file(templates.join(name)).unwrap();
    }
    std::fs::write(templates.join("box_conflicts.it.txt"), "Subject: {{ box.name }}\n\nOwn words\n").unwrap();
    assert!(check().0);
}

#[test]
fn an_organisation_that_is_erased_takes_its_mails_with_it() {
    let mut rig = Rig::start();
    let (gone, left) = (org_of(&rig, "anna@rossi.example", "en"), org_of(&rig, "eva@rossi.example", "en"));
    conflict(&mut box_with_key(&gone));
    conflict(&mut box_with_key(&left));
    let lanes = |rig: &Rig| rig.metric("castellan_outbox_lanes{outbox=\"mails\"");
    eventually("both wait", || lanes(&rig) == 2.0);
    gone.client.delete(&format!("/organisations/{}", gone.id)).is(202);
    eventually("one is gone", || lanes(&rig) == 1.0);
    rig.tell_to_stop();
    assert!(rig.wait_for_end().success());
    let verified = run(&["verify", "--data", rig.data().to_str().unwrap()]);
    assert!(text(&verified.stdout).contains(" 1 mails"), "{}", text(&verified.stdout));
}
