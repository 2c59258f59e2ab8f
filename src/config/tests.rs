use expect_test::{Expect, expect};

use super::*;
use crate::core::notice::Kind;
use crate::core::sandbox::{Home, Network, Tier};

fn check_refused(text: &str, expected: Expect) {
    let error = File::parse(Path::new("/r/.pleach.toml"), text.as_bytes()).expect_err("should be refused");
    expected.assert_eq(&error.to_string());
}

fn laid(files: &[(&str, Origin)]) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    for (text, from) in files {
        config.lay(File::parse(Path::new("/x.toml"), text.as_bytes())?, from)?;
    }
    Ok(config)
}

fn user() -> Origin {
    Origin::User("/home/u/.config/pleach/config.toml".into())
}

fn repository() -> Origin {
    Origin::Repository("/r/.pleach.toml".into())
}

const EVERYTHING: &str = r#"
[run]
concurrency = 8
timeout = "1h30m"
grace = 5
retries = 2
log_cap = "4 MiB"
priority = "high"
env_pass = ["OPENAI_API_KEY"]

[groups]
db = 1

[worktree]
dir = "/big/worktrees"
mode = "plain"
clean = true
copy = [".env", "node_modules"]
setup = "npm ci"
setup_timeout = "5m"

[fold]
policy = "auto"
strategy = "rebase"
publish = "ref"
hooks = ["commit-msg"]

[branch]
prefix = "wip/"

[limits]
disk_floor = "10 GiB"
memory_floor = "1 GiB"
[delegate]
depth = 3
children = 8
[sandbox]
tier = "reduced"
require = "reduced"
network = "none"
write = ["~/.cache"]
hide = ["/srv"]
memory = "4G"
processes = 512
home = "ro"
read = ["~/.npmrc"]
exec = ["/usr/bin", "."]
[notify]
bell = false
osc = true
after = "1m"
desktop = true
webhook = "https://example.org/x"
command = ["tell", "me"]
events = ["done", "review"]
"#;

#[test]
fn everything_can_be_set() {
    let config = laid(&[(EVERYTHING, user())]).unwrap();
    let expected = Config {
        agents: Default::default(),
        roles: Roles::default(),
        verify: Sourced { value: None, from: Origin::Default },
        driver: Sourced { value: None, from: Origin::Default },
        concurrency: 8,
        timeout: Some(5400),
        grace: 5,
        retries: 2,
        log_cap: 4 << 20,
        priority: Priority::High,
        env_pass: Sourced { value: vec!["OPENAI_API_KEY".into()], from: user() },
        groups: BTreeMap::from([("db".into(), 1)]),
        worktree_dir: Some("/big/worktrees".into()),
        worktree_mode: WorktreeMode::Plain,
        clean: true,
        copy: vec![".env".into(), "node_modules".into()],
        setup: Sourced { value: Some("npm ci".into()), from: user() },
        setup_timeout: 300,
        fold: FoldPolicy::Auto,
        strategy: Strategy::Rebase,
        publish: Publish::Ref,
        hooks: Sourced { value: vec![LandingHook::CommitMsg], from: user() },
        branch_prefix: "wip/".into(),
        disk_floor: 10 << 30,
        memory_floor: 1 << 30,
        delegate: Delegation::of_depth(3, 8),
        sandbox: Policy {
            tier: Some(Tier::Reduced),
            require: Tier::Reduced,
            network: Network::None,
            read_only: false,
            write: vec!["~/.cache".into()],
            hide: vec!["/srv".into()],
            memory: Some(4 << 30),
            processes: Some(512),
            home: Home::Ro,
            read: vec!["~/.npmrc".into()],
            exec: Some(vec!["/usr/bin".into(), ".".into()]),
            found: None,
            unconfined: false,
        },
        notify: Notify {
            bell: false,
            osc: true,
            after: 60,
            desktop: true,
            webhook: Some("https://example.org/x".into()),
            command: vec!["tell".into(), "me".into()],
            events: vec![Kind::Done, Kind::Review],
        },
    };
    assert_eq!(config, expected);
    assert_eq!(config.needs_approval(), []);
}

#[test]
fn the_nearer_file_wins_key_by_key() {
    let near = "[run]\nretries = 0\n[groups]\nnet = 3\n[worktree]\ncopy = []\nsetup = ''";
    let config = laid(&[(&EVERYTHING.replace("\"auto\"", "\"never\""), user()), (near, repository())]).unwrap();
    assert_eq!((config.retries, config.concurrency), (0, 8));
    assert_eq!(config.groups, BTreeMap::from([("db".into(), 1), ("net".into(), 3)]));
    assert_eq!(config.copy, Vec::<String>::new());
    assert_eq!(config.setup_hook(), None);
    assert_eq!(config.needs_approval(), []);
}

#[test]
fn what_a_repository_would_run_needs_approval_by_its_content() {
    let of = |text: &str| laid(&[(text, repository())]).unwrap().needs_approval();
    let setup = of("[worktree]\nsetup = 'make deps'");
    assert_eq!(setup.len(), 1);
    assert_eq!((setup[0].what, setup[0].text.as_str()), ("worktree.setup", "make deps"));
    // `printf 'worktree.setup: make deps\n' | git hash-object --stdin`
    assert_eq!(setup[0].hash, "be8fbb9d062a0c6cb561dd872bbe4461617fcb0e");
    assert_ne!(of("[worktree]\nsetup = 'make deps '")[0].hash, setup[0].hash);
    assert_eq!(of("[run]\nenv_pass = ['AWS_SECRET_ACCESS_KEY']")[0].what, "run.env_pass");
    assert_eq!(of("[fold]\nhooks = ['commit-msg']")[0].what, "fold.hooks");
    assert_eq!(of("[fold]\nhooks = []"), []);
    assert_eq!(of("[run]\nretries = 3\nenv_pass = []"), []);
}

#[test]
fn a_merge_driver_names_the_file_that_it_writes() {
    let near = |text: &str| laid(&[("[merge]\ndriver = 'mine %A'\npatterns = ['*.rs']", user()), (text, repository())]);
    assert_eq!(near("").unwrap().needs_approval(), []);
    let config = near("[merge]\ndriver = ' theirs %O %A %B '\ntimeout = '5s'").unwrap();
    let driver = config.driver.value.as_ref().unwrap();
    assert_eq!((driver.command.as_str(), driver.timeout, driver.patterns.len()), ("theirs %O %A %B", 5, 1));
    assert_eq!(config.needs_approval()[0].what, "merge.driver");
    assert_eq!(near("[merge]\ndriver = ''").unwrap().driver.value, None);
    let refused = |text: &str| near(text).unwrap_err().to_string();
    expect!["/r/.pleach.toml:2:10: merge.driver does not name the file that it writes: %A, as in git's own drivers"]
        .assert_eq(&refused("[merge]\ndriver = 'theirs'"));
    expect!["/r/.pleach.toml:2:11: merge.timeout must be above 0"].assert_eq(&refused("[merge]\ntimeout = 0"));
}

#[test]
fn a_repository_cannot_choose_where_worktrees_go_and_prefixes_are_fit_for_branches() {
    let refused = |text: &str, from| laid(&[(text, from)]).unwrap_err().to_string();
    expect![
        "/r/.pleach.toml:2:7: worktree.dir can only be set in your own file (pleach/config.toml), not by a repository"
    ]
    .assert_eq(&refused("[worktree]\ndir = '/tmp/x'", repository()));
    expect!["/home/u/.config/pleach/config.toml:2:7: worktree.dir must be an absolute path, or start with ~/"]
        .assert_eq(&refused("[worktree]\ndir = 'x'", user()));
    for bad in ["", "/", "-x/", "a//b", "a b", "../", "x.lock/", ".x/"] {
        refused(&format!("[branch]\nprefix = '{bad}'"), repository());
    }
    for good in ["pleach/", "wip-", "me/pleach/"] {
        assert!(laid(&[(&format!("[branch]\nprefix = '{good}'"), repository())]).is_ok(), "{good}");
    }
}

#[test]
fn errors_name_the_place_and_what_is_allowed() {
    check_refused(
        "[run]\nretrys = 2\n",
        expect![
            "/r/.pleach.toml:2:1: unknown field `retrys`, expected one of `concurrency`, `timeout`, `grace`, `retries`, `log_cap`, `priority`, `env_pass`"
        ],
    );
    check_refused(
        "[ruin]\n",
        expect![
            "/r/.pleach.toml:1:2: unknown field `ruin`, expected one of `run`, `groups`, `worktree`, `fold`, `verify`, `merge`, `branch`, `limits`, `sandbox`, `notify`, `roles`, `agents`, `delegate`"
        ],
    );
    check_refused(
        "[run]\ntimeout = \"soon\"\n",
        expect![[r#"/r/.pleach.toml:2:11: "soon" is not a duration, such as 90s, 10m, 1h30m or 14d"#]],
    );
    check_refused(
        "[run]\ntimeout = -1\n",
        expect![[r#"/r/.pleach.toml:2:11: -1 is not a duration, such as "90s" or "10m""#]],
    );
    check_refused(
        "[run]\ntimeout = true\n",
        expect![[r#"/r/.pleach.toml:2:11: invalid type: boolean `true`, expected a duration, such as "90s" or "10m""#]],
    );
    check_refused("[run]\nconcurrency = 0\n", expect!["/r/.pleach.toml:2:15: 0 is not a number above 0"]);
    check_refused(
        "[run]\npriority = \"urgent\"\n",
        expect![[r#"/r/.pleach.toml:2:12: "urgent" is not a priority (low, normal, high or critical)"#]],
    );
    check_refused(
        "[limits]\ndisk_floor = \"1 apple\"\n",
        expect![[r#"/r/.pleach.toml:2:14: "1 apple" is not a size, such as 500 MB, 64 MiB or 1 GiB"#]],
    );
    check_refused(
        "[fold]\npolicy = \"review\"\nstrategy = 1\n",
        expect!["/r/.pleach.toml:3:12: invalid type: integer `1`, expected a string"],
    );
    check_refused(
        "[worktree]\n\ncopy = [1]\n",
        expect!["/r/.pleach.toml:3:9: invalid type: integer `1`, expected a string"],
    );
    check_refused(
        "[sandbox]\nnetwork = \"crates.io\"\n",
        expect![[
            r#"/r/.pleach.toml:2:11: invalid value: string "crates.io", expected "none", "allow", or a list of hosts such as ["crates.io", "*.npmjs.org:443"]"#
        ]],
    );
    check_refused(
        "[sandbox]\nnetwork = [\"https://crates.io\"]\n",
        expect![[
            r#"/r/.pleach.toml:2:11: "https://crates.io" is not none, allow, or hosts such as crates.io, *.npmjs.org, [2001:db8::1]:443, localhost:8080"#
        ]],
    );
    check_refused("[run\n", expect!["/r/.pleach.toml:1:5: unclosed table, expected `]`"]);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    check_refused(
        "[run]\ntimeout = \"soon\"\nretrys = 2\nretries = 1\n[ruin]\nx = 1\n[sandbox]\nmemory = \"1 apple\"\nnetwork = [\n  \"crates.io\",\n  \"https://x\",\n]\n[[verify.scope]]\npaths = [\"a\"]\ncommand = 1\n",
        expect![[r#"
            /r/.pleach.toml:2:11: "soon" is not a duration, such as 90s, 10m, 1h30m or 14d
            /r/.pleach.toml:3:1: unknown field `retrys`, expected one of `concurrency`, `timeout`, `grace`, `retries`, `log_cap`, `priority`, `env_pass`
            /r/.pleach.toml:5:2: unknown field `ruin`, expected one of `run`, `groups`, `worktree`, `fold`, `verify`, `merge`, `branch`, `limits`, `sandbox`, `notify`, `roles`, `agents`, `delegate`
            /r/.pleach.toml:8:10: "1 apple" is not a size, such as 500 MB, 64 MiB or 1 GiB
            /r/.pleach.toml:9:11: "https://x" is not none, allow, or hosts such as crates.io, *.npmjs.org, [2001:db8::1]:443, localhost:8080
            /r/.pleach.toml:15:11: invalid type: integer `1`, expected a string"#]],
    );
    let text = "[run]\ntimeout = 0\n[merge]\ntimeout = 0\n[sandbox]\nwrite = [\"/x\"]\nhide = [\"a\", \"b\"]\nmemory = \"1k\"\ntier = \"full\"\n[branch]\nprefix = \"-\"\n";
    expect![[r#"
        /r/.pleach.toml:2:11: run.timeout must be above 0; leave it out for no limit
        /r/.pleach.toml:4:11: merge.timeout must be above 0
        /r/.pleach.toml:6:9: sandbox.write can only be set in your own file (pleach/config.toml), not by a repository
        /r/.pleach.toml:7:8: sandbox.hide: a must be an absolute path, or start with ~/
        /r/.pleach.toml:7:8: sandbox.hide: b must be an absolute path, or start with ~/
        /r/.pleach.toml:8:10: sandbox.memory is less than 4 MiB: nothing would run
        /r/.pleach.toml:9:8: sandbox.tier can only be set in your own file (pleach/config.toml), not by a repository
        /r/.pleach.toml:11:10: branch.prefix "-" cannot start the name of a branch; try "pleach/""#]]
    .assert_eq(&laid(&[(text, repository())]).unwrap_err().to_string());
}

#[test]
fn a_repository_can_only_make_the_sandbox_closer() {
    for said in ["tier = \"none\"", "write = [\"/\"]", "network = \"allow\""] {
        let refused = laid(&[(&format!("[sandbox]\n{said}"), repository())]).unwrap_err().to_string();
        assert!(refused.contains("can only be set in your own file"), "{refused}");
    }
    let mine = "[sandbox]\nrequire = \"full\"\nhide = [\"/mine\"]";
    let theirs = "[sandbox]\nrequire = \"none\"\nnetwork = \"none\"\nhide = [\"/theirs\"]";
    let policy = laid(&[(mine, user()), (theirs, repository())]).unwrap().sandbox;
    assert_eq!((policy.require, policy.network), (Tier::Full, Network::None));
    assert_eq!(policy.hide, ["/mine".into(), "/theirs".into()]);
    let listed = |mine: &str, theirs: &str| {
        let file = |said: &str| format!("[sandbox]\nnetwork = {said}");
        laid(&[(&file(mine), user()), (&file(theirs), repository())]).unwrap().sandbox.network.to_string()
    };
    assert_eq!(listed(r#"["a.org", "*.b.org:443"]"#, r#"["x.b.org", "a.org:80", "c.org"]"#), "a.org:80,x.b.org:443");
    assert_eq!(listed(r#""none""#, r#"["a.org"]"#), "none");
    for said in ["home = \"rw\"", "read = [\"~/.npmrc\"]"] {
        let refused = laid(&[(&format!("[sandbox]\n{said}"), repository())]).unwrap_err().to_string();
        assert!(refused.contains("can only be set in your own file"), "{refused}");
    }
    let mine = "[sandbox]\nhome = \"ro\"\nexec = [\"/usr/bin\"]";
    let theirs = "[sandbox]\nhome = \"cow\"\nexec = [\"/usr/bin/env\", \"/usr/bin/../../x\", \"/opt\", \".\"]";
    let policy = laid(&[(mine, user()), (theirs, repository())]).unwrap().sandbox;
    assert_eq!((policy.home, policy.exec), (Home::Ro, Some(vec!["/usr/bin/env".into()])));
    let mine = "[sandbox]\nmemory = \"1G\"\nprocesses = 20";
    let theirs = "[sandbox]\nmemory = \"2G\"\nprocesses = 10";
    let policy = laid(&[(mine, user()), (theirs, repository())]).unwrap().sandbox;
    assert_eq!((policy.memory, policy.processes), (Some(1 << 30), Some(10)));
    let bad = laid(&[("[sandbox]\ntier = \"half\"", user())]).unwrap_err().to_string();
    assert!(bad.contains("best, full, reduced or none"), "{bad}");
    let relative = laid(&[("[sandbox]\nwrite = [\"cache\"]", user())]).unwrap_err().to_string();
    assert!(relative.contains("absolute"), "{relative}");
}

#[test]
fn who_is_told_is_for_the_user_to_say() {
    let refused = |text: &str, from| laid(&[(text, from)]).unwrap_err().to_string();
    let repository = || Origin::Repository("/r/.pleach.toml".into());
    for text in ["[notify]\ncommand = [\"x\"]", "[notify]\nbell = false", "[notify]\nwebhook = \"\""] {
        assert_eq!(
            refused(text, repository()),
            "/r/.pleach.toml:1:1: [notify] can only be set in your own file (pleach/config.toml), not by a repository"
        );
    }
    for url in ["-o/etc/x", "file:///etc/passwd", "https://", "http://a b"] {
        assert!(refused(&format!("[notify]\nwebhook = {url:?}"), user()).contains("is no address"), "{url}");
    }
    let told = refused("[notify]\ncommand = \"say hi\"", user());
    assert!(told.contains("expected a program and its arguments, such as [\"sh\""), "{told}");
    assert!(!Notify::default().is_heard() && Notify::default().bell);
}
