use super::*;
use crate::core::report::sample::{self, at};

#[test]
fn why_each_task_stands_where_it_does() {
    let state = sample::state();
    let board = board(&state, &sample::seen(), at(600), Show::All);
    let lines = board.tasks.iter().map(|row| format!("{} {}: {}\n", row.id, row.state, row.why)).collect::<String>();
    expect_test::expect![[r#"
        1 folded: into main
        2 empty: 
        3 failed: timed out
        4 blocked: by 3 (timed out)
        5 ready: 
        6 conflict: in src/a b.rs
        7 held: /home/u/r holds edits of its own to gen.rs
        8 held: symbolic link l leads out of the tree, to /etc
        9 landing: into main
        10 queued: turn 2 for main
        11 discarded: 
        12 withdrawn: 
        13 running: 
        14 cancelling: 
        15 waiting: turn 3
        16 waiting: turn 1
        17 waiting: needs 13
        18 waiting: turn 2
        19 failed: could not start: needs 3 and 5 conflict
        20 ready: 
    "#]]
    .assert_eq(&lines);
    assert_eq!((board.running, board.waiting, board.hidden), (2, 5, 0));
}

#[test]
fn an_open_board_hides_all_settled_tasks_but_the_last_ten() {
    let mut state = sample::state();
    let first = state.next_task().0;
    for id in first..first + 15 {
        sample::run(&mut state, id, 1000 + id as i64, "true", 0, None);
    }
    let open = board(&state, &Default::default(), at(5000), Show::Open);
    let all = board(&state, &Default::default(), at(5000), Show::All);
    assert_eq!(open.tasks.len() + open.hidden, all.tasks.len());
    let settled = |board: &Board| board.tasks.iter().filter(|row| row.state == Standing::Empty).count();
    assert_eq!((settled(&open), settled(&all)), (10, 16));
    let open_ids: Vec<_> = open.tasks.iter().map(|row| row.id.0).filter(|id| *id >= first).collect();
    assert_eq!(open_ids, (first + 5..first + 15).collect::<Vec<_>>());
}

#[test]
fn the_json_of_a_board_and_of_a_task_is_stable_and_reads_back() {
    let state = sample::state();
    let one = state.task(TaskId(3)).unwrap();
    let report = task(&state, one, &Default::default(), Known::default(), at(600));
    let json = serde_json::to_string_pretty(&report).unwrap();
    assert_eq!(serde_json::from_str::<TaskReport>(&json).unwrap(), report);
    expect_test::expect![[r#"
        {
          "schema": 1,
          "at": "2026-05-01T12:10:00Z",
          "id": 3,
          "name": "lint",
          "command": "npx eslint --fix src",
          "state": "failed",
          "why": "timed out",
          "outcome": {
            "how": "timed_out"
          },
          "attempt": 2,
          "submitted": "2026-05-01T12:00:40Z",
          "started": "2026-05-01T12:01:00Z",
          "duration_ms": 90000,
          "files": 1,
          "insertions": 10,
          "deletions": 2,
          "commits": 2,
          "target": "main",
          "priority": "high",
          "group": "web",
          "fold": "auto",
          "timeout": 90,
          "base": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
          "attempts": [
            {
              "id": "3.1",
              "outcome": {
                "how": "exited",
                "code": 3
              },
              "base": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
              "tip": "cccccccccccccccccccccccccccccccccccccccc",
              "started": "2026-05-01T12:00:41Z",
              "ended": "2026-05-01T12:00:50Z",
              "duration_ms": 9000,
              "cpu_ms": 3200,
              "max_rss_kb": 46080,
              "log_bytes": 3145728,
              "log_dropped": 1048576,
              "leaked": 2,
              "sandbox": "reduced",
              "network": {
                "connections": 2,
                "sent": 1400,
                "received": 90210,
                "denied": [
                  {
                    "to": "example.org:443",
                    "why": "not_listed",
                    "times": 2
                  },
                  {
                    "to": "evil.example.org:80",
                    "why": "not_listed",
                    "times": 1
                  }
                ]
              },
              "commits": 2,
              "files": 1,
              "insertions": 10,
              "deletions": 2,
              "summary": "12 fixed\n3 left \u001b[31m",
              "notes": [
                "setup took 9s"
              ]
            },
            {
              "id": "3.2",
              "outcome": {
                "how": "timed_out"
              },
              "base": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
              "started": "2026-05-01T12:01:00Z",
              "ended": "2026-05-01T12:02:30Z",
              "duration_ms": 90000,
              "cpu_ms": 0,
              "max_rss_kb": 0,
              "log_bytes": 0,
              "log_dropped": 0,
              "leaked": 0,
              "commits": 0,
              "files": 0,
              "insertions": 0,
              "deletions": 0
            }
          ],
          "result": 1,
          "needed_by": [
            4
          ],
          "hints": [
            {
              "to": "see what it said",
              "command": "pleach logs 3"
            },
            {
              "to": "see what it left",
              "command": "pleach diff 3"
            },
            {
              "to": "put that up for review",
              "command": "pleach restore 3"
            },
            {
              "to": "run it again",
              "command": "pleach retry 3"
            }
          ]
        }"#]]
    .assert_eq(&json);
    let board = board(&state, &sample::seen(), at(600), Show::All);
    let json = serde_json::to_string(&board).unwrap();
    assert_eq!(serde_json::from_str::<Board>(&json).unwrap(), board);
}

#[test]
fn no_task_is_ever_done() {
    let state = sample::state();
    for one in state.tasks() {
        let report = task(&state, one, &Default::default(), Known::default(), at(600));
        let json = serde_json::to_string(&report).unwrap();
        assert!(!json.contains("\"done"), "{json}");
    }
}

#[test]
fn hints_are_commands_for_this_very_task() {
    let state = sample::state();
    let hints = |id| {
        let one = state.task(TaskId(id)).unwrap();
        let report = task(&state, one, &Default::default(), Known::default(), at(600));
        report.hints.into_iter().map(|hint| format!("{}  # {}\n", hint.command, hint.to)).collect::<String>()
    };
    let all = (1..state.next_task().0).map(|id| format!("{id}\n{}", hints(id))).collect::<String>();
    expect_test::expect![[r#"
        1
        pleach undo 1  # take it back
        2
        3
        pleach logs 3  # see what it said
        pleach diff 3  # see what it left
        pleach restore 3  # put that up for review
        pleach retry 3  # run it again
        4
        pleach retry 3  # run again what it needs
        5
        pleach diff 5  # see its change
        pleach merge 5  # fold it
        pleach discard 5  # throw it away
        6
        pleach diff 6  # see its change
        pleach retry 6 --onto-target  # run it again on what its target is now
        git merge pleach/x  # merge it by hand
        7
        pleach merge 7  # fold it, once those edits are committed or moved away
        8
        pleach merge --accept-flags 8  # fold it all the same, after a look at it
        9
        10
        11
        pleach restore 11  # get it back
        12
        pleach retry 12  # run it after all
        13
        pleach logs -f 13  # follow its output
        pleach diff 13  # see what it changed so far
        14
        pleach logs -f 14  # follow its output
        pleach diff 14  # see what it changed so far
        15
        16
        17
        18
        19
        pleach retry 19  # run it again
        20
        pleach diff 20  # see its change
        pleach merge 20  # fold it
        pleach discard 20  # throw it away
    "#]]
    .assert_eq(&all);
}

#[test]
fn a_long_history_costs_little() {
    let mut state = State::default();
    for id in 1..=10_000 {
        sample::run(&mut state, id, id as i64, "true", i32::from(id % 10 == 0), Some(1));
    }
    #[expect(clippy::disallowed_methods, reason = "a test of the time that it takes")]
    let started = std::time::Instant::now();
    let all = board(&state, &Default::default(), at(20_000), Show::All);
    assert_eq!(all.tasks.len(), 10_000);
    // A hundred times what it takes: this is here to catch what is quadratic.
    assert!(started.elapsed().as_secs() < 2, "{:?}", started.elapsed());
}
