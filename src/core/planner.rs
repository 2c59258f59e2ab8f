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
//! only when a second run says the same. That may be a longer red run of which all the others have landed meanwhile;
//! where there is none, the second run comes before other work, so that a line that never ends does not keep it waiting.
//! Pure, and the same question always has the same answer.

mod probe;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

pub use probe::{Probe, WINDOW};

pub use super::task::Guarantee;

/// The least number of results that an additional run must be expected to settle.
const WORTH: f64 = 0.3;
/// How likely a suspect is a culprit.
const SUSPECT: f64 = 0.8;
/// How many worlds are sampled.
const WORLDS: usize = 96;
/// From this failure rate on, with this many verifiers, single outcomes are followed instead of cuts.
const OFTEN: f64 = 0.2;
const MANY: usize = 4;

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
    /// What is being verified. The run of a suspect may go on when the head moves: red on the older head it is red, and
    /// green there it is no suspect any more.
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

/// How likely it is that one result breaks the target, learnt from what became of those before it and from what is known
/// to be red: at first 3 %, with the weight of ten results. Red runs that share nothing have a culprit each.
pub fn failure_rate(landed: usize, evicted: usize, red: &[Probe]) -> f64 {
    const MEAN: f64 = 0.03;
    const WEIGHT: f64 = 10.0;
    let mut red = red.to_vec();
    red.sort_by_key(|red| red.len());
    let (culprits, _) = red.iter().fold((0, Probe::default()), |(count, seen), red| match red.meets(seen) {
        true => (count, seen),
        false => (count + 1, seen.and(*red)),
    });
    let evicted = evicted as f64 + SUSPECT * f64::from(culprits);
    (MEAN * WEIGHT + evicted) / (WEIGHT + landed as f64 + evicted)
}

/// Decide what to land, whom to send back, and which runs to start and to stop.
pub fn plan(question: &Question) -> Answer {
    let view = View::of(question);
    if let Some(land) = view.landing() {
        return Answer { land: Some(land), ..Answer::default() };
    }
    let evict: Vec<usize> = view.suspects.places().filter(|place| view.is_proven(*place)).collect();
    if !evict.is_empty() {
        return Answer { evict, ..Answer::default() };
    }
    let is_idle = |run: &Probe| run.is_empty() || run.len() > 1 && view.is_red(*run);
    let (cancel, running): (Vec<Probe>, Vec<Probe>) = question.running.iter().partition(|run| is_idle(run));
    Answer { start: view.probes(&running), cancel, ..Answer::default() }
}

struct View<'a> {
    asked: &'a Question,
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
        Self { asked, suspects, clear, rate: asked.failure_rate.clamp(0.001, 0.95) }
    }

    /// The most that may land; of equals, what stands further ahead.
    fn landing(&self) -> Option<Probe> {
        let mut green: Vec<Probe> = self.asked.green.iter().copied().filter(|probe| self.is_whole(*probe)).collect();
        green.sort_by_key(|probe| (probe.len(), Reverse(*probe)));
        if self.asked.guarantee == Guarantee::Every {
            // Those of which all but the last are green by themselves, and so on down to one.
            let mut chains = BTreeSet::from([Probe::default()]);
            green.retain(|probe| chains.contains(&probe.start(probe.len() - 1)) && chains.insert(*probe));
        }
        green.last().copied()
    }

    /// Does it hold all that its results build on?
    fn is_whole(&self, probe: Probe) -> bool {
        !probe.is_empty() && probe.places().all(|place| self.asked.line.get(place).is_some_and(|on| probe.holds(*on)))
    }

    /// Are there as many red runs of it alone as it takes?
    fn is_proven(&self, place: usize) -> bool {
        let evidence = self.asked.red.iter().filter(|red| **red == Probe::of([place])).count();
        evidence >= if self.asked.deterministic { 1 } else { 2 }
    }

    /// What holds all of a red one is red as well.
    fn is_red(&self, probe: Probe) -> bool {
        self.asked.red.iter().any(|red| probe.holds(*red))
    }

    fn probes(&self, running: &[Probe]) -> Vec<Probe> {
        let free = self.asked.verifiers.max(1).saturating_sub(running.len());
        let mut chosen = self.confirmations(running, free);
        if self.asked.guarantee == Guarantee::Every {
            self.one_by_one(running, free, &mut chosen);
        } else if self.rate > OFTEN && self.asked.verifiers >= MANY {
            self.likeliest(running, free, &mut chosen);
        } else {
            if running.is_empty() {
                chosen.extend(self.cuts(free - chosen.len()));
            }
            self.most_helpful(running, free, &mut chosen);
        }
        chosen
    }

    /// A second run for those of whom nothing else will tell; beside other work they take half of the verifiers.
    fn confirmations(&self, running: &[Probe], free: usize) -> Vec<Probe> {
        let single = self
            .suspects
            .places()
            .filter(|place| self.clear.is_empty() || !self.may_tell(*place))
            .map(|place| Probe::of([place]));
        let (under_way, open): (Vec<Probe>, Vec<Probe>) = single.partition(|single| running.contains(single));
        let share = match self.clear.is_empty() {
            true => free,
            false => self.asked.verifiers.div_ceil(2).saturating_sub(under_way.len()),
        };
        open.into_iter().take(share.min(free)).collect()
    }

    /// Is there another red run that comes down to it when all others of that run have landed?
    fn may_tell(&self, suspect: usize) -> bool {
        self.asked.red.iter().any(|red| red.len() > 1 && red.has(suspect))
    }

    /// The smallest set that is known to hold a culprit, else all that are clear.
    fn universe(&self) -> (Probe, bool) {
        let red = self.asked.red.iter().filter(|red| self.clear.holds(**red)).min_by_key(|red| (red.len(), **red));
        red.map_or((self.clear, false), |red| (*red, true))
    }

    /// The cuts that divide the law of the first culprit into parts of equal probability.
    fn cuts(&self, verifiers: usize) -> Vec<Probe> {
        let (universe, is_red) = self.universe();
        if universe.is_empty() {
            return Vec::new();
        }
        let most = if is_red { universe.len() - 1 } else { universe.len() };
        let mass = if is_red { self.any_bad(universe) } else { 1.0 };
        let share = |part: usize| mass * part as f64 / (verifiers + 1) as f64;
        let length = |part: usize| ((1.0 - share(part)).ln() / (1.0 - self.rate).ln()).round() as usize;
        let mut cuts: Vec<Probe> = (1..=verifiers).map(|part| universe.start(length(part).clamp(1, most))).collect();
        cuts.dedup();
        cuts
    }

    /// How likely one of these or more are bad.
    fn any_bad(&self, probe: Probe) -> f64 {
        1.0 - (1.0 - self.rate).powi(probe.len() as i32)
    }

    /// Add what settles most beside what runs, until it is not worth a run.
    fn most_helpful(&self, running: &[Probe], free: usize, chosen: &mut Vec<Probe>) {
        if chosen.len() >= free {
            return;
        }
        let worlds = self.worlds();
        let options = self.options();
        let mut probes = [running, chosen].concat();
        while chosen.len() < free {
            let before = self.worth(&worlds, &probes);
            let open = options.iter().filter(|option| !probes.contains(option));
            let gains = open.map(|option| (self.worth(&worlds, &[&probes[..], &[*option]].concat()) - before, *option));
            let Some((gain, best)) = gains.max_by(|one, other| one.0.total_cmp(&other.0)) else { break };
            if gain < WORTH {
                break;
            }
            chosen.push(best);
            probes.push(best);
        }
    }

    /// What may help: the starts of what is clear, and, as long as one of some is bad, the others with some of those
    /// behind them.
    fn options(&self) -> BTreeSet<Probe> {
        const LIKELY: usize = 16;
        let (universe, is_red) = self.universe();
        let mut options: BTreeSet<Probe> = self.suspects.places().map(|place| Probe::of([place])).collect();
        for from in [universe, self.clear] {
            options.extend((1..=from.len()).map(|length| from.start(length)));
        }
        if is_red {
            for culprit in universe.places().take(LIKELY) {
                let rest = without(&self.asked.line, self.clear, Probe::of([culprit]));
                // About as many as are good in a row.
                let behind = |part: f64| rest.within(universe).len() + (part / self.rate) as usize;
                options.extend([0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0].map(|part| rest.start(behind(part))));
            }
        }
        options.retain(|probe| !probe.is_empty() && (probe.len() == 1 || !self.is_red(*probe)));
        options
    }

    /// How many results these runs settle, on average over the worlds.
    fn worth(&self, worlds: &[Probe], probes: &[Probe]) -> f64 {
        worlds.iter().map(|bad| self.settled(*bad, probes)).sum::<f64>() / worlds.len() as f64
    }

    /// What lands, and who is then alone in a red run: half of a result for the first, half for the second.
    fn settled(&self, bad: Probe, probes: &[Probe]) -> f64 {
        let green = probes.iter().filter(|probe| !probe.meets(bad));
        let land = green.max_by_key(|probe| probe.len()).copied().unwrap_or_default();
        let (mut once, mut twice) = (Probe::default(), Probe::default());
        let red = probes.iter().filter(|probe| probe.meets(bad));
        for left in red.chain(&self.asked.red).map(|red| red.less(land)).filter(|left| left.len() == 1) {
            twice = twice.and(once.within(left));
            once = once.and(left);
        }
        let proven = if self.asked.deterministic { once } else { twice };
        land.len() as f64 + 0.5 * (once.len() + proven.len()) as f64
    }

    /// Who is bad, in a sample of the worlds that agree with what is known.
    fn worlds(&self) -> Vec<Probe> {
        let mut random = Random(0);
        let mut reds = self.asked.red.clone();
        reds.sort_by_key(|red| red.len());
        let mut world = || {
            let likely = self.suspects.places().filter(|_| random.next() < SUSPECT);
            let mut bad = Probe::of(likely.collect::<Vec<_>>());
            let places = (0..self.asked.line.len().min(WINDOW)).filter(|place| !self.suspects.has(*place));
            bad = bad.and(Probe::of(places.filter(|_| random.next() < self.rate)));
            for red in reds.iter().filter(|red| red.len() > 1) {
                let at = random.next();
                if !red.meets(bad) {
                    bad = bad.with(self.first_culprit(*red, at));
                }
            }
            bad
        };
        (0..WORLDS).map(|_| world()).collect()
    }

    /// The place of the first culprit of a red set, by the truncated geometric law. `at` is where in it, from 0 to 1.
    fn first_culprit(&self, red: Probe, at: f64) -> usize {
        let index = ((1.0 - at * self.any_bad(red)).ln() / (1.0 - self.rate).ln()).floor() as usize;
        red.places().nth(index.min(red.len() - 1)).unwrap_or(0)
    }

    /// The sets that a serial queue would most often come to: each result on what of those before it is good.
    fn likeliest(&self, running: &[Probe], free: usize, chosen: &mut Vec<Probe>) {
        let mut counts: BTreeMap<Probe, usize> = BTreeMap::new();
        for bad in self.worlds() {
            let mut landed = Probe::default();
            for place in self.clear.places() {
                if !landed.holds(self.asked.line[place]) {
                    continue;
                }
                *counts.entry(landed.with(place)).or_default() += 1;
                landed = if bad.has(place) { landed } else { landed.with(place) };
            }
        }
        counts.retain(|probe, _| !running.contains(probe) && !self.is_red(*probe));
        let mut options: Vec<(Probe, usize)> = counts.into_iter().collect();
        options.sort_by_key(|(probe, count)| (Reverse(*count), probe.len()));
        let is_worth = |count: usize| count as f64 >= WORTH / 2.0 * WORLDS as f64;
        for (probe, count) in options.into_iter().take(free - chosen.len()) {
            if is_worth(count) || running.is_empty() && chosen.is_empty() {
                chosen.push(probe);
            }
        }
    }

    /// Each on all before it that may still be good: what the stronger promise costs.
    fn one_by_one(&self, running: &[Probe], free: usize, chosen: &mut Vec<Probe>) {
        let mut before = Probe::default();
        for place in self.clear.places() {
            let probe = before.with(place);
            if self.is_red(probe) || !probe.holds(self.asked.line[place]) {
                continue;
            }
            before = probe;
            if chosen.len() < free && !running.contains(&probe) && !self.asked.green.contains(&probe) {
                chosen.push(probe);
            }
        }
    }
}

/// All of these, less some and what builds on those.
fn without(line: &[Probe], all: Probe, some: Probe) -> Probe {
    let gone = all.places().fold(some, |gone, place| if line[place].meets(gone) { gone.with(place) } else { gone });
    all.less(gone)
}

/// The same numbers on every machine and in every release (splitmix64).
struct Random(u64);

impl Random {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests;
