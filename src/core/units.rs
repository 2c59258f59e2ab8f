//! Durations and sizes as people write them: `90s`, `1h30m`, `512 MiB`.

pub use crate::core::bytes::Bytes;

/// The text is neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct ParseUnit {
    /// What was given.
    pub text: String,
    /// What it should have been, with examples.
    pub expected: &'static str,
}

const DURATION: &str = "a duration, such as 90s, 10m, 1h30m or 14d";
const SIZE: &str = "a size, such as 500 MB, 64 MiB or 1 GiB";

/// Seconds of a duration: numbers with a unit (`s`, `m`, `h`, `d`, `w`), summed. A number alone is seconds.
///
/// # Errors
/// Where it is anything else, or more than fits.
pub fn parse_duration(text: &str) -> Result<u64, ParseUnit> {
    let refused = || ParseUnit { text: text.to_owned(), expected: DURATION };
    let mut seconds: u64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(refused());
    }
    if let Ok(number) = rest.parse::<u64>() {
        return Ok(number);
    }
    while !rest.is_empty() {
        let (number, after) = whole(rest).ok_or_else(refused)?;
        let after = after.trim_start();
        let unit_len = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let factor = match &after[..unit_len] {
            "s" | "sec" | "secs" | "second" | "seconds" => 1,
            "m" | "min" | "mins" | "minute" | "minutes" => 60,
            "h" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 86_400,
            "w" | "week" | "weeks" => 604_800,
            _ => return Err(refused()),
        };
        let part = number.checked_mul(factor).ok_or_else(refused)?;
        seconds = seconds.checked_add(part).ok_or_else(refused)?;
        rest = after[unit_len..].trim_start();
    }
    Ok(seconds)
}

/// Bytes of a size: a number, which may have a fraction, with a unit (`B`, `kB`, `MB`, `GB`, `TB`, `KiB`, `MiB`,
/// `GiB`, `TiB`; `K`, `M`, `G`, `T` count by 1024). A number alone is bytes.
///
/// # Errors
/// Where it is anything else, or more than fits.
pub fn parse_size(text: &str) -> Result<u64, ParseUnit> {
    let refused = || ParseUnit { text: text.to_owned(), expected: SIZE };
    let (number, after) = whole(text.trim()).ok_or_else(refused)?;
    let (fraction, scale, after) = match after.strip_prefix('.') {
        None => (0, 1, after),
        Some(after) => {
            let (fraction, rest) = whole(after).ok_or_else(refused)?;
            let digits = u32::try_from(after.len() - rest.len()).map_err(|_| refused())?;
            (fraction, 10u64.checked_pow(digits).ok_or_else(refused)?, rest)
        }
    };
    let factor: u64 = match after.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1000 * 1000,
        "gb" => 1000 * 1000 * 1000,
        "tb" => 1000 * 1000 * 1000 * 1000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => return Err(refused()),
    };
    let bytes = u128::from(number) * u128::from(factor) + u128::from(fraction) * u128::from(factor) / u128::from(scale);
    u64::try_from(bytes).map_err(|_| refused())
}

fn whole(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let good =
            [("90s", 90), ("10m", 600), ("1h30m", 5400), ("1h 30m", 5400), ("14d", 1_209_600), ("2w", 1_209_600)];
        for (text, seconds) in good.into_iter().chain([("45", 45), (" 3 min ", 180), ("0s", 0), ("1 hour", 3600)]) {
            assert_eq!(parse_duration(text), Ok(seconds), "{text:?}");
        }
        for bad in
            ["", " ", "s", "1x", "-5s", "1.5h", "1h-3m", "90s5", "99999999999999999999", "999999999999999999w", "5 é"]
        {
            assert!(parse_duration(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            parse_duration("soon").unwrap_err().to_string(),
            "\"soon\" is not a duration, such as 90s, 10m, 1h30m or 14d"
        );
    }

    #[test]
    fn sizes() {
        let good =
            [("0", 0), ("1024", 1024), ("10 B", 10), ("500 MB", 500_000_000), ("64MiB", 64 << 20), ("1 GiB", 1 << 30)];
        for (text, bytes) in good.into_iter().chain([("1.5g", 3 << 29), ("0.5 KiB", 512), ("2k", 2048), ("16 EiB", 0)])
        {
            if text == "16 EiB" {
                assert!(parse_size(text).is_err());
            } else {
                assert_eq!(parse_size(text), Ok(bytes), "{text:?}");
            }
        }
        for bad in ["", "GiB", "-1", "1.GiB", "1 apple", "99999999999 TiB", "1.5.5 M"] {
            assert!(parse_size(bad).is_err(), "{bad:?}");
        }
    }
}
