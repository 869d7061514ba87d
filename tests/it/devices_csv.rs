//! CSV out and in again.

use crate::{
    devices::{phone, rig},
    rig::{Answer, string},
    site::Org,
};
use serde_json::{Value, json};

fn import(org: &Org, mode: &str, csv: &[u8]) -> Answer {
    org.client.send("POST", &format!("/devices/import?mode={mode}"), &[("content-type", "text/csv")], Some(csv))
}

fn results(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.told());
    answer.told().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn outcomes(answer: &Answer) -> Vec<String> {
    results(answer).iter().map(|row| row["outcome"].as_str().unwrap_or("-").to_owned()).collect()
}

/// The cells of CSV, as another reader sees them.
fn cells(csv: &[u8], separator: u8) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).delimiter(separator).from_reader(csv);
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn n12_out_and_in_again() {
    let rig = rig();
    let (org, other) = (rig.org(), rig.org());
    let odd = ["=cmd|' /C calc'!A0", "Büro \"Süd\", 1. Stock", "'quoted", "+39", "'=already", "@x;y", "007"];
    for (n, label) in odd.iter().enumerate() {
        let body = json!({"mac": format!("00041300000{n}"), "vendor": "yealink", "model": "T46S", "label": label, "site": "Città"});
        org.client.post("/devices", &body).is(201);
    }
    let done = phone(&rig, &org, "000413abcdef");
    done.provision();
    let answer = org.client.get("/devices/export");
    assert_eq!(answer.status, 200);
    let plain = cells(&answer.body, b',');
    assert_eq!(plain[0], ["vendor", "type", "mac", "created_at", "site", "state", "pap", "label"]);
    assert_eq!(plain.len(), odd.len() + 2);
    for row in &plain[1..] {
        let wanted = if row[2] == "000413abcdef" { ("successful", 0) } else { ("required", 6) };
        assert_eq!((&*row[5], row[6].len()), wanted, "{row:?}");
        assert!(!row[7].starts_with(['=', '+', '@']), "{row:?}");
    }
    let german = org.client.get("/devices/export?separator=%3B&bom=true&headers=de");
    assert!(german.body.starts_with("\u{feff}\"Hersteller\";\"Typ\";\"MAC\"".as_bytes()));
    assert!(german.told().contains("Authentifizierung erforderlich"));
    org.client.get("/devices/export?headers=fr").refused();
    // Into another organisation, by every way.
    assert!(outcomes(&import(&other, "insert", &german.body)).iter().all(|outcome| outcome == "inserted"));
    let mut labels: Vec<String> = other.client.all("/devices", 200).iter().map(|row| string(row, "label")).collect();
    let mut wanted: Vec<String> = odd.iter().map(|label| (*label).to_owned()).chain(["Reception".to_owned()]).collect();
    labels.sort();
    wanted.sort();
    assert_eq!(labels, wanted);
    assert!(outcomes(&import(&other, "insert", &answer.body)).iter().all(|outcome| outcome == "skipped"));
    let noted = org.client.get("/events?type=organisations.devices_exported").is(200);
    assert_eq!(noted["items"].as_array().unwrap().len(), 2);
    let reader = org.client.post("/tokens", &json!({"label": "r", "scopes": ["devices:read"]})).is(201);
    rig.client(reader["token"].as_str()).get("/devices/export").problem(403, "auth.forbidden");
}

#[test]
fn n13_duplicates_spellings_and_bad_rows_in_the_middle() {
    let rig = rig();
    let org = rig.org();
    let csv = "vendor,type,mac,label\r\n\
        snom,D785,00:04:13:AB:CD:EF,one\r\n\
        snom,D785,00-04-13-ab-cd-ef,two\r\n\
        snom,D785,0004.13ab.cdef,three\r\n\
        nokia,D785,000413000001,four\r\n\
        snom,D785,000413,five\r\n\
        snom,D785\r\n\
        Yealink,T46S,000413abcdef,six\r\n\
        yealink,,000413000002,\"seven\"\r\n";
    let answer = import(&org, "insert", csv.as_bytes());
    let rows = results(&answer);
    let said: Vec<_> = rows.iter().map(|row| row["outcome"].as_str().or(row["code"].as_str()).unwrap()).collect();
    let inserted = said.iter().filter(|said| **said == "inserted").count();
    assert_eq!(inserted, 2, "{said:?}");
    assert_eq!(said.iter().filter(|said| **said == "skipped").count(), 3, "{said:?}");
    assert_eq!(said[3..6], ["request.invalid", "request.invalid", "request.malformed"]);
    assert!(rows.iter().enumerate().all(|(at, row)| row["row"] == at + 1));
    assert_eq!(org.client.all("/devices", 200).len(), 2);
    let device = rows[0]["device"].as_str().unwrap().to_owned();
    let pap = string(&org.client.get(&format!("/devices/{device}/pap")).is(200), "pap");
    let replaced = import(&org, "replace", b"mac;vendor;site;pap;state\n000413abcdef;gigaset;Merano;111111;blocked\n");
    assert_eq!(outcomes(&replaced), ["replaced"]);
    let shown = org.client.get(&format!("/devices/{device}")).is(200);
    assert_eq!(
        (shown["vendor"].as_str(), shown["site"].as_str(), shown["state"].as_str()),
        (Some("gigaset"), Some("Merano"), Some("required"))
    );
    assert_eq!(org.client.get(&format!("/devices/{device}/pap")).is(200)["pap"], *pap, "its PAP stays");
    for wrong in ["?mode=odd", "?x=1"] {
        let sent = org.client.send(
            "POST",
            &format!("/devices/import{wrong}"),
            &[("content-type", "text/csv")],
            Some(b"mac\n"),
        );
        sent.refused();
    }
    import(&org, "insert", b"mac,colour\n").problem(400, "request.malformed");
}

#[test]
fn n13_ten_thousand_rows() {
    let rig = rig();
    let org = rig.org();
    let mut csv = String::from("mac,vendor,type,site\n");
    for n in 0..10_000 {
        let mac = if n == 5_000 { "rubbish".to_owned() } else { format!("0004{:08x}", 0x1300_0000 + n) };
        csv.push_str(&format!("{mac},snom,D785,Site {}\n", n % 7));
    }
    let rows = results(&import(&org, "insert", csv.as_bytes()));
    assert_eq!(rows.len(), 10_000);
    assert_eq!(rows[5_000]["code"], "request.invalid");
    assert_eq!(rows.iter().filter(|row| row["outcome"] == "inserted").count(), 9_999);
    let exported = cells(&org.client.get("/devices/export").body, b',');
    assert_eq!(exported.len(), 10_000);
    let mut paps: Vec<_> = exported[1..].iter().map(|row| row[6].clone()).collect();
    assert!(paps.iter().all(|pap| pap.len() == 6));
    paps.sort();
    paps.dedup();
    assert_eq!(paps.len(), 9_999, "every waiting device has its own");
    assert!(paps[0].starts_with('0'), "some begin with zero");
}

/// What Python's `csv` reads out of an export, and an export as it would write it, in its own spelling.
const BY_PYTHON: &str = r#"
import csv, io, json, sys
separator = sys.argv[1]
text = sys.stdin.buffer.read().decode("utf-8-sig" if separator == ";" else "utf-8")
rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
again = io.StringIO(newline="")
csv.writer(again, delimiter=separator, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
json.dump({"rows": rows, "again": again.getvalue()}, sys.stdout)
"#;

fn by_python(csv: &[u8], separator: &str) -> (Vec<Vec<String>>, String) {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };
    let mut python = Command::new("python3");
    python.args(["-c", BY_PYTHON, separator]).env("PYTHONIOENCODING", "utf-8");
    let mut python = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(csv).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    let mut read: Value = serde_json::from_slice(&output.stdout).unwrap();
    (serde_json::from_value(read["rows"].take()).unwrap(), string(&read, "again"))
}

#[test]
fn n12_ten_thousand_devices_through_python_and_back() {
    const COUNT: usize = 10_000;
    let rig = rig();
    let (org, other) = (rig.org(), rig.org());
    let odd = [
        "=cmd|' /C calc'!A0",
        "+39 0471",
        "-1",
        "@SUM(A1)",
        "'=x",
        "Büro, 1",
        "a;b",
        "sagt \"ja\"",
        "0007",
        "Ü ö ß €",
        "",
    ];
    let label = |n: usize| odd[n % odd.len()];
    let mut rows = String::new();
    for n in 0..COUNT {
        let row = json!({"mac": format!("0004130{n:05}"), "vendor": "snom", "model": "D785", "label": label(n), "site": "Città"});
        rows.push_str(&format!("{row}\n"));
    }
    let made =
        org.client.send("POST", "/devices/bulk", &[("content-type", "application/x-ndjson")], Some(rows.as_bytes()));
    assert!(
        results(&made).iter().all(|row| row["status"] == 201),
        "{}",
        made.told().lines().next().unwrap_or_default()
    );
    let comma = org.client.get("/devices/export");
    let semicolon = org.client.get("/devices/export?separator=%3B&bom=true");
    assert!(semicolon.body.starts_with("\u{feff}".as_bytes()));
    let (seen, again) = by_python(&comma.body, ",");
    let (same, again_semicolon) = by_python(&semicolon.body, ";");
    assert_eq!(seen, same);
    assert_eq!(seen, cells(&comma.body, b','));
    assert_eq!(seen.len(), COUNT + 1);
    let mut zeros = 0;
    for row in &seen[1..] {
        let n: usize = row[2].strip_prefix("0004130").unwrap().parse().unwrap();
        assert!(!row.iter().any(|cell| cell.starts_with(['=', '+', '-', '@', '\t'])), "{row:?}");
        assert!(row[6].len() == 6 && row[6].bytes().all(|byte| byte.is_ascii_digit()), "{row:?}");
        assert!(row[7] == label(n) || row[7] == format!("'{}", label(n)), "{row:?}");
        zeros += usize::from(row[6].starts_with('0'));
    }
    assert!(zeros > 0, "some PAPs begin with zero");
    // A PAP as it stands there is the one that is taken.
    let known = seen[1..].iter().find(|row| row[6].starts_with('0')).unwrap();
    let entered = json!({"mac": known[2], "pap": known[6]});
    assert_eq!(org.client.post("/devices/authenticate", &entered).is(200)["outcome"], "accepted");
    // Back: into an organisation that has none, and over those that are there.
    let inserted = outcomes(&import(&other, "insert", again.as_bytes()));
    assert!(inserted.len() == COUNT && inserted.iter().all(|outcome| outcome == "inserted"));
    let replaced = outcomes(&import(&org, "replace", again_semicolon.as_bytes()));
    assert!(replaced.len() == COUNT && replaced.iter().all(|outcome| outcome == "replaced"));
    for org in [&org, &other] {
        let devices = org.client.all("/devices", 200);
        assert_eq!(devices.len(), COUNT);
        for device in devices {
            let n: usize = device["mac"].as_str().unwrap().strip_prefix("0004130").unwrap().parse().unwrap();
            assert_eq!((device["label"].as_str(), device["site"].as_str()), (Some(label(n)), Some("Città")));
        }
    }
    let now = by_python(&org.client.get("/devices/export").body, ",").0;
    let paps = |rows: &[Vec<String>]| {
        rows[1..].iter().map(|row| (row[2].clone(), row[6].clone())).collect::<std::collections::BTreeMap<_, _>>()
    };
    assert_eq!(paps(&now), paps(&seen), "PAPs stay");
}
