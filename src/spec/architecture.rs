//! What images are built for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The processor that an image is for; the system is always Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
pub enum Architecture {
    /// 64-bit x86.
    #[default]
    #[serde(rename = "linux/amd64")]
    Amd64,
    /// 64-bit ARM.
    #[serde(rename = "linux/arm64")]
    Arm64,
}

impl Architecture {
    /// Every architecture, in the order of their names.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// The name that Debian and OCI share.
    pub fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The name that the kernel, wheels and interpreters use.
    pub fn machine(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// The folder of Debian's libraries below `/usr/lib`.
    pub fn triplet(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-linux-gnu",
            Self::Arm64 => "aarch64-linux-gnu",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "linux/{}", self.debian())
    }
}

/// A platform that no image can be built for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a platform of cognix: linux/amd64 and linux/arm64 are")]
pub struct ArchitectureError(String);

impl FromStr for Architecture {
    type Err = ArchitectureError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|architecture| architecture.to_string() == text)
            .ok_or_else(|| ArchitectureError(text.to_owned()))
    }
}
