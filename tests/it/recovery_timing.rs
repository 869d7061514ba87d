//! [12] Whoever measures how long a refusal takes learns nothing of a name. The answers of unknown, ordinary,
//! administrator 1's and blocked names are taken by turns and compared as Mann and Whitney do; what the test would have
//! found is computed from the same samples, and tried.

use crate::{
    recovery::{World, log_in},
    rig::{Client, string},
};
use serde_json::json;
use std::time::{Duration, Instant};

const KINDS: [&str; 4] = ["unknown", "ordinary", "administrator 1", "blocked"];
/// Samples of each kind at one installation: a sixth error would let a name rest.
const EACH: usize = 5;
const INSTALLATIONS: usize = 30;
/// Two-sided, p = 0.001.
const REJECTED: f64 = 3.29;
const POWER: f64 = 0.9;
/// Resamplings that a power is counted of.
const TRIALS: usize = 200;

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ (z >> 31)) as u128 * below as u128) >> 64) as usize
    }

    fn sample(&mut self, from: &[f64], count: usize) -> Vec<f64> {
        (0..count).map(|_| from[self.below(from.len())]).collect()
    }
}

/// How many standard deviations the sum of ranks is off, if both are of one distribution.
fn rank_test(one: &[f64], other: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> = one.iter().map(|x| (*x, true)).chain(other.iter().map(|x| (*x, false))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut ranks, mut at) = (0.0, 0);
    while at < all.len() {
        let ties = all[at..].iter().take_while(|(x, _)| *x == all[at].0).count();
        let rank = at as f64 + (ties as f64 + 1.0) / 2.0;
        ranks += rank * all[at..at + ties].iter().filter(|(_, mine)| *mine).count() as f64;
        at += ties;
    }
    let (n, m) = (one.len() as f64, other.len() as f64);
    (ranks - n * (n + m + 1.0) / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt()
}

fn differ(one: &[f64], other: &[f64]) -> bool {
    rank_test(one, other).abs() > REJECTED
}

/// How often a shift of one of two samples is found.
fn power(pool: &[f64], count: usize, shift: f64, chance: &mut Chance) -> f64 {
    let found = (0..TRIALS).filter(|_| {
        let shifted: Vec<f64> = chance.sample(pool, count).iter().map(|x| x + shift).collect();
        differ(&chance.sample(pool, count), &shifted)
    });
    found.count() as f64 / TRIALS as f64
}

/// Makes an installation at which everybody is blocked by one error but administrator 1; terminals and names of each kind.
fn names(world: &World) -> (String, [Vec<String>; 4]) {
    let client = &world.org.client;
    let made = client.post(
        "/installations",
        &json!({
            "label": "x", "product": "Mexal", "environment": "live", "errors_max": 1,
            "administrator": {"name": "Anna", "password": "tre gatti sul tetto"},
        }),
    );
    let made = made.is(201);
    let users = format!("/installations/{}/users", string(&made, "installation"));
    let path = string(&made, "path");
    let ordinary: Vec<String> = (0..EACH).map(|n| format!("Bruno{n}")).collect();
    for name in ordinary.iter().map(String::as_str).chain(["Carla"]) {
        let body = json!({"name": name, "password": "un altro segreto lungo", "role": "user"});
        client.post(&users, &body).is(201);
    }
    log_in(&terminal(world, &path), "Carla", "wrong");
    let of = |name: &str| vec![name.to_owned(); EACH];
    (path, [(0..EACH).map(|n| format!("Niemand{n}")).collect(), ordinary, of("Anna"), of("Carla")])
}

fn terminal(world: &World, path: &str) -> Client {
    let opened = world.rig.nobody().post(&format!("/recovery/v1/{path}/terminals"), &json!({})).is(201);
    world.rig.client(Some(&string(&opened, "terminal")))
}

/// Milliseconds of each kind, taken in turns whose order is drawn; the answers must be the same bytes.
fn measure(world: &World, chance: &mut Chance) -> [Vec<f64>; 4] {
    let mut took: [Vec<f64>; 4] = Default::default();
    let mut same = None;
    for _ in 0..INSTALLATIONS {
        let (path, mut names) = names(world);
        for _ in 0..EACH {
            let mut order = [0, 1, 2, 3];
            (1..4).rev().for_each(|last| order.swap(last, chance.below(last + 1)));
            for kind in order {
                let terminal = terminal(world, &path);
                let body = json!({"name": names[kind].pop().unwrap(), "password": "wrong"});
                let began = Instant::now();
                let answer = terminal.post("/recovery/v1/terminal/login", &body);
                took[kind].push(began.elapsed().as_secs_f64() * 1000.0);
                let told = (answer.status, answer.told());
                assert_eq!(same.get_or_insert(told.clone()), &told, "{}", KINDS[kind]);
            }
        }
    }
    took
}

#[test]
fn case_12_how_long_a_refusal_takes_tells_no_name() {
    let world = World::with(&[("PASSWORDS__MEMORY_KIB", "4096")], json!({}));
    let mut chance = Chance(7);
    let mut apart = Vec::new();
    // What is there is there twice; what the machine did meanwhile is not.
    for _ in 0..2 {
        let took = measure(&world, &mut chance);
        let count = took[0].len();
        let pool: Vec<f64> = took.iter().flatten().copied().collect();
        let mut sorted = pool.clone();
        sorted.sort_by(f64::total_cmp);
        let median = sorted[sorted.len() / 2];
        let shift =
            (1..=200).map(|n| median * f64::from(n) / 100.0).find(|x| power(&pool, count, *x, &mut chance) >= POWER);
        let shift = shift.expect("a shift that is found");
        println!(
            "{count} samples of each kind, median {median:.2} ms: a shift of {:.0} µs is found with a power of {POWER}",
            shift * 1000.0
        );
        // Without hashing a name would be answered in next to nothing.
        assert!(shift < 0.9 * median, "too restless to say anything: {shift} of {median} ms");
        let (control, shifted) = (chance.sample(&pool, count), chance.sample(&pool, count));
        assert!(
            !differ(&control, &shifted) || !differ(&chance.sample(&pool, count), &shifted),
            "it sees what is not there"
        );
        let shifted: Vec<f64> = took[0].iter().map(|x| x + 2.0 * shift).collect();
        assert!(differ(&took[0], &shifted), "it does not see what is there");
        apart = (0..KINDS.len())
            .flat_map(|one| (0..one).map(move |other| (one, other)))
            .filter(|(one, other)| differ(&took[*one], &took[*other]))
            .map(|(one, other)| (KINDS[one], KINDS[other], rank_test(&took[one], &took[other])))
            .collect();
        if apart.is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    panic!("told apart: {apart:?}");
}

#[test]
fn ranks_are_summed_as_mann_and_whitney_did() {
    // Wilcoxon's: 1 2 3 | 4 5 6 has a sum of 6 where 10.5 is expected, with a deviation of 2.29.
    let z = rank_test(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]);
    assert!((z + 4.5 / 5.25f64.sqrt()).abs() < 1e-9, "{z}");
    assert!(rank_test(&[1.0, 1.0], &[1.0, 1.0]).abs() < 1e-9, "ties");
}
