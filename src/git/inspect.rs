//! How large a change is, and what about it is allowed but needs somebody's word.
//!
//! Everything is judged from trees, never from a checkout; paths are compared as bytes, and case by Unicode's
//! lower case. Different spellings of one composed letter (Unicode normalisation) are not found.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{GitError, Repository};
use crate::core::change::{Flag, Size};
use crate::core::id::CommitId;
use crate::core::word::Word;
use crate::process::tool::fields;

/// Size and flags of `base..tip`.
///
/// # Errors
/// Where git cannot read the commits.
pub fn inspect(repo: &Repository, base: CommitId, tip: CommitId) -> Result<(Size, Vec<Flag>), GitError> {
    if base == tip {
        return Ok((Size::default(), Vec::new()));
    }
    let mut flags = Vec::new();
    if !repo.is_ancestor(base, tip)? {
        flags.push(Flag::Diverged);
    }
    let library = repo.library();
    if let Some(library) = &library {
        // Attributes are looked for in the checkout, and then in the index, which is read for that as a whole.
        library.set_index(&mut git2::Index::new()?)?;
    }
    // In a blobless clone it opens, but does not find all.
    let read = library.as_ref().and_then(|library| by_library::read(library, base, tip).ok());
    let Read { size, touched, targets } = read.map_or_else(|| by_git(repo, base, tip), Ok)?;
    for entry in touched.iter().filter(|entry| entry.mode == GITLINK) {
        flags.push(Flag::Gitlink { path: entry.path.clone() });
    }
    for (link, target) in touched.iter().filter(|entry| entry.mode == LINK).zip(targets) {
        match target {
            Some(target) if !leaves(link.path.as_bytes(), &target) => {}
            target => {
                let leads_to = target.map_or_else(|| Word::from("(longer than any path)"), Word::from);
                flags.push(Flag::OutsideLink { path: link.path.clone(), leads_to });
            }
        }
    }
    let added: Vec<&Word> = touched.iter().filter(|entry| entry.is_added).map(|entry| &entry.path).collect();
    if !added.is_empty() {
        let names = Names::of(&added);
        let near = library.and_then(|library| by_library::near(&library, tip, &names).ok());
        let all = match near {
            Some(near) => near,
            None => repo.git().args(["ls-tree", "-r", "-z", "--name-only", &tip.to_string()]).run()?,
        };
        flags.extend(names.collisions(&all));
    }
    // Whoever reads some of them knows.
    flags.truncate(MOST_FLAGS);
    Ok((size, flags))
}

/// So many are told.
const MOST_FLAGS: usize = 1000;
/// A link to more bytes than these cannot be made; they are not read.
const LONGEST_TARGET: usize = 4096;
/// A file of more bytes is no text.
const LARGEST_TEXT: i64 = 8 << 20;

const GITLINK: u32 = 0o160_000;
const LINK: u32 = 0o120_000;

/// What was read of a change.
struct Read {
    size: Size,
    touched: Vec<Touched>,
    /// Where the symbolic links among the touched lead to, in their order; none of one that is too long.
    targets: Vec<Option<Vec<u8>>>,
}

/// A path as it is in the tip.
struct Touched {
    path: Word,
    /// 0 where it is gone.
    mode: u32,
    object: String,
    is_added: bool,
}

fn by_git(repo: &Repository, base: CommitId, tip: CommitId) -> Result<Read, GitError> {
    let commits = repo.git().args(["rev-list", "--count", &tip.to_string(), &format!("^{base}"), "--"]).line()?;
    let (mut size, touched) = difference(repo, base, tip)?;
    size.commits = super::repository::parse("rev-list", &commits)?;
    let targets = targets(repo, &touched)?;
    Ok(Read { size, touched, targets })
}

fn difference(repo: &Repository, base: CommitId, tip: CommitId) -> Result<(Size, Vec<Touched>), GitError> {
    let ask = |how: &[&str]| {
        let diff = repo.git().env("GIT_NO_LAZY_FETCH", "1").args(["diff-tree", "-r", "-z", "--raw", "--no-renames"]);
        let diff = diff.args(["--no-abbrev", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none"]);
        diff.args(how).args([base.to_string(), tip.to_string()]).arg("--").output()
    };
    let mut answer = ask(&["--numstat"])?;
    if answer.code != Some(0) {
        // In a blobless clone the blobs of the base may be missing: then lines are not counted.
        answer.stdout = repo
            .git()
            .args(["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--ignore-submodules=none"])
            .args([base.to_string(), tip.to_string()])
            .arg("--")
            .run()?;
    }
    let mut size = Size::default();
    let mut touched = Vec::new();
    let mut fields = fields(&answer.stdout);
    while let Some(field) = fields.next() {
        if let Some(record) = field.strip_prefix(b":") {
            let mut words = record.split(|byte| *byte == b' ').skip(1);
            let (mode, object, status) = (words.next(), words.nth(1), words.next());
            let (Some(mode), Some(object), Some(status), Some(path)) = (mode, object, status, fields.next()) else {
                break;
            };
            size.files += 1;
            touched.push(Touched {
                path: Word::from(path.to_vec()),
                mode: std::str::from_utf8(mode).ok().and_then(|mode| u32::from_str_radix(mode, 8).ok()).unwrap_or(0),
                object: String::from_utf8_lossy(object).into_owned(),
                is_added: status == b"A",
            });
        } else {
            // `12 3 path`, by tabs; `- - path` for what has no lines.
            let mut counts = field.splitn(3, |byte| *byte == b'\t').map(|n| std::str::from_utf8(n).unwrap_or_default());
            size.insertions += counts.next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
            size.deletions += counts.next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Ok((size, touched))
}

/// Where the links among them lead to.
fn targets(repo: &Repository, touched: &[Touched]) -> Result<Vec<Option<Vec<u8>>>, GitError> {
    let links: Vec<&Touched> = touched.iter().filter(|entry| entry.mode == LINK).collect();
    if links.is_empty() {
        return Ok(Vec::new());
    }
    let names = |links: &[&Touched]| links.iter().map(|link| format!("{}\n", link.object)).collect::<String>();
    let sizes = repo.git().args(["cat-file", "--batch-check=%(objectsize)"]).input(names(&links)).line()?;
    let is_short: Vec<bool> =
        sizes.lines().map(|size| size.parse::<usize>().is_ok_and(|size| size <= LONGEST_TARGET)).collect();
    let short: Vec<&Touched> =
        links.iter().zip(&is_short).filter_map(|(link, is_short)| is_short.then_some(*link)).collect();
    let answer = repo.git().args(["cat-file", "--batch"]).input(names(&short)).run()?;
    let mut rest = &answer[..];
    let content = |(link, is_short): (&&Touched, &bool)| {
        let answer = || format!("nothing for {}", link.object);
        let failed = || GitError::Answer { command: "cat-file --batch", answer: answer() };
        is_short.then(|| next_object(&mut rest).map(<[u8]>::to_vec).ok_or_else(failed)).transpose()
    };
    links.iter().zip(&is_short).map(content).collect()
}

/// One answer of `cat-file --batch`: `<name> <type> <size>`, a newline, the content, a newline.
fn next_object<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let line = rest.iter().position(|byte| *byte == b'\n')?;
    let size: usize = std::str::from_utf8(&rest[..line]).ok()?.rsplit(' ').next()?.parse().ok()?;
    let content = rest.get(line + 1..line + 1 + size)?;
    *rest = rest.get(line + 2 + size..)?;
    Some(content)
}

/// Does a link at `path` lead out of the tree, or into its `.git`, by its words alone?
fn leaves(path: &[u8], target: &[u8]) -> bool {
    if target.starts_with(b"/") {
        return true;
    }
    let mut depth = path.iter().filter(|byte| **byte == b'/').count();
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if depth == 0 => return true,
            b".." => depth -= 1,
            name if depth == 0 && name.eq_ignore_ascii_case(b".git") => return true,
            _ => depth += 1,
        }
    }
    false
}

/// Added paths, with the directories above them, as they are where case does not count.
struct Names<'a> {
    files: HashMap<Vec<u8>, Vec<&'a [u8]>>,
    dirs: HashMap<Vec<u8>, &'a [u8]>,
}

impl<'a> Names<'a> {
    fn of(added: &[&'a Word]) -> Self {
        let mut names = Self { files: HashMap::new(), dirs: HashMap::new() };
        for path in added {
            let path = path.as_bytes();
            names.files.entry(folded(path)).or_default().push(path);
            names.dirs.extend(prefixes(path).map(|dir| (folded(dir), path)));
        }
        names
    }

    /// Can anything in this directory be one with an added path?
    fn concern(&self, dir: &[u8]) -> bool {
        let is_added = |path: &[u8]| self.files.contains_key(&folded(path));
        self.dirs.contains_key(&folded(dir)) || is_added(dir) || prefixes(dir).any(is_added)
    }

    /// The added paths that are one with another path of the tree (`all`, by NUL), also where the one is a directory
    /// and the other a file.
    fn collisions(&self, all: &[u8]) -> Vec<Flag> {
        let mut pairs: BTreeMap<&[u8], BTreeSet<&[u8]>> = BTreeMap::new();
        let mut note = |one, other| {
            let is_told = pairs.get(other).is_some_and(|others| others.contains(one));
            if one != other && !is_told {
                pairs.entry(one).or_default().insert(other);
            }
        };
        for path in fields(all) {
            let name = folded(path);
            self.files.get(&name).into_iter().flatten().for_each(|added| note(*added, path));
            self.dirs.get(&name).into_iter().for_each(|added| note(*added, path));
            for dir in prefixes(path) {
                self.files.get(&folded(dir)).into_iter().flatten().for_each(|added| note(*added, path));
            }
        }
        let word = |bytes: &[u8]| Word::from(bytes.to_vec());
        let flags = pairs.iter().flat_map(|(path, others)| others.iter().map(move |with| (path, with)));
        flags.map(|(path, with)| Flag::Colliding { path: word(path), with: word(with) }).collect()
    }
}

/// The directories above a path.
fn prefixes(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at])
}

fn folded(path: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(path) {
        Ok(text) if !text.is_ascii() => text.to_lowercase().into_bytes(),
        _ => path.to_ascii_lowercase(),
    }
}

/// The same by the library: no process, and of the tree only the directories that an added path may be in.
mod by_library {
    use git2::{Delta, DiffOptions, ObjectType, Oid, Patch, Repository};

    use super::{CommitId, GitError, LARGEST_TEXT, LINK, LONGEST_TARGET, Names, Read, Size, Touched, Word};

    pub(super) fn read(library: &Repository, base: CommitId, tip: CommitId) -> Result<Read, GitError> {
        let [base, tip] = [base, tip].map(|id| Oid::from_bytes(id.as_bytes()));
        let (base, tip) = (base?, tip?);
        let mut walk = library.revwalk()?;
        walk.push(tip)?;
        walk.hide(base)?;
        let mut size = Size { commits: u32::try_from(walk.count()).unwrap_or(u32::MAX), ..Size::default() };
        let tree = |id| library.find_commit(id)?.tree();
        let (old, new) = (tree(base)?, tree(tip)?);
        let mut options = DiffOptions::new();
        options.include_typechange(true).ignore_submodules(false).context_lines(0);
        // The lines of larger files are not counted: to count them takes a multiple of them in memory.
        options.max_size(LARGEST_TEXT);
        let diff = library.diff_tree_to_tree(Some(&old), Some(&new), Some(&mut options))?;
        let odb = library.odb()?;
        let (mut touched, mut targets): (Vec<Touched>, Vec<Option<Vec<u8>>>) = Default::default();
        for (place, delta) in diff.deltas().enumerate() {
            size.files += 1;
            let patch = Patch::from_diff(&diff, place)?;
            let lines = patch.map(|patch| patch.line_stats()).transpose()?;
            let (_, insertions, deletions) = lines.unwrap_or_default();
            size.insertions += insertions as u64;
            size.deletions += deletions as u64;
            let file = delta.new_file();
            let mode = if delta.status() == Delta::Deleted { 0 } else { u32::from(file.mode()) };
            if mode == LINK {
                let is_short = odb.read_header(file.id())?.0 <= LONGEST_TARGET;
                targets.push(
                    is_short
                        .then(|| Ok::<_, git2::Error>(library.find_blob(file.id())?.content().to_vec()))
                        .transpose()?,
                );
            }
            let path = Word::from(file.path_bytes().unwrap_or_default().to_vec());
            let is_added = delta.status() == Delta::Added;
            touched.push(Touched { path, mode, object: file.id().to_string(), is_added });
        }
        Ok(Read { size, touched, targets })
    }

    /// The paths of the tree that may be one with an added path, each with a NUL after it.
    pub(super) fn near(library: &Repository, tip: CommitId, names: &Names<'_>) -> Result<Vec<u8>, GitError> {
        let tree = library.find_commit(Oid::from_bytes(tip.as_bytes())?)?.tree()?;
        let mut paths: Vec<Vec<u8>> = Vec::new();
        // No recursion: how deep it goes is the task's choice.
        let mut open = vec![(tree, Vec::new())];
        while let Some((tree, dir)) = open.pop() {
            for entry in &tree {
                let path = [&dir[..], entry.name_bytes()].concat();
                if entry.kind() != Some(ObjectType::Tree) {
                    paths.push([&path[..], b"\0"].concat());
                } else if names.concern(&path) {
                    open.push((library.find_tree(entry.id())?, [&path[..], b"/"].concat()));
                }
            }
        }
        // As git lists them: which of two is told first must not depend on who reads.
        paths.sort();
        Ok(paths.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leaves_by_its_words() {
        for (path, target) in [("a", "/etc"), ("a", ".."), ("a/b", "../../x"), ("a", "x/../../y"), ("a", ".GIT/config")]
        {
            assert!(leaves(path.as_bytes(), target.as_bytes()), "{path} -> {target}");
        }
        for (path, target) in [("a", "b"), ("a/b", "../c"), ("a/b/c", "./../../d"), ("a", "x/.git"), ("a", "")] {
            assert!(!leaves(path.as_bytes(), target.as_bytes()), "{path} -> {target}");
        }
    }

    #[test]
    fn collisions_are_told_once_and_only_for_added_paths() {
        let shown = |added: &[&str], all: &[u8]| {
            let words: Vec<Word> = added.iter().map(|path| Word::from(*path)).collect();
            let flags = Names::of(&words.iter().collect::<Vec<_>>()).collisions(all);
            flags.iter().map(Flag::to_string).collect::<Vec<_>>()
        };
        assert_eq!(shown(&["README"], b"README\0readme\0OLD\0old\0").len(), 1);
        assert_eq!(shown(&["A", "a"], b"A\0a\0").len(), 1);
        assert_eq!(shown(&["X/y"], b"X/y\0x\0").len(), 1);
        assert_eq!(shown(&["x"], b"X/y\0x\0").len(), 1);
        assert_eq!(shown(&["\u{c9}"], "\u{c9}\0\u{e9}\0".as_bytes()).len(), 1);
        assert!(shown(&["src/b"], b"src/a\0src/b\0Src\xff\0").is_empty());
    }
}
