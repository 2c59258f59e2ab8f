//! What a few commits say, for people: in process where that is as git tells it, else by `git log`.

use git2::ErrorCode;

use super::opened::{Opened, oid};
use super::repository::parse;
use super::{GitError, Repository, objects};
use crate::core::id::CommitId;
use crate::process::tool::fields;

/// A result of more commits than these is listed by git.
const MOST: usize = 1000;

/// A commit, and the first line of its message.
type Subject = (CommitId, String);

impl Repository {
    /// The last value of a trailer of a commit.
    ///
    /// # Errors
    /// Where git cannot be asked.
    pub fn trailer(&self, commit: CommitId, name: &str) -> Result<Option<String>, GitError> {
        let bytes = self.open().commit_bytes(commit)?;
        // What a trailer is depends on settings, but none is without its name.
        let has = bytes.windows(name.len()).any(|window| window.eq_ignore_ascii_case(name.as_bytes()));
        if has { self.trailer_by_git(commit, name) } else { Ok(None) }
    }

    fn trailer_by_git(&self, commit: CommitId, name: &str) -> Result<Option<String>, GitError> {
        let format = format!("--format=%(trailers:key={name},valueonly,unfold)");
        let answer =
            self.git().args(["log", "-1", "--no-show-signature", &format, &commit.to_string()]).arg("--").line()?;
        Ok(answer.lines().rfind(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned()))
    }

    /// The commits of `base..tip` with the first line of their messages, newest first, at most `most`.
    ///
    /// # Errors
    /// Where a commit is missing, or git cannot be asked.
    pub fn subjects(&self, base: CommitId, tip: CommitId, most: usize) -> Result<Vec<Subject>, GitError> {
        match in_process(&self.open(), base, tip)? {
            Some(mut all) => {
                all.truncate(most);
                Ok(all)
            }
            None => self.subjects_by_git(base, tip, most),
        }
    }

    fn subjects_by_git(&self, base: CommitId, tip: CommitId, most: usize) -> Result<Vec<Subject>, GitError> {
        let asked = self.git().args(["log", "-z", "--no-show-signature", "--format=%H %s"]);
        let asked = asked.arg(format!("--max-count={most}")).arg(format!("{base}..{tip}")).arg("--");
        let lines = asked.run()?;
        let pairs = fields(&lines).map(|line| {
            let line = String::from_utf8_lossy(line).into_owned();
            let (id, subject) = line.split_once(' ').unwrap_or((&line, ""));
            Ok((parse("log", id)?, subject.to_owned()))
        });
        pairs.collect()
    }
}

/// One commit behind the other, from the tip to the base, each in UTF-8. `None` for all else: what git makes of merges,
/// other bases, other encodings, replaced commits and the end of a shallow history is for git to say.
fn in_process(opened: &Opened<'_>, base: CommitId, tip: CommitId) -> Result<Option<Vec<Subject>>, GitError> {
    let Some(library) = opened.library().filter(|library| !library.is_shallow()) else { return Ok(None) };
    if objects::is_replaced(opened.repo) {
        return Ok(None);
    }
    let (mut found, mut at) = (Vec::new(), oid(tip)?);
    let base = oid(base)?;
    while at != base {
        let commit = match library.find_commit(at) {
            Err(error) if error.code() == ErrorCode::NotFound && found.is_empty() => return Err(error.into()),
            Err(_) => return Ok(None),
            Ok(commit) => commit,
        };
        let (Some(subject), 1) = (subject(&commit), commit.parent_count()) else { return Ok(None) };
        found.push((parse("log", &at.to_string())?, subject));
        at = commit.parent_id(0)?;
        if found.len() > MOST {
            return Ok(None);
        }
    }
    Ok(Some(found))
}

/// What git shows as `%s`: the lines of the first paragraph, as one.
fn subject(commit: &git2::Commit<'_>) -> Option<String> {
    let is_utf8 = matches!(commit.message_encoding(), Ok(None));
    let message = std::str::from_utf8(commit.message_raw_bytes()).ok().filter(|_| is_utf8)?;
    let blank = |line: &&str| line.trim_matches([' ', '\t', '\r', '\x0b', '\x0c']).is_empty();
    let lines = message.split('\n').skip_while(blank).take_while(|line| !blank(line));
    let lines: Vec<&str> = lines.map(|line| line.trim_end_matches([' ', '\t', '\r', '\x0b', '\x0c'])).collect();
    Some(lines.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Tool;

    #[test]
    fn what_is_told_in_process_is_what_git_tells() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let git = |args: &[&str]| {
            let who = ["-c", "user.name=x", "-c", "user.email=x@y", "-c", "commit.gpgsign=false"];
            Tool::git().dir(&top).args(who).args(args).line().unwrap()
        };
        let commit = |message: &str| {
            git(&["commit", "-q", "--allow-empty", "--allow-empty-message", "--cleanup=verbatim", "-m", message]);
            git(&["rev-parse", "HEAD"]).parse::<CommitId>().unwrap()
        };
        git(&["init", "-q", "-b", "main"]);
        let repo = Repository::at(top.join(".git"));
        let base = commit("base");
        let messages = [
            "plain\n\nbody\n",
            "",
            "\n\n  \n two\nlines \t\n  of a subject\n\nbody",
            "\u{e9}t\u{e9}  with  spaces \n\n\n\nx",
            "crlf\r\nmore\r\n\r\nbody\r\n",
            "with it\n\npleach-merged-by: one in a\nPleach-Merged-By: two in\n  b\n",
            "names Pleach-Merged-By only\n",
        ];
        let tips: Vec<CommitId> = messages.iter().map(|message| commit(message)).collect();
        let tip = *tips.last().unwrap();
        let told = in_process(&repo.open(), base, tip).unwrap().unwrap();
        assert_eq!(told, repo.subjects_by_git(base, tip, 100).unwrap());
        assert_eq!(told.len(), messages.len());
        assert_eq!(repo.subjects(base, tip, 3).unwrap(), repo.subjects_by_git(base, tip, 3).unwrap());
        assert_eq!(repo.subjects(tip, tip, 3).unwrap(), []);
        for tip in &tips {
            let by_git = repo.trailer_by_git(*tip, "Pleach-Merged-By").unwrap();
            assert_eq!(repo.trailer(*tip, "Pleach-Merged-By").unwrap(), by_git);
        }
        assert_eq!(repo.trailer(tips[5], "Pleach-Merged-By").unwrap().as_deref(), Some("two in b"));
        // What only git may tell.
        git(&["checkout", "-q", "-b", "side", &base.to_string()]);
        let side = commit("side");
        git(&["merge", "-q", "--no-ff", "-m", "merge", &tip.to_string()]);
        let merge: CommitId = git(&["rev-parse", "HEAD"]).parse().unwrap();
        for (base, tip) in [(base, merge), (tip, side)] {
            assert_eq!(in_process(&repo.open(), base, tip).unwrap(), None);
            assert_eq!(repo.subjects(base, tip, 100).unwrap(), repo.subjects_by_git(base, tip, 100).unwrap());
        }
        let gone: CommitId = "12".repeat(20).parse().unwrap();
        assert!(repo.subjects(base, gone, 100).is_err());
        git(&["-c", "i18n.commitEncoding=latin1", "commit", "-q", "--allow-empty", "-m", "other"]);
        let other = git(&["rev-parse", "HEAD"]).parse().unwrap();
        assert_eq!(in_process(&repo.open(), merge, other).unwrap(), None);
        git(&["replace", &tip.to_string(), &tips[0].to_string()]);
        assert_eq!(in_process(&repo.open(), base, tip).unwrap(), None);
    }
}
