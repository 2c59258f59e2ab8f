//! `pleach hook`, which the hooks of other agents call, and `pleach init`, which sets them up.
#![allow(clippy::disallowed_methods, reason = "tests write files and start programs as a user would")]

mod examples;
mod init;
mod places;
mod real;

use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;

use crate::support::scene::{Ran, Scene};

/// Call it as an agent does: this on its standard input.
pub(crate) fn hook(scene: &Scene, words: &[&str], input: &str) -> Ran {
    let mut command = scene.command(&[&["hook"], words].concat());
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    // One that refuses at once reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// It has to work; what it answered.
fn told(scene: &Scene, words: &[&str], input: &Value) -> String {
    let ran = hook(scene, words, &input.to_string());
    assert_eq!(ran.code, Some(0), "{input}: {ran:?}\n{}", scene.story());
    ran.out.trim_end().to_owned()
}
