//! Half hours and eight hours: the program itself on a clock that runs ahead, killed between.

use crate::{
    devices::{ELSEWHERE, Phone, other, phone, rig},
    rig::{Rig, eventually},
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

const MINUTE: u32 = 60;
const HOUR: u32 = 60 * MINUTE;

/// `tests/parts/ahead.c`, compiled once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ahead.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parts/ahead.c");
        let arguments = ["-shared", "-fPIC", "-O1", "-o"];
        let built = Command::new("cc").args(arguments).arg(&library).arg(source).status().unwrap();
        assert!(built.success(), "cc cannot compile ahead.c");
        library
    })
}

/// Kills the server and starts it again, `ahead` seconds after now.
pub fn killed_until(rig: &mut Rig, ahead: u32) {
    rig.kill();
    rig.environment("LD_PRELOAD", library().to_str().unwrap());
    rig.environment("CLOCK_AHEAD_S", &ahead.to_string());
    rig.start_again();
}

fn guess(phone: &Phone, by: u32) -> String {
    phone.outcome(&other(&phone.pap(), by))
}

#[test]
fn n1_and_n4_a_lock_lasts_thirty_minutes_whatever_is_killed() {
    let mut rig = rig();
    let org = rig.org();
    let phone = phone(&rig, &org, "000413abcdef");
    let pap = phone.pap();
    phone.fetch();
    assert_eq!((guess(&phone, 1), guess(&phone, 2)), ("wrong".into(), "wrong".into()));
    killed_until(&mut rig, 0);
    assert_eq!(guess(&phone, 3), "failed");
    let until = phone.show()["locked_until"].clone();
    killed_until(&mut rig, 29 * MINUTE + 30);
    assert_eq!(phone.enter(&pap)["locked_until"], until, "the right one too, and the time stays");
    let shown = phone.show();
    assert_eq!((shown["state"].as_str(), shown["wrong"].as_u64()), (Some("failed"), Some(3)));
    killed_until(&mut rig, 30 * MINUTE + 1);
    let shown = phone.show();
    assert_eq!((shown["state"].as_str(), shown["wrong"].as_u64()), (Some("required"), Some(0)));
    assert_eq!(shown["rounds"], 1, "rounds are kept");
    assert_eq!(phone.outcome(&pap), "accepted");
}

#[test]
fn n5_the_third_lock_is_for_good() {
    let mut rig = rig();
    let org = rig.org();
    let phone = phone(&rig, &org, "000413abcdef");
    let pap = phone.pap();
    for (round, last) in ["failed", "failed", "blocked"].into_iter().enumerate() {
        killed_until(&mut rig, round as u32 * 31 * MINUTE);
        assert_eq!(
            (guess(&phone, 1), guess(&phone, 2), guess(&phone, 3)),
            ("wrong".into(), "wrong".into(), last.into())
        );
    }
    killed_until(&mut rig, 365 * 24 * HOUR);
    assert_eq!(phone.outcome(&pap), "blocked");
    phone.act("suspension");
    assert!(phone.is_full());
    assert_eq!(phone.show()["state"], "blocked");
    phone.act("reset");
    assert_eq!(phone.show()["state"], "required");
    assert_ne!(phone.outcome(&pap), "accepted", "the old PAP is dead");
}

#[test]
fn n7_a_suspension_ends_by_itself() {
    let mut rig = rig();
    let org = rig.org();
    let phone = phone(&rig, &org, "000413abcdef");
    phone.act("suspension");
    killed_until(&mut rig, 29 * MINUTE + 30);
    assert!(phone.is_full());
    eventually("provisioned", || phone.done());
    phone.act("reset");
    killed_until(&mut rig, 30 * MINUTE + 1);
    assert!(!phone.is_full());
    assert!(phone.show()["suspended_until"].is_null());
}

#[test]
fn n9_an_address_is_trusted_for_eight_hours_and_each_new_phone_moves_the_end() {
    let mut rig = rig();
    let org = rig.org();
    let first = phone(&rig, &org, "000413000001");
    let elsewhere = phone(&rig, &org, "000413000002").at(ELSEWHERE);
    first.provision();
    elsewhere.provision();
    let [second, third, fourth, stranger] =
        ["000413000003", "000413000004", "000413000005", "000413000006"].map(|mac| phone(&rig, &org, mac));
    killed_until(&mut rig, 7 * HOUR + 59 * MINUTE);
    assert!(second.is_full());
    eventually("provisioned", || second.done());
    killed_until(&mut rig, 8 * HOUR + MINUTE);
    assert!(!stranger.at(ELSEWHERE).is_full(), "nobody came from there meanwhile");
    assert!(third.is_full(), "moved to 15:59");
    eventually("provisioned", || third.done());
    // Polls of phones that are done move nothing: the end is 16:01.
    killed_until(&mut rig, 15 * HOUR);
    assert!(first.is_full() && second.is_full());
    killed_until(&mut rig, 16 * HOUR + 2 * MINUTE);
    assert!(!fourth.is_full());
}
