//! What an image can be for: an architecture and a Python, and what each implies for the system below.
//!
//! Python is Debian's own where Debian has it, so a Python version chooses the Debian release, and the release's C
//! library decides which `manylinux` wheels fit. Other Pythons are standalone archives on the newest release.

use std::fmt;
use std::str::FromStr;

pub use crate::spec::{Architecture, ArchitectureError};

/// A Python version as far as an image is concerned: major and minor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PythonVersion {
    /// Always 3 today.
    pub major: u8,
    /// 11 for Python 3.11.
    pub minor: u8,
}

/// Where an image's Python comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpreter {
    /// A package of the image's Debian release.
    Debian,
    /// An archive of python-build-standalone.
    Standalone,
}

/// An architecture and a Python, and the system they stand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Platform {
    /// The processor.
    pub architecture: Architecture,
    /// The interpreter's version.
    pub python: PythonVersion,
    /// Where the interpreter comes from.
    pub interpreter: Interpreter,
    /// The Debian release below.
    pub suite: &'static str,
    /// Major and minor of the release's C library; wheels up to this `manylinux` level fit.
    pub glibc: (u16, u16),
}

/// A Debian release: its name, and major and minor of its C library.
type Release = (&'static str, (u16, u16));

const BOOKWORM: Release = ("bookworm", (2, 36));
const TRIXIE: Release = ("trixie", (2, 41));

/// What can be provided, oldest first: the minor version, where it comes from, and what is below it.
const PYTHONS: [(u8, Interpreter, Release); 5] = [
    (10, Interpreter::Standalone, TRIXIE),
    (11, Interpreter::Debian, BOOKWORM),
    (12, Interpreter::Standalone, TRIXIE),
    (13, Interpreter::Debian, TRIXIE),
    (14, Interpreter::Standalone, TRIXIE),
];

impl Platform {
    /// The platform with this Python, if it can be provided.
    pub fn for_python(python: PythonVersion, architecture: Architecture) -> Option<Self> {
        PYTHONS
            .into_iter()
            .find(|(minor, ..)| (3, *minor) == (python.major, python.minor))
            .map(|(_, interpreter, (suite, glibc))| Self {
                architecture,
                python,
                interpreter,
                suite,
                glibc,
            })
    }

    /// Every Python that Debian ships in a release that images use, oldest first.
    pub fn debian_pythons() -> impl Iterator<Item = PythonVersion> {
        PYTHONS
            .into_iter()
            .filter(|(_, interpreter, _)| *interpreter == Interpreter::Debian)
            .map(|(minor, ..)| PythonVersion { major: 3, minor })
    }

    /// Every Python that can be provided, oldest first.
    pub fn pythons() -> impl Iterator<Item = PythonVersion> {
        PYTHONS
            .into_iter()
            .map(|(minor, ..)| PythonVersion { major: 3, minor })
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
    fn every_python_stands_on_a_release() {
        let described: Vec<String> = Platform::pythons()
            .flat_map(|python| Architecture::ALL.map(|architecture| (python, architecture)))
            .filter_map(|(python, architecture)| Platform::for_python(python, architecture))
            .filter(|platform| platform.architecture == Architecture::Arm64)
            .map(|platform| {
                let Platform {
                    python,
                    suite,
                    glibc,
                    interpreter,
                    ..
                } = platform;
                format!("{python} {interpreter:?} {suite} {}.{}", glibc.0, glibc.1)
            })
            .collect();
        assert_eq!(
            described,
            [
                "3.10 Standalone trixie 2.41",
                "3.11 Debian bookworm 2.36",
                "3.12 Standalone trixie 2.41",
                "3.13 Debian trixie 2.41",
                "3.14 Standalone trixie 2.41",
            ]
        );
        let other = PythonVersion { major: 3, minor: 9 };
        assert_eq!(Platform::for_python(other, Architecture::Amd64), None);
    }

    #[test]
    fn versions_read_back_as_written() {
        for python in Platform::pythons() {
            assert_eq!(python.to_string().parse(), Ok(python));
        }
        for architecture in Architecture::ALL {
            assert_eq!(architecture.to_string().parse(), Ok(architecture));
            assert_eq!(
                serde_json::to_string(&architecture).expect("a name"),
                format!("\"{architecture}\"")
            );
        }
        for wrong in ["3", "3.11.2", "3.011", "three", "3.", "+3.11"] {
            assert!(wrong.parse::<PythonVersion>().is_err(), "{wrong}");
        }
    }
}
