//! What a task, or a torn disk, may put where we read: seeded, bounded, and each kind beside a control that must be read.

use std::fs;
use std::path::Path;
use std::process::Command;

use pleach::config::file::File as Settings;
use pleach::core::event::Record;
use pleach::shim::watch::Message;
use pleach::store;
use pleach::store::record::{Exit, Progress, Spec};

/// What has a meaning somewhere in these texts.
#[rustfmt::skip]
const PIECES: &[&[u8]] = &[
    b"{", b"}", b"[", b"]", b"\"", b"\\", b"\\u", b"\\ud800", b":", b",", b"null", b"true", b"-1", b"1e999", b"18446744073709551616",
    b"\0", b"\xff", b"\xe2\x80\xae", b"\x1b[31m", b"..", b"/", b"-", b"\n", b"=", b"#", b"0s", b"99999999999999999999d", b"'''",
];

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    /// A text that was changed in a few places.
    fn spoil(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut text = seed.to_vec();
        for _ in 0..=self.below(5) {
            let at = self.below(text.len() + 1);
            match self.below(5) {
                0 => text.truncate(at),
                1 => drop(text.splice(at..at, PIECES[self.below(PIECES.len())].iter().copied())),
                2 if at < text.len() => text[at] = self.below(256) as u8,
                3 => {
                    let to = (at + self.below(20)).min(text.len());
                    drop(text.drain(at..to));
                }
                _ => {
                    let from = self.below(at + 1);
                    let again = text[from..at].to_vec();
                    drop(text.splice(at..at, again));
                }
            }
            text.truncate(64 << 10);
        }
        text
    }
}

const ROUNDS: usize = 4000;

#[test]
fn whatever_stands_in_a_record_a_message_a_journal_or_a_setting_is_an_answer() {
    let exit = br#"{"outcome":{"how":"exited","code":0},"ended":"2026-01-01T00:00:00Z","tip":null,"extras":[["a","0123456789abcdef0123456789abcdef01234567"]],"summary":"x"}"#;
    let progress = br#"{"done":1,"total":2,"text":"x","summary":"y"}"#;
    let message = br#"{"progress":{"done":1,"total":2,"text":"x"}}"#;
    let settings =
        b"[run]\nconcurrency = 4\ntimeout = \"30m\"\n[sandbox]\ntier = \"full\"\nhide = [\"~/x\"]\n[groups]\na = 1\n";
    let journal = include_bytes!("../../../fixtures/journals/v1.jsonl");
    let lines: Vec<&[u8]> = journal.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    assert!(serde_json::from_slice::<Exit>(exit).is_ok() && serde_json::from_slice::<Progress>(progress).is_ok());
    assert!(serde_json::from_slice::<Message>(message).is_ok() && serde_json::from_slice::<Record>(lines[0]).is_ok());
    assert!(Settings::parse(Path::new("x"), settings).is_ok());
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for _ in 0..ROUNDS {
        let _ = serde_json::from_slice::<Exit>(&random.spoil(exit)).map(|exit| exit.outcome.to_string());
        let _ = serde_json::from_slice::<Progress>(&random.spoil(progress));
        let _ = serde_json::from_slice::<Message>(&random.spoil(message));
        let _ = serde_json::from_slice::<Spec>(&random.spoil(exit));
        let _ = Settings::parse(Path::new("x"), &random.spoil(settings)).map_err(|error| error.to_string());
        let line = lines[random.below(lines.len())];
        let _ = serde_json::from_slice::<Record>(&random.spoil(line));
    }
    // Deeper than any stack.
    let deep = b"[".repeat(1 << 20);
    assert!(serde_json::from_slice::<Exit>(&deep).is_err() && Settings::parse(Path::new("x"), &deep).is_err());
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name);
    fs::write(place("file"), "x").unwrap();
    assert_eq!(store::read(&place("file")).unwrap().as_deref(), Some(&b"x"[..]), "the control");
    assert!(Command::new("mkfifo").arg(place("pipe")).status().unwrap().success());
    std::os::unix::fs::symlink(place("file"), place("link")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", place("zero")).unwrap();
    for name in ["pipe", "link", "zero"] {
        assert!(store::read(&place(name)).is_err(), "{name}");
    }
    assert!(store::read(&place("missing")).unwrap().is_none());
}
