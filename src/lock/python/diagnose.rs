//! Turns a failed resolution into something the author of the requirements can act on.
//!
//! The resolver's account of a contradiction is good and is kept as it is. Three causes have better answers than a
//! proof, so the projects that the account speaks of are looked up again (their pages are in the cache by now): names
//! that no index knows, versions that exist as source only, and indexes that do not date their files. What remains
//! are the library's hints, which talk of options that this program does not have and are reworded or left out.

use uv_errors::Hint as _;
use uv_normalize::PackageName;
use uv_resolver::{NoSolutionError, ResolveError};

use super::super::request::override_of;
use super::target::Target;
use super::{PythonError, PythonRequest, requirement_name};
use crate::mirrors::python_index::{
    Connection, ListedFile, PageFailure, clean, explain as in_one_line,
};

/// Finds the best answer to a failed resolution.
pub(super) async fn explain(
    error: ResolveError,
    connection: &Connection,
    target: &Target,
    request: &PythonRequest,
) -> PythonError {
    match error {
        ResolveError::NoSolution(error) => no_solution(&error, connection, target, request).await,
        ResolveError::Dependencies(ref inner, ref package, ref version, _)
            if let ResolveError::DisallowedUrl { name, .. } = inner.as_ref() =>
        {
            let (what, hints) = (target.name.clone(), String::new());
            let report = format!(
                "{package} {version} asks for {name} by address, and only releases of a package index can be locked"
            );
            PythonError::NoSolution {
                what,
                report,
                hints,
            }
        }
        error => {
            let text = in_one_line(&error);
            if request.offline {
                PythonError::Offline(text)
            } else {
                unavailable(text, request)
            }
        }
    }
}

async fn no_solution(
    error: &NoSolutionError,
    connection: &Connection,
    target: &Target,
    request: &PythonRequest,
) -> PythonError {
    let hints: Vec<String> = error.hints().into_iter().map(|hint| clean(&hint)).collect();
    let refused =
        |hint: &&String| hint.contains("401 Unauthorized") || hint.contains("403 Forbidden");
    if let Some(hint) = hints.iter().find(refused) {
        return PythonError::Refused(reworded(hint).unwrap_or_default());
    }
    let mut packages: Vec<_> = error.packages().cloned().collect();
    packages.sort_unstable();
    let report = with_operators(&clean(error.report()), &packages);
    let pinned: Vec<String> = request
        .overrides
        .iter()
        .map(|line| override_of(line))
        .filter(|(name, _)| packages.iter().any(|package| package.as_str() == *name))
        .map(|(name, pin)| format!("overrides.{name} pins {}", clean(pin)))
        .collect();
    for package in packages {
        let name = package.to_string();
        match connection.files(&package).await {
            Ok((index, files)) => {
                if let Some(found) = about_files(&name, (&index, &files), &report, target, request)
                {
                    return found;
                }
            }
            Err(PageFailure::Unknown) => return unknown_package(name, &report, request),
            Err(PageFailure::Offline) => {
                return PythonError::Offline(format!("the index page of {name}"));
            }
            Err(PageFailure::Refused(refusal)) => return PythonError::Refused(refusal.to_string()),
            Err(PageFailure::Other(reason)) => return unavailable(reason, request),
        }
    }
    let hints = hints.iter().filter_map(|hint| reworded(hint));
    let hints = pinned.into_iter().chain(hints);
    let hints = hints.map(|hint| format!("\nhint: {hint}")).collect();
    PythonError::NoSolution {
        what: target.name.clone(),
        report: shortened(&report),
        hints,
    }
}

/// The most lines of an account; with what stands around it, a message then has no more than twenty.
const REPORT_LINES: usize = 14;

/// Leaves out the middle of an account that is too long: it begins with a cause and ends with the conclusion.
fn shortened(report: &str) -> String {
    let lines: Vec<&str> = report.lines().collect();
    if lines.len() <= REPORT_LINES {
        return report.to_owned();
    }
    let (kept, half) = (REPORT_LINES - 1, REPORT_LINES / 2);
    let left_out = format!("      … ({} lines left out)", lines.len() - kept);
    let (first, last) = (&lines[..half], &lines[lines.len() - (kept - half)..]);
    [first, &[left_out.as_str()], last].concat().join("\n")
}

pub(super) fn unavailable(reason: String, request: &PythonRequest) -> PythonError {
    let (indexes, origin) = (
        request.indexes.to_string(),
        request.indexes.origin().to_string(),
    );
    PythonError::Unavailable {
        reason,
        indexes,
        with_torch: request.indexes.with_torch(),
        origin,
    }
}

/// Puts `==` where the library forgets it: its "no version of numpy99" means `numpy==99`.
fn with_operators(report: &str, packages: &[PackageName]) -> String {
    const BEFORE: &str = "there is no version of ";
    let mut parts = report.split(BEFORE);
    let mut spelt = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let names = packages.iter().map(PackageName::as_str);
        let is_joined = |name: &&str| {
            part.strip_prefix(*name)
                .is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_digit()))
        };
        let name = names.filter(is_joined).max_by_key(|name| name.len());
        let (name, version) = part.split_at(name.map_or(0, str::len));
        spelt.extend([
            BEFORE,
            name,
            if name.is_empty() { "" } else { "==" },
            version,
        ]);
    }
    spelt
}

fn unknown_package(package: String, report: &str, request: &PythonRequest) -> PythonError {
    let is_named = request
        .requirements
        .iter()
        .any(|line| requirement_name(line).as_ref() == Some(&package));
    PythonError::UnknownPackage {
        indexes: request.indexes.to_string(),
        // Why it is needed goes without saying when it was asked for.
        report: if is_named {
            String::new()
        } else {
            format!("\n{report}")
        },
        package,
    }
}

/// What a project's own page explains about the failure.
fn about_files(
    name: &str,
    (index, files): (&str, &[ListedFile]),
    report: &str,
    target: &Target,
    request: &PythonRequest,
) -> Option<PythonError> {
    if files.is_empty() {
        let (package, indexes) = (name.to_owned(), request.indexes.to_string());
        return Some(PythonError::NoFiles { package, indexes });
    }
    if let Some(cutoff) = request.exclude_newer
        && files.iter().all(|file| !file.is_dated)
    {
        let (package, cutoff) = (name.to_owned(), cutoff.to_string());
        return Some(PythonError::NoUploadTimes {
            package,
            cutoff,
            index: index.to_owned(),
            indexes: request.indexes.to_string(),
        });
    }
    let package = if files.iter().all(|file| !file.is_wheel) {
        Some(name.to_owned())
    } else {
        source_only(name, report)
    };
    let (what, report) = (target.name.clone(), report.to_owned());
    let name = name.parse().ok()?;
    package.map(|package| PythonError::SourceOnly {
        name,
        package,
        what,
        report,
    })
}

/// The releases of a package that the account calls source only, as it spells them.
///
/// The library keeps the reason of each step to itself, so its words are all there is to go by. They are pinned with
/// its version, and a test holds them.
fn source_only(name: &str, report: &str) -> Option<String> {
    let words: Vec<&str> = report.split_whitespace().collect();
    let is_release = |word: &str| {
        let rest = word.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['=', '<', '>', '!', '~']))
    };
    let found = words.windows(5).find(|window| match window {
        [release, "has" | "have", "no", "usable", wheels] => {
            is_release(release) && wheels.starts_with("wheels")
        }
        _ => false,
    });
    found.map(|window| window[0].to_owned())
}

/// A hint in the words of this program, or nothing when it is about an option that we do not have.
fn reworded(hint: &str) -> Option<String> {
    if hint.contains("--no-build") || hint.contains("the network was disabled") {
        return None;
    }
    let cut = [
        " (try: `",
        " Consider using a more restrictive",
        " Consider using `exclude-newer-package`",
        " By default, uv will only consider",
        " If the failing package is not",
    ];
    let end = cut
        .iter()
        .filter_map(|words| hint.find(words))
        .min()
        .unwrap_or(hint.len());
    let kept = hint[..end].trim_end_matches([',', '.']);
    let advice = if hint.contains("--prerelease") {
        "; name one in the requirement to allow it"
    } else if hint.starts_with("The `requires-python` value") {
        "; another python_version in cog.yaml may fit"
    } else if hint.contains("--index-strategy") {
        "; the first index that knows a name supplies it, so that nobody can slip in another package of that name"
    } else {
        ""
    };
    let kept = kept.replace("The `requires-python` value", "The image's Python");
    Some(format!("{kept}{advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_another_program_are_reworded() {
        let hint = "Pre-releases are available for `a` in the requested range (e.g., 1.0rc1), but pre-releases weren't enabled (try: `--prerelease=allow`)";
        let expected = "Pre-releases are available for `a` in the requested range (e.g., 1.0rc1), but pre-releases weren't enabled; name one in the requirement to allow it";
        assert_eq!(reworded(hint).as_deref(), Some(expected));
        assert_eq!(
            reworded(
                "Wheels are required for `a` because building from source is disabled (i.e., with `--no-build`)"
            ),
            None
        );
    }
}
