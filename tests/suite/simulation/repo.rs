//! A repository without files: the content of a commit is a set of changes, and two changes may conflict.
//!
//! "Folded exactly once" can be counted here, which it cannot be on text.

use std::collections::BTreeMap;

use pleach::core::id::{AttemptId, CommitId, TreeId};

use super::rng::mix;

/// A set of changes, one bit each.
pub(crate) type Content = u128;

/// Two sides touch the same lines.
#[derive(Debug)]
pub(crate) struct Conflict;

pub(crate) struct Repo {
    commits: Vec<Commit>,
    pub(crate) refs: BTreeMap<String, CommitId>,
    changes: u32,
    seed: u64,
    /// One pair of changes in so many conflicts.
    pub(crate) conflicts: u64,
    /// One change in so many breaks a check by itself, one pair of them together; none, if 0.
    pub(crate) breaks: u64,
    pub(crate) clashes: u64,
    /// What is broken no more where a change is in.
    mended: BTreeMap<Breakage, Content>,
    /// What was made of what: the same question gives the same commit.
    made: BTreeMap<(Vec<CommitId>, Content, AttemptId), CommitId>,
}

/// What breaks which check: a change, or two of them.
type Breakage = (String, u32, u32);

struct Commit {
    /// The commit itself among them.
    ancestors: Vec<u64>,
    content: Content,
}

impl Repo {
    pub(crate) fn new(seed: u64, conflicts: u64) -> Self {
        Self {
            commits: Vec::new(),
            refs: BTreeMap::new(),
            changes: 0,
            seed,
            conflicts,
            breaks: 0,
            clashes: 0,
            mended: BTreeMap::new(),
            made: BTreeMap::new(),
        }
    }

    pub(crate) fn commit(&mut self, parents: &[CommitId], content: Content) -> CommitId {
        let number = self.commits.len();
        let mut ancestors = vec![0; number / 64 + 1];
        ancestors[number / 64] |= 1 << (number % 64);
        for parent in parents {
            for (word, more) in ancestors.iter_mut().zip(&self.commits[index(*parent)].ancestors) {
                *word |= more;
            }
        }
        self.commits.push(Commit { ancestors, content });
        id(number)
    }

    /// The commit that folds the result of an attempt.
    pub(crate) fn fold(&mut self, parents: &[CommitId], content: Content, of: AttemptId) -> CommitId {
        let question = (parents.to_vec(), content, of);
        if let Some(made) = self.made.get(&question) {
            return *made;
        }
        let commit = self.commit(parents, content);
        self.made.insert(question, commit);
        commit
    }

    /// The tree of a content.
    pub(crate) fn tree(content: Content) -> TreeId {
        format!("{content:032x}{:08x}", 0).parse().unwrap()
    }

    /// Would a check say no to it?
    pub(crate) fn is_bad(&self, check: &str, content: Content) -> bool {
        !self.faults(check, content).is_empty()
    }

    fn faults(&self, check: &str, content: Content) -> Vec<Breakage> {
        let name = check.bytes().fold(self.seed, |hash, byte| mix(hash ^ u64::from(byte)));
        let is = |rate: u64, a: u32, b: u32| {
            rate > 0 && mix(name ^ mix(u64::from(a) << 32 | u64::from(b))).is_multiple_of(rate)
        };
        let mut faults = Vec::new();
        for a in bits(content) {
            for b in bits(content & (Content::MAX >> (127 - a))) {
                if is(if a == b { self.breaks } else { self.clashes }, a, b) {
                    let fault = (check.to_owned(), a, b);
                    if self.mended.get(&fault).is_none_or(|mended| mended & content == 0) {
                        faults.push(fault);
                    }
                }
            }
        }
        faults
    }

    /// A new change that mends all that is wrong with a content.
    pub(crate) fn mend(&mut self, checks: &[&str], content: Content) -> Content {
        let change = self.new_change();
        for fault in checks.iter().flat_map(|check| self.faults(check, content)).collect::<Vec<_>>() {
            *self.mended.entry(fault).or_default() |= change;
        }
        change
    }

    /// A change that nobody made before; none, once all are used up.
    pub(crate) fn new_change(&mut self) -> Content {
        if self.changes == 128 {
            return 0;
        }
        self.changes += 1;
        1 << (self.changes - 1)
    }

    pub(crate) fn content(&self, commit: CommitId) -> Content {
        self.commits[index(commit)].content
    }

    /// Is `ancestor` in the history of `commit`?
    pub(crate) fn holds(&self, commit: CommitId, ancestor: CommitId) -> bool {
        let number = index(ancestor);
        self.commits[index(commit)].ancestors.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// Would a `gc` keep it?
    pub(crate) fn is_reachable(&self, commit: CommitId) -> bool {
        self.refs.values().any(|tip| self.holds(*tip, commit))
    }

    pub(crate) fn tip(&self, name: &str) -> Option<CommitId> {
        self.refs.get(name).copied()
    }

    /// What a merge of two commits holds.
    pub(crate) fn merge(&self, ours: CommitId, theirs: CommitId) -> Result<Content, Conflict> {
        let base = self.merge_base(ours, theirs);
        self.three_way(base, self.content(ours), self.content(theirs))
    }

    /// What becomes of `ours` when that which leads from `base` to `theirs` is done to it.
    pub(crate) fn three_way(&self, base: Content, ours: Content, theirs: Content) -> Result<Content, Conflict> {
        let (by_us, by_them) = ((base ^ ours) & !(base ^ theirs), (base ^ theirs) & !(base ^ ours));
        if bits(by_us).any(|a| bits(by_them).any(|b| self.conflict(a, b))) {
            return Err(Conflict);
        }
        Ok((ours | (theirs & !base)) & !(base & !theirs))
    }

    fn conflict(&self, a: u32, b: u32) -> bool {
        let pair = u64::from(a.min(b)) << 32 | u64::from(a.max(b));
        mix(self.seed ^ mix(pair)).is_multiple_of(self.conflicts)
    }

    /// Where there are several, they are merged into one, as git does it.
    fn merge_base(&self, a: CommitId, b: CommitId) -> Content {
        let (left, right) = (&self.commits[index(a)].ancestors, &self.commits[index(b)].ancestors);
        let common: Vec<u64> = left.iter().zip(right).map(|(x, y)| x & y).collect();
        let mut rest = common.clone();
        let mut bases: Vec<CommitId> = Vec::new();
        // The newest common ancestor is a base; what it holds is none; and so on.
        while let Some(word) = rest.iter().rposition(|word| *word != 0) {
            let base = word * 64 + 63 - rest[word].leading_zeros() as usize;
            for (left, held) in rest.iter_mut().zip(&self.commits[base].ancestors) {
                *left &= !held;
            }
            bases.push(id(base));
        }
        let Some((first, others)) = bases.split_first() else { return 0 };
        let mut content = self.content(*first);
        for other in others {
            let below = self.merge_base(*first, *other);
            let theirs = self.content(*other);
            content = (content | (theirs & !below)) & !(below & !theirs);
        }
        content
    }
}

fn bits(content: Content) -> impl Iterator<Item = u32> {
    let mut rest = content;
    std::iter::from_fn(move || {
        (rest != 0).then(|| {
            let bit = rest.trailing_zeros();
            rest &= rest - 1;
            bit
        })
    })
}

fn id(number: usize) -> CommitId {
    format!("{number:08x}{:032x}", 0).parse().unwrap()
}

fn index(commit: CommitId) -> usize {
    commit.as_bytes()[..4].iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}
