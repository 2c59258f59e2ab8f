//! The pure core in a world of maps: random plans, outcomes and wishes, a death between any two effects,
//! somebody else pushing to the target in between. Thousands of seeds, in seconds, always.
//!
//! A seed that fails is replayed, with everything that happened in it, by
//!
//! ```text
//! PLEACH_SIMULATE=17 cargo test --test suite simulation::holds -- --nocapture
//! ```
//!
//! and `PLEACH_SIMULATE=0..100000` tries more of them. Whether the checks can see at all is tested twice: by
//! [`Fault`]s of the world, here, and by faults of the core, in `tests/mutants.sh`.
#![expect(clippy::disallowed_methods, reason = "which seeds to try is told to this test alone")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod children;
mod coordinator;
mod held;
mod landing;
mod ledger;
mod line;
mod people;
mod queue;
mod repo;
mod rng;
mod runs;
mod shape;
mod starving;
mod the_end;
mod verdicts;
mod verifying;
mod world;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use world::{Check, Fault, World};

const SEEDS: Range<u64> = 0..2500;

#[test]
fn holds() {
    let seeds = std::env::var("PLEACH_SIMULATE").map_or(SEEDS, |text| parse(&text));
    let is_one = seeds.end - seeds.start == 1;
    if let Some((seed, why)) = first_failure(seeds, Fault::None) {
        if is_one {
            let mut world = World::new(seed, Fault::None, true);
            let _ = live(&mut world);
            println!("{}", world.trace.unwrap_or_default().join("\n"));
        }
        panic!("seed {seed}: {why}\nreplay: PLEACH_SIMULATE={seed} cargo test --test suite simulation::holds");
    }
}

#[test]
fn every_fault_of_the_world_is_noticed() {
    let unnoticed = |fault: &Fault| first_failure(0..2 * SEEDS.end, *fault).is_none();
    let unnoticed: Vec<Fault> = Fault::ALL.into_iter().filter(unnoticed).collect();
    assert!(unnoticed.is_empty(), "the simulation is blind for {unnoticed:?}");
}

fn parse(text: &str) -> Range<u64> {
    let number = |text: &str| text.parse::<u64>().expect("PLEACH_SIMULATE is a seed or a range of seeds");
    match text.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => number(text)..number(text) + 1,
    }
}

/// A life, and a rest at the end of it. A panic is a failure like any other, so that its seed is known.
fn live(world: &mut World) -> Check {
    let life = || {
        for _ in 0..world.shape.steps {
            world.step()?;
        }
        // What stands in line goes on, and so do the deaths.
        world.is_quiet = true;
        for _ in 0..if world.shape.is_queue { world.shape.steps } else { 0 } {
            world.step()?;
        }
        world.come_to_rest()
    };
    catch_unwind(AssertUnwindSafe(life)).unwrap_or_else(|_| Err("it panicked".to_owned()))
}

/// The first seed that fails, as far as the threads that share the work can tell, and why.
fn first_failure(seeds: Range<u64>, fault: Fault) -> Option<(u64, String)> {
    let next = AtomicU64::new(seeds.start);
    let failure: Mutex<Option<(u64, String)>> = Mutex::new(None);
    let work = || {
        while failure.lock().unwrap().is_none() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            if let Err(why) = live(&mut World::new(seed, fault, false)) {
                let mut failure = failure.lock().unwrap();
                if failure.as_ref().is_none_or(|(first, _)| seed < *first) {
                    *failure = Some((seed, why));
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    failure.into_inner().unwrap()
}
