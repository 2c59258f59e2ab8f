//! The programs that a role may run, as paths: names are looked for in `PATH`, and what runs a script belongs to it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::config::env;
use crate::core::role::Permissions;
use crate::core::role::commands::Programs;
use crate::core::task::CommandLine;
use crate::core::word::Word;
use crate::ops::{Error, ErrorKind};

/// What runs lines of commands; what it starts is looked at by the kernel like anything else.
const SHELLS: [&str; 2] = ["sh", "bash"];
/// Scripts that are run by scripts that are run by scripts.
const DEEPEST: usize = 4;

/// What it can run; none for anything. `runners` are the programs that do the task itself: its agent.
///
/// # Errors
/// Where a pattern of it cannot be understood.
pub(super) fn exec(
    permissions: &Permissions,
    command: &CommandLine,
    runners: &[String],
) -> Result<Option<Vec<Word>>, Error> {
    if permissions.exec.is_none() && permissions.commands.is_none() {
        return Ok(None);
    }
    let mut allowed = BTreeSet::new();
    let mut open: Vec<PathBuf> = Vec::new();
    for one in permissions.exec.iter().flatten() {
        match one.as_bytes() {
            b"." => {
                allowed.insert(Word::from("."));
            }
            bytes if bytes.contains(&b'/') => {
                let path = one.as_path();
                let is_program = path.is_absolute() && is_program(path);
                if is_program {
                    open.push(path.to_owned());
                } else {
                    allowed.insert(one.clone());
                }
            }
            _ => open.extend(find(&one.shown())),
        }
    }
    if let Some(commands) = &permissions.commands {
        let known = known();
        let names = known.keys().map(String::as_str);
        let meant = commands.programs(names).map_err(|why| Error::plain(ErrorKind::Usage, why))?;
        match meant {
            // Whatever a command begins with is allowed, so nothing is left to be refused.
            Programs::Any if permissions.exec.is_none() => return Ok(None),
            Programs::Any => {}
            Programs::These(names) => open.extend(names.iter().filter_map(|name| known.get(name)).cloned()),
        }
        open.extend(SHELLS.iter().filter_map(|name| find(name)));
    }
    if matches!(command, CommandLine::Shell(_)) {
        open.extend(find("sh"));
    }
    for runner in runners {
        let path = if runner.contains('/') { Some(PathBuf::from(runner)) } else { find(runner) };
        open.extend(path.clone());
        allowed.extend(path.and_then(|path| package(&path)).map(Word::from));
    }
    for path in open {
        allow(&path, &mut allowed, 0);
    }
    Ok(Some(allowed.into_iter().collect()))
}

/// A program, and what runs it where it is a script.
fn allow(path: &Path, allowed: &mut BTreeSet<Word>, depth: usize) {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let is_new = allowed.insert(Word::from(real.as_path()));
    if is_new && depth < DEEPEST {
        for next in interpreters(&real) {
            allow(&next, allowed, depth + 1);
        }
    }
}

/// Of `#!/usr/bin/env node`: `/usr/bin/env` and `node`.
fn interpreters(path: &Path) -> Vec<PathBuf> {
    let mut begin = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(512).read_to_end(&mut begin));
    if read.is_err() || !begin.starts_with(b"#!") {
        return Vec::new();
    }
    let line = begin[2..].split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line).into_owned();
    let mut words = line.split_whitespace();
    let Some(program) = words.next() else { return Vec::new() };
    let named = words.find(|word| !word.starts_with('-') && !word.contains('='));
    let named = named.filter(|_| program.ends_with("/env")).and_then(find);
    std::iter::once(PathBuf::from(program)).chain(named).collect()
}

/// A program of npm starts others of its own package.
fn package(path: &Path) -> Option<PathBuf> {
    let real = path.canonicalize().ok()?;
    let parts: Vec<_> = real.components().collect();
    let at = parts.iter().rposition(|part| part.as_os_str() == "node_modules")?;
    let is_scoped = parts.get(at + 1)?.as_os_str().as_encoded_bytes().starts_with(b"@");
    Some(parts[..parts.len().min(at + if is_scoped { 3 } else { 2 })].iter().collect())
}

/// The first of this name in `PATH`.
fn find(name: &str) -> Option<PathBuf> {
    env::search_path()
        .into_iter()
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(name))
        .find(|path| is_program(path))
}

/// Everything that could be run by its name, and by its whole path.
fn known() -> BTreeMap<String, PathBuf> {
    let mut known = BTreeMap::new();
    for dir in env::search_path().into_iter().filter(|dir| dir.is_absolute()) {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let Some(name) = entry.file_name().to_str().map(str::to_owned).filter(|_| is_program(&path)) else {
                continue;
            };
            known.entry(path.display().to_string()).or_insert_with(|| path.clone());
            known.entry(name).or_insert(path);
        }
    }
    known
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}
