//! The words in which macOS is told what a process may touch (Seatbelt): pure, so that they can be read and tested anywhere.
//!
//! All is denied that is not allowed, and of two rules the later one counts. No path is ever part of the text: a path is the value
//! of a parameter, so that nothing in its name can be a rule. There are no mounts: what the plan shows in another place stays where
//! it is, and a home stays closed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::plan::{Access, Mount, Plan};
use crate::core::sandbox::Network;

/// The rules, and the values of the parameters that they name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Profile {
    /// In the language of Seatbelt.
    pub(super) text: String,
    /// The path of `P0`, of `P1`, and so on.
    pub(super) paths: Vec<PathBuf>,
}

/// For everybody. No hard links and no clones: a file outside would have another name inside.
const BASE: &str = r#"(version 1)
(deny default)
(allow process-fork)
(allow signal (target same-sandbox))
(allow process-info* (target same-sandbox))
(allow sysctl-read)
(allow user-preference-read)
(allow ipc-posix-sem)
(allow ipc-posix-shm*)
(allow pseudo-tty)
(allow mach-lookup
  (global-name "com.apple.system.opendirectoryd.libinfo")
  (global-name "com.apple.system.opendirectoryd.membership")
  (global-name "com.apple.system.notification_center")
  (global-name "com.apple.system.logger")
  (global-name "com.apple.bsd.dirhelper"))
(allow system-socket (socket-domain AF_UNIX))
(allow file-read* file-map-executable)
(allow file-write-data (literal "/dev/null") (literal "/dev/zero") (literal "/dev/tty"))
(allow file-read* file-write* file-ioctl (literal "/dev/ptmx"))
(allow file-read* file-write* file-ioctl
  (require-all (regex #"^/dev/ttys[0-9]+") (extension "com.apple.sandbox.pty")))
"#;

/// Addresses and names, and who says whether a certificate is good.
const NETWORK: &str = r#"(allow system-socket (socket-domain AF_INET) (socket-domain AF_INET6))
(allow network-outbound (remote ip))
(allow network-inbound (local ip))
(allow network-bind (local ip))
(allow network-outbound (literal "/private/var/run/mDNSResponder"))
(allow mach-lookup
  (global-name "com.apple.SystemConfiguration.configd")
  (global-name "com.apple.SystemConfiguration.DNSConfiguration")
  (global-name "com.apple.trustd")
  (global-name "com.apple.trustd.agent"))
"#;

/// What is done with a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Hidden,
    Read,
    Write,
}

/// Say the plan. `doors` are sockets that it may call: its own. Of a list of hosts nothing can be said: nobody is reached then.
pub(super) fn profile(plan: &Plan, doors: &[PathBuf]) -> Profile {
    let mut profile = Profile { text: BASE.to_owned(), paths: Vec::new() };
    match &plan.run {
        None => profile.text.push_str("(allow process-exec)\n"),
        Some(run) => run.iter().for_each(|path| profile.say("allow process-exec", "subpath", path)),
    }
    if plan.network == Network::Allow {
        profile.text.push_str(NETWORK);
    }
    let rules: Vec<(&Path, Rule)> = plan.mounts.iter().filter_map(|mount| rule(mount, plan)).collect();
    for (path, rule) in &rules {
        match rule {
            Rule::Hidden => profile.say("deny file-read* file-write*", "subpath", path),
            Rule::Read => {
                profile.way(path, &rules);
                profile.say("allow file-read*", "subpath", path);
                profile.say("deny file-write*", "subpath", path);
            }
            Rule::Write => {
                profile.way(path, &rules);
                profile.say("allow file-read* file-write*", "subpath", path);
                profile.socket("network-bind", "local", "subpath", path);
                profile.socket("network-outbound", "remote", "subpath", path);
            }
        }
    }
    for door in doors {
        profile.socket("network-outbound", "remote", "path-literal", door);
    }
    for path in held(&rules) {
        profile.say("deny file-write-unlink", "literal", path);
    }
    profile
}

/// What a step of the plan comes to without mounts.
fn rule<'a>(mount: &'a Mount, plan: &Plan) -> Option<(&'a Path, Rule)> {
    match mount {
        // Its own devices are said one by one.
        Mount::Empty(at) if at == Path::new("/dev") => None,
        Mount::Empty(at) | Mount::Nothing(at) => Some((at, Rule::Hidden)),
        Mount::Again { from, to, access } if from == to => match access {
            Access::Read => Some((to, Rule::Read)),
            Access::Write => plan.write.contains(to).then_some((to, Rule::Write)),
            Access::Device => None,
        },
        Mount::Again { .. } | Mount::Copy(_) | Mount::Memory(_) | Mount::Terminals(_) | Mount::Link { .. } => None,
    }
}

/// What keeps its name: what is written may be, and what leads to a place in it that may not. Elsewhere, or under another name, the
/// rules would not find it.
fn held<'a>(rules: &[(&'a Path, Rule)]) -> BTreeSet<&'a Path> {
    let roots: Vec<&Path> = rules.iter().filter(|(_, rule)| *rule == Rule::Write).map(|(path, _)| *path).collect();
    let closed = rules.iter().filter(|(_, rule)| *rule != Rule::Write).flat_map(|(path, _)| path.ancestors().skip(1));
    closed.filter(|path| roots.iter().any(|root| path.starts_with(root))).chain(roots.iter().copied()).collect()
}

impl Profile {
    /// Programs look at each directory on the way to where they are: also at those that are hidden, but for what is in them.
    fn way(&mut self, path: &Path, rules: &[(&Path, Rule)]) {
        let hidden = |above: &&Path| rules.iter().any(|(at, rule)| *rule == Rule::Hidden && above.starts_with(at));
        for above in path.ancestors().skip(1).filter(hidden) {
            self.say("allow file-read-metadata", "literal", above);
        }
    }

    fn say(&mut self, what: &str, filter: &str, path: &Path) {
        let name = self.name(path);
        let _ = writeln!(self.text, "({what} ({filter} (param \"{name}\")))");
    }

    fn socket(&mut self, what: &str, end: &str, filter: &str, path: &Path) {
        let name = self.name(path);
        let _ = writeln!(self.text, "(allow {what} ({end} unix-socket ({filter} (param \"{name}\"))))");
    }

    /// The parameter that is this path.
    fn name(&mut self, path: &Path) -> String {
        let at = self.paths.iter().position(|known| known == path).unwrap_or_else(|| {
            self.paths.push(path.to_owned());
            self.paths.len() - 1
        });
        format!("P{at}")
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::plan::{Kind, Places, plan};
    use super::*;
    use crate::core::sandbox::{Home, Policy};

    fn places() -> Places {
        Places {
            work: "/state/worktrees/1".into(),
            worktree: "/state/worktrees/1".into(),
            common: Some(("/state/attempts/1/common".into(), "/Users/ute/project/.git".into())),
            write: vec!["/state/attempts/1/git".into()],
            show: vec!["/state/attempts/1/inbox".into(), "/state/worktrees/1/.git".into()],
            lead: None,
            tmp: Some("/state/attempts/1/tmp".into()),
            hide: vec!["/state".into()],
            home: Some("/Users/ute".into()),
            run: vec!["/opt/pleach".into()],
            ..Places::default()
        }
    }

    fn kind(path: &Path) -> Kind {
        let there =
            ["/Users/ute", "/Users/ute/.ssh", "/Users/ute/.npmrc", "/Users/ute/notes", "/opt/pleach", "/usr/bin"];
        let there = there.iter().any(|one| path == Path::new(one));
        if there || path.starts_with("/state") || path.starts_with("/Users/ute/project/.git") {
            Kind::Directory
        } else {
            Kind::Absent
        }
    }

    fn rules(policy: &Policy) -> Profile {
        profile(&plan(policy, &places(), &kind), &["/state/attempts/1/inbox".into()])
    }

    /// With the paths in their places, to be read; without what is the same for all.
    fn shown(profile: &Profile) -> String {
        let mut text = profile.text.strip_prefix(BASE).unwrap().to_owned();
        for (at, path) in profile.paths.iter().enumerate().rev() {
            text = text.replace(&format!("(param \"P{at}\")"), &path.display().to_string());
        }
        text
    }

    #[test]
    fn what_a_task_is_given() {
        let policy = Policy { network: Network::None, hide: vec!["~/notes".into()], ..Policy::default() };
        expect![[r#"
            (allow process-exec)
            (deny file-read* file-write* (subpath /state))
            (deny file-read* file-write* (subpath /Users/ute/.ssh))
            (deny file-read* file-write* (subpath /Users/ute/.npmrc))
            (deny file-read* file-write* (subpath /Users/ute/notes))
            (allow file-read-metadata (literal /state/worktrees))
            (allow file-read-metadata (literal /state))
            (allow file-read* file-write* (subpath /state/worktrees/1))
            (allow network-bind (local unix-socket (subpath /state/worktrees/1)))
            (allow network-outbound (remote unix-socket (subpath /state/worktrees/1)))
            (allow file-read-metadata (literal /state/attempts/1))
            (allow file-read-metadata (literal /state/attempts))
            (allow file-read-metadata (literal /state))
            (allow file-read* file-write* (subpath /state/attempts/1/tmp))
            (allow network-bind (local unix-socket (subpath /state/attempts/1/tmp)))
            (allow network-outbound (remote unix-socket (subpath /state/attempts/1/tmp)))
            (allow file-read-metadata (literal /state/attempts/1))
            (allow file-read-metadata (literal /state/attempts))
            (allow file-read-metadata (literal /state))
            (allow file-read* file-write* (subpath /state/attempts/1/git))
            (allow network-bind (local unix-socket (subpath /state/attempts/1/git)))
            (allow network-outbound (remote unix-socket (subpath /state/attempts/1/git)))
            (allow file-read-metadata (literal /state/attempts/1))
            (allow file-read-metadata (literal /state/attempts))
            (allow file-read-metadata (literal /state))
            (allow file-read* (subpath /state/attempts/1/inbox))
            (deny file-write* (subpath /state/attempts/1/inbox))
            (allow file-read-metadata (literal /state/worktrees/1))
            (allow file-read-metadata (literal /state/worktrees))
            (allow file-read-metadata (literal /state))
            (allow file-read* (subpath /state/worktrees/1/.git))
            (deny file-write* (subpath /state/worktrees/1/.git))
            (deny file-read* file-write* (subpath /Users/ute/project/.git/pleach))
            (deny file-read* file-write* (subpath /state/attempts/1/common/pleach))
            (allow network-outbound (remote unix-socket (path-literal /state/attempts/1/inbox)))
            (deny file-write-unlink (literal /state/attempts/1/git))
            (deny file-write-unlink (literal /state/attempts/1/tmp))
            (deny file-write-unlink (literal /state/worktrees/1))
        "#]]
        .assert_eq(&shown(&rules(&policy)));
    }

    #[test]
    fn the_network_is_there_where_it_is_allowed_and_never_for_a_list() {
        let with = |network| rules(&Policy { network, ..Policy::default() }).text;
        assert!(with(Network::Allow).contains("(allow network-outbound (remote ip))"));
        for closed in [Network::None, Network::List(Vec::new())] {
            let text = with(closed);
            assert!(!text.contains(" ip)") && !text.contains("AF_INET") && !text.contains("mDNSResponder"), "{text}");
        }
    }

    #[test]
    fn no_name_of_a_path_is_a_rule() {
        let mut places = places();
        places.worktree = "/state/\")) (allow file-write*) (\\\n;".into();
        let profile = profile(&plan(&Policy::default(), &places, &kind), &[]);
        assert!(!profile.text.contains("(allow file-write*)"), "{}", profile.text);
        assert!(profile.paths.contains(&places.worktree));
        let opened = profile.text.matches('(').count();
        assert_eq!(opened, profile.text.matches(')').count());
        for at in 0..profile.paths.len() {
            assert!(profile.text.contains(&format!("(param \"P{at}\")")), "P{at}");
        }
    }

    #[test]
    fn closer_policies_are_closer() {
        let written = |policy: &Policy| {
            let text = shown(&rules(policy));
            let lines = text.lines().filter_map(|line| line.strip_prefix("(allow file-read* file-write* (subpath "));
            lines.map(|line| line.trim_end_matches(')').to_owned()).collect::<Vec<_>>()
        };
        let open = written(&Policy { write: vec!["~/notes".into()], home: Home::Rw, ..Policy::default() });
        assert!(open.contains(&"/Users/ute/notes".to_owned()) && open.contains(&"/state/worktrees/1".to_owned()));
        assert!(!open.contains(&"/Users/ute".to_owned()), "the home stays closed");
        let closed = written(&Policy { read_only: true, ..Policy::default() });
        assert_eq!(closed, ["/state/attempts/1/tmp", "/state/attempts/1/git"]);
        let few = shown(&rules(&Policy { exec: Some(vec!["/usr/bin".into()]), ..Policy::default() }));
        assert!(
            few.contains("(allow process-exec (subpath /usr/bin))") && !few.contains("(allow process-exec)"),
            "{few}"
        );
    }
}
