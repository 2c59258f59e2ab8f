//! Commits that we make: who made them, and how they are written and signed.

use jiff::Timestamp;

use super::{GitError, Repository};
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
        // Git would else make up a name from the account and an address from the host.
        let asked = repo.git().args(["-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT"]);
        let output = asked.output()?;
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        let told = Author::parse(answer.trim_end().as_bytes()).filter(|_| output.code == Some(0));
        let (name, email) = match told {
            Some(author) => (author.name, author.email),
            None => ("pleach".to_owned(), "pleach@localhost".to_owned()),
        };
        Ok(Self { name, email, at })
    }

    fn author(&self) -> Author {
        let date = format!("@{} +0000", self.at.as_second());
        Author { name: self.name.clone(), email: self.email.clone(), date }
    }
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
    pub(super) fn read(repo: &Repository, id: CommitId) -> Result<Self, GitError> {
        let raw = repo.git().args(["cat-file", "commit", &id.to_string()]).run()?;
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

    /// Write it, unsigned.
    pub(super) fn write(&self, repo: &Repository, who: &Identity) -> Result<CommitId, GitError> {
        let answer = self.tool(repo, who).line()?;
        super::repository::parse("commit-tree", &answer)
    }

    /// Write it, signed where the user's configuration says so (`commit-tree` itself does not look).
    pub(super) fn sign(&self, repo: &Repository, who: &Identity) -> Result<Made, GitError> {
        let asked = repo.git().args(["config", "--type=bool", "--get", "commit.gpgsign"]).output()?;
        if asked.stdout.trim_ascii() != b"true" {
            return self.write(repo, who).map(Made::Commit);
        }
        let output = self.tool(repo, who).arg("-S").output()?;
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
