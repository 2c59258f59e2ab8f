//! What lets a client in that comes over loopback, which every user of the machine can reach.

use std::fs::File;
use std::io::Read as _;

use super::{Error, ErrorKind};

/// One that nobody can guess.
///
/// # Errors
/// Where the system gives no random bytes.
pub fn random() -> Result<String, Error> {
    let mut random = [0; 32];
    let read = File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut random));
    read.map_err(|error| Error::plain(ErrorKind::Error, format!("cannot make a token: {error}")))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Is it the one that was wanted? Takes a time that does not tell how much of it is right.
pub fn is_same(said: &[u8], wanted: &[u8]) -> bool {
    said.len() == wanted.len() && said.iter().zip(wanted).fold(0, |seen, (one, other)| seen | (one ^ other)) == 0
}
