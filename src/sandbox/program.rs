//! A program with its words and its environment, as the kernel wants them: made before the fork, run after it.

use std::ffi::{CStr, CString, OsStr, c_char, c_int};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use super::system::errno;

/// Where a program is looked for that is told no path.
const PATH: &str = "/bin:/usr/bin";
const SHELL: &CStr = c"/bin/sh";

/// What is run.
#[derive(Debug)]
pub(super) struct Program {
    /// Where it may be; the first is run that is there.
    places: Vec<CString>,
    /// Lists as the kernel wants them point into these.
    _words: Vec<CString>,
    words: Vec<*const c_char>,
    /// The same for a shell: a script need not say what runs it.
    of_shell: Vec<*const c_char>,
    variables: Vec<*const c_char>,
}

impl Program {
    /// The program of this command, its arguments, and the variables that it names: no other.
    pub(super) fn of(command: &Command) -> io::Result<Self> {
        let name = command.get_program();
        let mut path = OsStr::new(PATH);
        let mut list = vec![word(name.as_bytes())?];
        for argument in command.get_args() {
            list.push(word(argument.as_bytes())?);
        }
        let count = list.len();
        for (name, value) in command.get_envs().filter_map(|(name, value)| Some((name, value?))) {
            if name == "PATH" {
                path = value;
            }
            list.push(word(&[name.as_bytes(), b"=", value.as_bytes()].concat())?);
        }
        let ended = std::iter::once(std::ptr::null());
        let pointers = |list: &[CString]| list.iter().map(|word| word.as_ptr()).collect::<Vec<_>>();
        let words: Vec<_> = pointers(&list[..count]).into_iter().chain(ended.clone()).collect();
        // The place of the script comes in when it is known.
        let of_shell = [SHELL.as_ptr(), std::ptr::null()].into_iter().chain(words[1..].iter().copied()).collect();
        let variables = pointers(&list[count..]).into_iter().chain(ended).collect();
        Ok(Self { places: places(name, path)?, _words: list, words, of_shell, variables })
    }

    /// Become it. Comes back only where that fails: with the number of the error.
    pub(super) fn run(&mut self) -> c_int {
        let mut failed = libc::ENOENT;
        for place in &self.places {
            // SAFETY: lists that end with a null, of words that end with a zero; all live as long as we do.
            unsafe { libc::execve(place.as_ptr(), self.words.as_ptr(), self.variables.as_ptr()) };
            match errno() {
                libc::ENOEXEC => {
                    self.of_shell[1] = place.as_ptr();
                    // SAFETY: as above.
                    unsafe { libc::execve(SHELL.as_ptr(), self.of_shell.as_ptr(), self.variables.as_ptr()) };
                    return libc::ENOEXEC;
                }
                libc::EACCES => failed = libc::EACCES,
                libc::ENOENT | libc::ENOTDIR | libc::ENODEV | libc::ESTALE | libc::ETIMEDOUT => {}
                other => return other,
            }
        }
        failed
    }
}

/// Where it may be, as every shell looks for it.
fn places(name: &OsStr, path: &OsStr) -> io::Result<Vec<CString>> {
    if name.is_empty() || name.as_bytes().contains(&b'/') {
        return Ok(vec![word(name.as_bytes())?]);
    }
    // An empty piece is the directory that it starts in.
    path.as_bytes().split(|byte| *byte == b':').map(|dir| in_dir(dir, name)).collect()
}

fn in_dir(dir: &[u8], name: &OsStr) -> io::Result<CString> {
    word(Path::new(OsStr::from_bytes(dir)).join(name).as_os_str().as_bytes())
}

fn word(bytes: &[u8]) -> io::Result<CString> {
    let zero = || io::Error::new(io::ErrorKind::InvalidInput, "there is a zero byte in it");
    // What the standard library keeps in the place of a word that has one.
    if bytes == b"<string-with-nul>" {
        return Err(zero());
    }
    CString::new(bytes).map_err(|_| zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "nothing is started")]
    fn where_a_program_is_looked_for() {
        let places = |name: &str, path: Option<&str>| -> Vec<String> {
            let mut command = Command::new(name);
            command.env_clear();
            if let Some(path) = path {
                command.env("PATH", path);
            }
            let program = Program::of(&command).unwrap();
            program.places.iter().map(|place| place.to_string_lossy().into_owned()).collect()
        };
        assert_eq!(places("sh", None), ["/bin/sh", "/usr/bin/sh"]);
        assert_eq!(places("sh", Some("/x::/y z")), ["/x/sh", "sh", "/y z/sh"]);
        assert_eq!(places("./sh", Some("/x")), ["./sh"]);
        assert_eq!(places("", Some("/x")), [""]);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "nothing is started")]
    fn words_and_variables_are_kept_apart() {
        let mut command = Command::new("a");
        command.args(["b", ""]).env_clear().env("C", "d").env_remove("E");
        let program = Program::of(&command).unwrap();
        // SAFETY: lists that end with a null, of words that end with a zero.
        let told = |list: &[*const c_char]| -> Vec<String> {
            let words = list.iter().take_while(|word| !word.is_null());
            words.map(|word| unsafe { CStr::from_ptr(*word) }.to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(told(&program.words), ["a", "b", ""]);
        assert_eq!(told(&program.variables), ["C=d"]);
        assert_eq!(told(&program.of_shell[2..]), ["b", ""]);
        assert!(Program::of(Command::new("a").arg("b\0")).is_err());
    }
}
