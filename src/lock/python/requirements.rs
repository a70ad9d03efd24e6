//! Text to what the resolver takes: requirement lines, kept versions, and the moment after which nothing counts.

use std::fmt;
use std::str::FromStr;

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use uv_distribution_types::{Requirement, RequirementSource};
use uv_normalize::PackageName;
use uv_pep440::Version;
use uv_pypi_types::VerbatimParsedUrl;
use uv_requirements_txt::{RequirementEntry, RequirementsTxtRequirement};

use super::{PythonError, PythonRequest};

/// Files uploaded at this moment or later are not considered. Its text is RFC 3339 in UTC.
///
/// A date alone means its end in UTC: what was uploaded on that day counts. (uv takes the end of the day in the
/// machine's own time zone, which would give different locks in different places.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cutoff(Timestamp);

impl Cutoff {
    /// Midnight, when today began in UTC: what was uploaded until yesterday counts, and everybody who locks on the
    /// same day gets the same answer.
    pub fn start_of_today() -> Self {
        const DAY: i64 = 86_400;
        let now = Timestamp::now();
        let midnight = now.as_second().div_euclid(DAY) * DAY;
        Self(Timestamp::from_second(midnight).unwrap_or(now))
    }

    pub(super) fn timestamp(self) -> Timestamp {
        self.0
    }
}

/// Neither a moment nor a date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a moment like 2025-03-01T12:00:00Z nor a date like 2025-03-01")]
pub struct CutoffError(String);

impl FromStr for Cutoff {
    type Err = CutoffError;

    fn from_str(text: &str) -> Result<Self, CutoffError> {
        let end_of_day = |date: Date| {
            let next = date.checked_add(1.day()).ok()?;
            Some(next.to_zoned(TimeZone::UTC).ok()?.timestamp())
        };
        let is_date = text.len() == "2025-03-01".len();
        let date = || text.parse().ok().filter(|_| is_date).and_then(end_of_day);
        let moment = text.parse().ok().or_else(date);
        moment.map(Self).ok_or_else(|| CutoffError(text.to_owned()))
    }
}

impl fmt::Display for Cutoff {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

/// A request's lines, understood.
pub(super) struct Requirements {
    pub(super) requirements: Vec<Requirement>,
    pub(super) constraints: Vec<Requirement>,
    pub(super) preferences: Vec<uv_resolver::Preference>,
}

/// Understands all lines of a request.
pub(super) fn parse(request: &PythonRequest) -> Result<Requirements, PythonError> {
    let lines = |lines: &[String]| -> Result<Vec<Requirement>, PythonError> {
        let lines = lines
            .iter()
            .map(|line| without_comment(line))
            .filter(|line| !line.is_empty());
        lines
            .map(|line| requirement(line).map(Requirement::from))
            .collect()
    };
    Ok(Requirements {
        requirements: lines(&request.requirements)?,
        constraints: lines(&request.constraints)?,
        preferences: request.preferences.iter().filter_map(preference).collect(),
    })
}

/// As pip does it: `#` starts a comment at the start of a line or after white space.
fn without_comment(line: &str) -> &str {
    let starts_comment = |at: &usize| {
        line[..*at]
            .chars()
            .next_back()
            .is_none_or(char::is_whitespace)
    };
    let end = line
        .match_indices('#')
        .map(|(at, _)| at)
        .find(starts_comment);
    line[..end.unwrap_or(line.len())].trim()
}

fn requirement(line: &str) -> Result<uv_pep508::Requirement<VerbatimParsedUrl>, PythonError> {
    let refuse = |reason: String| {
        // An address in the line may carry a password.
        let line = crate::mirrors::python_index::clean(line);
        Err(PythonError::Requirement { line, reason })
    };
    if line.starts_with('-') {
        return refuse(
            "this is an option of pip, not a package; name the package alone".to_owned(),
        );
    }
    if line.contains("://") && !line.contains('@') {
        return refuse(
            "an address is not a package name; packages come from a package index".to_owned(),
        );
    }
    let parsed = uv_pep508::Requirement::<VerbatimParsedUrl>::from_str(line);
    let parsed = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            let column = line
                .get(..error.start)
                .map_or(0, |before| before.chars().count())
                + 1;
            return refuse(format!("{} (column {column})", error.message));
        }
    };
    match Requirement::from(parsed.clone()).source {
        RequirementSource::Registry { .. } => Ok(parsed),
        _ => refuse("packages from an address, a repository or a folder come later; use a release from a package index".to_owned()),
    }
}

/// A version to keep; one that cannot be read is no reason to fail, because it is only a wish.
fn preference(kept: &super::Preference) -> Option<uv_resolver::Preference> {
    let name = PackageName::from_str(&kept.name).ok()?;
    let version = Version::from_str(&kept.version).ok()?;
    let pinned = requirement(&format!("{name}=={version}")).ok()?;
    let entry = RequirementEntry {
        requirement: RequirementsTxtRequirement::Named(pinned),
        hashes: Vec::new(),
    };
    uv_resolver::Preference::from_entry(entry).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_end_lines_as_pip_ends_them() {
        for (line, expected) in [
            ("numpy", "numpy"),
            ("  numpy==1.0  # why", "numpy==1.0"),
            ("# nothing", ""),
            ("", ""),
            (
                "pkg @ https://host.test/a.whl#sha256=00",
                "pkg @ https://host.test/a.whl#sha256=00",
            ),
        ] {
            assert_eq!(without_comment(line), expected);
        }
    }

    #[test]
    fn lines_that_name_no_release_are_refused_with_a_reason() {
        for (line, expected) in [
            ("-r more.txt", "option of pip"),
            ("--extra-index-url https://index.test", "option of pip"),
            ("numpy==", "column"),
            ("numpy 1.0", "column"),
            (
                "pkg @ https://host.test/pkg-1.0-py3-none-any.whl",
                "come later",
            ),
            ("git+https://host.test/repo", "package name"),
            ("./folder", "column"),
        ] {
            let text = requirement(line).expect_err(line).to_string();
            assert!(text.contains(expected), "{line}: {text}");
        }
        let secret = "pkg @ https://user:hunter2@host.test/pkg-1.0-py3-none-any.whl?token=abc";
        let text = requirement(secret).expect_err("an address").to_string();
        assert!(!text.contains("hunter2") && !text.contains("abc"), "{text}");
    }

    #[test]
    fn a_cutoff_is_a_moment_in_utc() {
        for (text, expected) in [
            ("2025-03-01T12:00:00Z", "2025-03-01T12:00:00Z"),
            ("2025-03-01T12:00:00+02:00", "2025-03-01T10:00:00Z"),
            ("2025-02-28", "2025-03-01T00:00:00Z"),
        ] {
            let cutoff: Cutoff = text.parse().expect("a moment or a date");
            assert_eq!(cutoff.to_string(), expected);
            assert_eq!(expected.parse(), Ok(cutoff));
        }
        for wrong in [
            "",
            "yesterday",
            "2025-13-01",
            "3 days",
            "2025-03-01T12:00:00",
        ] {
            assert!(wrong.parse::<Cutoff>().is_err(), "{wrong}");
        }
        let today = Cutoff::start_of_today();
        assert!(today.to_string().ends_with("T00:00:00Z"), "{today}");
        assert_eq!(today.to_string().parse(), Ok(today));
    }
}
