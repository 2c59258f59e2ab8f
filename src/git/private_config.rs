//! What of the user's configuration a private git directory gets: an allow-list. What names credentials,
//! programs of the user's own session or other files to read (`http`, `credential`, `include`) never comes along.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{GitError, Repository};
use crate::core::word::Word;
use crate::process::Tool;

/// Sections that come along whole.
const SECTIONS: &[&str] = &[
    "user",
    "author",
    "committer",
    "filter",
    "lfs",
    "diff",
    "merge",
    "remote",
    "branch",
    "submodule",
    "commit",
    "gpg",
    "tag",
    "pull",
    "rebase",
    "alias",
    "i18n",
    "url",
    "push",
    "fetch",
    "init",
    "rerere",
];

/// What comes along of `core`.
const CORE: &[&str] = &[
    "filemode",
    "symlinks",
    "ignorecase",
    "precomposeunicode",
    "autocrlf",
    "eol",
    "safecrlf",
    "whitespace",
    "quotepath",
    "longpaths",
    "sparsecheckout",
    "sparsecheckoutcone",
    "excludesfile",
    "attributesfile",
];

/// One setting: `section.subsection.name`, and its value where it has one.
struct Setting<'a> {
    section: &'a str,
    subsection: Option<&'a [u8]>,
    name: &'a str,
    value: Option<&'a [u8]>,
}

/// A setting as it is listed: is it of the repository or its checkout, its key, and its value where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    is_local: bool,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

/// The text of the private configuration, from one reading of the user's. `hooks` is where its hooks are, where it does not
/// say so itself.
///
/// # Errors
/// Where git cannot read the configuration.
pub(super) fn derive(repo: &Repository, checkout: &Path, hooks: &Path) -> Result<Vec<u8>, GitError> {
    let listed = match by_library(checkout) {
        Some(listed) => listed,
        None => by_git(repo, checkout)?,
    };
    // The last one counts, whatever file it is in.
    let pairs = listed.iter().map(|listed| (&*listed.key, listed.value.as_deref().unwrap_or_default()));
    let effective: HashMap<&[u8], &[u8]> = pairs.collect();
    let local = listed.iter().filter(|listed| listed.is_local);
    let settings: Vec<Setting<'_>> = local.filter_map(|listed| parse(&listed.key, listed.value.as_deref())).collect();
    Ok(compose(hooks, &settings, &effective))
}

fn by_git(repo: &Repository, checkout: &Path) -> Result<Vec<Listed>, GitError> {
    let ask = repo.git().arg("--git-dir").arg(checkout);
    let answer = ask.args(["config", "--list", "--includes", "--show-scope", "-z"]).run()?;
    let mut listed = Vec::new();
    let mut fields = answer.split(|byte| *byte == 0);
    while let (Some(scope), Some(field)) = (fields.next(), fields.next()) {
        let (key, value) = match field.iter().position(|byte| *byte == b'\n') {
            Some(at) => (&field[..at], Some(field[at + 1..].to_vec())),
            None => (field, None),
        };
        // What we say ourselves is no setting of the user.
        if scope != b"command" {
            listed.push(Listed { is_local: matches!(scope, b"local" | b"worktree"), key: key.to_vec(), value });
        }
    }
    Ok(listed)
}

/// The same without a process; none where the library cannot read all that git does.
fn by_library(checkout: &Path) -> Option<Vec<Listed>> {
    let system = system_file()?;
    let agreed = git2::Config::find_system().is_ok_and(|of_library| of_library == *system);
    let mut listed = Vec::new();
    let mut is_known = true;
    if !agreed && system.exists() {
        git2::Config::open(system)
            .ok()?
            .entries(None)
            .ok()?
            .for_each(|entry| {
                // Its conditions ask about a repository that this reading does not know.
                is_known &= !entry.name_bytes().starts_with(b"includeif.");
                listed.push(Listed::of(entry));
            })
            .ok()?;
    }
    let config = git2::Repository::open(checkout).ok()?.config().ok()?;
    config
        .entries(None)
        .ok()?
        .for_each(|entry| {
            // Of a linked worktree it takes the wrong branch, and what remotes there are it does not ask.
            let key = entry.name_bytes();
            is_known &= !key.starts_with(b"includeif.") || key.starts_with(b"includeif.gitdir");
            let is_system = matches!(entry.level(), git2::ConfigLevel::System | git2::ConfigLevel::ProgramData);
            if agreed || !is_system {
                listed.push(Listed::of(entry));
            }
        })
        .ok()?;
    is_known.then_some(listed)
}

impl Listed {
    fn of(entry: &git2::ConfigEntry<'_>) -> Self {
        Self {
            is_local: matches!(entry.level(), git2::ConfigLevel::Local | git2::ConfigLevel::Worktree),
            key: entry.name_bytes().to_vec(),
            value: entry.has_value().then(|| entry.value_bytes().to_vec()),
        }
    }
}

/// The configuration of the whole machine: where it is depends on how git was built, and the library has an opinion of
/// its own. Asked once. None where this git cannot tell.
fn system_file() -> Option<&'static PathBuf> {
    static OF_GIT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let ask = || Tool::git().args(["var", "GIT_CONFIG_SYSTEM"]).line().ok().map(PathBuf::from);
    OF_GIT.get_or_init(ask).as_ref()
}

fn compose(hooks: &Path, settings: &[Setting<'_>], effective: &HashMap<&[u8], &[u8]>) -> Vec<u8> {
    let mut text = Vec::new();
    let local = |section: &str, name: &str| {
        let found = settings.iter().rev().find(|s| s.section == section && s.subsection.is_none() && s.name == name);
        found.and_then(|s| s.value)
    };
    let format = local("extensions", "objectformat").filter(|format| !format.eq_ignore_ascii_case(b"sha1"));
    let partial = local("extensions", "partialclone");
    let version: &[u8] = if format.is_some() || partial.is_some() { b"1" } else { b"0" };
    let mut own = |section: &str, name: &str, value: &[u8]| {
        put(&mut text, &Setting { section, subsection: None, name, value: Some(value) });
    };
    own("core", "repositoryformatversion", version);
    for (name, value) in [("objectformat", format), ("partialclone", partial)] {
        if let Some(value) = value {
            own("extensions", name, value);
        }
    }
    own("core", "bare", b"false");
    own("core", "logallrefupdates", b"true");
    own("gc", "auto", b"0");
    own("maintenance", "auto", b"false");
    let hooks = Word::from(hooks);
    // A path in the tree itself (`.githooks`) stays one: the task has a tree of its own.
    own("core", "hookspath", effective.get(&b"core.hookspath"[..]).copied().unwrap_or(hooks.as_bytes()));
    for (name, fallback) in [("name", &b"pleach"[..]), ("email", b"pleach@localhost")] {
        let key = format!("user.{name}");
        let value = effective.get(key.as_bytes()).copied().filter(|value| !value.is_empty());
        own("user", name, value.unwrap_or(fallback));
    }
    for setting in settings.iter().filter(|setting| comes_along(setting)) {
        put(&mut text, setting);
    }
    text
}

fn comes_along(setting: &Setting<'_>) -> bool {
    match setting.section {
        "core" => setting.subsection.is_none() && CORE.contains(&setting.name),
        // Written above, as it counts.
        "user" if setting.subsection.is_none() && matches!(setting.name, "name" | "email") => false,
        section => SECTIONS.contains(&section),
    }
}

/// Git answers section and name in lower case; the subsection is as it was written.
fn parse<'a>(key: &'a [u8], value: Option<&'a [u8]>) -> Option<Setting<'a>> {
    let first = key.iter().position(|byte| *byte == b'.')?;
    let last = key.iter().rposition(|byte| *byte == b'.')?;
    let section = std::str::from_utf8(&key[..first]).ok()?;
    let name = std::str::from_utf8(&key[last + 1..]).ok()?;
    let subsection = (first < last).then(|| &key[first + 1..last]);
    Some(Setting { section, subsection, name, value })
}

fn put(text: &mut Vec<u8>, setting: &Setting<'_>) {
    text.extend(format!("[{}", setting.section).bytes());
    if let Some(subsection) = setting.subsection {
        text.extend(b" \"");
        for byte in subsection {
            if matches!(byte, b'"' | b'\\') {
                text.push(b'\\');
            }
            text.push(*byte);
        }
        text.push(b'"');
    }
    text.extend(format!("]\n\t{}", setting.name).bytes());
    if let Some(value) = setting.value {
        text.extend(b" = \"");
        for byte in value {
            match byte {
                b'\n' => text.extend(b"\\n"),
                b'"' | b'\\' => text.extend([b'\\', *byte]),
                _ => text.push(*byte),
            }
        }
        text.push(b'"');
    }
    text.push(b'\n');
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests write files as a user would")]
mod tests {
    use super::*;

    const ODD: &str = "\
[core]
	filemode = true
	HooksPath = \"a\\nb \\\"c\\\" \\\\ \\t# no comment\" ; a comment
[user]
	name
[Remote \"Or\\\"i\\\\gin.x\"]
	url = one \\
two   three  
	url = again
	fetch =
[branch.Old]
	merge = refs/heads/\u{e9}
[alias] x = !f() { echo \\\"hi\\\"; }; f
[include]
	path = more
	path = missing
[includeIf \"gitdir:**/.git\"]
	path = here
[includeIf \"gitdir:/nowhere/\"]
	path = nowhere
[extensions]
	worktreeConfig = true
[user]
	name = Last
";

    #[test]
    fn the_library_reads_what_git_reads() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let git = |args: &[&str]| Tool::git().dir(&top).args(args).run().unwrap();
        git(&["init", "-q", "-b", "main"]);
        let who = ["-c", "user.name=x", "-c", "user.email=x@y"];
        git(&[&who[..], &["commit", "-q", "--allow-empty", "-m", "first"]].concat());
        git(&["worktree", "add", "-q", "--detach", "linked"]);
        let common = top.join(".git");
        let config = std::fs::read_to_string(common.join("config")).unwrap();
        std::fs::write(common.join("config"), config + ODD).unwrap();
        for (name, text) in [
            ("more", "[user]\n\temail = from@include\n[include]\n\tpath = deep\n"),
            ("deep", "[i18n]\n\tcommitEncoding = latin1\n"),
            ("here", "[gpg \"ssh\"]\n\tprogram = here\n"),
            ("nowhere", "[gpg]\n\tprogram = nowhere\n"),
            ("config.worktree", "[core]\n\tsparseCheckout = true\n"),
            ("worktrees/linked/config.worktree", "[core]\n\tsparseCheckoutCone = true\n"),
        ] {
            std::fs::write(common.join(name), text).unwrap();
        }
        let repo = Repository::at(&common);
        for checkout in [common.clone(), common.join("worktrees/linked")] {
            let ours = by_library(&checkout);
            // An old git cannot tell where its file for the machine is.
            if system_file().is_some() {
                assert_eq!(ours, Some(by_git(&repo, &checkout).unwrap()), "{}", checkout.display());
            }
        }
        for condition in ["hasconfig:remote.*.url:again", "onbranch:main"] {
            let key = format!("includeIf.{condition}.path");
            git(&["config", &key, "more"]);
            assert_eq!(by_library(&common), None, "{condition}");
            git(&["config", "--unset", &key]);
        }
        assert!(by_library(&common).is_some());
        let derived = derive(&repo, &common, &common.join("hooks")).unwrap();
        let file = top.join("derived");
        std::fs::write(&file, derived).unwrap();
        let read = |key: &str| {
            let values = Tool::git().args(["config", "--file"]).arg(&file).args(["--get-all", key]).run().unwrap();
            String::from_utf8(values).unwrap()
        };
        assert_eq!(read("core.hooksPath"), "a\nb \"c\" \\ \t# no comment\n");
        assert_eq!(read("remote.Or\"i\\gin.x.url"), "one two   three\nagain\n");
        assert_eq!((&*read("user.name"), &*read("user.email")), ("Last\n", "from@include\n"));
    }
}
