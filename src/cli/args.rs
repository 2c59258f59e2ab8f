//! What can be typed. Help, completions and man pages come from this one table.
//!
//! The hidden verbs of the coordinator and of the shim are dispatched before this is looked at.

mod overview;
mod quick;
mod review;

pub use quick::parse;
pub use review::ReviewArgs;

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::TypedValueParser as _;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use crate::config::units;
use crate::core::agent::Changes;
use crate::core::id::{AttemptId, BranchName, ParseId, TaskHandle, TaskName};
use crate::core::plan::Glob;
use crate::core::sandbox::{LEAST_MEMORY, Network, Tier};
use crate::core::task::{FoldPolicy, Priority, Publish, Strategy};
use crate::core::word::Word;
use crate::ops::control::InLine;
use crate::ops::register::{Client, Scope};
use crate::ops::verify::{How, Verifying};

/// `Examples:` and one line each, indented.
macro_rules! example {
    ($($line:expr),+) => { concat!("Examples:", $("\n  ", $line),+) };
}

/// The command line.
#[derive(Debug, Clone, PartialEq, Parser)]
#[command(
    name = "pleach",
    version,
    about = "Run many tasks at once on one git repository, each in a worktree of its own, and fold the good results back",
    help_template = overview::TEMPLATE,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = false
)]
pub struct Cli {
    /// What can be said of any verb.
    #[command(flatten)]
    pub everywhere: Everywhere,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What can be said of any verb.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Everywhere {
    /// Work as if started in this directory
    #[arg(short = 'C', value_name = "DIR", global = true, value_hint = ValueHint::DirPath, help_heading = "Everywhere")]
    pub directory: Option<PathBuf>,
    /// Say when to use colour: auto (on a terminal, unless `NO_COLOR` is set), always or never
    #[arg(
        long,
        value_name = "WHEN",
        global = true,
        default_value = "auto",
        hide_default_value = true,
        hide_possible_values = true,
        help_heading = "Everywhere"
    )]
    pub color: Color,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Also in a pipe
    Always,
    /// Not even on a terminal
    Never,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Verb {
    /// Run a task in the background; print its id at once
    #[command(after_help = ADD_EXAMPLES)]
    Add(TaskArgs),
    /// Run a task and follow it, or run a plan; exit with its code
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Show the board: what runs, what waits and why, what is ready
    #[command(visible_alias = "list", after_help = example!("pleach ls --all", "pleach ls --json | jq '.tasks[].state'"))]
    Ls(LsArgs),
    /// Show one task in full; without a task, the board
    #[command(after_help = example!("pleach status 7", "pleach status lint --json"))]
    Status(StatusArgs),
    /// Show what a task wrote
    #[command(visible_alias = "log", after_help = example!("pleach logs -f 7", "pleach logs --tail 20 lint", "pleach logs 7.1          # of its first attempt"))]
    Logs(LogsArgs),
    /// Wait until tasks have ended
    #[command(after_help = example!("pleach wait 7 8", "pleach wait --any 7 8", "pleach wait --timeout 10m"))]
    Wait(WaitArgs),
    /// End tasks: politely, and after their grace not politely
    #[command(visible_alias = "kill", after_help = example!("pleach cancel 7", "pleach cancel --now 7 8"))]
    Cancel(CancelArgs),
    /// Run tasks again; what earlier attempts left is kept
    #[command(visible_alias = "restart", after_help = example!("pleach retry 7", "pleach retry lint test", "pleach retry 8 --onto-target     # a conflict: once more, on what the target is now"))]
    Retry(RetryArgs),
    /// Let tasks that wait go sooner or later than others
    #[command(after_help = example!("pleach priority high 7", "pleach priority low lint docs"))]
    Priority(PriorityArgs),
    /// Start no more tasks until `resume`; what runs goes on
    #[command(after_help = example!("pleach pause"))]
    Pause(Answer),
    /// Start tasks again after `pause`, or after the limit of an agent
    #[command(after_help = example!("pleach resume", "pleach resume --agent claude"))]
    Resume(ResumeArgs),
    /// Show everything that happened, in order
    #[command(after_help = example!("pleach events -f --json | jq 'select(.event == \"ended\")'"))]
    Events(EventsArgs),
    /// Inside a task: say how far it is
    #[command(after_help = example!("pleach progress 47/89 \"checking src/app.ts\"", "pleach progress \"linking\""))]
    Progress(ProgressArgs),
    /// Inside a task: say what came of it
    #[command(after_help = example!("pleach summary \"fixed 12 files, 3 left\"", "make report | pleach summary -"))]
    Summary(SummaryArgs),
    /// Show what a task changed, or has changed so far
    #[command(after_help = example!("pleach diff 7", "pleach diff --stat 7", "pleach diff 7 -- src/app.ts", "pleach diff try.2 --against try.1", "pleach diff 7 | git apply"))]
    Diff(DiffArgs),
    /// Fold results into their branch
    #[command(after_help = example!("pleach merge 7 8", "pleach merge --squash -m \"fix lints\" 7", "pleach merge --dry-run 7", "pleach merge --into release 7"))]
    Merge(MergeArgs),
    /// Look at results hunk by hunk: accept, refuse, comment, send back
    #[command(after_help = example!("pleach review                      # all that wait for somebody", "pleach review --json 7 > review.json   # as data: fill in \"verdict\", then", "pleach review --apply review.json", "pleach review --web --open          # in a browser"))]
    Review(ReviewArgs),
    /// Show the merge queue: what is verified together, what waits
    #[command(after_help = example!("pleach queue", "pleach queue --verdicts", "pleach queue --log 12        # what run 12 of the check wrote"))]
    Queue(QueueArgs),
    /// Throw results away; they are kept until `gc` frees them
    #[command(after_help = example!("pleach discard 8", "pleach restore 8          # take that back", "pleach discard --keep-branch idea 8"))]
    Discard(DiscardArgs),
    /// Put a discarded, failed or cancelled result up for review
    #[command(after_help = example!("pleach restore 8", "pleach restore 8.1        # what its first attempt left", "pleach restore 9          # what could not be taken over when it ended"))]
    Restore(RestoreArgs),
    /// Take back the last fold, or the fold of one task
    #[command(after_help = example!("pleach undo", "pleach undo 7", "pleach undo --into release"))]
    Undo(UndoArgs),
    /// Show all tasks live: logs, the merge queue, and keys to act
    #[command(after_help = example!("pleach monitor                     # ? shows its keys, q leaves"))]
    Monitor,
    /// Free worktrees, kept results and logs of old tasks
    #[command(after_help = example!("pleach gc                          # say what could be freed", "pleach gc --older-than 14d --yes", "pleach gc --keep-bytes '5 GiB' --yes"))]
    Gc(GcArgs),
    /// Look for what is broken or left over, and mend it
    #[command(after_help = example!("pleach doctor", "pleach doctor --dry-run"))]
    Doctor(DoctorArgs),
    /// Show all of it in a small repository made for that
    #[command(after_help = example!("pleach demo", "pleach demo /tmp/garden"))]
    Demo(DemoArgs),
    /// Run a command here as a task would run, to try what it can touch
    #[command(after_help = example!("pleach sandbox -- npm test", "pleach sandbox --network none --read-only -- ./analyse", "pleach sandbox --network crates.io,*.crates.io -- cargo fetch", "pleach sandbox --tier full -- sh -c 'touch ~/x'"))]
    Sandbox(SandboxArgs),
    /// Look at a plan: its tasks, and what may overlap; nothing runs
    #[command(after_help = example!("pleach plan plan.toml", "pleach plan --json plan.toml", "pleach plan --schema > plan.schema.json"))]
    Plan(PlanArgs),
    /// Show what came of a plan, task by task
    #[command(after_help = example!("pleach report", "pleach report release", "pleach report --markdown release.2"))]
    Report(ReportArgs),
    /// Take one of several tries at a task; the others are discarded
    #[command(after_help = example!("pleach pick try.2"))]
    Pick(PickArgs),
    /// Show the agents that can do a task, and which can be run here
    #[command(after_help = example!("pleach agents", "pleach run --agent claude --prompt 'fix the failing test'", "pleach agents --json | jq '.agents[] | select(.program)'"))]
    Agents(Answer),
    /// Show the roles that a task can have, and what each may do
    #[command(after_help = example!("pleach roles", "pleach roles show reviewer", "pleach run --role reviewer --prompt 'review the last commit'"))]
    Roles(RolesArgs),
    /// Say something to the agent of a running task
    #[command(after_help = example!("pleach send 7 'leave the tests alone'"))]
    Send(SendArgs),
    /// Allow what this repository's own file would run
    #[command(after_help = example!("pleach approve                     # show it, and ask", "pleach approve --yes", "pleach approve --role reviewer     # a role of this repository"))]
    Approve(ApproveArgs),
    /// Let other agents hand over tasks (Model Context Protocol)
    #[command(after_help = example!("pleach mcp install --client claude   # make it known to Claude Code, here", "pleach mcp install --client codex --scope user", "pleach mcp --agent 'codex exec -'     # what does a prompt"))]
    Mcp(McpArgs),
    /// Set this repository up: a configuration, agents that delegate
    #[command(after_help = example!("pleach init", "pleach init --agent claude --agent codex", "pleach init --agent claude --print", "pleach init --agent none"))]
    Init(InitArgs),
    /// Answer the hooks of other agents: JSON in, JSON out
    #[command(after_help = example!("pleach init --agent claude --print      # what calls it, and for what", "echo '{\"name\": \"fix\"}' | pleach hook claude worktree-create", "pleach hook done 7"))]
    Hook(HookArgs),
    /// Print the completions of a shell
    #[command(after_help = example!("pleach completions zsh > ~/.zfunc/_pleach", "source <(pleach completions bash)"))]
    Completions(CompletionsArgs),
    /// Print what makes your prompt say which tasks have ended
    #[command(after_help = example!("eval \"$(pleach shell-init bash)\"      # in ~/.bashrc; for zsh likewise", "pleach shell-init fish | source         # in ~/.config/fish/config.fish"))]
    ShellInit(ShellInitArgs),
    /// What a shell asks before its prompt: say which tasks have ended since, and answer up to where
    #[command(hide = true, after_help = example!("pleach prompt \"$since\""))]
    Prompt(PromptArgs),
    /// Write the man pages into a directory, or one to standard output
    #[command(after_help = example!("pleach man ~/.local/share/man/man1", "pleach man | man -l -"))]
    Man(ManArgs),
}

const ADD_EXAMPLES: &str = example!(
    "pleach add -- npx eslint --fix src",
    "pleach add --name lint --timeout 10m 'cargo clippy --fix && cargo fmt'",
    "pleach add --after lint --fold auto -- cargo test"
);
const RUN_EXAMPLES: &str = example!(
    "pleach run -- npx eslint --fix src",
    "pleach run 'make test | tee report.txt'",
    "pleach run --detach -- cargo test            # the same as `pleach add`",
    "pleach run --agent claude --prompt 'fix the failing test'   # see `pleach agents`",
    "pleach run plan.toml                         # a plan: see `pleach help plan`, and docs/plans.md"
);

/// What to run, and how.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct TaskArgs {
    /// Give it a name that every verb takes in place of its id; of several tasks the newest counts
    #[arg(short, long, value_name = "NAME")]
    pub name: Option<TaskName>,
    /// Say who goes first
    #[arg(short, long, value_name = "PRIORITY", value_parser = words(Priority::ALL))]
    pub priority: Option<Priority>,
    /// End it after this much wall time
    #[arg(short, long, value_name = "DURATION", value_parser = time_to_run)]
    pub timeout: Option<u64>,
    /// Leave it this long between the polite end and the other
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration)]
    pub grace: Option<u64>,
    /// Start it after these tasks, on top of their results
    #[arg(short, long, value_name = "TASK", value_delimiter = ',')]
    pub after: Vec<TaskHandle>,
    /// Start it from this revision instead of HEAD
    #[arg(short, long, value_name = "REV")]
    pub base: Option<String>,
    /// Fold its result into this branch instead of the one that is checked out
    #[arg(short, long, value_name = "BRANCH", value_parser = branch)]
    pub into: Option<BranchName>,
    /// Count it in this group, whose limit is in the configuration
    #[arg(short, long, value_name = "GROUP", value_parser = group)]
    pub group: Option<String>,
    /// Run it again by itself this many times where it fails
    #[arg(short, long, value_name = "N")]
    pub retries: Option<u32>,
    /// Set a variable for it; NAME alone passes yours on
    #[arg(short, long, value_name = "NAME[=VALUE]", value_parser = clap::builder::OsStringValueParser::new().try_map(variable))]
    pub env: Vec<Variable>,
    /// Say what becomes of a good result
    #[arg(short, long, value_name = "POLICY", value_parser = words(FoldPolicy::ALL))]
    pub fold: Option<FoldPolicy>,
    /// Say how it is folded
    #[arg(short, long, value_name = "STRATEGY", value_parser = words(Strategy::ALL))]
    pub strategy: Option<Strategy>,
    /// Say what moves: the branch, or pleach/target/BRANCH, which stands for it
    #[arg(long, value_name = "WHAT", value_parser = words(Publish::ALL))]
    pub publish: Option<Publish>,
    /// Commit what it leaves uncommitted, and fold it, with this message
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
    /// Bring these ignored files along (a pattern as in .gitignore)
    #[arg(long, value_name = "PATTERN")]
    pub copy: Vec<String>,
    /// Give it a worktree that no task had before it, with no ignored files of any
    #[arg(long)]
    pub clean: bool,
    /// Keep this much of its output, half from the start and half from the end
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    pub log_cap: Option<u64>,
    /// Run it only where the sandbox holds this much
    #[arg(long, value_name = "TIER", value_parser = words(Tier::ALL))]
    pub require_sandbox: Option<Tier>,
    /// Say whom it can talk to: none, allow, or hosts with commas between them (crates.io,*.npmjs.org:443)
    #[arg(long, value_name = "WHOM")]
    pub network: Option<Network>,
    /// Let it write its temporary directory only
    #[arg(long)]
    pub read_only: bool,
    /// Say what it may touch, from the top (`src/**`): a result that touches more is held for a look
    #[arg(long, value_name = "PATTERN", value_parser = Glob::parse)]
    pub paths: Vec<Glob>,
    /// End it where it takes more memory than this, all its processes together
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    pub memory: Option<u64>,
    /// Start it only where so much memory is free, beside what others that run still need
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    pub needs_memory: Option<u64>,
    /// Let it have so many processes at once, threads among them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub processes: Option<u64>,
    /// Give it this role: see `pleach roles`
    #[arg(long, value_name = "ROLE", help_heading = "Agents")]
    pub role: Option<String>,
    /// Have an agent do it, which is told what by --prompt: see `pleach agents`
    #[arg(long, value_name = "AGENT", conflicts_with = "command", help_heading = "Agents")]
    pub agent: Option<String>,
    /// Say which model it uses
    #[arg(long, value_name = "MODEL", requires = "agent", help_heading = "Agents")]
    pub model: Option<String>,
    /// Let it take so many turns
    #[arg(long, value_name = "N", requires = "agent", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Agents")]
    pub max_turns: Option<u32>,
    /// Let it cost so many dollars
    #[arg(long, value_name = "DOLLARS", requires = "agent", value_parser = dollars, help_heading = "Agents")]
    pub budget: Option<String>,
    /// Say whether it must change something, or words are enough
    #[arg(long, value_name = "NEED", requires = "agent", value_parser = words(Changes::ALL), help_heading = "Agents")]
    pub changes: Option<Changes>,
    /// Tell its agent, or that of its role, to do this
    #[arg(long, value_name = "TEXT", conflicts_with = "command", help_heading = "Agents")]
    pub prompt: Option<String>,
    /// Tell it what is in this file (- for standard input)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["prompt", "command"], value_hint = ValueHint::FilePath, help_heading = "Agents")]
    pub prompt_file: Option<PathBuf>,
    /// Leave out the setup of the worktree that is configured
    #[arg(long)]
    pub no_setup: bool,
    /// What the branch has to pass.
    #[command(flatten)]
    pub verify: VerifyArgs,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    /// What to run: one word is a line for `sh -c`, several are a program and its arguments; its standard input is empty
    #[arg(value_name = "COMMAND", required_unless_present_any = ["agent", "prompt", "prompt_file"], trailing_var_arg = true, value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// `run`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct RunArgs {
    /// Do not follow it: print its id at once, as `add` does
    #[arg(short, long)]
    pub detach: bool,
    /// Of a plan: tell in Markdown what came of it
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
    /// What to run.
    #[command(flatten)]
    pub task: TaskArgs,
}

/// `ls`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct LsArgs {
    /// Show every task, not only what is open and the last ten that are settled
    #[arg(short, long)]
    pub all: bool,
    /// Show all tasks of this plan, and no others
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<String>,
    /// Show what tasks and caches take on the disk, instead of the board
    #[arg(long, conflicts_with_all = ["all", "plan"])]
    pub disk: bool,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// `status`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct StatusArgs {
    /// Which: id or name
    #[arg(value_name = "TASK")]
    pub task: Option<TaskHandle>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// `logs`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct LogsArgs {
    /// Follow it until it ends
    #[arg(short, long)]
    pub follow: bool,
    /// Show only this many of the last lines
    #[arg(short = 'n', long, value_name = "N")]
    pub tail: Option<usize>,
    /// Answer in JSON: the lines that are there now
    #[arg(long, conflicts_with = "follow")]
    pub json: bool,
    /// Which: id, name, or one attempt such as 7.2
    #[arg(value_name = "TASK")]
    pub task: Which,
}

/// `wait`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct WaitArgs {
    /// Wait until any of them has ended
    #[arg(long, conflicts_with = "all")]
    pub any: bool,
    /// Wait until all of them have ended (this is what happens anyway)
    #[arg(long)]
    pub all: bool,
    /// Give up after this long, with exit code 124
    #[arg(short, long, value_name = "DURATION", value_parser = units::parse_duration)]
    pub timeout: Option<u64>,
    /// Wait for the tasks of this plan
    #[arg(long, value_name = "PLAN", conflicts_with = "tasks")]
    pub plan: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    /// Which: ids or names; without any, all that run or wait
    #[arg(value_name = "TASK")]
    pub tasks: Vec<TaskHandle>,
}

/// `cancel`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct CancelArgs {
    /// Leave them no time to end by themselves
    #[arg(long)]
    pub now: bool,
    /// End all of this plan
    #[arg(long, value_name = "PLAN", conflicts_with = "tasks")]
    pub plan: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    /// Which: ids or names
    #[arg(value_name = "TASK", required_unless_present = "plan")]
    pub tasks: Vec<TaskHandle>,
}

/// A verb on tasks without more to say.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct TasksArgs {
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    /// Which: ids or names
    #[arg(value_name = "TASK", required = true)]
    pub tasks: Vec<TaskHandle>,
}

/// `discard`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct DiscardArgs {
    /// Throw away every result of this plan that is not folded
    #[arg(long, value_name = "PLAN", conflicts_with = "tasks")]
    pub plan: Option<String>,
    /// Keep what is in it as this branch of yours; of one task
    #[arg(long, value_name = "BRANCH", value_parser = branch, conflicts_with = "plan")]
    pub keep_branch: Option<BranchName>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    /// Which: ids or names
    #[arg(value_name = "TASK", required_unless_present = "plan")]
    pub tasks: Vec<TaskHandle>,
}

/// `retry`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct RetryArgs {
    /// Start on the head of the target, with the earlier result and what stood in its way handed back in $PLEACH_HANDBACK
    #[arg(long)]
    pub onto_target: bool,
    /// The same, and tell it what was said of its result in `review`; or what a file says that is as `review --json`
    /// prints it, with comments; `-` is standard input
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub with_review: Option<Option<std::path::PathBuf>>,
    /// Which, and how to answer.
    #[command(flatten)]
    pub tasks: TasksArgs,
}

/// `priority`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct PriorityArgs {
    /// Who goes first
    #[arg(value_name = "PRIORITY", value_parser = words(Priority::ALL))]
    pub level: Priority,
    /// Which, and how to answer.
    #[command(flatten)]
    pub tasks: TasksArgs,
}

/// A verb without anything more to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct Answer {
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// `send`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct SendArgs {
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    /// Whose agent: id or name
    #[arg(value_name = "TASK")]
    pub task: TaskHandle,
    /// What to say
    #[arg(value_name = "MESSAGE", required = true)]
    pub message: Vec<String>,
}

/// `resume`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ResumeArgs {
    /// Start the tasks of this agent again, whose provider had given it no more
    #[arg(long, value_name = "AGENT")]
    pub agent: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// `events`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct EventsArgs {
    /// Go on with what happens from now on
    #[arg(short, long)]
    pub follow: bool,
    /// Start with the last N
    #[arg(short = 'n', long, value_name = "N")]
    pub tail: Option<usize>,
    /// Answer in JSON, one event a line
    #[arg(long)]
    pub json: bool,
}

/// `progress`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ProgressArgs {
    /// How far (`47/89`, `47`), what it is doing, or both
    #[arg(value_name = "DONE[/TOTAL] | TEXT", required = true, num_args = 1..=2)]
    pub words: Vec<String>,
}

/// `summary`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct SummaryArgs {
    /// What came of it; `-` reads standard input
    #[arg(value_name = "TEXT | -", required = true)]
    pub words: Vec<String>,
}

/// `diff`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct DiffArgs {
    /// Show only how many lines of which files
    #[arg(long, conflicts_with_all = ["name_only", "json"])]
    pub stat: bool,
    /// Show only the paths
    #[arg(long, conflicts_with = "json")]
    pub name_only: bool,
    /// Compare with the result of another task instead: what differs from there to here
    #[arg(long, value_name = "TASK")]
    pub against: Option<Which>,
    /// Show this many lines around each change
    #[arg(short = 'U', long, value_name = "N", default_value_t = 3)]
    pub unified: usize,
    /// Do not page
    #[arg(long)]
    pub no_pager: bool,
    /// Answer in JSON: the files, without their content
    #[arg(long)]
    pub json: bool,
    /// Which: id, name, or one attempt such as 7.2
    #[arg(value_name = "TASK")]
    pub task: Which,
    /// Only these files and directories
    #[arg(value_name = "PATH", last = true, value_hint = ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
}

/// `merge`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct MergeArgs {
    /// Make one commit of it
    #[arg(long, group = "how")]
    pub squash: bool,
    /// Put its commits one by one on top of the branch
    #[arg(long, group = "how")]
    pub rebase: bool,
    /// Move the branch to it, or do nothing
    #[arg(long, group = "how")]
    pub ff: bool,
    /// Move the branch to it where that can be done, else make a merge commit
    #[arg(long, group = "how")]
    pub auto: bool,
    /// Say how by name
    #[arg(long, group = "how", value_name = "STRATEGY", value_parser = words(Strategy::ALL))]
    pub strategy: Option<Strategy>,
    /// Fold into this branch instead of the one that the task was meant for
    #[arg(short, long, value_name = "BRANCH", value_parser = branch)]
    pub into: Option<BranchName>,
    /// Say what moves: the branch, or pleach/target/BRANCH, which stands for it
    #[arg(long, value_name = "WHAT", value_parser = words(Publish::ALL))]
    pub publish: Option<Publish>,
    /// Say what would happen, and do nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Use this message for the commit that is made
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
    /// Fold although the result is flagged (`status` says why)
    #[arg(long)]
    pub accept_flags: bool,
    /// What the branch has to pass.
    #[command(flatten)]
    pub verify: VerifyArgs,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    /// Fold every result of this plan that is ready
    #[arg(long, value_name = "PLAN", conflicts_with = "tasks")]
    pub plan: Option<String>,
    /// Which: ids or names, folded in this order
    #[arg(value_name = "TASK", required_unless_present = "plan")]
    pub tasks: Vec<TaskHandle>,
}

/// `queue`
#[derive(Debug, Clone, PartialEq, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct QueueArgs {
    /// What to do to a line; without it, show all
    #[command(subcommand)]
    pub verb: Option<QueueVerb>,
    /// Show what is known of verified trees instead
    #[arg(long)]
    pub verdicts: bool,
    /// Show what a run of the check wrote instead
    #[arg(long, value_name = "RUN", conflicts_with = "verdicts")]
    pub log: Option<u32>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// What somebody may do to a line.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum QueueVerb {
    /// Give tasks another place in their line; what builds on others lands behind them all the same
    #[command(after_help = example!("pleach queue move 7 --first", "pleach queue move 7 8 --before 3"))]
    Move(QueueMoveArgs),
    /// Keep tasks, in their line, from landing; the others go on
    #[command(after_help = example!("pleach queue hold 7", "pleach queue release 7"))]
    Hold(TasksArgs),
    /// Let tasks land again after `hold`
    #[command(after_help = example!("pleach queue release 7"))]
    Release(TasksArgs),
    /// Take tasks out of their line; their results are up for review again
    #[command(after_help = example!("pleach queue remove 7"))]
    Remove(TasksArgs),
}

/// `init`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct InitArgs {
    /// Say which agents delegate here: claude, codex, gemini, qwen, opencode, kiro, vscode, or none; without it, a terminal is asked
    #[arg(long = "agent", value_name = "AGENT", value_delimiter = ',', value_parser = agent_or_none)]
    pub agents: Vec<Option<Client>>,
    /// Print what would be written instead
    #[arg(short = 'n', long, visible_alias = "dry-run")]
    pub print: bool,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

fn agent_or_none(text: &str) -> Result<Option<Client>, String> {
    if text == "none" {
        return Ok(None);
    }
    let words = || Client::ALL.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    let found = Client::ALL.iter().find(|(word, _)| *word == text);
    found.map(|(_, client)| Some(*client)).ok_or_else(|| format!("it is one of {}, or none", words()))
}

/// `hook`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct HookArgs {
    /// Who calls
    #[command(subcommand)]
    pub verb: HookVerb,
}

/// Who calls, or what to do about a place by hand.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum HookVerb {
    /// Claude Code: its worktrees are made and collected here, and what sub-agents did is reviewed
    #[command(after_help = example!("pleach hook claude", "pleach hook claude stop < told.json"))]
    Claude(HookEventArgs),
    /// Codex: it hears of what waits for review
    #[command(after_help = example!("pleach hook codex stop"))]
    Codex(HookEventArgs),
    /// Kiro: it hears of what waits for review
    #[command(after_help = example!("pleach hook kiro stop"))]
    Kiro(HookEventArgs),
    /// Say that whoever works in these worktrees is through: what is there becomes a result
    #[command(after_help = example!("pleach hook done 7"))]
    Done(HookDoneArgs),
}

/// `hook claude` and the like
#[derive(Debug, Clone, PartialEq, Args)]
pub struct HookEventArgs {
    /// What happened: worktree-create, worktree-remove, subagent-stop, pre-tool-use, post-tool-use, stop, session-start or
    /// session-end; without it, what comes in says so (`hook_event_name`)
    #[arg(value_name = "EVENT")]
    pub event: Option<String>,
    /// Say how long it may take; what was begun goes on after that
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration, default_value = "50s")]
    pub timeout: u64,
}

/// `hook done`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct HookDoneArgs {
    /// Which tasks
    #[arg(value_name = "TASK", required = true)]
    pub tasks: Vec<TaskHandle>,
    /// Say how long to wait for it; it goes on after that
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration, default_value = "50s")]
    pub timeout: u64,
}

/// `mcp`
#[derive(Debug, Clone, PartialEq, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct McpArgs {
    /// What to do; without it, serve
    #[command(subcommand)]
    pub verb: Option<McpVerb>,
    /// Say what does a prompt: a line for `sh -c` that reads it on its standard input; it is in PLEACH_PROMPT_TEXT, too
    #[arg(long, value_name = "LINE")]
    pub agent: Option<String>,
    /// Say which role whoever calls has: it hands tasks to the roles that this one may use, and without asking to those that it trusts
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// Serve over HTTP instead, on this port of loopback (0: any), behind a token (PLEACH_MCP_TOKEN, or a new one)
    #[arg(long, value_name = "PORT")]
    pub http: Option<u16>,
}

/// What somebody may do about the server beside starting it.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum McpVerb {
    /// Write our entry into the configuration of a client, and leave all else there as it is
    #[command(after_help = example!("pleach mcp install --client claude", "pleach mcp install --client gemini --print", "pleach mcp install --client codex --scope user"))]
    Install(McpInstallArgs),
}

/// `mcp install`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct McpInstallArgs {
    /// Say whose configuration
    #[arg(long, value_name = "CLIENT", value_parser = words(Client::ALL))]
    pub client: Client,
    /// Say for what: this project, or all that you do
    #[arg(long, value_name = "SCOPE", value_parser = words(Scope::ALL), default_value = "project")]
    pub scope: Scope,
    /// Say what does a prompt, as with `pleach mcp --agent`
    #[arg(long, value_name = "LINE")]
    pub agent: Option<String>,
    /// Print it instead
    #[arg(long)]
    pub print: bool,
}

/// `queue move`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct QueueMoveArgs {
    /// Which: ids or names; they then stand together, in this order
    #[arg(value_name = "TASK", required = true)]
    pub tasks: Vec<TaskHandle>,
    /// Before all others
    #[arg(long, group = "place", required_unless_present_any = ["last", "before", "behind"])]
    pub first: bool,
    /// Behind all others
    #[arg(long, group = "place")]
    pub last: bool,
    /// Before this one
    #[arg(long, value_name = "OTHER", group = "place")]
    pub before: Option<TaskHandle>,
    /// Behind this one
    #[arg(long, value_name = "OTHER", group = "place")]
    pub behind: Option<TaskHandle>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

impl QueueMoveArgs {
    /// Where to.
    pub fn to(&self) -> InLine {
        match (&self.before, &self.behind) {
            (Some(other), _) => InLine::Before(other.clone()),
            (_, Some(other)) => InLine::Behind(other.clone()),
            _ if self.last => InLine::Last,
            _ => InLine::First,
        }
    }
}

/// What a branch has to pass before a result lands in it.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct VerifyArgs {
    /// Let the branch move only where this passes with the result in it (a line for `sh -c`); it stays with the task
    #[arg(long, value_name = "COMMAND", group = "check")]
    pub verify: Option<String>,
    /// Fold without the check that is configured; this is recorded and shown
    #[arg(long, group = "check")]
    pub no_verify: bool,
    /// Run the check anew, whatever is known
    #[arg(long)]
    pub no_cache: bool,
}

impl From<VerifyArgs> for Verifying {
    fn from(args: VerifyArgs) -> Self {
        let how = match args.verify {
            _ if args.no_verify => How::No,
            Some(command) => How::Command(command),
            None => How::Configured,
        };
        Self { how, no_cache: args.no_cache }
    }
}

impl MergeArgs {
    /// How, where that was said.
    pub fn strategy(&self) -> Option<Strategy> {
        let said = [
            (self.squash, Strategy::Squash),
            (self.rebase, Strategy::Rebase),
            (self.ff, Strategy::FastForward),
            (self.auto, Strategy::Auto),
        ];
        said.into_iter().find_map(|(is_said, strategy)| is_said.then_some(strategy)).or(self.strategy)
    }
}

/// `restore`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct RestoreArgs {
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    /// Which: ids, names, or single attempts such as 7.1
    #[arg(value_name = "TASK", required = true)]
    pub tasks: Vec<Which>,
}

/// `undo`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct UndoArgs {
    /// Take back the last fold into this branch
    #[arg(short, long, value_name = "BRANCH", value_parser = branch, conflicts_with = "task")]
    pub into: Option<BranchName>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    /// Whose fold: id or name; without it, the last one
    #[arg(value_name = "TASK")]
    pub task: Option<TaskHandle>,
}

/// `gc`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct GcArgs {
    /// Free only what was settled this long ago
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration)]
    pub older_than: Option<u64>,
    /// Free the oldest first, and only until this much is left
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    pub keep_bytes: Option<u64>,
    /// Say what would be freed, and do nothing (this is what happens anyway)
    #[arg(short = 'n', long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Free it
    #[arg(short, long)]
    pub yes: bool,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// `doctor`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct DoctorArgs {
    /// Say what is wrong, and mend nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// `demo`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct DemoArgs {
    /// Where to make the repository: a directory that does not exist yet; without it, pleach-demo here, or among the
    /// temporary files where here is a repository
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}

/// `sandbox`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct SandboxArgs {
    /// Say how far it is kept to itself; without it, as far as is set or possible
    #[arg(long, value_name = "TIER", value_parser = words(Tier::ALL))]
    pub tier: Option<Tier>,
    /// Say whom it can talk to: none, allow, or hosts with commas between them (crates.io,*.npmjs.org:443)
    #[arg(long, value_name = "WHOM")]
    pub network: Option<Network>,
    /// Let it write its temporary directory only
    #[arg(long)]
    pub read_only: bool,
    /// What to run: one word is a line for `sh -c`, several are a program and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// `plan`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct PlanArgs {
    /// Print the JSON Schema of plans instead
    #[arg(long, conflicts_with = "file")]
    pub schema: bool,
    /// Run the commands of for_each too, as `run` would
    #[arg(long)]
    pub expand: bool,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    /// The plan: TOML or JSON
    #[arg(value_name = "FILE", required_unless_present = "schema", value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
}

/// `report`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ReportArgs {
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    /// Answer in Markdown
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
    /// Which: a name (the newest of it), or one of them such as release.2; without it, the newest of all
    #[arg(value_name = "PLAN")]
    pub plan: Option<String>,
}

/// `pick`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct PickArgs {
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    /// Which: id or name
    #[arg(value_name = "TASK")]
    pub task: TaskHandle,
}

/// `roles`
#[derive(Debug, Clone, PartialEq, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct RolesArgs {
    /// What to show; without it, all of them
    #[command(subcommand)]
    pub verb: Option<RolesVerb>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// What is shown of roles.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum RolesVerb {
    /// Show one role in full, with what of its file came to nothing, and what the sandbox would hold
    #[command(after_help = example!("pleach roles show reviewer", "pleach roles show claude:reviewer --json"))]
    Show(RoleShowArgs),
}

/// `roles show`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct RoleShowArgs {
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    /// Which: a name, or SOURCE:NAME where several have it (project:reviewer, kiro:reviewer)
    #[arg(value_name = "ROLE")]
    pub role: String,
}

/// `approve`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ApproveArgs {
    /// Allow it without being asked
    #[arg(short, long)]
    pub yes: bool,
    /// Approve this role instead, as it is now
    #[arg(long, value_name = "ROLE")]
    pub role: Vec<String>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// `completions`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct CompletionsArgs {
    /// Of which shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// `shell-init`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ShellInitArgs {
    /// Of which shell
    #[arg(value_name = "SHELL", value_parser = words(Prompting::ALL))]
    pub shell: Prompting,
}

/// A shell that can be told before its prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompting {
    /// GNU bash.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
}

impl Prompting {
    /// Every spelling.
    pub const ALL: &'static [(&'static str, Self)] = &[("bash", Self::Bash), ("zsh", Self::Zsh), ("fish", Self::Fish)];
}

/// `prompt`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct PromptArgs {
    /// What was answered last
    #[arg(value_name = "SINCE", default_value = "")]
    pub since: String,
}

/// `man`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ManArgs {
    /// Where to write all of them; without it, the first one goes to standard output
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}

/// A task, or one attempt of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// `7`, `lint`
    Task(TaskHandle),
    /// `7.2`
    Attempt(AttemptId),
}

impl FromStr for Which {
    type Err = ParseId;

    fn from_str(text: &str) -> Result<Self, ParseId> {
        if let Ok(attempt) = text.strip_prefix('#').unwrap_or(text).parse() {
            return Ok(Self::Attempt(attempt));
        }
        let refused = |_| ParseId { text: text.to_owned(), expected: "a task id, a task name, or an attempt (7.2)" };
        text.parse().map(Self::Task).map_err(refused)
    }
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Task(handle) => handle.fmt(f),
            Self::Attempt(attempt) => attempt.fmt(f),
        }
    }
}

/// A variable that was named on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    /// `NAME=VALUE`
    Set(String, Word),
    /// `NAME`: the caller's own value.
    Pass(String),
}

fn variable(text: OsString) -> Result<Variable, String> {
    let word = Word::from(text);
    let (name, value) = match word.as_bytes().iter().position(|byte| *byte == b'=') {
        Some(at) => (&word.as_bytes()[..at], Some(&word.as_bytes()[at + 1..])),
        None => (word.as_bytes(), None),
    };
    let good = |name: &&str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
        name.chars().all(allowed) && name.starts_with(|c: char| !c.is_ascii_digit())
    };
    let Some(name) = std::str::from_utf8(name).ok().filter(good).map(str::to_owned) else {
        return Err("a variable is NAME=VALUE, or NAME alone to pass yours on".to_owned());
    };
    if name.starts_with("GIT_") || name.starts_with("PLEACH_") {
        return Err(format!("{name} cannot be set: the worktree of a task has its own git and its own place"));
    }
    Ok(match value {
        Some(value) => Variable::Set(name, Word::from(value.to_vec())),
        None => Variable::Pass(name),
    })
}

/// The short name of a branch, also where its full ref name was given.
fn time_to_run(text: &str) -> Result<u64, String> {
    match units::parse_duration(text) {
        Ok(0) => Err("no task can end in no time; leave it out for no limit".to_owned()),
        parsed => parsed.map_err(|error| error.to_string()),
    }
}

fn memory(text: &str) -> Result<u64, String> {
    match units::parse_size(text) {
        Ok(size) if size < LEAST_MEMORY => Err(format!("nothing runs in less than {}", units::Bytes(LEAST_MEMORY))),
        parsed => parsed.map_err(|error| error.to_string()),
    }
}

fn group(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    is_name.then(|| text.to_owned()).ok_or_else(|| "a group has a name, without blanks".to_owned())
}

fn branch(text: &str) -> Result<BranchName, String> {
    let name = text.strip_prefix("refs/heads/").unwrap_or(text);
    let bad = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    if name.is_empty() || name.starts_with('-') || name.contains(bad) || name.contains("..") || name.ends_with(".lock")
    {
        return Err(format!("{text:?} is not the name of a branch"));
    }
    Ok(BranchName(name.to_owned()))
}

/// Accept exactly the words of a small set, which completions then know too.
fn words<T: Copy + Send + Sync + 'static>(
    all: &'static [(&'static str, T)],
) -> impl clap::builder::TypedValueParser<Value = T> {
    clap::builder::PossibleValuesParser::new(all.iter().map(|(word, _)| *word)).map(move |text: String| {
        let found = all.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).expect("the parser lets only these words pass")
    })
}

/// The table of it all, for completions and man pages.
pub fn table() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests;

fn dollars(text: &str) -> Result<String, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(text.to_owned()),
        _ => Err("this is no number of dollars above 0, such as 2.50".to_owned()),
    }
}
