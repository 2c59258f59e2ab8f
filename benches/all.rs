//! All that is measured, as one command and one table: each figure beside its baseline of the same run.
//!
//! `cargo bench --bench all` is small enough for CI, by hand; `-- --full` is the whole, `-- --json` prints JSON, and `-- places scale` runs
//! these alone. Each bench is a program of its own, one after the other, so that none warms another.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a bench is its own user"
)]

use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// Those that compare with what others do. How the merge queue and the replay behave is measured by themselves.
const BENCHES: [&str; 5] = ["places", "main_job", "scale", "landing", "sandbox"];

fn main() {
    let flags: Vec<String> = std::env::args().skip(1).filter(|flag| flag != "--bench").collect();
    let has = |flag: &str| flags.iter().any(|given| given == flag);
    let named: Vec<&str> = BENCHES.into_iter().filter(|name| has(name)).collect();
    let mut rows = Vec::new();
    for bench in if named.is_empty() { BENCHES.to_vec() } else { named } {
        eprintln!("{bench}");
        rows.extend(run(bench, has("--full")));
    }
    if has("--json") {
        println!("{}", json!({ "full": has("--full"), "rows": rows }));
        return;
    }
    println!("{:<9} {:<66} {:>12} {:>12} {:>7}  goal; baseline", "bench", "what", "pleach", "baseline", "ratio");
    for row in &rows {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let figure =
            |key: &str| row[key].as_f64().map(|value| format!("{value:.1} {}", text("unit"))).unwrap_or_default();
        let ratio = row["ratio"].as_f64().map(|ratio| format!("{ratio:.1}x")).unwrap_or_default();
        let (ours, theirs) = (figure("ours"), figure("theirs"));
        let (goal, name) = (text("goal"), text("baseline"));
        println!("{:<9} {:<66} {ours:>12} {theirs:>12} {ratio:>7}  {goal}; {name}", text("bench"), text("what"));
    }
}

/// What one of them found. One that cannot run here (no `bwrap`, no `strace`) says so itself, and the others go on.
fn run(bench: &str, full: bool) -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(["bench", "--quiet", "--bench", bench, "--", "--json"]);
    let output = cargo.args(full.then_some("--full")).stdin(Stdio::null()).stderr(Stdio::inherit()).output().unwrap();
    let Ok(found) = serde_json::from_slice::<Value>(&output.stdout) else {
        eprintln!("{bench} found nothing: {}", output.status);
        return Vec::new();
    };
    let rows = found.as_array().or(found["rows"].as_array()).cloned().unwrap_or_default();
    match bench {
        "places" => rows.iter().map(|row| of_places(row, &found)).collect(),
        "landing" => of_landing(&rows),
        "sandbox" => of_sandbox(&found),
        _ => rows.iter().map(|row| of_pair(bench, row)).collect(),
    }
}

fn row(bench: &str, what: &Value, [ours, theirs]: [&Value; 2], [unit, goal, baseline]: [&Value; 3]) -> Value {
    let ratio = theirs.as_f64().zip(ours.as_f64()).filter(|(_, ours)| *ours > 0.0).map(|(theirs, ours)| theirs / ours);
    json!({ "bench": bench, "what": what, "ours": ours, "theirs": theirs, "ratio": ratio, "unit": unit, "goal": goal, "baseline": baseline })
}

fn of_places(found: &Value, all: &Value) -> Value {
    let what = json!(format!("{}, {} files", found["what"].as_str().unwrap_or_default(), all["files"]));
    let goal = match found["goal"].as_f64() {
        Some(0.0) | None => json!("none"),
        Some(times) => json!(format!("{times} times, on 80000 files")),
    };
    row("places", &what, [&found["ours"], &found["git"]], [&found["unit"], &goal, &found["baseline"]])
}

fn of_pair(bench: &str, found: &Value) -> Value {
    let baseline = &found["baseline"];
    let pair = [&found["value"], &baseline["value"]];
    row(bench, &found["what"], pair, [&found["unit"], &found["goal"], &baseline["name"]])
}

fn of_landing(rows: &[Value]) -> Vec<Value> {
    let find = |what: &str| rows.iter().find(|row| row["what"] == what).cloned().unwrap_or_default();
    let (git, ours) = (find("git merge --no-ff"), find("pleach merge"));
    let pair = [("wall", "wall_ms"), ("processor", "cpu_ms")];
    let rows = pair.map(|(what, key)| {
        let (what, goal) = (json!(format!("one landing: {what}")), json!("3 times, on 50000 files"));
        row("landing", &what, [&ours[key], &git[key]], [&json!("ms"), &goal, &json!("git merge --no-ff")])
    });
    rows.to_vec()
}

fn of_sandbox(found: &Value) -> Vec<Value> {
    let (unit, goal) = (json!("of bwrap's"), json!(format!("below {}", found["goal"])));
    let ratios = found["ratios"].as_array().cloned().unwrap_or_default();
    let whens = [("first", "to its first byte"), ("told", "to its end as told"), ("gone", "until nothing is left")];
    let rows = ratios.iter().flat_map(|ratio| {
        whens.iter().map(|(key, when)| {
            let what = json!(format!("a task adds {when}: {}", ratio["what"].as_str().unwrap_or_default()));
            row("sandbox", &what, [&ratio["ratios"][key], &Value::Null], [&unit, &goal, &json!("bwrap --unshare-all")])
        })
    });
    rows.collect()
}
