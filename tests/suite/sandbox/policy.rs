//! What is asked for, what is held, and what is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::{scene, word, works};

#[test]
fn the_command_of_sandbox_ends_with_its_own_code() {
    let scene = scene("best");
    for tier in ["none", "reduced", "full"] {
        if tier != "none" && !works(tier) {
            continue;
        }
        let code = |line: &str| scene.pleach(&["sandbox", "--tier", tier, "--", line]).code;
        assert_eq!(code("exit 7"), Some(7), "{tier}");
        assert_eq!(code("kill -9 $$"), Some(137), "{tier}");
        let missing = scene.pleach(&["sandbox", "--tier", tier, "--", "no-such-program", "x"]);
        assert_eq!(missing.code, Some(125), "{tier}: {missing:?}");
        assert!(missing.err.contains("no-such-program"), "{missing:?}");
    }
}

#[test]
fn read_only_leaves_the_temporary_directory() {
    if !works("full") {
        return;
    }
    let scene = scene("full");
    let id = scene.add(&["--read-only"], "echo x > planted; echo y > $TMPDIR/z && cat $TMPDIR/z readme");
    scene.pleach(&["wait", &id.to_string()]);
    let log = scene.log(id);
    assert!(log.contains("y\nhello\n") && log.contains("Read-only file system"), "{log}");
    assert_eq!(scene.status(id)["result"], serde_json::Value::Null, "{log}");
}

#[test]
fn read_only_is_no_word_where_nothing_holds_it() {
    let scene = scene("none");
    let output = scene.pleach(&["run", "--read-only", "--", "echo x > planted"]);
    assert_eq!(output.code, Some(125), "{output:?}");
    assert!(output.err.contains("reduced") && output.err.contains("PLEACH_SANDBOX"), "{output:?}");
    assert_eq!(scene.status(1)["result"], serde_json::Value::Null);
}

#[test]
fn what_is_written_in_the_users_place_is_the_tasks() {
    if !works("full") {
        return;
    }
    let scene = scene("full");
    let line = format!(
        "echo mine > {}/by-path && cd {} && git add by-path && git commit -qm by-path",
        scene.top.display(),
        word(scene.top.clone())
    );
    let id = scene.add(&[], &line);
    assert_eq!(scene.pleach(&["wait", &id.to_string()]).code, Some(0), "{}", scene.log(id));
    assert!(!scene.top.join("by-path").exists());
    assert_eq!(scene.git(&["show", &format!("pleach/{id}:by-path")]), "mine");
    assert_eq!(scene.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_home_can_be_written_and_nothing_of_it_stays() {
    if !works("full") {
        return;
    }
    let scene = scene("full");
    let kept = scene.path("home/kept");
    fs::create_dir_all(&kept).unwrap();
    let config = scene.path("home/config/pleach");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("config.toml"), "[sandbox]\nwrite = [\"~/kept\"]\nhide = [\"~/notes\"]\n").unwrap();
    fs::create_dir_all(scene.path("home/notes")).unwrap();
    fs::write(scene.path("home/notes/one"), "PRIVATE").unwrap();
    let id =
        scene.add(&[], "echo c > ~/cache; cat ~/.profile; echo k > ~/kept/one; ls ~/notes; cat ~/notes/one; exit 0");
    scene.pleach(&["wait", &id.to_string()]);
    let log = scene.log(id);
    assert!(log.starts_with("mine\n") && !log.contains("PRIVATE"), "{log}");
    assert!(!scene.path("home/cache").exists());
    assert_eq!(fs::read_to_string(kept.join("one")).unwrap(), "k\n");
}

#[test]
fn what_is_required_and_not_there_runs_nothing() {
    let scene = scene("none");
    let out = scene.path("ran");
    let refused = scene.pleach(&["run", "--require-sandbox", "full", "--", &format!("touch {}", word(out.clone()))]);
    assert_eq!(refused.code, Some(9), "{refused:?}");
    assert!(refused.err.contains("required to have the full tier") && refused.err.contains("leave `[sandbox] tier`"));
    assert!(!out.exists() && scene.board().is_empty());
}

/// Where nobody may make a namespace: the tier drops, and it is told; where it is required, nothing runs.
#[test]
fn without_namespaces_it_is_less_and_says_so() {
    if !works("full") || !works("reduced") {
        return;
    }
    let scene = scene("best");
    let ask = |line: &str| {
        let script =
            format!("echo 0 > /proc/sys/user/max_user_namespaces && exec {} {line}", env!("CARGO_BIN_EXE_pleach"));
        let mut unshare = Command::new("unshare");
        unshare.args(["-Ur", "sh", "-c", &script]).current_dir(&scene.top).env_clear();
        let wanted = scene.command(&[]);
        unshare.envs(wanted.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = unshare.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, out, err) = ask("sandbox -- 'echo ran; echo x > ../outside'");
    assert_eq!((code, out.as_str()), (Some(2), "ran\n"), "{err}");
    assert!(err.contains("warning: it ran in the reduced tier"), "{err}");
    assert!(!scene.path("outside").exists());
    let (code, out, err) = ask("sandbox --tier full -- 'echo ran'");
    assert_eq!((code, out.as_str()), (Some(125), ""), "{err}");
    assert!(err.contains("cannot make namespaces for it"), "{err}");
    assert!(err.contains("hint: sudo sysctl -w user.max_user_namespaces=15000"), "{err}");
    let (code, out, _) = ask("doctor");
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("the sandbox: reduced, in which it can read your secrets"), "{out}");
    assert!(out.contains("sudo sysctl -w user.max_user_namespaces=15000"), "{out}");
}

#[test]
fn doctor_and_status_say_what_holds() {
    if !works("full") {
        return;
    }
    let scene = scene("best");
    let id = scene.add(&[], "true");
    scene.pleach(&["wait", &id.to_string()]);
    assert_eq!(scene.status(id)["attempts"][0]["sandbox"], "full");
    assert!(scene.ok(&["status", &id.to_string()]).contains("sandbox   full"));
    assert!(scene.ok(&["doctor"]).contains("the sandbox: full"));
}

/// As somebody who is not root: the tests of this machine may run as root, and most people do not.
#[test]
fn it_holds_for_somebody_without_rights() {
    if !rustix::process::geteuid().is_root() || !works("full") {
        return;
    }
    let scene = scene("full");
    // Somebody else must be able to get there, and to read the program.
    let program = scene.path("pleach");
    fs::copy(env!("CARGO_BIN_EXE_pleach"), &program).unwrap();
    let open = |path: &std::path::Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    open(&scene.path(""));
    open(&program);
    let home = scene.path("somebody");
    fs::create_dir_all(home.join(".ssh")).unwrap();
    fs::write(home.join(".ssh/id"), "SECRET").unwrap();
    // Of the branches only: where a ref is deleted just then, as the pin of a worktree that goes, git's `--all` fails on it.
    let script = format!(
        "set -e; cd {home}; export HOME={home} XDG_STATE_HOME={home}/state PLEACH_IDLE_SECONDS=1 GIT_CONFIG_NOSYSTEM=1; unset PLEACH_STATE_DIR; \
         git init -q -b main project; cd project; git config user.name S; git config user.email s@example.org; git commit -q --allow-empty -m first; \
         {program} run --require-sandbox full -- 'id -u; echo a > a; git add a; git commit -qm a; git stash list; cat ~/.ssh/id; touch {home}/../out; chmod 0 {home}/project/.git/config; \
         echo x > {home}/project/here; cat /proc/1/environ; unshare -Urm sh -c \"echo nested; mount -o remount,bind,rw / && echo REMOUNTED; umount -l ~/.ssh && cat ~/.ssh/id; touch {home}/../out\"; pleach summary done; exit 5' || echo code $?; git log --oneline --branches; ls; \
         cat .git/config >/dev/null && echo WHOLE",
        home = home.display(),
        program = program.display(),
    );
    let mut su = Command::new("setpriv");
    su.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c", &script]).env_clear();
    let path = std::env::var("PATH").unwrap();
    su.env("PATH", format!("{}:{path}", scene.path("").display()));
    Command::new("chown").args(["-R", "65534:65534"]).arg(&home).status().unwrap();
    let output = su.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("65534\n") && said.contains("code 5") && said.contains("WHOLE"), "{said}");
    assert!(said.contains("nested") && !said.contains("REMOUNTED") && !said.contains("SECRET"), "{said}");
    assert!(!home.join("project/here").exists() && !scene.path("out").exists());
}

/// The files of the kernel's settings belong to root, whatever the namespace of its user. What it writes here is there already.
#[test]
fn the_settings_of_the_kernel_are_not_roots_in_there() {
    if !works("full") || !rustix::process::geteuid().is_root() {
        return;
    }
    const LINE: &str = "it=/proc/sys/vm/overcommit_ratio; was=$(cat $it); echo $was > $it && echo WRITTEN; \
                        echo 500 > /proc/self/oom_score_adj && echo own";
    let said = |tier| scene("full").pleach(&["sandbox", "--tier", tier, "--", LINE]).out;
    assert_eq!(said("full"), "own\n");
    // The control: nothing else is in its way, where root is all that it can be.
    let open = fs::OpenOptions::new().write(true).open("/proc/sys/vm/overcommit_ratio").is_ok();
    assert_eq!(said("none").contains("WRITTEN"), open);
}

/// Root of a namespace of its own may not enter it, so it cannot be covered; neither can the task open it.
#[test]
fn a_socket_in_a_closed_directory_of_somebody_else_is_in_nobodys_way() {
    if !works("full") || !rustix::process::geteuid().is_root() {
        return;
    }
    // Not among the temporary files, of which a task has its own.
    let dir = tempfile::Builder::new().prefix("pleach-").tempdir_in("/var/lib").unwrap();
    let socket = dir.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::os::unix::fs::chown(dir.path(), Some(65534), Some(65534)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let line = format!("ls {} && echo SEEN; echo ran", dir.path().display());
    let ran = scene("full").pleach(&["sandbox", "--tier", "full", "--", &line]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "ran\n"), "{ran:?}");
}
