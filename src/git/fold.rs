//! Landing: the target moves by one compare-and-swap, and its checkout moves with it.
//!
//! The order, and why any instant of it may be the last one:
//! 1. Look: is it done, is the target still where it was planned on, who has it checked out. Nothing was touched so far.
//! 2. The intent is written down: from here on we may find our own half-done work (`resume`). Is anything in that
//!    checkout in the way (`checkout`)?
//! 3. `update-ref --stdin` prepares the transaction in that checkout: the locks of the target and of its HEAD are
//!    ours, so nobody commits or switches there. If we die, it sees the end of its input and lets go.
//! 4. Files and index move, by ourselves where that is plain (`advance`), else by `read-tree -m -u`. All is checked before
//!    anything is written, but it is not atomic: cut off in the middle it leaves some files new and the index old, and
//!    the next landing first takes those back.
//! 5. The transaction is committed.
//!
//! With reftable, a prepared transaction would lock every ref of the repository: there 4 comes first, then one
//! compare-and-swap, and a lost one takes the files back.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::advance::{Advance, Advanced};
use super::checkout::{self, TreeChange};
use super::listed::{self, Head};
use super::opened::Opened;
use super::resume::{self, Intent, Restored};
use super::{GitError, Repository, untouched};
use crate::core::change::{Hold, Landing};
use crate::core::id::{BranchName, CommitId};
use crate::core::word::Word;
use crate::process::Tool;
use crate::process::tool::Conversation;

pub use super::checkout::{CheckoutOf, checkouts_of};
pub use super::fold_lock::FoldLock;

/// How often we look again while somebody else's git holds a lock, and how long between.
const PATIENCE: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// What came of a landing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fold {
    /// The target holds it, and the checkout, if there is one, shows it.
    Done,
    /// The target is not at the head that was planned on; nothing was touched.
    Moved,
    /// Something is in the way; nothing was touched.
    Held(Hold),
}

/// Land, or finish a landing that was cut off at any instant.
///
/// `marks` are refs that are set in the same transaction. `at` is told each named point: `land.locked`,
/// `land.prepared`, `land.files_written`, `land.tree_updated`, `land.committed`.
///
/// # Errors
/// Where git cannot be run, or files of the git directory cannot be read or written. Then nothing is known, and
/// calling again finds out.
pub fn land(
    repo: &Repository,
    lock: &FoldLock,
    target: &BranchName,
    landing: &Landing,
    marks: &[(String, CommitId)],
    at: &dyn Fn(&'static str),
) -> Result<Fold, GitError> {
    let target = &aim(repo, target)?;
    let intent = Intent::of(repo, landing);
    let lander = Lander { repo, lock, target, landing, marks, at, intent: &intent };
    for _ in 0..PATIENCE {
        match lander.attempt()? {
            Attempt::Again => std::thread::sleep(PAUSE),
            Attempt::Ended(fold) => {
                intent.forget()?;
                return Ok(fold);
            }
            Attempt::NotOurs(hold) => return Ok(Fold::Held(hold)),
        }
    }
    let reason = match lock.words() {
        words if words.is_empty() => "another git process is at work there".to_owned(),
        words => words,
    };
    Ok(Fold::Held(Hold::Refused { reason }))
}

/// What a landing would meet now in the checkout of its target: nothing is moved, and the answer may be another one by the
/// time that somebody lands. `None` where nothing is in the way.
///
/// # Errors
/// As [`land`].
pub fn preview(repo: &Repository, target: &BranchName, landing: &Landing) -> Result<Option<Hold>, GitError> {
    let lock = FoldLock::acquire(repo)?;
    let target = &aim(repo, target)?;
    let opened = repo.open();
    let checkouts = checkout::checkouts_in(&opened, target)?;
    if let Some(hold) = checkout::doubtful(target, &checkouts) {
        return Ok(Some(hold));
    }
    if let Some(hold) = checkout::unfinished(repo, target, &checkouts)? {
        return Ok(Some(hold));
    }
    match checkouts.as_slice() {
        [] => Ok(None),
        [checkout] => {
            let change = TreeChange::between(&opened, landing.from, landing.to)?;
            let paths = checkout::in_the_way(&lock, checkout, &change)?;
            Ok((!paths.is_empty()).then(|| overlap(checkout, paths)))
        }
        several => Ok(Some(several_checkouts(several))),
    }
}

fn several_checkouts(checkouts: &[CheckoutOf]) -> Hold {
    let checkouts = checkouts.iter().map(|checkout| checkout.top.as_path().into()).collect();
    Hold::SeveralCheckouts { checkouts }
}

/// The branch that a branch leads to, where it is a symbolic ref. (Only a file can be one, not a packed ref.)
fn aim(repo: &Repository, target: &BranchName) -> Result<BranchName, GitError> {
    let common = repo.common_dir();
    if listed::refs_are_files(common)
        && let Some(None | Some(Head::Commit(_))) = listed::ref_file(&common.join(target.full()))
    {
        return Ok(target.clone());
    }
    let answer = repo.git().args(["symbolic-ref", "--quiet", &target.full()]).output()?;
    let named = BranchName::from_full(String::from_utf8_lossy(&answer.stdout).trim());
    Ok(named.filter(|_| answer.code == Some(0)).unwrap_or_else(|| target.clone()))
}

enum Attempt {
    /// This is the answer, and nothing is half done.
    Ended(Fold),
    /// Our half-done work is there, but somebody wrote over it: the intent is kept for the next time.
    NotOurs(Hold),
    /// Somebody moved, or holds a lock: look again.
    Again,
}

struct Lander<'a> {
    repo: &'a Repository,
    lock: &'a FoldLock,
    target: &'a BranchName,
    landing: &'a Landing,
    marks: &'a [(String, CommitId)],
    at: &'a dyn Fn(&'static str),
    intent: &'a Intent,
}

impl Lander<'_> {
    fn attempt(&self) -> Result<Attempt, GitError> {
        let opened = self.repo.open();
        let checkouts = checkout::checkouts_in(&opened, self.target)?;
        if let Some(hold) = checkout::doubtful(self.target, &checkouts) {
            return Ok(Attempt::NotOurs(hold));
        }
        let change = TreeChange::between(&opened, self.landing.from, self.landing.to)?;
        let mut is_ahead = false;
        if self.intent.is_there() {
            resume::clear_locks(self.repo, self.intent, &checkouts, &self.refs(), &change, self.landing.to)?;
            for checkout in &checkouts {
                match resume::restore(self.lock, checkout, &change)? {
                    Restored::Old => {}
                    Restored::New => is_ahead = true,
                    Restored::NotOurs(paths) => return Ok(Attempt::NotOurs(overlap(checkout, paths))),
                }
            }
        }
        let Some(head) = opened.ref_value(&self.target.full())? else {
            return Ok(Attempt::Ended(Fold::Held(Hold::NoTarget { target: self.target.clone() })));
        };
        if opened.is_ancestor(self.landing.to, head)? {
            return self.mark();
        }
        if head != self.landing.from {
            if let (true, [checkout]) = (is_ahead, checkouts.as_slice()) {
                self.take_back(checkout, &change, head)?;
            }
            return Ok(Attempt::Ended(Fold::Moved));
        }
        if let Some(hold) = checkout::unfinished(self.repo, self.target, &checkouts)? {
            return Ok(Attempt::Ended(Fold::Held(hold)));
        }
        match checkouts.as_slice() {
            [] => self.ref_alone(),
            [checkout] if is_ahead => self.commit_only(checkout, &change),
            [checkout] => self.with_checkout(&opened, checkout, &change),
            several => Ok(Attempt::Ended(Fold::Held(several_checkouts(several)))),
        }
    }

    /// All refs of the transaction.
    fn refs(&self) -> Vec<String> {
        std::iter::once(self.target.full()).chain(self.marks.iter().map(|(name, _)| name.clone())).collect()
    }

    /// It is in the target; the marks may still be missing (a transaction is written ref by ref).
    fn mark(&self) -> Result<Attempt, GitError> {
        let mut missing = Vec::new();
        for (name, commit) in self.marks {
            if self.repo.ref_value(name)? != Some(*commit) {
                missing.push(super::refs::RefChange::Set(name.clone(), *commit));
            }
        }
        Ok(match self.repo.update_refs(&missing, "pleach: fold")? {
            super::refs::Swap::Done => Attempt::Ended(Fold::Done),
            super::refs::Swap::Refused(words) if is_lock(&words) => Attempt::Again,
            super::refs::Swap::Refused(reason) => Attempt::Ended(Fold::Held(Hold::Refused { reason })),
        })
    }

    /// Nobody has it checked out.
    fn ref_alone(&self) -> Result<Attempt, GitError> {
        self.intent.write()?;
        (self.at)("land.locked");
        let Some(transaction) = Transaction::prepare(self, self.repo.git())? else { return self.not_prepared() };
        (self.at)("land.prepared");
        if !checkouts_of(self.repo, self.target)?.is_empty() {
            transaction.abort()?;
            return Ok(Attempt::Again);
        }
        (self.at)("land.tree_updated");
        self.committed(transaction)
    }

    fn with_checkout(
        &self,
        opened: &Opened<'_>,
        checkout: &CheckoutOf,
        change: &TreeChange,
    ) -> Result<Attempt, GitError> {
        // Even the looks below take the lock of the index for a moment, and leave it if they are killed.
        self.intent.write()?;
        let untouched = untouched::surely_untouched(checkout, change);
        let is_by_times = untouched.as_ref().is_some_and(|untouched| untouched.is_by_times);
        let advance = untouched.and_then(|seen| Advance::prepare(opened, checkout, change, seen.index));
        let is_plain = advance.is_some() || is_by_times;
        let paths = match is_plain {
            true => checkout::in_place_of_added(checkout, change)?.into_iter().collect(),
            false => checkout::in_the_way(self.lock, checkout, change)?,
        };
        if !paths.is_empty() {
            return Ok(Attempt::Ended(Fold::Held(overlap(checkout, paths))));
        }
        if !is_plain && !self.lock.run(self.read_tree(checkout, &["-n"]))? {
            return self.tree_refused(checkout, change);
        }
        (self.at)("land.locked");
        if self.repo.common_dir().join("reftable").is_dir() {
            return self.tree_first(checkout, change);
        }
        let Some(transaction) = Transaction::prepare(self, checkout.git())? else { return self.not_prepared() };
        (self.at)("land.prepared");
        // From here nobody can switch away; until now somebody could.
        if !checkout.is_on(self.repo, self.target)? {
            transaction.abort()?;
            return Ok(Attempt::Again);
        }
        match self.advance(checkout, advance)? {
            Advanced::Done => {}
            Advanced::Untouched => {
                transaction.abort()?;
                return Ok(Attempt::Again);
            }
            Advanced::Failed(words) => {
                transaction.abort()?;
                return self.tree_failed(checkout, change, words);
            }
        }
        (self.at)("land.tree_updated");
        self.committed(transaction)
    }

    /// Bring the checkout to the new tree.
    fn advance(&self, checkout: &CheckoutOf, advance: Option<Advance<'_>>) -> Result<Advanced, GitError> {
        if let Some(advance) = advance {
            let advanced = advance.run(self.at);
            if let Ok(Advanced::Untouched) = advanced {
                self.lock.complain("somebody else holds the index.lock of the checkout");
            }
            return Ok(advanced.unwrap_or_else(Advanced::Failed));
        }
        let is_done = self.lock.run(self.read_tree(checkout, &[]))?;
        Ok(if is_done { Advanced::Done } else { Advanced::Failed(self.lock.words()) })
    }

    /// The files are there already, from before we were cut off.
    fn commit_only(&self, checkout: &CheckoutOf, change: &TreeChange) -> Result<Attempt, GitError> {
        let Some(transaction) = Transaction::prepare(self, checkout.git())? else {
            let words = self.lock.words();
            let attempt = self.not_prepared()?;
            if matches!(attempt, Attempt::Ended(Fold::Held(_))) {
                self.go_back(checkout, change)?;
                return Ok(Attempt::Ended(Fold::Held(Hold::Refused { reason: words })));
            }
            return Ok(attempt);
        };
        if !checkout.is_on(self.repo, self.target)? {
            transaction.abort()?;
            return Ok(Attempt::Again);
        }
        self.committed(transaction)
    }

    /// With reftable.
    fn tree_first(&self, checkout: &CheckoutOf, change: &TreeChange) -> Result<Attempt, GitError> {
        if !self.lock.run(self.read_tree(checkout, &[]))? {
            let words = self.lock.words();
            return self.tree_failed(checkout, change, words);
        }
        (self.at)("land.tree_updated");
        self.commit_only(checkout, change)
    }

    /// The transaction could not be had: whose fault is it?
    fn not_prepared(&self) -> Result<Attempt, GitError> {
        let words = self.lock.words();
        if self.repo.head_of(self.target)? != Some(self.landing.from) || is_lock(&words) {
            return Ok(Attempt::Again);
        }
        Ok(Attempt::Ended(Fold::Held(Hold::Refused { reason: words })))
    }

    /// `read-tree` saw something that our own look did not.
    fn tree_refused(&self, checkout: &CheckoutOf, change: &TreeChange) -> Result<Attempt, GitError> {
        let words = self.lock.words();
        if is_lock(&words) {
            return Ok(Attempt::Again);
        }
        let mut paths = checkout::in_the_way(self.lock, checkout, change)?;
        if paths.is_empty() {
            paths = resume::edited(checkout, change)?;
        }
        let refused = Hold::Refused { reason: words };
        Ok(Attempt::Ended(Fold::Held(if paths.is_empty() { refused } else { overlap(checkout, paths) })))
    }

    /// It failed after it had begun, maybe: a full disk, a filter. What it wrote is taken back.
    fn tree_failed(&self, checkout: &CheckoutOf, change: &TreeChange, words: String) -> Result<Attempt, GitError> {
        if let Restored::NotOurs(paths) = resume::restore(self.lock, checkout, change)? {
            return Ok(Attempt::NotOurs(overlap(checkout, paths)));
        }
        if is_lock(&words) {
            return Ok(Attempt::Again);
        }
        let paths = checkout::in_the_way(self.lock, checkout, change)?;
        let refused = Hold::Refused { reason: words };
        Ok(Attempt::Ended(Fold::Held(if paths.is_empty() { refused } else { overlap(checkout, paths) })))
    }

    fn committed(&self, transaction: Transaction) -> Result<Attempt, GitError> {
        if !transaction.commit()? {
            // Whether it happened is told by looking, never by an answer that did not come.
            return Ok(Attempt::Again);
        }
        (self.at)("land.committed");
        Ok(Attempt::Ended(Fold::Done))
    }

    /// Our files are there, but the target went elsewhere: take them back, unless they are in the target's new
    /// head (somebody committed them).
    fn take_back(&self, checkout: &CheckoutOf, change: &TreeChange, head: CommitId) -> Result<(), GitError> {
        let elsewhere = super::conserve::changed(&self.repo.open(), self.landing.from, head)?;
        if change.paths().any(|path| elsewhere.contains(path)) {
            return Ok(());
        }
        self.go_back(checkout, change)
    }

    fn go_back(&self, checkout: &CheckoutOf, _change: &TreeChange) -> Result<(), GitError> {
        let Landing { from, to } = self.landing;
        // Refused where somebody edited meanwhile: then the edit stays, and so does what it is an edit of.
        self.lock.run(two_way(checkout, &[], *to, *from))?;
        Ok(())
    }

    fn read_tree(&self, checkout: &CheckoutOf, options: &[&str]) -> Tool {
        two_way(checkout, options, self.landing.from, self.landing.to)
    }
}

fn two_way(checkout: &CheckoutOf, options: &[&str], from: CommitId, to: CommitId) -> Tool {
    let tool = checkout.git().args(["-c", "submodule.recurse=false", "read-tree", "-m", "-u"]).args(options);
    tool.args([from.to_string(), to.to_string()])
}

fn overlap(checkout: &CheckoutOf, paths: Vec<Word>) -> Hold {
    Hold::Overlap { checkout: checkout.top.as_path().into(), paths }
}

/// Git names the lock file that it could not make; it has no code for that.
fn is_lock(words: &str) -> bool {
    words.contains(".lock")
}

/// A prepared transaction on the target and the marks, held by a `git update-ref` of ours.
struct Transaction {
    conversation: Conversation,
}

impl Transaction {
    /// `None` where it was refused; nothing is held then.
    fn prepare(lander: &Lander<'_>, git: Tool) -> Result<Option<Self>, GitError> {
        let Landing { from, to } = lander.landing;
        // A power cut must not leave an empty ref.
        let tool = git.args(["-c", "core.fsync=loose-object,reference", "update-ref", "-m", "pleach: fold"]);
        let mut conversation = lander.lock.converse(tool.args(["--stdin", "-z"]))?;
        let mut lines = format!("start\0update {}\0{to}\0{from}\0", lander.target.full()).into_bytes();
        for (name, commit) in lander.marks {
            lines.extend(format!("update {name}\0{commit}\0\0").into_bytes());
        }
        lines.extend(b"prepare\0");
        // It may be gone before it has read all: its answers tell.
        let _ = conversation.say(&lines);
        let is_prepared = conversation.hear()? == "start: ok" && conversation.hear()? == "prepare: ok";
        if !is_prepared {
            conversation.end()?;
            return Ok(None);
        }
        Ok(Some(Self { conversation }))
    }

    fn commit(mut self) -> Result<bool, GitError> {
        let _ = self.conversation.say(b"commit\0");
        let said = self.conversation.hear()?;
        Ok(self.conversation.end()?.success() && said == "commit: ok")
    }

    fn abort(self) -> Result<(), GitError> {
        self.conversation.end()?;
        Ok(())
    }
}

/// The bytes of a file, none where it is not there.
pub(super) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, GitError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(GitError::file("read", path)(error)),
    }
}
