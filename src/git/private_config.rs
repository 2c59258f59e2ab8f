//! What of the user's configuration a private git directory gets: an allow-list. What names credentials,
//! programs of the user's own session or other files to read (`http`, `credential`, `include`) never comes along.

use std::collections::HashMap;
use std::path::Path;

use super::{GitError, Repository};
use crate::core::word::Word;

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

/// The text of the private configuration, from one reading of the user's.
///
/// # Errors
/// Where git cannot read the configuration.
pub(super) fn derive(repo: &Repository, checkout: &Path) -> Result<Vec<u8>, GitError> {
    let ask = repo.git().arg("--git-dir").arg(checkout);
    let answer = ask.args(["config", "--list", "--includes", "--show-scope", "-z"]).run()?;
    let mut settings = Vec::new();
    // The last one counts, whatever file it is in.
    let mut effective: HashMap<&[u8], &[u8]> = HashMap::new();
    let mut fields = answer.split(|byte| *byte == 0);
    while let (Some(scope), Some(field)) = (fields.next(), fields.next()) {
        let (key, value) = match field.iter().position(|byte| *byte == b'\n') {
            Some(at) => (&field[..at], Some(&field[at + 1..])),
            None => (field, None),
        };
        if scope != b"command" {
            effective.insert(key, value.unwrap_or_default());
        }
        if let (b"local" | b"worktree", Some(setting)) = (scope, parse(key, value)) {
            settings.push(setting);
        }
    }
    Ok(compose(repo, &settings, &effective))
}

fn compose(repo: &Repository, settings: &[Setting<'_>], effective: &HashMap<&[u8], &[u8]>) -> Vec<u8> {
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
    let hooks = repo.common_dir().join("hooks");
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
