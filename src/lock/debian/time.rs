//! Dates of release files: read as Debian writes them, written as a lock keeps them.
//!
//! A release file says `Sat, 11 Jul 2026 10:16:37 UTC`, a lock `2026-07-11T10:16:37Z`. Only UTC exists here, and the
//! clock is always an argument: nothing in this folder asks what time it is.

/// How far another clock may be ahead of ours before we doubt one of them, in seconds.
pub(super) const CLOCK_TOLERANCE: u64 = 600;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const DAY: u64 = 86_400;

/// Seconds since 1970 of a date in the form of RFC 5322, in UTC; the weekday is not looked at.
pub(super) fn parse(text: &str) -> Option<u64> {
    let (_, text) = text.split_once(',')?;
    let words: Vec<_> = text.split_ascii_whitespace().collect();
    let [day, month, year, clock, "UTC" | "GMT" | "Z" | "+0000"] = words[..] else {
        return None;
    };
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let (day, year) = (number(day)?, number(year)?);
    let mut clock = clock.split(':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let in_range = (1970..=9999).contains(&year)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60
        && clock.next().is_none();
    in_range.then(|| days_before(year, month, day) * DAY + hour * 3600 + minute * 60 + second)
}

/// The moment as RFC 3339 text.
pub(super) fn to_rfc3339(seconds: u64) -> String {
    let (mut days, clock) = (seconds / DAY, seconds % DAY);
    let mut year = 1970;
    while days >= days_in_year(year) {
        days -= days_in_year(year);
        year += 1;
    }
    let mut month = 1;
    while days >= days_in_month(year, month) {
        days -= days_in_month(year, month);
        month += 1;
    }
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    format!(
        "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z",
        days + 1
    )
}

fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && text.len() <= 4)
        .then(|| text.parse().ok())
        .flatten()
}

fn days_before(year: u64, month: u64, day: u64) -> u64 {
    let years: u64 = (1970..year).map(days_in_year).sum();
    let months: u64 = (1..month).map(|month| days_in_month(year, month)).sum();
    years + months + day - 1
}

fn days_in_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, seconds: u64, rfc3339: &str) {
        assert_eq!(parse(text), Some(seconds), "{text}");
        assert_eq!(to_rfc3339(seconds), rfc3339);
    }

    /// Seconds as `date -u +%s` prints them.
    #[test]
    fn dates_of_release_files() {
        check("Thu, 01 Jan 1970 00:00:00 UTC", 0, "1970-01-01T00:00:00Z");
        check(
            "Sat, 11 Jul 2026 10:16:37 UTC",
            1_783_764_997,
            "2026-07-11T10:16:37Z",
        );
        check(
            "Thu, 29 Feb 2024  9:05:06 GMT",
            1_709_197_506,
            "2024-02-29T09:05:06Z",
        );
        check(
            "Fri, 31 Dec 9999 23:59:59 Z",
            253_402_300_799,
            "9999-12-31T23:59:59Z",
        );
    }

    #[test]
    fn all_1_no_date_at_all() {
        for text in [
            "",
            "Sat, 11 Jul 2026 10:16:37",
            "Sat, 11 Jul 2026 10:16:37 CEST",
            "Sat, 31 Jun 2026 10:16:37 UTC",
            "Sat, 11 Jul 99999999999999999999 10:16:37 UTC",
            "Sat, 11 Jul 2026 24:00:00 UTC",
            "Sat, 11 Jul 2026 10:16:37:00 UTC",
            "Sat, -1 Jul 2026 10:16:37 UTC",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
