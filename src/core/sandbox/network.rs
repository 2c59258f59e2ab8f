//! Whom a task can talk to, host by host: pure, so that every trick with a name can be tried in a test.
//!
//! There is one parser for a host ([`Target::parse`]), for what is listed and for what is asked for. What it does not
//! understand is refused: two programs that read a name differently are a hole.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Tier;
use super::traffic::Why;
use crate::core::id::ParseId;

/// Whom it can talk to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// Nobody but itself.
    None,
    /// Everybody.
    #[default]
    Allow,
    /// These, through a proxy; nobody where it is empty.
    List(Vec<Rule>),
}

/// One host at one port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rule {
    host: Pattern,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Pattern {
    Name(String),
    /// All names below this one, and not itself.
    Below(String),
    Address(IpAddr),
}

/// A host as somebody spelled it, understood.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// In lower case, without a dot at its end.
    Name(String),
    /// An IPv4 address that was written as an IPv6 one is an IPv4 address.
    Address(IpAddr),
}

/// Whom somebody wants to talk to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
}

/// Why nobody is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal<E> {
    /// It must not be.
    Denied(Why),
    /// It has no address.
    Unknown(E),
}

/// Where a rule names no port.
const PORTS: [u16; 2] = [443, 80];
const A_NETWORK: &str = "none, allow, or hosts such as crates.io, *.npmjs.org, [2001:db8::1]:443, localhost:8080";
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;
const LOCALHOST: &str = "localhost";

impl Network {
    /// What keeps to both.
    #[must_use]
    pub fn closer(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => Self::None,
            (Self::Allow, closer) | (closer, Self::Allow) => closer,
            (Self::List(ours), Self::List(theirs)) => {
                let mut both: Vec<Rule> =
                    ours.iter().flat_map(|one| theirs.iter().filter_map(|other| one.meet(other))).collect();
                both.sort();
                both.dedup();
                Self::List(both)
            }
        }
    }

    /// The hosts, where they are listed.
    pub fn list(&self) -> Option<&[Rule]> {
        match self {
            Self::List(rules) => Some(rules),
            Self::None | Self::Allow => None,
        }
    }

    /// The least tier that holds it. Hosts that are listed are held to in the full one only: nothing else has a network of
    /// its own in which there is nobody but our proxy. Without any tier nothing is held.
    pub fn least(&self) -> Tier {
        match self {
            Self::Allow => Tier::None,
            Self::None => Tier::Reduced,
            Self::List(_) => Tier::Full,
        }
    }

    /// For what runs there without a proxy: nobody instead of a list.
    #[must_use]
    pub fn without_proxy(&self) -> Self {
        if self.list().is_some() { Self::None } else { self.clone() }
    }
}

impl FromStr for Network {
    type Err = ParseId;

    /// `none`, `allow`, or hosts with commas between them.
    fn from_str(text: &str) -> Result<Self, ParseId> {
        match text {
            "none" => Ok(Self::None),
            "allow" => Ok(Self::Allow),
            // More likely a slip than a host.
            word if word != LOCALHOST && word.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                Err(ParseId { text: word.to_owned(), expected: A_NETWORK })
            }
            hosts => Rule::parse_all(hosts.split(',').map(str::trim)).map(Self::List),
        }
    }
}

impl Rule {
    /// Understand a list. A host without a port is meant at 443 and at 80.
    ///
    /// # Errors
    /// Where one of them is no host.
    pub fn parse_all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<Self>, ParseId> {
        let mut rules = Vec::new();
        for text in texts {
            rules.extend(Self::parse(text)?);
        }
        rules.sort();
        rules.dedup();
        Ok(rules)
    }

    fn parse(text: &str) -> Result<Vec<Self>, ParseId> {
        let bad = |expected| ParseId { text: text.to_owned(), expected };
        if !text.is_ascii() {
            return Err(bad("a host in ASCII (as xn--…, which is how it is asked for)"));
        }
        let (below, rest) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        let (host, ports) = match split(rest) {
            Some((host, Some(port))) => (host, vec![parse_port(port).ok_or_else(|| bad(A_NETWORK))?]),
            Some((host, None)) => (host, PORTS.to_vec()),
            None => return Err(bad(A_NETWORK)),
        };
        let host = match (Host::parse(host), below) {
            (Some(Host::Name(name)), false) => Pattern::Name(name),
            (Some(Host::Name(name)), true) if name.contains('.') => Pattern::Below(name),
            (Some(Host::Name(_)), true) => {
                return Err(bad("fewer hosts than that (*.example.org; all of them: allow)"));
            }
            (Some(Host::Address(address)), false) => Pattern::Address(address),
            _ => return Err(bad(A_NETWORK)),
        };
        Ok(ports.into_iter().map(|port| Self { host: host.clone(), port }).collect())
    }

    /// Is this one meant?
    pub fn holds(&self, target: &Target) -> bool {
        self.port == target.port
            && match (&self.host, &target.host) {
                (Pattern::Name(name), Host::Name(asked)) => name == asked,
                (Pattern::Below(top), Host::Name(asked)) => is_below(asked, top),
                (Pattern::Address(address), Host::Address(asked)) => address == asked,
                _ => false,
            }
    }

    /// What both mean. Names are a tree: one of them lies in the other, or they have nothing in common.
    fn meet(&self, other: &Self) -> Option<Self> {
        if self.port != other.port {
            return None;
        }
        match (&self.host, &other.host) {
            (one, two) if one == two => Some(self.clone()),
            (Pattern::Below(top), Pattern::Name(name) | Pattern::Below(name)) if is_below(name, top) => {
                Some(other.clone())
            }
            (Pattern::Name(name) | Pattern::Below(name), Pattern::Below(top)) if is_below(name, top) => {
                Some(self.clone())
            }
            _ => None,
        }
    }
}

/// Whole labels only: `evilcrates.io` is not below `crates.io`.
fn is_below(name: &str, top: &str) -> bool {
    name.strip_suffix(top).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

impl Host {
    /// Understand it; none where it is anything unusual.
    fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        // Many programs take `0x7f.1` and `2130706433` for addresses. Only one spelling of an address is one here.
        if name.rsplit('.').next().is_some_and(is_number) {
            let address: Ipv4Addr = name.parse().ok()?;
            return Some(Self::Address(address.into()));
        }
        let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        let is_label = |label: &str| (1..=LONGEST_LABEL).contains(&label.len()) && label.bytes().all(is_letter);
        (name.len() <= LONGEST_NAME && name.split('.').all(is_label)).then_some(Self::Name(name))
    }
}

fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hex || (!label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `HOST` or `HOST:PORT`; none where it is neither.
fn split(text: &str) -> Option<(&str, Option<&str>)> {
    let at = if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':').unwrap_or(text.len()) };
    let (host, rest) = text.split_at(at);
    match rest.strip_prefix(':') {
        Some(port) => Some((host, Some(port))),
        None => rest.is_empty().then_some((host, None)),
    }
}

fn parse_port(text: &str) -> Option<u16> {
    let is_plain = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_plain && *port > 0)
}

impl Target {
    /// Understand `HOST:PORT`, where there may be a port that is meant without one.
    pub fn parse(text: &str, port: Option<u16>) -> Option<Self> {
        let (host, said) = split(text)?;
        let port = match said {
            Some(said) => parse_port(said)?,
            None => port?,
        };
        Some(Self { host: Host::parse(host)?, port })
    }

    /// Is it on the list?
    pub fn is_listed(&self, rules: &[Rule]) -> bool {
        rules.iter().any(|rule| rule.holds(self))
    }

    /// May a way to it be used to greet this host?
    pub fn may_greet(&self, host: &str, rules: &[Rule]) -> bool {
        let greeted = Host::parse(host).map(|host| Self { host, port: self.port });
        greeted.is_some_and(|greeted| greeted == *self || greeted.is_listed(rules))
    }

    /// Where it may be called. The addresses are those that were looked at: nobody resolves it again.
    ///
    /// # Errors
    /// Where it is not on the list, or its name leads to a place that is not (a service of this machine or of the network
    /// around it), or nowhere.
    pub fn addresses<E>(
        &self,
        rules: &[Rule],
        resolve: &mut dyn FnMut(&str) -> Result<Vec<IpAddr>, E>,
    ) -> Result<Vec<SocketAddr>, Refusal<E>> {
        if !self.is_listed(rules) {
            return Err(Refusal::Denied(Why::NotListed));
        }
        let all = match &self.host {
            Host::Address(address) => return Ok(vec![SocketAddr::new(*address, self.port)]),
            // Whoever lists this name means this machine. Nobody is asked where that is.
            Host::Name(name) if name == LOCALHOST => {
                let here = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
                return Ok(here.map(|address| SocketAddr::new(address, self.port)).to_vec());
            }
            Host::Name(name) => resolve(name).map_err(Refusal::Unknown)?,
        };
        let is_listed = |address: IpAddr| Self { host: Host::Address(address), port: self.port }.is_listed(rules);
        let open = all.iter().map(IpAddr::to_canonical).filter(|address| is_public(*address) || is_listed(*address));
        let open: Vec<SocketAddr> = open.map(|address| SocketAddr::new(address, self.port)).collect();
        if open.is_empty() { Err(Refusal::Denied(Why::NotPublic)) } else { Ok(open) }
    }
}

/// Is it a place that anybody can mean? Not this machine, nor the network around it, nor what tells secrets to machines
/// in a cloud.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_4(address),
        IpAddr::V6(address) => is_public_6(address),
    }
}

fn is_public_4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        [0 | 10 | 127 | 224..=255, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [192, 168, ..]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            // What a machine in Azure asks for its secrets.
            | [168, 63, 129, 16]
    )
}

fn is_public_6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // The way to an IPv4 address through a translator.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            is_public_4(Ipv4Addr::new(a, b, c, d))
        }
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.pad("none"),
            Self::Allow => f.pad("allow"),
            Self::List(rules) => {
                let words: Vec<String> = rules.iter().map(ToString::to_string).collect();
                f.pad(&words.join(","))
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Pattern::Name(name) => write!(f, "{name}:{}", self.port),
            Pattern::Below(top) => write!(f, "*.{top}:{}", self.port),
            Pattern::Address(address) => write!(f, "{}", SocketAddr::new(*address, self.port)),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}

impl TryFrom<String> for Rule {
    type Error = ParseId;

    fn try_from(text: String) -> Result<Self, ParseId> {
        let mut rules = Self::parse(&text)?;
        match (rules.pop(), rules.is_empty()) {
            (Some(rule), true) => Ok(rule),
            _ => Err(ParseId { text, expected: "a host with its port" }),
        }
    }
}

#[cfg(test)]
mod tests;
