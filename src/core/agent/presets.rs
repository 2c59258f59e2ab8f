//! The agents that are known beforehand. Which version of each was seen to work stands beside it, and where none was.

use std::collections::BTreeMap;

use super::{Agent, Changes, Dialect, Kind, PromptBy, StateDir, ToolOptions};

/// An agent that is known beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preset {
    /// How it is called and understood.
    pub agent: Agent,
    /// The version that was seen to work; none where nobody has tried it.
    pub tested: Option<&'static str>,
    /// How to get it.
    pub install: &'static str,
}

/// The table, in short: each row becomes an [`Agent`].
struct Known {
    name: &'static str,
    kind: Kind,
    dialect: Option<Dialect>,
    command: &'static str,
    prompt: PromptBy,
    model: &'static str,
    turns: &'static str,
    budget: &'static str,
    tools: Tools,
    env: &'static [(&'static str, &'static str)],
    pass: &'static str,
    state: &'static [Kept],
    leftovers: &'static [&'static str],
    tested: Option<&'static str>,
    install: &'static str,
}

/// Where one keeps its state, in short: see [`StateDir`].
struct Kept {
    from: &'static str,
    to: &'static str,
    variable: &'static str,
    skip: &'static str,
    shared: &'static str,
}

const CLAUDE_STATE: &[Kept] = &[
    Kept {
        from: ".claude",
        to: "",
        variable: "CLAUDE_CONFIG_DIR",
        skip: "projects todos shell-snapshots statsig file-history debug history.jsonl",
        shared: ".credentials.json",
    },
    Kept { from: ".claude.json", to: ".claude.json", variable: "CLAUDE_CONFIG_DIR", skip: "", shared: "" },
];
const CODEX_STATE: &[Kept] = &[Kept {
    from: ".codex",
    to: "",
    variable: "CODEX_HOME",
    skip: "sessions archived_sessions log history.jsonl tmp worktrees",
    shared: "auth.json",
}];
const GEMINI_STATE: &[Kept] = &[Kept {
    from: ".gemini",
    to: ".gemini",
    variable: "GEMINI_CLI_HOME",
    skip: "tmp history",
    shared: "oauth_creds.json",
}];
const OPENCODE_STATE: &[Kept] = &[
    Kept {
        from: ".local/share/opencode",
        to: "opencode",
        variable: "XDG_DATA_HOME",
        skip: "log snapshot storage worktree opencode.db opencode.db-wal opencode.db-shm",
        shared: "auth.json",
    },
    Kept { from: ".local/state/opencode", to: "opencode", variable: "XDG_STATE_HOME", skip: "", shared: "" },
    Kept { from: ".cache/opencode", to: "opencode", variable: "XDG_CACHE_HOME", skip: "", shared: "" },
];
const PI_STATE: &[Kept] =
    &[Kept { from: ".pi/agent", to: "", variable: "PI_CODING_AGENT_DIR", skip: "sessions", shared: "auth.json" }];
const CLINE_STATE: &[Kept] =
    &[Kept { from: ".cline", to: "", variable: "CLINE_DIR", skip: "data/sessions worktrees", shared: "" }];

impl Kept {
    fn state(&self) -> StateDir {
        StateDir {
            from: self.from.to_owned(),
            to: self.to.to_owned(),
            variable: self.variable.to_owned(),
            skip: words(self.skip),
            shared: words(self.shared),
        }
    }
}

/// How one is told of its tools, in short: see [`ToolOptions`]. Each text is words with blanks between them.
struct Tools {
    names: &'static [(&'static str, &'static str)],
    all: &'static str,
    only: &'static str,
    never: &'static str,
    without: &'static [(&'static str, &'static str)],
    variable: Option<&'static str>,
    patterns: bool,
    asks: &'static str,
}

const UNTOLD: Tools =
    Tools { names: &[], all: "", only: "", never: "", without: &[], variable: None, patterns: false, asks: "" };
const CLAUDE_TOOLS: Tools = Tools {
    names: &[
        ("read", "Read Glob Grep"),
        ("write", "Edit Write NotebookEdit"),
        ("shell", "Bash"),
        ("web", "WebFetch WebSearch"),
        ("delegate", "Agent"),
    ],
    all: "--dangerously-skip-permissions",
    only: "--permission-mode dontAsk --tools {names} --allowedTools {tools}",
    never: "--disallowedTools {tools}",
    patterns: true,
    ..UNTOLD
};
const CODEX_TOOLS: Tools =
    Tools { without: &[("shell", "-c features.shell_tool=false"), ("web", "-c web_search=disabled")], ..UNTOLD };
const GEMINI_NAMES: &[(&str, &str)] = &[
    ("read", "read_file read_many_files list_directory glob grep_search search_file_content"),
    ("write", "write_file replace"),
    ("shell", "run_shell_command"),
    ("web", "web_fetch google_web_search"),
];
const GEMINI_TOOLS: Tools =
    Tools { names: GEMINI_NAMES, all: "--yolo", only: "--allowed-tools {tools}", patterns: true, ..UNTOLD };
const QWEN_TOOLS: Tools = Tools {
    names: &[
        ("read", "read_file list_directory glob grep_search"),
        ("write", "write_file edit"),
        ("shell", "run_shell_command"),
        ("web", "web_fetch"),
        ("delegate", "agent"),
    ],
    only: "--core-tools {tools}",
    never: "--exclude-tools {tools}",
    patterns: true,
    ..UNTOLD
};
const OPENCODE_TOOLS: Tools = Tools {
    names: &[
        ("read", "read glob grep list"),
        ("write", "edit"),
        ("shell", "bash"),
        ("web", "webfetch websearch"),
        ("delegate", "task"),
    ],
    variable: Some("OPENCODE_PERMISSION"),
    ..UNTOLD
};
const PI_TOOLS: Tools = Tools {
    names: &[("read", "read grep find ls"), ("write", "edit write"), ("shell", "bash")],
    only: "--tools {tools}",
    ..UNTOLD
};
const AIDER_TOOLS: Tools =
    Tools { without: &[("shell", "--no-suggest-shell-commands"), ("web", "--no-detect-urls")], ..UNTOLD };
const KIRO_TOOLS: Tools = Tools {
    names: &[
        ("read", "read glob grep"),
        ("write", "write"),
        ("shell", "shell"),
        ("web", "web_search web_fetch"),
        ("delegate", "subagent"),
    ],
    all: "--trust-all-tools",
    only: "--trust-tools={tools}",
    ..UNTOLD
};
/// Those that are spoken with ask, and are answered.
const ASKS: Tools = Tools { asks: "write shell web", ..UNTOLD };

const NONE: Known = Known {
    name: "",
    kind: Kind::JsonStream,
    dialect: None,
    command: "",
    prompt: PromptBy::Stdin,
    model: "--model {model}",
    turns: "",
    budget: "",
    tools: UNTOLD,
    env: &[],
    pass: "",
    state: &[],
    leftovers: &[],
    tested: None,
    install: "",
};

const ANTHROPIC: &str = "ANTHROPIC_API_KEY ANTHROPIC_AUTH_TOKEN ANTHROPIC_BASE_URL ANTHROPIC_MODEL CLAUDE_CODE_OAUTH_TOKEN \
    CLAUDE_CONFIG_DIR CLAUDE_CODE_USE_BEDROCK CLAUDE_CODE_USE_VERTEX";
const OPENAI: &str = "OPENAI_API_KEY OPENAI_BASE_URL CODEX_API_KEY CODEX_HOME";
const GEMINI: &str = "GEMINI_API_KEY GOOGLE_API_KEY GOOGLE_GEMINI_BASE_URL GOOGLE_CLOUD_PROJECT GOOGLE_CLOUD_LOCATION \
    GOOGLE_GENAI_USE_VERTEXAI GEMINI_MODEL";
const KIRO: &str = "KIRO_API_KEY";
const QWEN: &str = "OPENAI_API_KEY OPENAI_BASE_URL OPENAI_MODEL DASHSCOPE_API_KEY";
const ANY: &str = "ANTHROPIC_API_KEY ANTHROPIC_BASE_URL OPENAI_API_KEY OPENAI_BASE_URL OPENAI_API_BASE OPENROUTER_API_KEY \
    GEMINI_API_KEY GOOGLE_API_KEY GOOGLE_GENERATIVE_AI_API_KEY DEEPSEEK_API_KEY MISTRAL_API_KEY GROQ_API_KEY XAI_API_KEY \
    OPENCODE_CONFIG OPENCODE_CONFIG_CONTENT OPENCODE_API_KEY";

const MINI: &str = "ANTHROPIC_API_KEY ANTHROPIC_BASE_URL OPENAI_API_KEY OPENAI_BASE_URL OPENAI_API_BASE OPENROUTER_API_KEY \
    GEMINI_API_KEY GOOGLE_API_KEY DEEPSEEK_API_KEY MISTRAL_API_KEY GROQ_API_KEY XAI_API_KEY MSWEA_MODEL_NAME \
    MSWEA_COST_TRACKING MSWEA_GLOBAL_CONFIG_DIR LITELLM_MODEL_REGISTRY_PATH";

// As root it refuses to go without questions unless it is told that something holds it, which is so.
const CLAUDE_ENV: &[(&str, &str)] =
    &[("IS_SANDBOX", "1"), ("DISABLE_AUTOUPDATER", "1"), ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")];
// Without it, it asks for a model and a key, and nobody is there to answer.
const MINI_ENV: &[(&str, &str)] = &[("MSWEA_CONFIGURED", "true")];
const GEMINI_ENV: &[(&str, &str)] = &[("GEMINI_CLI_TRUST_WORKSPACE", "true")];

const KNOWN: &[Known] = &[
    Known {
        name: "claude",
        dialect: Some(Dialect::Claude),
        command: "claude -p --output-format stream-json --verbose --dangerously-skip-permissions",
        turns: "--max-turns {turns}",
        budget: "--max-budget-usd {budget}",
        env: CLAUDE_ENV,
        pass: ANTHROPIC,
        tested: Some("2.1.197"),
        tools: CLAUDE_TOOLS,
        state: CLAUDE_STATE,
        install: "npm install -g @anthropic-ai/claude-code",
        ..NONE
    },
    Known {
        name: "codex",
        dialect: Some(Dialect::Codex),
        command: "codex exec --json --dangerously-bypass-approvals-and-sandbox {options} -",
        pass: OPENAI,
        tested: Some("0.169.0"),
        tools: CODEX_TOOLS,
        state: CODEX_STATE,
        install: "npm install -g @openai/codex",
        ..NONE
    },
    Known {
        name: "gemini",
        dialect: Some(Dialect::Gemini),
        command: "gemini --yolo -o stream-json",
        env: GEMINI_ENV,
        pass: GEMINI,
        tested: Some("0.61.0"),
        tools: GEMINI_TOOLS,
        state: GEMINI_STATE,
        install: "npm install -g @google/gemini-cli",
        ..NONE
    },
    Known {
        name: "qwen",
        dialect: Some(Dialect::Claude),
        command: "qwen --yolo -o stream-json",
        turns: "--max-session-turns {turns}",
        pass: QWEN,
        tools: QWEN_TOOLS,
        tested: Some("0.15.10"),
        install: "npm install -g @qwen-code/qwen-code",
        ..NONE
    },
    Known {
        name: "opencode",
        dialect: Some(Dialect::Opencode),
        command: "opencode run --format json --auto",
        pass: ANY,
        tested: Some("1.18.33"),
        tools: OPENCODE_TOOLS,
        state: OPENCODE_STATE,
        install: "npm install -g opencode-ai",
        ..NONE
    },
    Known {
        name: "pi",
        dialect: Some(Dialect::Pi),
        command: "pi -p --mode json",
        pass: ANY,
        tools: PI_TOOLS,
        state: PI_STATE,
        tested: Some("0.73.1"),
        install: "npm install -g @mariozechner/pi-coding-agent",
        ..NONE
    },
    Known {
        name: "cline",
        dialect: Some(Dialect::Cline),
        command: "cline --json --auto-approve true {options} {prompt}",
        prompt: PromptBy::Argument,
        pass: ANY,
        state: CLINE_STATE,
        tested: Some("3.0.65"),
        install: "npm install -g cline",
        ..NONE
    },
    Known {
        name: "aider",
        kind: Kind::Command,
        command: "aider --yes-always --no-stream --no-pretty --no-gitignore --no-check-update --message-file {prompt_file}",
        prompt: PromptBy::File,
        pass: ANY,
        leftovers: &[".aider*"],
        tested: Some("0.86.2"),
        tools: AIDER_TOOLS,
        install: "pip install aider-chat",
        ..NONE
    },
    Known {
        name: "mini-swe-agent",
        kind: Kind::Command,
        command: "mini -y --exit-immediately {options} -t {prompt}",
        prompt: PromptBy::Argument,
        model: "-m {model}",
        budget: "-l {budget}",
        env: MINI_ENV,
        pass: MINI,
        tested: Some("2.4.6"),
        install: "pip install mini-swe-agent mcp",
        ..NONE
    },
    Known {
        name: "kiro",
        kind: Kind::Command,
        command: "kiro-cli chat --no-interactive --trust-all-tools {options} {prompt}",
        prompt: PromptBy::Argument,
        tools: KIRO_TOOLS,
        pass: KIRO,
        install: "see kiro.dev",
        ..NONE
    },
    Known {
        name: "opencode-acp",
        kind: Kind::Acp,
        command: "opencode acp",
        model: "",
        pass: ANY,
        tested: Some("1.18.33"),
        tools: OPENCODE_TOOLS,
        state: OPENCODE_STATE,
        install: "npm install -g opencode-ai",
        ..NONE
    },
    Known {
        name: "gemini-acp",
        kind: Kind::Acp,
        command: "gemini --acp",
        env: GEMINI_ENV,
        pass: GEMINI,
        tested: Some("0.61.0"),
        tools: ASKS,
        state: GEMINI_STATE,
        install: "npm install -g @google/gemini-cli",
        ..NONE
    },
    Known {
        name: "claude-acp",
        kind: Kind::Acp,
        command: "claude-code-acp",
        model: "",
        env: CLAUDE_ENV,
        pass: ANTHROPIC,
        tools: ASKS,
        state: CLAUDE_STATE,
        tested: Some("0.16.2"),
        install: "npm install -g @zed-industries/claude-code-acp",
        ..NONE
    },
    Known {
        name: "codex-acp",
        kind: Kind::Acp,
        // By itself it may only read, and asks nobody.
        command: "codex-acp -c approval_policy=never -c sandbox_mode=danger-full-access",
        model: "-c model={model}",
        pass: OPENAI,
        tools: CODEX_TOOLS,
        state: CODEX_STATE,
        tested: Some("0.16.0"),
        install: "npm install -g @zed-industries/codex-acp",
        ..NONE
    },
    Known {
        name: "kiro-acp",
        kind: Kind::Acp,
        command: "kiro-cli acp",
        model: "",
        tools: ASKS,
        pass: KIRO,
        install: "see kiro.dev",
        ..NONE
    },
];

impl Known {
    fn preset(&self) -> Preset {
        let env = self.env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let agent = Agent {
            name: self.name.to_owned(),
            kind: self.kind,
            dialect: self.dialect,
            command: words(self.command),
            prompt: self.prompt,
            model: words(self.model),
            turns: words(self.turns),
            budget: words(self.budget),
            tools: self.tools.options(),
            env: env.collect::<BTreeMap<_, _>>(),
            pass: words(self.pass),
            state: self.state.iter().map(Kept::state).collect(),
            needs_memory: 0,
            leftovers: words(&self.leftovers.join(" ")),
            accept: Vec::new(),
            changes: Changes::Required,
        };
        Preset { agent, tested: self.tested, install: self.install }
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

impl Tools {
    fn options(&self) -> ToolOptions {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, text)| ((*name).to_owned(), words(text))).collect();
        ToolOptions {
            names: map(self.names),
            all: words(self.all),
            only: words(self.only),
            never: words(self.never),
            without: map(self.without),
            variable: self.variable.map(str::to_owned),
            patterns: self.patterns,
            asks: words(self.asks),
        }
    }
}

/// What agents call the tools that are named so in general.
pub(super) fn calls(general: &str) -> impl Iterator<Item = &'static str> {
    let named = move |known: &'static Known| known.tools.names.iter().filter(move |(name, _)| *name == general);
    KNOWN.iter().flat_map(named).flat_map(|(_, names)| names.split_whitespace())
}

/// All of them.
pub fn presets() -> impl Iterator<Item = Preset> {
    KNOWN.iter().map(Known::preset)
}

/// One of them.
pub fn preset(name: &str) -> Option<Preset> {
    KNOWN.iter().find(|known| known.name == name).map(Known::preset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_preset_is_whole() {
        for Preset { agent, install, .. } in presets() {
            let has = |hole: &str| agent.command.iter().any(|word| word == hole);
            assert!(super::super::is_name(&agent.name) && !install.is_empty() && !agent.command.is_empty());
            assert_eq!(agent.dialect.is_some(), agent.kind == Kind::JsonStream, "{}", agent.name);
            assert_eq!(has("{prompt}"), agent.prompt == PromptBy::Argument, "{}", agent.name);
            assert_eq!(has("{prompt_file}"), agent.prompt == PromptBy::File, "{}", agent.name);
            for (words, hole) in [(&agent.model, "{model}"), (&agent.turns, "{turns}"), (&agent.budget, "{budget}")] {
                assert!(words.is_empty() || words.iter().any(|word| word.contains(hole)), "{} {hole}", agent.name);
            }
            let text = serde_json::to_string(&agent).unwrap();
            assert_eq!(serde_json::from_str::<Agent>(&text).unwrap(), agent);
        }
    }
}
