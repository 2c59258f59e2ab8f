//! The screen as cells, from pictures and keys alone.
use std::collections::BTreeMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use expect_test::{Expect, expect};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Modifier;

use super::model::{Deed, Effect, Heights, Model, What};
use super::view::{Look, draw};
use crate::core::id::TaskId;
use crate::core::report::sample::{self, at};
use crate::core::report::{Row, Show, Standing, board};
use crate::ops::monitor::{Load, Picture};
use crate::ops::queue::{LineReport, RunReport};

fn picture() -> Picture {
    let board = board(&sample::state(), &sample::seen(), at(600), Show::All);
    let loads = BTreeMap::from([(TaskId(13), Load { cpu: Some(187), memory: 320 << 20 })]);
    Picture { board, lines: Vec::new(), loads, left: BTreeMap::new(), all_left: None }
}

fn model(width: u16, height: u16) -> Model {
    let mut model = Model::new("/home/u/r".to_owned(), (width, height));
    model.see(picture());
    model
}

fn keys(model: &mut Model, keys: &str) -> Option<Effect> {
    let mut last = None;
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '\u{1b}' => KeyCode::Esc,
            c => KeyCode::Char(c),
        };
        last = model.key(KeyEvent::new(code, KeyModifiers::NONE));
    }
    last
}

fn drawn(model: &Model, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame.buffer_mut(), model, Look { color: true })).unwrap();
    terminal.backend().buffer().clone()
}

fn lines(cells: &Buffer) -> Vec<String> {
    let line = |y| {
        let (mut line, mut skip) = (String::new(), 0);
        for x in 0..cells.area.width {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let symbol = cells[(x, y)].symbol();
            skip = crate::cli::style::width(symbol).saturating_sub(1);
            line.push_str(symbol);
        }
        line.trim_end().to_owned()
    };
    (0..cells.area.height).map(line).collect()
}

fn check(model: &Model, width: u16, height: u16, expected: Expect) {
    expected.assert_eq(&(lines(&drawn(model, width, height)).join("\n") + "\n"));
}

#[test]
fn the_board_with_the_log_of_a_task() {
    let mut model = model(100, 30);
    keys(&mut model, "jjjjjjjjjjjj");
    model.log.turn_to(model.wanted_log());
    assert_eq!(model.log.of, Some((TaskId(13), 1)));
    model.log.push(b"\x1b[32mok\x1b[0m one\nplain\n\x1b]0;evil\x07\x1b[2J\xe2\x80\xae\nfound it\n");
    check(
        &model,
        100,
        30,
        expect![[r#"
         pleach  /home/u/r                                             2 running · 5 waiting · 8 to look at
        TASK                 STATE        PROGRESS         TIME   CPU    MEMORY NOTE
        1 cargo fmt          folded                        5.0s                 into main
        2 true               empty                         5.0s
        3 lint               failed     ↑                 1m30s                 timed out
        └ 4 make report      blocked                                            by 3 (timed out)
        5 codemod            ready                         5.0s
        6 sed -i s/a/b/ *    conflict                      5.0s                 in src/a b.rs
        7 gen                held                          5.0s                 /home/u/r holds edits of it…
        8 link               held                          5.0s                 symbolic link l leads out o…
        9 a                  landing                       5.0s                 into main
        10 b                 queued                        5.0s                 turn 2 for main
        11 unwanted          discarded                     5.0s
        12 never ran         withdrawn
        13 test              running      ██░░░ 47/89     4m40s  187%   320 MiB core::tests
        └ 17 echo 日本語 \u… waiting                                            needs 13
        ─ log of 13 test ──────────────────────────────────────────────────────────────────────── follows ──
        ok one
        plain
        \u{1b}]0;evil\u{7}\u{1b}[2J\u{202e}
        found it








        q leave  ? keys  Tab log  / search  d diff  m merge  c cancel  r retry  x discard  p pause  2 queue
    "#]],
    );
    keys(&mut model, "/it\n");
    let cells = drawn(&model, 100, 30);
    let found = lines(&cells);
    let y = found.iter().position(|line| line.starts_with("found it")).unwrap();
    assert!(found.iter().any(|line| line.contains("/it 1 of 1")), "{found:#?}");
    assert_ne!(cells[(6, y as u16)].style(), cells[(0, y as u16)].style(), "a match stands out");
}

#[test]
fn how_long_it_will_take_is_said_where_that_is_known() {
    let mut model = model(100, 24);
    let left = BTreeMap::from([(TaskId(13), 95_000), (TaskId(14), 0)]);
    model.see(Picture { left, all_left: Some(400_000), ..picture() });
    let seen = lines(&drawn(&model, 100, 24)).join("\n");
    assert!(seen.contains("about 7m00s left") && seen.contains(" TIME   LEFT"), "{seen}");
    keys(&mut model, "G");
    let seen = lines(&drawn(&model, 100, 24));
    assert!(seen.iter().any(|line| line.contains("13 test") && line.contains(" 4m40s  1m35s  187%")), "{seen:#?}");
    // Longer than it usually takes.
    assert!(seen.iter().any(|line| line.trim_start().starts_with("14 ") && line.contains(" late")), "{seen:#?}");
}

#[test]
fn a_narrow_screen_leaves_columns_out() {
    check(
        &model(60, 12),
        60,
        12,
        expect![[r#"
         pleach  /home/u/r     2 running · 5 waiting · 8 to look at
        TASK                 STATE          TIME NOTE
        1 cargo fmt          folded         5.0s into main
        2 true               empty          5.0s
        3 lint               failed     ↑  1m30s timed out
        └ 4 make report      blocked             by 3 (timed out)
        5 codemod            ready          5.0s
        ─ log of 1 ────────────────────────────────────── follows ──



        q leave  ? keys  Tab log  / search  d diff  m merge  c canc…
    "#]],
    );
    check(
        &model(24, 8),
        24,
        8,
        expect![[r#"
         pleach  /home/u/r 2 run
        TASK          STATE
        1 cargo fmt   folded
        2 true        empty
        3 lint        failed
        └ 4 make rep… blocked
        5 codemod     ready
        q leave  ? keys  Tab lo…
    "#]],
    );
}

#[test]
fn the_line_of_a_target_as_a_picture() {
    let mut model = model(100, 24);
    let mut picture = picture();
    let row = |id: u64| picture.board.tasks.iter().find(|row| row.id == TaskId(id)).unwrap().clone();
    let entries = vec![row(9), row(10), Row { on_hold: true, state: Standing::Queued, ..row(20) }];
    let (tree, head) = ("e".repeat(40).parse().unwrap(), Some(sample::commit('d')));
    let run = RunReport { run: 12, tasks: vec![TaskId(10)], tree, command: "make test\u{1b}[2J".to_owned() };
    let target = crate::core::id::BranchName("main".to_owned());
    picture.lines =
        vec![LineReport { target, head, entries, runs: vec![run], failure_rate: 0.25, landed: 3, evicted: 1 }];
    model.see(picture);
    keys(&mut model, "2");
    check(
        &model,
        100,
        24,
        expect![[r#"
         pleach  /home/u/r                                             2 running · 5 waiting · 8 to look at
        TASK                      STATE          TIME   CPU    MEMORY NOTE
        1 cargo fmt               folded         5.0s                 into main
        2 true                    empty          5.0s
        3 lint                    failed     ↑  1m30s                 timed out
        └ 4 make report           blocked                             by 3 (timed out)
        5 codemod                 ready          5.0s
        6 sed -i s/a/b/ *         conflict       5.0s                 in src/a b.rs
        7 gen                     held           5.0s                 /home/u/r holds edits of its own to g…
        8 link                    held           5.0s                 symbolic link l leads out of the tree…
        9 a                       landing        5.0s                 into main
        10 b                      queued         5.0s                 turn 2 for main
        11 unwanted               discarded      5.0s
        ─ merge queue ──────────────────────────────────────────────────────────────────────────────────────
        main at dddddddd   3 landed, 1 sent back by its check
         ├─ run 12    10   make test\u{1b}[2J
         ├─ lands     9   into main
         ├─ on hold   20
         ├─ conflict  6   in src/a b.rs
         ├─ held      7   /home/u/r holds edits of its own to gen.rs
         └─ held      8   symbolic link l leads out of the tree, to /etc


        q leave  ? keys  Tab log  / search  d diff  m merge  c cancel  r retry  x discard  p pause  2 queue
    "#]],
    );
}

#[test]
fn the_keys_in_a_box() {
    let mut model = model(100, 24);
    keys(&mut model, "?");
    check(
        &model,
        100,
        24,
        expect![[r#"
         pleach  /home/u/r                                             2 running · 5 waiting · 8 to look at
        TASK                      STATE          TIME   CPU    MEMORY NOTE
        1 cargo fmt               folded         5.0s                 into main
        2 ┌─ keys ──────────────────────────────────────────────────────────────────────────────────────┐
        3 │ j k ↓ ↑    move; Ctrl-D and Ctrl-U half a page, Space and PgUp a page, g and G to the ends  │
        └ │ Enter ← →  hide or show what lies below a plan or a task                                    │
        5 │ a          show settled tasks too, or do not                                                │
        6 │ 1 2        show or hide the log, the merge queue                                            │
        7 │ Tab        go to the pane below and back; there j and k scroll, ← → move sideways           │ g…
        8 │ z          give the pane below the whole screen; Esc takes it back                          │ee…
        9 │ / n N      search in the log; the next match, the one before                                │
        10│ f          follow the log                                                                   │
        11│ d v        show what the task changed; review it hunk by hunk                               │
        ─ │ m          merge: fold the result into its target                                           │ ──
          │ c          cancel                                                                           │
          │ r R        retry; R on what the target is now                                               │
          │ x          discard the result                                                               │
          │ + -        change the priority of a task that waits                                         │
          │ p          pause or resume: whether tasks start                                             │
          │ q          leave; the tasks go on                                                           │
          └─────────────────────────────────────────────────────────────────────────────────────────────┘


        q leave  ? keys  Tab log  / search  d diff  m merge  c cancel  r retry  x discard  p pause  2 queue
    "#]],
    );
    assert_eq!(keys(&mut model, "q"), None, "any key closes it");
    assert_eq!(keys(&mut model, "q"), Some(Effect::Quit));
}

#[test]
fn what_cannot_be_taken_back_at_once_is_asked_for() {
    let mut model = model(100, 24);
    let deed = |what, id| Some(Effect::Do(Deed { what, tasks: vec![TaskId(id)] }));
    assert_eq!(keys(&mut model, "jjjjx"), None);
    assert_eq!(lines(&drawn(&model, 100, 24))[23], "discard 5? y does it, any other key does not");
    assert_eq!(keys(&mut model, "n"), None);
    assert_eq!(keys(&mut model, "xy"), deed(What::Discard, 5));
    assert_eq!(keys(&mut model, "my"), deed(What::Merge, 5));
    assert_eq!(keys(&mut model, "d"), Some(Effect::Diff(TaskId(5))));
    assert_eq!(keys(&mut model, "c"), None);
    assert_eq!(lines(&drawn(&model, 100, 24))[23], "task 5 is ready: there is nothing to cancel");
    assert_eq!(keys(&mut model, "jjjjjjjjcy"), deed(What::Cancel, 13));
    assert_eq!(keys(&mut model, "jjj+"), deed(What::Prioritize(crate::core::task::Priority::Normal), 15));
    assert_eq!(keys(&mut model, "-"), None, "it cannot be lower");
    assert_eq!(keys(&mut model, "p"), Some(Effect::Do(Deed { what: What::Pause, tasks: Vec::new() })));
    assert_eq!(keys(&mut model, "a"), Some(Effect::ShowAll(true)));
}

#[test]
fn what_a_task_needs_is_above_it_and_hides_it() {
    let mut model = model(100, 30);
    let names = |model: &Model| lines(&drawn(model, 40, 30))[2..].to_vec();
    // 4 builds on 3, and 17 on 13.
    assert!(names(&model).iter().any(|line| line.starts_with("└ 4 make report")));
    keys(&mut model, "jj\n");
    assert!(names(&model).iter().any(|line| line.starts_with("3 lint (+1)")), "{:#?}", names(&model));
    assert!(!names(&model).iter().any(|line| line.contains("make report")));
    keys(&mut model, "\n");
    assert!(names(&model).iter().any(|line| line.starts_with("└ 4 make report")));
}

#[test]
fn a_thousand_rows_scroll_and_who_is_stood_on_is_always_seen() {
    let mut model = model(80, 20);
    let mut picture = picture();
    let row = picture.board.tasks[4].clone();
    picture.board.tasks =
        (1..=1000).map(|id| Row { id: TaskId(id), command: format!("job {id}"), ..row.clone() }).collect();
    model.see(picture.clone());
    let seen = |model: &Model| {
        let cells = drawn(model, 80, model_height(model));
        let is_marked = |y: &u16| cells[(0, *y)].style().add_modifier.contains(Modifier::REVERSED);
        let marked: Vec<u16> = (2..cells.area.height).filter(is_marked).collect();
        marked.iter().map(|y| lines(&cells)[usize::from(*y)].clone()).collect::<Vec<_>>()
    };
    for (pressed, id) in [("G", 1000), ("k", 999), ("g", 1), (" ", 9), ("j", 10)] {
        keys(&mut model, pressed);
        assert!(
            matches!(&seen(&model)[..], [line] if line.starts_with(&format!("{id} job {id} "))),
            "{:?}",
            seen(&model)
        );
    }
    keys(&mut model, "G");
    // The screen gets small, and the tasks fewer.
    model.resize((80, 6));
    assert_eq!(seen(&model).len(), 1);
    assert_eq!(model.heights(), Heights { table: 3, pane: 0 });
    picture.board.tasks.truncate(3);
    model.see(picture.clone());
    assert!(seen(&model)[0].starts_with("3 job 3"));
    picture.board.tasks.clear();
    model.see(picture);
    assert_eq!(lines(&drawn(&model, 80, 6))[2], "no task yet: start one with `pleach add -- COMMAND`");
    for size in [(1, 1), (9, 3), (80, 3), (10, 200)] {
        model.resize(size);
        drawn(&model, size.0, size.1);
    }
}

fn model_height(model: &Model) -> u16 {
    let heights = model.heights();
    heights.table + heights.pane + 3
}
