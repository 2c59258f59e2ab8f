//! Everything that we take from the environment: the only home of `std::env`.
//!
//! [`NAMES`] lists each variable that we read, with what it means; the man page prints it. [`inherited`] is the
//! other half: what of the caller's environment a task may see.
#![expect(clippy::disallowed_methods, reason = "this is the home of the environment")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::core::id::{AttemptId, TaskId};
use crate::core::sandbox::Tier;
use crate::core::secret::is_secret;
use crate::core::word::Word;

/// Where the state of all repositories lives.
pub const STATE_DIR: &str = "PLEACH_STATE_DIR";
/// A directory whose files arm crash points (for tests).
pub const CRASH: &str = "PLEACH_CRASH";
/// How long a coordinator without work stays, in seconds.
pub const IDLE_SECONDS: &str = "PLEACH_IDLE_SECONDS";
/// How many tasks run at once.
pub const CONCURRENCY: &str = "PLEACH_CONCURRENCY";
/// The tier of the sandbox.
pub const SANDBOX: &str = "PLEACH_SANDBOX";
/// Inside a task: its id.
pub const TASK: &str = "PLEACH_TASK";
/// Inside a task: its attempt.
pub const ATTEMPT: &str = "PLEACH_ATTEMPT";
/// Inside a task: where it speaks to the outside.
pub const SOCKET: &str = "PLEACH_SOCKET";
/// Inside a task: how many tasks it is inside of.
pub const DEPTH: &str = "PLEACH_DEPTH";
/// Inside a task that an agent does: what it was asked.
pub const PROMPT_TEXT: &str = "PLEACH_PROMPT_TEXT";
/// What a client of `pleach mcp --http` has to bear.
pub const MCP_TOKEN: &str = "PLEACH_MCP_TOKEN";
/// Where a hook of Claude Code is told the project.
pub const CLAUDE_PROJECT: &str = "CLAUDE_PROJECT_DIR";
/// Where Codex keeps its configuration.
pub const CODEX_HOME: &str = "CODEX_HOME";
/// Inside a task that was given an earlier result back: the directory that tells of it.
pub const HANDBACK: &str = "PLEACH_HANDBACK";
/// The same: why it was given back.
pub const HANDBACK_KIND: &str = "PLEACH_HANDBACK_KIND";
/// The same: the last commit of that result.
pub const HANDBACK_TIP: &str = "PLEACH_HANDBACK_TIP";

/// Inside a task of a plan: the directory with the diffs and summaries of its needs.
pub const NEEDS: &str = "PLEACH_NEEDS";
/// Inside a task of a plan that has a prompt: the file that holds it.
pub const PROMPT: &str = "PLEACH_PROMPT";
/// Inside a task of a plan: what it is one of `for_each` for.
pub const ITEM: &str = "PLEACH_ITEM";

/// Inside a hook: the file that says what it is run for, in JSON.
pub const HOOK: &str = "PLEACH_HOOK";

/// Every variable that we read or set, and what it means.
pub const NAMES: &[(&str, &str)] = &[
    ("PLEACH_EVENT", "set for what `[notify]` starts: the kind of event"),
    (STATE_DIR, "where worktrees and logs are kept (default: $XDG_STATE_HOME/pleach)"),
    (CONCURRENCY, "how many tasks run at once (default: the number of cores)"),
    (SANDBOX, "the tier of the sandbox: best, full, reduced or none (default: best, or what the configuration says)"),
    (IDLE_SECONDS, "how long a coordinator without work stays, in seconds (default: 60)"),
    (
        CRASH,
        "for tests: a directory; a file in it makes the process die at the point of that name, or `without.NAME` go without that",
    ),
    (TASK, "set inside a task: its id"),
    (ATTEMPT, "set inside a task: its attempt, such as 7.2"),
    (SOCKET, "set inside a task: the socket over which it reports"),
    (DEPTH, "set inside a task: how many tasks it is inside of"),
    (HANDBACK, "set inside a task after `retry --onto-target`: the directory that tells of the earlier result"),
    (HANDBACK_KIND, "the same: why it was handed back (conflict, rejected, held or ready)"),
    (HANDBACK_TIP, "the same: the last commit of the earlier result"),
    (
        NEEDS,
        "set inside a task of a plan: the directory that holds `NAME.diff` and `NAME.summary` of each of its needs",
    ),
    (PROMPT, "set inside a task of a plan: the file that holds its prompt"),
    (ITEM, "set inside a task of a plan: its item of `for_each`"),
    (HOOK, "set for `setup` (and its task) and `verify`: the file that says in JSON what that is run for"),
    (PROMPT_TEXT, "set inside a task that came of a `prompt` over `pleach mcp`: that text"),
    (MCP_TOKEN, "the token of `pleach mcp --http` (default: a new one each time)"),
    (CLAUDE_PROJECT, "set by Claude Code for `pleach hook claude`: its project"),
    (CODEX_HOME, "where `pleach mcp install --client codex --scope user` finds its config.toml (default: ~/.codex)"),
    ("NO_COLOR", "no colour, where it is not empty"),
    ("CLICOLOR_FORCE", "colour also in a pipe, where it is neither empty nor 0"),
    ("COLUMNS", "the width of the output, where there is no terminal to ask"),
    ("TERM", "`dumb` means no colour and no pager"),
    ("TMUX", "inside tmux, a notification is passed on to the terminal around it"),
    ("GIT_PAGER", "what pages long output; before git's core.pager"),
    ("PAGER", "what pages long output; after git's core.pager"),
    ("LESS", "options of less (default: FRX)"),
    ("HOME", "the home of the user"),
    ("PWD", "the name of the working directory, where there is a link on the way to it"),
    ("XDG_CONFIG_HOME", "where the user's pleach/config.toml is (default: ~/.config)"),
    ("XDG_STATE_HOME", "where the user's state is (default: ~/.local/state)"),
];

/// Seconds that a coordinator without work stays, where nothing else is said.
pub const DEFAULT_IDLE_SECONDS: u64 = 60;

/// A variable holds something else than it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}={value:?} is not {expected}")]
pub struct BadVariable {
    /// Which.
    pub name: &'static str,
    /// What it holds.
    pub value: String,
    /// What it should hold, with its article.
    pub expected: &'static str,
}

/// What a process inside a task knows of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    /// Its task.
    pub task: TaskId,
    /// Its attempt.
    pub attempt: AttemptId,
    /// Where it speaks to the outside.
    pub socket: PathBuf,
    /// How many tasks it is inside of: 1 for a task that a person started.
    pub depth: u32,
}

/// Where the state of all repositories lives, where that was said.
pub fn state_dir() -> Option<PathBuf> {
    path(STATE_DIR)
}

/// The directory whose files arm crash points.
pub fn crash_points() -> Option<PathBuf> {
    path(CRASH)
}

/// How long a coordinator without work stays. What is not a number counts as not said: a coordinator has nobody
/// to complain to.
pub fn idle_seconds() -> u64 {
    text(IDLE_SECONDS).and_then(|text| text.parse().ok()).unwrap_or(DEFAULT_IDLE_SECONDS)
}

/// How many tasks run at once, where the environment says so.
///
/// # Errors
/// Where it is not a number above 0.
pub fn concurrency() -> Result<Option<usize>, BadVariable> {
    let Some(value) = text(CONCURRENCY) else { return Ok(None) };
    match value.parse::<usize>() {
        Ok(number) if number > 0 => Ok(Some(number)),
        _ => Err(BadVariable { name: CONCURRENCY, value, expected: "a number above 0" }),
    }
}

/// The tier of the sandbox, where the environment says so; within, none means the best that works.
///
/// # Errors
/// Where it is not one.
pub fn sandbox() -> Result<Option<Option<Tier>>, BadVariable> {
    let Some(value) = text(SANDBOX) else { return Ok(None) };
    match super::file::tier(&value) {
        Some(tier) => Ok(Some(tier)),
        None => Err(BadVariable { name: SANDBOX, value, expected: super::file::A_TIER }),
    }
}

/// The task that this process runs in, if it runs in one.
pub fn inside() -> Option<Inside> {
    let attempt: AttemptId = text(ATTEMPT)?.parse().ok()?;
    let depth = text(DEPTH).and_then(|depth| depth.parse().ok()).unwrap_or(1);
    Some(Inside { task: attempt.task, attempt, socket: path(SOCKET)?, depth })
}

/// The project of the conversation of Claude Code whose hook we are.
pub fn claude_project() -> Option<PathBuf> {
    absolute(CLAUDE_PROJECT)
}

/// The home of the user.
pub fn home() -> Option<PathBuf> {
    path("HOME")
}

/// The working directory by the name that the shell of the user has for it.
pub fn working_directory() -> Option<PathBuf> {
    absolute("PWD")
}

/// What a client of `pleach mcp --http` has to bear, where that was said.
pub fn mcp_token() -> Option<String> {
    text(MCP_TOKEN)
}

/// Where Codex keeps its configuration, where that was said.
pub fn codex_home() -> Option<PathBuf> {
    path(CODEX_HOME)
}

/// The directories in which programs are looked for.
pub fn search_path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

/// The directory of the user's configuration files: `$XDG_CONFIG_HOME`, else `~/.config`.
pub fn config_home() -> Option<PathBuf> {
    absolute("XDG_CONFIG_HOME").or_else(|| Some(home()?.join(".config")))
}

/// The directory of the user's state: `$XDG_STATE_HOME`, else `~/.local/state`.
pub fn state_home() -> Option<PathBuf> {
    absolute("XDG_STATE_HOME").or_else(|| Some(home()?.join(".local/state")))
}

/// Variables that decide how output looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// `NO_COLOR` is there and not empty.
    pub no_color: bool,
    /// `CLICOLOR_FORCE` is there, not empty and not `0`.
    pub force_color: bool,
    /// `TERM` is `dumb`.
    pub dumb: bool,
    /// `COLUMNS`.
    pub columns: Option<usize>,
}

/// Variables that decide how output looks.
pub fn look() -> Look {
    let said = |name| path(name).is_some();
    Look {
        no_color: said("NO_COLOR"),
        force_color: said("CLICOLOR_FORCE") && text("CLICOLOR_FORCE").as_deref() != Some("0"),
        dumb: text("TERM").as_deref() == Some("dumb"),
        columns: text("COLUMNS").and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0),
    }
}

/// Is this inside tmux?
pub fn in_tmux() -> bool {
    path("TMUX").is_some()
}

/// Variables that choose a pager. Empty is not the same as absent: it means none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paging {
    /// `GIT_PAGER`.
    pub git_pager: Option<OsString>,
    /// `PAGER`.
    pub pager: Option<OsString>,
    /// `LESS` is there.
    pub has_less: bool,
    /// `LV` is there.
    pub has_lv: bool,
}

/// Variables that choose a pager.
pub fn paging() -> Paging {
    Paging {
        git_pager: std::env::var_os("GIT_PAGER"),
        pager: std::env::var_os("PAGER"),
        has_less: std::env::var_os("LESS").is_some(),
        has_lv: std::env::var_os("LV").is_some(),
    }
}

/// The editor of the user, as a line for `sh -c`: `VISUAL`, else `EDITOR`.
pub fn editor() -> Option<OsString> {
    ["VISUAL", "EDITOR"].into_iter().find_map(|name| std::env::var_os(name).filter(|said| !said.is_empty()))
}

/// The caller's environment, reduced to what a task may inherit. `pass` are names that were allowed on purpose.
pub fn inherited(pass: &[String]) -> BTreeMap<String, Word> {
    reduce(std::env::vars_os(), pass)
}

/// [`inherited`], of any environment.
pub fn reduce(all: impl IntoIterator<Item = (OsString, OsString)>, pass: &[String]) -> BTreeMap<String, Word> {
    let kept = all.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, Word::from(value))));
    kept.filter(|(name, _)| may_inherit(name, pass)).collect()
}

/// May a task see the caller's value of this variable?
pub fn may_inherit(name: &str, pass: &[String]) -> bool {
    // A git hook that calls us exports GIT_DIR; ours are about this very process. No wish changes that.
    if name.starts_with("GIT_") || name.starts_with("PLEACH_") {
        return false;
    }
    if pass.iter().any(|passed| passed == name) {
        return true;
    }
    // A pattern is not a name: who writes `AWS_*` may not think of each that it means.
    let is_meant = || pass.iter().any(|passed| passed.contains('*') && matches(passed, name));
    !is_refused(name) && (is_known(name) || is_meant())
}

/// Each `*` of a pattern stands for any number of characters.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(left) = name.strip_prefix(first) else { return false };
    (0..=left.len()).any(|at| left.is_char_boundary(at) && matches(rest, &left[at..]))
}

fn is_known(name: &str) -> bool {
    PASSED.contains(&name) || PASSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// What is refused even where a prefix would pass it.
fn is_refused(name: &str) -> bool {
    REFUSED.contains(&name) || REFUSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || is_secret(name)
}

const PASSED_PREFIXES: &[&str] = &["LC_", "NIX_"];

/// People and places, the network, and the roots of toolchains: without these, commands that work outside fail inside.
#[rustfmt::skip]
const PASSED: &[&str] = &[
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TERM", "COLORTERM", "NO_COLOR", "TMPDIR",
    "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_DATA_DIRS", "XDG_CONFIG_DIRS",
    // Proxies and certificates.
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
    // Rust, Go, C.
    "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "GOPATH", "GOROOT", "GOBIN", "GOCACHE", "GOMODCACHE",
    "GOPROXY", "GOPRIVATE", "GOTOOLCHAIN", "CC", "CXX", "CCACHE_DIR", "SCCACHE_DIR", "PKG_CONFIG_PATH", "SDKROOT",
    "DEVELOPER_DIR", "MACOSX_DEPLOYMENT_TARGET", "VCPKG_ROOT",
    // Python, Ruby, Perl, Julia.
    "PYENV_ROOT", "PYENV_VERSION", "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "CONDA_EXE", "UV_CACHE_DIR",
    "PIP_CACHE_DIR", "POETRY_HOME", "PIPX_HOME", "RBENV_ROOT", "RBENV_VERSION", "GEM_HOME", "GEM_PATH", "PERL5LIB",
    "JULIA_DEPOT_PATH",
    // JavaScript.
    "NVM_DIR", "NVM_BIN", "VOLTA_HOME", "FNM_DIR", "FNM_MULTISHELL_PATH", "N_PREFIX", "PNPM_HOME", "BUN_INSTALL",
    "DENO_DIR", "DENO_INSTALL", "NPM_CONFIG_CACHE", "npm_config_cache", "YARN_CACHE_FOLDER", "COREPACK_HOME",
    // The JVM, Android, .NET.
    "JAVA_HOME", "JDK_HOME", "GRADLE_USER_HOME", "M2_HOME", "MAVEN_HOME", "SDKMAN_DIR", "ANDROID_HOME",
    "ANDROID_SDK_ROOT", "ANDROID_NDK_HOME", "DOTNET_ROOT", "NUGET_PACKAGES",
    // OCaml, Haskell, Elixir, Lean, PHP, Dart, Swift.
    "OPAMROOT", "OPAM_SWITCH_PREFIX", "GHCUP_INSTALL_BASE_PREFIX", "STACK_ROOT", "CABAL_DIR", "MIX_HOME", "HEX_HOME",
    "ELAN_HOME", "COMPOSER_HOME", "PUB_CACHE", "FLUTTER_ROOT", "SWIFTLY_HOME_DIR",
    // Version managers and package managers of all sorts.
    "ASDF_DIR", "ASDF_DATA_DIR", "MISE_DATA_DIR", "MISE_CONFIG_DIR", "PROTO_HOME", "HOMEBREW_PREFIX",
    "HOMEBREW_CELLAR", "HOMEBREW_REPOSITORY",
];

/// Things that run code in whoever reads them, and doors to agents, displays and clusters.
#[rustfmt::skip]
const REFUSED: &[&str] = &[
    "BASH_ENV", "ENV", "PROMPT_COMMAND", "PYTHONSTARTUP", "NODE_OPTIONS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER",
    "SSH_AUTH_SOCK", "SSH_AGENT_PID", "GPG_AGENT_INFO", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY",
    "XAUTHORITY", "DOCKER_HOST", "KUBECONFIG",
];

const REFUSED_PREFIXES: &[&str] = &["LD_", "DYLD_", "GIT_"];

/// The caller's own value of a variable that was named on purpose.
pub fn named(name: &str) -> Option<Word> {
    std::env::var_os(name).map(Word::from)
}

fn path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The XDG rules: a relative path is as good as none.
fn absolute(name: &str) -> Option<PathBuf> {
    path(name).filter(|path| path.is_absolute())
}

fn text(name: &str) -> Option<String> {
    path(name).map(|path| String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_task_inherits() {
        let passed = "PATH HOME USER LOGNAME SHELL LANG LC_ALL LC_CTYPE TZ TERM COLORTERM NO_COLOR TMPDIR XDG_CACHE_HOME \
            CARGO_HOME RUSTUP_HOME GOPATH JAVA_HOME PYENV_ROOT NVM_DIR NIX_PATH NIX_SSL_CERT_FILE VIRTUAL_ENV HTTP_PROXY https_proxy \
            NO_PROXY no_proxy SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS";
        for name in passed.split_whitespace() {
            assert!(may_inherit(name, &[]), "{name} should pass");
        }
        let refused = "GIT_DIR GIT_INDEX_FILE GIT_CONFIG_COUNT GIT_SSH_COMMAND LD_PRELOAD LD_LIBRARY_PATH \
            DYLD_INSERT_LIBRARIES BASH_ENV ENV PROMPT_COMMAND PYTHONSTARTUP NODE_OPTIONS RUSTC_WRAPPER SSH_AUTH_SOCK \
            GPG_AGENT_INFO DBUS_SESSION_BUS_ADDRESS DISPLAY WAYLAND_DISPLAY DOCKER_HOST KUBECONFIG AWS_SECRET_ACCESS_KEY \
            OPENAI_API_KEY GH_TOKEN github_token DB_PASSWORD MY_PASSWD GOOGLE_APPLICATION_CREDENTIALS NIX_TOKEN_FILE \
            LC_API_KEY PLEACH_TASK PLEACH_SOCKET PLEACH_CRASH PWD OLDPWD SHLVL _ EDITOR FOO";
        for name in refused.split_whitespace() {
            assert!(!may_inherit(name, &[]), "{name} should not pass");
        }
    }

    #[test]
    fn a_name_that_was_allowed_on_purpose_passes_unless_it_is_of_git_or_ours() {
        let pass = ["OPENAI_API_KEY", "LD_LIBRARY_PATH", "FOO", "GIT_DIR", "PLEACH_SOCKET"].map(str::to_owned);
        let allowed: Vec<_> = pass.iter().filter(|name| may_inherit(name, &pass)).collect();
        assert_eq!(allowed, ["OPENAI_API_KEY", "LD_LIBRARY_PATH", "FOO"]);
    }

    #[test]
    fn a_pattern_passes_what_is_neither_secret_nor_dangerous() {
        let may = |pattern: &str, name| may_inherit(name, &[pattern.to_owned()]);
        for (pattern, name) in [("AWS_*", "AWS_REGION"), ("*_URL", "MY_URL"), ("A*B*C", "AxBBxC"), ("*", "FOO")] {
            assert!(may(pattern, name), "{pattern} {name}");
        }
        let kept = [("AWS_*", "AWS_SECRET_ACCESS_KEY"), ("*", "LD_PRELOAD"), ("*", "GIT_DIR"), ("*", "SSH_AUTH_SOCK")];
        for (pattern, name) in kept.into_iter().chain([("A*B*C", "AxBBx"), ("AWS_", "AWS_REGION")]) {
            assert!(!may(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn values_keep_their_bytes() {
        use std::os::unix::ffi::OsStringExt;
        let value = OsString::from_vec(b"/caf\xe9".to_vec());
        let all = [("HOME".into(), value.clone()), ("SECRET".into(), "x".into())];
        assert_eq!(reduce(all, &[]), BTreeMap::from([("HOME".to_owned(), Word::from(value))]));
    }

    #[test]
    fn nothing_that_passes_by_name_is_refused_by_a_pattern() {
        for name in PASSED {
            assert!(!is_refused(name), "{name} is on both lists");
        }
    }
}
