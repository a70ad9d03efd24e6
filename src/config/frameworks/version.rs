//! Versions as Cog's tables compare them.

use std::fmt;

/// Up to three numbers and the tag of a build: `2.4.1+cu124`.
///
/// Anything else (a post-release, four numbers) is no version here and matches nothing, as in Cog.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pub(super) major: u32,
    pub(super) minor: u32,
    pub(super) patch: Option<u32>,
    pub(super) tag: Option<String>,
}

impl Version {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (release, tag) = match text.split_once('+') {
            Some((release, tag)) => (release, Some(tag.to_owned())),
            None => (text, None),
        };
        let any_patch = release.strip_suffix(".*").filter(|rest| rest.contains('.'));
        let mut parts = any_patch.unwrap_or(release).split('.').map(number);
        let version = Self {
            major: parts.next()??,
            minor: parts.next().unwrap_or(Some(0))?,
            patch: match parts.next() {
                Some(patch) => Some(patch?),
                None => None,
            },
            tag,
        };
        parts.next().is_none().then_some(version)
    }

    /// The same major and minor, and the same patch where both have one.
    pub(super) fn matches(&self, other: &Self) -> bool {
        let patch = self.patch.zip(other.patch);
        self.minor() == other.minor() && patch.is_none_or(|(one, other)| one == other)
    }

    pub(super) fn minor(&self) -> (u32, u32) {
        (self.major, self.minor)
    }

    /// The numbers alone, for comparing.
    pub(super) fn release(&self) -> (u32, u32, u32) {
        (self.major, self.minor, self.patch.unwrap_or(0))
    }
}

/// Plain digits only.
fn number(text: &str) -> Option<u32> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)?;
        if let Some(patch) = self.patch {
            write!(formatter, ".{patch}")?;
        }
        match &self.tag {
            Some(tag) => write!(formatter, "+{tag}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_match_as_cog_matches_them() {
        let cases = [
            ("2.4", "2.4.0", true),
            ("2.4", "2.4.1", true),
            ("2.4.0", "2.4.1", false),
            ("2.4.1+cu118", "2.4.1", true),
            ("2", "2.0.1", true),
            ("2", "2.1.0", false),
            ("2.4.*", "2.4.1", true),
        ];
        for (one, other, expected) in cases {
            let parse = |text| Version::parse(text).expect(text);
            assert_eq!(parse(one).matches(&parse(other)), expected, "{one} {other}");
        }
        for text in [
            "",
            "2.a",
            "2.4.1.post1",
            "2.4.1a0",
            "1.2.3.4",
            "*",
            "2.*",
            "+cpu",
            "2.-1",
        ] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }
}
