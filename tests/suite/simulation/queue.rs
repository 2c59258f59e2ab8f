//! The merge queue's planner on random lines, against what a serial queue would have come to.
//!
//! [`Line`](super::line::Line) refuses each answer that nobody may ever give; here is what must be true of whole games.
//! `PLEACH_SIMULATE=17 cargo test --test suite simulation::queue` plays one seed of each.

use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pleach::core::planner::Guarantee;

use super::line::{Game, Ids, Played, Step, Terms};
use super::rng::Rng;

const SEEDS: Range<u64> = 0..400;

/// Play many games of a kind and look at each.
fn each(kind: impl Fn(&mut Rng) -> Game, look: impl Fn(&Game, &Played)) {
    let seeds = std::env::var("PLEACH_SIMULATE").map_or(SEEDS, |text| super::parse(&text));
    for seed in seeds {
        let mut random = Rng::new(seed);
        let game = kind(&mut random);
        let again = random.clone();
        let whole = AssertUnwindSafe(|| {
            let played = game.play(&mut random);
            let ids = [&played.line.landed[..], &played.line.evicted, &played.line.held].concat();
            assert_eq!(ids.len(), game.bad.len(), "something is lost or there twice: {:?}", played.line.history);
            heads_were_verified(&game, &played);
            look(&game, &played);
            if seed % 8 == 0 {
                assert_eq!(game.play(&mut again.clone()).line.history, played.line.history, "not the same twice");
            }
        });
        assert!(catch_unwind(whole).is_ok(), "seed {seed}: {game:?}");
    }
}

/// Some results, some of them bad, with any terms.
fn any(random: &mut Rng) -> Game {
    let guarantee = *random.pick(&[Guarantee::Tip, Guarantee::Tip, Guarantee::Every]);
    let terms = Terms { verifiers: 1 + random.below(8), guarantee, deterministic: random.one_in(2) };
    let rate = *random.pick(&[0.0, 0.03, 0.1, 0.2, 0.35, 1.0]);
    let most = *random.pick(&[4, 10, 20]);
    let length = 1 + random.below(most);
    let bad = (0..length).map(|_| random.chance(rate)).collect();
    // All at the same time, or in any order.
    Game { longest: *random.pick(&[1, 5]), ..Game::new(terms, bad) }
}

fn any_with_needs(random: &mut Rng) -> Game {
    let mut game = any(random);
    for id in 1..game.bad.len() {
        if random.one_in(4) {
            let needs = (0..=random.below(2)).map(|_| random.below(id)).collect();
            game.needs.insert(id, needs);
        }
    }
    game
}

fn any_with_clashes(random: &mut Rng) -> Game {
    let mut game = if random.one_in(2) { any(random) } else { any_with_needs(random) };
    let mut free: Vec<usize> = (0..game.bad.len()).collect();
    for _ in 0..random.below(4).min(free.len() / 2) {
        let mut take = || free.swap_remove(random.below(free.len()));
        game.clashes.push((take(), take()));
    }
    game
}

/// Whatever the target pointed at was green, and with the stronger promise also each fold on the way there.
fn heads_were_verified(game: &Game, played: &Played) {
    let mut head = Ids::new();
    let mut green: BTreeSet<Ids> = BTreeSet::new();
    for step in &played.line.history {
        match step {
            Step::Green(ids) => drop(green.insert(&head | ids)),
            Step::Land(ids) => {
                for id in ids {
                    assert!(
                        game.needs.get(id).is_none_or(|needs| needs.is_subset(&(&head | ids))),
                        "{id} lacks a need"
                    );
                    head.insert(*id);
                    let is_last = ids.last() == Some(id);
                    let must_be_green = is_last || game.terms.guarantee == Guarantee::Every;
                    assert!(!must_be_green || green.contains(&head), "{head:?} was never green");
                }
            }
            _ => {}
        }
    }
}

/// What one run after the other would have come to: what lands, who is sent back, and who builds on one of those.
fn serial(game: &Game) -> (Ids, Ids, Ids) {
    let (mut landed, mut evicted, mut held) = (Ids::new(), Ids::new(), Ids::new());
    for id in 0..game.bad.len() {
        let needs = game.needs.get(&id).cloned().unwrap_or_default();
        let all = match (needs.is_subset(&landed), game.bad[id]) {
            (true, false) => &mut landed,
            (true, true) => &mut evicted,
            (false, _) => &mut held,
        };
        all.insert(id);
    }
    (landed, evicted, held)
}

fn set(ids: &[usize]) -> Ids {
    ids.iter().copied().collect()
}

#[test]
fn it_comes_to_what_a_serial_queue_comes_to() {
    each(any_with_needs, |game, played| {
        let line = &played.line;
        assert_eq!((set(&line.landed), set(&line.evicted), set(&line.held)), serial(game));
    });
}

#[test]
fn of_two_that_clash_one_lands() {
    each(any_with_clashes, |game, played| {
        let mut landed = Vec::new();
        for step in &played.line.history {
            match step {
                Step::Land(ids) => {
                    assert!(!game.is_red(&landed, ids), "{ids:?} breaks {landed:?}");
                    landed.extend(ids);
                }
                Step::Evict(id) => assert!(game.is_red(&landed, &Ids::from([*id])), "{id} is innocent"),
                _ => {}
            }
        }
        for (one, other) in &game.clashes {
            let is_open = |id: &usize| !game.bad[*id] && !played.line.held.contains(id);
            if is_open(one) && is_open(other) {
                assert_ne!(landed.contains(one), landed.contains(other), "{one} and {other}");
            }
        }
    });
}

#[test]
fn flakes_land_nobody_who_is_bad_and_keep_nobody_for_ever() {
    let flaky = |random: &mut Rng| {
        let mut game = any_with_needs(random);
        game.terms.deterministic = false;
        Game { flakes: *random.pick(&[0.02, 0.3]), ..game }
    };
    each(flaky, |game, played| {
        assert!(played.line.landed.iter().all(|id| !game.bad[*id]), "a bad one landed");
        let confirmed = |id: &usize| red_runs_left_with(*id, &played.line.history) >= 2;
        assert!(played.line.evicted.iter().all(confirmed), "sent back for one red run");
    });
}

/// How many red runs come down to this one, when all the others of them have landed.
fn red_runs_left_with(id: usize, history: &[Step]) -> usize {
    let at = history.iter().position(|step| *step == Step::Evict(id)).unwrap();
    let landed = history[..at].iter().filter_map(|step| if let Step::Land(ids) = step { Some(ids) } else { None });
    let landed: Ids = landed.flatten().copied().collect();
    let red =
        history[..at].iter().filter_map(|step| if let Step::Red(ids) = step { Some(ids - &landed) } else { None });
    red.filter(|left| *left == Ids::from([id])).count()
}

#[test]
fn a_single_verifier_comes_to_an_end_in_time() {
    let single = |random: &mut Rng| {
        let mut game = any_with_needs(random);
        game.terms.verifiers = 1;
        game
    };
    each(single, |game, played| {
        let (results, evicted) = (game.bad.len(), played.line.evicted.len());
        let halvings = results.next_power_of_two().ilog2() as usize;
        let confirmations = if game.terms.deterministic { 0 } else { evicted };
        assert!(played.runs <= results + evicted * (halvings + 2) + confirmations, "{} runs", played.runs);
    });
}

#[test]
fn a_line_of_good_results_costs_next_to_nothing() {
    for (verifiers, most) in [(1, 1), (2, 2), (4, 4), (8, 5)] {
        let terms = Terms { verifiers, guarantee: Guarantee::Tip, deterministic: false };
        let played = Game::new(terms, vec![false; 20]).play(&mut Rng::new(0));
        assert_eq!(played.wall, 1, "with {verifiers}");
        assert!(played.runs <= most, "{} runs with {verifiers}", played.runs);
    }
}
