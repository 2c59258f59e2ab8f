//! Whatever the text is, it is a plan or it is refused with its problems: nothing panics, and nothing takes for ever.

use std::fs;
use std::path::Path;

use pleach::core::plan::{self, ForEach, Syntax};

/// The same numbers on every machine (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % most.max(1) as u64) as usize
    }
}

fn seeds() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/plans");
    let files = ["valid", "invalid"].into_iter().flat_map(|kind| fs::read_dir(dir.join(kind)).unwrap());
    files.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
}

fn try_it(text: &str) -> bool {
    let mut was_read = false;
    for syntax in [Syntax::Toml, Syntax::Json] {
        match plan::read(text, syntax) {
            Ok(draft) => {
                was_read = true;
                let items = |each: &ForEach| match each {
                    ForEach::List(items) => Ok(items.clone()),
                    _ => Ok(vec![text.chars().rev().take(30).collect(), "é".to_owned()]),
                };
                plan::overlaps(&draft);
                if let Ok(expanded) = plan::expand(text, &draft, &items) {
                    for (place, task) in expanded.tasks.iter().enumerate() {
                        assert!(task.needs.iter().all(|need| *need < place), "needs come first");
                    }
                    assert_eq!(plan::levels(&expanded).iter().map(Vec::len).sum::<usize>(), expanded.tasks.len());
                }
            }
            Err(problems) => {
                assert!(problems.iter().len() > 0 && problems.iter().len() <= 101);
                assert!(problems.iter().all(|one| one.line <= text.matches('\n').count() + 1));
            }
        }
    }
    was_read
}

#[test]
fn no_text_makes_it_panic() {
    let seeds = seeds();
    let words = [
        "{",
        "}",
        "{{",
        "\"",
        "'",
        "[",
        "]]",
        "=",
        "\n",
        "é",
        "\0",
        "needs",
        "{item}",
        "{needs.a.diff}",
        "**",
        ",",
        ":",
        "\\",
        "u0000",
        "9999999999999999999",
    ];
    let mut random = Random(1);
    let (mut read, mut tried) = (0, 0);
    for _ in 0..3000 {
        let mut text: Vec<char> = seeds[random.below(seeds.len())].chars().collect();
        for _ in 0..random.below(4) {
            let at = random.below(text.len() + 1);
            match random.below(4) {
                0 => text.truncate(at),
                1 => drop(text.drain(at..(at + random.below(20)).min(text.len()))),
                2 => text.splice(at..at, words[random.below(words.len())].chars()).for_each(drop),
                _ => {
                    let other: Vec<char> = seeds[random.below(seeds.len())].chars().collect();
                    let from = random.below(other.len() + 1);
                    let part = other[from..(from + random.below(80)).min(other.len())].to_vec();
                    text.splice(at..at, part).for_each(drop);
                }
            }
        }
        read += usize::from(try_it(&text.into_iter().collect::<String>()));
        tried += 1;
    }
    // Else it would say nothing of what comes behind the reading.
    assert!(read > tried / 20, "{read} of {tried} were plans");
}

#[test]
fn what_is_meant_to_be_too_much_is_refused() {
    try_it(&"[".repeat(100_000));
    try_it(&"{\"a\":".repeat(100_000));
    try_it(&format!("a{}=1", ".a".repeat(50_000)));
    try_it(&format!("[[task]]\nname='a'\ncommand='{}'\n", "{item}".repeat(50_000)));
    let many: String =
        (0..400).map(|at| format!("[[task]]\nname='t{at}'\nneeds=['t{}']\ncommand='x'\n", (at + 1) % 400)).collect();
    assert!(plan::read(&many, Syntax::Toml).unwrap_err().to_string().contains("a cycle: "));
    let items: Vec<String> = (0..4000).map(|at| format!("{at:0>200}")).collect();
    let text = format!("[[task]]\nname='a'\nfor_each={items:?}\ncommand='{}'\n", "{item} ".repeat(100));
    let draft = plan::read(&text, Syntax::Toml).unwrap();
    let same = |each: &ForEach| match each {
        ForEach::List(items) => Ok(items.clone()),
        _ => Ok(Vec::new()),
    };
    assert!(plan::expand(&text, &draft, &same).unwrap_err().to_string().contains("this is too much"));
}
