//! What directories take on the disk.
//!
//! A file that has other names outside of what is weighed is *shared*: it would still be there without it. What a file system
//! shares below files (copies on write) it does not tell; such bytes count for each.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// Bytes of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weight {
    /// That are free once it is gone.
    pub exclusive: u64,
    /// That others have too.
    pub shared: u64,
}

impl Weight {
    /// Of these directories together, and all below them; no link is followed, and what is not there weighs nothing.
    pub fn of(dirs: impl IntoIterator<Item = PathBuf>) -> Self {
        let (mut weight, mut linked) = (Self::default(), HashMap::new());
        for dir in dirs {
            weight.add(&dir, &mut linked);
        }
        for (names, seen) in linked.into_values() {
            let part: &mut u64 =
                if names < Metadata::nlink(&seen) { &mut weight.shared } else { &mut weight.exclusive };
            *part += bytes(&seen);
        }
        weight
    }

    fn add(&mut self, dir: &Path, linked: &mut HashMap<(u64, u64), (u64, Metadata)>) {
        for seen in WalkDir::new(dir).follow_links(false).into_iter().flatten().flat_map(|entry| entry.metadata()) {
            if seen.is_dir() || seen.nlink() < 2 {
                self.exclusive += bytes(&seen);
            } else {
                linked.entry((seen.dev(), seen.ino())).or_insert((0, seen)).0 += 1;
            }
        }
    }
}

impl std::ops::AddAssign for Weight {
    fn add_assign(&mut self, other: Self) {
        self.exclusive += other.exclusive;
        self.shared += other.shared;
    }
}

/// Blocks of a file are told in these bytes, whatever they are.
fn bytes(seen: &Metadata) -> u64 {
    seen.blocks() * 512
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests write files as a user would")]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_name_elsewhere_is_shared_and_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| dir.path().join(name));
        for dir in [&one, &other] {
            std::fs::create_dir(dir).unwrap();
        }
        let block = |name: &str| std::fs::write(one.join(name), vec![1; 1 << 16]).unwrap();
        ["own", "linked", "twice"].into_iter().for_each(block);
        std::fs::hard_link(one.join("linked"), other.join("linked")).unwrap();
        std::fs::hard_link(one.join("twice"), one.join("again")).unwrap();
        std::os::unix::fs::symlink(&other, one.join("link")).unwrap();
        let weight = Weight::of([one.clone()]);
        assert!(weight.shared >= 1 << 16 && weight.shared < 2 << 16, "{weight:?}");
        assert!(weight.exclusive >= 2 << 16 && weight.exclusive < 3 << 16, "{weight:?}");
        let both = Weight::of([one.clone(), other]);
        assert!(both.shared == 0 && both.exclusive >= 3 << 16, "{both:?}");
        assert_eq!(Weight::of([one.join("nothing")]), Weight::default());
    }
}
