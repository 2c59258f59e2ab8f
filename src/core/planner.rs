//! Which trees to verify next: the first-culprit search over the line of a target.
//!
//! The line holds results in the order in which they would land. A *probe* is a set of them, folded onto the head in that
//! order and verified as one tree. Green: all of it may land at once. Red: it holds at least one culprit. With few
//! culprits the cheapest question is not "is this one good" but "where is the first bad one", so a probe is cut where a
//! green answer is as likely as a red one (adaptive group testing; the law of the first culprit is geometric). Verifiers
//! that would stand idle try what would help most in a sample of worlds that agree with everything known, and stay idle
//! where that is less than [`WORTH`].
//!
//! A result that alone explains a red run is *suspect*: it is put aside, the others go on without it, and it is sent back
//! only when a second run says the same. Pure, and the same question always has the same answer.

use std::collections::BTreeSet;

pub use super::task::Guarantee;

/// How many results are looked at together; what stands behind them waits.
pub const WINDOW: usize = 64;
/// The least number of results that an additional run must be expected to settle.
const WORTH: f64 = 0.3;
/// How many worlds are sampled.
const WORLDS: usize = 96;
/// From this failure rate on, with this many verifiers, single outcomes are followed instead of cuts.
const OFTEN: f64 = 0.2;
const MANY: usize = 4;

/// A set of places in the line, each below [`WINDOW`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Probe(u64);

impl Probe {
    /// These places.
    pub fn of(places: impl IntoIterator<Item = usize>) -> Self {
        places.into_iter().fold(Self(0), |all, place| all.with(place))
    }

    /// The first `length` places.
    pub fn first(length: usize) -> Self {
        Self::of(0..length)
    }

    /// Its places, in the order of the line.
    pub fn places(self) -> impl Iterator<Item = usize> {
        (0..WINDOW).filter(move |place| self.has(*place))
    }

    /// How many.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// None?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Is this place one of it?
    pub fn has(self, place: usize) -> bool {
        place < WINDOW && self.0 & (1 << place) != 0
    }

    /// Does it hold all of another?
    pub fn holds(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// One more.
    #[must_use]
    pub fn with(self, place: usize) -> Self {
        Self(self.0 | 1 << place)
    }

    /// Less these.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.places()).finish()
    }
}

/// What is known of one line.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// For each place, the places that it builds on, all before it.
    pub line: Vec<Probe>,
    /// What is known to be green on the head.
    pub green: Vec<Probe>,
    /// What is left in the line of each red run, once for each run. One that held a result which was sent back meanwhile
    /// says nothing any more, and is not among them.
    pub red: Vec<Probe>,
    /// What is being verified.
    pub running: Vec<Probe>,
    /// How many runs there may be at a time.
    pub verifiers: usize,
    /// How likely it is that one result breaks the target.
    pub failure_rate: f64,
    /// What the target promises.
    pub guarantee: Guarantee,
    /// Does one red run prove a culprit?
    pub deterministic: bool,
}

/// What to do about a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// These may land now, together.
    pub land: Option<Probe>,
    /// These are culprits.
    pub evict: Vec<usize>,
    /// Verify these.
    pub start: Vec<Probe>,
    /// The answers of these runs are of no use any more.
    pub cancel: Vec<Probe>,
}

/// Decide what to land, whom to send back, and which runs to start and to stop.
pub fn plan(question: &Question) -> Answer {
    let view = View::of(question);
    if let Some(land) = view.landing() {
        return Answer { land: Some(land), ..Answer::default() };
    }
    let evict = view.culprits();
    if !evict.is_empty() {
        return Answer { evict, ..Answer::default() };
    }
    let cancel = view.idle_runs();
    let running: Vec<Probe> = question.running.iter().filter(|run| !cancel.contains(run)).copied().collect();
    let start = view.probes(&running);
    Answer { start, cancel, ..Answer::default() }
}

struct View<'a> {
    asked: &'a Question,
    /// All that is looked at.
    all: Probe,
    /// Those that alone explain a red run.
    suspects: Probe,
    /// All others that do not build on a suspect.
    clear: Probe,
    rate: f64,
}

impl<'a> View<'a> {
    fn of(asked: &'a Question) -> Self {
        let all = Probe::first(asked.line.len().min(WINDOW));
        let suspects = Probe::of(all.places().filter(|place| asked.red.contains(&Probe::of([*place]))));
        let clear = without(&asked.line, all, suspects);
        Self { asked, all, suspects, clear, rate: asked.failure_rate.clamp(0.001, 0.95) }
    }

    fn landing(&self) -> Option<Probe> {
        let green = &self.asked.green;
        match self.asked.guarantee {
            Guarantee::Tip => green.iter().copied().filter(|probe| !probe.is_empty()).max_by_key(|probe| probe.len()),
            Guarantee::Every => {
                // A chain of greens, each of one more.
                let mut landed = Probe::default();
                while let Some(next) = green.iter().find(|probe| probe.holds(landed) && probe.len() == landed.len() + 1)
                {
                    landed = *next;
                }
                (!landed.is_empty()).then_some(landed)
            }
        }
    }

    fn needed(&self) -> usize {
        if self.asked.deterministic { 1 } else { 2 }
    }

    fn evidence(&self, place: usize) -> usize {
        let alone = Probe::of([place]);
        self.asked.red.iter().filter(|red| **red == alone).count()
    }

    fn culprits(&self) -> Vec<usize> {
        self.suspects.places().filter(|place| self.evidence(*place) >= self.needed()).collect()
    }

    /// Runs that hold all of a red one are going to be red as well.
    fn idle_runs(&self) -> Vec<Probe> {
        let is_confirming = |run: Probe| run.len() == 1;
        let fails = |run: Probe| self.asked.red.iter().any(|red| run.holds(*red)) && !is_confirming(run);
        self.asked.running.iter().copied().filter(|run| run.is_empty() || fails(*run)).collect()
    }

    /// The smallest set that is known to hold a culprit, else all that are clear.
    fn universe(&self) -> (Probe, bool) {
        let red = self.asked.red.iter().filter(|red| self.clear.holds(**red)).min_by_key(|red| red.len());
        red.map_or((self.clear, false), |red| (*red, true))
    }

    fn probes(&self, running: &[Probe]) -> Vec<Probe> {
        let free = self.asked.verifiers.max(1).saturating_sub(running.len());
        if free == 0 || self.all.is_empty() {
            return Vec::new();
        }
        if self.asked.guarantee == Guarantee::Every {
            return self.one_by_one(running, free);
        }
        let worlds = self.worlds();
        if self.rate > OFTEN && self.asked.verifiers >= MANY {
            return self.likeliest(&worlds, running, free);
        }
        let mut chosen: Vec<Probe> = Vec::new();
        if running.is_empty() {
            chosen.extend(self.cuts(free));
        }
        let options = self.options();
        while chosen.len() < free {
            let there: Vec<Probe> = running.iter().chain(&chosen).copied().collect();
            let before = self.worth(&worlds, &there);
            let open = options.iter().filter(|option| !there.contains(option));
            let gains = open.map(|option| (self.worth(&worlds, &[&there[..], &[*option]].concat()) - before, *option));
            let best = gains.fold(None, |best: Option<(f64, Probe)>, next| match best {
                Some(best) if best.0 >= next.0 => Some(best),
                _ => Some(next),
            });
            match best {
                Some((gain, option)) if gain >= WORTH || there.is_empty() => chosen.push(option),
                _ => break,
            }
        }
        chosen
    }

    /// The cuts that divide the law of the first culprit into parts of equal probability; a suspect by itself where there
    /// is nothing else.
    fn cuts(&self, verifiers: usize) -> Vec<Probe> {
        let (universe, is_red) = self.universe();
        if universe.is_empty() {
            let single = self.suspects.places().map(|place| closed(&self.asked.line, place));
            return single.take(verifiers).collect();
        }
        let most = if is_red { universe.len() - 1 } else { universe.len() };
        let mass = if is_red { 1.0 - (1.0 - self.rate).powi(universe.len() as i32) } else { 1.0 };
        let mut cuts = Vec::new();
        for part in 1..=verifiers {
            let share = mass * part as f64 / (verifiers + 1) as f64;
            let length = ((1.0 - share).ln() / (1.0 - self.rate).ln()).round() as usize;
            let cut = self.cut(universe, length.clamp(1, most.max(1)));
            if !cuts.contains(&cut) {
                cuts.push(cut);
            }
        }
        cuts
    }

    fn cut(&self, universe: Probe, length: usize) -> Probe {
        let first = Probe::of(universe.places().take(length));
        // What they build on is red-free only together with them.
        first.places().fold(first, |all, place| Probe(all.0 | closed(&self.asked.line, place).0))
    }

    fn options(&self) -> Vec<Probe> {
        let (universe, is_red) = self.universe();
        let mut options = BTreeSet::new();
        for place in self.suspects.places() {
            options.insert(closed(&self.asked.line, place));
        }
        for from in [universe, self.clear] {
            options.extend((1..=from.len()).map(|length| self.cut(from, length)));
        }
        const LIKELY: usize = 16;
        if is_red {
            for culprit in universe.places().take(LIKELY) {
                let rest = without(&self.asked.line, self.clear, Probe::of([culprit]));
                options.insert(rest);
                options.insert(Probe(rest.0 & universe.0));
            }
        }
        let known = |probe: &Probe| {
            probe.is_empty()
                || self.asked.red.iter().any(|red| probe.holds(*red) && probe.len() > 1)
                || self.asked.green.iter().any(|green| green.holds(*probe))
        };
        options.into_iter().filter(|probe| !known(probe)).collect()
    }

    /// How many results these runs settle, on average over the worlds.
    fn worth(&self, worlds: &[Probe], probes: &[Probe]) -> f64 {
        let settled = |bad: Probe| {
            let land = probes.iter().filter(|probe| !probe.meets(bad)).map(|probe| probe.len()).max().unwrap_or(0);
            let alone = Probe::of(probes.iter().filter(|probe| probe.len() == 1).flat_map(|probe| probe.places()));
            let proven = alone.places().filter(|place| bad.has(*place) && self.evidence(*place) + 1 >= self.needed());
            land + proven.count()
        };
        worlds.iter().map(|bad| settled(*bad) as f64).sum::<f64>() / worlds.len().max(1) as f64
    }

    /// Who is bad, in a sample of the worlds that agree with what is known.
    fn worlds(&self) -> Vec<Probe> {
        const SUSPECT: f64 = 0.8;
        let mut random = fastrand::Rng::with_seed(0x9e37_79b9_7f4a_7c15);
        let mut reds = self.asked.red.clone();
        reds.sort_by_key(|red| red.len());
        let mut worlds = Vec::with_capacity(WORLDS);
        for _ in 0..WORLDS {
            let mut bad = Probe::default();
            for place in self.all.places() {
                let chance = if self.suspects.has(place) { SUSPECT } else { self.rate };
                if random.f64() < chance {
                    bad = bad.with(place);
                }
            }
            for red in reds.iter().filter(|red| red.len() > 1) {
                if !red.meets(bad) {
                    bad = bad.with(self.first_culprit(*red, random.f64()));
                }
            }
            worlds.push(bad);
        }
        worlds
    }

    /// The place of the first culprit of a red set, by the truncated geometric law. `at` is where in it, from 0 to 1.
    fn first_culprit(&self, red: Probe, at: f64) -> usize {
        let mass = 1.0 - (1.0 - self.rate).powi(red.len() as i32);
        let index = ((1.0 - at * mass).ln() / (1.0 - self.rate).ln()).floor() as usize;
        red.places().nth(index.min(red.len() - 1)).unwrap_or(0)
    }

    /// The sets that a serial queue would most often come to: each result on what of those before it is good.
    fn likeliest(&self, worlds: &[Probe], running: &[Probe], free: usize) -> Vec<Probe> {
        let mut counts: std::collections::BTreeMap<Probe, usize> = std::collections::BTreeMap::new();
        for place in self.suspects.places() {
            counts.insert(closed(&self.asked.line, place), WORLDS);
        }
        for bad in worlds {
            let mut landed = Probe::default();
            for place in self.clear.places() {
                let needs = closed(&self.asked.line, place);
                if needs.less(Probe::of([place])).meets(*bad) {
                    continue;
                }
                *counts.entry(landed.with(place)).or_default() += 1;
                if !bad.has(place) {
                    landed = landed.with(place);
                }
            }
        }
        let known = |probe: &Probe| self.asked.red.iter().any(|red| *red == *probe && probe.len() > 1);
        let mut options: Vec<(usize, Probe)> = counts.into_iter().map(|(probe, count)| (count, probe)).collect();
        options.retain(|(_, probe)| !running.contains(probe) && !known(probe));
        options.sort_by_key(|(count, probe)| (std::cmp::Reverse(*count), probe.len()));
        let likely = options.iter().filter(|(count, _)| *count as f64 >= WORTH * WORLDS as f64 / 2.0);
        let mut chosen: Vec<Probe> = likely.map(|(_, probe)| *probe).take(free).collect();
        if chosen.is_empty() && running.is_empty() {
            chosen.extend(options.first().map(|(_, probe)| *probe));
        }
        chosen
    }

    /// Each on all before it: what the stronger promise costs.
    fn one_by_one(&self, running: &[Probe], free: usize) -> Vec<Probe> {
        let known = |probe: &Probe| {
            running.contains(probe)
                || self.asked.green.contains(probe)
                || self.asked.red.iter().any(|red| probe.holds(*red))
        };
        let chain = (1..=self.clear.len()).map(|length| Probe::of(self.clear.places().take(length)));
        let mut chosen: Vec<Probe> = chain.filter(|probe| !known(probe)).take(free).collect();
        let single = self.suspects.places().map(|place| closed(&self.asked.line, place));
        let room = free - chosen.len();
        chosen.extend(single.filter(|probe| !running.contains(probe)).take(room));
        chosen
    }
}

/// A place with all that it builds on.
fn closed(line: &[Probe], place: usize) -> Probe {
    let mut all = Probe::of([place]);
    for below in (0..=place).rev().filter(|below| *below < line.len()) {
        if all.has(below) {
            all = Probe(all.0 | line[below].0);
        }
    }
    all
}

/// All of these, less some and what builds on those.
fn without(line: &[Probe], all: Probe, some: Probe) -> Probe {
    all.places().fold(
        Probe::default(),
        |kept, place| {
            if closed(line, place).meets(some) { kept } else { kept.with(place) }
        },
    )
}

/// How likely it is that a result breaks its target: a Beta prior of mean 3 % that weighs as much as ten results, and what
/// was seen since. A suspect is most likely a culprit that has not been sent back yet.
pub fn failure_rate(landed: u64, evicted: u64, suspects: usize) -> f64 {
    const WEIGHT: f64 = 10.0;
    const MEAN: f64 = 0.03;
    const SUSPECT: f64 = 0.8;
    let bad = evicted as f64 + SUSPECT * suspects as f64;
    (MEAN * WEIGHT + bad) / (WEIGHT + landed as f64 + bad)
}
