//! What was said of a result so far, before it is carried out: small, and put back onto the whole later.

use std::collections::BTreeMap;

use super::report::FileChange;
use super::review::{Accepted, Choice, FileSheet, HunkSheet, Sheet, Verdict};
use super::word::Word;

/// How the pieces of a result stand: hunks, and files that can only be taken whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Accepted.
    pub accepted: usize,
    /// Refused.
    pub refused: usize,
    /// Nothing is said of them.
    pub open: usize,
}

impl FileSheet {
    /// What is said of a piece: of itself, or of its file.
    pub fn said_of(&self, hunk: usize) -> Option<Choice> {
        self.hunks.get(hunk).and_then(|hunk| hunk.verdict).or(self.verdict)
    }

    /// Is anything said of it?
    pub fn is_said(&self) -> bool {
        self.verdict.is_some() || self.hunks.iter().any(|hunk| hunk.verdict.is_some())
    }

    /// How its pieces stand.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        let mut count = |said| match said {
            Some(Choice::Accept) => tally.accepted += 1,
            Some(Choice::Refuse) => tally.refused += 1,
            None => tally.open += 1,
        };
        if self.is_whole() {
            count(self.said_of(0));
        } else {
            (0..self.hunks.len()).for_each(|hunk| count(self.said_of(hunk)));
        }
        tally
    }

    /// Say this of all of it.
    pub fn say(&mut self, choice: Option<Choice>) {
        self.verdict = choice;
        self.hunks.iter_mut().for_each(|hunk| hunk.verdict = None);
    }

    /// Say this of a piece; what comes or goes whole is one piece.
    pub fn say_of(&mut self, hunk: usize, choice: Option<Choice>) {
        if self.is_whole() {
            return self.say(choice);
        }
        let is_new_name = self.old_path.is_some() && self.verdict == Some(Choice::Refuse);
        if is_new_name && choice == Some(Choice::Accept) {
            // A piece of it cannot come without its new name.
            self.verdict = Some(Choice::Accept);
            self.hunks.iter_mut().for_each(|hunk| hunk.verdict = Some(Choice::Refuse));
        }
        if let Some(hunk) = self.hunks.get_mut(hunk) {
            hunk.verdict = choice;
        }
        if choice.is_none() && self.verdict.is_some() {
            let of_file = self.verdict.take();
            let others = self.hunks.iter_mut().enumerate().filter(|(place, _)| *place != hunk);
            others.for_each(|(_, other)| other.verdict = other.verdict.or(of_file));
        }
    }
}

impl Sheet {
    /// Only what somebody said, and whose it is: this is what is kept.
    pub fn said(&self) -> Self {
        let hunk = |hunk: &HunkSheet| HunkSheet { lines: Vec::new(), ..hunk.clone() };
        let file = |file: &FileSheet| FileSheet {
            change: None,
            verdict: file.verdict,
            hunks: file.hunks.iter().filter(|hunk| hunk.verdict.is_some()).map(hunk).collect(),
            ..FileSheet::new(file.path.clone(), FileChange::Modified)
        };
        Self {
            name: None,
            target: None,
            command: None,
            summary: None,
            flags: Vec::new(),
            comments: self.comments.clone(),
            files: self.files.iter().filter(|file| file.is_said()).map(file).collect(),
            ..self.head()
        }
    }

    /// All but the files.
    fn head(&self) -> Self {
        Self {
            schema: self.schema,
            task: self.task.clone(),
            name: self.name.clone(),
            attempt: self.attempt,
            base: self.base,
            tip: self.tip,
            target: self.target.clone(),
            command: self.command.clone(),
            summary: self.summary.clone(),
            flags: self.flags.clone(),
            verdict: self.verdict,
            others: self.others,
            message: self.message.clone(),
            says: self.says.clone(),
            comments: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Is nothing said at all?
    pub fn is_mute(&self) -> bool {
        self.verdict.is_none()
            && self.others.is_none()
            && self.message.is_none()
            && self.says.is_none()
            && self.comments.is_empty()
            && !self.files.iter().any(FileSheet::is_said)
    }

    /// Say what this draft says, and nothing else. What it says of files and pieces that there are not is left out.
    pub fn take_up(&mut self, draft: &Self) {
        self.verdict = draft.verdict;
        self.others = draft.others;
        self.message.clone_from(&draft.message);
        self.says.clone_from(&draft.says);
        self.comments.clone_from(&draft.comments);
        let known: BTreeMap<&Word, &FileSheet> = draft.files.iter().map(|file| (&file.path, file)).collect();
        for file in &mut self.files {
            let said = known.get(&file.path);
            file.verdict = said.and_then(|said| said.verdict);
            let of: BTreeMap<&str, Option<Choice>> =
                said.into_iter().flat_map(|said| &said.hunks).map(|hunk| (&*hunk.id, hunk.verdict)).collect();
            file.hunks.iter_mut().for_each(|hunk| hunk.verdict = of.get(&*hunk.id).copied().flatten());
        }
    }

    /// How its pieces stand.
    pub fn tally(&self) -> Tally {
        self.files.iter().map(FileSheet::tally).fold(Tally::default(), |all, one| Tally {
            accepted: all.accepted + one.accepted,
            refused: all.refused + one.refused,
            open: all.open + one.open,
        })
    }

    /// Say this of the whole, and nothing any more of its pieces.
    pub fn say(&mut self, verdict: Option<Verdict>) {
        self.verdict = verdict;
        self.others = None;
        self.files.iter_mut().for_each(|file| file.say(None));
    }

    /// After something was said of a piece, the word on the whole follows: it is accepted where anything of it is.
    /// What is sent back stays so.
    pub fn follow_pieces(&mut self) {
        self.others = None;
        if self.verdict == Some(Verdict::SendBack) {
            return;
        }
        self.verdict = match self.files.iter().any(FileSheet::is_said) {
            false => None,
            true if self.settle(self) == Ok(Accepted::Nothing) => Some(Verdict::Refuse),
            true => Some(Verdict::Accept),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Sheet {
        let hunk = |id: &str| HunkSheet { id: id.to_owned(), verdict: None, lines: Vec::new() };
        let edited = FileSheet {
            hunks: vec![hunk("-1,5 +1,6"), hunk("-20,5 +21,5")],
            ..FileSheet::new("edited".into(), FileChange::Modified)
        };
        let moved = FileSheet {
            path: "moved".into(),
            old_path: Some("old".into()),
            change: Some(FileChange::Renamed),
            ..edited.clone()
        };
        let added = FileSheet::new("added".into(), FileChange::Added);
        Sheet { files: vec![edited, moved, added], ..serde_json::from_str(r#"{"task": 1, "command": "x"}"#).unwrap() }
    }

    #[test]
    fn what_was_said_is_kept_and_put_back() {
        let mut sheet = whole();
        assert!(sheet.is_mute());
        sheet.files[0].say_of(1, Some(Choice::Refuse));
        sheet.files[2].say_of(0, Some(Choice::Accept));
        sheet.follow_pieces();
        assert_eq!(sheet.verdict, Some(Verdict::Accept));
        assert_eq!(sheet.tally(), Tally { accepted: 1, refused: 1, open: 3 });
        let said = sheet.said();
        let text = serde_json::to_string(&said).unwrap();
        assert_eq!(
            text,
            r#"{"schema":1,"task":1,"verdict":"accept","files":[{"path":"edited","verdict":null,"hunks":[{"id":"-20,5 +21,5","verdict":"refuse"}]},{"path":"added","verdict":"accept","hunks":[]}]}"#
        );
        let mut again = whole();
        again.take_up(&serde_json::from_str(&text).unwrap());
        assert_eq!(again, sheet);
        sheet.say(None);
        assert!(sheet.is_mute());
    }

    #[test]
    fn the_word_on_the_whole_follows_the_pieces() {
        let mut sheet = whole();
        for file in &mut sheet.files {
            file.say(Some(Choice::Refuse));
        }
        sheet.follow_pieces();
        assert_eq!(sheet.verdict, Some(Verdict::Refuse));
        // A piece of a file that is renamed brings the new name, and no other piece.
        sheet.files[1].say_of(0, Some(Choice::Accept));
        sheet.follow_pieces();
        assert_eq!(sheet.verdict, Some(Verdict::Accept));
        assert_eq!(sheet.files[1].tally(), Tally { accepted: 1, refused: 1, open: 0 });
        // What is taken back for one piece stays said of the others.
        sheet.files[0].say_of(0, None);
        assert_eq!(sheet.files[0].tally(), Tally { accepted: 0, refused: 1, open: 1 });
        sheet.verdict = Some(Verdict::SendBack);
        sheet.follow_pieces();
        assert_eq!(sheet.verdict, Some(Verdict::SendBack));
    }
}
