use super::*;

fn whole() -> Sheet {
    let hunks = |ids: &[&str]| {
        let hunk = |id: &&str| HunkSheet { id: (*id).to_owned(), verdict: None, lines: Vec::new() };
        ids.iter().map(hunk).collect()
    };
    let file =
        |path: &str, change, ids: &[&str]| FileSheet { hunks: hunks(ids), ..FileSheet::new(path.into(), change) };
    let renamed = FileSheet { old_path: Some("old".into()), ..file("renamed", FileChange::Renamed, &["-1,1 +1,1"]) };
    Sheet {
        files: vec![
            file("edited", FileChange::Modified, &["mode", "-1,5 +1,6", "-20,5 +21,5"]),
            file("added", FileChange::Added, &["-0,0 +1,3"]),
            file("gone", FileChange::Deleted, &["-1,2 +0,0"]),
            renamed,
            file("gone2", FileChange::Deleted, &[]),
            file("gone2/below", FileChange::Added, &[]),
        ],
        ..read(r#"{"task": 1}"#)
    }
}

fn read(text: &str) -> Sheet {
    serde_json::from_str(text).unwrap()
}

fn settle(text: &str) -> Result<Accepted, Vec<String>> {
    read(&format!(r#"{{"task": 1, "verdict": "accept", {text}}}"#)).settle(&whole())
}

fn part(files: &[(usize, Option<&[usize]>)]) -> Accepted {
    let pieces = |of: &Option<&[usize]>| of.map_or(Pieces::All, |places| Pieces::Of(places.iter().copied().collect()));
    Accepted::Part(files.iter().map(|(place, of)| (*place, pieces(of))).collect())
}

#[test]
fn what_is_accepted() {
    assert_eq!(settle(r#""files": []"#), Ok(Accepted::All));
    assert_eq!(settle(r#""others": "refuse""#), Ok(Accepted::Nothing));
    assert_eq!(
        settle(r#""others": "refuse", "files": [{"path": "added", "verdict": "accept"}]"#),
        Ok(part(&[(1, None)]))
    );
    assert_eq!(
        settle(r#""files": [{"path": "edited", "hunks": [{"id": "-1,5 +1,6", "verdict": "refuse"}]}]"#),
        Ok(part(&[(0, Some(&[0, 2])), (1, None), (2, None), (3, None), (4, None), (5, None)]))
    );
    // The one hunk of a file that comes or goes is the file.
    assert_eq!(
        settle(
            r#""others": "refuse", "files": [{"path": "gone", "hunks": [{"id": "-1,2 +0,0", "verdict": "accept"}]}]"#
        ),
        Ok(part(&[(2, None)]))
    );
    assert_eq!(
        settle(
            r#""others": "refuse", "files": [{"path": "renamed", "verdict": "accept", "hunks": [{"id": "-1,1 +1,1", "verdict": "refuse"}]}]"#
        ),
        Ok(part(&[(3, Some(&[]))]))
    );
}

#[test]
fn what_does_not_fit_is_told_all_at_once() {
    let problems = settle(
        r#""comments": [{"path": "other", "line": 0, "text": "?"}], "files": [
            {"path": "nowhere"}, {"path": "added"}, {"path": "added"}, {"path": "edited", "hunks": [{"id": "-9,9 +9,9"}]},
            {"path": "gone2", "verdict": "refuse"},
            {"path": "renamed", "verdict": "refuse", "hunks": [{"id": "-1,1 +1,1", "verdict": "accept"}]}]"#,
    );
    expect_test::expect![[r#"
        nowhere does not differ in this result
        added is named twice
        edited has no hunk "-9,9 +9,9"
        a comment is on other, which does not differ in this result
        a comment is on line 0 of other: lines are counted from 1
        a hunk of renamed is accepted and its new name is not: accept the file, and refuse the other hunks
        gone2/below cannot come in while gone2 stays: accept or refuse both"#]]
    .assert_eq(&problems.unwrap_err().join("\n"));
}

#[test]
fn a_sheet_is_read_back_as_it_was_written() {
    let text = serde_json::to_string(&whole()).unwrap();
    assert_eq!(read(&text), whole());
    assert!(serde_json::from_str::<Sheet>(r#"{"task": 1, "verdct": "accept"}"#).is_err());
}
