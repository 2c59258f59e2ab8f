//! What becomes of role files as their makers publish them. `UPDATE_EXPECT=1` writes the answers anew.

use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use pleach::core::role::{Imported, Wrong, claude, codex, kiro, own};

type Importer = fn(&str, &str) -> Result<Imported, Wrong>;

const ALL: &[(&str, Importer, &str, usize)] = &[
    ("kiro", kiro::import, "json", 4),
    ("claude", claude::import, "md", 3),
    ("codex", codex::import, "toml", 2),
    ("own", own::import, "toml", 1),
];

fn files(kind: &str, ending: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/roles").join(kind);
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|found| found == ending)).collect();
    files.sort();
    files
}

fn stem(path: &Path) -> &str {
    path.file_stem().unwrap().to_str().unwrap()
}

#[test]
fn what_is_published_is_read_and_nothing_of_it_is_dropped() {
    for (kind, import, ending, least) in ALL {
        let files = files(kind, ending);
        assert!(files.len() >= *least, "{kind}");
        for path in files {
            let text = fs::read_to_string(&path).unwrap();
            let imported = import(&text, stem(&path)).unwrap_or_else(|wrong| panic!("{path:?}: {wrong:?}"));
            let mut picture = serde_json::to_string_pretty(&imported.role).unwrap() + "\n";
            if let Some(file) = &imported.prompt_file {
                picture.push_str(&format!("prompt from {file}\n"));
            }
            for note in &imported.notes {
                picture.push_str(&format!("{}: {}\n", note.key, note.about));
            }
            expect_file![path.with_extension("golden")].assert_eq(&picture);
        }
    }
}

#[test]
fn what_is_wrong_is_told() {
    for (kind, import, ending, _) in ALL {
        for path in files(&format!("{kind}/invalid"), ending) {
            let wrong = import(&fs::read_to_string(&path).unwrap(), stem(&path)).expect_err(stem(&path));
            let line = wrong.line.map(|line| format!("line {line}: ")).unwrap_or_default();
            expect_file![path.with_extension("golden")].assert_eq(&format!("{line}{wrong}\n"));
        }
    }
}

/// Every key at the top of a file is in the role, or in a note.
#[test]
fn each_key_is_somewhere() {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/roles/kiro/complete.json")).unwrap();
    let whole: serde_json::Value = serde_json::from_str(&text).unwrap();
    let imported = kiro::import(&text, "x").unwrap();
    let role = serde_json::to_value(&imported.role).unwrap();
    let mapped = ["name", "description", "prompt", "tools", "allowedTools", "toolsSettings", "resources", "model"];
    for key in whole.as_object().unwrap().keys() {
        let is_noted = imported.notes.iter().any(|note| note.key == *key || note.key.starts_with(&format!("{key}.")));
        assert!(is_noted || mapped.contains(&key.as_str()), "{key} is nowhere: {role}");
    }
}
