//! What is where for a task: pure, so that it can be read and tested without any namespace.
//!
//! A [`Plan`] is a list of [`Mount`]s in the order in which they are made, parents before children. Everything that is
//! in no list is there and cannot be written.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::given::{self, SECRETS, real, under};
use super::overlay::Overlay;
use crate::core::sandbox::{Network, Policy, Warning};

/// What a task is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// Where its command starts.
    pub work: PathBuf,
    /// Its worktree.
    pub worktree: PathBuf,
    /// What lies over what there, if it is not on the disk as it is.
    pub overlay: Option<Overlay>,
    /// The checkout of the user in whose place the worktree appears too.
    pub checkout: Option<PathBuf>,
    /// What the user calls it, where there is a link on the way.
    pub called: Option<PathBuf>,
    /// The directory of the repository as its private one names it (`common`), and as it is.
    pub common: Option<(PathBuf, PathBuf)>,
    /// What else it writes: its private git directory.
    pub write: Vec<PathBuf>,
    /// What it sees of the hidden: its socket.
    pub show: Vec<PathBuf>,
    /// What a file of its worktree is for it alone, and which one that is: its `.git`, which leads elsewhere for everybody else.
    pub lead: Option<(PathBuf, PathBuf)>,
    /// Its temporary directory; it is `/tmp`, too.
    pub tmp: Option<PathBuf>,
    /// Directories of ours with other tasks in them.
    pub hide: Vec<PathBuf>,
    /// What is seen although it lies among the temporary files: programs, homes.
    pub keep: Vec<PathBuf>,
    /// The home of the user.
    pub home: Option<PathBuf>,
    /// Sockets that somebody listens at.
    pub sockets: Vec<PathBuf>,
    /// What it can run in any case: this program.
    pub run: Vec<PathBuf>,
    /// Links on the way to any of these, and where they lead.
    pub links: Vec<(PathBuf, PathBuf)>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// What is at `from` is also at `to`.
    Again {
        /// On the disk.
        from: PathBuf,
        /// For the task.
        to: PathBuf,
        /// What can be done with it.
        access: Access,
    },
    /// A copy of what is there: what is written to it stays in memory, and vanishes with the task.
    Copy(PathBuf),
    /// A directory without what is there, that nobody can write.
    Empty(PathBuf),
    /// An empty directory in memory that anybody can write.
    Memory(PathBuf),
    /// A file without content that cannot even be opened.
    Nothing(PathBuf),
    /// Terminals of its own.
    Terminals(PathBuf),
    /// A symbolic link.
    Link {
        /// Its place.
        at: PathBuf,
        /// Where it leads.
        to: PathBuf,
    },
}

/// What can be done with something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read it.
    Read,
    /// Read and write it.
    Write,
    /// It is a device.
    Device,
}

/// All that is done to a process before it becomes the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// In this order.
    pub mounts: Vec<Mount>,
    /// Before them: what is put where.
    pub overlay: Option<(PathBuf, Overlay)>,
    /// Where its command starts.
    pub work: PathBuf,
    /// Whom it can talk to.
    pub network: Network,
    /// What it can write, for a tier that knows no mounts.
    pub write: Vec<PathBuf>,
    /// What it can run; none for anything.
    pub run: Option<Vec<PathBuf>>,
    /// Bytes that each directory in memory may hold.
    pub memory: Option<u64>,
    /// Processes that it may have.
    pub processes: Option<u64>,
    /// What of it is less than its user may think.
    pub warnings: Vec<Warning>,
}

/// What is hidden of the system: doors of programs that do more than a task may.
pub const DOORS: &[&str] = &[
    "/run/user",
    "/run/dbus",
    "/run/docker.sock",
    "/run/docker",
    "/run/podman",
    "/run/containerd",
    "/run/crio",
    "/run/libvirt",
    "/run/systemd/private",
    // Pipes by which programs are told what to do: nothing else keeps one from being written.
    "/run/systemd/initctl",
    "/run/initctl",
    "/run/dmeventd-server",
    "/run/snapd.sock",
    "/run/screen",
    "/run/tmux",
    "/var/run/docker.sock",
];

const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];
const LINKS: &[(&str, &str)] = &[
    ("/dev/ptmx", "pts/ptmx"),
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];
/// Where anybody can leave files.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];
const MEMORY: &str = "/dev/shm";

/// How a path is, as far as the plan must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Nothing is there.
    Absent,
    /// A directory.
    Directory,
    /// A link, and where it leads in the end, without any link on the way.
    Link(PathBuf),
    /// Anything else.
    File,
}

/// Make the plan. `kind` tells of a path, without following a link.
pub fn plan(policy: &Policy, places: &Places, kind: &dyn Fn(&Path) -> Kind) -> Plan {
    let mut mounts = Vec::new();
    let is_there = |path: &Path| kind(path) != Kind::Absent;
    let again = |from: &Path, to: &Path, access| Mount::Again { from: from.to_owned(), to: to.to_owned(), access };
    let worktree_access = if policy.read_only { Access::Read } else { Access::Write };

    if let Some(tmp) = &places.tmp {
        mounts.extend(
            TEMPORARY
                .iter()
                .map(Path::new)
                .filter(|dir| kind(dir) == Kind::Directory)
                .map(|dir| again(tmp, dir, Access::Write)),
        );
        mounts.push(again(tmp, tmp, Access::Write));
    }
    let is_below = |path: &Path, dir: &str| path.starts_with(dir) && path != Path::new(dir);
    let is_temporary = |path: &Path| {
        is_below(path, MEMORY) || (places.tmp.is_some() && TEMPORARY.iter().any(|dir| is_below(path, dir)))
    };
    let common = places.common.iter().map(|(_, common)| common);
    let kept = places.keep.iter().chain(&places.home).chain(common);
    mounts.extend(kept.filter(|path| is_temporary(path) && is_there(path)).map(|path| again(path, path, Access::Read)));

    // Not one that anybody can write: below such a one the kernel refuses `> /dev/null` to all but the owner of the device.
    mounts.push(Mount::Empty("/dev".into()));
    mounts.extend(
        DEVICES
            .iter()
            .map(|name| Path::new("/dev").join(name))
            .filter(|path| is_there(path))
            .map(|path| again(&path, &path, Access::Device)),
    );
    mounts.push(Mount::Terminals("/dev/pts".into()));
    mounts.push(Mount::Memory(MEMORY.into()));

    let home = places.home.as_deref();
    mounts.extend(given::home(policy, places, kind));
    let hide = |path: PathBuf| {
        // A secret may be kept elsewhere, with a link to it.
        let path = real(path, kind);
        match kind(&path) {
            Kind::Directory => Some(Mount::Empty(path)),
            Kind::File => Some(Mount::Nothing(path)),
            Kind::Link(_) | Kind::Absent => None,
        }
    };
    let secrets = SECRETS.iter().filter_map(|name| Some(home?.join(name)));
    mounts.extend(secrets.chain(DOORS.iter().map(PathBuf::from)).filter_map(hide));
    mounts.extend(given::shown(policy, places, kind));
    let named = policy.hide.iter().map(|path| under(home, path.as_path()));
    let own_pleach = places.common.iter().map(|(_, common)| common.join("pleach"));
    mounts.extend(named.chain(places.hide.iter().cloned()).chain(own_pleach).filter_map(hide));

    let mut write: Vec<PathBuf> = places.write.clone();
    let (there, not_there): (Vec<PathBuf>, Vec<PathBuf>) =
        policy.write.iter().map(|path| real(under(home, path.as_path()), kind)).partition(|path| is_there(path));
    write.extend(there);
    let mut warnings: Vec<Warning> =
        not_there.iter().map(|path| Warning::NotKept { path: path.as_path().into() }).collect();
    let writable: Vec<Mount> = write.iter().map(|path| again(path, path, Access::Write)).collect();
    mounts.extend(writable);
    mounts.extend(places.show.iter().map(|path| again(path, path, Access::Read)));
    if let Some((name, common)) = &places.common {
        mounts.push(again(common, name, Access::Read));
        let own = name.join("pleach");
        if is_there(&common.join("pleach")) {
            mounts.push(Mount::Empty(own));
        }
    }
    mounts.push(again(&places.worktree, &places.worktree, worktree_access));
    mounts.extend(places.lead.iter().map(|(file, at)| again(file, at, Access::Read)));
    // Nothing else may lie in it, or it would be hidden by what is put over it.
    let contains = |checkout: &Path| {
        let others = places
            .tmp
            .iter()
            .chain(&write)
            .chain(&places.show)
            .chain([&places.worktree])
            .chain(&places.keep)
            .chain(&places.home);
        others.into_iter().any(|path| path.starts_with(checkout))
    };
    let (checkout, left) = match places.checkout.as_deref().filter(|checkout| kind(checkout) == Kind::Directory) {
        Some(checkout) if contains(checkout) => (None, Some(checkout)),
        checkout => (checkout, None),
    };
    warnings.extend(left.map(|checkout| Warning::Elsewhere {
        checkout: checkout.into(),
        becomes: given::becomes(policy, home, checkout),
    }));
    if let Some(checkout) = checkout {
        mounts.retain(|mount| !mount.at().starts_with(checkout));
        mounts.push(again(&places.worktree, checkout, worktree_access));
        let shown = places.show.iter().map(|path| (path, path)).chain(places.lead.iter().map(|(file, at)| (file, at)));
        let inside = shown.filter_map(|(from, at)| Some((from, at.strip_prefix(&places.worktree).ok()?)));
        mounts.extend(inside.map(|(from, below)| again(from, &checkout.join(below), Access::Read)));
    }
    let covered = |socket: &Path| {
        checkout.is_some_and(|checkout| socket.starts_with(checkout))
            || write.iter().chain(&places.show).chain([&places.worktree]).any(|path| socket.starts_with(path))
            || is_temporary(socket)
            || mounts.iter().any(|mount| matches!(mount, Mount::Empty(dir) if socket.starts_with(dir)))
    };
    let doors: Vec<Mount> = places
        .sockets
        .iter()
        .filter(|path| !covered(path) && kind(path) == Kind::File)
        .cloned()
        .map(Mount::Nothing)
        .collect();
    // Where the directory is seen although it is among the temporary files, its sockets are hidden one by one.
    let kept = places.sockets.iter().filter(|path| is_temporary(path) && kind(path) == Kind::File);
    let kept = kept.filter(|path| places.keep.iter().chain(&places.home).any(|dir| path.starts_with(dir)));
    let is_ours =
        |path: &Path| write.iter().chain(&places.show).chain([&places.worktree]).any(|own| path.starts_with(own));
    let is_hidden =
        |path: &Path| mounts.iter().any(|mount| matches!(mount, Mount::Empty(dir) if path.starts_with(dir)));
    let kept: Vec<Mount> = kept
        .filter(|path| !is_ours(path) && !is_hidden(path) && checkout.is_none_or(|top| !path.starts_with(top)))
        .cloned()
        .map(Mount::Nothing)
        .collect();
    mounts.extend(doors);
    mounts.extend(kept);
    // Among the temporary files nothing is there that is not put there.
    let links = places.links.iter().filter(|(at, _)| is_temporary(at));
    mounts.extend(links.map(|(at, to)| Mount::Link { at: at.clone(), to: to.clone() }));
    mounts.extend(LINKS.iter().map(|(at, to)| Mount::Link { at: at.into(), to: to.into() }));
    let mut all = write;
    all.extend(places.tmp.clone());
    if !policy.read_only {
        all.push(places.worktree.clone());
    }
    let (run, of_programs) = given::programs(policy, places, &mounts, kind);
    mounts.extend(of_programs);
    Plan {
        mounts: in_order(mounts),
        overlay: places.overlay.clone().map(|overlay| (places.worktree.clone(), overlay)),
        run,
        work: places.work.clone(),
        network: policy.network.clone(),
        write: all,
        memory: policy.memory,
        processes: policy.processes,
        warnings,
    }
}

/// Parents before children, each place once: what was said last counts. Devices come last: until then there is memory in
/// their place, of which the others are made.
fn in_order(mounts: Vec<Mount>) -> Vec<Mount> {
    let mut met = HashSet::new();
    let mut list: Vec<_> = mounts.into_iter().rev().filter(|it| met.insert(it.at().as_os_str().to_owned())).collect();
    list.reverse();
    list.sort_by_cached_key(|mount| (mount.at().starts_with("/dev"), mount.at().components().count()));
    list
}

impl Mount {
    /// Where it appears.
    pub fn at(&self) -> &Path {
        match self {
            Self::Again { to, .. } => to,
            Self::Copy(at)
            | Self::Empty(at)
            | Self::Memory(at)
            | Self::Nothing(at)
            | Self::Terminals(at)
            | Self::Link { at, .. } => at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::sandbox::{Becomes, Home};

    fn places() -> Places {
        Places {
            work: "/state/worktrees/1/dir".into(),
            worktree: "/state/worktrees/1".into(),
            checkout: Some("/home/ute/project".into()),
            common: Some(("/state/attempts/1/common".into(), "/home/ute/project/.git".into())),
            write: vec!["/state/attempts/1/git".into()],
            show: vec!["/state/attempts/1/inbox".into()],
            lead: Some(("/state/attempts/1/lead".into(), "/state/worktrees/1/.git".into())),
            tmp: Some("/state/attempts/1/tmp".into()),
            hide: vec!["/state".into()],
            home: Some("/home/ute".into()),
            run: vec!["/opt/pleach".into()],
            sockets: vec!["/run/x.sock".into(), "/home/ute/project/.git/pleach/socket".into()],
            ..Places::default()
        }
    }

    fn kind(path: &Path) -> Kind {
        let files = ["/home/ute/.netrc", "/run/x.sock", "/home/ute/project/.git/pleach/socket"];
        if path == Path::new("/home/ute/.kube") {
            return Kind::Link("/home/ute/dotfiles/kube".into());
        }
        let absent = ["/home/ute/.aws", "/var/tmp", "/run/user"];
        let is = |list: &[&str]| list.iter().any(|one| path == Path::new(one));
        match path {
            _ if is(&files) => Kind::File,
            _ if is(&absent) => Kind::Absent,
            _ => Kind::Directory,
        }
    }

    fn at<'a>(plan: &'a Plan, path: &str) -> Option<&'a Mount> {
        plan.mounts.iter().find(|mount| mount.at() == Path::new(path))
    }

    #[test]
    fn parents_come_before_what_is_in_them() {
        let plan = plan(&Policy::default(), &places(), &kind);
        for (index, mount) in plan.mounts.iter().enumerate() {
            let later = plan.mounts[index + 1..].iter().find(|later| mount.at().starts_with(later.at()));
            assert!(later.is_none(), "{mount:?} would be hidden by {later:?}");
        }
    }

    #[test]
    fn the_worktree_is_in_the_place_of_the_checkout_and_of_its_own() {
        let plan = plan(&Policy::default(), &places(), &kind);
        for path in ["/home/ute/project", "/state/worktrees/1"] {
            let Some(Mount::Again { from, access, .. }) = at(&plan, path) else { panic!("{plan:?}") };
            assert_eq!((from.as_path(), *access), (Path::new("/state/worktrees/1"), Access::Write));
        }
        assert_eq!(at(&plan, "/home/ute/project/.git/pleach"), None, "nothing is put into the user's own");
        assert_eq!(
            at(&plan, "/state/attempts/1/common/pleach"),
            Some(&Mount::Empty("/state/attempts/1/common/pleach".into()))
        );
    }

    #[test]
    fn its_git_file_is_for_it_alone_in_both_places() {
        let plan = plan(&Policy::default(), &places(), &kind);
        for path in ["/home/ute/project/.git", "/state/worktrees/1/.git"] {
            let Some(Mount::Again { from, access, .. }) = at(&plan, path) else { panic!("{plan:?}") };
            assert_eq!((from.as_path(), *access), (Path::new("/state/attempts/1/lead"), Access::Read), "{path}");
        }
    }

    #[test]
    fn secrets_doors_and_other_tasks_are_hidden() {
        let plan = plan(&Policy { hide: vec!["~/notes".into()], ..Policy::default() }, &places(), &kind);
        for path in ["/home/ute/.ssh", "/run/dbus", "/state", "/home/ute/notes", "/home/ute/dotfiles/kube"] {
            assert_eq!(at(&plan, path), Some(&Mount::Empty(path.into())), "{path}");
        }
        for path in ["/home/ute/.netrc", "/run/x.sock"] {
            assert_eq!(at(&plan, path), Some(&Mount::Nothing(path.into())), "{path}");
        }
        assert_eq!(at(&plan, "/home/ute/.aws"), None);
    }

    #[test]
    fn a_home_that_is_written_keeps_what_others_run_later() {
        let policy = Policy { home: Home::Rw, read: vec!["~/.netrc".into()], ..Policy::default() };
        let plan = plan(&policy, &places(), &kind);
        let again = |path: &str, access| Mount::Again { from: path.into(), to: path.into(), access };
        assert_eq!(at(&plan, "/home/ute"), Some(&again("/home/ute", Access::Write)));
        for path in ["/home/ute/.bashrc", "/home/ute/.config/git", "/home/ute/.netrc"] {
            assert_eq!(at(&plan, path), Some(&again(path, Access::Read)), "{path}");
        }
        assert_eq!(at(&plan, "/home/ute/.ssh"), Some(&Mount::Empty("/home/ute/.ssh".into())));
        assert!(!plan.write.contains(&PathBuf::from("/home/ute")), "without mounts it would have the secrets, too");
        let closed = super::plan(&Policy { home: Home::Ro, ..Policy::default() }, &places(), &kind);
        assert_eq!(at(&closed, "/home/ute"), None);
        let both = Policy { read: vec!["~/.netrc".into()], hide: vec!["~/.netrc".into()], ..Policy::default() };
        assert_eq!(
            at(&super::plan(&both, &places(), &kind), "/home/ute/.netrc"),
            Some(&Mount::Nothing("/home/ute/.netrc".into()))
        );
    }

    #[test]
    fn what_can_be_run_is_the_original_and_not_its_copy() {
        let exec = ["/usr/bin", "~/.cargo/bin/cargo", "."].map(Into::into).to_vec();
        let plan = plan(&Policy { exec: Some(exec), ..Policy::default() }, &places(), &kind);
        let run = plan.run.clone().unwrap();
        for path in ["/usr/bin", "/home/ute/.cargo/bin/cargo", "/state/worktrees/1", "/opt/pleach"] {
            assert!(run.contains(&path.into()), "{path}");
        }
        assert!(matches!(at(&plan, "/home/ute/.cargo/bin/cargo"), Some(Mount::Again { access: Access::Read, .. })));
        assert_eq!(at(&plan, "/usr/bin"), None);
        assert_eq!(super::plan(&Policy::default(), &places(), &kind).run, None);
    }

    #[test]
    fn what_cannot_be_kept_is_told() {
        let policy = Policy { write: vec!["~/.aws".into(), "~/.cache/".into()], ..Policy::default() };
        let plan = plan(&policy, &places(), &kind);
        assert_eq!(plan.warnings, [Warning::NotKept { path: "/home/ute/.aws".into() }]);
        assert!(matches!(at(&plan, "/home/ute/.cache"), Some(Mount::Again { access: Access::Write, .. })));
    }

    #[test]
    fn read_only_means_the_worktree_too() {
        let plan = plan(&Policy { read_only: true, ..Policy::default() }, &places(), &kind);
        for path in ["/home/ute/project", "/state/worktrees/1"] {
            assert!(matches!(at(&plan, path), Some(Mount::Again { access: Access::Read, .. })), "{path}");
        }
        assert!(!plan.write.contains(&PathBuf::from("/state/worktrees/1")));
    }

    #[test]
    fn a_checkout_that_holds_what_the_task_needs_is_left_where_it_is() {
        let mut places = places();
        places.checkout = Some("/home/ute".into());
        let told = |home, becomes| {
            let plan = plan(&Policy { home, ..Policy::default() }, &places, &kind);
            let warning = Warning::Elsewhere { checkout: "/home/ute".into(), becomes };
            assert_eq!(
                plan.warnings,
                [warning],
                "an absolute path would not lead into the worktree, and nobody would know"
            );
            plan
        };
        let plan = told(Home::Cow, Becomes::Vanishes);
        assert_eq!(at(&plan, "/home/ute"), Some(&Mount::Copy("/home/ute".into())));
        told(Home::Ro, Becomes::Refused);
        told(Home::Rw, Becomes::Stays);
        places.checkout = Some("/".into());
        assert_eq!(at(&super::plan(&Policy::default(), &places, &kind), "/"), None);
    }
}
