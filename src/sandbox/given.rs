//! What a task is given of the home, of what is hidden, and to run; pure, as the whole plan.

use std::path::{Path, PathBuf};

use super::plan::{Access, Kind, Mount, Places};
use crate::core::sandbox::{Becomes, Home, Policy};

/// What becomes of what is written by absolute paths to a checkout in whose place the worktree is not.
pub(super) fn becomes(policy: &Policy, home: Option<&Path>, checkout: &Path) -> Becomes {
    match policy.home {
        Home::Cow if home.is_some_and(|home| checkout.starts_with(home)) => Becomes::Vanishes,
        Home::Rw if home.is_some_and(|home| checkout.starts_with(home)) => Becomes::Stays,
        _ => Becomes::Refused,
    }
}

/// What stays as it is also in a home that can be written, where it is there: what others run for you later.
#[rustfmt::skip]
pub const GUARDED: &[&str] = &[
    ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".profile", ".zshrc", ".zshenv", ".zprofile", ".zlogin",
    ".config/fish", ".gitconfig", ".config/git", ".config/pleach", ".config/autostart", ".config/systemd", ".local/bin", "bin",
    ".local/share/applications", ".local/share/systemd", ".vimrc", ".config/nvim", ".vscode", ".tmux.conf", ".Xprofile", ".xsession",
];

/// What is hidden of a home.
#[rustfmt::skip]
pub const SECRETS: &[&str] = &[
    ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".netrc", ".git-credentials", ".npmrc", ".pypirc",
    ".password-store", ".vault-token", ".terraform.d/credentials.tfrc.json", ".cargo/credentials", ".cargo/credentials.toml",
    ".config/gcloud", ".config/gh", ".config/hub", ".config/glab-cli", ".config/git/credentials", ".config/op", ".config/doctl", ".config/rclone",
    ".local/share/keyrings", ".mozilla", ".thunderbird", ".config/google-chrome", ".config/chromium",
    ".config/BraveSoftware", ".config/microsoft-edge",
    ".bash_history", ".zsh_history", ".local/share/fish/fish_history",
];

/// Where programs are loaded by which other programs are loaded.
const LOADERS: &[&str] = &[
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-linux-riscv64-lp64d.so.1",
    "/lib/ld-musl-x86_64.so.1",
    "/lib/ld-musl-aarch64.so.1",
    "/lib/ld-musl-riscv64.so.1",
];

type Look<'a> = &'a dyn Fn(&Path) -> Kind;

/// The home, and what stays as it is in it.
pub(super) fn home(policy: &Policy, places: &Places, kind: Look<'_>) -> Vec<Mount> {
    let is_home = |home: &&Path| kind(home) == Kind::Directory && home.parent().is_some();
    let Some(home) = places.home.as_deref().filter(is_home) else { return Vec::new() };
    match policy.home {
        // As the rest of the system.
        Home::Ro => Vec::new(),
        Home::Cow => vec![Mount::Copy(home.to_owned())],
        Home::Rw => {
            let named = GUARDED.iter().map(|name| home.join(name));
            let own = places.hide.iter().filter_map(|path| path.parent()).map(Path::to_owned);
            let common = places.common.iter().map(|(_, common)| common.clone());
            let kept = named.chain(own).chain(common).map(|path| real(path, kind));
            let kept = kept.filter(|path| path.starts_with(home) && path != home && kind(path) != Kind::Absent);
            std::iter::once(again(home, Access::Write)).chain(kept.map(|path| again(&path, Access::Read))).collect()
        }
    }
}

/// What is shown although it is among the hidden.
pub(super) fn shown(policy: &Policy, places: &Places, kind: Look<'_>) -> Vec<Mount> {
    let all = policy.read.iter().map(|path| real(under(places.home.as_deref(), path.as_path()), kind));
    all.filter(|path| kind(path) != Kind::Absent).map(|path| again(&path, Access::Read)).collect()
}

/// What it can run, and what has to be mounted for that: a copy of a program is another program. None for anything.
pub(super) fn programs(
    policy: &Policy,
    places: &Places,
    mounts: &[Mount],
    kind: Look<'_>,
) -> (Option<Vec<PathBuf>>, Vec<Mount>) {
    let Some(wanted) = &policy.exec else { return (None, Vec::new()) };
    let home = places.home.as_deref();
    let named = wanted.iter().map(|path| match path.as_path() {
        path if path == Path::new(".") => places.worktree.clone(),
        path => under(home, path),
    });
    let all = named.chain(places.run.iter().cloned()).chain(LOADERS.iter().map(PathBuf::from));
    let all: Vec<PathBuf> = all.map(|path| real(path, kind)).filter(|path| kind(path) != Kind::Absent).collect();
    // Nor may a program that it can run become another one.
    let in_home = |path: &&PathBuf| {
        let holder = mounts.iter().filter(|mount| path.starts_with(mount.at()));
        holder.max_by_key(|mount| mount.at().components().count()).is_some_and(|holder| Some(holder.at()) == home)
    };
    let mounts = all.iter().filter(in_home).map(|path| again(path, Access::Read)).collect();
    (Some(all), mounts)
}

fn again(path: &Path, access: Access) -> Mount {
    Mount::Again { from: path.to_owned(), to: path.to_owned(), access }
}

pub(super) fn real(path: PathBuf, kind: Look<'_>) -> PathBuf {
    match kind(&path) {
        Kind::Link(real) => real,
        _ => path,
    }
}

pub(super) fn under(home: Option<&Path>, path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        // Without a `/` at its end, by which a directory is meant that may have to be made.
        (Ok(below), Some(home)) => home.join(below).components().collect(),
        _ => path.components().collect(),
    }
}
