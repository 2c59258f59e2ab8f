//! Which host a TLS client names in its first words: pure. A tunnel to one host of a large provider leads to all others
//! there, for who names them; so the name must be on the list, too.

/// What is known of the first bytes in a tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hello {
    /// Nothing yet.
    More,
    /// It is not TLS, or it is TLS and names nobody.
    Nobody,
    /// It names this host.
    Host(String),
    /// It began as TLS and went on as something else.
    Broken,
}

/// First words are not longer than this.
pub const LONGEST: usize = 64 << 10;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

/// Read what has come so far.
pub fn read(bytes: &[u8]) -> Hello {
    match bytes.first() {
        None => return Hello::More,
        Some(&HANDSHAKE) => {}
        Some(_) => return Hello::Nobody,
    }
    // It may be cut into several records: they are put together first.
    let mut words = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some((head, after)) = rest.split_at_checked(5) else { break };
        if head[0] != HANDSHAKE || head[1] != 3 {
            return Hello::Broken;
        }
        let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
        let there = length.min(after.len());
        words.extend_from_slice(&after[..there]);
        if length == 0 {
            return Hello::Broken;
        }
        if there < length {
            break;
        }
        rest = &after[length..];
        if let Some(hello) = whole(&words) {
            return hello;
        }
    }
    match whole(&words) {
        Some(hello) => hello,
        None if bytes.len() > LONGEST => Hello::Broken,
        None => Hello::More,
    }
}

/// The message, once all of it is there.
fn whole(words: &[u8]) -> Option<Hello> {
    let (&kind, rest) = words.split_first()?;
    if kind != CLIENT_HELLO {
        return Some(Hello::Broken);
    }
    let mut rest = rest;
    let length = take(&mut rest, 3)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    if length > LONGEST {
        return Some(Hello::Broken);
    }
    let body = rest.get(..length)?;
    Some(name(body).unwrap_or(Hello::Broken))
}

/// None where it is cut short.
fn name(mut body: &[u8]) -> Option<Hello> {
    take(&mut body, 2 + 32)?;
    take_counted(&mut body, 1)?;
    take_counted(&mut body, 2)?;
    take_counted(&mut body, 1)?;
    if body.is_empty() {
        return Some(Hello::Nobody);
    }
    let mut extensions = take_counted(&mut body, 2)?;
    let mut found = Hello::Nobody;
    while !extensions.is_empty() {
        let kind = take(&mut extensions, 2)?;
        let mut data = take_counted(&mut extensions, 2)?;
        if u16::from_be_bytes([kind[0], kind[1]]) != SERVER_NAME {
            continue;
        }
        // Named twice, one of us would take the one, and somebody the other.
        if found != Hello::Nobody {
            return None;
        }
        let mut names = take_counted(&mut data, 2)?;
        let kind = take(&mut names, 1)?;
        let host = take_counted(&mut names, 2)?;
        if kind[0] != HOST_NAME || !names.is_empty() || !data.is_empty() {
            return None;
        }
        found = Hello::Host(std::str::from_utf8(host).ok()?.to_owned());
    }
    Some(found)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn take_counted<'a>(bytes: &mut &'a [u8], width: usize) -> Option<&'a [u8]> {
    let count = take(bytes, width)?.iter().fold(0, |count, byte| count << 8 | usize::from(*byte));
    take(bytes, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(width: usize, bytes: &[u8]) -> Vec<u8> {
        let count = (bytes.len() as u32).to_be_bytes();
        [&count[4 - width..], bytes].concat()
    }

    /// The message of a client that names these.
    fn message(names: &[&str]) -> Vec<u8> {
        let mut extensions = [vec![0, 43], counted(2, &[2, 3, 4])].concat();
        for name in names {
            let list = counted(2, &[vec![HOST_NAME], counted(2, name.as_bytes())].concat());
            extensions.extend([vec![0, 0], counted(2, &list)].concat());
        }
        let body = [vec![3, 3], vec![7; 32], counted(1, &[1; 32]), counted(2, &[19, 1]), counted(1, &[0])].concat();
        let body = [body, counted(2, &extensions)].concat();
        [vec![CLIENT_HELLO], counted(3, &body)].concat()
    }

    fn records(message: &[u8], longest: usize) -> Vec<u8> {
        message.chunks(longest).flat_map(|part| [vec![HANDSHAKE, 3, 1], counted(2, part)].concat()).collect()
    }

    #[test]
    fn who_is_named() {
        let named = Hello::Host("a.org".to_owned());
        for longest in [1, 2, 7, 60, 16384] {
            let all = records(&message(&["a.org"]), longest);
            assert_eq!(read(&all), named, "in records of {longest}");
            assert_eq!(read(&[&all[..], b"more"].concat()), named);
            for end in 0..all.len() {
                assert_eq!(read(&all[..end]), Hello::More, "{end} of {} bytes", all.len());
            }
        }
        assert_eq!(read(&records(&message(&[]), 16384)), Hello::Nobody);
        assert_eq!(read(b"GET / HTTP/1.1\r\n"), Hello::Nobody);
    }

    #[test]
    fn what_is_no_greeting() {
        assert_eq!(read(&records(&message(&["a.org", "b.org"]), 16384)), Hello::Broken, "two names");
        assert_eq!(read(&[HANDSHAKE, 9, 1, 0, 1, 1]), Hello::Broken);
        assert_eq!(read(&[HANDSHAKE, 3, 1, 0, 0]), Hello::Broken, "an empty record");
        assert_eq!(read(&[HANDSHAKE, 3, 1, 0, 1, 2]), Hello::Broken, "another message");
        let one = records(&message(&["a.org"]), 20);
        let mixed = [&one[..25], &[23, 3, 3, 0, 1, 0][..], &one[25..]].concat();
        assert_eq!(read(&mixed), Hello::Broken, "something else in between");
        let endless = records(&[&[CLIENT_HELLO, 1, 0, 1][..], &[0; 80_000]].concat(), 16384);
        assert_eq!(read(&endless), Hello::Broken);
    }

    #[test]
    fn nothing_makes_it_fall_over() {
        let mut random = fastrand::Rng::with_seed(7);
        let whole = records(&message(&["a.org"]), 40);
        for _ in 0..20_000 {
            let mut bytes = whole.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            bytes.truncate(random.usize(..=bytes.len()));
            let _ = read(&bytes);
        }
    }
}
