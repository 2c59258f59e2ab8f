//! Are the files of a base the bytes of its objects? And where they are not, what decides what is written instead.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use git2::{Config, ObjectType, Oid};

use super::Order;
use super::compare::Change;
use crate::core::word::Word;
use crate::git::advance::{EXECUTABLE, PLAIN, are_plain};
use crate::git::index::Index;
use crate::git::objects::Objects;
use crate::process::Tool;

const ATTRIBUTES: &[u8] = b".gitattributes";
/// The likeness of all places whose files are the bytes of the objects.
pub(super) const BYTES: &str = "plain";
const LINK: u32 = 0o120_000;

/// What was found.
pub(super) struct Found {
    /// The files are the bytes of the objects, and all have names that git takes everywhere.
    pub(super) is_plain: bool,
    /// The files of two bases of the same likeness can be taken for each other where their objects are the same.
    pub(super) likeness: String,
}

/// Look at all that may decide it.
pub(super) fn look(order: &Order<'_>, index: &Index, objects: Option<&Objects<'_>>, change: Option<&Change>) -> Found {
    let unknown = || Found { is_plain: false, likeness: format!("only git can tell, of {}", order.base) };
    let (Some(change), Some(objects)) = (change, objects) else { return unknown() };
    let Some(settings) = settings(order) else { return unknown() };
    let Some(outside) = attributes_outside(order, &settings) else { return unknown() };
    let mut files: BTreeMap<Word, Oid> = BTreeMap::new();
    for at in 0..index.len() {
        let (path, known) = index.at(at);
        if path.ends_with(ATTRIBUTES)
            && let Ok(id) = Oid::from_bytes(known.object())
        {
            files.insert(Word::from(path.to_vec()), id);
        }
    }
    let mut are_ordinary = true;
    for (path, new) in &change.entries {
        if path.as_bytes().ends_with(ATTRIBUTES) {
            files.remove(path);
            files.extend(new.map(|(_, id)| (path.clone(), id)));
        }
        if let Some((mode, _)) = new {
            are_ordinary &= is_ordinary(path, *mode);
        }
    }
    let inside: Option<Vec<Vec<u8>>> = files.values().map(|id| objects.blob(*id)).collect();
    let Some(inside) = inside else { return unknown() };
    let are_harmless = outside.iter().chain(&inside).all(|text| is_harmless(text));
    if are_ordinary && are_harmless && are_plain(&settings) {
        return Found { is_plain: true, likeness: BYTES.to_owned() };
    }
    let mut all = told(&settings);
    for text in outside.iter().chain(&inside) {
        all.extend_from_slice(text);
        all.push(0);
    }
    all.extend(files.keys().flat_map(|path| [path.as_bytes(), b"\0"].concat()));
    all.extend(fs::read(order.place.private.join("info/sparse-checkout")).unwrap_or_default());
    let name = Oid::hash_object(ObjectType::Blob, &all).map(|id| id.to_string());
    name.map_or_else(|_| unknown(), |likeness| Found { is_plain: false, likeness })
}

/// All that git would read of configuration there; none where the library reads it in part.
fn settings(order: &Order<'_>) -> Option<Config> {
    let settings = git2::Repository::open(&order.place.private).ok()?.config().ok()?.snapshot().ok()?;
    let has_conditions = settings.entries(Some(r"^includeif\.")).ok()?.next().is_some();
    (!has_conditions).then_some(settings)
}

/// The settings that decide what is written.
fn told(settings: &Config) -> Vec<u8> {
    let mut all = Vec::new();
    let Ok(entries) = settings.entries(Some(r"^(core|filter|lfs|extensions)\.")) else { return all };
    let _ = entries.for_each(|entry| {
        if !entry.name_bytes().starts_with(b"core.hookspath") {
            all.extend([entry.name_bytes(), b"=", entry.value_bytes(), b"\0"].concat());
        }
    });
    all
}

/// The texts of attributes that are not in the tree. None where it is not known where they are.
fn attributes_outside(order: &Order<'_>, settings: &Config) -> Option<Vec<Vec<u8>>> {
    static OF_MACHINE: OnceLock<Option<Vec<PathBuf>>> = OnceLock::new();
    let ask = |name: &str| {
        let answer = Tool::git().args(["var", name]).output().ok()?;
        // It says nothing where it knows of no such file.
        Some(PathBuf::from(String::from_utf8(answer.stdout).ok()?.trim_end_matches('\n')))
    };
    let of_machine = OF_MACHINE.get_or_init(|| Some(vec![ask("GIT_ATTR_SYSTEM")?, ask("GIT_ATTR_GLOBAL")?]));
    let mut paths = of_machine.clone()?;
    paths.push(order.place.private.join("info/attributes"));
    paths.extend(settings.get_path("core.attributesfile").ok());
    let read = |path: PathBuf| match fs::read(path) {
        Ok(text) => Some(text),
        Err(error) => matches!(error.kind(), std::io::ErrorKind::NotFound).then(Vec::new),
    };
    paths.into_iter().filter(|path| !path.as_os_str().is_empty()).map(read).collect()
}

/// Does nothing in this text of attributes let a checkout write something else than the object? Patterns are not looked at:
/// an attribute that is in it at all counts.
fn is_harmless(text: &[u8]) -> bool {
    let is_harmless = |word: &[u8]| match word {
        b"filter" | b"ident" | b"working-tree-encoding" => false,
        b"crlf=input" | b"eol=lf" => true,
        _ => ![&b"filter="[..], b"ident=", b"working-tree-encoding=", b"eol=", b"crlf="]
            .iter()
            .any(|start| word.starts_with(start)),
    };
    text.split(|byte| *byte == b'\n').all(|line| line.split(u8::is_ascii_whitespace).skip(1).all(is_harmless))
}

/// Is it something that git writes without a second look on any system?
fn is_ordinary(path: &Word, mode: u32) -> bool {
    let is_file = matches!(mode, PLAIN | EXECUTABLE);
    let is_name = |name: &[u8]| {
        let is_plain = !matches!(name, b"" | b"." | b"..")
            && !name.iter().any(|byte| matches!(byte, b'\\' | b':'))
            && (name.is_ascii() || !name.contains(&b'.'))
            && !name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"git~"));
        let of_git = name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b".git"));
        let goes_on = name.get(4).is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        is_plain && (!of_git || goes_on && is_file)
    };
    (is_file || mode == LINK) && path.as_bytes().split(|byte| *byte == b'/').all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_that_change_what_is_written_are_found() {
        for text in [
            "* filter=lfs",
            "*.c ident",
            "* eol=crlf",
            "*.txt working-tree-encoding=UTF-16",
            "[attr]x filter=y\n* x",
            "a b\n*\ttext eol=crlf",
            "* crlf=yes",
        ] {
            assert!(!is_harmless(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "* text=auto\n*.png binary\n*.sh eol=lf",
            "*.c diff=cpp -filter",
            "filter text",
            "a linguist-generated",
        ] {
            assert!(is_harmless(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn names_that_git_looks_at_twice_are_left_to_it() {
        let is = |path: &str| is_ordinary(&path.into(), PLAIN);
        assert!(is("a/b.c") && is(".gitignore") && is(".git-blame-ignore-revs") && is("\u{e9}/x"));
        for path in [".git", "a/.GIT/x", ".git ", ".git.", "git~1", "a\\b", "c:", "x\u{200c}.git"] {
            assert!(!is(path), "{path}");
        }
        assert!(!is_ordinary(&".gitmodules".into(), LINK));
        assert!(!is_ordinary(&"sub".into(), 0o160_000));
    }
}
