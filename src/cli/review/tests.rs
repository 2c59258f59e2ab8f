//! The screen as cells, from results and keys alone.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use expect_test::{Expect, expect};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

use super::dress::Dresser;
use super::model::{Effect, Mode, Model};
use super::rows::Row;
use super::view::draw;
use crate::cli::monitor::view::Look;
use crate::core::hunk::{self, Hunk};
use crate::core::id::TaskId;
use crate::core::report::FileChange;
use crate::core::review::{Choice, FileSheet, HunkSheet, MODE, Sheet, Verdict};

fn file(path: &str, old: &str, new: &str) -> FileSheet {
    let hunks = hunk::cut(old.as_bytes(), new.as_bytes());
    let counts = hunks.iter().map(Hunk::counts).fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    let change = if old.is_empty() { FileChange::Added } else { FileChange::Modified };
    FileSheet {
        insertions: counts.0,
        deletions: counts.1,
        hunks: hunks.iter().map(HunkSheet::from).collect(),
        ..FileSheet::new(path.into(), change)
    }
}

fn sheet(files: Vec<FileSheet>) -> Sheet {
    let head = r#"{"task": 7, "target": "main", "summary": "all of it", "flags": ["it holds a secret"]}"#;
    Sheet { files, ..serde_json::from_str(head).unwrap() }
}

fn result() -> Sheet {
    let old: String = (1..=30).map(|n| format!("let line_{n} = {n};\n")).collect();
    let new = old.replace("line_2 = 2;", "line_2 = two;").replace("line_28 = 28", "line_28 = \"28\"");
    let ci = FileSheet {
        look_first: Some("a CI service runs it".to_owned()),
        ..file(".github/workflows/ci.yml", "x\n", "x\ny\n")
    };
    let renamed = FileSheet {
        change: Some(FileChange::Renamed),
        old_path: Some("src/old.rs".into()),
        old_mode: Some("100644".to_owned()),
        new_mode: Some("100755".to_owned()),
        ..file("src/new.rs", &old, &new)
    };
    let mode = HunkSheet { id: MODE.to_owned(), verdict: None, lines: Vec::new() };
    let renamed = FileSheet { hunks: [vec![mode], renamed.hunks.clone()].concat(), ..renamed };
    let binary = FileSheet {
        unread: Some("it is no text: 2 bytes before, 3 after".to_owned()),
        ..FileSheet::new("logo.png".into(), FileChange::Modified)
    };
    sheet(vec![ci, file("src/lib.rs", &old, &new), renamed, binary])
}

fn model(width: u16, height: u16) -> Model {
    let mut model =
        Model::new(vec![(TaskId(7), "lint".to_owned()), (TaskId(9), "codemod \u{202e}x".to_owned())], (width, height));
    assert_eq!(model.wants(), Some(0));
    model.take(0, Ok(result()));
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

fn drawn(model: &Model, dresser: &mut Dresser) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(model.size.0, model.size.1)).unwrap();
    terminal.draw(|frame| draw(frame.buffer_mut(), model, dresser, Look { color: true })).unwrap();
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

fn check(model: &Model, expected: Expect) {
    expected.assert_eq(&(lines(&drawn(model, &mut Dresser::plain())).join("\n") + "\n"));
}

#[test]
fn a_result_with_what_is_said_of_it() {
    let mut model = model(100, 20);
    check(
        &model,
        expect![[r#"
         review   7 lint  9 codemod \u{202e}x                                                        1 of 2
         task 7 · 4 files +5 -4 · for main
         flagged: it holds a secret
         it says: all of it
        ─   M .github/workflows/ci.yml ─────────────────────────────────────────────── file 1 of 4 · +1 -0 ─
        look at these first      │ look at it first: a CI service runs it
          M …hub/workflows/ci.yml│  @@ -1,1 +1,2 @@ hunk 1 of 1
            a CI service runs it │    1  x
        src/                     │    2+ y
          M lib.rs               │
          R new.rs               │
        ./                       │
          M logo.png             │
                                 │
                                 │
                                 │
                                 │
                                 │
                                 │
        q leave  ? keys  a accept  x refuse  n p hunk  ] file  > result  t whole  c comment  s split  w car…
    "#]],
    );
    keys(&mut model, "]xjjjcwhy two?\n");
    check(
        &model,
        expect![[r#"
         review  ✓7 lint  9 codemod \u{202e}x                                                        1 of 2
         task 7 · 4 files +5 -4 · for main · accepted in part
         flagged: it holds a secret
         it says: all of it
        ─ ~ M src/lib.rs ───────────────────────────────────────────────────────────── file 2 of 4 · +2 -2 ─
        look at these first      │    1  let line_1 = 1;
          M …hub/workflows/ci.yml│    2- let line_2 = 2;
            a CI service runs it │    2+ let line_2 = two;
        src/                     │    3  let line_3 = 3;
        ~ M lib.rs *             │    4  let line_4 = 4;
          R new.rs               │    5  let line_5 = 5;
        ./                       │  @@ -25,6 +25,6 @@ hunk 2 of 2
          M logo.png             │   25  let line_25 = 25;
                                 │   26  let line_26 = 26;
                                 │   27  let line_27 = 27;
                                 │  ▌line 27: why two?
                                 │   28- let line_28 = 28;
                                 │   28+ let line_28 = "28";
                                 │   29  let line_29 = 29;
        q leave  ? keys  a accept  x refuse  n p hunk  ] file  > result  t whole  c comment  s split  w car…
    "#]],
    );
    keys(&mut model, "s");
    check(
        &model,
        expect![[r#"
         review  ✓7 lint  9 codemod \u{202e}x                                                        1 of 2
         task 7 · 4 files +5 -4 · for main · accepted in part
         flagged: it holds a secret
         it says: all of it
        ─ ~ M src/lib.rs ───────────────────────────────────────────────────────────── file 2 of 4 · +2 -2 ─
        look at these first      │✗ @@ -1,5 +1,5 @@ hunk 1 of 2  refused
          M …hub/workflows/ci.yml│    1  let line_1 = 1;                   1  let line_1 = 1;
            a CI service runs it │    2- let line_2 = 2;                   2+ let line_2 = two;
        src/                     │    3  let line_3 = 3;                   3  let line_3 = 3;
        ~ M lib.rs *             │    4  let line_4 = 4;                   4  let line_4 = 4;
          R new.rs               │    5  let line_5 = 5;                   5  let line_5 = 5;
        ./                       │  @@ -25,6 +25,6 @@ hunk 2 of 2
          M logo.png             │   25  let line_25 = 25;                25  let line_25 = 25;
                                 │   26  let line_26 = 26;                26  let line_26 = 26;
                                 │   27  let line_27 = 27;                27  let line_27 = 27;
                                 │  ▌line 27: why two?
                                 │   28- let line_28 = 28;                28+ let line_28 = "28";
                                 │   29  let line_29 = 29;                29  let line_29 = 29;
                                 │   30  let line_30 = 30;                30  let line_30 = 30;
        q leave  ? keys  a accept  x refuse  n p hunk  ] file  > result  t whole  c comment  s split  w car…
    "#]],
    );
}

#[test]
fn names_modes_and_what_nobody_can_read() {
    let mut model = model(90, 18);
    keys(&mut model, "]]");
    check(
        &model,
        expect![[r#"
         review   7 lint  9 codemod \u{202e}x                                              1 of 2
         task 7 · 4 files +5 -4 · for main
         flagged: it holds a secret
         it says: all of it
        ─   R src/old.rs -> src/new.rs ───────────────────────────────────── file 3 of 4 · +2 -2 ─
        look at these first   │ renamed from src/old.rs
          M …/workflows/ci.yml│  @@ mode @@ hunk 1 of 3
            a CI service runs…│ mode 100644 -> 100755
        src/                  │  @@ -1,5 +1,5 @@ hunk 2 of 3
          M lib.rs            │    1  let line_1 = 1;
          R new.rs            │    2- let line_2 = 2;
        ./                    │    2+ let line_2 = two;
          M logo.png          │    3  let line_3 = 3;
                              │    4  let line_4 = 4;
                              │    5  let line_5 = 5;
                              │  @@ -25,6 +25,6 @@ hunk 3 of 3
                              │   25  let line_25 = 25;
        q leave  ? keys  a accept  x refuse  n p hunk  ] file  > result  t whole  c comment  s sp…
    "#]],
    );
    keys(&mut model, "]");
    check(
        &model,
        expect![[r#"
         review   7 lint  9 codemod \u{202e}x                                              1 of 2
         task 7 · 4 files +5 -4 · for main
         flagged: it holds a secret
         it says: all of it
        ─   M logo.png ───────────────────────────────────────────────────── file 4 of 4 · +0 -0 ─
        look at these first   │ it is no text: 2 bytes before, 3 after
          M …/workflows/ci.yml│
            a CI service runs…│
        src/                  │
          M lib.rs            │
          R new.rs            │
        ./                    │
          M logo.png          │
                              │
                              │
                              │
                              │
        q leave  ? keys  a accept  x refuse  n p hunk  ] file  > result  t whole  c comment  s sp…
    "#]],
    );
    keys(&mut model, "?");
    check(
        &model,
        expect![[r#"
        ┌─ keys ─────────────────────────────────────────────────────────────────────────────────┐
        │ j k ↓ ↑    move; Ctrl-D and Ctrl-U half a page, PgDn and PgUp a page, g and G to the en│
        │ h l ← →    move sideways                                                               │
        │ n p        the next hunk, the one before                                               │
        │ Tab ] [    the next file, the one before                                               │
        │ > < 1..9   the next result, the one before, that one                                   │
        │ a x        accept or refuse the hunk, and go to the next                               │
        │ Space      accept or refuse the hunk, in turn                                          │
        │ A X        accept or refuse the file, and go to the next                               │
        │ u U        take back what was said of the hunk, of the file                            │
        │ t          the whole result: accept, refuse or send it back                            │
        │ c d        comment on the line, or change the comment; delete it                       │
        │ C          comment on the whole result                                                 │
        │ e          what was said of the result, as JSON in $EDITOR                             │
        │ s f        side by side or not; the list of files or not                               │
        │ / . ,      search; the next match, the one before                                      │
        │ w Enter    carry out what was said, after a summary                                    │
        └────────────────────────────────────────────────────────────────────────────────────────┘
    "#]],
    );
}

#[test]
fn words_that_changed_and_the_language_are_marked() {
    let mut model = model(100, 24);
    keys(&mut model, "]");
    let cells = drawn(&model, &mut Dresser::loaded());
    let all = lines(&cells);
    let y = all.iter().position(|line| line.contains("line_2 = two")).unwrap();
    let x = |words: &str| all[y].chars().collect::<String>().split(words).next().unwrap().chars().count() as u16;
    let (word, keyword, name) =
        (&cells[(x("two"), y as u16)], &cells[(x("let"), y as u16)], &cells[(x("line_2"), y as u16)]);
    assert!(word.modifier.contains(Modifier::REVERSED) && word.fg == Color::Green, "{word:?}");
    assert_eq!((keyword.fg, name.fg), (Color::Magenta, Color::Green));
    assert!(!name.modifier.contains(Modifier::REVERSED));
    // Without grammars it is the same, but for the colours.
    assert_eq!(lines(&drawn(&model, &mut Dresser::plain())), all);
}

#[test]
fn pieces_are_judged_and_the_view_goes_on() {
    let mut model = model(100, 24);
    keys(&mut model, "aax");
    assert_eq!(model.place(), 2, "it went on over the ends of files");
    let sheet = model.sheet().unwrap();
    assert_eq!(sheet.files[0].verdict, None);
    assert_eq!(sheet.files[0].hunks[0].verdict, Some(Choice::Accept));
    assert_eq!(sheet.files[1].hunks[1].verdict, Some(Choice::Refuse));
    assert_eq!(sheet.verdict, Some(Verdict::Accept));
    assert_eq!(std::mem::take(&mut model.unkept).into_iter().collect::<Vec<_>>(), [0]);
    keys(&mut model, "w");
    assert_eq!(model.mode, Mode::Others);
    keys(&mut model, "\u{1b}XX");
    assert!(model.message.as_ref().unwrap().text.contains("the last one"));
    keys(&mut model, "w");
    assert_eq!((model.mode.clone(), model.summary()), (Mode::Ask, (0, "1 accepted (1 in part)".to_owned())));
    assert_eq!(keys(&mut model, "n"), None);
    assert_eq!(keys(&mut model, "wy"), Some(Effect::CarryOut));
    // Nothing is left of it: then the whole is refused.
    keys(&mut model, "[[[XXXX");
    assert_eq!(model.summary().1, "1 refused");
    keys(&mut model, "tu");
    assert!(model.sheet().unwrap().is_mute());
    keys(&mut model, "w");
    assert!(model.message.as_ref().unwrap().is_bad && model.mode == Mode::Browse);
}

#[test]
fn results_are_read_when_they_are_shown_and_sent_back_with_a_word() {
    let mut model = model(100, 24);
    keys(&mut model, "tb");
    assert!(matches!(model.mode, Mode::Say(..)));
    keys(&mut model, "once more\n");
    assert_eq!(model.sheet().unwrap().verdict, Some(Verdict::SendBack));
    keys(&mut model, ">");
    assert_eq!(model.wants(), Some(1));
    model.take(1, Err("task 9 is folded\u{1b} already".to_owned()));
    assert_eq!(model.wants(), None);
    // No key does anything to a result that is not there.
    keys(&mut model, "jknpaxAXuUcCdest.,ww[]\tgG/x\n");
    assert!(lines(&drawn(&model, &mut Dresser::plain()))[1].contains("folded\\u{1b} already"));
    keys(&mut model, "<w");
    assert_eq!(model.summary().1, "1 sent back");
}

#[test]
fn comments_are_changed_and_deleted() {
    let mut model = model(100, 24);
    keys(&mut model, "]jjjcone\n");
    let comment = model.sheet().unwrap().comments[0].clone();
    assert_eq!((comment.path, comment.line, &*comment.text), ("src/lib.rs".into(), Some(2), "one"));
    let at = model.rows.all.iter().position(|row| matches!(row, Row::Comment { .. })).unwrap();
    model.to(at);
    keys(&mut model, "c!\n");
    assert_eq!(model.sheet().unwrap().comments[0].text, "one!");
    keys(&mut model, "ccx\u{1b}d");
    assert!(model.sheet().unwrap().comments.is_empty());
    keys(&mut model, "d");
    assert!(model.message.as_ref().unwrap().is_bad);
    model.mode = Mode::Browse;
    keys(&mut model, "gc");
    model.paste("pasted\r\ntwice\x1b[2J");
    keys(&mut model, "\n");
    assert_eq!(model.sheet().unwrap().comments[0].text, "pasted\ntwice\u{1b}[2J");
    keys(&mut model, "g");
    let screen = lines(&drawn(&model, &mut Dresser::plain())).join("\n");
    assert!(screen.contains("twice\\u{1b}[2J") && !screen.contains('\u{1b}'), "{screen}");
}

#[test]
fn a_search_goes_over_the_files() {
    let mut model = model(100, 24);
    keys(&mut model, "/LINE_28 = \"\n");
    assert!(model.message.as_ref().unwrap().text.starts_with("not found"));
    keys(&mut model, "/line_28 = \"\n");
    assert_eq!(model.place(), 1);
    let first = model.cursor();
    keys(&mut model, ".");
    assert_eq!(model.place(), 2);
    keys(&mut model, ",");
    assert_eq!((model.place(), model.cursor()), (1, first));
    let cells = drawn(&model, &mut Dresser::plain());
    assert!(cells.content().iter().any(|cell| cell.bg == Color::Yellow));
}

#[test]
fn many_files_and_long_ones_are_drawn_at_once() {
    let hostile = file("a\u{1b}[2J\nb", "", "\u{1b}]0;x\u{7}\u{202e}日本\u{301}\u{200b}\tx\r\n");
    let long = file("long", "", &"y".repeat(1 << 20));
    let mut files = vec![hostile, long];
    let line = || HunkSheet { id: "-0,0 +1,1".to_owned(), verdict: None, lines: vec![hunk::Line::default()] };
    files.extend((0..10_000).map(|n| FileSheet {
        hunks: vec![line()],
        ..FileSheet::new(format!("d{}/f{n}", n / 100).into(), FileChange::Added)
    }));
    let huge =
        HunkSheet { id: "-0,0 +1,1000000".to_owned(), verdict: None, lines: vec![hunk::Line::default(); 1_000_000] };
    files.push(FileSheet { hunks: vec![huge], ..FileSheet::new("z/huge".into(), FileChange::Added) });
    let mut model = Model::new(vec![(TaskId(1), "x".to_owned())], (100, 30));
    model.take(0, Ok(sheet(files)));
    let mut dresser = Dresser::plain();
    let first = lines(&drawn(&model, &mut dresser)).join("\n");
    assert!(first.contains("\\u{1b}]0;x\\u{7}\\u{202e}日本") && first.contains("a\\u{1b}[2J\\nb"), "{first}");
    // The processor of this thread, not the clock: others may keep the machine busy.
    let spent = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let before = spent();
    for _ in 0..20 {
        keys(&mut model, "]xlw\u{1b}");
        drawn(&model, &mut dresser);
    }
    // Far more than it needs, and far less than if all files were drawn.
    let after = spent();
    let each = ((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1_000_000) / 20;
    println!("five keys and a drawing of 10,000 files: {each} ms of processor");
    assert!(each < 400, "{each} ms");
    assert!(model.go_to_file(10_002));
    keys(&mut model, "G");
    assert!(lines(&drawn(&model, &mut dresser)).join("\n").contains("950000 lines more of this hunk"));
}

#[test]
fn any_size_and_any_key_are_harmless() {
    for (width, height) in [(1, 1), (20, 6), (21, 7), (69, 8), (70, 9), (300, 5), (300, 90)] {
        let mut model = model(width, height);
        let mut dresser = Dresser::plain();
        for key in "jnp]]s\tGggkklhl?jwyq/x\n..,,fs]]]axAXuU t\u{1b}cxyz\n dC1\ncC\u{1b}cd<>12wn".chars() {
            keys(&mut model, &key.to_string());
            drawn(&model, &mut dresser);
        }
    }
}
