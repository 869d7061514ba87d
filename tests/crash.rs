//! The server killed with -9 again and again, lost and restored from a backup, and a storm, all small: `castellan-load` drives the real binary, keeps
//! its own ledger outside the process, and fails when what it verifies does not hold.

#![allow(clippy::unwrap_used)]

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

/// When the newest file of a folder was written.
fn newest(folder: &Path) -> SystemTime {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let written = entries.map(|entry| match entry.file_type().unwrap().is_dir() {
        true => newest(&entry.path()),
        false => entry.metadata().unwrap().modified().unwrap(),
    });
    written.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// `castellan-load` beside the server. The tests of its own package have it built; where they were not run it is built
/// here, alone, and what it needs is compiled once more with other features.
fn castellan_load() -> PathBuf {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_castellan")).with_file_name("castellan-load");
    let sources = newest(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/loadtest/src")));
    if program.metadata().and_then(|program| program.modified()).is_ok_and(|built| built >= sources) {
        return program;
    }
    let words = ["build", "--quiet", "--locked", "--package", "castellan-load"];
    let built = Command::new(env!("CARGO")).args(words).status();
    assert!(built.is_ok_and(|status| status.success()), "castellan-load does not build");
    program
}

/// Runs a scenario on a server of its own; gives back its report.
fn run(scenario: &str, arguments: &[&str]) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let output = Command::new(castellan_load())
        .arg(scenario)
        .args(arguments)
        .arg("--json")
        .arg(&report)
        .args(["--server-bin", env!("CARGO_BIN_EXE_castellan")])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap()
}

#[test]
fn killed_six_times_it_keeps_what_it_acknowledged_and_counts_nothing_twice() {
    let report = run("crash", &["--boxes", "20", "--kills", "6", "--seed", "7"]);
    assert_eq!((&report["acknowledged_lost"], &report["doubled"]), (&0.into(), &0.into()), "{report}");
    assert!(report["entries"].as_u64() > Some(0), "{report}");
}

#[test]
fn everybody_comes_back_at_once() {
    let report = run("storm", &["--boxes", "60", "--entries", "5", "--seed", "7"]);
    assert_eq!((&report["errors"], &report["past_guarantee"]), (&0.into(), &0.into()), "{report}");
    assert_eq!(report["boxes"], 60, "{report}");
}

#[test]
fn lost_and_restored_from_a_backup_it_gets_again_what_the_boxes_still_have() {
    let seconds = ["--seconds-before", "2", "--seconds-after", "2", "--seconds-back", "1"];
    let fleet = ["--boxes", "40", "--forgetful", "10", "--seed", "7"];
    let report = run("restore", &[&fleet[..], &seconds[..]].concat());
    assert_eq!((&report["lost"], &report["doubled"]), (&0.into(), &0.into()), "{report}");
    assert!(report["details"]["entries_asked_for_again"].as_u64() > Some(0), "{report}");
}

#[test]
fn what_boxes_decide_and_what_is_alerted_is_what_a_model_says() {
    let report = run("field", &["--boxes", "12", "--days", "0.3", "--seed", "7"]);
    for count in ["wrong_decisions", "missing_alerts", "false_alerts", "wrong_states"] {
        assert_eq!(report[count], 0, "{report}");
    }
    assert!(report["details"]["alerts_raised"].as_f64() >= Some(5.0), "{report}");
    assert!(report["details"]["decided_offline"].as_f64() >= Some(1.0), "{report}");
    let decided = &report["details"]["decided"];
    for kind in ["access_code", "badge", "booking_code", "key_code", "pass", "personal_qr", "offline_code"] {
        let times = |place: &str| decided[place][kind]["opened"].as_u64().unwrap_or(0);
        assert!(times("alone") + times("offline") + times("with_server") > 0, "{kind}: {report}");
    }
}

/// The scenario with its page, which must show that everything holds.
fn shown(scenario: &str, arguments: &[&str]) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    let page_name = page.to_str().unwrap().to_owned();
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--seed", "7", "--html", &page_name]).collect();
    let report = run(scenario, &arguments);
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("everything holds") && page.contains("Processors in use"), "{scenario}: {page}");
    report
}

#[test]
fn a_herd_comes_plain_and_over_tls_and_takes_its_sessions_up_again() {
    let report = shown("herd", &["--connections", "40", "--rounds", "1", "--no-targets"]);
    let herds = report["details"]["herds"].as_array().unwrap();
    assert_eq!(herds.len(), 4, "{report}");
    let taken_up: Vec<_> = herds.iter().map(|herd| herd["sessions_taken_up"].as_u64().unwrap()).collect();
    assert_eq!((taken_up.iter().sum::<u64>(), report["errors"].as_u64()), (40, Some(0)), "{report}");
}

#[test]
fn a_census_wakes_everybody_and_survives_its_kill() {
    let report =
        shown("census", &["--known", "80", "--awake", "40", "--load-s", "0.5", "--connections", "8", "--no-targets"]);
    assert_eq!((&report["boxes"], &report["details"]["awake_by_the_server"]), (&80.into(), &40.0.into()), "{report}");
    assert_eq!(report["acknowledged_lost"], 0, "{report}");
}

#[test]
fn a_ramp_ends_and_a_soak_leaves_empty_queues() {
    let steps = ["--from", "20", "--to", "50", "--factor", "2", "--step-s", "1"];
    let arguments: Vec<&str> = ["--boxes", "20", "--connections", "10"].into_iter().chain(steps).collect();
    let report = run("ramp", &arguments);
    assert_eq!(report["details"]["steps"][0]["offered_per_s"], 20.0, "{report}");
    let report = shown("soak", &["--boxes", "20", "--rate", "40", "--seconds", "6"]);
    assert!(report["details"]["queues_empty_after_s"].is_number(), "{report}");
    assert!(report["entries"].as_u64() > Some(1000), "{report}");
}

#[test]
fn phones_of_every_vendor_end_where_the_model_says() {
    let report = shown("phones", &["--count", "70", "--wrong", "0.4", "--organisations", "2"]);
    let wrong = ["errors", "wrong_states", "wrong_answers"].map(|name| report[name].as_u64());
    assert_eq!((wrong, report["devices"].as_u64()), ([Some(0); 3], Some(70)), "{report}");
    let states = &report["details"]["states_after_the_second_day"];
    assert!(states["successful"].as_u64() > Some(0) && states["blocked"].as_u64() > Some(0), "{report}");
    assert_eq!(report["details"]["states_at_the_end"]["required"], serde_json::Value::Null, "{report}");
}

#[test]
fn who_guesses_is_judged_three_times_a_round_and_his_sources_are_closed() {
    let attack = ["--devices", "80", "--sources", "6", "--honest", "16", "--rate", "20", "--seconds", "6"];
    let report = run("guess", &[&attack[..], &["--rounds", "2", "--no-targets", "--seed", "7"]].concat());
    assert_eq!(
        (report["max_judged_per_round"].as_u64(), report["wrong_states"].as_u64()),
        (Some(3), Some(0)),
        "{report}"
    );
    assert!(report["details"]["sources_closed"].as_u64() >= Some(6), "{report}");
}

#[test]
fn a_term_lets_everybody_in_once_and_gives_every_code_once() {
    let small = ["--stores", "5", "--shoppers", "150", "--connections", "16", "--rounds", "2", "--echo-s", "0.2"];
    let report = shown("term", &[&small[..], &["--no-floor"]].concat());
    let details = &report["details"];
    assert_eq!(
        (details["redemptions"].as_u64(), details["registrations"].as_u64()),
        (Some(300), Some(300)),
        "{report}"
    );
    assert_eq!((report["double_redemptions"].as_u64(), report["codes_given_twice"].as_u64()), (Some(0), Some(0)));
    assert!(details["codes_given"].as_u64() >= Some(150), "{report}");
}

#[test]
fn owners_get_back_in_and_nobody_else_while_the_server_is_killed() {
    let small = ["--installations", "16", "--rounds", "24", "--attackers", "6", "--seconds", "4", "--kill", "4"];
    let report = run("recovery", &[&small[..], &["--seed", "7"]].concat());
    let counts = ["unauthorised_resets", "judged_over_limit", "honest_failures"].map(|name| report[name].as_u64());
    assert_eq!(counts, [Some(0); 3], "{report}");
    let details = &report["details"];
    assert!(details["resets"].as_u64() >= Some(10), "{report}");
    assert!(details["rounds_of_twenty"]["rounds"].as_u64() >= Some(12), "{report}");
    assert!(details["most_judged_of_one_validation_mail"].as_u64() <= Some(5), "{report}");
}

#[test]
fn a_burst_of_logins_goes_on_beside_syncs() {
    let small = ["--boxes", "20", "--connections", "5", "--rate", "50", "--logins", "40", "--seconds", "2"];
    let report = run("logins", &[&small[..], &["--rounds", "1", "--no-targets", "--seed", "7"]].concat());
    assert_eq!(report["errors"], 0, "{report}");
    assert!(report["details"]["logins"]["judged"].as_u64() > Some(0), "{report}");
}
