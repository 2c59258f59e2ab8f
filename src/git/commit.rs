//! Commits that we make: who made them, and how they are written and signed.

use git2::ObjectType;
use jiff::Timestamp;

use super::opened::Opened;
use super::{GitError, Repository, loose};
use crate::core::id::{CommitId, TreeId};
use crate::core::word::one_line;
use crate::process::{Tool, ToolError};

/// A power cut must not leave a ref on a commit of which half is empty files: git's default does not sync objects.
pub(super) const DURABLE: [&str; 2] = ["-c", "core.fsync=loose-object"];

/// Who makes a commit, and when. The time is given, so that planning twice gives the same commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name.
    pub name: String,
    /// The address.
    pub email: String,
    /// When.
    pub at: Timestamp,
}

impl Identity {
    /// The committer that the user's configuration names for this repository; `pleach` where it names none.
    ///
    /// # Errors
    /// Where git cannot be run.
    pub fn of(repo: &Repository, at: Timestamp) -> Result<Self, GitError> {
        let opened = repo.open();
        if let Some(told) = opened.settings().and_then(|settings| configured(&settings)) {
            let (name, email) = told.unwrap_or_else(nobody);
            return Ok(Self { name, email, at });
        }
        Self::by_git(repo, at)
    }

    pub(super) fn by_git(repo: &Repository, at: Timestamp) -> Result<Self, GitError> {
        // Git would else make up a name from the account and an address from the host.
        let asked = repo.git().args(["-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT"]);
        let output = asked.output()?;
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        let told = Author::parse(answer.trim_end().as_bytes()).filter(|_| output.code == Some(0));
        let (name, email) = match told {
            Some(author) => (author.name, author.email),
            None => nobody(),
        };
        Ok(Self { name, email, at })
    }

    fn author(&self) -> Author {
        let date = format!("@{} +0000", self.at.as_second());
        Author { name: self.name.clone(), email: self.email.clone(), date }
    }
}

fn nobody() -> (String, String) {
    ("pleach".to_owned(), "pleach@localhost".to_owned())
}

/// The committer of a configuration; `None` inside where it names none, outside where only git can tell (a name that
/// it would clean, an address that comes from the environment).
fn configured(settings: &git2::Config) -> Option<Option<(String, String)>> {
    let has = |key: &str| settings.get_entry(key).is_ok();
    if !["committer.name", "user.name", "author.name"].into_iter().any(has) {
        return Some(None);
    }
    let text = |what: &str| {
        let role = if has(&format!("committer.{what}")) { "committer" } else { "user" };
        settings.get_string(&format!("{role}.{what}")).ok().filter(|text| is_plain(text))
    };
    Some(Some((text("name")?, text("email")?)))
}

/// A name or address that git takes as it is: all versions of it clean some of the others, each in its own way.
fn is_plain(text: &str) -> bool {
    let is_end = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || matches!(c, ')' | '(' | ']' | '['));
    is_end(text.chars().next()) && is_end(text.chars().last()) && !text.contains(['<', '>', '\n', '\0'])
}

/// Text that git takes for UTF-8: it mends what it does not, and these it does not.
fn is_utf8_for_git(text: &str) -> bool {
    let is_no_character = |c: char| u32::from(c) & 0xfffe == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c);
    !text.chars().any(is_no_character)
}

/// `Name <address> seconds zone`, as commits have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Author {
    name: String,
    email: String,
    date: String,
}

impl Author {
    fn parse(line: &[u8]) -> Option<Self> {
        let line = String::from_utf8_lossy(line);
        let (name, rest) = line.split_once('<')?;
        let (email, date) = rest.rsplit_once('>')?;
        let own = |text: &str| text.trim().to_owned();
        Some(Self { name: own(name), email: own(email), date: format!("@{}", date.trim()) })
    }

    /// The line of a commit, without its key; `None` where git would not take the parts as they are.
    fn line(&self) -> Option<String> {
        let Self { name, email, date } = self;
        let date = date.strip_prefix('@')?;
        let (seconds, zone) = date.split_once(' ')?;
        let is_seconds = seconds.parse::<u32>().is_ok_and(|number| number.to_string() == seconds);
        let (hours, minutes) = zone.strip_prefix(['+', '-']).filter(|digits| digits.len() == 4)?.split_at_checked(2)?;
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let is_zone = is_number(hours) && is_number(minutes) && minutes < "60" && zone != "-0000";
        (is_seconds && is_zone && is_plain(name) && is_plain(email)).then(|| format!("{name} <{email}> {date}"))
    }

    fn given_to(&self, tool: Tool, role: &str) -> Tool {
        // Git refuses an empty name, though old commits have it.
        let name = if self.name.is_empty() { "unknown" } else { &self.name };
        let variable = |what| format!("GIT_{role}_{what}");
        tool.env(variable("NAME"), name).env(variable("EMAIL"), &self.email).env(variable("DATE"), &self.date)
    }
}

/// A commit to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) tree: TreeId,
    pub(super) parents: Vec<CommitId>,
    pub(super) author: Author,
    pub(super) encoding: String,
    pub(super) message: Vec<u8>,
}

/// What came of a commit that the user may want signed.
pub(super) enum Made {
    Commit(CommitId),
    NotSigned(String),
}

impl Commit {
    pub(super) fn new(tree: TreeId, parents: Vec<CommitId>, who: &Identity, message: &str) -> Self {
        Self { tree, parents, author: who.author(), encoding: "UTF-8".to_owned(), message: message.as_bytes().to_vec() }
    }

    /// A commit that is there. Its parents are left out.
    pub(super) fn read(opened: &Opened<'_>, id: CommitId) -> Result<Self, GitError> {
        let raw = opened.commit_bytes(id)?;
        let strange = || GitError::Answer { command: "cat-file commit", answer: String::from_utf8_lossy(&raw).into() };
        let end = raw.windows(2).position(|pair| pair == b"\n\n").unwrap_or(raw.len());
        let value = |key: &[u8]| {
            let mut lines = raw[..end].split(|byte| *byte == b'\n');
            lines.find_map(|line| line.strip_prefix(key)).map(<[u8]>::to_vec)
        };
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let tree = value(b"tree ").map(text).and_then(|name| name.parse().ok()).ok_or_else(strange)?;
        let author = value(b"author ").and_then(|line| Author::parse(&line)).ok_or_else(strange)?;
        let encoding = value(b"encoding ").map_or_else(|| "UTF-8".to_owned(), text);
        let message = raw.get(end + 2..).unwrap_or_default().to_vec();
        Ok(Self { tree, parents: Vec::new(), author, encoding, message })
    }

    /// Write it, unsigned. It is the same commit whether git writes it or we.
    pub(super) fn write(&self, opened: &Opened<'_>, who: &Identity) -> Result<CommitId, GitError> {
        if let Some(library) = opened.library()
            && let Some(bytes) = self.bytes(who)
            && self.may_be_written(library)
        {
            let id = loose::write_commit(opened.repo.common_dir(), &bytes)?;
            return super::repository::parse("commit-tree", &id.to_string());
        }
        self.write_by_git(opened.repo, who)
    }

    pub(super) fn write_by_git(&self, repo: &Repository, who: &Identity) -> Result<CommitId, GitError> {
        let answer = self.tool(repo, who).line()?;
        super::repository::parse("commit-tree", &answer)
    }

    /// What git would write; `None` where it would mend something on the way.
    fn bytes(&self, who: &Identity) -> Option<Vec<u8>> {
        let message = std::str::from_utf8(&self.message).ok().filter(|text| !text.contains('\0'))?;
        let parents: Vec<String> = self.parents.iter().map(|parent| format!("parent {parent}\n")).collect();
        let has_twins = (1..parents.len()).any(|place| parents[..place].contains(&parents[place]));
        let (author, committer) = (self.author.line()?, who.author().line()?);
        let parents = parents.concat();
        let text = format!("tree {}\n{parents}author {author}\ncommitter {committer}\n\n{message}", self.tree);
        (self.encoding == "UTF-8" && !has_twins && is_utf8_for_git(&text)).then(|| text.into_bytes())
    }

    /// Is all there that it names? May we make directories with the modes that any program makes?
    fn may_be_written(&self, library: &git2::Repository) -> bool {
        let is_shared = || {
            let own = git2::Config::open(&library.commondir().join("config"))?;
            match own.get_string("core.sharedRepository") {
                Ok(value) => Ok(!["false", "umask", "0"].contains(&value.as_str())),
                Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(false),
                Err(error) => Err(error),
            }
        };
        let all_there = || {
            let odb = library.odb()?;
            let is = |name: &str, kind| Ok::<_, git2::Error>(odb.read_header(git2::Oid::from_str(name)?)?.1 == kind);
            let parents = self.parents.iter().map(|parent| is(&parent.to_string(), ObjectType::Commit));
            parents.chain([is(&self.tree.to_string(), ObjectType::Tree)]).try_fold(true, |all, one| Ok(all && one?))
        };
        let (is_shared, all_there): (Result<bool, git2::Error>, Result<bool, git2::Error>) = (is_shared(), all_there());
        matches!((is_shared, all_there), (Ok(false), Ok(true)))
    }

    /// Write it, signed where the user signs (`commit-tree` itself does not look).
    pub(super) fn sign(&self, opened: &Opened<'_>, who: &Identity, signs: bool) -> Result<Made, GitError> {
        if !signs {
            return self.write(opened, who).map(Made::Commit);
        }
        let output = self.tool(opened.repo, who).arg("-S").output()?;
        if output.code != Some(0) {
            return Ok(Made::NotSigned(format!("cannot sign the commit: {}", one_line(&output.stderr))));
        }
        let answer = String::from_utf8_lossy(&output.stdout);
        super::repository::parse("commit-tree", answer.trim()).map(Made::Commit)
    }

    fn tool(&self, repo: &Repository, who: &Identity) -> Tool {
        let tool = repo.git().args(DURABLE).arg("-c").arg(format!("i18n.commitEncoding={}", self.encoding));
        let tool = self.author.given_to(tool, "AUTHOR");
        let tool = who.author().given_to(tool, "COMMITTER");
        let tool = tool.args(["commit-tree", "-F", "-", &self.tree.to_string()]).input(self.message.clone());
        self.parents.iter().fold(tool, |tool, parent| tool.arg("-p").arg(parent.to_string()))
    }
}

/// A command that ended in a way that has no meaning for us.
pub(super) fn failed(shown: String, code: Option<i32>, stderr: String) -> GitError {
    let how = code.map_or_else(|| "was killed by a signal".to_owned(), |code| format!("exited with {code}"));
    ToolError::Failed { shown, how, stderr }.into()
}
