//! A place of which only what was written is a directory: the rest is a base image, over which it lies in the namespace of its task.
//!
//! Outside of that namespace nobody mounts anything. What the task wrote are plain files in the *upper* directory; what it removed is a
//! device of no number there, or a directory that says that nothing below it shines through. All else is as the objects of the base are: an
//! image is only their bytes, so that what there is of a place can be told, and made real ([`place::make_real`](super::place::make_real)), without any image and
//! without any mount.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, Stat};
use rustix::io::Errno;

use super::advance::OPEN;
use super::checkout::parents;
use crate::core::word::Word;

/// No directory of a place is deeper, so that its descriptors are not used up.
const DEPTH: usize = 256;
/// By which a directory says that what is below it does not shine through.
const OPAQUE: &str = "user.overlay.opaque";
/// The link by whose content an image is known, by its name alone.
pub(super) const IMAGE: &str = "image";
/// While it is made.
pub(super) const DRAFT: &str = "new";

/// The parts of such a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layers {
    pub(super) dir: PathBuf,
    images: PathBuf,
}

impl Layers {
    /// Those in this directory, over an image in that one. `None` where there are none: then the place is a worktree as any other.
    pub fn find(dir: &Path, images: &Path) -> Option<Self> {
        let is_there = fs::symlink_metadata(dir).is_ok_and(|seen| seen.is_dir());
        is_there.then(|| Self { dir: dir.to_owned(), images: images.to_owned() })
    }

    /// What was written.
    pub fn upper(&self) -> PathBuf {
        self.dir.join("upper")
    }

    /// What the kernel needs beside that.
    pub fn work(&self) -> PathBuf {
        self.dir.join("work")
    }

    /// The files of its image. Whatever was left where its name is kept, it leads to an image.
    pub fn image(&self) -> PathBuf {
        self.images.join(name_in(&self.dir).unwrap_or_default()).join("files")
    }

    /// Is there a directory at this path of the place?
    pub fn has_dir(&self, path: &Path) -> bool {
        let (upper, image) = (self.upper(), self.image());
        let (mut above, mut shines) = (PathBuf::new(), true);
        for part in path.components() {
            above.push(part);
            match fs::symlink_metadata(upper.join(&above)) {
                // Where a link leads is told by going there.
                Ok(seen) if seen.is_symlink() => return true,
                Ok(seen) if seen.is_dir() => shines &= !has_opaque(&upper.join(&above)),
                Ok(_) => return false,
                Err(_) if !shines => return false,
                Err(_) => match fs::symlink_metadata(image.join(&above)) {
                    Ok(seen) if seen.is_symlink() => return true,
                    Ok(seen) if seen.is_dir() => {}
                    _ => return false,
                },
            }
        }
        true
    }

    /// What somebody put where the place seems to be, outside of its namespace, comes into it; it can be entered again, should its task
    /// have taken that away. To be called while nothing is mounted.
    ///
    /// # Errors
    /// Where it cannot be moved: it is still there.
    pub fn take_in(&self, worktree: &Path) -> io::Result<()> {
        let upper = self.upper();
        let mode = fs::metadata(&upper)?.permissions().mode();
        if mode & 0o700 != 0o700 {
            fs::set_permissions(&upper, fs::Permissions::from_mode(mode | 0o700))?;
        }
        let entries = match fs::read_dir(worktree) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let (from, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
            if name == ".git" {
                continue;
            }
            let mut to = upper.join(&name);
            for number in 1.. {
                // One that is there has written to the place, too; neither gives way to the other.
                match move_new(&from, &to) {
                    Err(Errno::EXIST) => {
                        let mut other = name.clone();
                        other.push(format!(".outside-{number}"));
                        to.set_file_name(other);
                    }
                    done => {
                        done?;
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

fn move_new(from: &Path, to: &Path) -> Result<(), Errno> {
    #[cfg(target_os = "linux")]
    {
        let (cwd, flags) = (rustix::fs::CWD, rustix::fs::RenameFlags::NOREPLACE);
        rustix::fs::renameat_with(cwd, from, cwd, to, flags)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (from, to);
        Err(Errno::NOTSUP)
    }
}

/// The name of the image that a place in this directory is over; none where it does not say.
pub(super) fn name_in(dir: &Path) -> Option<std::ffi::OsString> {
    let name = fs::read_link(dir.join(IMAGE)).ok()?;
    let mut parts = name.components();
    match (parts.next(), parts.next()) {
        (Some(std::path::Component::Normal(only)), None) => Some(only.to_owned()),
        _ => None,
    }
}

/// How an upper directory is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Somebody may write there meanwhile, and nothing of it is touched.
    Live,
    /// It is nobody's any more: rights that were taken away are given back.
    Ended,
}

/// What was written over an image.
#[derive(Debug, Default)]
pub(super) struct Upper {
    pub(super) entries: BTreeMap<Word, Kind>,
}

/// What is at a path of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Directory {
        /// Does nothing below it shine through?
        is_opaque: bool,
        mode: u32,
    },
    /// Something of the image was removed.
    Removed,
    /// A file, a link, or anything else.
    File,
}

/// What a file of the image is in the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// As in the image.
    Below,
    /// There is a file that was written.
    Written,
    /// There is no file.
    Gone,
}

impl Upper {
    /// Read all of it.
    pub(super) fn read(top: &Path, how: Reading) -> io::Result<Self> {
        let mut upper = Self::default();
        let dir = rustix::fs::open(top, OPEN, Mode::empty())?;
        upper.dir(&dir, &mut Vec::new(), how, 0)?;
        Ok(upper)
    }

    fn dir(&mut self, dir: &OwnedFd, path: &mut Vec<u8>, how: Reading, depth: usize) -> io::Result<()> {
        if depth > DEPTH {
            return Err(io::Error::other("its directories are too deep"));
        }
        let mut names: Vec<_> = Vec::new();
        for entry in Dir::read_from(dir)? {
            names.push(entry?.file_name().to_owned());
        }
        let length = path.len();
        for name in names {
            let bytes = name.to_bytes();
            if matches!(bytes, b"." | b"..") || depth == 0 && bytes == b".git" {
                continue;
            }
            let stat = match rustix::fs::statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) if how == Reading::Live => continue,
                stat => stat?,
            };
            if depth > 0 {
                path.push(b'/');
            }
            path.extend(bytes);
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => match open(dir, &name, &stat, how) {
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) if how == Reading::Live => {}
                    opened => {
                        let (opened, mode) = (opened?, rights(&stat));
                        let kind = Kind::Directory { is_opaque: is_opaque(&opened), mode };
                        self.entries.insert(Word::from(path.clone()), kind);
                        self.dir(&opened, path, how, depth + 1)?;
                    }
                },
                FileType::CharacterDevice if stat.st_rdev == 0 => {
                    self.entries.insert(Word::from(path.clone()), Kind::Removed);
                }
                _ => drop(self.entries.insert(Word::from(path.clone()), Kind::File)),
            }
            path.truncate(length);
        }
        Ok(())
    }

    /// What is a file of the image?
    pub(super) fn seen(&self, path: &Word) -> Seen {
        if !self.shines_above(path) {
            return match self.entries.get(path) {
                Some(Kind::File) => Seen::Written,
                _ => Seen::Gone,
            };
        }
        match self.entries.get(path) {
            None => Seen::Below,
            Some(Kind::File) => Seen::Written,
            Some(Kind::Removed | Kind::Directory { .. }) => Seen::Gone,
        }
    }

    /// Does what the image has below the directories above a path shine through?
    fn shines_above(&self, path: &Word) -> bool {
        for above in parents(path) {
            match self.entries.get(&above) {
                // Nothing was written below it.
                None => return true,
                Some(Kind::Directory { is_opaque: false, .. }) => {}
                Some(_) => return false,
            }
        }
        true
    }
}

#[allow(clippy::unnecessary_cast, reason = "of another width on other systems")]
fn rights(stat: &Stat) -> u32 {
    stat.st_mode as u32 & 0o7777
}

fn open(dir: &OwnedFd, name: &std::ffi::CStr, stat: &Stat, how: Reading) -> Result<OwnedFd, Errno> {
    match rustix::fs::openat(dir, name, OPEN, Mode::empty()) {
        Err(Errno::ACCESS) if how == Reading::Ended => {
            let mode = Mode::from_raw_mode(stat.st_mode & 0o7777 | 0o700);
            rustix::fs::chmodat(dir, name, mode, AtFlags::empty())?;
            rustix::fs::openat(dir, name, OPEN, Mode::empty())
        }
        opened => opened,
    }
}

fn has_opaque(dir: &Path) -> bool {
    let mut value = [0_u8; 4];
    rustix::fs::lgetxattr(dir, OPAQUE, &mut value[..]).is_ok_and(|length| value[..length] == *b"y")
}

fn is_opaque(dir: impl AsFd) -> bool {
    let mut value = [0_u8; 4];
    rustix::fs::fgetxattr(dir, OPAQUE, &mut value[..]).is_ok_and(|length| value[..length] == *b"y")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upper(entries: &[(&str, Kind)]) -> Upper {
        Upper { entries: entries.iter().map(|(path, kind)| ((*path).into(), *kind)).collect() }
    }

    #[test]
    fn what_was_written_hides_what_is_below_it() {
        let dir = |is_opaque| Kind::Directory { is_opaque, mode: 0o755 };
        let upper = upper(&[
            ("gone", Kind::Removed),
            ("new", Kind::File),
            ("dir", dir(false)),
            ("dir/gone", Kind::Removed),
            ("dir/new", Kind::File),
            ("dir/was-file", dir(false)),
            ("closed", dir(true)),
            ("closed/new", Kind::File),
            ("closed/in", dir(false)),
        ]);
        let all = |seen, paths: &[&str]| paths.iter().all(|path| upper.seen(&(*path).into()) == seen);
        assert!(all(Seen::Below, &["a", "dir/a", "dir/in/a", "gon"]));
        assert!(all(Seen::Written, &["new", "dir/new", "closed/new"]));
        assert!(all(
            Seen::Gone,
            &["gone", "gone/a", "new/a", "dir/gone", "dir/was-file", "closed/a", "closed/b/c", "closed/in/a"]
        ));
    }

    #[test]
    fn a_directory_is_there_where_it_was_written_or_shines_through() {
        let top = tempfile::tempdir().unwrap();
        let layers = Layers { dir: top.path().join("overlay"), images: top.path().join("images") };
        for dir in ["overlay/upper/new", "overlay/upper/both", "images/one/files/both/in", "images/one/files/below"] {
            fs::create_dir_all(top.path().join(dir)).unwrap();
        }
        fs::File::create(layers.upper().join("file")).unwrap();
        std::os::unix::fs::symlink("one", layers.dir.join(IMAGE)).unwrap();
        fs::create_dir_all(layers.image().join("file")).unwrap();
        for (path, is_there) in [
            ("", true),
            ("new", true),
            ("both/in", true),
            ("below", true),
            ("file", false),
            ("none", false),
            ("new/x", false),
        ] {
            assert_eq!(layers.has_dir(Path::new(path)), is_there, "{path}");
        }
    }

    #[test]
    fn an_image_is_known_by_its_name_and_by_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for (leads, name) in [("abc", Some("abc")), ("../abc", None), ("/etc", None), ("a/b", None), ("..", None)] {
            let _ = fs::remove_file(dir.path().join(IMAGE));
            std::os::unix::fs::symlink(leads, dir.path().join(IMAGE)).unwrap();
            assert_eq!(name_in(dir.path()), name.map(Into::into), "{leads}");
        }
    }
}
