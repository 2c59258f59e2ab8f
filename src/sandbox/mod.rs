//! What a process may touch.
//!
//! - [`plan`]: what is where for a task, as a list; pure. [`filter`]: the system calls that it may not make, as data.
//! - `linux`: starting a process in namespaces of its own. `mounts`, `first`, `program` and `system`: what is made ready for that, and what is
//!   done between the fork and the exec. `landlock`: the rules of the kernel for where that is not possible. `seatbelt` and `macos`: the same for macOS, as far as it goes. [`probe`]: what works here, found by doing it.
//! - [`proxy`]: the one way out, where hosts are listed.
//!
//! A tier is chosen by trying: what fails on the way has not run anything of the task, says at which step it failed,
//! and the next tier may be tried. Nothing here knows of tasks or of git.
#![cfg_attr(
    any(target_os = "linux", target_os = "macos"),
    expect(unsafe_code, reason = "between fork and exec there are only system calls")
)]

#[cfg(target_os = "linux")]
pub mod cgroup;
#[cfg(target_os = "linux")]
pub mod filter;
#[cfg(target_os = "linux")]
mod first;
pub mod given;
pub mod lack;
#[cfg(target_os = "linux")]
mod landlock;
pub mod limits;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "linux")]
mod mounts;
mod overlay;
pub mod plan;
pub mod probe;
#[cfg(target_os = "linux")]
mod program;
pub mod proxy;
#[cfg(any(test, target_os = "macos"))]
mod seatbelt;
pub mod surroundings;
#[cfg(target_os = "linux")]
mod system;

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;

use crate::core::sandbox::{Network, Policy, Tier, Warning};
pub use overlay::Overlay;
pub use plan::Places;

/// It cannot be kept to itself so far.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {tier} tier of the sandbox does not work here: cannot {step}: {why}")]
pub struct Refused {
    /// The tier that was tried.
    pub tier: Tier,
    /// The step that failed.
    pub step: String,
    /// Why, in the words of the system.
    pub why: String,
}

/// In which group of processes the command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// One of its own.
    Own,
    /// That of whoever started it: signals of the terminal reach it.
    Same,
}

/// What is done to one command when it starts.
#[derive(Debug)]
pub struct Cage {
    tier: Tier,
    network: Network,
    warnings: Vec<Warning>,
    #[cfg(target_os = "linux")]
    inner: Option<linux::Inner>,
    #[cfg(target_os = "macos")]
    inner: Option<macos::Inner>,
}

impl Cage {
    /// Make all ready that can be made ready before the fork.
    ///
    /// # Errors
    /// Where this tier does not work here.
    pub fn prepare(tier: Tier, policy: &Policy, places: &Places, group: Group) -> Result<Self, Refused> {
        if tier < policy.network.least() {
            let (step, why) = match policy.network.list() {
                Some(_) => ("hold it to a list of hosts ([sandbox] network)", "only the full tier can"),
                None => ("keep it from the network ([sandbox] network)", "there is nothing that would hold it"),
            };
            return Err(Refused { tier, step: step.to_owned(), why: why.to_owned() });
        }
        if tier == Tier::None && policy.read_only {
            let (step, why) = ("keep it from writing (--read-only)", "there is nothing that would hold it");
            return Err(Refused { tier, step: step.to_owned(), why: why.to_owned() });
        }
        let network = policy.network.clone();
        let unheld = || Refused {
            tier,
            step: "limit what it runs (`exec`)".to_owned(),
            why: "there is nothing that would hold it".to_owned(),
        };
        if tier == Tier::None {
            if policy.exec.is_some() {
                return Err(unheld());
            }
            return Ok(Self {
                tier,
                network,
                warnings: Vec::new(),
                #[cfg(any(target_os = "linux", target_os = "macos"))]
                inner: None,
            });
        }
        let refused = |step: &str, why: io::Error| Refused { tier, step: step.to_owned(), why: why.to_string() };
        if lack::of(tier.as_str()) {
            return Err(refused("use it", io::Error::other(lack::WHY)));
        }
        surroundings::make_wanted(policy, places.home.as_deref());
        #[cfg(target_os = "linux")]
        {
            let seen = surroundings::Seen::default();
            let mut plan = plan::plan(policy, &surroundings::real(places, &seen), &|path| seen.kind(path));
            let mut warnings = std::mem::take(&mut plan.warnings);
            // That nothing is in the place of anything is a gap of the other tier.
            warnings.retain(|warning| tier == Tier::Full || !matches!(warning, Warning::Elsewhere { .. }));
            let inner = linux::Inner::new(tier, &plan, group).map_err(|(step, why)| refused(step, why))?;
            Ok(Self { tier, network, warnings, inner: Some(inner) })
        }
        #[cfg(target_os = "macos")]
        {
            let _ = group;
            if tier != Tier::Reduced {
                return Err(refused("make namespaces for it", io::ErrorKind::Unsupported.into()));
            }
            // Nothing can be put in the place of the checkout: what is hidden in there stays on the list.
            let seen = surroundings::Seen::default();
            let places = Places { checkout: None, ..surroundings::real(places, &seen) };
            let plan = plan::plan(policy, &places, &|path| seen.kind(path));
            let profile = seatbelt::profile(&plan, &places.show);
            let inner = macos::Inner::new(&profile).map_err(|(step, why)| refused(step, why))?;
            Ok(Self { tier, network, warnings: plan.warnings, inner: Some(inner) })
        }
        #[cfg(not(any(target_os = "linux", target_os = "macos")))]
        {
            let _ = (policy, places, group, network);
            Err(refused("keep a process to itself on this system", io::ErrorKind::Unsupported.into()))
        }
    }

    /// Start a command. Its environment is what the command names, and nothing else where anything keeps it to itself; what is
    /// to be done to it between fork and exec is done in the lower tiers only. `group` is where a control group is entered.
    ///
    /// # Errors
    /// Where it cannot be started: nothing of it has run then. [`refused`](Self::refused) says whether it was because of us.
    pub fn spawn(&self, command: Command, streams: Streams, group: Option<OwnedFd>) -> io::Result<Child> {
        #[cfg(target_os = "linux")]
        if let (Tier::Full, Some(inner)) = (self.tier, &self.inner) {
            return inner.start(&command, streams, group).map(|first| Child(Kind::First(first)));
        }
        let mut command = command;
        let [input, output, error] = streams;
        input.map(|stream| command.stdin(Stdio::from(stream)));
        output.map(|stream| command.stdout(Stdio::from(stream)));
        error.map(|stream| command.stderr(Stdio::from(stream)));
        if let Some(group) = group {
            limits::enter(&mut command, group);
        }
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        if let Some(inner) = &self.inner {
            only_named(&mut command);
            inner.confine(&mut command);
        }
        command.spawn().map(|child| Child(Kind::Plain(child)))
    }

    /// Where hosts are listed: have them called for it, from before it is started, until what is answered is dropped. What is
    /// denied goes into the book.
    ///
    /// # Errors
    /// Where the system has no threads or descriptors left.
    pub fn serve(&self, book: &Arc<proxy::Book>) -> io::Result<Option<proxy::Serving>> {
        #[cfg(target_os = "linux")]
        if let (Some(rules), Some(door)) = (self.network.list(), self.inner.as_ref().and_then(linux::Inner::door)) {
            return proxy::serve(door?, rules.to_vec(), Arc::clone(book)).map(Some);
        }
        let _ = book;
        Ok(None)
    }

    /// What programs are told by whom to ask for other hosts.
    pub fn variables(&self) -> &'static [(&'static str, &'static str)] {
        if self.network.list().is_some() { proxy::VARIABLES } else { &[] }
    }

    /// What the user of a task in it should know.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Which tier it is.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// After the command could not be started: was it because of us? Then nothing of it has run.
    pub fn refused(&self) -> Option<Refused> {
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        if let Some((step, why)) = self.inner.as_ref().and_then(|inner| inner.failure()) {
            return Some(Refused { tier: self.tier, step, why: why.to_string() });
        }
        None
    }
}

/// What a command reads, writes and says beside that; where nothing is said, what we do.
pub type Streams = [Option<OwnedFd>; 3];

/// A command that was started.
#[derive(Debug)]
pub struct Child(Kind);

#[derive(Debug)]
enum Kind {
    Plain(std::process::Child),
    #[cfg(target_os = "linux")]
    First(linux::First),
}

impl Child {
    /// The number of the process that is waited for.
    pub fn id(&self) -> u32 {
        match &self.0 {
            Kind::Plain(child) => child.id(),
            #[cfg(target_os = "linux")]
            Kind::First(first) => first.id(),
        }
    }

    /// Wait for its end, and how it ended.
    ///
    /// # Errors
    /// Where somebody else has waited for it.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        match &mut self.0 {
            Kind::Plain(child) => child.wait(),
            #[cfg(target_os = "linux")]
            Kind::First(first) => first.wait(),
        }
    }

    /// After whoever waits for all has waited for it, too: how it ended, where that is known better than by the end of its first process.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        match &mut self.0 {
            Kind::Plain(_) => None,
            #[cfg(target_os = "linux")]
            Kind::First(first) => first.ended(),
        }
    }

    /// After its end: how many processes it left, which were ended with it.
    pub fn left(&mut self) -> u64 {
        match &mut self.0 {
            Kind::Plain(_) => 0,
            #[cfg(target_os = "linux")]
            Kind::First(first) => first.left(),
        }
    }
}

/// Leave it those variables only that it names.
#[cfg(any(target_os = "linux", target_os = "macos"))]
fn only_named(command: &mut Command) {
    let named: Vec<_> =
        command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
    command.env_clear().envs(named);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_that_does_not_hold_the_network_is_refused() {
        let tried = |tier, network| {
            let policy = Policy { tier: Some(tier), network, ..Policy::default() };
            Cage::prepare(tier, &policy, &Places::default(), Group::Own)
        };
        let refused = tried(Tier::None, Network::None).unwrap_err();
        assert!(refused.to_string().contains("keep it from the network"), "{refused}");
        assert!(tried(Tier::None, Network::Allow).is_ok());
        for tier in [Tier::None, Tier::Reduced] {
            let refused = tried(tier, Network::List(Vec::new())).unwrap_err();
            assert_eq!(refused.why, "only the full tier can");
        }
    }
}
