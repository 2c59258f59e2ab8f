use expect_test::{Expect, expect};

use super::*;

/// Results `a`, `b` and so on, `c<a` for one that builds on `a`; then what is known of them: `green ab`, `red abc`,
/// `running a`, `verifiers 4`, `rate 0.2`, `every`, `sure`.
fn question(line: &str, known: &str) -> Question {
    let needs = |entry: &str| entry.split_once('<').map_or(Probe::default(), |(_, needs)| probe(needs));
    let line = line.split_whitespace().map(needs).collect();
    let mut question = Question { line, verifiers: 1, failure_rate: 0.03, ..Question::default() };
    for fact in known.split(", ").filter(|fact| !fact.is_empty()) {
        match fact.split_once(' ').unwrap_or((fact, "")) {
            ("green", ids) => question.green.push(probe(ids)),
            ("red", ids) => question.red.push(probe(ids)),
            ("running", ids) => question.running.push(probe(ids)),
            ("verifiers", count) => question.verifiers = count.parse().expect("a number"),
            ("rate", rate) => question.failure_rate = rate.parse().expect("a number"),
            ("every", _) => question.guarantee = Guarantee::Every,
            ("sure", _) => question.deterministic = true,
            _ => panic!("what is {fact}?"),
        }
    }
    question
}

fn probe(ids: &str) -> Probe {
    Probe::of(ids.bytes().map(|id| usize::from(id - b'a')))
}

fn name(probe: Probe) -> String {
    probe.places().map(|place| char::from(b'a' + place as u8)).collect()
}

fn check(line: &str, known: &str, picture: Expect) {
    let answer = plan(&question(line, known));
    let each =
        |what: &'static str, probes: Vec<Probe>| probes.into_iter().map(move |probe| format!("{what} {}", name(probe)));
    let evict = answer.evict.into_iter().map(|place| Probe::of([place])).collect();
    let parts = each("land", answer.land.into_iter().collect()).chain(each("evict", evict));
    let parts = parts.chain(each("cancel", answer.cancel)).chain(each("start", answer.start));
    picture.assert_eq(&parts.collect::<Vec<_>>().join(", "));
}

#[test]
fn a_new_line_is_cut_where_green_is_as_likely_as_red() {
    check("", "", expect![]);
    check("a b c d e f g h", "", expect!["start abcdefgh"]);
    check("a b c d e f g h", "rate 0.2", expect!["start abc"]);
    check("a b c d e f g h", "rate 0.5", expect!["start a"]);
    check("a b c d e f g h", "rate 0.1, verifiers 3", expect!["start abc, start abcdefg, start abcdefgh"]);
}

#[test]
fn a_red_run_is_halved() {
    check("a b c d e f g h", "red abcdefgh", expect!["start abcd"]);
    check("a b c d e f g h", "red abcdefgh, red abcd", expect!["start ab"]);
    check("a b c d e f g h", "red abc, running a", expect![]);
    check("a b<a c", "red abc", expect!["start a"]);
}

#[test]
fn spare_verifiers_do_without_the_culprit() {
    check("a b c d e f g h", "red ab, verifiers 4", expect!["start a, start bcdefgh, start acdefgh"]);
    check("a b c d e f g h", "red ab, verifiers 4, running a", expect!["start bcdefgh, start acdefgh"]);
}

#[test]
fn they_stand_idle_where_a_run_would_tell_nothing() {
    check("a b", "verifiers 8", expect!["start ab"]);
    check("a b c d", "verifiers 8, running abcd", expect![]);
}

#[test]
fn the_most_lands_with_all_that_it_builds_on() {
    check("a b c", "green a, green ab", expect!["land ab"]);
    check("a b c", "green ac, green ab, green b", expect!["land ab"]);
    check("a b<a c", "green b", expect!["start abc"]);
    check("a b c", "every, green ab", expect!["start a"]);
    check("a b c", "every, green ab, green a", expect!["land ab"]);
    check("a b c", "every, green b, green ab", expect!["land b"]);
}

#[test]
fn it_takes_two_red_runs_to_send_one_back() {
    check("a b c", "red a", expect!["start a"]);
    check("a b c", "red a, red a", expect!["evict a"]);
    check("a b c", "red a, sure", expect!["evict a"]);
    // When the others are in, the longer run has said it.
    check("a b c", "red a, red abc", expect!["start bc"]);
    check("a", "red a", expect!["start a"]);
}

#[test]
fn what_holds_a_red_one_is_stopped() {
    check("a b c d", "red ab, running abc, running a, running cd, verifiers 3", expect!["cancel abc, start bcd"]);
    check("a b c", "red a, running a, running ab, verifiers 2", expect!["cancel ab, start bc"]);
}

#[test]
fn what_builds_on_a_suspect_waits() {
    check("a b<a c d<b", "red a, verifiers 2", expect!["start a, start c"]);
    check("a b<a c d<b", "red a, red a", expect!["evict a"]);
}

#[test]
fn many_verifiers_follow_what_most_often_happens_where_much_is_bad() {
    check("a b c d e", "rate 0.3, verifiers 4", expect!["start a, start ab, start abc, start b"]);
    check(
        "a b<a c<b d e",
        "rate 0.6, verifiers 8",
        expect!["start a, start d, start e, start ab, start de, start ad, start abc"],
    );
}

#[test]
fn the_stronger_promise_verifies_one_by_one() {
    check("a b c", "every, verifiers 2", expect!["start a, start ab"]);
    check("a b c d", "every, red ab, verifiers 4", expect!["start a, start ac, start acd"]);
    check("a b c d", "every, red b, verifiers 2", expect!["start b, start a"]);
}

#[test]
fn the_failure_rate_is_learnt() {
    let rate = |landed, evicted, red: &[&str]| {
        let red: Vec<Probe> = red.iter().map(|ids| probe(ids)).collect();
        format!("{:.3}", failure_rate(landed, evicted, &red))
    };
    expect!["0.030"].assert_eq(&rate(0, 0, &[]));
    expect!["0.003"].assert_eq(&rate(100, 0, &[]));
    expect!["0.343"].assert_eq(&rate(10, 10, &[]));
    // Two of these three have nothing in common.
    expect!["0.164"].assert_eq(&rate(0, 0, &["abcd", "ab", "c"]));
}
