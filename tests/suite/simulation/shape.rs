//! How a world is: what is wrong with it, and how wild it is.

use pleach::core::policy::Limits;
use pleach::core::task::Guarantee;
use pleach::core::verify::Check;

use super::rng::Rng;

/// A way in which the world around the core can be built wrongly. Each must be noticed, or the checks are blind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// An event is believed, and acted on, before it is durable.
    BelieveFirst,
    /// A new coordinator acts on what it reads without making it durable first.
    BelieveWhatIsRead,
    /// The target is set, whatever it is by now.
    LandBlindly,
    /// Nobody looks whether the landing is done already.
    ForgetLanding,
    /// The target and the ref that says so move in two transactions.
    LandInTwoSteps,
    /// A shim runs its task although another shim did so before.
    RunTwice,
    /// An attempt is abandoned without making sure that no shim comes up any more.
    AbandonUnclaimed,
    /// The same for an attempt whose launch failed.
    FailUnclaimed,
    /// A launch that is done over does its checkout over.
    CheckOutAgain,
    /// The base is not pinned.
    ForgetPin,
    /// No kept ref is made.
    KeepNothing,
    /// What gc freed of a fold is not kept anew when it is taken back.
    UndoKeepsNothing,
    /// A dead shim's task is not killed before the snapshot.
    SalvageAlive,
    /// The exit record is written before what was left is committed.
    ExitFirst,
    /// The worktree is said to be gone before it is.
    RemovedFirst,
    /// Whoever makes a candidate does not look which slots others have in hand.
    ShareSlots,
    /// A candidate is not pinned.
    ForgetCandidate,
    /// A new coordinator leaves the pins of candidates that were never verified.
    LeaveCandidates,
    /// A run is judged without making sure that no shim comes up for it any more.
    JudgeUnclaimed,
    /// What a dead shim's run left running is not ended before it is judged.
    JudgeAlive,
    /// A slot is verified as it was left.
    StaleSlot,
    /// A verdict is looked up by its check alone.
    AnyVerdict,
    /// Of those that land together, only the first gets a mark.
    MarkTheFirst,
    /// A plan that a death cut short is landed all the same.
    LandHalfAPlan,
}

impl Fault {
    pub(crate) const ALL: [Self; 24] = [
        Self::BelieveFirst,
        Self::BelieveWhatIsRead,
        Self::LandBlindly,
        Self::ForgetLanding,
        Self::LandInTwoSteps,
        Self::RunTwice,
        Self::AbandonUnclaimed,
        Self::FailUnclaimed,
        Self::CheckOutAgain,
        Self::ForgetPin,
        Self::KeepNothing,
        Self::UndoKeepsNothing,
        Self::SalvageAlive,
        Self::ExitFirst,
        Self::RemovedFirst,
        Self::ShareSlots,
        Self::ForgetCandidate,
        Self::LeaveCandidates,
        Self::JudgeUnclaimed,
        Self::JudgeAlive,
        Self::StaleSlot,
        Self::AnyVerdict,
        Self::MarkTheFirst,
        Self::LandHalfAPlan,
    ];
}

/// How wild a seed is. A rate of 0 is never, of `n` once in `n` chances.
pub(crate) struct Shape {
    pub(crate) tasks: usize,
    pub(crate) steps: usize,
    pub(crate) limits: Limits,
    pub(crate) coordinator_dies: usize,
    pub(crate) shim_dies: usize,
    pub(crate) power_fails: usize,
    pub(crate) others_push: usize,
    pub(crate) launch_fails: usize,
    /// The checkout is edited in one of so many spans of time.
    pub(crate) held: i64,
    /// What results may have to pass, the usual one first; none where nothing is set up.
    pub(crate) checks: Vec<Check>,
    pub(crate) is_queue: bool,
    pub(crate) flakes: usize,
    pub(crate) run_fails: usize,
    pub(crate) run_dies: usize,
}

impl Shape {
    pub(crate) fn of(rng: &mut Rng) -> Self {
        let groups = [("a".to_owned(), 1), ("b".to_owned(), 2)].into();
        let checks = checks(rng);
        // Mostly good results that queue up behind slow runs.
        let is_queue = !checks.is_empty() && rng.one_in(2);
        Self {
            checks,
            is_queue,
            flakes: *rng.pick(&[0, 0, 10]),
            run_fails: *rng.pick(&[0, 0, 20, 4]),
            run_dies: *rng.pick(&[0, 0, 60]),
            tasks: if is_queue { 5 + rng.below(8) } else { 2 + rng.below(9) },
            steps: if is_queue { 300 + rng.below(500) } else { 100 + rng.below(300) },
            limits: Limits {
                tasks: 1 + rng.below(4),
                groups,
                cores: 1 + rng.below(4),
                disk_floor: 1000,
                memory_floor: 0,
            },
            coordinator_dies: *rng.pick(&[0, 20, 50, 150]),
            shim_dies: *rng.pick(&[0, 40, 100]),
            power_fails: *rng.pick(&[0, 0, 100, 200]),
            others_push: *rng.pick(if is_queue { &[0, 0, 15] } else { &[0, 5, 15] }),
            launch_fails: *rng.pick(&[0, 0, 12]),
            held: *rng.pick(&[0, 0, 3]),
        }
    }
}

fn checks(rng: &mut Rng) -> Vec<Check> {
    let count = *rng.pick(&[0, 1, 1, 1, 2]);
    let check = |number: usize| Check {
        command: ["usual", "other"][number].to_owned(),
        deterministic: rng.one_in(2),
        guarantee: *rng.pick(&[Guarantee::Tip, Guarantee::Tip, Guarantee::Every]),
        cores: *rng.pick(&[None, Some(100), Some(100), Some(200)]),
        expire: *rng.pick(&[None, None, Some(200)]),
        no_cache: rng.one_in(5),
        early: rng.one_in(3),
        ..Check::default()
    };
    (0..count).map(check).collect()
}
