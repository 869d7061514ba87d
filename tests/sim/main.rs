//! A seeded world: boxes that go offline, administrators who correct them, a log that rejects, stalls and breaks, the
//! server started anew; with one partition and with four. Prints its seed; `CASTELLAN_SIM_SEED=7 cargo test --test sim`
//! repeats it.

#![allow(clippy::unwrap_used)]

mod model;
mod world;

use world::World;

fn seeds() -> Vec<u64> {
    match std::env::var("CASTELLAN_SIM_SEED") {
        Ok(seed) => vec![seed.parse().expect("CASTELLAN_SIM_SEED is a number")],
        Err(_) => (1..=10).collect(),
    }
}

/// Nothing receipted is lost, nothing counts twice, every box ends with the server's state, every key is in one place.
#[test]
fn a_seeded_world_keeps_its_invariants() {
    for seed in seeds() {
        let partitions = if seed % 2 == 0 { 4 } else { 1 };
        println!("seed {seed}, {partitions} partition(s)");
        actix::System::new().block_on(async move {
            let mut world = World::new(seed, partitions).await;
            for _ in 0..250 {
                world.step().await;
            }
            world.settle().await;
            world.check().await;
        });
    }
}
