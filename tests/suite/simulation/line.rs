//! A line of results and its verifiers, in maps: what a coordinator keeps for the planner, without a repository.
//!
//! [`Line`] does what the planner answers and checks each answer against what nobody may ever do. Whoever drives it
//! says which run ends next and how: [`Game::play`] here, where it is known who is bad, and the tests with held
//! verifiers. The bench of the merge queue plays the same game.

use std::collections::{BTreeMap, BTreeSet};

use pleach::core::planner::{self, Answer, Guarantee, Probe, Question};

use super::rng::Rng;

/// Results, by their numbers.
pub(crate) type Ids = BTreeSet<usize>;

/// What a target promises, and with what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) verifiers: usize,
    pub(crate) guarantee: Guarantee,
    pub(crate) deterministic: bool,
}

/// A run that is under way.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// What of it has not landed yet.
    pub(crate) ids: Ids,
    /// How many had landed on the head that it is of. Of an older head, it can still be red, but cannot land.
    pub(crate) onto: usize,
    /// When it ends.
    pub(crate) due: usize,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Start(Ids),
    Cancel(Ids),
    Green(Ids),
    Red(Ids),
    /// Green, on an older head.
    Clear(Ids),
    Land(Ids),
    Evict(usize),
    /// It builds on what was sent back.
    Hold(usize),
}

/// The line of one target.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) terms: Terms,
    needs: BTreeMap<usize, Ids>,
    pub(crate) waiting: Vec<usize>,
    pub(crate) landed: Vec<usize>,
    pub(crate) evicted: Vec<usize>,
    pub(crate) held: Vec<usize>,
    pub(crate) running: Vec<Run>,
    green: Vec<Ids>,
    red: Vec<Ids>,
    pub(crate) history: Vec<Step>,
}

impl Line {
    /// So many results; what some of them build on comes before them.
    pub(crate) fn new(terms: Terms, length: usize, needs: BTreeMap<usize, Ids>) -> Self {
        let waiting = (0..length).collect();
        let (landed, evicted, held) = Default::default();
        let (running, green, red, history) = Default::default();
        Self { terms, needs, waiting, landed, evicted, held, running, green, red, history }
    }

    /// What the planner is asked.
    pub(crate) fn question(&self) -> Question {
        let red: Vec<Probe> = self.red.iter().map(|ids| self.probe(ids)).collect();
        Question {
            line: self
                .waiting
                .iter()
                .map(|id| self.needs.get(id).map_or(Probe::default(), |ids| self.probe(ids)))
                .collect(),
            green: self.green.iter().map(|ids| self.probe(ids)).collect(),
            running: self.running.iter().map(|run| self.probe(&run.ids)).collect(),
            verifiers: self.terms.verifiers,
            failure_rate: planner::failure_rate(self.landed.len(), self.evicted.len(), &red),
            red,
            guarantee: self.terms.guarantee,
            deterministic: self.terms.deterministic,
        }
    }

    /// Do all that the planner says, until all that is left is to wait. `due` says when a run that starts now ends.
    pub(crate) fn turn(&mut self, mut due: impl FnMut() -> usize) {
        while !self.waiting.is_empty() {
            let question = self.question();
            let answer = planner::plan(&question);
            self.check(&question, &answer);
            self.cancel(&answer.cancel);
            if let Some(land) = answer.land {
                self.land(&self.ids(land));
            } else if !answer.evict.is_empty() {
                let out: Vec<usize> = answer.evict.iter().map(|place| self.waiting[*place]).collect();
                self.evict(&out);
            } else {
                for ids in answer.start.iter().map(|probe| self.ids(*probe)).collect::<Vec<_>>() {
                    self.history.push(Step::Start(ids.clone()));
                    self.running.push(Run { ids, onto: self.landed.len(), due: due() });
                }
                assert!(!self.running.is_empty(), "it stands still: {question:?}");
                return;
            }
        }
        self.running.clear();
    }

    /// A run comes back.
    pub(crate) fn answer(&mut self, at: usize, is_red: bool) {
        let Run { ids, onto, .. } = self.running.remove(at);
        if !is_red && onto < self.landed.len() {
            // It cannot land like this, but it is no suspect any more.
            self.red.retain(|red| *red != ids);
            self.history.push(Step::Clear(ids));
            return;
        }
        self.history.push(if is_red { Step::Red(ids.clone()) } else { Step::Green(ids.clone()) });
        if is_red { &mut self.red } else { &mut self.green }.push(ids);
    }

    /// A result is no longer in the line, for a reason of its own: it conflicts, or somebody took it back.
    pub(crate) fn leave(&mut self, id: usize) {
        self.waiting.retain(|waiting| *waiting != id);
        let has = |ids: &Ids| ids.contains(&id);
        self.green.retain(|ids| !has(ids));
        self.red.retain(|ids| !has(ids));
        let running = std::mem::take(&mut self.running);
        let (gone, kept): (Vec<Run>, Vec<Run>) = running.into_iter().partition(|run| has(&run.ids));
        self.running = kept;
        self.history.extend(gone.into_iter().map(|run| Step::Cancel(run.ids)));
        while let Some(dependent) =
            self.waiting.iter().copied().find(|waiting| self.needs.get(waiting).is_some_and(has))
        {
            self.history.push(Step::Hold(dependent));
            self.held.push(dependent);
            self.leave(dependent);
        }
    }

    fn land(&mut self, land: &Ids) {
        self.history.push(Step::Land(land.clone()));
        let before = self.landed.len();
        self.landed.extend(land);
        self.waiting.retain(|id| !land.contains(id));
        // A tree that holds all that landed is the same tree on the new head; the others are of no use.
        let left = |ids: &Ids| -> Ids { ids.difference(land).copied().collect() };
        let stays = |ids: &Ids| ids.is_superset(land) && ids.len() > land.len();
        self.green.retain(&stays);
        self.green.iter_mut().for_each(|ids| *ids = left(ids));
        self.red.iter_mut().for_each(|ids| *ids = left(ids));
        self.red.retain(|ids| !ids.is_empty());
        for run in std::mem::take(&mut self.running) {
            let is_suspect = self.red.contains(&run.ids) && run.ids.len() == 1;
            match stays(&run.ids) && run.onto == before {
                true => self.running.push(Run { ids: left(&run.ids), onto: self.landed.len(), ..run }),
                // Red on the older head is red on the new one. A line that lands all the time must not keep it waiting.
                false if is_suspect => self.running.push(run),
                false => self.history.push(Step::Cancel(run.ids)),
            }
        }
    }

    fn evict(&mut self, out: &[usize]) {
        for id in out {
            self.history.push(Step::Evict(*id));
            self.evicted.push(*id);
            self.leave(*id);
        }
    }

    fn cancel(&mut self, probes: &[Probe]) {
        for ids in probes.iter().map(|probe| self.ids(*probe)).collect::<Vec<_>>() {
            self.running.retain(|run| run.ids != ids);
            self.history.push(Step::Cancel(ids));
        }
    }

    /// What no answer may say.
    fn check(&self, question: &Question, answer: &Answer) {
        let cancelled = |run: &&Probe| !answer.cancel.contains(run);
        let mut running: Vec<Probe> = question.running.iter().filter(cancelled).copied().collect();
        for start in &answer.start {
            let is_single = start.len() == 1;
            assert!(!start.is_empty(), "nothing is a question: {answer:?}");
            assert!(!running.contains(start), "{start:?} runs already: {question:?}");
            assert!(!question.green.contains(start), "{start:?} is known to be green: {question:?}");
            assert!(is_single || !question.red.contains(start), "{start:?} is known to be red: {question:?}");
            self.check_needs(question, *start);
            running.push(*start);
        }
        assert!(running.len() <= self.terms.verifiers, "more runs than verifiers: {answer:?} to {question:?}");
        if let Some(land) = answer.land {
            assert!(question.green.contains(&land), "{land:?} was never green: {question:?}");
            self.check_needs(question, land);
        }
    }

    fn check_needs(&self, question: &Question, probe: Probe) {
        for place in probe.places() {
            assert!(probe.holds(question.line[place]), "{probe:?} lacks what {place} builds on: {question:?}");
        }
    }

    fn probe(&self, ids: &Ids) -> Probe {
        Probe::of(ids.iter().filter_map(|id| self.waiting.iter().position(|waiting| waiting == id)))
    }

    fn ids(&self, probe: Probe) -> Ids {
        probe.places().map(|place| self.waiting[place]).collect()
    }
}

/// A line of which is known who is bad.
#[derive(Clone, Debug)]
pub(crate) struct Game {
    pub(crate) terms: Terms,
    pub(crate) bad: Vec<bool>,
    /// Pairs that break only together.
    pub(crate) clashes: Vec<(usize, usize)>,
    pub(crate) needs: BTreeMap<usize, Ids>,
    /// How likely a run of good results comes back red.
    pub(crate) flakes: f64,
    /// The longest that one run takes; each takes at least 1.
    pub(crate) longest: usize,
}

/// How a game went.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) runs: usize,
    pub(crate) wall: usize,
    pub(crate) line: Line,
}

impl Game {
    /// A game without clashes, needs or flakes.
    pub(crate) fn new(terms: Terms, bad: Vec<bool>) -> Self {
        Self { terms, bad, clashes: Vec::new(), needs: BTreeMap::new(), flakes: 0.0, longest: 1 }
    }

    /// Are these broken on a head of those?
    pub(crate) fn is_red(&self, landed: &[usize], ids: &Ids) -> bool {
        let has = |id: &usize| ids.contains(id) || landed.contains(id);
        ids.iter().any(|id| self.bad[*id]) || self.clashes.iter().any(|(one, other)| has(one) && has(other))
    }

    /// From the first run to the end of the line.
    pub(crate) fn play(&self, random: &mut Rng) -> Played {
        let mut line = Line::new(self.terms, self.bad.len(), self.needs.clone());
        let (mut now, mut runs) = (0, 0);
        loop {
            line.turn(|| {
                runs += 1;
                now + 1 + random.below(self.longest)
            });
            assert!(runs < 100_000, "it does not come to an end");
            let Some(due) = line.running.iter().map(|run| run.due).min() else { break };
            now = due;
            while let Some(at) = line.running.iter().position(|run| run.due == now) {
                let is_red = self.is_red(&line.landed[..line.running[at].onto], &line.running[at].ids)
                    || random.chance(self.flakes);
                line.answer(at, is_red);
            }
        }
        Played { runs, wall: now, line }
    }
}
