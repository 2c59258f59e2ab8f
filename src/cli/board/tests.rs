use expect_test::{Expect, expect};

use super::*;
use crate::core::report::sample::{self, at};
use crate::core::report::{Show, board};
use crate::core::state::State;

fn drawn(style: &Style) -> String {
    let mut out = Vec::new();
    draw(&mut out, &board(&sample::state(), &sample::seen(), at(600), Show::All), style).unwrap();
    String::from_utf8(out).unwrap()
}

fn check(columns: Option<usize>, expected: Expect) {
    let text = drawn(&Style { width: columns, ..Style::plain() });
    for line in text.lines() {
        assert!(columns.is_none_or(|columns| width(line) <= columns), "{line}");
        assert_eq!(line, line.trim_end());
    }
    expected.assert_eq(&text);
}

#[test]
fn in_a_pipe_nothing_is_cut() {
    check(
        None,
        expect![[r#"
        ID  TASK                   STATE       TIME   CHANGE           NOTE
         1  cargo fmt              folded      5.0s   3 files +10 -2   into main
         2  true                   empty       5.0s
         3  lint                   failed      1m30s  1 file +10 -2    timed out
         4  make report            blocked                             by 3 (timed out)
         5  codemod                ready       5.0s   40 files +10 -2
         6  sed -i s/a/b/ *        conflict    5.0s   2 files +10 -2   in src/a b.rs
         7  gen                    held        5.0s   1 file +10 -2    /home/u/r holds edits of its own to gen.rs
         8  link                   held        5.0s   1 file +10 -2    symbolic link l leads out of the tree, to /etc
         9  a                      landing     5.0s   1 file +10 -2    into main
        10  b                      queued      5.0s   1 file +10 -2    turn 2 for main
        11  unwanted               discarded   5.0s   1 file +10 -2
        12  never ran              withdrawn
        13  test                   running     4m40s                   47/89 core::tests
        14  sleep 999              cancelling  4m29s                   zzz \u{1b}[31mred
        15  low                    waiting                             turn 3
        16  high                   waiting                             turn 1
        17  echo 日本語 \u{1b}[2J  waiting                             needs 13
        18  echo last              waiting                             turn 2
        19  cp                     failed      0.0s                    could not start: needs 3 and 5 conflict
        20  big                    ready       5.0s   1 file +10 -2
        2 running, 5 waiting, 8 to look at
    "#]],
    );
}

#[test]
fn on_a_terminal_it_fits() {
    check(
        Some(80),
        expect![[r#"
        ID  TASK                   STATE       TIME   CHANGE           NOTE
         1  cargo fmt              folded      5.0s   3 files +10 -2   into main
         2  true                   empty       5.0s
         3  lint                   failed      1m30s  1 file +10 -2    timed out
         4  make report            blocked                             by 3 (timed out)
         5  codemod                ready       5.0s   40 files +10 -2
         6  sed -i s/a/b/ *        conflict    5.0s   2 files +10 -2   in src/a b.rs
         7  gen                    held        5.0s   1 file +10 -2    /home/u/r holds …
         8  link                   held        5.0s   1 file +10 -2    symbolic link l …
         9  a                      landing     5.0s   1 file +10 -2    into main
        10  b                      queued      5.0s   1 file +10 -2    turn 2 for main
        11  unwanted               discarded   5.0s   1 file +10 -2
        12  never ran              withdrawn
        13  test                   running     4m40s                   47/89 core::tests
        14  sleep 999              cancelling  4m29s                   zzz \u{1b}[31mred
        15  low                    waiting                             turn 3
        16  high                   waiting                             turn 1
        17  echo 日本語 \u{1b}[2J  waiting                             needs 13
        18  echo last              waiting                             turn 2
        19  cp                     failed      0.0s                    could not start:…
        20  big                    ready       5.0s   1 file +10 -2
        2 running, 5 waiting, 8 to look at
    "#]],
    );
    check(
        Some(40),
        expect![[r#"
        ID  TASK          STATE       NOTE
         1  cargo fmt     folded      into main
         2  true          empty
         3  lint          failed      timed out
         4  make report   blocked     by 3 (tim…
         5  codemod       ready
         6  sed -i s/a/…  conflict    in src/a …
         7  gen           held        /home/u/r…
         8  link          held        symbolic …
         9  a             landing     into main
        10  b             queued      turn 2 fo…
        11  unwanted      discarded
        12  never ran     withdrawn
        13  test          running     47/89 cor…
        14  sleep 999     cancelling  zzz \u{1b…
        15  low           waiting     turn 3
        16  high          waiting     turn 1
        17  echo 日本語…  waiting     needs 13
        18  echo last     waiting     turn 2
        19  cp            failed      could not…
        20  big           ready
        2 running, 5 waiting, 8 to look at
    "#]],
    );
    for columns in 1..120 {
        for line in drawn(&Style { width: Some(columns), ..Style::plain() }).lines().skip(1) {
            assert!(columns < 20 || width(line) <= columns, "{columns}: {line}");
        }
    }
}

#[test]
fn colour_adds_nothing_but_colour() {
    let style = Style { color: true, width: Some(80), ..Style::plain() };
    let plain = drawn(&Style { color: false, ..style.clone() });
    let coloured = drawn(&style);
    assert_ne!(coloured, plain);
    assert_eq!(console::strip_ansi_codes(&coloured), plain);
}

#[test]
fn an_empty_board_says_how_to_start() {
    let mut out = Vec::new();
    let mut empty = board(&State::default(), &Default::default(), at(0), Show::Open);
    draw(&mut out, &empty, &Style::plain()).unwrap();
    empty.paused = true;
    empty.hidden = 3;
    draw(&mut out, &empty, &Style::plain()).unwrap();
    expect![[r#"
        no task yet: start one with `pleach run -- COMMAND`
        0 running, 0 waiting; paused: `pleach resume` starts tasks again; 3 more settled: `pleach ls --all`
    "#]]
    .assert_eq(&String::from_utf8(out).unwrap());
}
