//! What can be said to `review`.

use std::path::PathBuf;

use clap::Args;

use super::branch;
use crate::core::id::{BranchName, TaskHandle};

/// `review`
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct ReviewArgs {
    /// Do what is said in this file, which is as `--json` prints it with verdicts filled in; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["plan", "tasks"])]
    pub apply: Option<PathBuf>,
    /// Do not fold what is accepted: it stays up for review, for `merge`
    #[arg(long)]
    pub no_merge: bool,
    /// Fold what is accepted into this branch instead of the one that the task was meant for
    #[arg(short, long, value_name = "BRANCH", value_parser = branch, conflicts_with = "no_merge")]
    pub into: Option<BranchName>,
    /// Fold although the result is flagged (`status` says why)
    #[arg(long, conflicts_with = "no_merge")]
    pub accept_flags: bool,
    /// Print the results as data, cut into hunks; with `--apply`, answer in JSON
    #[arg(long)]
    pub json: bool,
    /// Review in a browser: serve a page on loopback, and print its address; Ctrl-C ends it
    #[arg(long, conflicts_with_all = ["apply", "json", "plan"])]
    pub web: bool,
    /// Open that page, with what opens addresses here (`xdg-open`)
    #[arg(long, requires = "web")]
    pub open: bool,
    /// Review every result of this plan that is ready
    #[arg(long, value_name = "PLAN", conflicts_with = "tasks")]
    pub plan: Option<String>,
    /// Which: ids or names; all that wait for somebody, if not said
    #[arg(value_name = "TASK")]
    pub tasks: Vec<TaskHandle>,
}
