//! `pleach review` in a real terminal, by real keys.

use std::fs;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};

use serde_json::Value;

use super::reviewed;
use crate::monitor::tmux::{self, Tmux};
use crate::support::cli::{at_top, task};
use crate::support::scene::Scene;

/// The files that keep what was said.
fn drafts(scene: &Scene) -> Vec<PathBuf> {
    let of = |dir: PathBuf| fs::read_dir(dir.join("reviews")).into_iter().flatten().map(|entry| entry.unwrap().path());
    let dirs = fs::read_dir(scene.path("state")).unwrap().map(|entry| entry.unwrap().path());
    dirs.flat_map(of).collect()
}

#[test]
fn refuse_a_hunk_comment_and_carry_out() {
    if !tmux::is_there() {
        return;
    }
    let (scene, id) = reviewed();
    let tmux = Tmux::new(&scene, 110, 30);
    tmux.open("$PLEACH review");
    // The file that is to be looked at first is the first.
    for words in ["look at these first", "a CI service runs it", "it says: all of it", "2+ y"] {
        tmux.until_seen(words);
    }
    tmux.keys(&["]"]);
    tmux.until_seen("mode 100644 -> 100755");
    // The change of mode and the first hunk do not go in; with the second word the view goes on by itself.
    tmux.keys(&["x"]);
    tmux.until_seen("refused");
    tmux.keys(&["x", "j", "j"]);
    tmux.keys(&["c"]);
    tmux.until_seen("Enter says it");
    tmux.keys(&["-l", "keep thirty, please"]);
    tmux.keys(&["M-Enter"]);
    tmux.keys(&["-l", "second line"]);
    tmux.until_seen("second line");
    tmux.keys(&["Enter"]);
    tmux.until("the comment stands below its line", |screen| {
        screen.contains("▌line 28: keep thirty, please") && screen.contains("▌second line")
    });
    // What was said is in a file already, and outlives the view.
    assert_eq!(drafts(&scene).len(), 1);
    kill_process(Pid::from_raw(tmux.viewer("review").pid as i32).unwrap(), Signal::KILL).unwrap();
    scene.until("the shell goes on", || fs::read_to_string(scene.path("after")).is_ok_and(|text| text.ends_with('\n')));
    fs::remove_file(scene.path("after")).unwrap();
    // As it was left: lines end otherwise.
    tmux.tmux(&["send-keys", "-l", "stty sane; printf '\\033[?1049l\\033[?2004l\\033[?25h'; echo as be''fore"]);
    tmux.keys(&["C-j"]);
    tmux.until_seen("as before");
    let sheet = super::sheet(&scene, id);
    assert_eq!(sheet["verdict"], "accept");
    assert_eq!(sheet["comments"][0]["text"], "keep thirty, please\nsecond line");
    let hunks = sheet["files"][1]["hunks"].as_array().unwrap();
    let verdicts: Vec<_> = hunks.iter().map(|hunk| hunk["verdict"].clone()).collect();
    assert_eq!(verdicts, ["refuse".into(), "refuse".into(), Value::Null]);
    tmux.open("$PLEACH review");
    tmux.until_seen("accepted in part");
    tmux.keys(&["w"]);
    tmux.until_seen("of 4 pieces nothing was said");
    tmux.keys(&["a"]);
    tmux.until_seen("1 accepted (1 in part): carry out? y/n");
    tmux.keys(&["y"]);
    tmux.until_seen(&format!("the accepted part is attempt {id}.2; all of it is kept"));
    tmux.assert_left(0);
    assert_eq!(scene.stands(id), "folded");
    let a: String = (1..=40).map(|n| if n == 30 { "thirty\n".to_owned() } else { format!("{n}\n") }).collect();
    assert_eq!((scene.read("a"), scene.read("c")), (a, "new\n".to_owned()));
    assert!(!scene.top.join("b").exists());
    assert!(scene.git(&["ls-tree", "HEAD", "a"]).starts_with("100644"));
    assert!(drafts(&scene).is_empty(), "it was carried out");
    drop(tmux);
    scene.assert_tidy();
}

#[test]
fn the_terminal_is_as_it_was_after_leaving_a_panic_and_signals() {
    if !tmux::is_there() {
        return;
    }
    let (scene, id) = reviewed();
    let id = id.to_string();
    let ran = scene.pleach(&["retry", "--with-review", &id]);
    assert!(ran.code == Some(2) && ran.err.contains("nothing was said of the result"), "{ran:?}");
    let tmux = Tmux::new(&scene, 90, 24);
    tmux.open("$PLEACH review");
    tmux.keys(&["q"]);
    tmux.assert_left(0);
    assert!(drafts(&scene).is_empty(), "nothing was said");
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        tmux.open("$PLEACH review");
        kill_process(Pid::from_raw(tmux.viewer("review").pid as i32).unwrap(), signal).unwrap();
        tmux.assert_left(code);
    }
    tmux.open("$PLEACH review");
    scene.arm("panic.review");
    tmux.keys(&["j"]);
    tmux.assert_left(101);
    assert!(tmux.screen().contains("a test asked for it"), "{}", tmux.screen());
    // What is said and not carried out can be told to another attempt.
    tmux.open("$PLEACH review");
    tmux.keys(&["C"]);
    tmux.keys(&["-l", "once more"]);
    tmux.keys(&["Enter"]);
    tmux.until_seen("you say: once more");
    tmux.keys(&["q"]);
    tmux.assert_left(0);
    assert_eq!(drafts(&scene).len(), 1);
    scene.ok(&["retry", "--with-review", &id]);
    scene.ok(&["wait", &id]);
    assert!(scene.ok(&["status", &id]).contains("with a review: once more"));
    assert!(drafts(&scene).is_empty(), "it was told");
}

/// What was accepted is verified, and that takes long.
#[test]
fn whoever_leaves_what_is_on_its_way_in_is_told_that_it_goes_on() {
    if !tmux::is_there() {
        return;
    }
    let scene = Scene::new();
    let gate = scene.path("gate");
    scene.configure(&format!("[verify]\ncommand = \"until [ -e '{}' ]; do sleep 0.02; done\"\n", gate.display()));
    task(&scene, "echo one > one");
    task(&scene, "echo two > two");
    let tmux = Tmux::new(&scene, 120, 30);
    tmux.line("clear; $PLEACH review 1");
    tmux.until_seen("? keys");
    tmux.keys(&["t", "a", "w"]);
    tmux.until_seen("1 accepted: carry out?");
    tmux.keys(&["y"]);
    tmux.until_seen("1 queued");
    tmux.keys(&["C-c"]);
    tmux.until_seen(
        "the merge goes on without you: `pleach queue` shows it, `pleach queue remove 1` takes it back out",
    );
    tmux.line("clear; $PLEACH merge 2");
    tmux.until_seen("2 queued");
    tmux.keys(&["C-c"]);
    tmux.until_seen("`pleach queue remove 2`");
    assert_eq!([scene.stands(1), scene.stands(2)], ["queued", "queued"]);
    fs::write(&gate, "").unwrap();
    scene.until("both are in", || scene.stands(1) == "folded" && scene.stands(2) == "folded");
}

#[test]
fn it_follows_the_size_of_the_terminal_and_opens_an_editor() {
    if !tmux::is_there() {
        return;
    }
    let (scene, id) = reviewed();
    let tmux = Tmux::new(&scene, 110, 30);
    // An editor that says something in the place of somebody.
    let editor = scene.path("editor");
    fs::write(&editor, "#!/bin/sh\ncase $1 in *.json) sed -i 's/\"says\": null/x/; 0,/\"verdict\": null/s//\"verdict\": \"refuse\"/' \"$1\";; *) echo from the editor > \"$1\";; esac\n").unwrap();
    at_top(&scene, &format!("chmod +x {}", editor.display()));
    tmux.open(&format!("EDITOR={} $PLEACH review", editor.display()));
    tmux.tmux(&["resize-window", "-x", "60", "-y", "14"]);
    tmux.until("it is as narrow as that", |screen| {
        screen.lines().count() == 14 && !screen.contains("look at these first") && screen.contains("file 1 of 4")
    });
    tmux.tmux(&["resize-window", "-x", "120", "-y", "30"]);
    tmux.until_seen("look at these first");
    tmux.keys(&["s"]);
    tmux.until("both sides", |screen| {
        screen.lines().any(|line| line.contains("1  x") && line.matches("1  x").count() == 2)
    });
    tmux.keys(&["C"]);
    tmux.until_seen("on the whole result");
    tmux.keys(&["C-o"]);
    tmux.until_seen("from the editor");
    tmux.keys(&["Enter"]);
    tmux.until_seen("you say: from the editor");
    tmux.keys(&["e"]);
    tmux.until_seen("refused");
    assert_eq!(super::sheet(&scene, id)["verdict"], "refuse");
    tmux.keys(&["t"]);
    tmux.until_seen("the whole result:");
    tmux.keys(&["b"]);
    tmux.until_seen("sent back");
    tmux.keys(&["w"]);
    tmux.until_seen("1 sent back: carry out? y/n");
    tmux.keys(&["y"]);
    tmux.until_seen("runs again, and is told what the review says");
    tmux.assert_left(0);
    scene.ok(&["wait", &id.to_string()]);
    assert!(scene.ok(&["status", &id.to_string()]).contains("with a review: from the editor"));
}

#[test]
fn what_somebody_made_to_hurt_is_harmless_and_what_is_much_is_fast() {
    if !tmux::is_there() {
        return;
    }
    let scene = Scene::new();
    at_top(&scene, "git commit -q --allow-empty -m base");
    let script = r#"mkdir many; cd many; seq 1 10000 | xargs touch; for i in $(seq 1 10000); do echo $i; done | split -l 1 -a 4 - f; cd ..;
        printf 'a\033]0;evil\007\033[2Jb\r\n\342\200\256x\342\200\213\n\377\n\t1\n' > 00hostile;
        head -c 1000000 /dev/zero | tr '\0' x > 01long; seq 1 700000 > 02large; printf 'a\0b' > 03binary; ln -s /etc/passwd 04link;
        head -c 100000000 /dev/zero | tr '\0' '\n' > 05huge; printf x > "$(printf '06\033[31m\nodd')"; echo '#!/bin/sh' > 07run; chmod +x 07run"#;
    let script_file = scene.path("make.sh");
    fs::write(&script_file, script).unwrap();
    let id = task(&scene, &format!("sh {}", script_file.display()));
    let tmux = Tmux::new(&scene, 120, 30);
    let begun = std::time::Instant::now();
    tmux.open("$PLEACH review");
    tmux.until_seen("20008 files");
    println!("20,008 files were there after {:?}", begun.elapsed());
    for words in ["04link", "07run", "it is a symbolic link now", "it can be run now"] {
        tmux.until_seen(words);
    }
    tmux.keys(&["]", "]"]);
    tmux.until_seen(r"a\u{1b}]0;evil\u{7}\u{1b}[2Jb\r");
    tmux.until_seen(r"\u{202e}x\u{200b}");
    tmux.until_seen(r"\xff");
    tmux.keys(&["]", "l"]);
    tmux.until_seen("from column 9");
    tmux.keys(&["]", "G"]);
    tmux.until_seen("650000 lines more of this hunk");
    tmux.keys(&["]"]);
    tmux.until_seen("it is no text: 0 bytes before, 3 after");
    tmux.keys(&["]"]);
    tmux.until_seen("it is too large to be shown: 0 bytes before, 100000000 after");
    tmux.keys(&["]"]);
    tmux.until_seen(r"06\u{1b}[31m\nodd");
    tmux.keys(&["x"]);
    tmux.until_seen("file 9 of");
    tmux.keys(&["q"]);
    tmux.assert_left(0);
    assert_eq!(drafts(&scene).len(), 1);
    let said = fs::read_to_string(drafts(&scene)[0].as_path()).unwrap();
    assert!(said.contains("odd") && said.len() < 1000, "{said}");
    scene.ok(&["discard", &id.to_string()]);
}

#[test]
fn what_is_no_change_of_lines_is_told_in_words() {
    if !tmux::is_there() {
        return;
    }
    let scene = Scene::new();
    at_top(&scene, "seq 1 30 > moved; echo x > turns; ln -s old-place link; git add -A; git commit -qm base");
    let script = r#"chmod +x turns; ln -sfn "$(printf '../new\033[31m\342\200\256')" link; git mv moved "new name"; sed -i 's/^30$/thirty/' "new name";
        echo '<script>alert(1)</script>' > page.html; rm readme"#;
    scene.ok(&["add", "--name", "odd", script]);
    scene.ok(&["wait", "odd"]);
    let tmux = Tmux::new(&scene, 140, 40);
    tmux.open("$PLEACH review");
    let mut left = vec![
        r"it was a symbolic link to old-place and is a symbolic link to ../new\u{1b}[31m\u{202e}",
        "mode 100644 -> 100755",
        "renamed from moved",
        "<script>alert(1)</script>",
        "1- hello",
    ];
    // Each is in a file of its own.
    while !left.is_empty() {
        tmux.until("one of what is left", |screen| left.iter().any(|words| screen.contains(words)));
        let screen = tmux.screen();
        left.retain(|words| !screen.contains(words));
        tmux.keys(&["]"]);
    }
    tmux.keys(&["q"]);
    tmux.assert_left(0);
}
