//! Running another program to its end.
#![expect(clippy::disallowed_methods, reason = "this is the home of `Command::new` and of the scrubbed environment")]

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::core::word::one_line;

/// A program that is about to run.
#[derive(Debug)]
pub struct Tool {
    command: Command,
    input: Option<Vec<u8>>,
}

/// What a program left.
#[derive(Debug)]
pub struct Output {
    /// Its exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// What it answered.
    pub stdout: Vec<u8>,
    /// What it said beside that.
    pub stderr: String,
}

/// A program could not run, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It could not be started at all.
    #[error("cannot run `{shown}`")]
    Start {
        /// The command.
        shown: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended with another code than 0.
    #[error("`{shown}` {how}{}", tail(.stderr))]
    Failed {
        /// The command.
        shown: String,
        /// "exited with 1", "was killed by a signal".
        how: String,
        /// Its own words.
        stderr: String,
    },
}

impl ToolError {
    /// The program's own last words, for a person, on one line.
    pub fn words(&self) -> String {
        match self {
            Self::Start { source, .. } => source.to_string(),
            Self::Failed { stderr, how, .. } if stderr.trim().is_empty() => how.clone(),
            Self::Failed { stderr, .. } => one_line(stderr),
        }
    }
}

fn tail(stderr: &str) -> String {
    match stderr.trim() {
        "" => String::new(),
        words => format!(": {words}"),
    }
}

impl Tool {
    /// A program with the caller's environment, less every `GIT_*`.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"GIT_")) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
        Self { command, input: None }
    }

    /// `git`, speaking to machines: no prompt, no pager, no editor, no translation.
    pub fn git() -> Self {
        Self::new("git")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_EDITOR", "true")
            .env("GIT_PAGER", "cat")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("LC_ALL", "C")
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// More arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// One variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Nothing of the caller's environment.
    pub fn env_clear(mut self) -> Self {
        self.command.env_clear();
        self
    }

    /// Where it runs.
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// What it reads from its standard input.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// Its standard input comes from here.
    pub fn stdin(mut self, from: impl Into<Stdio>) -> Self {
        self.command.stdin(from);
        self
    }

    /// Its standard output goes here.
    pub fn stdout(mut self, to: impl Into<Stdio>) -> Self {
        self.command.stdout(to);
        self
    }

    /// Its standard error goes here.
    pub fn stderr(mut self, to: impl Into<Stdio>) -> Self {
        self.command.stderr(to);
        self
    }

    /// The command, for people.
    pub fn shown(&self) -> String {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    /// Run it to its end, whatever its exit code. Whatever a program that was killed had said by then is no answer.
    ///
    /// # Errors
    /// Where it cannot be started, or a signal ended it.
    pub fn output(mut self) -> Result<Output, ToolError> {
        let shown = self.shown();
        let start = |source| ToolError::Start { shown: shown.clone(), source };
        let input = self.input.take();
        if input.is_some() {
            self.command.stdin(Stdio::piped());
        }
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().map_err(start)?;
        let feeder = child.stdin.take().zip(input).map(|(mut pipe, bytes)| {
            // A program that stops reading early says so by its exit code, not by our broken pipe.
            std::thread::spawn(move || drop(pipe.write_all(&bytes)))
        });
        let finished = child.wait_with_output().map_err(start)?;
        if let Some(feeder) = feeder {
            let _ = feeder.join();
        }
        let stderr = String::from_utf8_lossy(&finished.stderr).into_owned();
        match finished.status.code() {
            Some(code) => Ok(Output { code: Some(code), stdout: finished.stdout, stderr }),
            None => Err(ToolError::Failed { shown, how: how(None), stderr }),
        }
    }

    /// Run it to its end; its standard output is the answer.
    ///
    /// # Errors
    /// Where it cannot be started, or ends with another code than 0.
    pub fn run(self) -> Result<Vec<u8>, ToolError> {
        let shown = self.shown();
        let output = self.output()?;
        match output.code {
            Some(0) => Ok(output.stdout),
            code => Err(ToolError::Failed { shown, how: how(code), stderr: output.stderr }),
        }
    }

    /// Run it to its end; its answer is one line of text.
    ///
    /// # Errors
    /// As [`Tool::run`].
    pub fn line(self) -> Result<String, ToolError> {
        let bytes = self.run()?;
        Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned())
    }

    /// Does it end with 0? Any other code is a no.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn succeeds(self) -> Result<bool, ToolError> {
        Ok(self.output()?.code == Some(0))
    }

    /// Start it and leave it running.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn spawn(mut self) -> Result<Child, ToolError> {
        let shown = self.shown();
        self.command.spawn().map_err(|source| ToolError::Start { shown, source })
    }

    /// Start it with pipes to its standard input and from its standard output: a conversation.
    ///
    /// `kept` is a descriptor that it inherits: a lock that must outlive us as long as the program does.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn converse(self, kept: Option<OwnedFd>) -> Result<Conversation, ToolError> {
        let shown = self.shown();
        let tool = self.stdin(Stdio::piped()).stdout(Stdio::piped());
        let tool = match kept {
            // Standard error is the one descriptor that nobody reads here, and that every program holds to its end.
            Some(lock) => tool.stderr(lock),
            None => tool.stderr(Stdio::null()),
        };
        Ok(Conversation { child: tool.spawn()?, shown })
    }

    /// The program as the standard library has it, for who must wait in another way.
    pub fn into_command(self) -> Command {
        self.command
    }
}

/// A running program that is spoken to line by line.
#[derive(Debug)]
pub struct Conversation {
    child: Child,
    shown: String,
}

impl Conversation {
    /// Say something.
    ///
    /// # Errors
    /// Where it no longer listens.
    pub fn say(&mut self, bytes: &[u8]) -> Result<(), ToolError> {
        let shown = &self.shown;
        let pipe = self.child.stdin.as_mut();
        let said =
            pipe.map_or_else(|| Err(io::ErrorKind::BrokenPipe.into()), |p| p.write_all(bytes).and_then(|()| p.flush()));
        said.map_err(|source| ToolError::Start { shown: shown.clone(), source })
    }

    /// Hear one line; empty at the end.
    ///
    /// # Errors
    /// Where reading fails.
    pub fn hear(&mut self) -> Result<String, ToolError> {
        let mut line = Vec::new();
        let mut byte = [0];
        if let Some(pipe) = self.child.stdout.as_mut() {
            while pipe.read(&mut byte).map_err(|source| ToolError::Start { shown: self.shown.clone(), source })? == 1 {
                if byte[0] == b'\n' {
                    break;
                }
                line.push(byte[0]);
            }
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// Say nothing more, and wait for its end.
    ///
    /// # Errors
    /// Where waiting fails.
    pub fn end(mut self) -> Result<ExitStatus, ToolError> {
        drop(self.child.stdin.take());
        self.child.wait().map_err(|source| ToolError::Start { shown: self.shown.clone(), source })
    }
}

fn how(code: Option<i32>) -> String {
    code.map_or_else(|| "was killed by a signal".to_owned(), |code| format!("exited with {code}"))
}

/// The fields of an answer that was asked for with `-z`.
pub fn fields(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == 0).filter(|field| !field.is_empty())
}

/// This very program, to be started again. On Linux also after its file was replaced or deleted.
///
/// # Errors
/// Where its path cannot be told.
pub fn own_program() -> io::Result<OsString> {
    let link = Path::new("/proc/self/exe");
    if link.exists() { Ok(link.into()) } else { Ok(std::env::current_exe()?.into_os_string()) }
}

/// The directory of this very program; `None` where it cannot be told, or the program is not called `pleach`.
pub fn own_directory() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    program.file_name().filter(|name| *name == "pleach")?;
    program.parent().map(Path::to_owned)
}
