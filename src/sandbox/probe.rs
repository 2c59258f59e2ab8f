//! What works here, found by doing it.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use super::{Cage, Group, Overlay, Places, Refused};
use crate::core::sandbox::{Policy, Tier};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The best tier that works.
    pub best: Tier,
    /// What the better ones failed at.
    pub refused: Vec<Refused>,
}

/// Does it hold? A write into its own directory must succeed, and one beside it must not.
const TRIAL: &str = "echo x > inside && ! (echo x > ../outside) 2>/dev/null";

/// Try the tiers, the best first, each with a small program. `command` makes a shell that runs a line.
pub fn look(command: &dyn Fn(&str) -> Command) -> Found {
    let mut refused = Vec::new();
    for tier in [Tier::Full, Tier::Reduced] {
        match works(tier, command) {
            Ok(()) => return Found { best: tier, refused },
            Err(why) => refused.push(why),
        }
    }
    Found { best: Tier::None, refused }
}

fn works(tier: Tier, command: &dyn Fn(&str) -> Command) -> Result<(), Refused> {
    let failed = |step: &str, why: String| Refused { tier, step: step.to_owned(), why };
    let make = |error: std::io::Error| failed("make a directory to try it in", error.to_string());
    let dir = tempfile::tempdir().map_err(make)?;
    let top = dir.path().canonicalize().map_err(make)?;
    let work = top.join("work");
    fs::create_dir(&work).map_err(make)?;
    let places = Places { work: work.clone(), worktree: work.clone(), ..Places::default() };
    let cage = Cage::prepare(tier, &Policy::default(), &places, Group::Own)?;
    let mut command = command(TRIAL);
    command.current_dir(&work);
    let null = || File::options().read(true).write(true).open("/dev/null").map(|null| Some(null.into()));
    let streams = || Ok([null()?, null()?, null()?]);
    let ended = streams().and_then(|streams| cage.spawn(command, streams, None)).and_then(|mut child| child.wait());
    match ended {
        Ok(status) if status.success() && !top.join("outside").exists() && work.join("inside").exists() => Ok(()),
        Ok(_) => Err(failed("hold it", "a trial wrote where it must not, or could not write where it must".to_owned())),
        Err(error) => Err(cage.refused().unwrap_or_else(|| failed("run a trial", error.to_string()))),
    }
}

/// What a task would do in an overlay: read what is below, write, and remove.
const OVER: &str = "read line < below/file && test \"$line\" = x && echo y > below/file && echo x > new && rm gone";

/// Can what a task writes in this directory of ours lie over other files? Done once, by the kernel.
///
/// # Errors
/// Where it cannot: why.
pub fn overlay(dir: &Path, command: &dyn Fn(&str) -> Command) -> Result<(), Refused> {
    let refused = |step: &str, why: String| Refused { tier: Tier::Full, step: step.to_owned(), why };
    let make = |error: std::io::Error| refused("make a directory to try an overlay in", error.to_string());
    let trial = tempfile::Builder::new().prefix("probe-").tempdir_in(dir).map_err(make)?;
    let top = trial.path().canonicalize().map_err(make)?;
    let [place, lower, upper, work] = ["place", "lower", "upper", "work"].map(|name| top.join(name));
    for dir in [&place, &lower, &lower.join("below"), &upper, &work] {
        fs::create_dir(dir).map_err(make)?;
    }
    for name in ["below/file", "gone"] {
        File::create(lower.join(name)).and_then(|mut file| file.write_all(b"x\n")).map_err(make)?;
    }
    let overlay = Some(Overlay { lower: lower.clone(), upper: upper.clone(), work: work.clone() });
    let places = Places { work: place.clone(), worktree: place.clone(), overlay, ..Places::default() };
    let cage = Cage::prepare(Tier::Full, &Policy::default(), &places, Group::Own)?;
    let mut command = command(OVER);
    command.current_dir(&place);
    let null = || File::options().read(true).write(true).open("/dev/null").map(|null| Some(null.into()));
    let streams = || Ok([null()?, null()?, null()?]);
    let ended = streams().and_then(|streams| cage.spawn(command, streams, None)).and_then(|mut child| child.wait());
    // Otherwise its owner could not remove what the kernel leaves.
    let _ = fs::set_permissions(work.join("work"), fs::Permissions::from_mode(0o700));
    let is_so = || {
        fs::read(upper.join("below/file")).is_ok_and(|text| text == b"y\n")
            && fs::read(lower.join("below/file")).is_ok_and(|text| text == b"x\n")
            && upper.join("new").is_file()
            && fs::symlink_metadata(upper.join("gone")).is_ok_and(|seen| seen.file_type().is_char_device())
            && lower.join("gone").is_file()
    };
    match ended {
        Ok(status) if status.success() && is_so() => Ok(()),
        Ok(_) => Err(refused("use an overlay", "a trial did not find or leave there what it should".to_owned())),
        Err(error) => Err(cage.refused().unwrap_or_else(|| refused("run a trial", error.to_string()))),
    }
}

/// The one command that would mend it, where that is known.
pub fn mend(refused: &Refused) -> Option<&'static str> {
    let says = |path: &str, value: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    if refused.tier != Tier::Full {
        return None;
    }
    if says("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        return Some("sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0");
    }
    if says("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        return Some("sudo sysctl -w kernel.unprivileged_userns_clone=1");
    }
    if says("/proc/sys/user/max_user_namespaces", "0") {
        return Some("sudo sysctl -w user.max_user_namespaces=15000");
    }
    let is_in_a_container = ["/.dockerenv", "/run/.containerenv"].iter().any(|path| Path::new(path).exists());
    is_in_a_container
        .then_some("start the container with --security-opt seccomp=unconfined --security-opt systempaths=unconfined")
}
