//! What differs.

use pleach::git::diff::{FileDiff, Files, Reader, between, stat, tree_of_files};

use super::*;

/// Each difference on one line.
fn told(files: &[FileDiff]) -> Vec<String> {
    let side = |path: &Option<Word>, mode: Option<u32>, content: &Option<Vec<u8>>| {
        let Some(path) = path else { return "none".to_owned() };
        let content = content.as_ref().map(|bytes| Word::from(bytes.clone()).shown());
        format!("{} {:o} {}", path.shown(), mode.unwrap(), content.unwrap_or_else(|| "binary".to_owned()))
    };
    let line = |f: &FileDiff| {
        format!("{} -> {}", side(&f.old_path, f.old_mode, &f.old), side(&f.new_path, f.new_mode, &f.new))
    };
    files.iter().map(line).collect()
}

#[test]
fn both_ways_of_reading_tell_the_same() {
    let mut seen = Vec::new();
    for options in [&[][..], &["--ref-format=reftable"]] {
        let bench = Bench::with(options);
        bench.write("changed", "1\n2\n3\n");
        bench.write("deleted", "gone\n");
        bench.write("renamed", lines(&[]));
        bench.write("binary", b"\0\x01");
        bench.write("x.said", "1\n");
        bench.write(".gitattributes", "*.said binary\n");
        bench.write("turned", "a file");
        bench.write("new\nline", "x\n");
        let base = bench.commit("base");
        bench.write("changed", "1\nTWO\n3\n4\n");
        fs::remove_file(bench.top.join("deleted")).unwrap();
        fs::rename(bench.top.join("renamed"), bench.top.join("moved")).unwrap();
        bench.write("moved", lines(&[(3, "three")]));
        bench.write("binary", b"\0\x02");
        bench.write("x.said", "2\n");
        fs::remove_file(bench.top.join("turned")).unwrap();
        link("changed", bench.top.join("turned"));
        bench.write("new\nline", "y\n");
        bench.write("[c]hanged", "not a pattern\n");
        let tip = bench.commit("tip");
        let files = between(&bench.repo, base, tip, &[]).unwrap();
        let one = between(&bench.repo, base, tip, &[Word::from("[c]hanged")]).unwrap();
        assert_eq!(told(&one), ["none -> [c]hanged 100644 not a pattern\\n"]);
        assert_eq!(told(&between(&bench.repo, base, bench.repo.tree_of(base).unwrap(), &[]).unwrap()), [""; 0]);
        let figures: Vec<_> = stat(&bench.repo, base, tip, &[]).unwrap();
        let text = |s: &pleach::git::diff::FileStat| {
            let old = s.old_path.as_ref().map_or(String::new(), |old| old.shown() + " ");
            format!("{old}{} +{} -{} {}", s.path.shown(), s.insertions, s.deletions, s.binary)
        };
        let mut figures: Vec<_> = figures.iter().map(text).collect();
        figures.sort();
        let mut lines = told(&files);
        lines.sort();
        seen.push((lines, figures));
    }
    assert_eq!(
        seen[0].1,
        [
            "[c]hanged +1 -0 false",
            "binary +0 -0 true",
            "changed +2 -1 false",
            "deleted +0 -1 false",
            "new\\nline +1 -1 false",
            "renamed moved +1 -1 false",
            "turned +1 -1 false",
            "x.said +0 -0 true",
        ]
    );
    assert!(seen[0].0.contains(&"turned 100644 a file -> turned 120000 changed".to_owned()), "{:?}", seen[0].0);
    assert!(seen[0].0.contains(&"x.said 100644 binary -> x.said 100644 binary".to_owned()), "{:?}", seen[0].0);
    assert_eq!(seen[0], seen[1]);
}

/// A running task's worktree, hostile where it can be.
#[test]
fn the_files_of_a_running_task_are_a_tree() {
    for options in [&[][..], &["--object-format=sha256"]] {
        let bench = Bench::with(options);
        bench.write(".gitignore", "*.ignored\n");
        bench.write("changed", "old\n");
        bench.write("deleted", "gone\n");
        bench.write("dir/inside", "inside\n");
        bench.write("turned", "file\n");
        bench.write("filtered.txt", "text\n");
        let base = bench.commit("base");
        let task = bench.dir.path().join("task");
        let private = bench.dir.path().join("private");
        bench.git(&["clone", "-q", "--separate-git-dir", private.to_str().unwrap(), ".", task.to_str().unwrap()]);
        let write = |path: &str, content: &str| {
            fs::create_dir_all(task.join(path).parent().unwrap()).unwrap();
            fs::write(task.join(path), content).unwrap();
        };
        // In the task's own objects already, and not in ours.
        write("committed", "by the task\n");
        bench.git_in(&task, &["add", "committed"]);
        bench.git_in(&task, &["-c", "user.name=t", "-c", "user.email=t", "commit", "-q", "-m", "task"]);
        write("changed", "new\n");
        fs::remove_file(task.join("deleted")).unwrap();
        fs::remove_dir_all(task.join("dir")).unwrap();
        link("/etc", task.join("dir"));
        fs::remove_file(task.join("turned")).unwrap();
        write("turned/deep", "deep\n");
        write("odd \n name", "odd\n");
        write("x.ignored", "ignored\n");
        // None of these may run.
        let trap = bench.dir.path().join("trapped");
        let script = format!("#!/bin/sh\n: > '{}'\ncat\n", trap.display());
        write("trap.sh", &script);
        fs::set_permissions(task.join("trap.sh"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        write(".gitattributes", "*.txt filter=mine\n");
        bench.git(&["config", "filter.mine.clean", "./trap.sh"]);
        bench.git(&["config", "filter.mine.required", "true"]);
        for git in [&private, &task.join("nested/.git")] {
            if !git.exists() {
                bench.git(&["init", "-q", task.join("nested").to_str().unwrap()]);
                write("nested/file", "nested\n");
            }
            bench.git(&[
                "--git-dir",
                git.to_str().unwrap(),
                "config",
                "core.fsmonitor",
                task.join("trap.sh").to_str().unwrap(),
            ]);
            fs::create_dir_all(git.join("hooks")).unwrap();
            fs::copy(task.join("trap.sh"), git.join("hooks/post-index-change")).unwrap();
        }
        let scratch = bench.dir.path().join("scratch");
        let before = bench.fingerprint();
        for _ in 0..2 {
            let objects = private.join("objects");
            let (tree, objects) = tree_of_files(&bench.repo, &objects, Files::Worktree(&task), base, &scratch).unwrap();
            let mut paths: Vec<_> = Reader::with(&bench.repo, &objects)
                .stat(base, tree, &[])
                .unwrap()
                .iter()
                .map(|file| format!("{} +{} -{}", file.path.shown(), file.insertions, file.deletions))
                .collect();
            paths.sort();
            let expected = [
                ".gitattributes +1 -0",
                "changed +1 -1",
                "committed +1 -0",
                "deleted +0 -1",
                "dir +1 -0",
                "dir/inside +0 -1",
                "odd \\n name +1 -0",
                "trap.sh +3 -0",
                "turned +0 -1",
                "turned/deep +1 -0",
            ];
            assert_eq!(paths, expected);
            let committed =
                Reader::with(&bench.repo, &objects).between(base, tree, &[Word::from("committed")]).unwrap();
            assert_eq!(told(&committed), ["none -> committed 100644 by the task\\n"]);
        }
        assert!(!trap.exists(), "something of the task's ran");
        assert_eq!(bench.fingerprint(), before);
    }
}
