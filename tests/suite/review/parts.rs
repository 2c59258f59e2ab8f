//! Any choice of hunks gives exactly the tree that `git apply` makes of them.

use serde_json::{Value, json};

use crate::support::cli::{at_top, task};
use crate::support::scene::Scene;

/// How many changes, and how often each is cut in another way.
const CHANGES: u64 = 4;
const CHOICES: u64 = 4;

/// A generator that is the same everywhere: splitmix64, by Sebastiano Vigna.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

/// A text of few different lines, so that there is more than one way to see a change; sometimes with an open end.
fn text(dice: &mut Dice, lines: u64) -> Vec<u8> {
    let mut text: Vec<u8> = (0..lines).flat_map(|_| format!("{}\r\n", dice.throw(5)).into_bytes()).collect();
    text.truncate(text.len() - dice.throw(3).min(text.len() as u64) as usize);
    text
}

fn edited(dice: &mut Dice, old: &[u8]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = old.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    for _ in 0..=dice.throw(4) {
        let at = dice.throw(lines.len() as u64 + 1) as usize;
        match dice.throw(3) {
            0 => lines.insert(at, b"\xff new\n".to_vec()),
            1 if at < lines.len() => drop(lines.remove(at)),
            _ if at < lines.len() => lines[at] = format!("changed {}\n", dice.throw(3)).into_bytes(),
            _ => {}
        }
    }
    lines.concat()
}

#[test]
fn any_choice_of_hunks_gives_the_tree_that_git_apply_makes() {
    let seed = std::env::var("PLEACH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("PLEACH_SEED={seed}");
    let mut dice = Dice(seed);
    let scene = Scene::new();
    let names = ["plain", "with blank", "ta\tb", "-dash", "caf\u{e9}", "sub/deep"];
    for name in names {
        scene.write(name, text(&mut dice, 60));
    }
    at_top(&scene, "git add -A; git commit -qm base");
    for change in 0..CHANGES {
        let made = scene.path("made");
        let _ = std::fs::remove_dir_all(&made);
        let source = scene.path("source");
        for name in names {
            let old = std::fs::read(scene.top.join(name)).unwrap();
            let path = made.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, edited(&mut dice, &old)).unwrap();
        }
        std::fs::write(made.join("added"), text(&mut dice, 5)).unwrap();
        let mode = if dice.throw(2) == 0 { "chmod +x plain;" } else { "" };
        let renames = if dice.throw(2) == 0 { "git mv sub/deep sub/moved; git commit -qm moved;" } else { "" };
        let _ = std::fs::remove_dir_all(&source);
        let line = format!("cp -r {}/. .; {mode} git add -A; git commit -qm made; {renames} true", made.display());
        let id = task(&scene, &line);
        for choice in 0..CHOICES {
            let sheet = scene.json(&["review", &id.to_string()])["reviews"][0].clone();
            check(&scene, &mut dice, id, sheet, &format!("seed {seed}, change {change}, choice {choice}"));
        }
        scene.ok(&["discard", &id.to_string()]);
    }
}

/// Choose, take, and compare; then put the whole up for review again.
fn check(scene: &Scene, dice: &mut Dice, id: u64, mut sheet: Value, what: &str) {
    let [base, tip] = ["base", "tip"].map(|key| sheet[key].as_str().unwrap().to_owned());
    let mut patch: Vec<u8> = Vec::new();
    let mut count = [0, 0];
    for file in sheet["files"].as_array_mut().unwrap() {
        let whole = file["change"] == "renamed";
        let taken = whole.then(|| dice.throw(2) == 0);
        if let Some(taken) = taken {
            file["verdict"] = verdict(taken);
        }
        let mut lines = Vec::new();
        for hunk in file["hunks"].as_array_mut().unwrap() {
            let is_taken = taken.unwrap_or_else(|| dice.throw(2) == 0);
            count[usize::from(is_taken)] += 1;
            hunk["verdict"] = verdict(is_taken);
            if is_taken {
                lines.push(hunk.clone());
            }
        }
        if taken == Some(true) || !lines.is_empty() {
            patch.extend(as_patch(file, &lines));
        }
    }
    if count.contains(&0) {
        return;
    }
    sheet["verdict"] = "accept".into();
    let index = scene.path("index");
    let file = scene.path("review.json");
    std::fs::write(&file, sheet.to_string()).unwrap();
    let ran = scene.pleach(&["review", "--no-merge", "--apply", file.to_str().unwrap()]);
    assert_eq!(ran.code, Some(0), "{what}: {ran:?}");
    let got = scene.git(&["rev-parse", &format!("pleach/{id}^{{tree}}")]);
    std::fs::write(scene.path("patch"), &patch).unwrap();
    let script = format!(
        "export GIT_INDEX_FILE='{index}'; git read-tree {base}; git apply --cached --whitespace=nowarn '{patch}'; git write-tree; rm '{index}'",
        index = index.display(),
        patch = scene.path("patch").display()
    );
    let expected = at_top(scene, &script);
    assert_eq!(got.trim(), expected.trim(), "{what}\n{}", String::from_utf8_lossy(&patch));
    assert_eq!(scene.git(&["rev-parse", &format!("pleach/{id}^")]).trim(), base, "{what}");
    scene.ok(&["restore", &format!("{id}.1")]);
    // A branch that shows an earlier part is left where it is; the whole is what the task has again.
    assert_eq!(scene.json(&["review", &id.to_string()])["reviews"][0]["tip"], json!(tip), "{what}");
}

fn verdict(taken: bool) -> Value {
    if taken { "accept".into() } else { "refuse".into() }
}

/// Some pieces of a file as a patch for git.
fn as_patch(file: &Value, pieces: &[Value]) -> Vec<u8> {
    let path = file["path"].as_str().unwrap();
    let old = file["old_path"].as_str().unwrap_or(path);
    // As git quotes what is not plain.
    let name = |prefix: &str, path: &str| format!("\"{prefix}{}\"", path.replace('\t', "\\t"));
    let mut patch = format!("diff --git {} {}\n", name("a/", old), name("b/", path)).into_bytes();
    if file["change"] == "added" {
        patch.extend(format!("new file mode {}\n", file["new_mode"].as_str().unwrap()).bytes());
    }
    if file["change"] == "renamed" {
        patch.extend(format!("rename from {old}\nrename to {path}\n").bytes());
    }
    let [modes, hunks]: [Vec<&Value>; 2] =
        [true, false].map(|is| pieces.iter().filter(|piece| (piece["id"] == "mode") == is).collect());
    if !modes.is_empty() {
        let mode = |key: &str| file[key].as_str().unwrap().to_owned();
        patch.extend(format!("old mode {}\nnew mode {}\n", mode("old_mode"), mode("new_mode")).bytes());
    }
    if !hunks.is_empty() {
        let from = if file["change"] == "added" { "/dev/null".to_owned() } else { name("a/", old) };
        patch.extend(format!("--- {from}\n+++ {}\n", name("b/", path)).bytes());
    }
    for hunk in hunks {
        patch.extend(format!("@@ {} @@\n", hunk["id"].as_str().unwrap()).bytes());
        for line in hunk["lines"].as_array().unwrap() {
            let sign = match line["is"].as_str().unwrap() {
                "removed" => b'-',
                "added" => b'+',
                _ => b' ',
            };
            patch.push(sign);
            match &line["text"] {
                Value::String(text) => patch.extend(text.bytes()),
                raw => patch.extend(raw["bytes"].as_array().unwrap().iter().map(|byte| byte.as_u64().unwrap() as u8)),
            }
            patch.push(b'\n');
            if line["open"] == json!(true) {
                patch.extend(b"\\ No newline at end of file\n");
            }
        }
    }
    patch
}
