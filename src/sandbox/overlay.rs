//! A directory that the task sees over another one: what it writes goes into a third.

use std::path::PathBuf;
#[cfg(target_os = "linux")]
use std::{ffi::CString, io, os::unix::ffi::OsStrExt, path::Path};

/// The parts of one. Nobody else mounts them meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    /// What is below, which stays as it is.
    pub lower: PathBuf,
    /// What is written.
    pub upper: PathBuf,
    /// What the kernel needs beside that, on the same file system.
    pub work: PathBuf,
}

#[cfg(target_os = "linux")]
impl Overlay {
    /// How it is mounted, without privileges.
    pub(super) fn options(&self) -> io::Result<CString> {
        let [lower, upper, work] = [&self.lower, &self.upper, &self.work].map(|path| escaped(path));
        let parts = [b"lowerdir=", &lower[..], b",upperdir=", &upper, b",workdir=", &work, b",userxattr"];
        Ok(CString::new(parts.concat())?)
    }
}

/// A path among the options of a mount has no comma, colon or backslash of its own.
#[cfg(target_os = "linux")]
pub(super) fn escaped(path: &Path) -> Vec<u8> {
    let mut escaped = Vec::new();
    for byte in path.as_os_str().as_bytes() {
        if matches!(byte, b',' | b':' | b'\\') {
            escaped.push(b'\\');
        }
        escaped.push(*byte);
    }
    escaped
}
