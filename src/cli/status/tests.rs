use expect_test::{Expect, expect};

use super::*;
use crate::core::id::TaskId;
use crate::core::report::sample::{self, at, commit};
use crate::core::report::{CommitLine, FileChange, FileLine, Known, Places, task};

fn check(id: u64, known: Known, expected: Expect) {
    let state = sample::state();
    let one = state.task(TaskId(id)).unwrap();
    let report = task(&state, one, &sample::seen(), known, at(600));
    let mut out = Vec::new();
    draw(&mut out, &report, &Style::plain()).unwrap();
    expected.assert_eq(&String::from_utf8(out).unwrap());
}

#[test]
fn a_task_that_failed_twice() {
    let places = |number| Places {
        log: Some(format!("/s/3.{number}/log").into()),
        worktree: None,
        written: None,
        kept: Some(format!("refs/pleach/kept/3.{number}")),
    };
    let known = Known { places: [(1, places(1)), (2, places(2))].into(), ..Known::default() };
    check(
        3,
        known,
        expect![[r#"
            task 3 lint: failed, timed out
              command   npx eslint --fix src
              asked     2026-05-01 12:00:40 (9m ago)
              how       priority high, group web, at most 1m30s, fold auto
              base      bbbbbbbbbbbb
              target    main
              needed by 4

            attempt 3.1: exit 3, ran 9.0s
              started   2026-05-01 12:00:41
              sandbox   reduced: it could read all that you can
              network   denied example.org:443 (not in [sandbox] network), 2 times
              network   denied evil.example.org:80 (not in [sandbox] network)
              used      3.2s of processor, 45 MiB of memory
              log       /s/3.1/log (3 MiB, 1 MiB from its middle not kept)
              changed   1 file +10 -2
              kept as   refs/pleach/kept/3.1
              summary   12 fixed
              summary   3 left \u{1b}[31m
              leaked    2 processes left running, and killed
              note      setup took 9s

            attempt 3.2: timed out, ran 1m30s
              started   2026-05-01 12:01:00
              log       /s/3.2/log (0 B)

            next
              pleach logs 3      see what it said
              pleach diff 3      see what it left
              pleach restore 3   put that up for review
              pleach retry 3     run it again
        "#]],
    );
}

#[test]
fn a_result_with_its_commits_and_files() {
    let file = |path: &str, insertions, deletions| FileLine {
        path: path.into(),
        change: FileChange::Modified,
        old_path: None,
        insertions,
        deletions,
        binary: false,
    };
    let known = Known {
        files: vec![file("src/a.rs", 9, 2), file("b\u{1b}.rs", 1, 0)],
        commits: vec![CommitLine { id: commit('c'), subject: "fix: all of it \u{1b}[2J".into() }],
        ..Known::default()
    };
    check(
        5,
        known,
        expect![[r#"
            task 5: ready
              command   codemod
              asked     2026-05-01 12:02:50 (7m ago)
              base      bbbbbbbbbbbb
              target    main
              branch    pleach/x

            attempt 5.1: exit 0, ran 5.0s
              started   2026-05-01 12:02:51
              changed   40 files +10 -2

            result of attempt 5.1
              cccccccc fix: all of it \u{1b}[2J
             src/a.rs   | 11 +++++++++--
             "b\033.rs" |  1 +
             2 files changed, 10 insertions(+), 2 deletions(-)

            next
              pleach diff 5      see its change
              pleach merge 5     fold it
              pleach discard 5   throw it away
        "#]],
    );
}

#[test]
fn a_conflict_a_hold_a_block_and_a_running_task() {
    for (id, expected) in [
        (
            6,
            expect![[r#"
                task 6: conflict in src/a b.rs
                  command   sed -i s/a/b/ *
                  asked     2026-05-01 12:03:00 (7m ago)
                  base      bbbbbbbbbbbb
                  target    main
                  branch    pleach/x

                attempt 6.1: exit 0, ran 5.0s
                  started   2026-05-01 12:03:01
                  changed   2 files +10 -2

                conflict with dddddddddddd
                  src/a b.rs  there dddddddd  here cccccccc

                next
                  pleach diff 6                  see its change
                  pleach retry 6 --onto-target   run it again on what its target is now
                  git merge pleach/x             merge it by hand
            "#]],
        ),
        (
            8,
            expect![[r#"
                task 8: held, symbolic link l leads out of the tree, to /etc
                  command   link
                  asked     2026-05-01 12:03:40 (6m ago)
                  base      bbbbbbbbbbbb
                  target    main
                  branch    pleach/x

                attempt 8.1: exit 0, ran 5.0s
                  started   2026-05-01 12:03:41
                  changed   1 file +10 -2

                next
                  pleach merge --accept-flags 8   fold it all the same, after a look at it
            "#]],
        ),
        (
            4,
            expect![[r#"
            task 4: blocked by 3 (timed out)
              command   make report
              asked     2026-05-01 12:02:40 (7m ago)
              base      bbbbbbbbbbbb
              target    main
              needs     3 lint (failed)

            next
              pleach retry 3   run again what it needs
        "#]],
        ),
        (
            13,
            expect![[r#"
                task 13 test: running, 47/89 core::tests
                  command   cargo test --workspace
                  asked     2026-05-01 12:05:10 (4m ago)
                  base      bbbbbbbbbbbb
                  target    main
                  needed by 17

                attempt 13.1: running, for 4m40s
                  started   2026-05-01 12:05:20

                next
                  pleach logs -f 13   follow its output
                  pleach diff 13      see what it changed so far
            "#]],
        ),
        (
            1,
            expect![[r#"
                task 1: folded into main
                  command   cargo fmt
                  asked     2026-05-01 12:00:00 (10m ago)
                  base      bbbbbbbbbbbb
                  target    main

                attempt 1.1: exit 0, ran 5.0s
                  started   2026-05-01 12:00:01
                  changed   3 files +10 -2

                folded into main: dddddddddddd to eeeeeeeeeeee

                next
                  pleach undo 1   take it back
            "#]],
        ),
    ] {
        check(id, Known::default(), expected);
    }
}
