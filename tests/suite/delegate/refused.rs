//! What a task may not ask for: told with a code of its own, and nothing happens.

use super::{coded, scene, well};
use crate::support::scene::Scene;

/// The codes that a line noted.
fn codes(scene: &Scene, task: u64) -> Vec<u32> {
    let log = scene.log(task);
    log.lines().filter_map(|line| line.strip_prefix("code=")?.parse().ok()).collect()
}

#[test]
fn the_decisions_of_people_are_not_for_a_task() {
    let scene = scene("none", 2);
    let verbs = [
        "merge 2",
        "undo",
        "discard 2",
        "restore 2",
        "retry 2",
        "gc",
        "approve",
        "pause",
        "resume",
        "send 2 hello",
        "review 2",
        "queue hold 2",
        "events",
        "plan x.toml",
        "run x.toml",
        "add --base HEAD -- true",
        "add --into main -- true",
        "add --copy x -- true",
        "add --role x -- true",
        "add --strategy squash -- true",
        "add --publish ref -- true",
    ];
    let all: String = verbs.iter().map(|verb| coded(verb)).collect();
    let line = format!(
        "printf '[[task]]\\nname = \"a\"\\ncommand = \"true\"\\n' > x.toml; pleach wait $(pleach add -- 'echo x > x'); {all}"
    );
    let parent = scene.add(&[], &line);
    well(&scene, parent);
    let codes = codes(&scene, parent);
    assert_eq!(codes, vec![12; verbs.len()], "{}", scene.log(parent));
    let log = scene.log(parent);
    assert!(log.contains("not for a task to ask for"));
    // Each with what a task can do instead.
    for instead in ["one by one: `pleach add`", "once more: `pleach add`", "`git cherry-pick`"] {
        assert!(log.contains(instead), "{instead}: {log}");
    }
    assert_eq!((scene.stands(2), scene.board().len()), ("ready".to_owned(), 2));
}

#[test]
fn the_tasks_of_others_are_not_there() {
    let scene = scene("none", 3);
    let sign = scene.path("sign");
    let other = scene.add(&["--name", "other"], &format!("touch {}; sleep 1000", sign.display()));
    scene.until_there(&sign);
    let verbs = [
        "status 1",
        "status other",
        "cancel 1",
        "logs 1",
        "diff 1",
        "wait 1",
        "add --after 1 -- true",
        "status 2",
        "cancel 2",
    ];
    let all: String = verbs.iter().map(|verb| coded(verb)).collect();
    let parent = scene.add(&[], &format!("pleach ls --all; {all} pleach add --name other -- true; echo code=$?"));
    well(&scene, parent);
    let mut expected = vec![4; verbs.len()];
    expected.push(12);
    assert_eq!(codes(&scene, parent), expected, "{}", scene.log(parent));
    assert!(scene.log(parent).contains("no task yet"), "{}", scene.log(parent));
    assert_eq!((scene.stands(other), scene.board().len()), ("running".to_owned(), 2));
    scene.ok(&["cancel", &other.to_string()]);
}

#[test]
fn deeper_than_the_user_says_nobody_delegates() {
    let nested = "pleach run -- 'pleach run -- \"pleach run -- true; echo code=\\$?\"; echo code=$?'; echo code=$?";
    // What the repository says of it can only take away.
    for (user, repository, reached) in [
        ("", "", 2),
        ("", "depth = 9", 2),
        ("depth = 3", "", 3),
        ("depth = 1", "depth = 2", 1),
        ("depth = 3", "depth = 2", 2),
        ("children = 0", "", 1),
    ] {
        let scene = scene("none", 2);
        scene.configure(&format!("[delegate]\n{user}\n"));
        if !repository.is_empty() {
            scene.write(".pleach.toml", format!("[delegate]\n{repository}\n"));
        }
        let parent = scene.add(&[], nested);
        well(&scene, parent);
        assert_eq!(scene.board().len(), reached, "{user:?} {repository:?}: {}", scene.log(parent));
        assert!(scene.log(parent).contains("may not delegate"), "{user:?}: {}", scene.log(parent));
    }
}

#[test]
fn a_task_starts_so_many_and_no_more() {
    let scene = scene("none", 2);
    scene.configure("[delegate]\nchildren = 3\n");
    let parent = scene.add(&[], &coded("add -- true").repeat(5));
    well(&scene, parent);
    assert_eq!(codes(&scene, parent), [0, 0, 0, 12, 12], "{}", scene.log(parent));
    assert_eq!(scene.board().len(), 4);
}

#[test]
fn more_than_it_has_itself_is_not_granted() {
    let scene = scene("none", 2);
    let verbs = ["--timeout 99", "--memory 2G", "--processes 500", "--retries 5", "--priority critical", "--fold auto"];
    let all: String = verbs.iter().map(|verb| coded(&format!("add {verb} -- true"))).collect();
    let options = ["--timeout", "60", "--memory", "1G", "--processes", "400"];
    let parent = scene.add(&options, &all);
    well(&scene, parent);
    assert_eq!(codes(&scene, parent), vec![12; verbs.len()], "{}", scene.log(parent));
    for tier in ["full"].into_iter().filter(|tier| crate::sandbox::works(tier)) {
        let scene = super::scene(tier, 2);
        let line = format!(
            "{}{}",
            coded("add --network allow -- true"),
            coded("run -- 'cat < /dev/tcp/1.1.1.1/80; echo > /etc/x'")
        );
        let parent = scene.add(&["--network", "none"], &line);
        scene.ok(&["wait", &parent.to_string()]);
        assert_eq!(codes(&scene, parent)[0], 12, "{}", scene.log(parent));
        let policy = std::fs::read_to_string(scene.top.join(".git/pleach/journal.jsonl")).unwrap();
        let asked = policy.lines().rfind(|line| line.contains("\"submitted\"")).unwrap().to_owned();
        assert!(asked.contains("\"network\":\"none\"") && asked.contains("\"require\":\"full\""), "{asked}");
    }
}

#[test]
fn whatever_is_written_to_the_socket_the_task_goes_on_and_its_end_is_known() {
    let scene = scene("none", 2);
    let script = r#"
use IO::Socket::UNIX; use strict; $SIG{PIPE} = 'IGNORE';
my $path = $ENV{PLEACH_SOCKET}; $path =~ s/inbox$/asks/;
my @open; srand(7);
for my $n (1 .. 300) {
    my $s = IO::Socket::UNIX->new(Peer => $path) or next;
    my $kind = $n % 6;
    if ($kind == 0) { syswrite($s, join('', map { chr(int(rand(256))) } 1 .. 5000)); }
    elsif ($kind == 1) { syswrite($s, "{\"submit\":{\"sandbox\":{}}}\n" x 3); }
    elsif ($kind == 2) { syswrite($s, "\"state\"\n" x 20); }
    elsif ($kind == 3) { syswrite($s, "["x5000 . "\n"); }
    elsif ($kind == 4) { syswrite($s, "{\"inside\":{\"by\":\"1.1\",\"ask\":\"state\"}}\n\"poke\"\n"); }
    push @open, $s if $n % 3 == 0; shift @open if @open > 40;
}
print "written\n";
"#;
    std::fs::write(scene.path("flood.pl"), script).unwrap();
    let other = scene.add(&["--name", "other"], "true");
    let line = format!("perl {}; pleach run -- 'echo still'", scene.path("flood.pl").display());
    let parent = scene.add(&[], &line);
    well(&scene, parent);
    well(&scene, other);
    let log = scene.log(parent);
    assert!(log.contains("written") && log.contains("still"), "{log}");
    assert_eq!(scene.board().len(), 3);
}

#[test]
fn a_task_that_finds_the_door_of_people_is_not_let_in() {
    for tier in ["none", "reduced"].into_iter().filter(|tier| *tier == "none" || crate::sandbox::works(tier)) {
        let scene = super::scene(tier, 2);
        let other = scene.add(&[], "echo x > x");
        well(&scene, other);
        let script = r#"
use IO::Socket::UNIX; use strict;
my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "closed: $!"; $s->autoflush(1);
print $s "{\"discard\":{\"tasks\":[1]}}\n"; print scalar <$s>;
"#;
        scene.write("door.pl", script);
        scene.git(&["add", "door.pl"]);
        scene.git(&["commit", "-qm", "a door"]);
        let socket = scene.top.join(".git/pleach/socket");
        // Also where its parent is gone, and nobody but its shim is above it.
        let line = format!(
            "perl door.pl {0}; (setsid perl door.pl {0} > later 2>&1 &); while ! test -s later; do :; done; cat later",
            socket.display()
        );
        let parent = scene.add(&[], &line);
        well(&scene, parent);
        let log = scene.log(parent);
        assert_eq!(log.matches("not here").count(), 2, "{tier}: {log}");
        assert_eq!(scene.stands(other), "ready", "{tier}");
    }
}
