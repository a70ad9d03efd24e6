//! Poetry's version constraints as PEP 440 has them.
//!
//! Poetry writes `^1.2`, `~1.2`, `1.2.*` and alternatives with `||`; apart from that, its comparisons are those of the
//! standard. What `poetry-core` prints for a constraint is held against this in `tests.rs`.

use std::str::FromStr;

use uv_pep440::{Operator, Version, VersionSpecifier, VersionSpecifiers};

use super::ProjectReason;

/// What a constraint allows: what one of the alternatives does. None is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Constraint {
    written: String,
    alternatives: Vec<VersionSpecifiers>,
}

impl Constraint {
    pub(super) fn parse(text: &str) -> Result<Self, ProjectReason> {
        let wrong = |why: String| ProjectReason::PoetryConstraint {
            found: text.to_owned(),
            why,
        };
        let mut alternatives = Vec::new();
        for alternative in text.split("||").flat_map(|part| part.split('|')) {
            let mut specifiers = Vec::new();
            for word in words(alternative) {
                specifiers.extend(clause(&word).map_err(wrong)?);
            }
            alternatives.push(specifiers.into_iter().collect());
        }
        Ok(Self {
            written: text.to_owned(),
            alternatives,
        })
    }

    /// The constraint as it stands behind a name; empty for any version.
    pub(super) fn specifiers(&self) -> Result<String, ProjectReason> {
        if let [only] = &self.alternatives[..] {
            return Ok(joined(only));
        }
        self.united().ok_or_else(|| ProjectReason::Alternatives {
            found: self.written.clone(),
        })
    }

    /// Whether some release of a Python is allowed, given as major and minor.
    pub(super) fn allows_python(&self, python: (u32, u32)) -> bool {
        let (major, minor) = python;
        let releases =
            (0..=40).map(|patch| Version::new([u64::from(major), u64::from(minor), patch]));
        let mut releases = releases.into_iter();
        releases.any(|release| self.alternatives.iter().any(|one| one.contains(&release)))
    }

    /// The marker that a dependency for some Pythons has; `None` for all.
    pub(super) fn python_marker(&self) -> Option<String> {
        let texts: Vec<String> = self.alternatives.iter().map(python_marker).collect();
        match &texts[..] {
            texts if texts.iter().any(String::is_empty) => None,
            [only] => Some(only.clone()),
            texts => Some(
                texts
                    .iter()
                    .map(|text| format!("({text})"))
                    .collect::<Vec<_>>()
                    .join(" or "),
            ),
        }
    }

    /// Ranges that follow each other without a gap as one.
    fn united(&self) -> Option<String> {
        let mut ranges: Vec<(Version, Option<Version>)> = Vec::new();
        for alternative in &self.alternatives {
            ranges.push(range(alternative)?);
        }
        ranges.sort();
        let mut ranges = ranges.into_iter();
        let (low, mut high) = ranges.next()?;
        for (start, end) in ranges {
            if high.as_ref().is_some_and(|high| start > *high) {
                return None;
            }
            high = match (high, end) {
                (Some(high), Some(end)) => Some(high.max(end)),
                _ => None,
            };
        }
        Some(match high {
            Some(high) => format!(">={low},<{high}"),
            None => format!(">={low}"),
        })
    }
}

/// Clauses are separated by commas or blanks; an operator and its version may be apart.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut open = false;
    for word in text
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty())
    {
        match words.last_mut() {
            Some(last) if open => last.push_str(word),
            _ => words.push(word.to_owned()),
        }
        open = word.chars().all(|c| "<>=!~^".contains(c));
    }
    words
}

fn clause(text: &str) -> Result<Vec<VersionSpecifier>, String> {
    let standard = |text: &str| {
        let specifier = VersionSpecifier::from_str(text);
        specifier.map(|specifier| vec![specifier]).map_err(|error| {
            let error = error.to_string();
            error.lines().next().unwrap_or_default().to_owned()
        })
    };
    let version = |text: &str| Version::from_str(text).map_err(|error| error.to_string());
    if text == "*" || text == "==*" || text == ">=*" {
        return Ok(Vec::new());
    }
    if let Some(base) = text.strip_prefix('^') {
        let low = version(base)?;
        let high = next_breaking(&low);
        return Ok(half_open(low, high));
    }
    if let Some(base) = text.strip_prefix('~')
        && !base.starts_with('=')
    {
        let low = version(base)?;
        let release = low.release();
        let high = bumped(&release, release.len().min(2) - 1);
        return Ok(half_open(low.clone(), high));
    }
    let operators = text
        .find(|c: char| !"<>=!~".contains(c))
        .unwrap_or(text.len());
    match &text[..operators] {
        "" => standard(&format!("=={text}")),
        "=" => standard(&format!("={text}")),
        _ => standard(text),
    }
}

/// What Poetry takes for the next release that breaks others: the first number that is not zero is counted up.
fn next_breaking(version: &Version) -> Version {
    let release = version.release();
    let first = release.iter().position(|part| *part > 0);
    let part = first.unwrap_or(release.len() - 1).min(2);
    bumped(&release, part)
}

/// A release counted up at one of its parts, with as many parts as before.
fn bumped(release: &[u64], part: usize) -> Version {
    let mut numbers: Vec<u64> = release[..part].to_vec();
    numbers.push(release[part].saturating_add(1));
    numbers.resize(release.len(), 0);
    Version::new(numbers)
}

fn half_open(low: Version, high: Version) -> Vec<VersionSpecifier> {
    vec![
        VersionSpecifier::greater_than_equal_version(low),
        VersionSpecifier::less_than_version(high),
    ]
}

fn joined(specifiers: &VersionSpecifiers) -> String {
    let texts: Vec<String> = specifiers.iter().map(ToString::to_string).collect();
    texts.join(",")
}

/// An alternative as a range that includes its beginning and not its end.
fn range(specifiers: &VersionSpecifiers) -> Option<(Version, Option<Version>)> {
    let (mut low, mut high) = (None, None);
    for specifier in specifiers.iter() {
        let version = specifier.version().clone();
        match specifier.operator() {
            Operator::GreaterThanEqual if low.is_none() => low = Some(version),
            Operator::LessThan if high.is_none() => high = Some(version),
            Operator::EqualStar if low.is_none() && high.is_none() => {
                let release = version.release();
                high = Some(bumped(&release, release.len() - 1));
                low = Some(version.clone());
            }
            _ => return None,
        }
    }
    Some((low.unwrap_or_else(|| Version::new([0])), high))
}

fn python_marker(specifiers: &VersionSpecifiers) -> String {
    let texts = specifiers.iter().map(|specifier| {
        let (operator, version) = (specifier.operator(), specifier.version());
        // A whole Python has three numbers; up to two of them are compared as a whole only by some operators.
        let short = version.release().len() <= 2;
        let whole = match operator {
            Operator::GreaterThanEqual | Operator::LessThan | Operator::EqualStar => !short,
            Operator::Equal | Operator::NotEqual => !short,
            _ => true,
        };
        let name = if whole {
            "python_full_version"
        } else {
            "python_version"
        };
        let (operator, version) = match operator {
            Operator::EqualStar if !whole => ("==".to_owned(), padded(version)),
            Operator::EqualStar => ("==".to_owned(), format!("{version}.*")),
            Operator::NotEqualStar => ("!=".to_owned(), format!("{version}.*")),
            operator if whole => (operator.to_string(), version.to_string()),
            operator => (operator.to_string(), padded(version)),
        };
        format!("{name} {operator} '{version}'")
    });
    texts.collect::<Vec<_>>().join(" and ")
}

/// A version with two numbers at least, as `python_version` has them.
fn padded(version: &Version) -> String {
    match version.release().len() {
        1 => format!("{version}.0"),
        _ => version.to_string(),
    }
}
