use expect_test::{Expect, expect};

use super::*;
use crate::cli::style::Style;

fn side(path: &str, text: &str) -> Option<Side> {
    Some(Side { path: path.into(), mode: 0o100_644, bytes: text.as_bytes().to_vec(), size: text.len() })
}

fn edit(path: &str, old: &str, new: &str) -> FileDiff {
    FileDiff { old: side(path, old), new: side(path, new), readable: Readable::Text }
}

fn drawn(files: &[FileDiff], options: Options) -> String {
    let mut out = Vec::new();
    unified(&mut out, files, options).unwrap();
    String::from_utf8_lossy(&out).into_owned()
}

fn check(files: &[FileDiff], options: Options, expected: Expect) {
    // Escapes of colours, made visible.
    expected.assert_eq(&drawn(files, options).replace('\x1b', "^["));
}

const COLORED: Options = Options { context: 3, color: true, words: true, escape: true };

#[test]
fn an_edit() {
    let old = "fn main() {\n    let a = 1;\n    let b = 2;\n    let c = 3;\n    let d = 4;\n    print(a + b);\n}\n";
    let new = old.replace("a + b", "a + c").replace("let a = 1", "let a = 10");
    check(
        &[edit("src/a.rs", old, &new)],
        Options { context: 1, ..Options::patch() },
        expect![[r#"
        diff --git a/src/a.rs b/src/a.rs
        --- a/src/a.rs
        +++ b/src/a.rs
        @@ -1,3 +1,3 @@
         fn main() {
        -    let a = 1;
        +    let a = 10;
             let b = 2;
        @@ -5,3 +5,3 @@ fn main() {
             let d = 4;
        -    print(a + b);
        +    print(a + c);
         }
    "#]],
    );
    check(
        &[edit("src/a.rs", old, &new)],
        Options { context: 0, ..COLORED },
        expect![[r#"
        ^[[1mdiff --git a/src/a.rs b/src/a.rs^[[m
        ^[[1m--- a/src/a.rs^[[m
        ^[[1m+++ b/src/a.rs^[[m
        ^[[36m@@ -2 +2 @@^[[m fn main() {
        ^[[31m-    let a = ^[[7m1^[[27m;^[[m
        ^[[32m+    let a = ^[[7m10^[[27m;^[[m
        ^[[36m@@ -6 +6 @@^[[m fn main() {
        ^[[31m-    print(a + ^[[7mb^[[27m);^[[m
        ^[[32m+    print(a + ^[[7mc^[[27m);^[[m
    "#]],
    );
}

#[test]
fn new_deleted_renamed_mode_and_binary_files() {
    let new = FileDiff { old: None, new: side("new file", "a\nb"), readable: Readable::Text };
    let empty = FileDiff { old: None, new: side("empty", ""), readable: Readable::Text };
    let gone = FileDiff { old: side("gone", "x\n"), new: None, readable: Readable::Text };
    let renamed = FileDiff { old: side("old", "same\n"), new: side("dir/new", "same\n"), readable: Readable::Text };
    let mut mode = edit("run.sh", "x\n", "x\n");
    mode.new.as_mut().unwrap().mode = 0o100_755;
    // Of what nobody can read, only the sizes are here.
    let sized = |size| Some(Side { size, ..side("logo.png", "").unwrap() });
    let binary = FileDiff { readable: Readable::Binary, old: sized(2), new: sized(3000) };
    let large = FileDiff { readable: Readable::Large, old: None, ..binary.clone() };
    let terminal = Options { escape: true, ..Options::patch() };
    check(
        &[binary.clone(), large],
        terminal,
        expect![[r#"
        diff --git a/logo.png b/logo.png
        Binary files a/logo.png and b/logo.png differ (2 B -> 2.9 KiB)
        diff --git a/logo.png b/logo.png
        new file mode 100644
        Files /dev/null and b/logo.png differ (0 B -> 2.9 KiB), too large to be shown here
    "#]],
    );
    let all = [new, empty, gone, renamed, mode, binary];
    check(
        &all,
        Options::patch(),
        expect![[r#"
        diff --git a/new file b/new file
        new file mode 100644
        --- /dev/null
        +++ b/new file	
        @@ -0,0 +1,2 @@
        +a
        +b
        \ No newline at end of file
        diff --git a/empty b/empty
        new file mode 100644
        diff --git a/gone b/gone
        deleted file mode 100644
        --- a/gone
        +++ /dev/null
        @@ -1 +0,0 @@
        -x
        diff --git a/old b/dir/new
        rename from old
        rename to dir/new
        diff --git a/run.sh b/run.sh
        old mode 100644
        new mode 100755
        diff --git a/logo.png b/logo.png
        Binary files a/logo.png and b/logo.png differ
    "#]],
    );
    let lines: Vec<_> = all.iter().map(|file| file.line()).collect();
    let mut out = Vec::new();
    stat(&mut out, &lines, &Style::plain()).unwrap();
    name_only(&mut out, &lines).unwrap();
    expect![[r#"
         new file       |   2 ++
         empty          |   0
         gone           |   1 -
         old => dir/new |   0
         run.sh         |   0
         logo.png       | Bin
         6 files changed, 2 insertions(+), 1 deletion(-)
        new file
        empty
        gone
        dir/new
        run.sh
        logo.png
    "#]]
    .assert_eq(&String::from_utf8(out).unwrap());
}

#[test]
fn what_could_act_on_a_terminal_is_escaped_there_and_whole_in_a_patch() {
    let hostile = FileDiff {
        old: None,
        new: Some(Side {
            path: b"a\x1b]0;x\x07\n\xff\".txt".to_vec().into(),
            mode: 0o100_644,
            bytes: b"\ttab\x1b[2J\r\n\xe2\x80\xae caf\xe9\n".to_vec(),
            size: 0,
        }),
        readable: Readable::Text,
    };
    check(
        std::slice::from_ref(&hostile),
        Options { escape: true, ..Options::patch() },
        expect![[r#"
        diff --git "a/a\033]0;x\007\n\377\".txt" "b/a\033]0;x\007\n\377\".txt"
        new file mode 100644
        --- /dev/null
        +++ "b/a\033]0;x\007\n\377\".txt"
        @@ -0,0 +1,2 @@
        +	tab\u{1b}[2J\r
        +\u{202e} caf\xe9
    "#]],
    );
    let mut out = Vec::new();
    unified(&mut out, &[hostile], Options::patch()).unwrap();
    assert!(out.ends_with(b"+\ttab\x1b[2J\r\n+\xe2\x80\xae caf\xe9\n"));
}

#[test]
fn words_are_marked_only_where_lines_are_alike() {
    let marked = |old: &str, new: &str| drawn(&[edit("f", old, new)], COLORED).contains("\x1b[7m");
    assert!(marked("call(first, second)\n", "call(first, third)\n"));
    assert!(!marked("one two three\n", "quite another sentence\n"));
    assert!(!marked("", "new\n"));
    assert!(!drawn(&[edit("f", "a b\n", "a c\n")], Options { words: false, ..COLORED }).contains("\x1b[7m"));
}

#[test]
fn large_differences_take_linear_time() {
    let page = |seed: u64, lines: u64| (0..lines).map(|i| format!("{}\n", (i * seed) % 7919)).collect::<String>();
    let files = [edit("a", &page(31, 30_000), &page(37, 30_000)), edit("b", "", &page(3, 100_000))];
    let one_line = edit("c", &"x ".repeat(500_000), &"y ".repeat(500_000));
    let drawn = drawn(&files, COLORED).len() + drawn(&[one_line], COLORED).len();
    assert!(drawn > 1_000_000);
    // Many small blocks.
    let old: String = (0..10_000).map(|i| format!("let value_{i} = {i};\nkeep {i}\n")).collect();
    let new = old.replace("let value", "let mut value");
    assert!(drawn_marks(&old, &new) > 9_000);
}

fn drawn_marks(old: &str, new: &str) -> usize {
    drawn(&[edit("d", old, new)], COLORED).matches("\x1b[7m").count()
}

#[test]
fn git_applies_what_we_draw() {
    use crate::process::Tool;
    let home = tempfile::tempdir().unwrap();
    let repo = home.path().join("r");
    let git = |args: &[&str]| {
        let run = Tool::git().dir(&repo).env("HOME", home.path()).env("XDG_CONFIG_HOME", home.path()).args(args).run();
        run.unwrap_or_else(|error| panic!("{error}"))
    };
    std::fs::create_dir(&repo).unwrap();
    git(&["init", "-q"]);
    let old = "a\r\nb\rc\nlast without end";
    let new = "a\r\nB\rc\nmore\nlast without end";
    let all = [
        edit("plain", old, new),
        edit("to be\temptied \"é\"", "x\n", ""),
        FileDiff { old: None, new: side("dir/with blank ", "1\n2\n"), readable: Readable::Text },
        FileDiff { old: side("gone\n", "x\n"), new: None, readable: Readable::Text },
        FileDiff {
            old: side("link", "text\n"),
            new: Some(Side { mode: 0o120_000, ..side("link", "no where").unwrap() }),
            readable: Readable::Text,
        },
        FileDiff {
            old: side("moved from", "1\n2\n3\n4\n"),
            new: side("moved to", "1\n2\n3\n5\n"),
            readable: Readable::Text,
        },
    ];
    for file in all.iter().filter_map(|file| file.old.as_ref()) {
        std::fs::File::create(repo.join(file.path.as_path()))
            .and_then(|mut f| std::io::Write::write_all(&mut f, &file.bytes))
            .unwrap();
    }
    git(&["add", "."]);
    let mut patch = Vec::new();
    unified(&mut patch, &all, Options::patch()).unwrap();
    let apply = Tool::git().dir(&repo).env("HOME", home.path()).args(["apply", "--index", "-"]).input(patch).run();
    apply.unwrap_or_else(|error| panic!("{error}"));
    for file in all.iter().filter_map(|file| file.new.as_ref()) {
        let path = repo.join(file.path.as_path());
        let found = if path.is_symlink() {
            Word::from(std::fs::read_link(&path).unwrap())
        } else {
            Word::from(std::fs::read(&path).unwrap())
        };
        assert_eq!(found.as_bytes(), file.bytes, "{:?}", file.path);
    }
    assert!(!repo.join("gone\n").exists() && !repo.join("moved from").exists());
}
