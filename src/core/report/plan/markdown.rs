//! The report of a plan as Markdown, for a pull request or a prompt.

use std::fmt::Write as _;

use super::{PlanReport, PlanTask, path};

/// Files of a task that are named.
const MOST_FILES: usize = 20;

impl PlanReport {
    /// The same as Markdown.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("# Plan {}\n\n", self.plan);
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}\n", self.verdict());
        text.push_str("| task | state | summary | files | commits |\n|---|---|---|---|---|\n");
        for task in &self.tasks {
            let row = &task.row;
            let state = [row.state.as_str(), row.why.as_str()].join(" ");
            let name = row.name.as_ref().map_or_else(String::new, |name| format!(" {name}"));
            let summary = task.summary.lines().next().unwrap_or_default();
            let cells = [
                format!("{}{name}", row.id),
                state,
                summary.to_owned(),
                row.files.to_string(),
                row.commits.to_string(),
            ];
            let cells = cells.map(|cell| cell_text(cell.trim()));
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        for task in self.tasks.iter().filter(|task| !task.file_list.is_empty() || !task.ok) {
            text.push_str(&section(task));
        }
        text
    }

    /// In a sentence how it stands.
    pub fn verdict(&self) -> String {
        let counts: Vec<String> = self.counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
        let tasks = crate::core::word::count(self.tasks.len() as u64, "task");
        let begin = match (self.ended, self.ok, self.stopped_by) {
            (_, _, Some(by)) => format!("stopped by the failure of task {by}"),
            (true, true, _) => "all of it came to something".to_owned(),
            (true, false, _) => "not all of it came to something".to_owned(),
            (false, ..) => "under way".to_owned(),
        };
        format!("{begin}: {tasks}, {}", counts.join(", "))
    }
}

fn section(task: &PlanTask) -> String {
    let name = task.row.name.as_ref().map_or_else(|| task.row.id.to_string(), ToString::to_string);
    let mut text = format!("\n## {name}\n\n");
    if task.summary.contains('\n') {
        let _ =
            writeln!(text, "{}\n", task.summary.lines().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n"));
    }
    for flag in &task.flags {
        let _ = writeln!(text, "- **{}**", cell_text(&crate::core::word::shown(&flag.to_string())));
    }
    for commit in &task.commit_list {
        let _ = writeln!(text, "- {:.8} {}", commit.id, cell_text(&crate::core::word::shown(&commit.subject)));
    }
    for file in task.file_list.iter().take(MOST_FILES) {
        let _ = writeln!(text, "- `{}` +{} -{}", path(&file.path).replace('`', "'"), file.insertions, file.deletions);
    }
    let more = task.file_list.len().saturating_sub(MOST_FILES);
    if more > 0 {
        let _ = writeln!(text, "- and {more} more files");
    }
    text
}

/// Fit for a cell of a table: what a task wrote must not become another cell, or a tag.
fn cell_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace(['\n', '\r'], " ")
}
