//! What looks like a secret, and keeping its value out of what is written down.

use super::word::Word;

/// A variable whose name has one of these in it is taken for a secret.
const PARTS: &[&str] = &["KEY", "TOKEN", "SECRET", "PASSW", "CREDENTIAL"];
/// What is shorter is left alone: it would be found everywhere.
const SHORTEST: usize = 6;
/// The same for one line of a value that has several.
const SHORTEST_LINE: usize = 12;

/// Does a variable of this name hold a secret, as far as names tell?
pub fn is_secret(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    PARTS.iter().any(|part| upper.contains(part))
}

/// Puts `***NAME***` in the place of the values of secrets, also where a value comes in pieces.
#[derive(Debug, Default)]
pub struct Redactor {
    /// What is looked for, the longest first, and what takes its place.
    secrets: Vec<(Vec<u8>, String)>,
    /// What may be the beginning of one.
    held: Vec<u8>,
}

impl Redactor {
    /// For the secrets among these variables.
    pub fn new<'a>(variables: impl IntoIterator<Item = (&'a String, &'a Word)>) -> Self {
        let mut secrets = Vec::new();
        for (name, value) in variables.into_iter().filter(|(name, _)| is_secret(name)) {
            let whole = value.as_bytes();
            let lines = whole.split(|byte| *byte == b'\n').filter(|line| line.len() >= SHORTEST_LINE && *line != whole);
            let all = std::iter::once(whole.trim_ascii()).filter(|value| value.len() >= SHORTEST).chain(lines);
            secrets.extend(all.map(|value| (value.to_vec(), format!("***{name}***"))));
        }
        secrets.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        Self { secrets, held: Vec::new() }
    }

    /// Is there anything to look for?
    pub fn is_idle(&self) -> bool {
        self.secrets.is_empty()
    }

    /// More bytes come in; what is certain of them goes out.
    pub fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let (out, rest) = self.replace(&all, false);
        self.held = all[rest..].to_vec();
        out
    }

    /// No more comes.
    pub fn end(&mut self) -> Vec<u8> {
        let all = std::mem::take(&mut self.held);
        self.replace(&all, true).0
    }

    /// The same for a text that is whole.
    pub fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.replace(text.as_bytes(), true).0).into_owned()
    }

    /// What goes out, and how far it got: where a secret may begin that is not all there, it stops.
    fn replace(&self, all: &[u8], is_whole: bool) -> (Vec<u8>, usize) {
        let mut out = Vec::with_capacity(all.len());
        let mut at = 0;
        while at < all.len() {
            let rest = &all[at..];
            let may_come = |(value, _): &&(Vec<u8>, String)| value.len() > rest.len() && value.starts_with(rest);
            if !is_whole && self.secrets.iter().find(may_come).is_some() {
                break;
            }
            match self.secrets.iter().find(|(value, _)| rest.starts_with(value)) {
                Some((value, name)) => {
                    out.extend_from_slice(name.as_bytes());
                    at += value.len();
                }
                None => {
                    out.push(rest[0]);
                    at += 1;
                }
            }
        }
        (out, at)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn redactor(list: &[(&str, &str)]) -> Redactor {
        let variables: BTreeMap<String, Word> =
            list.iter().map(|(name, value)| ((*name).to_owned(), Word::from(*value))).collect();
        Redactor::new(&variables)
    }

    #[test]
    fn however_it_is_split_the_answer_is_the_same() {
        let list = [("A_TOKEN", "aababb"), ("B_KEY", "aababbcc"), ("PEM_KEY", "-----BEGIN-----\nabcdefghijkl\n")];
        let text = b"aaababb aababbcc aababbc xaabab\nabcdefghijkl -----BEGIN-----\nabcdefghijkl\n aabab";
        let whole = "a***A_TOKEN*** ***B_KEY*** ***A_TOKEN***c xaabab\n***PEM_KEY*** ***PEM_KEY***\n aabab";
        for first in 0..text.len() {
            for second in first..text.len() {
                let mut redactor = redactor(&list);
                let mut out = redactor.pass(&text[..first]);
                out.extend(redactor.pass(&text[first..second]));
                out.extend(redactor.pass(&text[second..]));
                out.extend(redactor.end());
                assert_eq!(String::from_utf8(out).unwrap(), whole, "{first} {second}");
            }
        }
    }

    #[test]
    fn what_is_no_secret_is_left() {
        let mut redactor = redactor(&[("USER", "ute-user"), ("TOKEN_COUNT", "12")]);
        assert!(redactor.is_idle());
        assert_eq!(redactor.pass(b"ute-user 12"), b"ute-user 12");
        assert!(is_secret("github_token") && !is_secret("PATH"));
    }
}
