use clap::error::ErrorKind;
use expect_test::{Expect, expect};

use super::*;

fn words(line: &str) -> Vec<OsString> {
    shell_words::split(&format!("pleach {line}")).unwrap().into_iter().map(Into::into).collect()
}

fn parse(line: &str) -> Result<Verb, clap::Error> {
    let words = words(line);
    let whole = Cli::try_parse_from(&words);
    match (quick::quick(&words), &whole) {
        (Some(quick), Ok(whole)) => assert_eq!(&quick, whole, "{line}"),
        (Some(quick), Err(error)) => panic!("{line} is refused ({error}), but was understood as {quick:?}"),
        (None, _) => {}
    }
    whole.map(|cli| cli.verb)
}

#[test]
fn what_is_understood_quickly_is_understood_as_the_whole_table_does() {
    for line in [
        "ls --all --json",
        "add -C x true",
        "add --color never -- a --help",
        "run p.toml",
        "merge -m 'a b' 7",
        "prompt 3",
        "queue hold 7",
    ] {
        let words = words(line);
        assert!(quick::quick(&words).is_some(), "{line}");
        assert!(parse(line).is_ok(), "{line}");
    }
    for line in [
        "ls --help",
        "ls -h",
        "ls --nothing",
        "wait --any",
        "add",
        "list",
        "undo",
        "-C x ls",
        "--version",
        "-V",
        "diff",
        "help ls",
        "status --color",
    ] {
        let words = words(line);
        let said = |error: clap::Error| (error.kind(), error.render().to_string());
        let whole = Cli::try_parse_from(&words).map_err(said);
        assert_eq!(super::parse(&words).map_err(said), whole, "{line}");
    }
}

fn check_refused(line: &str, expected: Expect) {
    let error = parse(line).expect_err(line).to_string();
    expected.assert_eq(error.split("\n\nUsage").next().unwrap_or_default().trim_end());
}

#[test]
fn the_table_is_sound() {
    table().debug_assert();
}

#[test]
fn every_line_of_the_issue_is_understood() {
    let lines = "\
        add --name lint --priority high --timeout 10m --after 3 --after fmt --base HEAD~2 --into main --group db \
            --retries 2 --env A=b --env HOME --fold auto --message 'a b' -- npx eslint --fix
        add 'make | tee x'
        add --after 3,4 true
        run -- npx eslint --fix src
        run -d make -j4
        ls
        list --all --json
        status
        status lint --json
        logs -f 7
        log --tail 20 7.2
        wait 7 8
        wait --any 7 8 --timeout 90
        wait --all
        cancel --now 7
        kill 7
        retry 7
        restart 7 8
        pause
        resume
        events -f --json
        progress 47/89 text
        summary -
        diff 7
        diff --stat 7 -- src 'a b'
        diff 7 --name-only
        merge 7 8 --squash
        merge 7 --rebase --into release
        merge --ff 7 --dry-run --message x
        discard 8
        restore 8.1
        undo
        undo 7
        gc --older-than 14d --keep-bytes '5 GiB' --dry-run
        gc --yes
        doctor
        demo /tmp/x
        approve --yes
        completions fish
        man";
    for line in lines.replace("            --retries", "--retries").lines() {
        if let Err(error) = parse(line.trim()) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn words_after_the_command_are_its_own() {
    let Verb::Add(task) = parse("add --name a prog --json -C /x --name b -- c").unwrap() else { panic!() };
    assert_eq!(task.command, ["prog", "--json", "-C", "/x", "--name", "b", "--", "c"]);
    assert!(!task.json);
    let Verb::Run(run) = parse("run -- -x").unwrap() else { panic!() };
    assert_eq!(run.task.command, ["-x"]);
}

#[test]
fn variables_are_set_or_passed_on() {
    let Verb::Add(task) = parse("add -e A=b=c -e EMPTY= -e HOME -- true").unwrap() else { panic!() };
    let set = |name: &str, value: &str| Variable::Set(name.into(), value.into());
    assert_eq!(task.env, [set("A", "b=c"), set("EMPTY", ""), Variable::Pass("HOME".into())]);
}

#[test]
fn a_strategy_has_one_name_and_four_short_forms() {
    let strategy = |line: &str| match parse(line) {
        Ok(Verb::Merge(merge)) => merge.strategy(),
        other => panic!("{other:?}"),
    };
    assert_eq!(strategy("merge 1"), None);
    assert_eq!(strategy("merge --squash 1"), Some(Strategy::Squash));
    assert_eq!(strategy("merge --auto 1"), Some(Strategy::Auto));
    assert_eq!(strategy("merge --strategy ff 1"), Some(Strategy::FastForward));
    assert_eq!(parse("merge --squash --ff 1").unwrap_err().kind(), ErrorKind::ArgumentConflict);
}

#[test]
fn refusals_say_what_would_be_right() {
    check_refused(
        "add --timeout soon -- true",
        expect![[r#"
        error: invalid value 'soon' for '--timeout <DURATION>': "soon" is not a duration, such as 90s, 10m, 1h30m or 14d

        For more information, try '--help'."#]],
    );
    check_refused(
        "add --priority urgent -- true",
        expect![[r#"
        error: invalid value 'urgent' for '--priority <PRIORITY>'
          [possible values: low, normal, high, critical]

        For more information, try '--help'."#]],
    );
    check_refused(
        "add --name 7 -- true",
        expect![[r#"
            error: invalid value '7' for '--name <NAME>': "7" is not a task name (letters, digits, `.`, `_` and `-`, at most 64, from a letter or digit on; not a number, no `..`, and no `.` or `.lock` at its end, for it names a branch)

            For more information, try '--help'."#]],
    );
    check_refused(
        "add --env 1x=2 -- true",
        expect![[r#"
        error: invalid value '1x=2' for '--env <NAME[=VALUE]>': a variable is NAME=VALUE, or NAME alone to pass yours on

        For more information, try '--help'."#]],
    );
    check_refused(
        "add --env GIT_DIR=x -- true",
        expect![[r#"
        error: invalid value 'GIT_DIR=x' for '--env <NAME[=VALUE]>': GIT_DIR cannot be set: the worktree of a task has its own git and its own place

        For more information, try '--help'."#]],
    );
    check_refused(
        "add --into 'a b' -- true",
        expect![[r#"
        error: invalid value 'a b' for '--into <BRANCH>': "a b" is not the name of a branch

        For more information, try '--help'."#]],
    );
    check_refused(
        "gc --keep-bytes lots",
        expect![[r#"
        error: invalid value 'lots' for '--keep-bytes <SIZE>': "lots" is not a size, such as 500 MB, 64 MiB or 1 GiB

        For more information, try '--help'."#]],
    );
    check_refused(
        "logs 7.x/1",
        expect![[r#"
        error: invalid value '7.x/1' for '<TASK>': "7.x/1" is not a task id, a task name, or an attempt (7.2)

        For more information, try '--help'."#]],
    );
    check_refused(
        "merg 7",
        expect![[r#"
        error: unrecognized subcommand 'merg'

          tip: a similar subcommand exists: 'merge'"#]],
    );
    check_refused(
        "add",
        expect![[r#"
        error: the following required arguments were not provided:
          <COMMAND>..."#]],
    );
}

#[test]
fn help_is_imperative_and_without_full_stop_and_each_verb_has_an_example() {
    for verb in table().get_subcommands() {
        let name = verb.get_name();
        let about = verb.get_about().unwrap_or_else(|| panic!("{name} says nothing of itself")).to_string();
        assert!(!about.ends_with('.') && about.starts_with(char::is_uppercase), "{name}: {about}");
        let examples = verb.get_after_help().unwrap_or_else(|| panic!("{name} has no example")).to_string();
        assert!(examples.contains(&format!("pleach {name}")), "{name}: {examples}");
        for arg in verb.get_arguments() {
            let help = arg.get_help().unwrap_or_else(|| panic!("{name} {}: no help", arg.get_id())).to_string();
            assert!(!help.ends_with('.') && help.starts_with(char::is_uppercase), "{name} {}: {help}", arg.get_id());
        }
    }
}

/// Its verbs are held to the table by the test of the overview.
#[test]
fn the_first_page() {
    let page = table().term_width(80).render_help().to_string();
    let (head, rest) = page.split_once("\n\nStart here:\n").unwrap();
    let options = rest.split_once("\nOptions:\n").unwrap().1;
    expect![[r#"
        Run many tasks at once on one git repository, each in a worktree of its own, and
        fold the good results back

        Usage: pleach [OPTIONS] <COMMAND>
        -----
          -C <DIR>            Work as if started in this directory
              --color <WHEN>  Say when to use colour: auto (on a terminal, unless
                              `NO_COLOR` is set), always or never
          -h, --help          Print help
          -V, --version       Print version
    "#]]
    .assert_eq(&format!("{head}\n-----\n{options}"));
}

#[test]
fn the_help_of_the_verb_that_has_the_most_to_say() {
    let mut table = table().term_width(100);
    table.build();
    let add = table.find_subcommand_mut("add").unwrap();
    expect![[r#"
        Run a task in the background; print its id at once

        Usage: pleach add [OPTIONS] [COMMAND]...

        Arguments:
          [COMMAND]...  What to run: one word is a line for `sh -c`, several are a program and its
                        arguments; its standard input is empty

        Options:
          -n, --name <NAME>             Give it a name that every verb takes in place of its id; of several
                                        tasks the newest counts
          -p, --priority <PRIORITY>     Say who goes first [possible values: low, normal, high, critical]
          -t, --timeout <DURATION>      End it after this much wall time
              --grace <DURATION>        Leave it this long between the polite end and the other
          -a, --after <TASK>            Start it after these tasks, on top of their results
          -b, --base <REV>              Start it from this revision instead of HEAD
          -i, --into <BRANCH>           Fold its result into this branch instead of the one that is checked
                                        out
          -g, --group <GROUP>           Count it in this group, whose limit is in the configuration
          -r, --retries <N>             Run it again by itself this many times where it fails
          -e, --env <NAME[=VALUE]>      Set a variable for it; NAME alone passes yours on
          -f, --fold <POLICY>           Say what becomes of a good result [possible values: review, auto,
                                        never]
          -s, --strategy <STRATEGY>     Say how it is folded [possible values: merge, squash, rebase, ff,
                                        auto]
              --publish <WHAT>          Say what moves: the branch, or pleach/target/BRANCH, which stands
                                        for it [possible values: branch, ref]
          -m, --message <TEXT>          Commit what it leaves uncommitted, and fold it, with this message
              --copy <PATTERN>          Bring these ignored files along (a pattern as in .gitignore)
              --clean                   Give it a worktree that no task had before it, with no ignored files
                                        of any
              --log-cap <SIZE>          Keep this much of its output, half from the start and half from the
                                        end
              --require-sandbox <TIER>  Run it only where the sandbox holds this much [possible values:
                                        none, reduced, full]
              --network <WHOM>          Say whom it can talk to: none, allow, or hosts with commas between
                                        them (crates.io,*.npmjs.org:443)
              --read-only               Let it write its temporary directory only
              --paths <PATTERN>         Say what it may touch, from the top (`src/**`): a result that
                                        touches more is held for a look
              --memory <SIZE>           End it where it takes more memory than this, all its processes
                                        together
              --needs-memory <SIZE>     Start it only where so much memory is free, beside what others that
                                        run still need
              --processes <N>           Let it have so many processes at once, threads among them
              --no-setup                Leave out the setup of the worktree that is configured
              --verify <COMMAND>        Let the branch move only where this passes with the result in it (a
                                        line for `sh -c`); it stays with the task
              --no-verify               Fold without the check that is configured; this is recorded and
                                        shown
              --no-cache                Run the check anew, whatever is known
              --json                    Answer in JSON
          -h, --help                    Print help

        Agents:
              --role <ROLE>         Give it this role: see `pleach roles`
              --agent <AGENT>       Have an agent do it, which is told what by --prompt: see `pleach agents`
              --model <MODEL>       Say which model it uses
              --max-turns <N>       Let it take so many turns
              --budget <DOLLARS>    Let it cost so many dollars
              --changes <NEED>      Say whether it must change something, or words are enough [possible
                                    values: required, optional]
              --prompt <TEXT>       Tell its agent, or that of its role, to do this
              --prompt-file <FILE>  Tell it what is in this file (- for standard input)

        Everywhere:
          -C <DIR>            Work as if started in this directory
              --color <WHEN>  Say when to use colour: auto (on a terminal, unless `NO_COLOR` is set), always
                              or never

        Examples:
          pleach add -- npx eslint --fix src
          pleach add --name lint --timeout 10m 'cargo clippy --fix && cargo fmt'
          pleach add --after lint --fold auto -- cargo test
    "#]]
    .assert_eq(&add.render_help().to_string());
}
