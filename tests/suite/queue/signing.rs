//! What lands is signed where the user signs, and says what it has passed; what is only tried is not.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::scene::Scene;

use super::{assert_always_green, merge, result, runs, scene};

/// Sign with ssh; each signature is a line in `signed`, and there is none where there is a file `locked`.
fn sign(scene: &Scene) {
    let (key, signer, signers) = (scene.path("key"), scene.path("signer"), scene.path("signers"));
    let made =
        std::process::Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.unwrap().success());
    fs::write(&signers, format!("user@example.org {}", fs::read_to_string(key.with_extension("pub")).unwrap()))
        .unwrap();
    let (log, locked) = (scene.path("signed"), scene.path("locked"));
    let script = format!(
        "#!/bin/sh\ntest -e {} && {{ echo the key is locked >&2; exit 1; }}\ntest \"$2\" = sign && echo x >> {}\nexec ssh-keygen \"$@\"\n",
        locked.display(),
        log.display()
    );
    fs::write(&signer, script).unwrap();
    fs::set_permissions(&signer, fs::Permissions::from_mode(0o755)).unwrap();
    for (name, value) in [
        ("gpg.format", "ssh"),
        ("gpg.ssh.program", signer.to_str().unwrap()),
        ("gpg.ssh.allowedSignersFile", signers.to_str().unwrap()),
        ("user.signingkey", key.to_str().unwrap()),
        ("commit.gpgsign", "true"),
    ] {
        scene.git(&["config", name, value]);
    }
}

fn signatures(scene: &Scene) -> usize {
    fs::read_to_string(scene.path("signed")).unwrap_or_default().lines().count()
}

fn trailer(scene: &Scene, commit: &str, key: &str) -> String {
    scene.git(&["show", "-s", &format!("--format=%(trailers:key={key},valueonly,separator=%x2c)"), commit])
}

#[test]
fn only_what_lands_is_signed_and_the_line_goes_on() {
    let scene = scene("");
    sign(&scene);
    let lines = ["echo 1 > a1", "echo bad > a2", "echo 3 > a3", "echo 4 > a4", "echo 5 > a5"];
    let ids: Vec<String> = lines.iter().map(|line| result(&scene, line)).collect();
    let ran = merge(&scene, &ids);
    assert_eq!(ran.code, Some(8), "{ran:?}");
    let stands: Vec<String> = (1..=5).map(|id| scene.stands(id)).collect();
    assert_eq!(stands, ["folded", "rejected", "folded", "folded", "folded"], "{ran:?}");
    assert_eq!(signatures(&scene), 4, "one for each fold, none for what was only tried");
    for id in [1, 3, 4, 5] {
        let commit = scene.git(&["rev-parse", &format!("refs/pleach/landed/{id}.1")]);
        scene.git(&["verify-commit", &commit]);
        scene.git(&["merge-base", "--is-ancestor", &commit, "main"]);
    }
    assert_always_green(&scene);
    scene.until("the culprit is looked at", || scene.status(2)["refusal"]["by_itself"] == true);
    let trees = fs::read_to_string(scene.path("runs")).unwrap();
    let count = |tree: &str| trees.lines().filter(|line| line.starts_with(tree)).count();
    assert_eq!(count(&scene.git(&["rev-parse", "main^{tree}"])), 1, "a landed head is not verified once more");
    scene.ok(&["undo"]);
    scene.git(&["verify-commit", "main"]);
    scene.assert_tidy();
}

#[test]
fn a_signer_that_fails_holds_what_would_land_and_loses_no_verdict() {
    let scene = scene("");
    sign(&scene);
    fs::write(scene.path("locked"), "").unwrap();
    let ids = [result(&scene, "echo 1 > a1"), result(&scene, "echo 2 > a2")];
    let before = scene.git(&["rev-parse", "main"]);
    let ran = merge(&scene, &ids);
    assert_eq!(ran.code, Some(6), "{ran:?}");
    assert!(ran.out.contains("the key is locked") && ran.out.contains("then `pleach merge 1` again"), "{ran:?}");
    assert_eq!(scene.git(&["rev-parse", "main"]), before);
    let verified = runs(&scene);
    fs::remove_file(scene.path("locked")).unwrap();
    assert_eq!(merge(&scene, &ids).code, Some(0));
    assert_eq!((runs(&scene), signatures(&scene)), (verified, 2), "the verdicts were kept");
    scene.git(&["verify-commit", "main"]);
}

#[test]
fn what_has_landed_says_what_it_has_passed() {
    let scene = scene("");
    let ids = [result(&scene, "echo 1 > a1"), result(&scene, "echo 2 > a2")];
    assert_eq!(merge(&scene, &ids).code, Some(0));
    let check = std::process::Command::new("sh")
        .args(["-c", "printf 'sh tools/check' | git hash-object --stdin"])
        .current_dir(&scene.top)
        .output()
        .unwrap();
    let check = String::from_utf8(check.stdout).unwrap();
    let verified = format!("{} {:.16}", scene.git(&["rev-parse", "main^{tree}"]), check);
    assert_eq!(trailer(&scene, "main", "Pleach-Verified"), verified);
    assert_eq!(trailer(&scene, "main", "Pleach-Task"), "2.1");
    let bad = result(&scene, "echo bad > a3");
    assert_eq!(scene.pleach(&["merge", "--no-verify", &bad]).code, Some(0));
    assert_eq!(trailer(&scene, "main", "Pleach-Verified"), "no");
    // What a task says in its own commits is left as it is.
    let own = result(&scene, "echo 4 > a4; git rm -q --cached a3; rm a3; git add a4; git commit -qm 'my own words'");
    assert_eq!(scene.pleach(&["merge", "--rebase", &own]).code, Some(0));
    assert_eq!(scene.git(&["show", "-s", "--format=%B", "main"]).trim(), "my own words");
}
