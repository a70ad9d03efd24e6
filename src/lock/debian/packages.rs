//! One `Packages` index: the text, and what choosing needs of every stanza.
//!
//! All stanzas are read once for name, version, priority and what they provide. The rest (dependencies, hashes) is
//! read when a package is looked at, because a lock looks at some hundred of sixty thousand.

use super::control;
use super::error::DebianError;

/// A verified index and where it came from.
pub(super) struct PackageIndex {
    /// What messages call it: suite and component.
    pub(super) label: String,
    /// The input that its pool paths belong to.
    pub(super) input: String,
    /// The names of its suite: what it was asked for by, its codename and what it is just now (`stable`).
    pub(super) suites: Vec<String>,
    pub(super) preference: Preference,
    pub(super) text: String,
}

/// How much the versions of a suite are preferred when nothing is said, the lowest first. apt's numbers for them are 1,
/// 100 and 500.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Preference {
    /// `NotAutomatic: yes`, such as experimental.
    NotAutomatic,
    /// Upgraded once it is there, such as backports.
    ButAutomaticUpgrades,
    Automatic,
}

/// The few fields of a stanza that are read for every package.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    /// Place of the index in the order of preference.
    pub(super) index: usize,
    pub(super) stanza: &'a str,
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) provides: &'a str,
    pub(super) priority: Priority,
    pub(super) essential: bool,
    /// `Protected: yes`, or its older name `Important: yes`.
    pub(super) protected: bool,
    /// `Multi-Arch: allowed`: relations on `name:any` are satisfied.
    pub(super) any_allowed: bool,
}

/// How much a package belongs to every system; a lower one is preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Priority {
    Unset,
    Required,
    Important,
    Standard,
    Optional,
    Extra,
}

impl Priority {
    fn parse(text: &str) -> Self {
        match text {
            "required" => Self::Required,
            "important" => Self::Important,
            "standard" => Self::Standard,
            "optional" => Self::Optional,
            _ => Self::Extra,
        }
    }

    /// What it weighs when one of two packages must be dropped.
    pub(super) fn score(self) -> i64 {
        match self {
            Self::Unset => 0,
            Self::Required => 3,
            Self::Important => 2,
            Self::Standard => 1,
            Self::Optional => -1,
            Self::Extra => -2,
        }
    }
}

impl PackageIndex {
    /// Reads every stanza; packages of an architecture that was not asked for are refused.
    pub(super) fn records<'a>(
        &'a self,
        index: usize,
        architecture: &str,
    ) -> Result<Vec<Record<'a>>, DebianError> {
        // The count of a real index: about one stanza in 700 bytes.
        let mut records = Vec::with_capacity(self.text.len() / 700);
        for stanza in control::stanzas(&self.text) {
            records.push(self.record(index, stanza, architecture)?);
        }
        Ok(records)
    }

    fn record<'a>(
        &self,
        index: usize,
        stanza: &'a str,
        architecture: &str,
    ) -> Result<Record<'a>, DebianError> {
        let mut record = Record {
            index,
            stanza,
            name: "",
            version: "",
            provides: "",
            priority: Priority::Unset,
            essential: false,
            protected: false,
            any_allowed: false,
        };
        let mut found_architecture = "";
        for (name, value) in control::fields(stanza) {
            match name {
                "Package" => record.name = value,
                "Version" => record.version = value,
                "Architecture" => found_architecture = value,
                "Provides" => record.provides = value,
                "Priority" => record.priority = Priority::parse(value),
                "Essential" => record.essential = value == "yes",
                "Protected" | "Important" => record.protected |= value == "yes",
                "Multi-Arch" => record.any_allowed = value == "allowed",
                _ => {}
            }
        }
        for (field, value) in [("Package", record.name), ("Version", record.version)] {
            if value.is_empty() {
                return Err(self.malformed(record.name, field, "nothing"));
            }
        }
        if found_architecture != architecture && found_architecture != "all" {
            return Err(self.malformed(record.name, "Architecture", found_architecture));
        }
        Ok(record)
    }

    /// A stanza whose field cannot be used.
    pub(super) fn malformed(&self, package: &str, field: &'static str, found: &str) -> DebianError {
        DebianError::Stanza {
            index: self.label.clone(),
            package: super::error::quoted(package),
            field,
            found: super::error::quoted(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str) -> Result<usize, String> {
        let index = PackageIndex {
            label: "test main".into(),
            input: "debian".into(),
            suites: vec!["test".into()],
            preference: Preference::Automatic,
            text: text.into(),
        };
        index
            .records(0, "amd64")
            .map(|records| records.len())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn reads_what_choosing_needs() {
        let text = "Package: a\nVersion: 1\nArchitecture: all\nEssential: yes\nPriority: required\n\n\
                    Package: b\nVersion: 2\nArchitecture: amd64\nMulti-Arch: allowed\nDescription: b\n text\n";
        assert_eq!(records(text), Ok(2));
    }

    #[test]
    fn idx_4_another_architecture_is_refused() {
        let error = records("Package: a\nVersion: 1\nArchitecture: arm64\n")
            .expect_err("arm64 is not amd64");
        assert_eq!(
            error,
            "test main: package `a` has an unusable Architecture: `arm64`"
        );
    }

    #[test]
    fn a_stanza_without_version_is_refused() {
        let error = records("Package: a\nArchitecture: all\n").expect_err("no version");
        assert_eq!(
            error,
            "test main: package `a` has an unusable Version: `nothing`"
        );
    }
}
