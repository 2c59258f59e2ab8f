//! Plans: read, run, stopped, taken up again.

mod any_text;
mod crash;
mod golden;
mod policies;
mod shapes;

use serde_json::Value;

use super::support::scene::Scene;

/// Write a plan and run it to its end; the code and the report.
fn run(scene: &Scene, text: &str) -> (i32, Value) {
    scene.write("plan.toml", text);
    let ran = scene.pleach(&["run", "plan.toml", "--json"]);
    let report = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}{}", ran.out, ran.err));
    (ran.code.unwrap_or(-1), report)
}

/// `name state` of each task.
fn states(report: &Value) -> String {
    let tasks = report["tasks"].as_array().unwrap().iter();
    let words = tasks.map(|task| format!("{} {}", task["name"].as_str().unwrap(), task["state"].as_str().unwrap()));
    words.collect::<Vec<_>>().join(", ")
}

/// One task of a report, by its name.
fn task<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|task| task["name"] == name)
        .unwrap_or_else(|| panic!("{name}: {report:#}"))
}
