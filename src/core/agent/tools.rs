//! Which of its tools an agent may use: what a role says of that, in the words of each agent.
//!
//! Roles name tools in general ([`GENERAL`]), or as some agent calls them: a role that was written for one program can be given to
//! another. What an agent has an option for is handed on; what it cannot be told is [`Told::untold`], so that nobody thinks that it was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::core::sandbox::{Network, Policy};

/// What tools are for. A name of a tool that is none of these and no agent's is handed on as it is.
pub const GENERAL: &[&str] = &["read", "write", "shell", "web", "delegate"];

/// What tools are called in general by roles of other programs, beside the names in the presets.
const ALSO: &[(&str, &[&str])] = &[
    ("read", &["fs_read", "glob", "grep", "code", "LS", "NotebookRead"]),
    ("write", &["fs_write", "edit", "MultiEdit"]),
    ("shell", &["execute_bash", "execute_cmd", "BashOutput", "KillShell"]),
    ("web", &["web_search", "web_fetch"]),
    ("delegate", &["subagent", "use_subagent", "crew", "Task"]),
];

/// How an agent is told which tools it may use.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ToolOptions {
    /// What it calls the tools that are named in general.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, Vec<String>>,
    /// Words of its command that let it use all: they are left out where `only` is said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub all: Vec<String>,
    /// What is added where a role says which it may use. `{tools}` is their names with commas, `{names}` the same without patterns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// What is added where a role says which it may not use, with `{tools}`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub never: Vec<String>,
    /// What is added where this tool, named in general, is not among those that it may use.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub without: BTreeMap<String, Vec<String>>,
    /// The variable that takes all of that as JSON: each tool with `allow` or `deny`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
    /// Does it know patterns, `Bash(git *)`?
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub patterns: bool,
    /// It asks before it uses one of these, named in general, and is answered by what its role says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asks: Vec<String>,
}

/// What a role says of the tools of its agent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tools {
    /// Those that it may use; all of them, where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<String>>,
    /// Those that it may not use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub never: Vec<String>,
}

/// What an agent is told of its tools.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// Words of its command that are left out.
    pub left_out: Vec<String>,
    /// Options that are added.
    pub options: Vec<String>,
    /// A variable, and what is in it.
    pub variable: Option<(String, String)>,
    /// What it cannot be told: tools that it may use all the same.
    pub untold: Vec<String>,
}

impl Told {
    /// What it cannot be told, and what a sandbox with this policy does not hold either.
    pub fn open(&self, policy: &Policy) -> Vec<String> {
        let is_held = |tool: &str| match tool {
            "write" => policy.read_only,
            "shell" => policy.exec.is_some(),
            "web" => policy.network == Network::None,
            _ => false,
        };
        self.untold.iter().filter(|tool| !is_held(tool)).cloned().collect()
    }
}

/// `Bash` of `Bash(git *)`.
pub fn bare(tool: &str) -> &str {
    tool.split_once('(').map_or(tool, |(name, _)| name)
}

/// Which of [`GENERAL`] this is, whichever agent calls it so.
pub fn general(tool: &str) -> Option<&'static str> {
    let tool = bare(tool);
    if let Some(known) = GENERAL.iter().find(|known| **known == tool) {
        return Some(known);
    }
    let also = ALSO.iter().find(|(_, names)| names.contains(&tool)).map(|(known, _)| *known);
    also.or_else(|| GENERAL.iter().find(|known| super::presets::calls(known).any(|name| name == tool)).copied())
}

impl Tools {
    /// Does nobody say anything of them?
    pub fn is_silent(&self) -> bool {
        self.only.is_none() && self.never.is_empty()
    }

    /// What a role makes of its lists: `tools` are those that the agent has, `allowed` those that it uses without being asked (there
    /// is nobody whom it could ask, so it uses no others), `denied` those that it has not.
    pub fn of(tools: Option<&[String]>, allowed: &[String], denied: &[String]) -> Self {
        let is_all = |list: &[String]| list.iter().any(|tool| tool == "*" || tool == "@builtin");
        let tools = tools.filter(|tools| !is_all(tools));
        let allowed = Some(allowed).filter(|allowed| !allowed.is_empty() && !is_all(allowed));
        let same =
            |a: &str, b: &str| bare(a) == bare(b) || general(a).is_some_and(|general_a| Some(general_a) == general(b));
        let only = match (tools, allowed) {
            (None, None) => None,
            (Some(list), None) | (None, Some(list)) => Some(list.to_vec()),
            (Some(tools), Some(allowed)) => {
                let has = |tool: &&String| tools.iter().any(|known| same(known, tool));
                Some(allowed.iter().filter(has).cloned().collect())
            }
        };
        Self { only, never: denied.to_vec() }
    }

    /// May it use what is for this, named in general? With a pattern, it may in part.
    pub fn grants(&self, wanted: &str) -> bool {
        let means = |tool: &String| general(tool) == Some(wanted);
        let is_denied = self.never.iter().any(|tool| means(tool) && !tool.contains('('));
        !is_denied && self.only.as_ref().is_none_or(|only| only.iter().any(means))
    }

    /// Is there a list of those that it may use, and do none of them change anything?
    pub fn only_read(&self) -> bool {
        let reads = |tool: &String| matches!(general(tool), Some("read" | "web"));
        self.only.as_ref().is_some_and(|only| only.iter().all(reads))
    }

    /// What an agent with these options is told.
    pub fn told(&self, options: &ToolOptions) -> Told {
        let mut told = Told::default();
        if self.is_silent() {
            return told;
        }
        let mut only = self.only.as_ref().map(|only| options.named(only));
        let never = options.named(&self.never);
        // Who can be told what it may use, and not what it may not, may use all but that.
        let by_list = !options.only.is_empty() || options.variable.is_some();
        if only.is_none() && options.never.is_empty() && options.variable.is_none() && by_list {
            only = Some(options.names.values().flatten().cloned().collect());
        }
        if let Some(only) = &mut only {
            only.retain(|tool| !never.contains(tool));
        }
        if let Some(only) = only.as_ref().filter(|_| !options.only.is_empty()) {
            told.left_out.clone_from(&options.all);
            told.options.extend(options.only.iter().map(|word| fill(word, only)));
        }
        if !never.is_empty() && !options.never.is_empty() {
            told.options.extend(options.never.iter().map(|word| fill(word, &never)));
        }
        for (wanted, words) in &options.without {
            if !self.grants(wanted) {
                told.options.extend(words.iter().cloned());
            }
        }
        if let Some(name) = &options.variable {
            let mut all = serde_json::Map::new();
            all.extend(only.iter().map(|_| ("*".to_owned(), json!("deny"))));
            all.extend(only.iter().flatten().map(|tool| (bare(tool).to_owned(), json!("allow"))));
            all.extend(never.iter().map(|tool| (bare(tool).to_owned(), json!("deny"))));
            told.variable = Some((name.clone(), serde_json::Value::Object(all).to_string()));
        }
        let is_told = |wanted: &str| {
            let by_name = (by_list && (self.only.is_some() || options.never.is_empty()))
                || !options.never.is_empty() && self.only.is_none();
            let can = by_name && options.names.contains_key(wanted) || options.asks.iter().any(|known| known == wanted);
            can || options.without.contains_key(wanted)
        };
        let open = GENERAL.iter().filter(|wanted| !self.grants(wanted) && !is_told(wanted) && options.may_have(wanted));
        told.untold = open.map(|wanted| (*wanted).to_owned()).collect();
        if !options.patterns {
            let all = self.only.iter().flatten().chain(&self.never);
            told.untold.extend(all.filter(|tool| tool.contains('(')).cloned());
        }
        told
    }
}

impl ToolOptions {
    /// These tools in its own words.
    fn named(&self, tools: &[String]) -> Vec<String> {
        let mut named: Vec<String> = Vec::new();
        for tool in tools {
            let pattern = tool.strip_prefix(bare(tool)).unwrap_or_default();
            let is_own =
                !GENERAL.contains(&tool.as_str()) && self.names.values().flatten().any(|name| name == bare(tool));
            let names = general(tool).filter(|_| !is_own).and_then(|known| self.names.get(known));
            let all = match names {
                Some(names) => names.iter().map(|name| format!("{name}{pattern}")).collect(),
                None => vec![tool.clone()],
            };
            named.extend(all);
        }
        let mut seen = std::collections::BTreeSet::new();
        named.retain(|name| seen.insert(name.clone()));
        named
    }

    /// Might it have such a tool? One that says how its tools are called has no others.
    fn may_have(&self, wanted: &str) -> bool {
        if self.names.is_empty() { wanted != "delegate" } else { self.names.contains_key(wanted) }
    }
}

fn fill(word: &str, tools: &[String]) -> String {
    let bare: Vec<&str> = tools.iter().map(|tool| bare(tool)).collect();
    word.replace("{tools}", &tools.join(",")).replace("{names}", &bare.join(","))
}

#[cfg(test)]
mod tests {
    use super::super::{Assigned, preset};
    use super::*;

    fn list(tools: &str) -> Vec<String> {
        tools.split_whitespace().map(str::to_owned).collect()
    }

    /// What an agent is told of a role: what is behind the beginning of its command, the variable, and what it cannot be told.
    fn told(agent: &str, only: Option<&str>, never: &str) -> String {
        let tools = Tools { only: only.map(list), never: list(never) };
        let assigned = Assigned { tools, ..Assigned::new(preset(agent).unwrap().agent) };
        let told = assigned.told();
        let variable = told.variable.map(|(name, value)| format!(" {name}={value}")).unwrap_or_default();
        let untold = if told.untold.is_empty() { String::new() } else { format!(" untold: {}", told.untold.join(" ")) };
        format!("{}{variable}{untold}", assigned.command(&[]).shown())
    }

    #[test]
    fn each_agent_is_told_in_its_own_words() {
        let only = |agent: &str| told(agent, Some("read shell"), "");
        assert_eq!(
            only("claude"),
            "claude -p --output-format stream-json --verbose --permission-mode dontAsk --tools Read,Glob,Grep,Bash \
             --allowedTools Read,Glob,Grep,Bash"
        );
        assert_eq!(
            only("gemini"),
            "gemini -o stream-json --allowed-tools \
             read_file,read_many_files,list_directory,glob,grep_search,search_file_content,run_shell_command"
        );
        assert_eq!(only("pi"), "pi -p --mode json --tools read,grep,find,ls,bash");
        assert!(only("opencode").ends_with(
            r#"OPENCODE_PERMISSION={"*":"deny","bash":"allow","glob":"allow","grep":"allow","list":"allow","read":"allow"}"#
        ), "{}", only("opencode"));
        assert!(only("kiro").contains(" --no-interactive --trust-tools=read,glob,grep,shell "), "{}", only("kiro"));
        assert!(only("codex").contains("web_search") && only("codex").ends_with("untold: write"), "{}", only("codex"));
        assert!(only("aider").ends_with("--no-detect-urls untold: write"), "{}", only("aider"));
        assert_eq!(told("gemini-acp", Some("read"), ""), "gemini --acp");
    }

    #[test]
    fn what_it_may_not_use_is_told_too() {
        let never = |agent: &str| told(agent, None, "web");
        assert!(never("claude").ends_with("--disallowedTools WebFetch,WebSearch"), "{}", never("claude"));
        assert!(never("claude").contains("--dangerously-skip-permissions"));
        assert!(never("gemini").contains("--allowed-tools") && !never("gemini").contains("web"), "{}", never("gemini"));
        assert!(never("qwen").contains("--exclude-tools web_fetch"), "{}", never("qwen"));
        assert!(never("opencode").ends_with(r#"{"webfetch":"deny","websearch":"deny"}"#), "{}", never("opencode"));
        // It has no such tool.
        assert!(!never("pi").contains("untold"), "{}", never("pi"));
        assert!(never("cline").ends_with("untold: web"), "{}", never("cline"));
    }

    #[test]
    fn a_role_of_one_program_is_understood_by_another() {
        let codex = told("pi", Some("Read Bash"), "");
        assert_eq!(codex, "pi -p --mode json --tools read,grep,find,ls,bash");
        assert!(told("claude", Some("fs_write @git/status"), "").contains("Edit,Write,NotebookEdit,@git/status"));
        assert!(told("claude", Some("Bash(git:*)"), "").ends_with("--tools Bash --allowedTools 'Bash(git:*)'"));
        assert!(told("pi", Some("Bash(git:*)"), "").ends_with("untold: Bash(git:*)"));
    }

    #[test]
    fn what_is_used_unasked_is_all_that_is_used() {
        let of = |tools: Option<&str>, allowed: &str| {
            Tools::of(tools.map(list).as_deref(), &list(allowed), &[]).only.map(|only| only.join(" "))
        };
        assert_eq!(of(None, ""), None);
        assert_eq!(of(Some("*"), ""), None);
        assert_eq!(of(Some("read write"), "").as_deref(), Some("read write"));
        assert_eq!(of(Some("read write"), "read shell").as_deref(), Some("read"));
        assert_eq!(of(Some("@builtin"), "fs_read").as_deref(), Some("fs_read"));
        assert_eq!(of(Some("Bash Read"), "Bash(git:*)").as_deref(), Some("Bash(git:*)"));
        let read = |tools: &str| Tools { only: Some(list(tools)), never: Vec::new() }.only_read();
        assert!(
            read("read web")
                && read("")
                && !read("read shell")
                && !read("@git/status")
                && !Tools::default().only_read()
        );
    }

    #[test]
    fn who_is_told_nothing_is_run_as_ever() {
        for preset in super::super::presets() {
            let agent = preset.agent;
            let told = Tools::default().told(&agent.tools);
            assert_eq!(told, Told::default());
            let words = &agent.tools.all;
            assert!(words.iter().all(|word| agent.command.contains(word)), "{}: {words:?}", agent.name);
        }
    }
}
