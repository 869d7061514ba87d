use super::{Busy, Cost, PasswordHash, Passwords};
use crate::{
    config,
    kernel::{Codec, time::instant},
};
use std::{sync::Arc, time::Duration};
use zeroize::Zeroizing;

const CHEAP: config::Passwords =
    config::Passwords { memory_kib: 1024, iterations: 2, lanes: 1, threads: 1, queue_max: 64, niceness: 0 };

fn word(text: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(text.as_bytes().to_vec())
}

fn salt() -> [u8; 16] {
    std::array::from_fn(|n| n as u8)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[actix_rt::test]
async fn a_hash_is_what_others_make_of_the_same_password_and_is_read_for_ever() {
    let passwords = Passwords::start(&CHEAP).unwrap();
    let hash = passwords.hash(word("correct horse"), salt()).await.unwrap();
    // The reference implementation's hash of it stands at the end.
    assert_eq!(hex(&hash.to_bytes()), GOLDEN);
    let read = PasswordHash::decode_from(&hash.to_bytes()).unwrap();
    assert!(passwords.check(word("correct horse"), Some(read.clone())).await.unwrap());
    for wrong in ["correct hors", "correct horse ", "Correct horse", ""] {
        assert!(!passwords.check(word(wrong), Some(read.clone())).await.unwrap(), "{wrong}");
    }
    assert!(!passwords.check(word("correct horse"), None).await.unwrap());
    assert_eq!(format!("{hash:?}"), "PasswordHash");
}

const GOLDEN: &str = "8383190400020150000102030405060708090a0b0c0d0e0f582077237b8a217dfd77699617e3893817f9fa215bff881849f3c007154da0b4788d";

#[actix_rt::test]
async fn an_older_cost_is_still_checked_and_told_from_the_one_of_now() {
    let passwords = Passwords::start(&CHEAP).unwrap();
    let dearer = Passwords::start(&config::Passwords { iterations: 3, ..CHEAP }).unwrap();
    let old = passwords.hash(word("a"), salt()).await.unwrap();
    assert!(dearer.check(word("a"), Some(old.clone())).await.unwrap());
    assert!(!old.costs(dearer.cost()) && old.costs(passwords.cost()));
    assert_eq!(dearer.cost(), Cost { memory_kib: 1024, iterations: 3, lanes: 1 });
}

/// Each hash alone takes longer than a tick. Had the worker to hash, it would tick but once between two of them.
#[actix_rt::test]
async fn a_burst_of_logins_does_not_starve_the_worker() {
    const HASHES: usize = 12;
    let passwords = Passwords::start(&config::Passwords { memory_kib: 8192, ..CHEAP }).unwrap();
    let logins: Vec<_> = (0..HASHES)
        .map(|n| {
            let passwords = Arc::clone(&passwords);
            actix_rt::spawn(async move { passwords.check(word(&n.to_string()), None).await })
        })
        .collect();
    let began = instant();
    let mut ticks = 0;
    while logins.iter().any(|login| !login.is_finished()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        ticks += 1;
        assert!(began.elapsed() < Duration::from_secs(60), "the pool stands still");
    }
    for login in logins {
        assert_eq!(login.await.unwrap(), Ok(false));
    }
    assert!(ticks > 2 * HASHES, "{ticks} ticks during {HASHES} hashes of {:?}", began.elapsed() / HASHES as u32);
}

#[actix_rt::test]
async fn a_full_queue_has_an_answer_and_what_waits_is_done() {
    let passwords = Passwords::start(&config::Passwords { memory_kib: 8192, queue_max: 4, ..CHEAP }).unwrap();
    let ask = |n: usize| {
        let passwords = Arc::clone(&passwords);
        async move { passwords.hash(word(&n.to_string()), salt()).await }
    };
    let told = futures_util::future::join_all((0..40).map(ask)).await;
    let (done, refused): (Vec<_>, Vec<_>) = told.into_iter().partition(Result::is_ok);
    assert!((4..=10).contains(&done.len()), "{}", done.len());
    assert!(refused.iter().all(|told| *told == Err(Busy)));
    assert!(ask(41).await.is_ok(), "there is room again");
}

#[actix_rt::test]
async fn what_nobody_waits_for_is_not_hashed() {
    let passwords = Passwords::start(&config::Passwords { memory_kib: 65_536, ..CHEAP }).unwrap();
    for n in 0..60 {
        let asked = tokio::time::timeout(Duration::ZERO, passwords.check(word(&n.to_string()), None)).await;
        assert!(asked.is_err());
    }
    let began = instant();
    passwords.check(word("the one who stayed"), None).await.unwrap();
    let one = instant();
    passwords.check(word("again"), None).await.unwrap();
    assert!(began.elapsed() < 10 * one.elapsed() + Duration::from_millis(500), "those who left were worked for");
}

/// The quickest of many, taken in turns: what differs then is the work, not the machine.
#[actix_rt::test]
async fn a_name_that_is_not_known_takes_as_long_as_one_that_is() {
    let passwords = Passwords::start(&config::Passwords { memory_kib: 4096, ..CHEAP }).unwrap();
    let known = passwords.hash(word("right"), salt()).await.unwrap();
    let mut quickest = [Duration::MAX; 3];
    for _ in 0..40 {
        let cases = [(None, "right"), (Some(known.clone()), "right"), (Some(known.clone()), "wrong")];
        for (case, (against, password)) in cases.into_iter().enumerate() {
            let began = instant();
            passwords.check(word(password), against).await.unwrap();
            quickest[case] = quickest[case].min(began.elapsed());
        }
    }
    let (least, most) = (quickest.iter().min().unwrap(), quickest.iter().max().unwrap());
    assert!(most.as_secs_f64() < 1.2 * least.as_secs_f64(), "{quickest:?}");
}

#[test]
fn impossible_costs_are_refused() {
    assert!(CHEAP.cost().is_possible());
    for cost in [
        Cost { memory_kib: 0, ..CHEAP.cost() },
        Cost { iterations: 0, ..CHEAP.cost() },
        Cost { lanes: 0, ..CHEAP.cost() },
        Cost { memory_kib: 8, lanes: 2, ..CHEAP.cost() },
    ] {
        assert!(!cost.is_possible(), "{cost:?}");
    }
}
