//! The linked worktree that everybody else sees: `git worktree list` shows it, locked, with a reason.
//!
//! A worktree of ours is three things that name each other: a directory, the file `.git` in it, and an entry
//! below `<common>/worktrees` (git's *administrative directory*), of the same name as the directory. Whatever
//! belongs to another worktree is never touched, and `git worktree prune` is never called: it would judge
//! worktrees that are not ours. The file leads to that entry, also while a task runs that sees another file in its place;
//! where nothing can be put there, it leads to the private git directory meanwhile ([`lead_inside`]). The entry stays as it
//! is, so that the user's `gc`, `fsck` and `log --all` do not notice.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{GitError, Repository, apart, trash};
use crate::core::id::CommitId;
use crate::core::word::Word;
use crate::process::beneath;

/// Proof of holding the repository-wide lock on worktree administration. It is free again when this is dropped,
/// or when the process ends, however it ends.
#[derive(Debug)]
pub struct WorktreeLock {
    _file: File,
}

/// Where an attempt works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The worktree. Its last component is also the name of its registration.
    pub worktree: PathBuf,
    /// The private git directory, outside of the worktree.
    pub private: PathBuf,
}

/// What is there of a worktree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Neither directory nor registration.
    Absent,
    /// One of the two, or a part.
    HalfMade,
    /// Both, complete, and each names the other.
    Registered,
}

impl WorktreeLock {
    /// Wait for the lock.
    ///
    /// # Errors
    /// Where the lock file cannot be made: a repository that we may not write to.
    pub fn acquire(repo: &Repository) -> Result<Self, GitError> {
        let path = repo.own_dir("")?.join("worktree.lock");
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.map_err(GitError::file("open", &path))?;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive))
            .map_err(|errno| GitError::file("lock", &path)(errno.into()))?;
        Ok(Self { _file: file })
    }
}

/// What is there of this worktree? Nothing is changed.
///
/// # Errors
/// Where a registration of its name belongs to another worktree, or the files cannot be read.
pub fn seen(repo: &Repository, worktree: &Path) -> Result<Seen, GitError> {
    let registration = registration(repo, worktree)?;
    Ok(match (registration, exists(worktree)?) {
        (Registration::Absent, false) => Seen::Absent,
        (Registration::Complete, true) if is_real_dir(worktree) => Seen::Registered,
        _ => Seen::HalfMade,
    })
}

/// Register a worktree at a path where nothing is, detached at `base`, without files, locked with a reason.
/// What an earlier try left half made is cleared away first; where it is complete, nothing is done.
///
/// # Errors
/// Where the path holds files that we did not make, its name belongs to another worktree, or git refuses.
pub fn register(
    repo: &Repository,
    _lock: &WorktreeLock,
    worktree: &Path,
    base: CommitId,
    reason: &str,
) -> Result<(), GitError> {
    match seen(repo, worktree)? {
        Seen::Registered => return Ok(()),
        Seen::HalfMade => clear_half_made(repo, worktree)?,
        Seen::Absent => {}
    }
    // `git worktree add` fills the entry file by file, and any git that looks at worktrees in between dies of what it
    // misses: ours appears whole. With reftable an entry has a database of its own, which only git can make.
    if !repo.common_dir().join("reftable").is_dir() {
        return register_whole(repo, worktree, base, reason);
    }
    let add = repo.git().args(["-c", "core.hooksPath=/dev/null", "-c", "worktree.useRelativePaths=false"]);
    let add = add.args(["worktree", "add", "--quiet", "--no-checkout", "--detach", "--lock", "--reason", reason]);
    add.arg("--").arg(worktree).arg(base.to_string()).run()?;
    match seen(repo, worktree) {
        Ok(Seen::Registered) => Ok(()),
        // Somebody took the name in the same instant, and git chose another one. Ours is empty: take it back.
        other => {
            let file = fs::read(worktree.join(".git")).unwrap_or_default();
            let other_name = file.strip_prefix(b"gitdir: ").unwrap_or_default().trim_ascii_end();
            let other_name = Path::new(OsStr::from_bytes(other_name));
            if other_name.parent() == Some(&resolved(repo.common_dir()).join("worktrees")) {
                unregister(repo, other_name)?;
                clear_directory(worktree)?;
            }
            other.and_then(|_| Err(refused("register", worktree, "its name is taken".to_owned())))
        }
    }
}

/// As [`register`], of a directory of ours that holds files already. Whatever is called `.git` in it goes into `trash`, and
/// a registration that it has is made anew.
///
/// # Errors
/// Where its name belongs to another worktree, or the files cannot be written.
pub fn adopt(
    repo: &Repository,
    _lock: &WorktreeLock,
    worktree: &Path,
    base: CommitId,
    reason: &str,
    trash: &Path,
) -> Result<(), GitError> {
    forget(repo, worktree, trash)?;
    register_whole(repo, worktree, base, reason)
}

/// Take the registration of a directory of ours away, and what is called `.git` in it. Its files stay.
fn forget(repo: &Repository, worktree: &Path, trash: &Path) -> Result<(), GitError> {
    if registration(repo, worktree)? != Registration::Absent {
        unregister(repo, &admin_dir(repo, worktree))?;
    }
    let file = worktree.join(".git");
    match move_to_trash(&file, trash) {
        Err(GitError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(GitError::File { source, .. }) if source.kind() == io::ErrorKind::CrossesDevices => trash::delete(&file),
        other => other,
    }
}

/// The entry is made aside and comes to its place by one rename: as git makes it with `worktree add --no-checkout`
/// (gitrepository-layout(5)).
fn register_whole(repo: &Repository, worktree: &Path, base: CommitId, reason: &str) -> Result<(), GitError> {
    let admin = admin_dir(repo, worktree);
    let draft = repo.own_dir("")?.join("registering");
    trash::delete(&draft)?;
    fs::create_dir_all(draft.join("refs")).map_err(GitError::file("create", &draft))?;
    let top = resolved(worktree);
    let gitdir = [top.join(".git").as_os_str().as_bytes(), b"\n"].concat();
    let (head, locked) = (format!("{base}\n"), format!("{reason}\n"));
    let files: [(&str, &[u8]); 4] =
        [("gitdir", &gitdir), ("commondir", b"../..\n"), ("HEAD", head.as_bytes()), ("locked", locked.as_bytes())];
    for (name, text) in files {
        let path = draft.join(name);
        File::create(&path).and_then(|mut file| file.write_all(text)).map_err(GitError::file("write", &path))?;
    }
    fs::create_dir_all(worktree).map_err(GitError::file("create", worktree))?;
    let lead = worktree.join(".git");
    let text = leads_to(&resolved(&admin));
    File::create(&lead).and_then(|mut file| file.write_all(&text)).map_err(GitError::file("write", &lead))?;
    let home = admin.parent().unwrap_or(&admin);
    // Whoever removes the last worktree also removes the directory of them.
    for last in [false, true] {
        fs::create_dir_all(home).map_err(GitError::file("create", home))?;
        match fs::rename(&draft, &admin) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !last => {}
            Err(error) => {
                clear_directory(worktree)?;
                return Err(GitError::file("register", worktree)(error));
            }
            Ok(()) => break,
        }
    }
    Ok(())
}

/// What leads the `.git` of a worktree of which the user's repository does not know: for git there is no repository in it.
const NOWHERE: &str = "/dev/null";

/// Replace the worktree's `.git`, in one step, so that git finds no repository in it: of one that is in no list of the user's
/// repository.
///
/// # Errors
/// Where the file cannot be written.
pub fn lead_nowhere(place: &Place) -> Result<(), GitError> {
    if !is_real_dir(&place.worktree) {
        return Ok(());
    }
    lead(place, Path::new(NOWHERE), |text| text == leads_to(&place.private))
}

/// Replace the worktree's `.git`, in one step, so that it leads to the private git directory.
///
/// # Errors
/// Where the file cannot be written.
pub fn lead_inside(place: &Place) -> Result<(), GitError> {
    lead(place, &place.private, |text| text.starts_with(b"gitdir: "))
}

/// Replace the worktree's `.git`, in one step, so that it leads to the user's repository again.
///
/// Whatever a task put there instead of our file is kept beside the worktree, as `<name>.git-<n>`; no link is
/// followed. Where the worktree is gone, there is nothing to do.
///
/// # Errors
/// Where the file cannot be written.
pub fn lead_outside(repo: &Repository, place: &Place) -> Result<(), GitError> {
    if !is_real_dir(&place.worktree) {
        return Ok(());
    }
    let admin = resolved(&admin_dir(repo, &place.worktree));
    lead(place, &admin, |text| {
        text == leads_to(&place.private) || text.trim_ascii_end() == leads_to(&admin).trim_ascii_end()
    })
}

/// Remove a worktree of ours: the directory goes to `trash` (which must be on the same file system) by one
/// rename, then the registration goes. `at` is told "remove.renamed" and "remove.unregistered". Half-way, and
/// where the user removed one of the two, the rest is removed. The private git directory is left to the caller.
///
/// # Errors
/// Where directory and registration do not name each other: then it is not known to be ours, and stays. Where
/// the rename fails: then everything stays.
pub fn remove(
    repo: &Repository,
    _lock: &WorktreeLock,
    place: &Place,
    trash: &Path,
    at: &dyn Fn(&'static str),
) -> Result<(), GitError> {
    let registration = registration(repo, &place.worktree)?;
    if exists(&place.worktree)? {
        if !is_ours(repo, place, registration) {
            return Err(refused("remove", &place.worktree, "it is not known to be ours".to_owned()));
        }
        move_to_trash(&place.worktree, trash)?;
    }
    for path in asides(&place.worktree) {
        move_to_trash(&path, trash)?;
    }
    let _ = fs::remove_file(lead_draft(&place.worktree));
    at("remove.renamed");
    if registration != Registration::Absent {
        unregister(repo, &admin_dir(repo, &place.worktree))?;
    }
    at("remove.unregistered");
    Ok(())
}

/// As [`remove`], but for the files, which stay where they are: the place will be used again.
///
/// # Errors
/// As [`remove`].
pub fn release(
    repo: &Repository,
    _lock: &WorktreeLock,
    place: &Place,
    trash: &Path,
    at: &dyn Fn(&'static str),
) -> Result<(), GitError> {
    let registration = registration(repo, &place.worktree)?;
    // Neither is there: an earlier try got so far.
    let is_released = registration == Registration::Absent && !exists(&place.worktree.join(".git"))?;
    if !is_released && !is_ours(repo, place, registration) {
        return Err(refused("release", &place.worktree, "it is not known to be ours".to_owned()));
    }
    for path in asides(&place.worktree) {
        move_to_trash(&path, trash)?;
    }
    let _ = fs::remove_file(lead_draft(&place.worktree));
    at("remove.renamed");
    forget(repo, &place.worktree, trash)?;
    at("remove.unregistered");
    Ok(())
}

/// Delete everything in the trash. No link is followed, and directories without permissions are opened first.
/// What could not be deleted is answered and stays; the rest is gone.
pub fn empty_trash(trash: &Path) -> Vec<GitError> {
    trash::empty(trash)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Registration {
    Absent,
    /// It names our worktree or does not yet name any.
    HalfMade,
    Complete,
}

fn registration(repo: &Repository, worktree: &Path) -> Result<Registration, GitError> {
    let admin = admin_dir(repo, worktree);
    if !exists(&admin)? {
        return Ok(Registration::Absent);
    }
    let named = match fs::read(admin.join("gitdir")) {
        Ok(bytes) => bytes,
        // Git writes this file after it made the directory.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Registration::HalfMade),
        Err(error) => return Err(GitError::file("read", admin.join("gitdir"))(error)),
    };
    let named = Path::new(OsStr::from_bytes(named.strip_suffix(b"\n").unwrap_or(&named)));
    if named.as_os_str().is_empty() {
        return Ok(Registration::HalfMade);
    }
    let top = admin.join(named).parent().map(resolved).unwrap_or_default();
    if top != resolved(worktree) || named.file_name() != Some(OsStr::new(".git")) {
        let words = format!("this registration belongs to another worktree, {}", Word::from(named).shown());
        return Err(refused("use", &admin, words));
    }
    Ok(if has_head(repo, &admin) { Registration::Complete } else { Registration::HalfMade })
}

/// HEAD is the last that git writes.
fn has_head(repo: &Repository, admin: &Path) -> bool {
    let head = fs::read_to_string(admin.join("HEAD")).unwrap_or_default();
    match head.trim_end().strip_prefix("ref: ") {
        // With reftable this file is a decoy.
        Some("refs/heads/.invalid") => {
            let ask = repo.git().arg("--git-dir").arg(admin).args(["rev-parse", "--verify", "--quiet", "HEAD"]);
            ask.succeeds().unwrap_or(false)
        }
        Some(_) => true,
        None => head.trim_end().parse::<CommitId>().is_ok_and(|id| id.to_string() != id.null()),
    }
}

pub(super) fn admin_dir(repo: &Repository, worktree: &Path) -> PathBuf {
    repo.common_dir().join("worktrees").join(worktree.file_name().unwrap_or_default())
}

fn is_ours(repo: &Repository, place: &Place, registration: Registration) -> bool {
    let file = place.worktree.join(".git");
    let is_without = matches!(fs::symlink_metadata(&file), Err(error) if error.kind() == io::ErrorKind::NotFound);
    let lead = read_lead(&place.worktree).unwrap_or_default();
    let admin = resolved(&admin_dir(repo, &place.worktree));
    is_real_dir(&place.worktree)
        && (registration == Registration::Complete && is_without
            || lead == leads_to(&place.private)
            || lead.trim_ascii_end() == leads_to(&admin).trim_ascii_end()
            || fs::read_dir(&place.worktree).is_ok_and(|mut entries| entries.next().is_none()))
}

fn clear_half_made(repo: &Repository, worktree: &Path) -> Result<(), GitError> {
    if exists(worktree)? {
        clear_directory(worktree)?;
    }
    let admin = admin_dir(repo, worktree);
    if exists(&admin)? { unregister(repo, &admin) } else { Ok(()) }
}

/// Remove a directory that holds nothing but a file `.git`.
fn clear_directory(worktree: &Path) -> Result<(), GitError> {
    if is_real_dir(worktree) {
        let entries = fs::read_dir(worktree).map_err(GitError::file("read", worktree))?;
        if entries.flatten().any(|entry| entry.file_name() != ".git" || !entry.file_type().is_ok_and(|t| t.is_file())) {
            return Err(refused("reuse", worktree, "it holds files, but is not registered as a worktree".to_owned()));
        }
        let _ = fs::remove_file(worktree.join(".git"));
    }
    fs::remove_dir(worktree).map_err(GitError::file("remove", worktree))
}

/// Take one registration away: in one step for everybody else, then delete what it was.
fn unregister(repo: &Repository, admin: &Path) -> Result<(), GitError> {
    let aside = repo.own_dir("unregistered")?;
    match move_to_trash(admin, &aside) {
        Err(GitError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        other => other?,
    }
    // Under the lock nobody else is at this directory; what a crash left in it goes too.
    trash::empty(&aside).into_iter().next().map_or(Ok(()), Err)?;
    let _ = fs::remove_dir(&aside);
    // As git does it: no worktree, no directory of them.
    let _ = fs::remove_dir(repo.common_dir().join("worktrees"));
    Ok(())
}

fn move_to_trash(path: &Path, trash: &Path) -> Result<(), GitError> {
    fs::create_dir_all(trash).map_err(GitError::file("create", trash))?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!("-{:016x}", fastrand::u64(..)));
    rename(path, &trash.join(name))
}

/// To move a directory elsewhere, one must be allowed to write to it: a task may have taken that away.
fn rename(from: &Path, to: &Path) -> Result<(), GitError> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && is_real_dir(from) => {
            let _ = fs::set_permissions(from, fs::Permissions::from_mode(0o700));
            fs::rename(from, to)
        }
        other => other,
    }
    .map_err(GitError::file("rename", from))
}

fn lead(place: &Place, to: &Path, is_known: impl Fn(&[u8]) -> bool) -> Result<(), GitError> {
    if !is_real_dir(&place.worktree) {
        return Err(refused("use", &place.worktree, "it is not a directory".to_owned()));
    }
    let file = place.worktree.join(".git");
    let wanted = leads_to(to);
    // A task may have taken every right from its top directory.
    let mode = fs::metadata(&place.worktree).map_or(0, |meta| meta.permissions().mode());
    if mode & 0o700 != 0o700 {
        let open = fs::Permissions::from_mode(mode | 0o700);
        fs::set_permissions(&place.worktree, open).map_err(GitError::file("open", &place.worktree))?;
    }
    let current = match read_lead(&place.worktree) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(leads_to(Path::new(""))),
        read => read.ok(),
    };
    match current {
        Some(text) if text == wanted => return Ok(()),
        Some(text) if text == leads_to(Path::new("")) || is_known(&text) => {}
        _ => set_aside(&place.worktree, &file)?,
    }
    let draft = lead_draft(&place.worktree);
    let written = File::create(&draft).and_then(|mut out| out.write_all(&wanted));
    written.map_err(GitError::file("write", &draft))?;
    apart::move_in(&draft, &file, &wanted).map_err(GitError::file("write", &file))
}

/// What is there in place of our file may be a link or a pipe: neither is followed or waited for.
fn read_lead(worktree: &Path) -> io::Result<Vec<u8>> {
    const MOST: u64 = 64 << 10;
    let mut text = Vec::new();
    beneath::open(worktree, Path::new(".git"))?.take(MOST).read_to_end(&mut text)?;
    Ok(text)
}

fn set_aside(worktree: &Path, file: &Path) -> Result<(), GitError> {
    let free = asides(worktree).len() + 1;
    let aside = beside(worktree, &format!(".git-{free}"));
    match rename(file, &aside) {
        // Nothing can leave a subvolume: all of it is kept as it is now.
        Err(GitError::File { source, .. }) if source.kind() == io::ErrorKind::CrossesDevices => {
            apart::keep(worktree, &aside)?;
            trash::delete(file)
        }
        other => other,
    }
}

/// What was set aside from this worktree, oldest first.
fn asides(worktree: &Path) -> Vec<PathBuf> {
    let paths = (1..).map(|n| beside(worktree, &format!(".git-{n}")));
    paths.take_while(|path| fs::symlink_metadata(path).is_ok()).collect()
}

fn lead_draft(worktree: &Path) -> PathBuf {
    beside(worktree, ".git-new")
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

/// The text of a `.git` file.
pub fn leads_to(dir: &Path) -> Vec<u8> {
    [b"gitdir: ", dir.as_os_str().as_bytes(), b"\n"].concat()
}

/// The path with the links of its existing part resolved, as git writes it.
fn resolved(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(real), ..) => real,
        (Err(_), Some(parent), Some(name)) => resolved(parent).join(name),
        _ => path.to_owned(),
    }
}

fn exists(path: &Path) -> Result<bool, GitError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(GitError::file("look at", path)(error)),
    }
}

fn is_real_dir(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}

fn refused(what: &'static str, path: &Path, words: String) -> GitError {
    GitError::file(what, path)(io::Error::other(words))
}
