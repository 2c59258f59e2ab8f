//! The files that roles are in.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::Found;
use crate::config::{Untrusted, env};
use crate::core::report::roles::BrokenRow;
use crate::core::role::{Imported, Owner, RoleName, Wrong, claude, codex, kiro, own};
use crate::core::word::Word;
use crate::ops::{Error, ErrorKind, Session};

/// Bytes that a file may have.
const LARGEST: u64 = 256 << 10;

/// A place in which roles are.
struct Source {
    /// What it is called; a role is also named `SOURCE:NAME`.
    name: &'static str,
    owner: Owner,
    ending: &'static str,
    import: fn(&str, &str) -> Result<Imported, Wrong>,
    /// Below the home of its owner (the checkout, for a project), unless somebody says where.
    dir: &'static str,
}

/// All places. Of roles with the same name the first counts: what the user wrote before what came with the repository, so that no
/// repository can put something else in the place of a name that its user trusts.
const SOURCES: &[Source] = &[
    Source { name: "user", owner: Owner::User, ending: "toml", import: own::import, dir: "" },
    Source { name: "user-kiro", owner: Owner::User, ending: "json", import: kiro::import, dir: ".kiro/agents" },
    Source { name: "user-claude", owner: Owner::User, ending: "md", import: claude::import, dir: ".claude/agents" },
    Source { name: "user-codex", owner: Owner::User, ending: "toml", import: codex::import, dir: ".codex/agents" },
    Source { name: "project", owner: Owner::Project, ending: "toml", import: own::import, dir: ".pleach/roles" },
    Source { name: "project-kiro", owner: Owner::Project, ending: "json", import: kiro::import, dir: ".kiro/agents" },
    Source {
        name: "project-claude",
        owner: Owner::Project,
        ending: "md",
        import: claude::import,
        dir: ".claude/agents",
    },
    Source {
        name: "project-codex",
        owner: Owner::Project,
        ending: "toml",
        import: codex::import,
        dir: ".codex/agents",
    },
];

/// All roles that there are.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// In the order in which they count.
    pub(super) all: Vec<Found>,
    pub(super) broken: Vec<Broken>,
}

/// A file that is no role.
#[derive(Debug, Clone)]
pub struct Broken {
    source: &'static str,
    file: PathBuf,
    wrong: Wrong,
}

/// Read them.
///
/// # Errors
/// Where the configuration cannot be read. A file that is no role is told, and keeps no other from being one.
pub fn catalog(session: &Session) -> Result<Catalog, Error> {
    session.config()?;
    let top = session.found.checkout.as_ref().map(|checkout| checkout.top.as_path());
    let mut catalog = Catalog::default();
    for source in SOURCES {
        let Some(dir) = directory(source, top) else { continue };
        for file in files(&dir, source.ending) {
            match read(source, &file, top) {
                Ok(found) => catalog.all.push(found),
                Err(wrong) => catalog.broken.push(Broken { source: source.name, file, wrong }),
            }
        }
    }
    pin(&mut catalog.all);
    Ok(catalog)
}

fn directory(source: &Source, top: Option<&Path>) -> Option<PathBuf> {
    match (source.owner, source.name) {
        (Owner::Project, _) => top.map(|top| top.join(source.dir)),
        (Owner::User, "user") => env::config_home().map(|home| home.join("pleach/roles")),
        (Owner::User, "user-codex") => {
            env::codex_home().map(|home| home.join("agents")).or_else(|| env::home().map(|home| home.join(source.dir)))
        }
        (Owner::User, _) => env::home().map(|home| home.join(source.dir)),
    }
}

fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let is_role = |path: &PathBuf| path.extension().is_some_and(|found| found == ending);
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_role).collect();
    files.sort();
    files
}

fn read(source: &Source, file: &Path, top: Option<&Path>) -> Result<Found, Wrong> {
    let within = top.filter(|_| source.owner == Owner::Project);
    let text = text(file, within)?;
    let stem = file.file_stem().map(|stem| Word::from(stem.to_owned()).shown()).unwrap_or_default();
    let Imported { mut role, prompt_file, notes } = (source.import)(&text, &stem)?;
    let mut whole = format!("{} {}\n{text}", source.name, role.name);
    if let Some(path) = prompt_file {
        let path = file.parent().unwrap_or(file).join(&path);
        let what = |wrong: Wrong| Wrong { line: None, what: format!("its prompt, {}: {wrong}", path.display()) };
        let prompt = self::text(&path, within).map_err(what)?;
        whole.push('\n');
        whole.push_str(&prompt);
        role.prompt = prompt;
    }
    let hash = Untrusted::new("role", whole, file).hash;
    Ok(Found { role, source: source.name, owner: source.owner, file: file.to_owned(), notes, hash })
}

/// A file of a project lies in its checkout, also where it is a link: else it could show what the project cannot read.
fn text(file: &Path, within: Option<&Path>) -> Result<String, Wrong> {
    let wrong = |what: String| Wrong { line: None, what };
    let cannot = |error: std::io::Error| wrong(format!("cannot read it: {error}"));
    let real = file.canonicalize().map_err(cannot)?;
    if let Some(top) = within
        && !top.canonicalize().is_ok_and(|top| real.starts_with(top))
    {
        return Err(wrong("it lies outside of the checkout".to_owned()));
    }
    let opened = std::fs::File::open(&real).map_err(cannot)?;
    if !opened.metadata().is_ok_and(|data| data.is_file()) {
        return Err(wrong("it is no file".to_owned()));
    }
    let mut bytes = Vec::new();
    opened.take(LARGEST + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > LARGEST {
        return Err(wrong(format!("it has more than {} KiB", LARGEST >> 10)));
    }
    String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8 text".to_owned()))
}

/// Who approves a role that trusts others approves these as they are: a change of one of them asks again.
fn pin(all: &mut [Found]) {
    let plain: Vec<(RoleName, String)> =
        all.iter().map(|found| (found.role.name.clone(), found.hash.clone())).collect();
    for found in all.iter_mut().filter(|found| !found.role.trusted.is_empty()) {
        let trusted =
            plain.iter().filter(|(name, _)| found.role.trusts(name)).map(|(name, hash)| format!("\n{name} {hash}"));
        let whole: String = std::iter::once(found.hash.clone()).chain(trusted).collect();
        found.hash = Untrusted::new("role", whole, &found.file).hash;
    }
}

impl Catalog {
    /// The role that counts of those with this name.
    pub(super) fn first(&self, name: &RoleName) -> Option<&Found> {
        self.all.iter().find(|found| found.role.name == *name)
    }

    /// The role that somebody means: `reviewer`, or `project:reviewer`, `kiro:reviewer` where several have that name.
    ///
    /// # Errors
    /// Where there is none.
    pub(super) fn find(&self, said: &str) -> Result<&Found, Error> {
        let (source, name) = said.split_once(':').map_or((None, said), |(source, name)| (Some(source), name));
        let is_from = |found: &&Found| {
            source.is_none_or(|source| found.source == source || found.source.ends_with(&format!("-{source}")))
        };
        if let Some(found) = self.all.iter().filter(|found| found.role.name.as_str() == name).find(is_from) {
            return Ok(found);
        }
        let is_meant = |broken: &&Broken| broken.file.file_stem().is_some_and(|stem| stem == name);
        if let Some(broken) = self.broken.iter().find(is_meant) {
            let message = format!("{} is no role: {}", broken.place(), broken.wrong);
            return Err(Error::new(ErrorKind::UnknownRole, message, "mend that file and try again"));
        }
        let mut known: Vec<&str> = self.all.iter().map(|found| found.role.name.as_str()).collect();
        known.dedup();
        let hint = match known.is_empty() {
            true => "write one: .pleach/roles/NAME.toml (see docs/roles.md)".to_owned(),
            false => format!("there are {}; see `pleach roles`", known.join(", ")),
        };
        Err(Error::new(ErrorKind::UnknownRole, format!("there is no role {said}"), hint))
    }
}

impl Broken {
    fn place(&self) -> String {
        let line = self.wrong.line.map(|line| format!(":{line}")).unwrap_or_default();
        format!("{}{line}", self.file.display())
    }

    pub(super) fn row(&self) -> BrokenRow {
        BrokenRow {
            source: self.source.to_owned(),
            file: Word::from(self.file.as_path()),
            line: self.wrong.line,
            problem: self.wrong.what.clone(),
        }
    }
}
