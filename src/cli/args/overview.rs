//! What `pleach` says of itself: its verbs by what one wants to do. Each says here what it says in its own help, which
//! the test below holds; nothing is put together while a program starts.

/// A title, as clap has its own; what is shown without colour has none of it.
macro_rules! title {
    ($text:literal) => {
        concat!("\n\x1b[1m\x1b[4m", $text, ":\x1b[0m\n")
    };
}

/// The overview, for clap.
pub(super) const TEMPLATE: &str = concat!(
    "{about-with-newline}\n{usage-heading} {usage}\n",
    title!("Start here"),
    "  pleach demo                            see all of it in a repository made for that
  pleach run -- npx eslint --fix src     run one task and follow it
  pleach ls                              see what runs, waits and is ready
  pleach help VERB                       more of one verb, with examples
",
    title!("Run tasks"),
    "  add          Run a task in the background; print its id at once
  run          Run a task and follow it, or run a plan; exit with its code
  wait         Wait until tasks have ended
  cancel       End tasks: politely, and after their grace not politely
  retry        Run tasks again; what earlier attempts left is kept
  priority     Let tasks that wait go sooner or later than others
  pause        Start no more tasks until `resume`; what runs goes on
  resume       Start tasks again after `pause`, or after the limit of an agent
",
    title!("See how they stand"),
    "  ls           Show the board: what runs, what waits and why, what is ready
  status       Show one task in full; without a task, the board
  logs         Show what a task wrote
  monitor      Show all tasks live: logs, the merge queue, and keys to act
  events       Show everything that happened, in order
",
    title!("Take their results, or do not"),
    "  diff         Show what a task changed, or has changed so far
  review       Look at results hunk by hunk: accept, refuse, comment, send back
  merge        Fold results into their branch
  queue        Show the merge queue: what is verified together, what waits
  undo         Take back the last fold, or the fold of one task
  discard      Throw results away; they are kept until `gc` frees them
  restore      Put a discarded, failed or cancelled result up for review
",
    title!("Many tasks by one plan"),
    "  plan         Look at a plan: its tasks, and what may overlap; nothing runs
  report       Show what came of a plan, task by task
  pick         Take one of several tries at a task; the others are discarded
",
    title!("Agents"),
    "  agents       Show the agents that can do a task, and which can be run here
  roles        Show the roles that a task can have, and what each may do
  send         Say something to the agent of a running task
  mcp          Let other agents hand over tasks (Model Context Protocol)
  hook         Answer the hooks of other agents: JSON in, JSON out
",
    title!("From inside a task"),
    "  progress     Inside a task: say how far it is
  summary      Inside a task: say what came of it
",
    title!("Set up, and keep in order"),
    "  init         Set this repository up: a configuration, agents that delegate
  approve      Allow what this repository's own file would run
  sandbox      Run a command here as a task would run, to try what it can touch
  doctor       Look for what is broken or left over, and mend it
  gc           Free worktrees, kept results and logs of old tasks
  demo         Show all of it in a small repository made for that
  shell-init   Print what makes your prompt say which tasks have ended
  completions  Print the completions of a shell
  man          Write the man pages into a directory, or one to standard output
",
    title!("Options"),
    "{options}"
);

#[cfg(test)]
mod tests {
    use super::TEMPLATE;
    use crate::cli::args::table;

    #[test]
    fn every_verb_is_there_once_and_says_what_its_own_help_says() {
        let of = |verb: &clap::Command| format!("{:<13}{}", verb.get_name(), verb.get_about().unwrap());
        let mut verbs: Vec<String> = table().get_subcommands().filter(|verb| !verb.is_hide_set()).map(of).collect();
        let shown =
            TEMPLATE.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with("pleach "));
        let mut shown: Vec<String> = shown.map(str::to_owned).collect();
        assert!(shown.iter().all(|line| line.len() <= 78), "they fit a terminal: {shown:#?}");
        verbs.sort();
        shown.sort();
        assert_eq!(shown, verbs);
    }
}
