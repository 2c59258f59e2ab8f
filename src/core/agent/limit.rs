//! "No more for now": what providers say when a limit of theirs is reached, and until when.
//!
//! Only what an agent says of its own end, or of an error, is read like this; never what a tool of it wrote.

use jiff::Timestamp;

use super::Limit;

/// What is written, in small letters, where nothing more is to be had for a while.
const SIGNS: &[&str] = &[
    "usage limit",
    "rate limit",
    "rate_limit",
    "ratelimit",
    "quota",
    "limit reached",
    "limit exceeded",
    "hit your limit",
    "too many requests",
    "resource_exhausted",
    "resource exhausted",
    "insufficient_quota",
    "insufficient credit",
    "credit balance is too low",
    "out of credits",
    "error 429",
    "status 429",
    "code 429",
    "http 429",
    "(429)",
    "429 {",
    "429 too",
    "\"code\":429",
    "\"status\":429",
];

/// What looks like it, and is a limit of the agent itself that its user has set.
const OTHERS: &[&str] =
    &["context limit", "token limit", "max turns", "turn limit", "budget", "session limit of turns"];

/// Does this text say that a limit of the provider is reached?
pub fn limit_of(text: &str) -> Option<Limit> {
    let small: String = text.chars().take(8192).collect::<String>().to_lowercase();
    let is_limit = SIGNS.iter().any(|sign| small.contains(sign)) || small.trim_start().starts_with("429");
    if !is_limit || OTHERS.iter().any(|other| small.contains(other)) {
        return None;
    }
    Some(Limit { why: text.trim().to_owned(), until: until(text) })
}

/// The time that is given: seconds since 1970 (also behind a `|`, as Claude Code writes it), or a time with its zone.
fn until(text: &str) -> Option<Timestamp> {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '-' | ':' | 'T' | 'Z' | '.' | '+');
    let words = text.split(|c: char| !is_part(c)).map(|word| word.trim_matches(['.', ':', '-', '+']));
    words.filter(|word| word.len() >= 10).find_map(|word| {
        if word.bytes().all(|byte| byte.is_ascii_digit()) {
            let number: i64 = word.parse().ok()?;
            // This century: anything else is some other number.
            return match number {
                1_000_000_000..4_100_000_000 => Timestamp::from_second(number).ok(),
                1_000_000_000_000..4_100_000_000_000 => Timestamp::from_millisecond(number).ok(),
                _ => None,
            };
        }
        word.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_providers_say_of_limits() {
        for text in [
            "Claude AI usage limit reached|1766000000",
            "API Error: 429 {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\"}}",
            "You've hit your usage limit. Upgrade to Pro or try again in 3 hours.",
            "RESOURCE_EXHAUSTED: Quota exceeded for quota metric",
            "exceeded retry limit, last status: 429 Too Many Requests",
            "insufficient_quota",
            "Your credit balance is too low to access the Anthropic API",
        ] {
            assert!(limit_of(text).is_some(), "{text}");
        }
        for text in [
            "401 Unauthorized",
            "Reached max turns (3)",
            "API Error: 500 overloaded",
            "exceeded the context limit: rate limit",
            "line 4290 of the file",
            "",
        ] {
            assert_eq!(limit_of(text), None, "{text}");
        }
    }

    #[test]
    fn the_time_that_is_given() {
        let until = |text: &str| limit_of(text).unwrap().until.map(|at| at.to_string());
        assert_eq!(until("usage limit reached|1766000000").as_deref(), Some("2025-12-17T19:33:20Z"));
        assert_eq!(until("quota resets at 2026-11-22T10:00:00Z.").as_deref(), Some("2026-11-22T10:00:00Z"));
        assert_eq!(until("rate limit; 12345678901234567890 and 5551234567"), None);
        assert_eq!(until("rate limit"), None);
    }
}
