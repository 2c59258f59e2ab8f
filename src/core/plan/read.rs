//! From a text to a [`Draft`]. Whatever the text is, the answer is a draft or all that is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use super::draft::{Draft, DraftTask, ForEach, Settings};
use super::keys::{self, Key, Takes};
use super::node::{self, Entry, Node, Syntax, Value};
use super::problem::{Problem, Problems, near};
use super::template::{HOLES, Template, Use, Why};
use super::{Glob, Run, check};
use crate::core::id::{BranchName, ParseId, TaskName};
use crate::core::units;

/// Behind the name of a need: of its tasks the one for the same item.
pub(super) const SAME_ITEM: &str = "-{item}";

/// Read a plan.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read(text: &str, syntax: Syntax) -> Result<Draft, Problems> {
    let (node, problems) = node::parse(text, syntax);
    if problems.iter().any(|problem| !problem.is_of_a_key()) {
        return Err(Problems::of(text, problems));
    }
    let mut reader = Reader { problems };
    let is_plan = matches!(node.value, Value::Table(_));
    let draft = reader.plan(&node);
    if is_plan && reader.problems.is_empty() || !draft.draft.tasks.is_empty() {
        check::check(&draft, &mut reader.problems);
    }
    if reader.problems.is_empty() { Ok(draft.draft) } else { Err(Problems::of(text, reader.problems)) }
}

/// A draft, and where the parts of it stand that belong together only if they fit.
pub(super) struct Placed {
    pub(super) draft: Draft,
    /// Where each need of each task stands.
    pub(super) needs: Vec<Vec<usize>>,
    /// Where the templates of each task begin.
    pub(super) templates: Vec<usize>,
    /// Names of tasks that could be read, also of those with other problems.
    pub(super) names: Vec<String>,
    /// Where the fold policy of each task stands, where it says one.
    pub(super) folds: Vec<Option<usize>>,
}

struct Reader {
    problems: Vec<Problem>,
}

/// The keys of a table, and those that count where one is not there.
struct Fields<'a> {
    own: &'a [Entry],
    defaults: &'a [Entry],
}

impl<'a> Fields<'a> {
    fn get(&self, key: &str) -> Option<&'a Entry> {
        let find = |entries: &'a [Entry]| entries.iter().find(|entry| entry.key == key);
        find(self.own).or_else(|| find(self.defaults))
    }
}

impl Reader {
    fn wrong(&mut self, at: usize, message: impl Into<String>) {
        self.problems.push(Problem::new(at, message));
    }

    fn plan(&mut self, node: &Node) -> Placed {
        let mut placed = Placed {
            draft: Draft::default(),
            needs: Vec::new(),
            templates: Vec::new(),
            names: Vec::new(),
            folds: Vec::new(),
        };
        let Some(own) = self.table(node, keys::PLAN) else { return placed };
        let fields = Fields { own, defaults: &[] };
        placed.draft.name = fields.get("name").and_then(|entry| self.parsed::<TaskName>(entry));
        placed.draft.on_failure = fields.get("on_failure").and_then(|entry| self.parsed(entry)).unwrap_or_default();
        placed.draft.concurrency = fields.get("concurrency").and_then(|entry| self.number(&entry.node, 1, 1000));
        placed.draft.base = fields.get("base").and_then(|entry| self.text(&entry.node));
        placed.draft.into = fields.get("into").and_then(|entry| self.text(&entry.node)).map(BranchName);
        let defaults = fields.get("defaults").and_then(|entry| self.table(&entry.node, keys::SETTINGS));
        let defaults = defaults.unwrap_or_default();
        // What the defaults say wrongly is told once, where they say it.
        self.settings(&Fields { own: defaults, defaults: &[] });
        let Some(tasks) = fields.get("task") else {
            self.wrong(node.at, "there is no task; write [[task]] with a name and a command");
            return placed;
        };
        match &tasks.node.value {
            Value::List(list) => list.iter().for_each(|item| self.task(item, defaults, &mut placed)),
            other => self.wrong(tasks.node.at, format!("tasks are a list, not {}; write [[task]]", other.kind())),
        }
        placed
    }

    fn task(&mut self, node: &Node, defaults: &[Entry], placed: &mut Placed) {
        let Some(own) = self.table(node, keys::TASK) else { return };
        let fields = Fields { own, defaults };
        let name = match fields.own.iter().find(|entry| entry.key == "name") {
            Some(entry) => self.parsed::<TaskName>(entry).map(|name| (name.to_string(), entry.at)),
            None => {
                self.wrong(node.at, "this task has no name");
                None
            }
        };
        let needs = fields.get("needs").map(|entry| self.texts(&entry.node)).unwrap_or_default();
        let for_each = fields.get("for_each").and_then(|entry| Some((self.items(&entry.node)?, entry.at)));
        let run = self.run(node, &fields);
        let attempts = fields.get("attempts").and_then(|entry| self.number(&entry.node, 1, 16)).unwrap_or(1);
        // The defaults have been read: of these only what the task says itself is told.
        let settings = self.settings(&Fields { own, defaults: &[] });
        let settings =
            settings.over(Reader { problems: Vec::new() }.settings(&Fields { own: defaults, defaults: &[] }), own);
        placed.names.extend(name.iter().map(|(name, _)| name.clone()));
        let (Some((name, at)), Some((run, run_at))) = (name, run) else { return };
        placed.needs.push(needs.iter().map(|(_, at)| *at).collect());
        placed.templates.push(run_at);
        placed.folds.push(fields.get("fold").map(|entry| entry.node.at));
        let (mut names, mut same_item) = (Vec::new(), BTreeSet::new());
        for (need, _) in needs {
            // `fix-{item}`: of the tasks `fix` the one for the same item, which is called so.
            match need.strip_suffix(SAME_ITEM) {
                Some(of) => {
                    same_item.insert(of.to_owned());
                    names.push(of.to_owned());
                }
                None => names.push(need),
            }
        }
        let needs = names;
        placed.draft.tasks.push(DraftTask { at, name, needs, same_item, for_each, run, attempts, settings });
    }

    /// What it runs, and where that is said.
    fn run(&mut self, node: &Node, fields: &Fields<'_>) -> Option<(Run, usize)> {
        let own = |key: &str| fields.own.iter().find(|entry| entry.key == key);
        match (own("command"), own("prompt")) {
            (Some(command), None) => {
                if let Some(agent) = own("agent") {
                    self.wrong(agent.at, "an agent is given a prompt, and this task has a command; leave one out");
                }
                Some((self.command(&command.node)?, command.node.at))
            }
            (None, Some(prompt)) => {
                let text = self.text(&prompt.node)?;
                let text = self.template(&text, prompt.node.at, Use::Plain);
                let Some(agent) = fields.get("agent") else {
                    if fields.get("role").is_some() {
                        // That of the role, which is not known here.
                        return Some((
                            Run::Prompt { agent: Box::new(Run::Exec(Vec::new())), prompt: text },
                            prompt.node.at,
                        ));
                    }
                    self.wrong(prompt.at, "a prompt needs an agent: say what runs it, here or in [defaults]");
                    return None;
                };
                let agent = self.command(&agent.node)?;
                Some((Run::Prompt { agent: Box::new(agent), prompt: text }, prompt.node.at))
            }
            (Some(_), Some(prompt)) => {
                self.wrong(prompt.at, "a task has a command or a prompt, not both");
                None
            }
            (None, None) => {
                self.wrong(node.at, "this task has nothing to run: give it a command, or a prompt with an agent");
                None
            }
        }
    }

    fn command(&mut self, node: &Node) -> Option<Run> {
        match &node.value {
            Value::Text(line) if line.trim().is_empty() => {
                self.wrong(node.at, "there is nothing to run");
                None
            }
            Value::Text(line) => Some(Run::Shell(self.template(line, node.at, Use::Shell))),
            Value::List(list) if !list.is_empty() => {
                let words = list.iter().map(|word| {
                    let text = self.text(word)?;
                    Some(self.template(&text, word.at, Use::Plain))
                });
                words.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>().map(Run::Exec)
            }
            Value::List(_) => {
                self.wrong(node.at, "there is nothing to run");
                None
            }
            other => {
                self.wrong(node.at, format!("this is {}, and should be a text or a list of texts", other.kind()));
                None
            }
        }
    }

    fn template(&mut self, text: &str, at: usize, usage: Use) -> Template {
        let (template, wrong) = Template::parse(text, usage);
        for one in wrong {
            let name = one.name;
            let message = match one.why {
                Why::Unknown => format!(
                    "{{{name}}} is nothing that can be put in{} (there are {{{}}}; {{{{{name}}}}} stands for itself)",
                    near(&name, HOLES.iter().copied()),
                    HOLES.join("}, {"),
                ),
                Why::InQuotes => {
                    format!("{{{name}}} stands between quotes; leave them out: what is put in is quoted already")
                }
            };
            self.problems.push(Problem::within(at, format!("{{{name}}}"), message));
        }
        template
    }

    fn settings(&mut self, fields: &Fields<'_>) -> Settings {
        let get = |key: &str| fields.get(key);
        let numbers = get("accept_exit_codes").map(|entry| self.list(&entry.node)).unwrap_or_default();
        let accept =
            numbers.into_iter().filter_map(|node| self.number(node, 0, 255)).filter_map(|n| u8::try_from(n).ok());
        let accept = accept.collect();
        let paths = get("paths").map(|entry| self.texts(&entry.node)).unwrap_or_default();
        let paths = paths.into_iter().filter_map(|(text, at)| self.glob(&text, at)).collect();
        let message = get("message").and_then(|entry| Some((self.text(&entry.node)?, entry.node.at)));
        Settings {
            priority: get("priority").and_then(|entry| self.parsed(entry)),
            group: get("group").and_then(|entry| self.group(&entry.node)),
            timeout: get("timeout").and_then(|entry| self.duration(&entry.node)),
            needs_memory: get("needs_memory").and_then(|entry| self.size(&entry.node)),
            retries: get("retries").and_then(|entry| self.number(&entry.node, 0, 100)),
            accept,
            paths,
            fold: get("fold").and_then(|entry| self.parsed(entry)),
            strategy: get("strategy").and_then(|entry| self.parsed(entry)),
            verify: get("verify").and_then(|entry| self.text(&entry.node)),
            message: message.map(|(text, at)| self.template(&text, at, Use::Plain)),
            env: get("env").map(|entry| self.variables(&entry.node)).unwrap_or_default(),
            on_conflict: get("on_conflict").and_then(|entry| self.parsed(entry)).unwrap_or_default(),
            read_only: get("read_only").and_then(|entry| self.flag(&entry.node)).unwrap_or_default(),
            clean: get("clean").and_then(|entry| self.flag(&entry.node)).unwrap_or_default(),
            role: get("role").and_then(|entry| self.text(&entry.node)),
            model: get("model").and_then(|entry| self.text(&entry.node)),
            max_turns: get("max_turns").and_then(|entry| self.number(&entry.node, 1, 10_000)),
            budget: get("budget").and_then(|entry| self.text(&entry.node)),
            changes: get("changes").and_then(|entry| self.parsed(entry)),
        }
    }

    fn items(&mut self, node: &Node) -> Option<ForEach> {
        match &node.value {
            Value::List(_) => {
                let items: Vec<String> = self.texts(node).into_iter().map(|(text, _)| text).collect();
                if items.is_empty() {
                    self.wrong(node.at, "there is nothing to do it for: the list is empty");
                }
                Some(ForEach::List(items))
            }
            Value::Table(_) => {
                let Takes::Items(known) = keys::TASK.iter().find(|key| key.name == "for_each")?.takes else {
                    return None;
                };
                let own = self.table(node, known)?;
                match own {
                    [one] if one.key == "glob" => {
                        let texts = match &one.node.value {
                            Value::Text(text) => vec![(text.clone(), one.node.at)],
                            _ => self.texts(&one.node),
                        };
                        texts.iter().for_each(|(text, at)| drop(self.glob(text, *at)));
                        Some(ForEach::Globs(texts.into_iter().map(|(text, _)| text).collect()))
                    }
                    [one] if one.key == "command" => self.text(&one.node).map(ForEach::Command),
                    _ => {
                        self.wrong(node.at, "say one of glob and command, or write a list");
                        None
                    }
                }
            }
            other => {
                let kind = other.kind();
                self.wrong(
                    node.at,
                    format!("this is {kind}, and should be a list, {{ glob = … }} or {{ command = … }}"),
                );
                None
            }
        }
    }

    /// The entries of a table, of which each has to be known.
    fn table<'a>(&mut self, node: &'a Node, known: &[Key]) -> Option<&'a [Entry]> {
        let Value::Table(entries) = &node.value else {
            self.wrong(node.at, format!("this is {}, and should be a table", node.value.kind()));
            return None;
        };
        for entry in entries.iter().filter(|entry| !known.iter().any(|key| key.name == entry.key)) {
            let near = near(&entry.key, known.iter().map(|key| key.name));
            let hint = if near.is_empty() {
                format!("; there are {}", known.iter().map(|key| key.name).collect::<Vec<_>>().join(", "))
            } else {
                near
            };
            self.wrong(entry.at, format!("unknown key {:?}{hint}", entry.key));
        }
        Some(entries)
    }

    fn mismatch<T>(&mut self, node: &Node, wanted: &str) -> Option<T> {
        self.wrong(node.at, format!("this is {}, and should be {wanted}", node.value.kind()));
        None
    }

    fn text(&mut self, node: &Node) -> Option<String> {
        match &node.value {
            Value::Text(text) if text.contains('\0') => {
                self.wrong(node.at, "a text has no NUL in it");
                None
            }
            Value::Text(text) => Some(text.clone()),
            _ => self.mismatch(node, "a text"),
        }
    }

    fn list<'a>(&mut self, node: &'a Node) -> Vec<&'a Node> {
        match &node.value {
            Value::List(list) => list.iter().collect(),
            _ => self.mismatch(node, "a list").unwrap_or_default(),
        }
    }

    fn texts(&mut self, node: &Node) -> Vec<(String, usize)> {
        self.list(node).into_iter().filter_map(|item| Some((self.text(item)?, item.at))).collect()
    }

    fn number(&mut self, node: &Node, least: u32, most: u32) -> Option<u32> {
        let number = match node.value {
            Value::Number(number) => u32::try_from(number).ok().filter(|number| (least..=most).contains(number)),
            _ => None,
        };
        if number.is_none() {
            self.wrong(node.at, format!("this should be a number from {least} to {most}"));
        }
        number
    }

    fn flag(&mut self, node: &Node) -> Option<bool> {
        match node.value {
            Value::Flag(flag) => Some(flag),
            _ => self.mismatch(node, "true or false"),
        }
    }

    fn duration(&mut self, node: &Node) -> Option<u64> {
        let seconds = match &node.value {
            Value::Number(number) => u64::try_from(*number).map_err(|_| format!("{number} is not a duration")),
            Value::Text(text) => units::parse_duration(text).map_err(|error| error.to_string()),
            _ => return self.mismatch(node, "a duration, such as \"90s\" or \"10m\""),
        };
        match seconds {
            Ok(0) => self.wrong(node.at, "no task can end in no time; leave it out for no limit"),
            Ok(seconds) => return Some(seconds),
            Err(why) => self.wrong(node.at, why),
        }
        None
    }

    fn size(&mut self, node: &Node) -> Option<u64> {
        let bytes = match &node.value {
            Value::Number(number) => u64::try_from(*number).map_err(|_| format!("{number} is not a size")),
            Value::Text(text) => units::parse_size(text).map_err(|error| error.to_string()),
            _ => return self.mismatch(node, "a size, such as \"2 GiB\""),
        };
        bytes.map_err(|why| self.wrong(node.at, why)).ok()
    }

    fn group(&mut self, node: &Node) -> Option<String> {
        let text = self.text(node)?;
        if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            self.wrong(node.at, "a group has a name, without blanks");
            return None;
        }
        Some(text)
    }

    fn glob(&mut self, text: &str, at: usize) -> Option<Glob> {
        Glob::parse(text).map_err(|why| self.wrong(at, why)).ok()
    }

    fn variables(&mut self, node: &Node) -> BTreeMap<String, String> {
        let Value::Table(entries) = &node.value else { return self.mismatch(node, "a table").unwrap_or_default() };
        let mut variables = BTreeMap::new();
        for entry in entries {
            let name = &entry.key;
            let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !is_name || name.starts_with("GIT_") || name.starts_with("PLEACH_") {
                self.wrong(entry.at, format!("{name:?} is no variable that a task can be given"));
            }
            if let Some(value) = self.text(&entry.node) {
                variables.insert(name.clone(), value);
            }
        }
        variables
    }

    fn parsed<T: FromStr<Err = ParseId>>(&mut self, entry: &Entry) -> Option<T> {
        let text = self.text(&entry.node)?;
        text.parse().map_err(|error: ParseId| self.wrong(entry.node.at, error.to_string())).ok()
    }
}

impl Settings {
    /// What a task says, over what the defaults say.
    fn over(self, defaults: Self, own: &[Entry]) -> Self {
        let says = |key: &str| own.iter().any(|entry| entry.key == key);
        Self {
            priority: self.priority.or(defaults.priority),
            group: self.group.or(defaults.group),
            timeout: self.timeout.or(defaults.timeout),
            needs_memory: self.needs_memory.or(defaults.needs_memory),
            retries: self.retries.or(defaults.retries),
            accept: if says("accept_exit_codes") { self.accept } else { defaults.accept },
            paths: if says("paths") { self.paths } else { defaults.paths },
            fold: self.fold.or(defaults.fold),
            strategy: self.strategy.or(defaults.strategy),
            verify: self.verify.or(defaults.verify),
            message: self.message.or(defaults.message),
            env: defaults.env.into_iter().chain(self.env).collect(),
            on_conflict: if says("on_conflict") { self.on_conflict } else { defaults.on_conflict },
            read_only: if says("read_only") { self.read_only } else { defaults.read_only },
            clean: if says("clean") { self.clean } else { defaults.clean },
            role: self.role.or(defaults.role),
            model: self.model.or(defaults.model),
            max_turns: self.max_turns.or(defaults.max_turns),
            budget: self.budget.or(defaults.budget),
            changes: self.changes.or(defaults.changes),
        }
    }
}
