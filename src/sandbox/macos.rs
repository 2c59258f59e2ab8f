//! Between fork and exec on macOS: the rules of [`seatbelt`](super::seatbelt) become those of the process, and of all that it starts.
//!
//! `sandbox-exec` does the same from outside. It is not used: with it a command that is not there would be a command that failed.

use std::ffi::{CStr, CString, c_char, c_int};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

use super::seatbelt::Profile;

/// The step that fails, if one does.
const STEP: &str = "use the rules of the system (Seatbelt)";

// In libSystem, and in no header; browsers and Nix start their processes by it.
unsafe extern "C" {
    fn sandbox_init_with_parameters(
        profile: *const c_char,
        flags: u64,
        parameters: *const *const c_char,
        error: *mut *mut c_char,
    ) -> c_int;
}

/// All that the child needs, made ready.
#[derive(Debug)]
pub(super) struct Inner {
    shared: Arc<Ready>,
    /// Where the child says what failed.
    words: OwnedFd,
}

#[derive(Debug)]
struct Ready {
    text: CString,
    /// Names and values in turn.
    parameters: Vec<CString>,
    words: File,
}

impl Inner {
    pub(super) fn new(profile: &Profile) -> Result<Self, (&'static str, io::Error)> {
        let word = |bytes: &[u8]| CString::new(bytes).map_err(|error| ("name a path", error.into()));
        let mut parameters = Vec::new();
        for (at, path) in profile.paths.iter().enumerate() {
            parameters.extend([word(format!("P{at}").as_bytes())?, word(path.as_os_str().as_bytes())?]);
        }
        let text = word(profile.text.as_bytes())?;
        let (words, words_in) = io::pipe().map_err(|error| ("make a pipe", error))?;
        rustix::io::ioctl_fionbio(&words, true).map_err(|error| ("make a pipe", error.into()))?;
        let ready = Ready { text, parameters, words: File::from(OwnedFd::from(words_in)) };
        Ok(Self { shared: Arc::new(ready), words: words.into() })
    }

    pub(super) fn confine(&self, command: &mut Command) {
        let ready = Arc::clone(&self.shared);
        // SAFETY: the system makes the rules in memory of the child. It takes locks of the allocator only, which are free after
        // a fork on macOS.
        unsafe {
            command.pre_exec(move || ready.enter());
        }
    }

    /// Which step failed, and why.
    pub(super) fn failure(&self) -> Option<(String, io::Error)> {
        let mut bytes = [0; 512];
        let count = File::from(self.words.try_clone().ok()?).read(&mut bytes).ok().filter(|count| *count > 0)?;
        Some((STEP.to_owned(), io::Error::other(String::from_utf8_lossy(&bytes[..count]).into_owned())))
    }
}

impl Ready {
    fn enter(&self) -> io::Result<()> {
        let ends = std::iter::once(std::ptr::null());
        let parameters: Vec<*const c_char> = self.parameters.iter().map(|word| word.as_ptr()).chain(ends).collect();
        let mut error: *mut c_char = std::ptr::null_mut();
        // SAFETY: words that end with a zero, and a list of such that ends with a null.
        let done = unsafe { sandbox_init_with_parameters(self.text.as_ptr(), 0, parameters.as_ptr(), &raw mut error) };
        if done == 0 {
            return Ok(());
        }
        // SAFETY: where it is not null, it is a word of the system. It is ours until the process ends, which is now.
        let why = if error.is_null() { c"it was refused" } else { unsafe { CStr::from_ptr(error) } };
        let why = why.to_bytes();
        let _ = (&self.words).write_all(&why[..why.len().min(512)]);
        Err(io::ErrorKind::PermissionDenied.into())
    }
}
