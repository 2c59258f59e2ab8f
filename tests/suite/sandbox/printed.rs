//! What a task wrote reaches people's terminals only as text: everything that it can name or say, by every verb that shows it.

use super::super::support::scene::Scene;

/// Colours, a title, the clipboard, C1, direction, a line of its own, a bell, a link.
const HOSTILE: &str = "\\033[31m\\033]0;title\\007\\033]52;c;eA==\\007\\302\\233 31m\\342\\200\\256gnirts\\342\\201\\246\\rover\\b\\007\\033]8;;x\\033\\\\";

fn acts(text: &str) -> Option<char> {
    // What ends lines and cells is ours.
    text.chars().find(|c| (c.is_control() && !matches!(c, '\n' | '\t')) || is_direction(*c))
}

fn is_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// All that a task can put its words into.
fn script() -> String {
    format!(
        "x=$(printf '{HOSTILE}'); printf '%s\\n' \"$x\" > \"file$x\"; printf \"$x\" >> readme; git add -A; git commit -qm \"subject$x\" --author \"$x <$x@x>\" ; \
         ln -s \"/$x\" \"link$x\"; git checkout -q -b side; git commit -q --allow-empty -m \"side$x\"; git checkout -q -; \
         pleach progress 1/2 \"$x\"; pleach summary \"$x\"; git init -q \"nested$x\"; echo \"$x\"; printf \"$x\" >&2"
    )
}

#[test]
fn nothing_that_a_task_names_or_says_acts_on_a_terminal() {
    let scene = Scene::new();
    let name = "name\u{1b}[31m\u{202e}";
    let id = scene.add(&["--name", "plain", "--message", name], &script());
    scene.pleach(&["wait", &id.to_string()]);
    let word = id.to_string();
    // The control: its words are there, and they are hostile.
    let raw = scene.git(&["log", "-1", "--format=%s", &format!("refs/pleach/kept/{id}.1/tip^")]);
    assert!(acts(&raw).is_some(), "{raw:?}");
    let looks: &[&[&str]] = &[
        &["ls"],
        &["ls", "--all"],
        &["status", &word],
        &["diff", "--stat", &word],
        &["diff", "--name-only", &word],
        &["merge", "--dry-run", &word],
        &["merge", &word],
        &["queue"],
        &["doctor"],
        &["events"],
        &["discard", &word],
        &["restore", &word],
        &["gc", "--older-than", "0s"],
        &["retry", &word],
        &["wait", &word],
    ];
    for look in looks {
        let ran = scene.pleach(look);
        for text in [&ran.out, &ran.err] {
            assert_eq!(acts(text), None, "{look:?}: {text:?}");
        }
    }
    // What a task fails with is said by whoever follows it.
    let ran = scene.pleach(&["run", "--", "sh", "-c", &format!("{}; exit 3", script())]);
    assert_eq!(acts(&ran.err), None, "{:?}", ran.err);
    let ran = scene.pleach(&["add", "--", "no\u{1b}[31msuch\u{202e}program", "x"]);
    assert_eq!(acts(&ran.out), None, "{ran:?}");
    scene.pleach(&["wait"]);
    for look in [&["ls", "--all"][..], &["status", "4"], &["status", "3"]] {
        let ran = scene.pleach(look);
        assert_eq!(acts(&ran.out).or(acts(&ran.err)), None, "{look:?}: {ran:?}");
    }
}

/// What is exact in a pipe (a patch that is to be applied, a log that is to be searched) is text on a terminal, too.
#[test]
fn what_is_exact_in_a_pipe_is_text_on_a_terminal() {
    let scene = Scene::new();
    let id = scene.add(&[], &script());
    scene.pleach(&["wait", &id.to_string()]);
    for look in
        [format!("diff {id}"), format!("logs {id}"), format!("status {id}"), "run -- sh -c \"$HOSTILE\"".to_owned()]
    {
        let wanted = scene.command(&[]);
        let mut terminal = std::process::Command::new("script");
        let line = format!("stty cols 200; {} {look}", wanted.get_program().display());
        terminal.args(["-qec", &line, "/dev/null"]).env_clear().current_dir(&scene.top);
        terminal.envs(wanted.get_envs().filter_map(|(name, value)| Some((name, value?))));
        terminal
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .env("PAGER", "cat")
            .env("GIT_PAGER", "cat")
            .env("HOSTILE", script());
        let output = terminal.stdin(std::process::Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n");
        assert!(said.contains("title"), "{look}: the control: {said:?}");
        for what in ["\u{1b}]0;", "\u{1b}]52", "\u{1b}]8;;x", "\u{9b}", "\u{202e}", "\u{2066}", "\u{7}", "\u{8}"] {
            assert!(!said.contains(what), "{look}: {what:?} in {said:?}");
        }
    }
}
