//! The merge queue's planner with verifiers that are held, and released by name: which runs there are at each moment, and
//! all that happened, exactly.

use std::collections::BTreeMap;
use std::fmt::Write;

use expect_test::{Expect, expect};
use pleach::core::planner::Guarantee;

use super::line::{Ids, Line, Step, Terms};

const TWO: Terms = Terms { verifiers: 2, guarantee: Guarantee::Tip, deterministic: false };
const FOUR: Terms = Terms { verifiers: 4, ..TWO };
const SURE: Terms = Terms { deterministic: true, ..TWO };
const EVERY: Terms = Terms { guarantee: Guarantee::Every, ..FOUR };

/// Results `a`, `b` and so on, `c<a` for one that builds on `a`; and what happens: `ab green`, `ab red`, `c leaves`.
/// After each of these, what was done about it, and behind the bar all that runs then.
fn check(terms: Terms, line: &str, happens: &str, picture: Expect) {
    let entries: Vec<&str> = line.split_whitespace().collect();
    let needs: BTreeMap<usize, Ids> = entries
        .iter()
        .filter_map(|entry| entry.split_once('<'))
        .map(|(one, needs)| (id(one), needs.chars().map(|need| id(&need.to_string())).collect()))
        .collect();
    let mut line = Line::new(terms, entries.len(), needs);
    let mut told = String::new();
    tell(&mut line, "", &mut told);
    for event in happens.split(", ").filter(|event| !event.is_empty()) {
        let (ids, what) = event.split_once(' ').unwrap();
        let run = || {
            line.running
                .iter()
                .position(|run| name(&run.ids) == ids)
                .unwrap_or_else(|| panic!("{ids} does not run:\n{told}"))
        };
        match what {
            "green" => line.answer(run(), false),
            "red" => line.answer(run(), true),
            "leaves" => line.leave(id(ids)),
            _ => panic!("what is {event}?"),
        }
        tell(&mut line, event, &mut told);
    }
    picture.assert_eq(&told);
}

fn tell(line: &mut Line, event: &str, told: &mut String) {
    line.turn(|| 0);
    let done = line.history.drain(..).filter(|step| !matches!(step, Step::Green(_) | Step::Red(_) | Step::Clear(_)));
    let done: Vec<String> = done.map(|step| words(&step)).collect();
    let running: Vec<String> = line.running.iter().map(|run| name(&run.ids)).collect();
    let event = if event.is_empty() { String::new() } else { format!("{event}: ") };
    let line = format!("{event}{} | {}", done.join(", "), running.join(" "));
    writeln!(told, "{}", line.trim_end()).unwrap();
}

fn words(step: &Step) -> String {
    match step {
        Step::Start(ids) => format!("start {}", name(ids)),
        Step::Cancel(ids) => format!("cancel {}", name(ids)),
        Step::Green(ids) | Step::Red(ids) | Step::Clear(ids) => name(ids),
        Step::Land(ids) => format!("land {}", name(ids)),
        Step::Evict(id) => format!("evict {}", name(&Ids::from([*id]))),
        Step::Hold(id) => format!("hold {}", name(&Ids::from([*id]))),
    }
}

fn id(name: &str) -> usize {
    usize::from(name.as_bytes()[0] - b'a')
}

fn name(ids: &Ids) -> String {
    ids.iter().map(|id| char::from(b'a' + *id as u8)).collect()
}

#[test]
fn all_green() {
    check(
        TWO,
        "a b c d e",
        "abcde green",
        expect![[r#"
        start abcde | abcde
        abcde green: land abcde |
    "#]],
    );
    check(
        EVERY,
        "a b c d e",
        "abc green, ab green, a green, de green, d green",
        expect![[r#"
        start a, start ab, start abc, start abcd | a ab abc abcd
        abc green: start abcde | a ab abcd abcde
        ab green:  | a abcd abcde
        a green: land abc | d de
        de green:  | d
        d green: land de |
    "#]],
    );
}

#[test]
fn one_culprit_at_the_head() {
    check(
        TWO,
        "a b c d e",
        "abcde red, abc red, a red, bcde green",
        expect![[r#"
        start abcde | abcde
        abcde red: start a, start abc | a abc
        abc red: start acde | a acde
        a red: cancel acde, start bcde, start bcd | bcde bcd
        bcde green: land bcde, cancel bcd, evict a |
    "#]],
    );
    check(
        SURE,
        "a b c d e",
        "abcde red, a red, bcde green",
        expect![[r#"
        start abcde | abcde
        abcde red: start a, start abc | a abc
        a red: evict a, cancel abc, start bcd, start bcde | bcd bcde
        bcde green: land bcde, cancel bcd |
    "#]],
    );
    check(
        EVERY,
        "a b c d e",
        "a red, a red, bcd green, bc green, b green, e green",
        expect![[r#"
        start a, start ab, start abc, start abcd | a ab abc abcd
        a red: cancel ab, cancel abc, cancel abcd, start a, start b, start bc, start bcd | a b bc bcd
        a red: evict a, start bcde | b bc bcd bcde
        bcd green:  | b bc bcde
        bc green:  | b bcde
        b green: land bcd | e
        e green: land e |
    "#]],
    );
}

#[test]
fn one_culprit_in_the_middle() {
    check(
        TWO,
        "a b c d e",
        "abcde red, abc red, a green, cde red, bde green",
        expect![[r#"
        start abcde | abcde
        abcde red: start a, start abc | a abc
        abc red: start acde | a acde
        a green: land a, start bde | cde bde
        cde red: start c | bde c
        bde green: land bde, evict c, cancel c |
    "#]],
    );
    check(
        SURE,
        "a b c d e",
        "abcde red, abc red, a green, cde red, bde green",
        expect![[r#"
        start abcde | abcde
        abcde red: start a, start abc | a abc
        abc red: start acde | a acde
        a green: land a, start bde | cde bde
        cde red: start c | bde c
        bde green: land bde, evict c, cancel c |
    "#]],
    );
    check(
        EVERY,
        "a b c d e",
        "ab red, a green, cd green, c green, b red, e green",
        expect![[r#"
        start a, start ab, start abc, start abcd | a ab abc abcd
        ab red: cancel abc, cancel abcd, start ac, start acd, start acde | a ac acd acde
        a green: land a, start b | c cd cde b
        cd green:  | c cde b
        c green: land cd | e b
        b red: evict b | e
        e green: land e |
    "#]],
    );
}

#[test]
fn two_culprits_at_the_head() {
    check(
        FOUR,
        "a b c d e",
        "abcde red, abc red, ab red, a red, bcde red, b red, cde green",
        expect![[r#"
        start abcde | abcde
        abcde red: start a, start ab, start abc, start abcd | a ab abc abcd
        abc red: cancel abcd, start acde, start bcde | a ab acde bcde
        ab red:  | a acde bcde
        a red: cancel acde, start b | bcde b
        bcde red: start cde, start bde, start bce | b cde bde bce
        b red: cancel bde, cancel bce, start a, start c | cde a c
        cde green: land cde, cancel c, evict b | a
    "#]],
    );
    check(
        SURE,
        "a b c d e",
        "abcde red, a red, bcd red, b red, cde green",
        expect![[r#"
        start abcde | abcde
        abcde red: start a, start abc | a abc
        a red: evict a, cancel abc, start bcd, start bcde | bcd bcde
        bcd red: cancel bcde, start b, start bc | b bc
        b red: evict b, cancel bc, start cd, start cde | cd cde
        cde green: land cde, cancel cd |
    "#]],
    );
}

#[test]
fn a_flake_is_cleared() {
    check(
        TWO,
        "a b c",
        "abc red, ab green, c green",
        expect![[r#"
        start abc | abc
        abc red: start a, start ab | a ab
        ab green: land ab, cancel a, start c | c
        c green: land c |
    "#]],
    );
    check(
        EVERY,
        "a b c d e",
        "ab red, a green, cd green, c green, b green, e green, b green",
        expect![[r#"
        start a, start ab, start abc, start abcd | a ab abc abcd
        ab red: cancel abc, cancel abcd, start ac, start acd, start acde | a ac acd acde
        a green: land a, start b | c cd cde b
        cd green:  | c cde b
        c green: land cd | e b
        b green: start b, start be | e b be
        e green: land e, cancel b | b
        b green: land b |
    "#]],
    );
}

#[test]
fn a_conflict_leaves_the_middle_of_the_line() {
    check(
        TWO,
        "a b c d e",
        "c leaves, abde green",
        expect![[r#"
        start abcde | abcde
        c leaves: cancel abcde, start abde | abde
        abde green: land abde |
    "#]],
    );
    check(
        EVERY,
        "a b c d e",
        "c leaves, ab green, a green, d green, e green",
        expect![[r#"
        start a, start ab, start abc, start abcd | a ab abc abcd
        c leaves: cancel abc, cancel abcd, start abd, start abde | a ab abd abde
        ab green:  | a abd abde
        a green: land ab | d de
        d green: land d | e
        e green: land e |
    "#]],
    );
}

#[test]
fn a_dependent_of_a_culprit_is_held() {
    check(
        SURE,
        "a b<a c d<b",
        "abcd red, a red, c green",
        expect![[r#"
        start abcd | abcd
        abcd red: start a, start ab | a ab
        a red: evict a, cancel ab, hold b, hold d, start c | c
        c green: land c |
    "#]],
    );
    check(
        TWO,
        "a b<a c d<b",
        "abcd red, a red, c green, a red",
        expect![[r#"
        start abcd | abcd
        abcd red: start a, start ab | a ab
        a red: cancel ab, start c, start a | c a
        c green: land c | a
        a red: evict a, hold b, hold d |
    "#]],
    );
}
