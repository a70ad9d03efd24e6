//! Versions of the Cog SDK, as `build.sdk_version` names them.

use super::reason::Reason;

/// Which release of the SDK is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SdkVersion {
    /// The newest release, pre-releases included.
    Prerelease,
    /// Exactly this version, in the spelling of PEP 440.
    Pinned(String),
}

/// Below this the SDK cannot talk to the server program.
const MINIMUM: [u64; 2] = [0, 16];

impl SdkVersion {
    /// Reads a version in the spelling of PEP 440 or of semantic versioning, or the word `prerelease`.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        if text.eq_ignore_ascii_case("prerelease") {
            return Ok(Self::Prerelease);
        }
        match normalise(text) {
            Some(version) => Ok(Self::Pinned(version)),
            None => Err(Reason::SdkVersion {
                found: text.to_owned(),
            }),
        }
    }

    /// Whether the SDK is older than the oldest that works.
    pub fn is_too_old(&self) -> bool {
        self.is_older_than(MINIMUM)
    }

    /// Whether the first two numbers of a pinned version are below these.
    pub fn is_older_than(&self, other: [u64; 2]) -> bool {
        let Self::Pinned(version) = self else {
            return false;
        };
        let mut numbers = version.split('.').map(|part| {
            let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().unwrap_or(u64::MAX)
        });
        let first = [numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)];
        first < other
    }
}

impl std::fmt::Display for SdkVersion {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Prerelease => formatter.write_str("prerelease"),
            Self::Pinned(version) => formatter.write_str(version),
        }
    }
}

/// `0.17.0-alpha.1` becomes `0.17.0a1`; `None` for what is no version.
fn normalise(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches('v').to_ascii_lowercase();
    let release: String = text
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    let (release, rest) = match release.strip_suffix('.') {
        // The dot belongs to what follows: `1.2.dev3`, `1.2.post1`.
        Some(release) => (release.to_owned(), &text[release.len()..]),
        None => (release.clone(), &text[release.len()..]),
    };
    if release.is_empty() || release.split('.').any(str::is_empty) {
        return None;
    }
    let (rest, local) = rest
        .split_once('+')
        .map_or((rest, None), |(rest, local)| (rest, Some(local)));
    if local.is_some_and(|local| {
        local.is_empty()
            || !local
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'.')
    }) {
        return None;
    }
    let suffix = pre_release(rest)?;
    Some(format!(
        "{release}{suffix}{}",
        local.map(|local| format!("+{local}")).unwrap_or_default()
    ))
}

/// The suffix after the release numbers in its normal spelling; empty for none.
fn pre_release(text: &str) -> Option<String> {
    let mut rest = text;
    let mut normal = String::new();
    while !rest.is_empty() {
        rest = rest.trim_start_matches(['-', '.', '_']);
        let word: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
        rest = rest[word.len()..].trim_start_matches(['-', '.', '_']);
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        rest = &rest[digits.len()..];
        let number = if digits.is_empty() { "0" } else { &digits };
        match word.as_str() {
            "a" | "alpha" => normal += &format!("a{number}"),
            "b" | "beta" => normal += &format!("b{number}"),
            "rc" | "c" | "pre" | "preview" => normal += &format!("rc{number}"),
            "post" | "rev" | "r" => normal += &format!(".post{number}"),
            "dev" => normal += &format!(".dev{number}"),
            _ => return None,
        }
    }
    Some(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_normalised() {
        let cases = [
            ("0.18.0", Some("0.18.0")),
            ("0.18", Some("0.18")),
            ("v0.18.0", Some("0.18.0")),
            ("0.17.0-alpha1", Some("0.17.0a1")),
            ("0.17.0-alpha.1", Some("0.17.0a1")),
            ("0.17.0a1", Some("0.17.0a1")),
            ("0.17.0-rc2", Some("0.17.0rc2")),
            ("0.17.0.dev3", Some("0.17.0.dev3")),
            ("0.17.0-dev3", Some("0.17.0.dev3")),
            ("0.17.0.post1", Some("0.17.0.post1")),
            ("0.17.0a1.dev2", Some("0.17.0a1.dev2")),
            ("0.17.0+g1234", Some("0.17.0+g1234")),
            ("latest", None),
            ("", None),
            ("0..1", None),
            (">=0.17", None),
            ("0.17 0.18", None),
            ("0.17.0-gold1", None),
        ];
        for (text, expected) in cases {
            let found = SdkVersion::parse(text).ok();
            assert_eq!(
                found,
                expected.map(|version| SdkVersion::Pinned(version.to_owned())),
                "{text}"
            );
        }
        assert_eq!(
            SdkVersion::parse("Prerelease").ok(),
            Some(SdkVersion::Prerelease)
        );
    }

    #[test]
    fn the_floor_is_0_16() {
        for (text, expected) in [
            ("0.15.9", true),
            ("0.16.0a1", false),
            ("0.16", false),
            ("1.0", false),
            ("0.9", true),
        ] {
            assert_eq!(
                SdkVersion::parse(text)
                    .map(|version| version.is_too_old())
                    .ok(),
                Some(expected),
                "{text}"
            );
        }
    }
}
