use super::*;
use crate::core::sandbox::network::Rule;

fn role(text: &str) -> Role {
    own::import(text, "it").unwrap().role
}

fn words(list: &[&str]) -> Vec<Word> {
    list.iter().map(|word| Word::from(*word)).collect()
}

fn hosts(list: &[&str]) -> Network {
    Network::List(Rule::parse_all(list.iter().copied()).unwrap())
}

#[test]
fn a_role_of_a_project_only_takes_away() {
    let wide = "[permissions]\nnetwork = 'allow'\nwrite = ['~/x', '~/y/z']\nread = ['~/.ssh']\nmemory = '8 GiB'\nhome = 'rw'\nexec = ['/usr/bin', '/opt/x']";
    let permissions = role(wide).permissions;
    let policy = Policy {
        network: Network::None,
        memory: Some(1 << 30),
        home: Home::Ro,
        exec: Some(words(&["/usr/bin"])),
        write: words(&["~/y"]),
        ..Policy::default()
    };
    let (narrowed, refused) = permissions.narrow(&policy, Owner::Project, permissions.exec.clone());
    assert_eq!(narrowed, policy, "nothing is wider");
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert!(
        refused.iter().any(|one| one.starts_with("write ~/x"))
            && refused.iter().any(|one| one.starts_with("exec /opt/x"))
    );
    let (own, refused) = permissions.narrow(&policy, Owner::User, permissions.exec.clone());
    assert_eq!((own.network, own.memory, own.home), (Network::Allow, Some(8 << 30), Home::Rw), "who wrote it may");
    assert_eq!((own.write.len(), own.read.len(), refused.len()), (3, 1, 0));
}

#[test]
fn what_takes_away_counts_whoever_says_it() {
    let close = "[permissions]\nread_only = true\nnetwork = ['crates.io', 'evil.example']\nprocesses = 5\nhide = ['~/notes']\nrequire = 'full'";
    let permissions = role(close).permissions;
    let policy = Policy { network: hosts(&["crates.io", "docs.rs"]), ..Policy::default() };
    for owner in [Owner::User, Owner::Project] {
        let (narrowed, _) = permissions.narrow(&policy, owner, None);
        assert!(narrowed.read_only && narrowed.processes == Some(5) && narrowed.require == Tier::Full);
        assert_eq!(narrowed.hide, words(&["~/notes"]));
        let met = if owner == Owner::Project { hosts(&["crates.io"]) } else { hosts(&["crates.io", "evil.example"]) };
        assert_eq!(narrowed.network, met, "{owner:?}");
    }
}

#[test]
fn whom_a_role_may_use_and_without_asking() {
    let orchestrator = role("available = ['reviewer', 'docs-*']\ntrusted = ['rev*', 'tester']");
    let name = |text: &str| text.parse::<RoleName>().unwrap();
    assert!(orchestrator.may_use(&name("docs-api")) && !orchestrator.trusts(&name("docs-api")));
    assert!(orchestrator.trusts(&name("reviewer")));
    assert!(
        !orchestrator.may_use(&name("tester")) && !orchestrator.trusts(&name("tester")),
        "trust does not make available"
    );
    let plain = role("");
    assert!(plain.may_use(&name("anybody")) && !plain.trusts(&name("anybody")), "all are available, none is trusted");
    assert!(!role("available = []").may_use(&name("anybody")));
}

#[test]
fn a_file_of_ours_that_says_what_is_not_known_is_an_error() {
    let wrong = |text: &str| own::import(text, "it").unwrap_err();
    assert_eq!(wrong("name = 'a'\nprmpt = 'x'").line, Some(2));
    for text in [
        "name = 'a/b'",
        "prompt = 'a'\nprompt_file = 'b'",
        "timeout = 0",
        "env = { GIT_DIR = 'x' }",
        "[permissions]\nwrite = ['x']",
        "[permissions]\nexec = ['a/b']",
        "[permissions]\nnetwork = 'some'",
        "[permissions]\ncommands = ['(']",
        "[permissions]\nmemory = 1",
        "[permissions]\nrequire = 'most'",
        "trusted = ['[']",
        "[result]\naccept_exit_codes = [300]",
    ] {
        wrong(text);
    }
}

#[test]
fn what_an_agent_is_told_first() {
    let role = role("prompt = 'Be kind.'\nresources = ['README.md', 'docs/**']");
    let frozen = TaskRole::of(&role, "user", "abc", frozen::Allowed::Own);
    assert_eq!(frozen.before("Go."), "Be kind.\n\nRead what you need of these first: README.md, docs/**\n\nGo.");
    assert_eq!(TaskRole::of(&Role::new("x".parse().unwrap()), "user", "", frozen::Allowed::Own).before("Go."), "Go.");
}

#[test]
fn agents_are_known_by_their_program() {
    assert!(is_agent("codex") && is_agent("/usr/bin/claude") && !is_agent("cargo") && !is_agent("claude.txt"));
    let line = trust_all(&Policy { network: Network::None, ..Policy::default() });
    assert!(line.contains("any network") && line.contains("outside of its worktree") && !line.contains('\n'), "{line}");
    assert!(trust_all(&Policy { tier: Some(Tier::None), ..Policy::default() }).contains("nothing"));
}
