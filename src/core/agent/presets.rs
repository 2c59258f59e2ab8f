//! The agents that are known beforehand. Which version of each was seen to work stands beside it, and where none was.

use std::collections::BTreeMap;

use super::{Agent, Changes, Dialect, Kind, PromptBy};

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
    env: &'static [(&'static str, &'static str)],
    pass: &'static str,
    leftovers: &'static [&'static str],
    tested: Option<&'static str>,
    install: &'static str,
}

const NONE: Known = Known {
    name: "",
    kind: Kind::JsonStream,
    dialect: None,
    command: "",
    prompt: PromptBy::Stdin,
    model: "--model {model}",
    turns: "",
    budget: "",
    env: &[],
    pass: "",
    leftovers: &[],
    tested: None,
    install: "",
};

const ANTHROPIC: &str = "ANTHROPIC_API_KEY ANTHROPIC_AUTH_TOKEN ANTHROPIC_BASE_URL ANTHROPIC_MODEL CLAUDE_CODE_OAUTH_TOKEN \
    CLAUDE_CONFIG_DIR CLAUDE_CODE_USE_BEDROCK CLAUDE_CODE_USE_VERTEX";
const OPENAI: &str = "OPENAI_API_KEY OPENAI_BASE_URL CODEX_API_KEY CODEX_HOME";
const GEMINI: &str = "GEMINI_API_KEY GOOGLE_API_KEY GOOGLE_GEMINI_BASE_URL GOOGLE_CLOUD_PROJECT GOOGLE_CLOUD_LOCATION \
    GOOGLE_GENAI_USE_VERTEXAI GEMINI_MODEL";
const QWEN: &str = "OPENAI_API_KEY OPENAI_BASE_URL OPENAI_MODEL DASHSCOPE_API_KEY";
const ANY: &str = "ANTHROPIC_API_KEY ANTHROPIC_BASE_URL OPENAI_API_KEY OPENAI_BASE_URL OPENAI_API_BASE OPENROUTER_API_KEY \
    GEMINI_API_KEY GOOGLE_API_KEY GOOGLE_GENERATIVE_AI_API_KEY DEEPSEEK_API_KEY MISTRAL_API_KEY GROQ_API_KEY XAI_API_KEY \
    OPENCODE_CONFIG OPENCODE_CONFIG_CONTENT OPENCODE_API_KEY";

// As root it refuses to go without questions unless it is told that something holds it, which is so.
const CLAUDE_ENV: &[(&str, &str)] =
    &[("IS_SANDBOX", "1"), ("DISABLE_AUTOUPDATER", "1"), ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")];
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
        install: "npm install -g @anthropic-ai/claude-code",
        ..NONE
    },
    Known {
        name: "codex",
        dialect: Some(Dialect::Codex),
        command: "codex exec --json --dangerously-bypass-approvals-and-sandbox {options} -",
        pass: OPENAI,
        tested: Some("0.169.0"),
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
        install: "npm install -g @google/gemini-cli",
        ..NONE
    },
    Known {
        name: "qwen",
        dialect: Some(Dialect::Claude),
        command: "qwen --yolo -o stream-json",
        turns: "--max-session-turns {turns}",
        pass: QWEN,
        install: "npm install -g @qwen-code/qwen-code",
        ..NONE
    },
    Known {
        name: "opencode",
        dialect: Some(Dialect::Opencode),
        command: "opencode run --format json --auto",
        pass: ANY,
        tested: Some("1.18.33"),
        install: "npm install -g opencode-ai",
        ..NONE
    },
    Known {
        name: "pi",
        dialect: Some(Dialect::Pi),
        command: "pi -p --mode json",
        pass: ANY,
        install: "npm install -g @mariozechner/pi-coding-agent",
        ..NONE
    },
    Known {
        name: "cline",
        dialect: Some(Dialect::Cline),
        command: "cline --json --auto-approve true {options} {prompt}",
        prompt: PromptBy::Argument,
        pass: ANY,
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
        pass: ANY,
        install: "pip install mini-swe-agent mcp",
        ..NONE
    },
    Known {
        name: "kiro",
        kind: Kind::Command,
        command: "kiro-cli chat --no-interactive --trust-all-tools {options} {prompt}",
        prompt: PromptBy::Argument,
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
        install: "npm install -g @zed-industries/claude-code-acp",
        ..NONE
    },
    Known {
        name: "codex-acp",
        kind: Kind::Acp,
        command: "codex-acp",
        model: "-c model={model}",
        pass: OPENAI,
        install: "npm install -g @zed-industries/codex-acp",
        ..NONE
    },
    Known { name: "kiro-acp", kind: Kind::Acp, command: "kiro-cli acp", model: "", install: "see kiro.dev", ..NONE },
];

impl Known {
    fn preset(&self) -> Preset {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
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
            env: env.collect::<BTreeMap<_, _>>(),
            pass: words(self.pass),
            state: None,
            needs_memory: 0,
            leftovers: words(&self.leftovers.join(" ")),
            accept: Vec::new(),
            changes: Changes::Required,
        };
        Preset { agent, tested: self.tested, install: self.install }
    }
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
