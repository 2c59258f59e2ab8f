use super::super::agent::{Assigned, Permit, preset};
use super::super::change::Collected;
use super::super::event::{Event as E, Facts};
use super::super::outcome::Outcome;
use super::super::plan::Glob;
use super::super::sandbox::{Network, Policy, Tier};
use super::super::sketch;
use super::super::task::{CommandLine, FoldPolicy, TaskSpec};
use super::*;

fn spec() -> TaskSpec {
    let delegation = Delegation::of_depth(2, 4);
    TaskSpec { delegation, ..sketch::state("1").task(TaskId(1)).unwrap().spec.clone() }
}

fn by() -> AttemptId {
    AttemptId { task: TaskId(1), number: 1 }
}

/// A task with this spec that runs.
fn running(spec: TaskSpec) -> State {
    let mut state = State::default();
    sketch::apply(&mut state, sketch::now(), E::Submitted { task: TaskId(1), spec: Box::new(spec) });
    sketch::apply(&mut state, sketch::now(), E::Started { attempt: by(), base: sketch::commit(7) });
    state
}

fn asked(own: &TaskSpec, held: Tier, asked: Child) -> Result<TaskSpec, Denied> {
    let state = running(own.clone());
    let (by, base) = (by(), sketch::commit(7));
    let task = state.task(by.task).unwrap();
    let asker = Asker { task, by, base, held: Some(held), started: 0, is_group_limited: false };
    child(&asker, asked).map(|made| made.0)
}

fn command() -> Child {
    Child { command: Some(CommandLine::Shell("make".into())), ..Child::default() }
}

#[test]
fn what_is_not_said_is_as_with_the_parent() {
    let own = TaskSpec {
        sandbox: Policy {
            network: Network::None,
            memory: Some(1 << 30),
            exec: Some(vec!["/bin".into()]),
            ..Policy::default()
        },
        timeout: Some(60),
        fold: FoldPolicy::Auto,
        ..spec()
    };
    let made = asked(&own, Tier::Full, command()).unwrap();
    assert_eq!((made.base, made.parent, made.depth), (sketch::commit(7), Some(by()), 1));
    assert_eq!(made.sandbox, Policy { require: Tier::Full, ..own.sandbox.clone() });
    assert_eq!((made.timeout, made.fold, made.delegation), (Some(60), FoldPolicy::Review, Delegation::default()));
}

#[test]
fn whoever_is_as_deep_as_may_be_delegates_nothing() {
    let own = TaskSpec { delegation: Delegation::of_depth(3, 4), ..spec() };
    let child = asked(&own, Tier::None, command()).unwrap();
    assert_eq!(child.delegation, Delegation { levels: 1, children: 4 });
    let grandchild = asked(&child, Tier::None, command()).unwrap();
    assert_eq!(grandchild.delegation, Delegation::default());
    assert!(asked(&grandchild, Tier::None, command()).unwrap_err().message.contains("may not delegate"));
    let old: Delegation = TaskSpec {
        ..serde_json::from_str(r#"{"command":{"shell":"true"},"base":"0123456789abcdef0123456789abcdef01234567"}"#)
            .unwrap()
    }
    .delegation;
    assert_eq!(old.levels, 0, "a task of an older journal delegates nothing");
}

#[test]
fn what_a_child_may_touch_is_what_its_parent_may_or_less_than_all() {
    let globs = |text: &str| vec![Glob::parse(text).unwrap()];
    let asking = Child { paths: globs("docs/**"), ..command() };
    assert_eq!(asked(&spec(), Tier::None, asking.clone()).unwrap().paths, globs("docs/**"));
    let held = TaskSpec { paths: globs("src/**"), ..spec() };
    assert_eq!(asked(&held, Tier::None, command()).unwrap().paths, globs("src/**"));
    assert!(asked(&held, Tier::None, asking).unwrap_err().message.contains("may touch is said already"));
}

#[test]
fn nothing_can_be_asked_that_is_more_than_the_parent_has() {
    let own = TaskSpec {
        sandbox: Policy { network: Network::None, memory: Some(1 << 20), processes: Some(9), ..Policy::default() },
        timeout: Some(60),
        fold: FoldPolicy::Never,
        ..spec()
    };
    let refused = |child: Child| asked(&own, Tier::Full, child).unwrap_err().message;
    assert!(refused(Child { network: Some(Network::Allow), ..command() }).starts_with("network"));
    assert!(refused(Child { memory: Some(2 << 20), ..command() }).starts_with("memory"));
    assert!(refused(Child { processes: Some(10), ..command() }).starts_with("processes"));
    assert!(refused(Child { timeout: Some(61), ..command() }).starts_with("seconds"));
    assert!(refused(Child { retries: Some(1), ..command() }).starts_with("retries"));
    assert!(refused(Child { fold: Some(FoldPolicy::Review), ..command() }).starts_with("what becomes"));
    let critical = Some(crate::core::task::Priority::High);
    assert!(refused(Child { priority: critical, ..command() }).starts_with("priority"));
    for path in ["../x", "/etc", "a/../../b", "./a"] {
        assert!(
            refused(Child { directory: Some(path.into()), ..command() }).contains("no directory of the tree"),
            "{path}"
        );
    }
    for name in ["GIT_DIR", "PLEACH_SOCKET", "A=B", "", "1A", "A B"] {
        let env = [(name.to_owned(), "x".into())].into();
        assert!(refused(Child { env, ..command() }).contains("no variable"), "{name}");
    }
    let nul = Some(CommandLine::Exec(vec![b"a\0b".to_vec().into()]));
    assert!(refused(Child { command: nul, ..Child::default() }).contains("NUL"));
    assert!(refused(Child::default()).contains("a command or a prompt"));
}

#[test]
fn an_agent_hands_over_to_its_like_and_a_limited_one_has_no_commands_run() {
    let claude = Assigned { turns: Some(5), ..Assigned::new(preset("claude").unwrap().agent) };
    let own = TaskSpec { agent: Some(Box::new(claude.clone())), ..spec() };
    let prompt = |agent: &str| Child {
        prompt: Some(Handed { agent: agent.to_owned(), prompt: "do".to_owned(), turns: Some(9), ..Handed::default() }),
        ..Child::default()
    };
    let made = asked(&own, Tier::None, prompt("")).unwrap().agent.unwrap();
    assert_eq!((made.agent.name.as_str(), made.prompt.as_deref(), made.turns), ("claude", Some("do"), Some(5)));
    // A limit that another agent cannot be set is not lost by handing over to that one.
    assert!(asked(&own, Tier::None, prompt("codex")).unwrap_err().message.contains("no limit of turns"));
    let free = TaskSpec { agent: Some(Box::new(Assigned { turns: None, ..claude.clone() })), ..spec() };
    let mut handed = prompt("codex");
    handed.prompt.iter_mut().for_each(|handed| handed.turns = None);
    assert_eq!(asked(&free, Tier::None, handed).unwrap().agent.unwrap().agent.name, "codex");
    assert!(asked(&own, Tier::None, prompt("nobody")).unwrap_err().message.contains("no agent"));
    assert!(asked(&spec(), Tier::None, prompt("")).unwrap_err().message.contains("no agent does this task"));
    let limited = TaskSpec { agent: Some(Box::new(Assigned { permit: Permit::Deny, ..claude })), ..own };
    assert!(asked(&limited, Tier::None, command()).unwrap_err().message.contains("limited"));
}

#[test]
fn it_cannot_start_more_than_its_share() {
    let state = running(spec());
    let task = state.task(TaskId(1)).unwrap();
    let base = sketch::commit(7);
    let of = |started| child(&Asker { task, by: by(), base, held: None, started, is_group_limited: false }, command());
    assert!(of(3).is_ok());
    assert!(of(4).unwrap_err().message.contains("may not start more"));
}

/// A parent (2) with children (3 waits, 4 runs, 5 is ready) and a stranger (1), after this.
fn family(end: &str) -> State {
    let mut state = sketch::state("1 running; 2 running");
    let attempt = AttemptId { task: TaskId(2), number: 1 };
    for (id, fate) in [(3, "pending"), (4, "running"), (5, "ready")] {
        let spec = TaskSpec { parent: Some(attempt), ..spec() };
        sketch::apply(&mut state, sketch::now(), E::Submitted { task: TaskId(id), spec: Box::new(spec) });
        for event in sketch::fate_of(TaskId(id), 1, fate) {
            sketch::apply(&mut state, sketch::now(), event);
        }
    }
    let (result, facts) = (Collected::Nothing, Facts::default());
    let ended = |outcome| E::Ended { attempt, outcome, result: result.clone(), facts: facts.clone() };
    let events = match end {
        "well" => vec![ended(Outcome::exited(0))],
        "badly" => vec![ended(Outcome::exited(1))],
        "timed out" => vec![ended(Outcome::TimedOut)],
        "cancelled" => vec![E::CancelRequested { task: TaskId(2), now: false }],
        "killed" => vec![E::CancelRequested { task: TaskId(2), now: true }],
        _ => Vec::new(),
    };
    events.into_iter().for_each(|event| sketch::apply(&mut state, sketch::now(), event));
    state
}

/// What follows, to the end of it.
fn follows(mut state: State) -> (String, State) {
    let mut told = Vec::new();
    loop {
        let events = follow(&state);
        if events.is_empty() {
            return (told.join("; "), state);
        }
        for event in events {
            let value = serde_json::to_value(&event).unwrap();
            let now = value["now"].as_bool().unwrap_or(false);
            let how = if now { " at once" } else { "" };
            told.push(format!("{} {}{how}", value["event"].as_str().unwrap(), event.task().unwrap()));
            sketch::apply(&mut state, sketch::now(), event);
        }
    }
}

#[test]
fn whoever_interrupts_a_parent_interrupts_its_children() {
    let told = |end| follows(family(end)).0;
    assert_eq!(told("runs on"), "");
    assert_eq!(told("well"), "", "what it handed over goes on");
    for end in ["badly", "timed out", "cancelled"] {
        assert_eq!(told(end), "withdrawn 3; cancel_requested 4", "{end}");
    }
    assert_eq!(told("killed"), "withdrawn 3; cancel_requested 4 at once");
    let mut state = follows(family("cancelled")).1;
    sketch::apply(&mut state, sketch::now(), E::CancelRequested { task: TaskId(2), now: true });
    assert_eq!(follows(state).0, "cancel_requested 4 at once", "who asks harder means all of them");
}

#[test]
fn who_is_asked_for_again_is_nobodys_child_any_more() {
    let (_, mut state) = follows(family("badly"));
    sketch::apply(&mut state, sketch::now(), E::Retried { task: TaskId(3), onto: None, remarks: None });
    assert_eq!(follows(state).0, "");
}

#[test]
fn a_task_sees_its_own_and_nothing_of_others() {
    let state = family("runs on");
    let seen = view(&state, TaskId(2));
    assert_eq!(seen.tasks().map(|task| task.id.0).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!(view(&state, TaskId(1)).count(), 0);
    let read = State::read(seen.write()).unwrap();
    assert_eq!(read, seen);
}

/// Whatever is asked, and whatever the parent has: what comes of it is within that.
#[test]
fn a_child_is_never_wider() {
    let tiers = [Tier::None, Tier::Reduced, Tier::Full];
    let rules = |hosts: &[&str]| super::super::sandbox::network::Rule::parse_all(hosts.iter().copied()).unwrap();
    let networks = [Network::None, Network::Allow, Network::List(rules(&["*.example.org"]))];
    let wished = Network::List(rules(&["a.example.org", "other.net"]));
    let wishes = [Some(Network::None), Some(Network::Allow), Some(wished), None];
    let amounts = [None, Some(5), Some(9)];
    let (mut granted, mut denied) = (0, 0);
    let mut check = |policy: &Policy, held: Tier, asks: &Child| {
        let spec = TaskSpec { sandbox: policy.clone(), timeout: policy.memory, ..spec() };
        let Ok(made) = asked(&spec, held, asks.clone()) else { return denied += 1 };
        let less = |one: Option<u64>, most: Option<u64>| most.is_none_or(|most| one.is_some_and(|one| one <= most));
        let (own, got) = (policy, &made.sandbox);
        assert!(got.read_only || !own.read_only);
        assert_eq!(got.network.clone().closer(own.network.clone()), got.network);
        assert!(less(got.memory, own.memory) && less(got.processes, own.processes));
        assert!(got.require >= own.require && got.require >= held);
        assert!(less(made.timeout, spec.timeout));
        assert_eq!((&got.write, &got.exec, got.tier), (&own.write, &own.exec, own.tier));
        granted += 1;
    };
    let (amounts, wishes) = (&amounts, &wishes);
    for (network, memory, wish) in networks.iter().flat_map(|network| {
        amounts.iter().flat_map(move |memory| wishes.iter().map(move |wish| (network, memory, wish)))
    }) {
        for (require, held) in tiers.iter().flat_map(|tier| tiers.iter().map(move |held| (*tier, *held))) {
            for (amount, read_only) in amounts.iter().flat_map(|amount| [(*amount, false), (*amount, true)]) {
                let policy = Policy {
                    read_only,
                    network: network.clone(),
                    memory: *memory,
                    processes: *memory,
                    require,
                    ..Policy::default()
                };
                let asks = Child {
                    read_only: !read_only,
                    network: wish.clone(),
                    memory: amount,
                    processes: amount,
                    timeout: amount,
                    require: Some(held),
                    ..command()
                };
                check(&policy, held, &asks);
            }
        }
    }
    assert!(granted > 100 && denied > 100, "{granted} {denied}");
}
