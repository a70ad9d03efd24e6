//! What is asked for: a line of `system_packages`, and the packages that every image has.

use std::str::FromStr;

use super::error::{DebianError, quoted};

/// One requested package, as `apt-get install` takes it: `name`, or `name=version` where `*` stands for anything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// The package, real or virtual.
    pub name: String,
    /// The version it must have, perhaps with `*`.
    pub version: Option<String>,
}

impl Request {
    /// The package in its newest version.
    pub fn newest(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: None,
        }
    }

    /// Whether a version is the one asked for.
    pub(super) fn accepts(&self, version: &str) -> bool {
        self.version
            .as_deref()
            .is_none_or(|pattern| matches(pattern, version))
    }
}

impl FromStr for Request {
    type Err = DebianError;

    fn from_str(text: &str) -> Result<Self, DebianError> {
        let refuse = |reason| {
            let request = quoted(text.trim()).trim_matches('`').to_owned();
            Err(DebianError::Request { request, reason })
        };
        let text = text.trim();
        let (name, version) = match text.split_once('=') {
            Some((name, version)) => (name, Some(version.to_owned())),
            None => (text, None),
        };
        if name.contains('/') {
            return refuse("files and suites cannot be named; use NAME or NAME=VERSION");
        }
        if name.contains(':') {
            return refuse("the architecture is the image's; leave it out");
        }
        let first = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
        let other = |character: char| first(character) || matches!(character, '+' | '-' | '.');
        if !name.starts_with(first) || !name.chars().all(other) {
            return refuse("names have lower-case letters, digits, `+`, `-` and `.` only");
        }
        if version
            .as_deref()
            .is_some_and(|version| version.is_empty() || version.contains(char::is_whitespace))
        {
            return refuse("the version after `=` is empty or has a blank");
        }
        Ok(Self {
            name: name.to_owned(),
            version,
        })
    }
}

/// Matches a pattern whose only special character is `*`.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<_> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        // The leftmost place leaves most of the text for what follows.
        match text.find(part) {
            Some(place) => text = &text[place + part.len()..],
            None => return false,
        }
    }
    text.ends_with(last)
}

/// What an image needs besides the essential packages and its own: interpreter, init, certificates, time zones, and
/// the libraries that Python wheels expect of any system. Sorted by name.
///
/// `usr-is-merged` and `mawk` are named so that nothing chooses `usrmerge` (which brings perl) or another awk.
/// For a Python that no Debian has, the interpreter is left out.
pub fn base_packages(python: (u8, u8)) -> Vec<&'static str> {
    let interpreter = match python {
        (3, 11) => Some("python3.11"),
        (3, 13) => Some("python3.13"),
        _ => None,
    };
    let before = [
        "ca-certificates",
        "libgcc-s1",
        "libgomp1",
        "libstdc++6",
        "mawk",
        "netbase",
    ];
    let after = ["tini", "tzdata", "usr-is-merged", "zlib1g"];
    before.into_iter().chain(interpreter).chain(after).collect()
}

/// The suite whose own Python this is.
pub fn suite_of_python(python: (u8, u8)) -> Option<&'static str> {
    match python {
        (3, 11) => Some("bookworm"),
        (3, 13) => Some("trixie"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_system_packages() {
        let request = |name: &str, version: Option<&str>| Request {
            name: name.to_owned(),
            version: version.map(str::to_owned),
        };
        for (text, expected) in [
            ("ffmpeg", request("ffmpeg", None)),
            (" libstdc++6 ", request("libstdc++6", None)),
            ("git=1:2.39.*", request("git", Some("1:2.39.*"))),
        ] {
            assert_eq!(text.parse::<Request>().ok(), Some(expected));
        }
    }

    #[test]
    fn what_is_not_a_package_name() {
        for text in [
            "",
            "FFmpeg",
            "git/bookworm-backports",
            "./x.deb",
            "git:i386",
            "git=",
            "a b",
            "git=1 2",
            "-y",
        ] {
            let error = text.parse::<Request>().expect_err(text);
            assert_eq!(error.kind().exit_code(), 65, "{text}");
        }
    }

    #[test]
    fn version_patterns() {
        for (pattern, version, expected) in [
            ("1.2-3", "1.2-3", true),
            ("1.2", "1.2-3", false),
            ("1.2*", "1.2-3", true),
            ("*-3", "1.2-3", true),
            ("1*3", "1.2-3", true),
            ("1*2*3", "1.2-3", true),
            ("1*4*3", "1.2-3", false),
            ("*", "1", true),
            ("1*1", "1", false),
        ] {
            assert_eq!(matches(pattern, version), expected, "{pattern} {version}");
        }
    }

    #[test]
    fn the_interpreter_is_debians_own() {
        for (python, interpreter, suite) in [
            ((3, 11), "python3.11", "bookworm"),
            ((3, 13), "python3.13", "trixie"),
        ] {
            let names = base_packages(python);
            assert!(
                names.contains(&interpreter) && names.is_sorted(),
                "{names:?}"
            );
            assert_eq!(suite_of_python(python), Some(suite));
        }
        assert!(
            base_packages((3, 12))
                .iter()
                .all(|name| !name.starts_with("python"))
        );
        assert_eq!(suite_of_python((3, 12)), None);
    }
}
