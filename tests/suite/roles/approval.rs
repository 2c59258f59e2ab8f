//! Who is asked before a role is used, and what is said where nobody is there.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use super::{REVIEWER, own, scene};
use crate::support::scene::Scene;

const LINE: [&str; 4] = ["run", "--role", "reviewer", "echo ran > it"];

/// The same at a terminal at which somebody types this; none where there is no script(1).
fn at_terminal(scene: &Scene, words: &[&str], typed: &str) -> Option<(i32, String)> {
    let inner = scene.command(words);
    let line = std::iter::once(inner.get_program()).chain(inner.get_args());
    let line: Vec<String> = line.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    let mut outer = Command::new("script");
    outer.args(["-qec", &line.join(" "), "/dev/null"]).env_clear();
    outer.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    outer.current_dir(inner.get_current_dir().unwrap()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = outer.spawn() else {
        println!("there is no script(1) here");
        return None;
    };
    let mut keyboard = child.stdin.take().unwrap();
    keyboard.write_all(typed.as_bytes()).unwrap();
    let ended = child.wait_with_output().unwrap();
    drop(keyboard);
    Some((ended.status.code().unwrap(), String::from_utf8_lossy(&ended.stdout).into_owned()))
}

#[test]
fn somebody_at_a_terminal_is_shown_it_and_asked() {
    let scene = scene();
    let Some((code, shown)) = at_terminal(&scene, &LINE, "n\n") else { return };
    assert_eq!(code, 10, "{shown}");
    for told in [
        "role reviewer",
        "Reviews code",
        ".claude/agents/reviewer.md",
        "Read, Grep, Bash",
        "Be kind.",
        "Use this role?",
    ] {
        assert!(shown.contains(told), "{told}: {shown}");
    }
    assert!(shown.contains("was not allowed") && scene.board().is_empty(), "{shown}");
    let (code, shown) = at_terminal(&scene, &LINE, "y\n").unwrap();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(scene.status(1)["role"]["allowed"], "once");
    assert_eq!(scene.pleach(&LINE).code, Some(10), "it was for that once");
    let (code, shown) = at_terminal(&scene, &LINE, "a\n").unwrap();
    assert_eq!(code, 0, "{shown}");
    scene.ok(&LINE);
    assert_eq!(scene.status(3)["role"]["allowed"], "approved");
    let (code, shown) = at_terminal(&scene, &LINE, "").unwrap();
    assert!(code == 0 && !shown.contains("Use this role?"), "{shown}");
}

#[test]
fn where_nobody_is_there_it_fails_at_once_and_says_what_to_do() {
    let scene = scene();
    let ran = scene.pleach(&LINE);
    assert_eq!((ran.code, ran.out.as_str()), (Some(10), ""), "{ran:?}");
    for told in ["reviewer", "pleach roles show reviewer", "pleach approve --role reviewer", "[roles] trusted"] {
        assert!(ran.err.contains(told), "{told}: {ran:?}");
    }
    let unknown = scene.pleach(&["add", "--role", "nobody", "true"]);
    assert!(unknown.code == Some(11) && unknown.err.contains("there are reviewer"), "{unknown:?}");
    assert!(scene.board().is_empty());
    assert_eq!(scene.pleach(&["approve", "--role", "reviewer"]).code, Some(7), "nobody is there to ask");
    scene.ok(&["approve", "--yes", "--role", "reviewer"]);
    scene.ok(&LINE);
    let status = scene.ok(&["status", "1"]);
    let hash = scene.json(&["roles"])["roles"][0]["hash"].as_str().unwrap().to_owned();
    assert!(status.contains(&format!("reviewer of project-claude ({}, approved)", &hash[..12])), "{status}");
    assert_eq!(
        scene.status(1)["role"],
        json!({ "name": "reviewer", "source": "project-claude", "hash": hash, "allowed": "approved" })
    );
    // Another text is another role.
    scene.write(".claude/agents/reviewer.md", REVIEWER.replace("kind", "rude"));
    assert_eq!(scene.pleach(&LINE).code, Some(10));
    assert_eq!(scene.status(1)["role"]["hash"], hash.as_str(), "what ran is what it was");
    scene.write(".claude/agents/reviewer.md", REVIEWER);
    scene.ok(&LINE);
}

#[test]
fn only_the_user_says_which_roles_are_trusted_and_available() {
    let scene = scene();
    own(&scene, "config.toml", "[roles]\ntrusted = [\"rev*\"]\n");
    scene.ok(&LINE);
    assert_eq!(scene.status(1)["role"]["allowed"], "trusted");
    own(&scene, "config.toml", "[roles]\ntrusted = [\"rev*\"]\navailable = [\"other\"]\n");
    let refused = scene.pleach(&LINE);
    assert!(refused.code == Some(11) && refused.err.contains("[roles] available"), "{refused:?}");
    own(&scene, "config.toml", "");
    scene.write(".pleach.toml", "[roles]\ntrusted = [\"*\"]\n");
    let refused = scene.pleach(&LINE);
    assert!(refused.code == Some(2) && refused.err.contains("not by a repository"), "{refused:?}");
}

#[test]
fn no_file_of_a_repository_takes_the_place_of_the_users_own() {
    let scene = scene();
    own(&scene, "roles/reviewer.toml", "description = \"mine\"\n");
    std::fs::write(scene.path("secret"), "SECRET").unwrap();
    scene.write(".pleach/roles/a.toml", "nme = \"a\"\n");
    scene.write(".pleach/roles/b.toml", "prompt_file = \"../../../secret\"\n");
    std::os::unix::fs::symlink(scene.path("secret"), scene.top.join(".pleach/roles/c.toml")).unwrap();
    let list = scene.json(&["roles"]);
    let states: Vec<_> = list["roles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["source"], &row["allowed"], &row["shadowed_by"]))
        .collect();
    assert_eq!(
        states,
        [(&json!("user"), &json!("own"), &json!(null)), (&json!("project-claude"), &json!(null), &json!("user"))]
    );
    let broken = list["broken"].to_string();
    assert_eq!(list["broken"].as_array().unwrap().len(), 3, "{broken}");
    assert!(
        broken.contains("unknown field") && broken.matches("lies outside of the checkout").count() == 2,
        "{broken}"
    );
    assert!(!broken.contains("SECRET"));
    let said = scene.ok(&["roles"]);
    assert!(said.contains("your own") && said.contains("shadowed") && said.contains("a.toml:1"), "{said}");
    scene.ok(&LINE);
    assert_eq!(scene.status(1)["role"]["source"], "user");
    let named = scene.pleach(&["run", "--role", "claude:reviewer", "true"]);
    assert_eq!(named.code, Some(10), "it can be named all the same");
    // What is advised means the same one, and not whose name it has.
    assert!(named.err.contains("`pleach approve --role claude:reviewer`"), "{named:?}");
    let said = scene.ok(&["roles", "show", "claude:reviewer"]);
    assert!(said.contains("`pleach approve --role project-claude:reviewer`"), "{said}");
    scene.ok(&["approve", "--yes", "--role", "project-claude:reviewer"]);
    scene.ok(&["run", "--role", "claude:reviewer", "true"]);
    let broken = scene.pleach(&["run", "--role", "a", "true"]);
    assert!(broken.code == Some(11) && broken.err.contains("a.toml:1"), "{broken:?}");
}

#[test]
fn an_odd_name_is_advised_as_one_has_to_type_it() {
    let scene = Scene::new();
    // As some editors write it.
    scene.write(".kiro/agents/odd.json", "\u{feff}{\"name\": \"an odd one\"}");
    let refused = scene.pleach(&["run", "--role", "an odd one", "true"]);
    assert!(refused.err.contains("`pleach approve --role 'an odd one'`"), "{refused:?}");
    assert!(scene.ok(&["roles", "show", "an odd one"]).contains("`pleach approve --role 'an odd one'`"));
}

#[test]
fn a_plan_names_roles_and_their_rules_hold() {
    let scene = scene();
    scene.write(
        ".pleach/roles/fixer.toml",
        "timeout = \"5m\"\nenv = { WHO = \"fixer\" }\n[result]\npaths = [\"dir/**\"]\naccept_exit_codes = [3]\n",
    );
    scene.write(".pleach/roles/worker.toml", "[result]\nrequire_changes = true\n");
    let plan = "[defaults]\nrole = \"fixer\"\n[[task]]\nname = \"in\"\ncommand = \"echo $WHO > dir/who; exit 3\"\n\
        [[task]]\nname = \"out\"\ncommand = \"echo x > out\"\n[[task]]\nname = \"idle\"\nrole = \"worker\"\ncommand = \"true\"\n";
    scene.write("plan.toml", plan);
    let refused = scene.pleach(&["run", "--json", "plan.toml"]);
    assert!(refused.code == Some(10) && refused.out.contains("untrusted_role"), "{refused:?}");
    assert!(scene.board().is_empty());
    scene.ok(&["approve", "--yes", "--role", "fixer", "--role", "worker"]);
    let ran = scene.pleach(&["run", "--json", "plan.toml"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!((scene.stands(1).as_str(), scene.git(&["show", "pleach/1-in:dir/who"])), ("ready", "fixer".to_owned()));
    assert_eq!(scene.status(1)["attempts"][0]["flags"], json!(null));
    assert!(scene.status(2)["attempts"][0]["flags"].to_string().contains("out"), "{}", scene.status(2));
    assert_eq!(scene.outcome(3), "no_changes");
    assert_eq!(scene.status(1)["timeout"], 300);
}

#[test]
fn what_a_role_tells_comes_before_the_prompt_and_an_agent_without_one_is_told_of() {
    let scene = scene();
    own(&scene, "config.toml", "[agents.scribe]\ncommand = [\"sh\", \"-c\", \"cat > told\"]\n");
    own(&scene, "roles/writer.toml", "agent = \"scribe\"\nprompt = \"Write well.\"\nresources = [\"readme\"]\n");
    let ran = scene.pleach(&["run", "--role", "writer", "--prompt", "Write it."]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.err.contains("has no role"), "{ran:?}");
    assert_eq!(
        scene.git(&["show", "pleach/1:told"]),
        "Write well.\n\nRead what you need of these first: readme\n\nWrite it."
    );
    let ran = scene.pleach(&["run", "--agent", "scribe", "--prompt", "Write it."]);
    assert_eq!(
        ran.err.lines().filter(|line| line.starts_with("warning: this agent has no role")).count(),
        1,
        "{ran:?}"
    );
    assert_eq!(scene.git(&["show", "pleach/2:told"]), "Write it.");
    assert!(!scene.pleach(&["run", "--", "true"]).err.contains("no role"));
    scene.write("plan.toml", "[[task]]\nname = \"a\"\nrole = \"writer\"\nprompt = \"Go.\"\n");
    scene.ok(&["run", "--json", "plan.toml"]);
    assert!(scene.git(&["show", "pleach/4-a:told"]).starts_with("Write well."));
    let nobody = scene.pleach(&["run", "--prompt", "x"]);
    assert!(nobody.code == Some(2) && nobody.err.contains("--role"), "{nobody:?}");
}
