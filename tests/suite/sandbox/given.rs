//! What a task is given of the home, of what is hidden, and to run.

use std::fs;

use super::super::support::scene::Scene;
use super::{scene, works};

fn set(scene: &Scene, said: &str) {
    let config = scene.path("home/config/pleach");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("config.toml"), format!("[sandbox]\n{said}\n")).unwrap();
}

fn ran(scene: &Scene, line: &str) -> String {
    let task = scene.add(&[], line);
    scene.pleach(&["wait", &task.to_string()]);
    scene.log(task)
}

#[test]
fn a_home_is_a_copy_or_closed_or_open() {
    if !works("full") {
        return;
    }
    let line = "echo x > ~/new && cat ~/new; echo evil >> ~/.profile; cat ~/.ssh/id; echo evil > ~/.ssh/authorized_keys; \
        rm -f ~/.ssh/id; mv ~/.profile ~/moved; echo fine; cat ~/.profile";
    for (home, can_write, stays) in [("cow", true, false), ("ro", false, false), ("rw", true, true)] {
        let scene = scene("full");
        set(&scene, &format!("home = \"{home}\""));
        let log = ran(&scene, line);
        assert!(log.contains("fine\n") && !log.contains("SECRET"), "{home}: {log}");
        assert_eq!(log.starts_with("x\n"), can_write, "{home}: {log}");
        assert_eq!(scene.path("home/new").exists(), stays, "{home}: {log}");
        assert_eq!(fs::read_to_string(scene.path("home/.profile")).unwrap(), "mine\n", "{home}");
        assert_eq!(fs::read_to_string(scene.path("home/.ssh/id")).unwrap(), "SECRET", "{home}");
        assert!(!scene.path("home/.ssh/authorized_keys").exists());
    }
}

/// A repository below an open home, which is not in the place of a checkout, stays closed.
#[test]
fn an_open_home_opens_no_repository_and_no_list_of_approvals() {
    if !works("full") {
        return;
    }
    let mut scene = scene("full");
    set(&scene, "home = \"rw\"");
    let home = scene.path("home");
    scene.variables.insert("PLEACH_STATE_DIR".to_owned(), home.join("state").display().to_string());
    assert!(std::process::Command::new("mv").arg(&scene.top).arg(home.join("project")).status().unwrap().success());
    scene.top = home.join("project");
    let line = "git=$(readlink -f \"$(git rev-parse --absolute-git-dir)/../common\"); echo evil >> ~/project/.git/config; \
        echo evil >> ~/state/approved; echo evil >> ~/config/pleach/config.toml; echo x > ~/open; echo fine";
    assert!(ran(&scene, line).contains("fine\n"));
    assert!(home.join("open").exists(), "it is open");
    assert!(!fs::read_to_string(home.join("project/.git/config")).unwrap().contains("evil"));
    assert!(!home.join("state/approved").exists());
}

#[test]
fn what_is_named_is_read_although_it_is_hidden() {
    if !works("full") {
        return;
    }
    let scene = scene("full");
    fs::write(scene.path("home/.netrc"), "NETRC\n").unwrap();
    fs::write(scene.path("home/.ssh/known_hosts"), "HOSTS\n").unwrap();
    let line =
        "cat ~/.netrc ~/.ssh/known_hosts ~/.ssh/id; echo evil >> ~/.netrc; echo evil >> ~/.ssh/known_hosts; echo fine";
    let hidden = ran(&scene, line);
    assert!(
        hidden.contains("fine\n") && !["NETRC", "HOSTS", "SECRET"].iter().any(|word| hidden.contains(word)),
        "{hidden}"
    );
    set(&scene, "read = [\"~/.netrc\", \"~/.ssh/known_hosts\"]");
    let shown = ran(&scene, line);
    assert!(shown.starts_with("NETRC\nHOSTS\n") && shown.contains("fine\n") && !shown.contains("SECRET"), "{shown}");
    assert_eq!(fs::read_to_string(scene.path("home/.netrc")).unwrap(), "NETRC\n");
    assert_eq!(fs::read_to_string(scene.path("home/.ssh/known_hosts")).unwrap(), "HOSTS\n");
}

#[test]
fn only_what_is_named_can_be_run() {
    for tier in ["reduced", "full"] {
        if !works(tier) {
            continue;
        }
        let scene = scene(tier);
        fs::create_dir_all(scene.path("home/bin")).unwrap();
        for name in ["allowed", "other"] {
            fs::copy("/bin/echo", scene.path("home/bin").join(name)).unwrap();
        }
        let line = "~/bin/allowed A; ~/bin/other B; cp ~/bin/allowed ./copy; ./copy C; printf '#!/bin/sh\\necho D' > script; chmod +x script; ./script; \
            cp /bin/echo ~/bin/allowed; sh script; mkdir sub && mv script sub/script && echo moved; git add sub && git commit -qm sub && echo E; pleach summary F; echo fine";
        let open = ran(&scene, line);
        for word in ["A\n", "B\n", "C\n", "D\n", "moved\n", "E\n", "fine\n"] {
            assert!(open.contains(word), "{tier}: {open}");
        }
        set(&scene, "exec = [\"/bin\", \"/usr/bin\", \"/usr/lib/git-core\", \"~/bin/allowed\"]");
        let task = scene.add(&[], line);
        scene.pleach(&["wait", &task.to_string()]);
        let log = scene.log(task);
        for word in ["A\n", "D\n", "moved\n", "E\n", "fine\n"] {
            assert!(log.contains(word), "{tier}: {log}");
        }
        assert!(!log.contains("B\n") && !log.contains("C\n") && log.matches("D\n").count() == 1, "{tier}: {log}");
        assert_eq!(scene.status(task)["attempts"][0]["summary"], "F", "{log}");
        // Its files are saved all the same, and what is not committed, too.
        assert!(!scene.git(&["show", &format!("refs/pleach/kept/{task}.1/tip:copy")]).is_empty());
        let denied = scene.add(&[], "true");
        set(&scene, "exec = [\"~/bin/allowed\"]");
        let shell = scene.add(&[], "true");
        let plain = scene.add(&[], "unused");
        scene.pleach(&["wait", &denied.to_string(), &shell.to_string(), &plain.to_string()]);
        assert_eq!((scene.outcome(denied).as_str(), scene.outcome(shell).as_str()), ("exited 0", "could_not_start"));
        assert!(scene.ok(&["status", &shell.to_string()]).contains("not among what tasks can run"));
        // The worktree is named by a dot.
        set(&scene, "exec = [\"/bin\", \"/usr/bin\", \".\"]");
        let own = ran(&scene, "cp /bin/echo ./own; ./own G; ~/bin/other B; echo fine");
        assert!(own.starts_with("G\n") && own.ends_with("fine\n") && !own.contains("B\n"), "{tier}: {own}");
    }
}

#[test]
fn where_nothing_holds_what_may_be_run_nothing_runs() {
    let scene = scene("none");
    set(&scene, "exec = [\"/bin\", \"/usr/bin\"]");
    let task = scene.add(&[], "true");
    scene.pleach(&["wait", &task.to_string()]);
    assert_eq!(scene.outcome(task), "could_not_start");
    assert!(scene.ok(&["status", &task.to_string()]).contains("cannot limit what it runs"));
}
