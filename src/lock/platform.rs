//! Which Pythons an image can have, and what each implies for the system below it.
//!
//! Python is Debian's own, so a Python version chooses the Debian release, and the release's C library decides
//! which `manylinux` wheels fit.

use std::fmt;
use std::str::FromStr;

/// A Python version as far as an image is concerned: major and minor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PythonVersion {
    /// Always 3 today.
    pub major: u8,
    /// 11 for Python 3.11.
    pub minor: u8,
}

/// A Python that Debian ships, and the release it comes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Platform {
    /// The interpreter.
    pub python: PythonVersion,
    /// The Debian release that ships it.
    pub suite: &'static str,
    /// Major and minor of the release's C library; wheels up to this `manylinux` level fit.
    pub glibc: (u16, u16),
}

/// The Debian architecture of every image.
pub const ARCHITECTURE: &str = "amd64";

/// What can be provided, oldest first.
pub const PLATFORMS: [Platform; 2] = [
    Platform {
        python: PythonVersion {
            major: 3,
            minor: 11,
        },
        suite: "bookworm",
        glibc: (2, 36),
    },
    Platform {
        python: PythonVersion {
            major: 3,
            minor: 13,
        },
        suite: "trixie",
        glibc: (2, 41),
    },
];

impl Platform {
    /// The platform with this Python, if Debian ships one.
    pub fn for_python(python: PythonVersion) -> Option<Self> {
        PLATFORMS
            .into_iter()
            .find(|platform| platform.python == python)
    }
}

/// A version that is not `major.minor` in plain decimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a Python version of the form 3.11")]
pub struct PythonVersionError(String);

impl FromStr for PythonVersion {
    type Err = PythonVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('.').and_then(|(major, minor)| {
            Some(Self {
                major: major.parse().ok()?,
                minor: minor.parse().ok()?,
            })
        });
        parsed
            .filter(|version| version.to_string() == text)
            .ok_or_else(|| PythonVersionError(text.to_owned()))
    }
}

impl fmt::Display for PythonVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_read_back_as_written() {
        for platform in PLATFORMS {
            assert_eq!(platform.python.to_string().parse(), Ok(platform.python));
        }
        for wrong in ["3", "3.11.2", "3.011", "three", "3.", "+3.11"] {
            assert!(wrong.parse::<PythonVersion>().is_err(), "{wrong}");
        }
    }
}
