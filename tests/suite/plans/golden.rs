//! What is wrong with a plan is told all at once, in these words. `UPDATE_EXPECT=1` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use pleach::core::plan::{self, ForEach, Syntax};

fn files(kind: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/plans").join(kind);
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let is_plan = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "toml" || ending == "json");
    let mut files: Vec<PathBuf> = paths.filter(is_plan).collect();
    files.sort();
    files
}

fn syntax(path: &Path) -> Syntax {
    if path.extension().is_some_and(|ending| ending == "json") { Syntax::Json } else { Syntax::Toml }
}

fn items(each: &ForEach) -> Result<Vec<String>, String> {
    Ok(match each {
        ForEach::List(items) => items.clone(),
        ForEach::Globs(globs) => globs.iter().map(|glob| format!("src/{}", glob.len())).collect(),
        ForEach::Command(_) => ["docs/a.md", "docs/a-md"].map(str::to_owned).to_vec(),
    })
}

#[test]
fn what_is_wrong_is_told_with_its_places() {
    let files = files("invalid");
    assert!(files.len() >= 9);
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let problems = plan::read(&text, syntax(&path)).expect_err(name);
        expect_file![path.with_file_name(format!("{name}.errors"))].assert_eq(&format!("{}\n", problems.told(name)));
    }
}

#[test]
fn what_is_right_is_read_and_expanded() {
    let files = files("valid");
    assert!(files.len() >= 5);
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let draft = plan::read(&text, syntax(&path)).unwrap_or_else(|problems| panic!("{}", problems.told(name)));
        let expanded = plan::expand(&text, &draft, &items).unwrap_or_else(|problems| panic!("{}", problems.told(name)));
        let names =
            |places: &[usize]| places.iter().map(|at| expanded.tasks[*at].name.as_str()).collect::<Vec<_>>().join(" ");
        let mut picture = String::new();
        for (level, places) in plan::levels(&expanded).iter().enumerate() {
            for place in places {
                let task = &expanded.tasks[*place];
                let after =
                    if task.needs.is_empty() { String::new() } else { format!(" after {}", names(&task.needs)) };
                picture.push_str(&format!("{level} {}{after}: {}\n", task.name, task.command.shown()));
            }
        }
        for (one, other, paths) in plan::overlaps(&draft) {
            picture.push_str(&format!("{one} and {other} may both touch {paths}\n"));
        }
        expect_file![path.with_file_name(format!("{name}.tasks"))].assert_eq(&picture);
    }
}

/// The published schema is the one of this version; the valid plans fit it, as far as keys and words go.
#[test]
fn the_schema_is_published_and_the_valid_plans_fit_it() {
    let schema = plan::schema();
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    expect_file![Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/plan.schema.json")].assert_eq(&text);
    for path in files("valid") {
        let text = fs::read_to_string(&path).unwrap();
        let value: serde_json::Value = match syntax(&path) {
            Syntax::Json => serde_json::from_str(&text).unwrap(),
            Syntax::Toml => serde_json::to_value(toml::from_str::<toml::Table>(&text).unwrap()).unwrap(),
        };
        assert_eq!(misfit(&schema, &value), None, "{}", path.display());
    }
    for (bad, name) in
        [(r#"{"task":[]}"#, "no task"), (r#"{"task":[{"name":"a"}]}"#, "nothing to run"), (r#"{"x":1}"#, "key")]
    {
        assert!(misfit(&schema, &serde_json::from_str(bad).unwrap()).is_some(), "{name}");
    }
}

/// Why a value does not fit; of JSON Schema only what our schema uses.
fn misfit(schema: &serde_json::Value, value: &serde_json::Value) -> Option<String> {
    use serde_json::Value as V;
    let kind = match value {
        V::String(_) => "string",
        V::Bool(_) => "boolean",
        V::Number(_) => "integer",
        V::Array(_) => "array",
        V::Object(_) => "object",
        V::Null => "null",
    };
    let is_kind = |wanted: &V| wanted == kind || wanted.as_array().is_some_and(|all| all.iter().any(|one| one == kind));
    let allowed = schema.get("type").is_none_or(is_kind)
        && schema["enum"].as_array().is_none_or(|all| all.contains(value))
        && schema["oneOf"]
            .as_array()
            .is_none_or(|all| all.iter().filter(|one| misfit(one, value).is_none()).count() == 1);
    if !allowed {
        return Some(format!("{value} is not {schema}"));
    }
    let number = value.as_i64().unwrap_or(0);
    if value.is_number()
        && (schema["minimum"].as_i64().is_some_and(|least| number < least)
            || schema["maximum"].as_i64().is_some_and(|most| number > most))
    {
        return Some(format!("{value} is out of range"));
    }
    match value {
        V::Array(items) if schema["minItems"].as_u64().is_some_and(|least| (items.len() as u64) < least) => {
            Some("too few".to_owned())
        }
        V::Array(items) => items.iter().find_map(|item| misfit(schema.get("items")?, item)),
        V::Object(fields) => {
            let required = schema["required"].as_array().into_iter().flatten();
            let missing = required.filter_map(V::as_str).find(|name| !fields.contains_key(*name));
            let count = fields.len() as u64;
            let is_out = schema["minProperties"].as_u64().is_some_and(|least| count < least)
                || schema["maxProperties"].as_u64().is_some_and(|most| count > most);
            missing.map(|name| format!("{name} is missing")).or(is_out.then(|| "count".to_owned())).or_else(|| {
                fields.iter().find_map(|(name, value)| {
                    match (schema["properties"].get(name), schema.get("additionalProperties")) {
                        (Some(known), _) => misfit(known, value),
                        (None, Some(V::Bool(false))) => Some(format!("{name} is not known")),
                        (None, Some(other)) if other.is_object() => misfit(other, value),
                        _ => None,
                    }
                })
            })
        }
        _ => None,
    }
}
