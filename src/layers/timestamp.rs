//! The one moment that everything in an image was changed at, as far as the image says.
//!
//! Layers and images say when their parts were made, and the truth would make two builds differ. So there is one time for
//! all of them: 1980-01-01, the first moment that a zip archive can hold (tools that pack an image's files again stumble
//! over earlier ones), or the one that somebody asks for in the words of `SOURCE_DATE_EPOCH`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Seconds since 1970 began, from 1980 to 2242.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

/// A text or number is no time that an image can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// Not a whole number in plain digits.
    #[error("{0:?} is no number of seconds since 1970-01-01T00:00:00Z")]
    NoNumber(String),
    /// A zip archive cannot hold it.
    #[error(
        "{0} is before 1980-01-01, the first moment that every archive can hold; the smallest is {first}",
        first = Timestamp::ZIP_EPOCH
    )]
    TooEarly(u64),
    /// The header of a tar entry cannot hold it.
    #[error(
        "{0} is after 2242-03-16, the last moment that every archive can hold; the largest is {last}",
        last = Timestamp::LAST
    )]
    TooLate(u64),
}

impl Timestamp {
    /// 1980-01-01T00:00:00Z.
    pub const ZIP_EPOCH: Self = Self(315_532_800);
    /// 2242-03-16T12:56:31Z: eleven octal digits.
    pub const LAST: Self = Self((1 << 33) - 1);

    /// A time by its seconds since 1970 began.
    pub const fn new(seconds: u64) -> Result<Self, TimestampError> {
        if seconds < Self::ZIP_EPOCH.0 {
            Err(TimestampError::TooEarly(seconds))
        } else if seconds > Self::LAST.0 {
            Err(TimestampError::TooLate(seconds))
        } else {
            Ok(Self(seconds))
        }
    }

    /// Seconds since 1970 began.
    pub const fn seconds(self) -> u64 {
        self.0
    }

    /// Whether it is the one that nobody asked for.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// As OCI writes it: `1980-01-01T00:00:00Z`.
    pub fn rfc_3339(self) -> String {
        let seconds = i64::try_from(self.0).expect("far below the largest");
        let moment = jiff::Timestamp::from_second(seconds).expect("within the years of a calendar");
        moment.to_string()
    }
}

impl Default for Timestamp {
    fn default() -> Self {
        Self::ZIP_EPOCH
    }
}

/// The seconds, as they are read again.
impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    /// Plain digits, as the specification of `SOURCE_DATE_EPOCH` has it.
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits {
            return Err(TimestampError::NoNumber(text.chars().take(80).collect()));
        }
        Self::new(text.parse().unwrap_or(u64::MAX))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let found = text
            .parse::<Timestamp>()
            .map(Timestamp::rfc_3339)
            .map_err(|error| error.to_string());
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err(words)) => assert!(found.contains(words), "{text}: {found}"),
            (found, expected) => panic!("{text}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn times_between_1980_and_2242_are_taken() {
        check("315532800", Ok("1980-01-01T00:00:00Z"));
        check("1700000000", Ok("2023-11-14T22:13:20Z"));
        check("8589934591", Ok("2242-03-16T12:56:31Z"));
        check("315532799", Err("before 1980-01-01"));
        check("0", Err("the smallest is 315532800"));
        check("8589934592", Err("after 2242-03-16"));
        check("99999999999999999999999", Err("after 2242-03-16"));
        for garbage in [
            "",
            " ",
            "-1",
            "+315532800",
            "1e9",
            "2024-01-01",
            "315532800 ",
            "0x1",
        ] {
            check(garbage, Err("is no number of seconds"));
        }
    }
}
