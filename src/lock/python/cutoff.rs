//! The moment after which nothing counts.

use std::fmt;
use std::str::FromStr;

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};

/// Files uploaded at this moment or later are not considered. Its text is RFC 3339 in UTC.
///
/// A date alone means its end in UTC: what was uploaded on that day counts. (uv takes the end of the day in the
/// machine's own time zone, which would give different locks in different places.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cutoff(Timestamp);

impl Cutoff {
    /// Midnight, when today began in UTC: what was uploaded until yesterday counts, and everybody who locks on the
    /// same day gets the same answer.
    pub fn start_of_today() -> Self {
        const DAY: i64 = 86_400;
        let now = Timestamp::now();
        let midnight = now.as_second().div_euclid(DAY) * DAY;
        Self(Timestamp::from_second(midnight).unwrap_or(now))
    }

    pub(super) fn timestamp(self) -> Timestamp {
        self.0
    }
}

/// Neither a moment nor a date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a moment like 2025-03-01T12:00:00Z nor a date like 2025-03-01")]
pub struct CutoffError(String);

impl FromStr for Cutoff {
    type Err = CutoffError;

    fn from_str(text: &str) -> Result<Self, CutoffError> {
        let end_of_day = |date: Date| {
            let next = date.checked_add(1.day()).ok()?;
            Some(next.to_zoned(TimeZone::UTC).ok()?.timestamp())
        };
        let is_date = text.len() == "2025-03-01".len();
        let date = || text.parse().ok().filter(|_| is_date).and_then(end_of_day);
        let moment = text.parse().ok().or_else(date);
        moment.map(Self).ok_or_else(|| CutoffError(text.to_owned()))
    }
}

impl fmt::Display for Cutoff {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cutoff_is_a_moment_in_utc() {
        for (text, expected) in [
            ("2025-03-01T12:00:00Z", "2025-03-01T12:00:00Z"),
            ("2025-03-01T12:00:00+02:00", "2025-03-01T10:00:00Z"),
            ("2025-02-28", "2025-03-01T00:00:00Z"),
        ] {
            let cutoff: Cutoff = text.parse().expect("a moment or a date");
            assert_eq!(cutoff.to_string(), expected);
            assert_eq!(expected.parse(), Ok(cutoff));
        }
        for wrong in [
            "",
            "yesterday",
            "2025-13-01",
            "3 days",
            "2025-03-01T12:00:00",
        ] {
            assert!(wrong.parse::<Cutoff>().is_err(), "{wrong}");
        }
        let today = Cutoff::start_of_today();
        assert!(today.to_string().ends_with("T00:00:00Z"), "{today}");
        assert_eq!(today.to_string().parse(), Ok(today));
    }
}
