//! Times and durations for people.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `0.4s`, `12s`, `1m05s`, `2h07m`, `3d04h`.
pub fn span(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..10 => format!("{seconds}.{}s", milliseconds % 1000 / 100),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// How long it will take: nobody believes an estimate to the tenth.
pub fn about(milliseconds: u64) -> String {
    let step = match milliseconds {
        0..10_000 => 1000,
        10_000..120_000 => 5000,
        _ => 60_000,
    };
    match milliseconds.div_ceil(step) * step {
        short @ 0..10_000 => format!("{}s", short / 1000),
        long => span(long),
    }
}

/// `just now`, `12s ago`, `3m ago`, `2h ago`, `5d ago`.
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - then.as_second();
    match seconds {
        ..=0 => "just now".to_owned(),
        1..60 => format!("{seconds}s ago"),
        60..3600 => format!("{}m ago", seconds / 60),
        3600..86_400 => format!("{}h ago", seconds / 3600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

/// `2026-05-01 12:03:04`, in the given zone.
pub fn clock(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_keep_two_units_at_most() {
        let spans =
            [0, 449, 9_999, 10_000, 59_999, 60_000, 65_000, 3_599_000, 7_620_000, 86_400_000, 273_600_000].map(span);
        assert_eq!(
            spans,
            ["0.0s", "0.4s", "9.9s", "10s", "59s", "1m00s", "1m05s", "59m59s", "2h07m", "1d00h", "3d04h"]
        );
    }

    #[test]
    fn an_estimate_is_no_more_exact_than_it_can_be() {
        assert_eq!(
            [200, 1000, 9_400, 41_000, 119_000, 200_000].map(about),
            ["1s", "1s", "10s", "45s", "2m00s", "4m00s"]
        );
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_confuse_us() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(ago(at(100), at(40)), "just now");
        assert_eq!(ago(at(40), at(100)), "1m ago");
        assert_eq!(clock(at(0), &TimeZone::UTC), "1970-01-01 00:00:00");
    }
}
