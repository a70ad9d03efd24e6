//! Where something lies in the image: a path below `/`, written without the leading slash.
//!
//! Plans, mode records and layer descriptions hold these and nothing else, so that no later step has to ask again
//! whether a path is absolute, climbs with `..` or holds a NUL. The order is the order of the bytes, which is the order
//! of the entries in a layer. Names that are not UTF-8 are refused where bytes come in, because the descriptions are JSON.

use std::{borrow::Borrow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest path that Linux opens.
const PATH_MAX: usize = 4095;
/// The longest name of one part of a path.
const NAME_MAX: usize = 255;

/// A path below the image's root: relative, `/`-separated, never empty, without `.` and `..` parts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImagePath(String);

/// A path that no image can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("image path {path:?} {problem}")]
pub struct InvalidImagePath {
    path: String,
    problem: &'static str,
}

impl ImagePath {
    /// Takes a path as it stands in a plan or a package, or says what is wrong with it.
    pub fn parse(path: impl Into<String>) -> Result<Self, InvalidImagePath> {
        let path = path.into();
        match problem_of(&path) {
            None => Ok(Self(path)),
            Some(problem) => Err(InvalidImagePath {
                path: path.chars().take(80).collect(),
                problem,
            }),
        }
    }

    /// The text without a leading or trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last part.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The directory it lies in; none for what lies directly below the root.
    pub fn parent(&self) -> Option<Self> {
        self.0
            .rsplit_once('/')
            .map(|(parent, _)| Self(parent.to_owned()))
    }

    /// Every directory above it, outermost first.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + '_ {
        self.0
            .match_indices('/')
            .map(|(at, _)| Self(self.0[..at].to_owned()))
    }

    /// The path of `name` in this directory.
    pub fn join(&self, name: &str) -> Result<Self, InvalidImagePath> {
        Self::parse(format!("{}/{name}", self.0))
    }
}

fn problem_of(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("is empty");
    }
    if path.len() > PATH_MAX {
        return Some("is longer than 4095 bytes");
    }
    if path.starts_with('/') {
        return Some("is absolute, but has to be relative to the image's root");
    }
    path.split('/').find_map(|part| match part {
        "" => Some("has an empty part"),
        "." | ".." => Some("has a part \".\" or \"..\""),
        _ if part.len() > NAME_MAX => Some("has a part longer than 255 bytes"),
        _ if part.contains('\0') => Some("holds a NUL"),
        _ => None,
    })
}

impl FromStr for ImagePath {
    type Err = InvalidImagePath;

    fn from_str(path: &str) -> Result<Self, Self::Err> {
        Self::parse(path)
    }
}

impl Borrow<str> for ImagePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.escape_debug())
    }
}

impl fmt::Debug for ImagePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}

impl Serialize for ImagePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ImagePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_outermost_first() {
        let path = ImagePath::parse("usr/lib/python3.11/os.py").expect("a plain path");
        let above: Vec<_> = path.ancestors().map(|above| above.to_string()).collect();
        assert_eq!(above, ["usr", "usr/lib", "usr/lib/python3.11"]);
        assert_eq!(path.name(), "os.py");
        assert_eq!(
            path.parent().map(|parent| parent.to_string()).as_deref(),
            Some("usr/lib/python3.11")
        );
    }

    #[test]
    fn all_5_refuses_paths_that_leave_or_blur_the_root() {
        let long_name = "n".repeat(256);
        let long_path = "p/".repeat(2048);
        for bad in [
            "", "/", "/etc", "a//b", "a/", "./a", "a/../b", "..", "a\0b", &long_name, &long_path,
        ] {
            assert!(ImagePath::parse(bad).is_err(), "{bad:?} was accepted");
        }
        for good in [
            "a",
            "a/b",
            "...",
            "é/ü",
            "with space",
            "back\\slash",
            "line\nfeed",
        ] {
            assert!(ImagePath::parse(good).is_ok(), "{good:?} was refused");
        }
    }
}
