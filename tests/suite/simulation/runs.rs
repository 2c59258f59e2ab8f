//! Runs of checks: what outlives a coordinator of them, and the shims that lead them.

use std::collections::BTreeMap;

use pleach::core::id::CommitId;
use pleach::core::inventory::Shim as Seen;
use pleach::core::verify::Verdict;

use super::repo::Content;
use super::world::{Check, Fault, World, ensure};

#[derive(Default)]
pub(crate) struct Runs {
    pub(crate) rigs: BTreeMap<u32, Rig>,
    pub(crate) shims: Vec<RunShim>,
    /// What each pooled worktree holds.
    slots: BTreeMap<u32, Content>,
}

/// What is on disk of a run.
#[derive(Default)]
pub(crate) struct Rig {
    pub(crate) spec: Option<Spec>,
    /// A shim ran it, or will never.
    pub(crate) claimed: bool,
    pub(crate) exit: Option<Verdict>,
    pub(crate) is_running: bool,
    pub(crate) is_told: bool,
}

#[derive(Clone)]
pub(crate) struct Spec {
    pub(crate) slot: u32,
    pub(crate) commit: CommitId,
    pub(crate) command: String,
    pub(crate) deterministic: bool,
}

pub(crate) struct RunShim {
    pub(crate) number: u32,
    pub(crate) phase: Phase,
}

#[derive(Clone)]
pub(crate) enum Phase {
    /// It has no lock yet, and nobody can see it.
    Spawned,
    Locked,
    Running(usize),
    Ended(Verdict),
}

impl Runs {
    pub(crate) fn seen(&self, number: u32) -> Seen {
        let Some(rig) = self.rigs.get(&number) else { return Seen::Absent };
        let has_lock = |shim: &RunShim| shim.number == number && !matches!(shim.phase, Phase::Spawned);
        match () {
            () if rig.exit.is_some() => Seen::Exited,
            () if self.shims.iter().any(has_lock) => Seen::Alive,
            () if rig.claimed => Seen::Dead,
            () => Seen::Absent,
        }
    }

    pub(crate) fn is_spawning(&self, number: u32) -> bool {
        self.shims.iter().any(|shim| shim.number == number && matches!(shim.phase, Phase::Spawned))
    }

    pub(crate) fn lose_power(&mut self) {
        self.shims.clear();
        self.rigs.values_mut().for_each(|rig| rig.is_running = false);
    }
}

impl World {
    pub(crate) fn maybe_kill_a_run(&mut self) {
        if self.befalls(self.shape.run_dies) && !self.runs.shims.is_empty() {
            let unlucky = self.rng.below(self.runs.shims.len());
            let shim = self.runs.shims.swap_remove(unlucky);
            self.say(|| format!("kill -9 of the shim of run {}", shim.number));
            self.wake();
        }
    }

    /// One effect of the shim of a run, or the end of one that has lost its shim.
    pub(crate) fn run_step(&mut self) -> Check {
        if self.rng.one_in(6) {
            let has_shim = |number: &u32| self.runs.seen(*number) == Seen::Alive;
            let orphan = self.runs.rigs.iter().find(|(number, rig)| rig.is_running && !has_shim(number));
            if let Some(number) = orphan.map(|(number, _)| *number) {
                self.rig(number).is_running = false;
            }
        }
        if self.runs.shims.is_empty() {
            return Ok(());
        }
        let i = self.rng.below(self.runs.shims.len());
        let (number, phase) = (self.runs.shims[i].number, self.runs.shims[i].phase.clone());
        // To come up takes a while now and then: a death of the coordinator, or another wish, may come first.
        if matches!(phase, Phase::Spawned) && !self.is_calm && self.rng.one_in(2) {
            return Ok(());
        }
        match self.run_after(number, phase)? {
            Some(phase) => self.runs.shims[i].phase = phase,
            None => drop(self.runs.shims.swap_remove(i)),
        }
        Ok(())
    }

    pub(crate) fn rig(&mut self, number: u32) -> &mut Rig {
        self.runs.rigs.entry(number).or_default()
    }

    fn run_after(&mut self, number: u32, phase: Phase) -> Check<Option<Phase>> {
        let rig = self.runs.rigs.entry(number).or_default();
        Ok(match phase {
            Phase::Spawned => {
                let may_run = rig.spec.is_some() && !rig.claimed;
                rig.claimed |= may_run;
                self.say(|| format!("shim of run {number} {}", if may_run { "locks" } else { "leaves" }));
                self.wake();
                may_run.then_some(Phase::Locked)
            }
            Phase::Locked => {
                let spec = rig.spec.clone().ok_or("a run without a spec")?;
                self.check_run_begins(number, &spec)?;
                self.rig(number).is_running = true;
                let content = self.repo.content(spec.commit);
                let slot = self.runs.slots.entry(spec.slot).or_insert(content);
                if self.fault != Fault::StaleSlot {
                    *slot = content;
                }
                Some(Phase::Running(self.rng.below(if self.shape.is_queue { 12 } else { 4 })))
            }
            Phase::Running(_) if rig.is_told => Some(self.run_ends(number, Verdict::Cancelled)),
            Phase::Running(0) => {
                let spec = rig.spec.clone().ok_or("a run without a spec")?;
                let verdict = self.answer(&spec);
                Some(self.run_ends(number, verdict))
            }
            Phase::Running(left) => Some(Phase::Running(left - 1)),
            Phase::Ended(verdict) => {
                rig.exit.get_or_insert(verdict);
                self.say(|| format!("shim of run {number} writes its exit record"));
                self.wake();
                None
            }
        })
    }

    fn run_ends(&mut self, number: u32, verdict: Verdict) -> Phase {
        self.say(|| format!("run {number} ends: {verdict}"));
        self.rig(number).is_running = false;
        Phase::Ended(verdict)
    }

    /// What the check says of what is really in the slot.
    fn answer(&mut self, spec: &Spec) -> Verdict {
        if self.befalls(self.shape.run_fails) {
            let broken = Verdict::Broken { reason: "no space left".to_owned() };
            return self.rng.pick(&[Verdict::TimedOut, broken]).clone();
        }
        let content = self.runs.slots.get(&spec.slot).copied().unwrap_or_default();
        let is_flaky = !spec.deterministic && self.befalls(self.shape.flakes);
        if is_flaky || self.repo.is_bad(&spec.command, content) {
            let dirty = Verdict::Dirty { paths: vec!["lock".into()] };
            return self.rng.pick(&[Verdict::Red { code: Some(1) }, Verdict::Red { code: None }, dirty]).clone();
        }
        self.ledger.verdicts.gave_green(&spec.command, content);
        Verdict::Green
    }

    fn check_run_begins(&self, number: u32, spec: &Spec) -> Check {
        for (other, rig) in &self.runs.rigs {
            let shares = rig.is_running && rig.spec.as_ref().is_some_and(|there| there.slot == spec.slot);
            ensure!(!shares, "runs {other} and {number} share slot {}", spec.slot);
        }
        ensure!(self.repo.is_reachable(spec.commit), "a gc would take the candidate of run {number}");
        Ok(())
    }
}
