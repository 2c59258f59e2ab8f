//! What the planner of the merge queue needs, in runs and in time, beside what other queues would need on the same
//! lines: a simulation, in which each run takes one unit of time (T) and all results are ready at the start.
//!
//! `cargo bench --bench merge_queue` plays some rounds of each cell, `-- --full` many, `-- --json` prints JSON.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a bench is its own user")]

#[path = "../tests/suite/simulation/line.rs"]
#[allow(dead_code, reason = "the tests look at more of it")]
mod line;
#[path = "../tests/suite/simulation/rng.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod rng;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use line::{Game, Terms};
use pleach::core::planner::{self, Guarantee, Probe, Question};
use rng::Rng;

const LENGTHS: [usize; 4] = [5, 10, 20, 50];
const RATES: [f64; 6] = [0.0, 0.03, 0.05, 0.10, 0.20, 0.35];
const VERIFIERS: [usize; 4] = [1, 2, 4, 8];
const FLAKES: f64 = 0.02;

fn main() {
    let flags: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| flags.iter().any(|given| given == flag);
    let (rounds, flaky_rounds) = if has("--full") { (5000, 100_000) } else { (1000, 20_000) };
    let cells: Vec<Cell> =
        LENGTHS.iter().flat_map(|length| RATES.map(|rate| Cell { length: *length, rate, flakes: 0.0 })).collect();
    let table: Vec<(Cell, Vec<Costs>)> = cells.into_iter().map(|cell| (cell, play_all(cell, rounds))).collect();
    let flaky = Cell { length: 20, rate: 0.03, flakes: FLAKES };
    let flaky = (flaky, play_all(flaky, flaky_rounds));
    let goals = Goals::of(&table, &flaky);
    let planning = VERIFIERS.map(|verifiers| (verifiers, planning_ms(verifiers)));
    match has("--json") {
        true => print_json(&table, &flaky, &goals, &planning),
        false => print_table(&table, &flaky, &goals, &planning),
    }
}

/// What is played.
#[derive(Clone, Copy)]
struct Cell {
    length: usize,
    rate: f64,
    flakes: f64,
}

/// A queue, with so many verifiers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Queue {
    Ours(usize),
    /// Where one red run proves a culprit.
    OursSure(usize),
    Serial,
    Bors,
    Batch5,
    Zuul(usize),
}

impl Queue {
    fn all() -> Vec<Self> {
        let mut all = vec![Self::Serial, Self::Bors, Self::Batch5];
        // With one verifier it is the serial one.
        all.extend(VERIFIERS.into_iter().filter(|verifiers| *verifiers > 1).map(Self::Zuul));
        all.extend(VERIFIERS.map(Self::Ours));
        all.extend(VERIFIERS.map(Self::OursSure));
        all
    }

    fn name(self) -> String {
        match self {
            Self::Ours(verifiers) => format!("pleach {verifiers}"),
            Self::OursSure(verifiers) => format!("sure {verifiers}"),
            Self::Serial => "serial".to_owned(),
            Self::Bors => "bors".to_owned(),
            Self::Batch5 => "batch 5".to_owned(),
            Self::Zuul(verifiers) => format!("zuul {verifiers}"),
        }
    }

    fn play(self, bad: &[bool], flakes: f64, random: Rng) -> Costs {
        let mut rival = Rival { bad, flakes, random, costs: Costs::default() };
        let all: Vec<usize> = (0..bad.len()).collect();
        match self {
            Self::Ours(verifiers) => return ours(bad, flakes, verifiers, false, rival.random),
            Self::OursSure(verifiers) => return ours(bad, flakes, verifiers, true, rival.random),
            Self::Serial => rival.zuul(all, 1),
            Self::Bors => rival.bors(&all),
            Self::Batch5 => rival.batches(&all),
            Self::Zuul(verifiers) => rival.zuul(all, verifiers),
        }
        rival.costs
    }
}

/// Of one game, or the mean of many.
#[derive(Clone, Copy, Default)]
struct Costs {
    runs: f64,
    wall: f64,
    /// Good results that were sent back.
    innocent: f64,
}

/// Each queue on the same lines.
fn play_all(cell: Cell, rounds: usize) -> Vec<Costs> {
    let queues = Queue::all();
    let (next, sums) = (AtomicUsize::new(0), Mutex::new(vec![Costs::default(); queues.len()]));
    let work = || {
        loop {
            let round = next.fetch_add(1, Ordering::Relaxed);
            if round >= rounds {
                break;
            }
            let mut random = Rng::new(round as u64);
            let bad: Vec<bool> = (0..cell.length).map(|_| random.chance(cell.rate)).collect();
            let played: Vec<Costs> = queues.iter().map(|queue| queue.play(&bad, cell.flakes, random.clone())).collect();
            let mut sums = sums.lock().expect("nobody panicked");
            for (sum, costs) in sums.iter_mut().zip(played) {
                sum.runs += costs.runs;
                sum.wall += costs.wall;
                sum.innocent += costs.innocent;
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let sums = sums.into_inner().expect("nobody panicked");
    let mean = |sum: f64| sum / rounds as f64;
    let means = |sum: Costs| Costs { runs: mean(sum.runs), wall: mean(sum.wall), innocent: mean(sum.innocent) };
    sums.into_iter().map(means).collect()
}

fn ours(bad: &[bool], flakes: f64, verifiers: usize, deterministic: bool, mut random: Rng) -> Costs {
    let terms = Terms { verifiers, guarantee: Guarantee::Tip, deterministic };
    let game = Game { flakes, ..Game::new(terms, bad.to_vec()) };
    let played = game.play(&mut random);
    let innocent = played.line.evicted.iter().filter(|id| !bad[**id]).count();
    Costs { runs: played.runs as f64, wall: played.wall as f64, innocent: innocent as f64 }
}

/// How others do it, each in its plainest form.
struct Rival<'a> {
    bad: &'a [bool],
    flakes: f64,
    random: Rng,
    costs: Costs,
}

impl Rival<'_> {
    fn is_red(&mut self, ids: &[usize]) -> bool {
        self.costs.runs += 1.0;
        ids.iter().any(|id| self.bad[*id]) || self.random.chance(self.flakes)
    }

    /// One run after the other.
    fn is_red_alone(&mut self, ids: &[usize]) -> bool {
        self.costs.wall += 1.0;
        self.is_red(ids)
    }

    fn evict(&mut self, id: usize) {
        self.costs.innocent += f64::from(u8::from(!self.bad[id]));
    }

    /// Each result on all before it, as many at once as there are verifiers within a window; a red one throws away all
    /// that is behind it.
    fn zuul(&mut self, mut line: Vec<usize>, verifiers: usize) {
        const WINDOW: usize = 20;
        while !line.is_empty() {
            self.costs.wall += 1.0;
            let ahead = line.len().min(verifiers).min(WINDOW);
            let reds: Vec<bool> = (1..=ahead).map(|length| self.is_red(&line[..length])).collect();
            match reds.iter().position(|is_red| *is_red) {
                Some(first) => {
                    self.evict(line[first]);
                    line.drain(..=first);
                }
                None => drop(line.drain(..ahead)),
            }
        }
    }

    /// All at once; a red batch becomes two batches.
    fn bors(&mut self, batch: &[usize]) {
        if batch.is_empty() || !self.is_red_alone(batch) {
            return;
        }
        if let [id] = batch {
            return self.evict(*id);
        }
        let (first, second) = batch.split_at(batch.len() / 2);
        self.bors(first);
        self.bors(second);
    }

    /// Five at once; a red batch is tried again, then bisected, and what is left of it is verified as it will land.
    fn batches(&mut self, line: &[usize]) {
        for batch in line.chunks(5) {
            if let [id] = batch {
                if self.is_red_alone(batch) {
                    self.evict(*id);
                }
                continue;
            }
            if !self.is_red_alone(batch) || !self.is_red_alone(batch) {
                continue;
            }
            let good = self.bisect(&[], batch);
            if !good.is_empty() && self.is_red_alone(&good) {
                // It gives up; what was good comes again.
                self.batches(&good);
            }
        }
    }

    /// Which of a batch that is red on top of others are good; the last one left is guilty without a run.
    fn bisect(&mut self, below: &[usize], batch: &[usize]) -> Vec<usize> {
        if let [id] = batch {
            self.evict(*id);
            return Vec::new();
        }
        let (first, second) = batch.split_at(batch.len() / 2);
        let on = |below: &[usize], above: &[usize]| [below, above].concat();
        if !self.is_red_alone(&on(below, first)) {
            return on(first, &self.bisect(&on(below, first), second));
        }
        let good = self.bisect(below, first);
        let below = on(below, &good);
        match self.is_red_alone(&on(&below, second)) {
            true => on(&good, &self.bisect(&below, second)),
            false => on(&good, second),
        }
    }
}

/// How long the planner thinks about a full window at the worst of some moments, in milliseconds.
fn planning_ms(verifiers: usize) -> f64 {
    let all = Probe::first(planner::WINDOW);
    let suspect = Probe::of([3]);
    let moments = [
        (0.01, vec![], vec![]),
        (0.05, vec![all], vec![]),
        (0.05, vec![all, suspect], vec![Probe::first(40).less(suspect)]),
        (0.15, vec![all, Probe::first(20), Probe::of(30..50)], vec![Probe::first(5)]),
        (0.3, vec![all, Probe::first(10)], vec![Probe::first(3)]),
    ];
    let questions = moments.into_iter().map(|(failure_rate, red, running)| Question {
        line: vec![Probe::default(); planner::WINDOW],
        red,
        verifiers: verifiers + running.len(),
        running,
        failure_rate,
        ..Question::default()
    });
    questions.map(|question| thinking_ms(&question)).fold(0.0, f64::max)
}

fn thinking_ms(question: &Question) -> f64 {
    const TIMES: u32 = 20;
    let begun = Instant::now();
    (0..TIMES).for_each(|_| drop(std::hint::black_box(planner::plan(std::hint::black_box(question)))));
    begun.elapsed().as_secs_f64() * 1000.0 / f64::from(TIMES)
}

/// What was promised, and what came of it.
struct Goals(Vec<(String, f64, f64)>);

impl Goals {
    fn of(table: &[(Cell, Vec<Costs>)], flaky: &(Cell, Vec<Costs>)) -> Self {
        let cell = table.iter().find(|(cell, _)| cell.length == 20 && cell.rate == 0.03);
        let costs = |costs: &[Costs], queue| Queue::all().iter().position(|other| *other == queue).map(|at| costs[at]);
        let mut goals = Vec::new();
        for (verifiers, most) in [(1, 4.5), (4, 2.5)] {
            let wall =
                cell.and_then(|(_, all)| costs(all, Queue::Ours(verifiers))).map_or(f64::NAN, |costs| costs.wall);
            goals.push((format!("wall in T, 20 results, 3 % bad, verifiers: {verifiers}"), wall, most));
        }
        for verifiers in VERIFIERS {
            let innocent = costs(&flaky.1, Queue::Ours(verifiers)).map_or(f64::NAN, |costs| costs.innocent);
            goals.push((
                format!("innocent evictions, 20 results, 2 % flakes, verifiers: {verifiers}"),
                innocent,
                0.005,
            ));
        }
        Self(goals)
    }

    fn are_met(&self) -> bool {
        self.0.iter().all(|(_, value, most)| value <= most)
    }
}

fn print_table(
    table: &[(Cell, Vec<Costs>)],
    (flaky, innocents): &(Cell, Vec<Costs>),
    goals: &Goals,
    planning: &[(usize, f64)],
) {
    let queues = Queue::all();
    println!(
        "runs / wall in T. The number behind a queue is that of its verifiers; the others have one, and use no more."
    );
    println!(
        "pleach sends nobody back before a second red run; sure is pleach where the user says that one proves it.\n"
    );
    print!("{:>3} {:>4}", "n", "bad");
    queues.iter().for_each(|queue| print!(" {:>10}", queue.name()));
    println!();
    for (cell, costs) in table {
        print!("{:>3} {:>3.0}%", cell.length, cell.rate * 100.0);
        costs.iter().for_each(|costs| print!(" {:>10}", format!("{:.1}/{:.1}", costs.runs, costs.wall)));
        println!();
    }
    println!(
        "\ninnocent evictions, {} results, {} % bad, {} % flakes",
        flaky.length,
        flaky.rate * 100.0,
        FLAKES * 100.0
    );
    // Who says that one red run proves it has no flakes.
    let may_flake = |queue: Queue| !matches!(queue, Queue::OursSure(_));
    for (queue, costs) in queues.iter().zip(innocents).filter(|(queue, _)| may_flake(**queue)) {
        println!("{:>10} {:.4} with {:.1} runs in {:.1} T", queue.name(), costs.innocent, costs.runs, costs.wall);
    }
    println!();
    for (verifiers, ms) in planning {
        println!("planning {} results at the worst, verifiers: {verifiers}: {ms:.2} ms", planner::WINDOW);
    }
    println!();
    for (what, value, most) in &goals.0 {
        println!("{what}: {value:.4}, at most {most}: {}", if value <= most { "met" } else { "NOT MET" });
    }
    println!("goals: {}", if goals.are_met() { "met" } else { "NOT MET" });
}

fn print_json(table: &[(Cell, Vec<Costs>)], flaky: &(Cell, Vec<Costs>), goals: &Goals, planning: &[(usize, f64)]) {
    let row = |(cell, costs): &(Cell, Vec<Costs>)| {
        let queues = Queue::all().into_iter().zip(costs);
        let may_flake = |queue: Queue| cell.flakes == 0.0 || !matches!(queue, Queue::OursSure(_));
        let queues = queues.filter(|(queue, _)| may_flake(*queue)).map(|(queue, costs)| {
            let costs = serde_json::json!({ "runs": costs.runs, "wall": costs.wall, "innocent": costs.innocent });
            (queue.name(), costs)
        });
        let queues: serde_json::Map<String, serde_json::Value> = queues.collect();
        serde_json::json!({ "results": cell.length, "bad": cell.rate, "flakes": cell.flakes, "queues": queues })
    };
    let planning = planning.iter().map(|(verifiers, ms)| serde_json::json!({ "verifiers": verifiers, "ms": ms }));
    let goal =
        |(what, value, most): &(String, f64, f64)| serde_json::json!({ "what": what, "value": value, "most": most });
    let all = serde_json::json!({
        "rows": table.iter().chain([flaky]).map(row).collect::<Vec<_>>(),
        "planning": planning.collect::<Vec<_>>(),
        "goals": goals.0.iter().map(goal).collect::<Vec<_>>(),
        "met": goals.are_met(),
    });
    println!("{all}");
}
