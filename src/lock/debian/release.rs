//! The release file of a suite: when it was made, how long it holds, and the hash of every index below it.

use std::collections::BTreeMap;

use cognix_derivations::Sha256;

use super::control;
use super::error::{DebianError, FileSum, quoted};
use super::packages::Preference;
use super::time;
use crate::mirrors::apt_sources::is_path_below;

/// The fields of a release file that a lock depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Release {
    /// What messages call it: input and suite.
    pub(super) label: String,
    /// When it was made, in seconds since 1970.
    pub(super) date: u64,
    /// When it expires; the base suites of a stable Debian never do.
    valid_until: Option<u64>,
    suite: String,
    codename: String,
    architectures: Vec<String>,
    components: Vec<String>,
    /// Whether files can also be fetched by their hash, so that an update of the mirror tears nothing.
    pub(super) by_hash: bool,
    /// Whether packages for all architectures have an index of their own, as archives other than Debian's may have it.
    pub(super) all_apart: bool,
    /// Whether its versions are taken without being asked for.
    pub(super) preference: Preference,
    files: BTreeMap<String, FileSum>,
}

/// What a release file is wanted for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) suite: &'a str,
    pub(super) architecture: &'a str,
    pub(super) components: &'a [String],
}

impl Release {
    /// Reads a text whose signature was verified.
    pub(super) fn parse(label: &str, text: &str) -> Result<Self, DebianError> {
        let field = |name| control::field(text, name).unwrap_or_default();
        let words = |name| {
            field(name)
                .split_ascii_whitespace()
                .map(str::to_owned)
                .collect()
        };
        let date = |name| match control::field(text, name) {
            None => Ok(None),
            Some(value) => match time::parse(value) {
                Some(seconds) => Ok(Some(seconds)),
                None => Err(unusable(label, name, value, "a date in UTC")),
            },
        };
        Ok(Self {
            label: label.to_owned(),
            date: date("Date")?.ok_or_else(|| unusable(label, "Date", "", "a date in UTC"))?,
            valid_until: date("Valid-Until")?,
            suite: field("Suite").to_owned(),
            codename: field("Codename").to_owned(),
            architectures: words("Architectures"),
            components: words("Components"),
            by_hash: field("Acquire-By-Hash") == "yes",
            all_apart: {
                let words = |name| field(name).split_ascii_whitespace();
                words("Architectures").any(|word| word == "all")
                    && words("No-Support-for-Architecture-all").all(|word| word != "Packages")
            },
            preference: match (field("NotAutomatic"), field("ButAutomaticUpgrades")) {
                ("yes", "yes") => Preference::ButAutomaticUpgrades,
                ("yes", _) => Preference::NotAutomatic,
                _ => Preference::Automatic,
            },
            files: files(label, field("SHA256"))?,
        })
    }

    /// Whether this is the release that was asked for, and holds at the time `now`.
    ///
    /// A release that is pinned by its hash is a choice of the past: its expiry is not enforced (IDX-4).
    pub(super) fn check(
        &self,
        wanted: Wanted<'_>,
        now: u64,
        pinned: bool,
    ) -> Result<(), DebianError> {
        let label = &self.label;
        if self.codename != wanted.suite && self.suite != wanted.suite {
            return Err(unusable(label, "Codename", &self.codename, wanted.suite));
        }
        if !self
            .architectures
            .iter()
            .any(|found| found == wanted.architecture)
        {
            return Err(unusable(
                label,
                "Architectures",
                &self.architectures.join(" "),
                wanted.architecture,
            ));
        }
        for component in wanted.components {
            // Security archives prefix the names of their components with the name of the archive's folder.
            let is_it = |found: &String| {
                found == component || found.strip_prefix("updates/") == Some(component)
            };
            if !self.components.iter().any(is_it) {
                return Err(unusable(
                    label,
                    "Components",
                    &self.components.join(" "),
                    component,
                ));
            }
        }
        if self.date > now.saturating_add(time::CLOCK_TOLERANCE) {
            return Err(DebianError::FromTheFuture {
                release: label.clone(),
                date: time::to_rfc3339(self.date),
            });
        }
        match self.valid_until {
            Some(end) if end < now && !pinned => Err(DebianError::Expired {
                release: label.clone(),
                valid_until: time::to_rfc3339(end),
            }),
            _ => Ok(()),
        }
    }

    /// What the suite is called: by its codename, and by what it is just now.
    pub(super) fn names_of_suite(&self) -> impl Iterator<Item = &str> {
        let names = [self.codename.as_str(), self.suite.as_str()];
        names.into_iter().filter(|name| !name.is_empty())
    }

    /// Size and hash of a file below the suite's folder.
    pub(super) fn file(&self, path: &str) -> Option<FileSum> {
        self.files.get(path).copied()
    }

    /// Whether any file of the suite has this hash.
    pub(super) fn names(&self, sha256: Sha256) -> bool {
        self.files.values().any(|sum| sum.sha256 == sha256)
    }
}

/// The lines of the `SHA256` field: hash, size, path.
fn files(label: &str, value: &str) -> Result<BTreeMap<String, FileSum>, DebianError> {
    let mut files = BTreeMap::new();
    for line in value.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let malformed = || {
            unusable(
                label,
                "SHA256",
                line,
                "a hash, a size and a path below the suite",
            )
        };
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let [sha256, size, path] = words[..] else {
            return Err(malformed());
        };
        // The hash has other spellings elsewhere; in a release file it is always hexadecimal.
        let sha256 = if sha256.len() == 64 {
            sha256.parse().map_err(|_| malformed())?
        } else {
            return Err(malformed());
        };
        let size = size.parse().map_err(|_| malformed())?;
        if !is_path_below(path) {
            return Err(malformed());
        }
        let sum = FileSum { size, sha256 };
        if files
            .insert(path.to_owned(), sum)
            .is_some_and(|other| other != sum)
        {
            return Err(malformed());
        }
    }
    Ok(files)
}

fn unusable(label: &str, field: &'static str, found: &str, expected: &str) -> DebianError {
    let found = quoted(found).trim_matches('`').to_owned();
    DebianError::Release {
        release: label.to_owned(),
        field,
        found,
        expected: expected.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Suite: oldstable\nCodename: bookworm\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n\
        Valid-Until: Sat, 18 Jul 2026 10:16:37 UTC\nArchitectures: all amd64\nComponents: main updates/contrib\n\
        Acquire-By-Hash: yes\nSHA256:\n \
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/binary-amd64/Packages\n";
    const DATE: u64 = 1_783_764_997;

    fn check(text: &str, suite: &str, component: &str, now: u64) -> Result<(), String> {
        let components = [component.to_owned()];
        let wanted = Wanted {
            suite,
            architecture: "amd64",
            components: &components,
        };
        let release = Release::parse("debian bookworm", text).map_err(|error| error.to_string())?;
        release
            .check(wanted, now, false)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_release_that_is_what_was_asked() {
        assert_eq!(check(TEXT, "bookworm", "main", DATE), Ok(()));
        assert_eq!(check(TEXT, "oldstable", "contrib", DATE), Ok(()));
        let release = Release::parse("r", TEXT).expect("the text is well-formed");
        assert_eq!(
            release.file("main/binary-amd64/Packages"),
            Some(FileSum::of(b""))
        );
        assert_eq!((release.date, release.by_hash), (DATE, true));
    }

    #[test]
    fn idx_4_suite_architecture_and_component_as_asked() {
        let error = check(TEXT, "trixie", "main", DATE).expect_err("not that suite");
        assert_eq!(
            error,
            "debian bookworm: Codename is `bookworm`, expected trixie"
        );
        let error = check(TEXT, "bookworm", "non-free", DATE).expect_err("not that component");
        assert_eq!(
            error,
            "debian bookworm: Components is `main updates/contrib`, expected non-free"
        );
        let error = check(
            &TEXT.replace("all amd64", "arm64"),
            "bookworm",
            "main",
            DATE,
        )
        .expect_err("arm64 only");
        assert_eq!(
            error,
            "debian bookworm: Architectures is `arm64`, expected amd64"
        );
    }

    #[test]
    fn idx_4_expiry_and_future_are_refused() {
        let week = 7 * 86_400;
        assert_eq!(check(TEXT, "bookworm", "main", DATE + week), Ok(()));
        let error = check(TEXT, "bookworm", "main", DATE + week + 1).expect_err("expired");
        assert!(
            error.starts_with("debian bookworm expired on 2026-07-18T10:16:37Z"),
            "{error}"
        );
        let error = check(TEXT, "bookworm", "main", DATE - 601).expect_err("from the future");
        assert!(error.contains("in the future"), "{error}");
    }

    #[test]
    fn idx_4_a_pinned_release_does_not_expire() {
        let release = Release::parse("r", TEXT).expect("the text is well-formed");
        let wanted = Wanted {
            suite: "bookworm",
            architecture: "amd64",
            components: &[],
        };
        assert!(release.check(wanted, DATE * 2, true).is_ok());
    }

    #[test]
    fn idx_4_upward_paths_and_broken_sums_are_refused() {
        let good = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for line in [
            format!("{good} 0 ../main/Packages"),
            format!("{good} 0 main/../../Packages"),
            format!("{good} 0 /main/Packages"),
            format!("{good} 0"),
            format!("{good} -1 main/Packages"),
            format!("{good} 0 main/Packages more"),
            format!("{} 0 main/Packages", &good[1..]),
            format!("{good} 1 main/binary-amd64/Packages"),
        ] {
            let error =
                check(&format!("{TEXT} {line}\n"), "bookworm", "main", DATE).expect_err(&line);
            assert!(
                error.contains("expected a hash, a size and a path below the suite"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_release_without_date_is_refused() {
        let error = check("Codename: bookworm\n", "bookworm", "main", DATE).expect_err("no date");
        assert_eq!(error, "debian bookworm: Date is ``, expected a date in UTC");
    }
}
