//! What a proxy is asked: one request, from its bytes to a [`Request`]. Pure, and strict: what is not plainly one thing is
//! refused, and what goes on is written anew, so that nobody behind us reads it differently.

use crate::core::sandbox::network::Target;

/// The longest head that is read.
pub const LONGEST_HEAD: usize = 64 << 10;
const MOST_HEADERS: usize = 128;
const HTTP: u16 = 80;

/// A request that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `CONNECT`: bytes in both directions.
    Tunnel(Target),
    /// One request to a server without TLS.
    Fetch {
        /// Which server.
        target: Target,
        /// The head that it gets.
        head: Vec<u8>,
        /// How much of what follows is still this request.
        body: Body,
    },
}

/// Why it is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bad {
    /// It is no request to a proxy: how so.
    Malformed(&'static str),
    /// It names a host in a way that is refused: as it was spelled.
    NotAHost(String),
}

/// How far a body goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// So many bytes more.
    Length(u64),
    /// Until its own last chunk.
    Chunked(Chunk),
}

/// Where in a chunked body we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// In the size, of which this is known; `digits` so far.
    Size {
        /// Its value so far.
        value: u64,
        /// How many digits that took.
        digits: u8,
    },
    /// In an extension, which is left to the server.
    Extension(u64),
    /// After the carriage return behind the size.
    SizeEnd(u64),
    /// In the data; so much is left.
    Data(u64),
    /// After the data.
    DataEnd,
    /// After the carriage return behind the data.
    DataEndEnd,
    /// At the start of a trailer line.
    Trailer,
    /// In a trailer line.
    InTrailer,
    /// After the carriage return of an empty one.
    LastEnd,
    /// It is over.
    Over,
}

/// Where the head ends, if all of it is there.
pub fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Understand a head, with the empty line at its end.
///
/// # Errors
/// Where it is anything but one plain request to a proxy.
pub fn parse(head: &[u8]) -> Result<Request, Bad> {
    let bad = Bad::Malformed;
    let text = std::str::from_utf8(head).map_err(|_| bad("its head is no text"))?;
    let text = text.strip_suffix("\r\n\r\n").ok_or(bad("its head has no end"))?;
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let mut words = first.split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(bad("its first line is not METHOD TARGET VERSION"));
    };
    if !is_token(method) || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(bad("its first line is not METHOD TARGET VERSION"));
    }
    if !matches!(version, "HTTP/1.1" | "HTTP/1.0") {
        return Err(bad("it is not HTTP/1.1"));
    }
    let headers = headers(lines)?;
    if method == "CONNECT" {
        let target = Target::parse(target, None).ok_or_else(|| Bad::NotAHost(target.to_owned()))?;
        return Ok(Request::Tunnel(target));
    }
    let rest = strip_scheme(target).ok_or(bad("it asks for something else than http://HOST/…, as a proxy is asked"))?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if path.contains('#') {
        return Err(bad("it asks for a part of a document"));
    }
    let server = Target::parse(authority, Some(HTTP)).ok_or_else(|| Bad::NotAHost(authority.to_owned()))?;
    let body = body(&headers, version)?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    let host = if server.port == HTTP { server.host.to_string() } else { server.to_string() };
    let mut head = format!("{method} {slash}{path} {version}\r\nHost: {host}\r\n");
    for (name, value) in headers.iter().filter(|(name, _)| goes_on(name, &headers)) {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("Connection: close\r\n\r\n");
    Ok(Request::Fetch { target: server, head: head.into_bytes(), body })
}

fn strip_scheme(target: &str) -> Option<&str> {
    let scheme = target.get(..7)?;
    scheme.eq_ignore_ascii_case("http://").then(|| &target[7..])
}

fn headers<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<(&'a str, &'a str)>, Bad> {
    let mut headers = Vec::new();
    for line in lines {
        let Some((name, value)) = line.split_once(':').filter(|(name, _)| is_token(name)) else {
            return Err(Bad::Malformed("a line of its head is not NAME: VALUE"));
        };
        if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
            return Err(Bad::Malformed("a line of its head has a control character"));
        }
        headers.push((name, value.trim_matches([' ', '\t'])));
        if headers.len() > MOST_HEADERS {
            return Err(Bad::Malformed("its head has too many lines"));
        }
    }
    Ok(headers)
}

fn is_token(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn values<'a>(headers: &[(&str, &'a str)], wanted: &str) -> Vec<&'a str> {
    let found = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
    found.flat_map(|(_, value)| value.split(',')).map(|word| word.trim_matches([' ', '\t'])).collect()
}

/// What is between us and whoever asks stays there.
fn goes_on(name: &str, headers: &[(&str, &str)]) -> bool {
    const OURS: &[&str] =
        &["host", "connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "upgrade"];
    const FRAMING: &[&str] = &["content-length", "transfer-encoding"];
    let is = |other: &&&str| name.eq_ignore_ascii_case(other);
    let is_named = values(headers, "connection").iter().any(|word| word.eq_ignore_ascii_case(name));
    FRAMING.iter().any(|other| is(&other)) || !(OURS.iter().any(|other| is(&other)) || is_named)
}

/// One length, said once: two are how requests are smuggled.
fn body(headers: &[(&str, &str)], version: &str) -> Result<Body, Bad> {
    let (coding, lengths) = (values(headers, "transfer-encoding"), values(headers, "content-length"));
    match (coding.as_slice(), lengths.as_slice()) {
        ([], []) => Ok(Body::Length(0)),
        ([], [length]) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
            let length = length.parse().map_err(|_| Bad::Malformed("its body is too long"))?;
            Ok(Body::Length(length))
        }
        ([one], []) if one.eq_ignore_ascii_case("chunked") && version == "HTTP/1.1" => {
            Ok(Body::Chunked(Chunk::Size { value: 0, digits: 0 }))
        }
        _ => Err(Bad::Malformed("it does not say plainly how long its body is")),
    }
}

impl Body {
    /// Is all of it through?
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::Over))
    }

    /// How many of these bytes are still of it; none where they cannot be.
    pub fn take(&mut self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Length(left) => {
                let count = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= count as u64;
                Some(count)
            }
            Self::Chunked(chunk) => {
                let mut at = 0;
                while at < bytes.len() && *chunk != Chunk::Over {
                    if let Chunk::Data(left) = chunk {
                        let count = (bytes.len() - at).min(usize::try_from(*left).unwrap_or(usize::MAX));
                        *left -= count as u64;
                        at += count;
                        if *left == 0 {
                            *chunk = Chunk::DataEnd;
                        }
                        continue;
                    }
                    *chunk = chunk.step(bytes[at])?;
                    at += 1;
                }
                Some(at)
            }
        }
    }
}

impl Chunk {
    fn step(self, byte: u8) -> Option<Self> {
        /// Sizes of more digits are nobody's.
        const MOST_DIGITS: u8 = 15;
        let after_size = |value| if value == 0 { Self::Trailer } else { Self::Data(value) };
        Some(match (self, byte) {
            (Self::Size { value, digits }, byte) if byte.is_ascii_hexdigit() && digits < MOST_DIGITS => {
                let digit = (byte as char).to_digit(16)?;
                Self::Size { value: value << 4 | u64::from(digit), digits: digits + 1 }
            }
            (Self::Size { value, digits: 1.. }, b'\r') => Self::SizeEnd(value),
            (Self::Size { value, digits: 1.. }, b';') => Self::Extension(value),
            (Self::Extension(value), b'\r') => Self::SizeEnd(value),
            (Self::Extension(_), 0..=8 | 10..=31 | 127) => return None,
            (Self::Extension(_), _) => self,
            (Self::SizeEnd(value), b'\n') => after_size(value),
            (Self::DataEnd, b'\r') => Self::DataEndEnd,
            (Self::DataEndEnd, b'\n') => Self::Size { value: 0, digits: 0 },
            (Self::Trailer, b'\r') => Self::LastEnd,
            (Self::Trailer | Self::InTrailer, byte) if byte != b'\r' && byte != b'\n' => Self::InTrailer,
            (Self::InTrailer, b'\r') => self,
            (Self::InTrailer, b'\n') => Self::Trailer,
            (Self::LastEnd, b'\n') => Self::Over,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;
