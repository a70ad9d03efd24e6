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

/// A release of Debian that an image can be based on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DebianRelease {
    /// Debian 12, with Python 3.11.
    Bookworm,
    /// Debian 13, with Python 3.13, and below every Python that Debian does not ship.
    Trixie,
}

/// The versions of Python that can be provided, newest first, and the release that they stand on.
const PROVIDED: [((u32, u32), DebianRelease); 5] = [
    ((3, 14), DebianRelease::Trixie),
    ((3, 13), DebianRelease::Trixie),
    ((3, 12), DebianRelease::Trixie),
    ((3, 11), DebianRelease::Bookworm),
    ((3, 10), DebianRelease::Trixie),
];

impl DebianRelease {
    /// The name that suites of the release start with.
    pub fn codename(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }
}

impl PythonVersion {
    /// The version for a model that names none: the newest that Debian ships.
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

    /// The Debian release that this Python stands on; `None` when it cannot be provided.
    pub fn debian_release(&self) -> Option<DebianRelease> {
        PROVIDED
            .iter()
            .find(|(numbers, _)| *numbers == self.numbers())
            .map(|(_, release)| *release)
    }

    /// Every version that can be provided, in words.
    pub(super) fn available() -> String {
        PROVIDED
            .map(|((major, minor), _)| format!("{major}.{minor}"))
            .join(", ")
    }
}
