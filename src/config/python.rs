//! Versions of Python: how they are written, and which ones can be provided.

use super::reason::Reason;

/// A version of Python as the model asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonVersion {
    /// The text of the file, such as `3.11` or `3.11.4`.
    pub text: String,
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
}

/// Cog's floor; it has no ceiling.
const MINIMUM: (u32, u32) = (3, 10);
/// The first version whose event loop Cog's concurrent predictions need.
pub(super) const CONCURRENCY_MINIMUM: (u32, u32) = (3, 11);

/// The newest version that Cog's tables and its prebuilt images know.
const NEWEST: (u32, u32) = (3, 14);

impl PythonVersion {
    /// The version for a model that names none: the newest that Debian has, so that every machine can build it.
    ///
    /// A newer one would come as an archive of its own, which not every machine can reach.
    pub(super) const DEFAULT: &'static str = "3.13";

    /// Reads `major.minor` with anything after a second dot, as Cog does.
    pub(super) fn parse(text: &str) -> Result<Self, Reason> {
        let text = text.trim();
        let mut parts = text.splitn(3, '.');
        let (Some(major), Some(minor)) = (parts.next(), parts.next()) else {
            return Err(Reason::VersionParts {
                found: text.to_owned(),
                example: "3.13",
            });
        };
        let number = |part: &'static str, digits: &str| {
            digits.parse::<u32>().map_err(|_| Reason::VersionNumber {
                part,
                found: text.to_owned(),
            })
        };
        let (major, minor) = (number("major", major)?, number("minor", minor)?);
        if (major, minor) < MINIMUM {
            return Err(Reason::VersionTooOld {
                what: "Python",
                minimum: "3.10",
                found: text.to_owned(),
            });
        }
        Ok(Self {
            text: text.to_owned(),
            major,
            minor,
        })
    }

    /// `major.minor`.
    pub fn short(&self) -> String {
        format!("{}.{}", self.major, self.minor)
    }

    /// Both numbers.
    pub fn numbers(&self) -> (u32, u32) {
        (self.major, self.minor)
    }

    /// Whether the text says more than major and minor.
    pub(super) fn has_patch(&self) -> bool {
        self.text.matches('.').count() > 1
    }

    /// Whether an image can have this Python.
    pub(super) fn is_provided(&self) -> bool {
        (MINIMUM..=NEWEST).contains(&self.numbers())
    }

    /// Every version that an image can have, in words.
    pub(super) fn available() -> String {
        format!("{}.{} to {}.{}", MINIMUM.0, MINIMUM.1, NEWEST.0, NEWEST.1)
    }
}
