//! What is asked for: a line of `system_packages`, and what lies below every image.

use std::str::FromStr;

use super::error::{DebianError, quoted};
use crate::spec::BaseTier;

/// One requested package, as `apt-get install` takes it: `name`, `name=version` where `*` stands for anything, or
/// `name/suite`; each perhaps with `:architecture` behind the name, which can only be the image's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// The package, real or virtual.
    pub name: String,
    /// The architecture, if the line says one.
    pub architecture: Option<String>,
    /// Which of its versions.
    pub which: Which,
}

/// Which of a package's versions is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// The one that apt calls the candidate: the newest of the suites that are preferred most.
    Candidate,
    /// The newest that fits a pattern, in which `*` stands for anything.
    Version(String),
    /// The newest of a suite, whose versions its dependencies may then have too.
    Suite(String),
}

/// A dependency that is not followed, because only the package's own scripts would need it, and they are not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfollowed {
    /// Who has the dependency.
    pub package: &'static str,
    /// The name that stands in it.
    pub needs: &'static str,
}

/// What lies below every image, as far as packages are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tier {
    /// Whether every package that calls itself essential is there.
    pub essential: bool,
    /// The packages that are there in any case.
    pub packages: &'static [&'static str],
    /// What these packages need only for their scripts.
    pub unfollowed: &'static [Unfollowed],
}

const fn unfollowed(package: &'static str, needs: &'static str) -> Unfollowed {
    Unfollowed { package, needs }
}

impl Tier {
    /// The tier that a spec names.
    pub fn of(tier: BaseTier) -> Self {
        /// Users, names and time zones; `libc-bin` has `ldconfig -p`, by which Python's ctypes finds libraries.
        const MINIMAL: &[&str] = &["base-files", "base-passwd", "libc-bin"];
        const SHELL: &[&str] = &[
            "base-files",
            "base-passwd",
            "coreutils",
            "dash",
            "debianutils",
            "findutils",
            "grep",
            "gzip",
            "hostname",
            "libc-bin",
            "sed",
            "tar",
        ];
        /// Questions to the administrator, diversions and lists of info pages. `openssl` stays: it has the links by which
        /// the library of its name finds certificates.
        const SCRIPTS_ONLY: &[Unfollowed] = &[
            unfollowed("ca-certificates", "debconf"),
            unfollowed("dash", "dpkg"),
            unfollowed("grep", "dpkg"),
            unfollowed("gzip", "dpkg"),
            unfollowed("readline-common", "dpkg"),
            unfollowed("tzdata", "debconf"),
        ];
        let (essential, packages, unfollowed) = match tier {
            BaseTier::Minimal => (false, MINIMAL, SCRIPTS_ONLY),
            BaseTier::Shell => (false, SHELL, SCRIPTS_ONLY),
            BaseTier::Essential => (true, &[][..], &[][..]),
        };
        Self {
            essential,
            packages,
            unfollowed,
        }
    }
}

impl Request {
    /// The package in the version that is taken when nothing else is said.
    pub fn candidate(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            architecture: None,
            which: Which::Candidate,
        }
    }

    /// Whether the image of this architecture can have it.
    pub(super) fn is_for(&self, architecture: &str) -> bool {
        let own = |asked: &str| asked == architecture || matches!(asked, "all" | "any" | "native");
        self.architecture.as_deref().is_none_or(own)
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
        // The last of the two signs counts, as for apt.
        let (name, which) = match text.rfind(['=', '/']) {
            Some(at) if text.as_bytes()[at] == b'=' => {
                (&text[..at], Which::Version(text[at + 1..].to_owned()))
            }
            Some(at) => (&text[..at], Which::Suite(text[at + 1..].to_owned())),
            None => (text, Which::Candidate),
        };
        let (name, architecture) = match name.split_once(':') {
            Some((name, architecture)) => (name, Some(architecture.to_owned())),
            None => (name, None),
        };
        let first = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
        let other = |character: char| first(character) || matches!(character, '+' | '-' | '.');
        if !name.starts_with(first) || !name.chars().all(other) {
            return refuse("names have lower-case letters, digits, `+`, `-` and `.` only");
        }
        let is_word = |text: &String| !text.is_empty() && !text.contains(char::is_whitespace);
        if architecture.as_ref().is_some_and(|name| !is_word(name)) {
            return refuse("the architecture after `:` is empty or has a blank");
        }
        match &which {
            Which::Version(version) if !is_word(version) => {
                refuse("the version after `=` is empty or has a blank")
            }
            Which::Suite(suite) if !is_word(suite) => {
                refuse("the suite after `/` is empty or has a blank")
            }
            _ => Ok(Self {
                name: name.to_owned(),
                architecture,
                which,
            }),
        }
    }
}

/// Matches a pattern whose only special character is `*`.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
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
        let request = |name: &str, architecture: Option<&str>, which: Which| Request {
            name: name.to_owned(),
            architecture: architecture.map(str::to_owned),
            which,
        };
        let version = |text: &str| Which::Version(text.to_owned());
        let suite = |text: &str| Which::Suite(text.to_owned());
        for (text, expected) in [
            ("ffmpeg", Request::candidate("ffmpeg")),
            (" libstdc++6 ", Request::candidate("libstdc++6")),
            ("git=1:2.39.*", request("git", None, version("1:2.39.*"))),
            (
                "git/bookworm-backports",
                request("git", None, suite("bookworm-backports")),
            ),
            ("git:amd64", request("git", Some("amd64"), Which::Candidate)),
            ("git:any=1:2", request("git", Some("any"), version("1:2"))),
        ] {
            assert_eq!(text.parse::<Request>().ok(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_package_name() {
        for text in [
            "", "FFmpeg", "./x.deb", "git:", "git: ", "git=", "git/", "a b", "git=1 2", "-y",
            "git/a b",
        ] {
            let error = text.parse::<Request>().expect_err(text);
            assert_eq!(error.kind().exit_code(), 65, "{text}");
        }
    }

    #[test]
    fn an_architecture_is_the_images_own() {
        let is_for = |text: &str| {
            let request: Request = text.parse().expect("a request");
            ["amd64", "arm64"].map(|architecture| request.is_for(architecture))
        };
        assert_eq!(is_for("git"), [true, true]);
        assert_eq!(is_for("git:all"), [true, true]);
        assert_eq!(is_for("git:arm64"), [false, true]);
        assert_eq!(is_for("git:i386"), [false, false]);
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
    fn tiers_name_their_packages_once_and_sorted() {
        for tier in [BaseTier::Minimal, BaseTier::Shell, BaseTier::Essential] {
            let tier = Tier::of(tier);
            assert!(
                tier.packages.is_sorted_by(|left, right| left < right),
                "{tier:?}"
            );
            assert_eq!(tier.essential, tier.unfollowed.is_empty());
        }
    }

    #[test]
    fn the_suite_is_the_one_with_that_python() {
        assert_eq!(suite_of_python((3, 11)), Some("bookworm"));
        assert_eq!(suite_of_python((3, 13)), Some("trixie"));
        assert_eq!(suite_of_python((3, 12)), None);
    }
}
