//! The machines that images are for, in OCI's words.

use std::fmt;
use std::str::FromStr;

use oci_spec::image::Arch;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A kind of machine; the system on it is Linux. The order is that of an index.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Platform {
    /// 64-bit x86.
    #[default]
    #[serde(rename = "linux/amd64")]
    Amd64,
    /// 64-bit ARM.
    #[serde(rename = "linux/arm64")]
    Arm64,
}

/// A platform that no image can be for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no platform of an image: expected linux/amd64 or linux/arm64")]
pub struct UnknownPlatform(String);

impl Platform {
    /// Every platform, in order.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    pub(super) const fn arch(self) -> Arch {
        match self {
            Self::Amd64 => Arch::Amd64,
            Self::Arm64 => Arch::ARM64,
        }
    }

    /// Which revision of the architecture; engines compare it, and know only one for 64-bit x86.
    pub(super) const fn variant(self) -> Option<&'static str> {
        match self {
            Self::Amd64 => None,
            Self::Arm64 => Some("v8"),
        }
    }

    /// The platform of a configuration with these values.
    pub(super) fn of_config(os: &str, architecture: &str) -> Option<Self> {
        format!("{os}/{architecture}").parse().ok()
    }

    /// As a descriptor holds it.
    pub(super) fn json(self) -> Value {
        let mut value = json!({ "architecture": self.arch().to_string(), "os": "linux" });
        if let Some(variant) = self.variant() {
            value["variant"] = variant.into();
        }
        value
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "linux/{}", self.arch())
    }
}

impl FromStr for Platform {
    type Err = UnknownPlatform;

    fn from_str(text: &str) -> Result<Self, UnknownPlatform> {
        Self::ALL
            .into_iter()
            .find(|platform| platform.to_string() == text)
            .ok_or_else(|| UnknownPlatform(text.chars().take(80).collect()))
    }
}
