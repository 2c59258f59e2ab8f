//! Files that do something by being there: what a reviewer should see first, since it is easily missed among the others.
//!
//! They are run by git, a build, an editor, a CI service or an agent, later and elsewhere, with whatever rights those have.

use super::word::Word;

/// What such a file is, and the patterns for it: a name anywhere, or with a slash from the top; `*` at an end is open.
const KNOWN: [(&str, &[&str]); 9] = [
    ("it tells git what to run or how to read files", &[".gitattributes", ".gitmodules", ".gitconfig", ".lfsconfig"]),
    (
        "a CI service runs it",
        &[
            "/.github/workflows/*",
            "/.github/actions/*",
            "/.circleci/*",
            "/.buildkite/*",
            "/.gitlab/*",
            "/.woodpecker/*",
            ".gitlab-ci.yml",
            ".travis.yml",
            "azure-pipelines.yml",
            "bitbucket-pipelines.yml",
            "Jenkinsfile",
            "appveyor.yml",
        ],
    ),
    (
        "git runs it as a hook",
        &["/.husky/*", "/.githooks/*", ".pre-commit-config.yaml", "lefthook.yml", "lefthook.yaml"],
    ),
    ("a shell runs it on entering the directory", &[".envrc", ".mise.toml", "mise.toml", ".tool-versions"]),
    (
        "an editor runs what it says",
        &["/.vscode/*", "/.idea/*", "/.devcontainer/*", ".vimrc", ".nvimrc", ".exrc", ".nvim.lua"],
    ),
    (
        "agents do what it says",
        &[
            "/.claude/*",
            "/.codex/*",
            "/.gemini/*",
            "/.qwen/*",
            "/.kiro/*",
            "/.cursor/*",
            "/.opencode/*",
            ".mcp.json",
            "opencode.json",
            "AGENTS.md",
            "CLAUDE.md",
            "GEMINI.md",
            "QWEN.md",
            ".cursorrules",
            ".windsurfrules",
            ".aider.conf.yml",
        ],
    ),
    ("pleach runs what it says", &["/.pleach.toml", "/.pleach/*", ".worktreeinclude"]),
    (
        "a build runs it",
        &[
            "/.cargo/*",
            "build.rs",
            "package.json",
            ".npmrc",
            ".yarnrc.yml",
            ".pnpmfile.cjs",
            "setup.py",
            "conftest.py",
            "Makefile",
            "GNUmakefile",
            "Rakefile",
            "build.gradle",
            "build.gradle.kts",
            "gradlew",
            "mvnw",
            "rust-toolchain.toml",
            "rust-toolchain",
        ],
    ),
    (
        "it is run as a container or a service",
        &["Dockerfile", "docker-compose.yml", "compose.yaml", "Vagrantfile", "Procfile"],
    ),
];

/// Why a file should be looked at before the others; none where it is one like any other. The modes are git's, before and
/// after.
pub fn why(path: &Word, old_mode: Option<u32>, new_mode: Option<u32>) -> Option<&'static str> {
    const EXECUTABLE: u32 = 0o100_755;
    const LINK: u32 = 0o120_000;
    const GITLINK: u32 = 0o160_000;
    let is_one = |pattern: &&str| fits(pattern.as_bytes(), path.as_bytes());
    if let Some((why, _)) = KNOWN.iter().find(|(_, patterns)| patterns.iter().any(is_one)) {
        return Some(why);
    }
    let became = |mode| new_mode == Some(mode) && old_mode != Some(mode);
    match () {
        () if became(GITLINK) => Some("it points to a commit of another repository"),
        () if became(LINK) => Some("it is a symbolic link now"),
        () if became(EXECUTABLE) => Some("it can be run now"),
        () => None,
    }
}

/// Case does not count: some file systems do not know it.
fn fits(pattern: &[u8], path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    match pattern.strip_prefix(b"/") {
        Some(from_top) => match from_top.strip_suffix(b"*") {
            Some(prefix) => path.len() > prefix.len() && path[..prefix.len()].eq_ignore_ascii_case(prefix),
            None => path.eq_ignore_ascii_case(from_top),
        },
        None => name.eq_ignore_ascii_case(pattern),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_elsewhere_is_looked_at_first() {
        let why = |path: &str| why(&path.into(), Some(0o100_644), Some(0o100_644));
        for path in [
            ".github/workflows/ci.yml",
            "sub/.gitattributes",
            "web/package.json",
            "CLAUDE.md",
            "docs/agents.MD",
            "build.rs",
            ".husky/pre-commit",
            ".pleach.toml",
            ".vscode/tasks.json",
        ] {
            assert!(why(path).is_some(), "{path}");
        }
        for path in
            ["src/main.rs", "docs/.github/readme", "notes/package.json.md", ".github/ISSUE.md", "sub/.pleach.toml"]
        {
            assert_eq!(why(path), None, "{path}");
        }
    }

    #[test]
    fn what_becomes_something_else_is_looked_at_first() {
        let plain = Some(0o100_644);
        assert!(why(&"run".into(), plain, Some(0o100_755)).is_some());
        assert!(why(&"run".into(), None, Some(0o120_000)).is_some());
        assert!(why(&"run".into(), None, Some(0o160_000)).is_some());
        assert_eq!(why(&"run".into(), Some(0o100_755), Some(0o100_755)), None);
        assert_eq!(why(&"run".into(), Some(0o100_755), None), None);
    }
}
