//! One line of a requirement file, taken apart.

use std::str::FromStr;

use cognix_derivations::Sha256;
use uv_distribution_filename::WheelFilename;
use uv_normalize::PackageName;

/// A requirement and the digests that may follow it.
pub(super) struct Line<'a> {
    pub(super) requirement: &'a str,
    pub(super) sha256: Vec<Sha256>,
}

impl<'a> Line<'a> {
    /// Splits off the options. The line has no comment.
    pub(super) fn parse(line: &'a str) -> Result<Self, String> {
        if line.starts_with('-') {
            return Err("this is an option of pip, not a package; options stand in a requirement file, on a line of their own".to_owned());
        }
        let starts_option = |at: &usize| line[..*at].ends_with(char::is_whitespace);
        let at = line
            .match_indices("--")
            .map(|(at, _)| at)
            .find(starts_option);
        let (requirement, options) = line.split_at(at.unwrap_or(line.len()));
        Ok(Self {
            requirement: requirement.trim(),
            sha256: digests(options)?,
        })
    }
}

/// The SHA-256 digests of `--hash` options.
fn digests(options: &str) -> Result<Vec<Sha256>, String> {
    let mut words = options.split_whitespace();
    let (mut digests, mut others) = (Vec::new(), None);
    while let Some(word) = words.next() {
        let value = match word.split_once('=') {
            Some(("--hash", value)) => value,
            None if word == "--hash" => words.next().unwrap_or_default(),
            _ => {
                return Err(format!(
                    "{word} is not an option that a requirement can have here; only --hash is"
                ));
            }
        };
        match value.split_once(':') {
            Some(("sha256", hex)) => {
                let digest = hex.to_ascii_lowercase().parse();
                digests.push(digest.map_err(|_| format!("{value:?} is not a SHA-256 digest: expected sha256: and 64 hexadecimal digits"))?);
            }
            Some((algorithm, _)) => others = Some(algorithm),
            None => {
                return Err(format!(
                    "{value:?} is not a digest: expected --hash=sha256:…"
                ));
            }
        }
    }
    match others {
        // A file must be locked by its SHA-256, so one of another kind alone decides nothing.
        Some(algorithm) if digests.is_empty() => Err(format!(
            "its only digests are of the kind {algorithm}; add a --hash=sha256:…, as `pip-compile --generate-hashes` and `uv pip compile --generate-hashes` write them"
        )),
        _ => Ok(digests),
    }
}

/// As pip does it: `#` starts a comment at the start of a line or after white space.
pub(super) fn without_comment(line: &str) -> &str {
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

/// The package that a requirement line is about, normalised: of a wheel, the one that its file name says.
///
/// `None` for options, comments, and lines that name nothing.
pub fn requirement_name(line: &str) -> Option<String> {
    let line = without_comment(line);
    let name_ends = |c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c);
    let end = line.find(name_ends).unwrap_or(line.len());
    let rest = line[end..].trim_start();
    let is_path =
        rest.starts_with(['/', ':', '+', '\\']) || is_wheel(line.split_whitespace().next()?);
    if !is_path {
        let name = PackageName::from_str(&line[..end]).ok()?;
        return Some(name.to_string());
    }
    let place = line
        .split_whitespace()
        .next()?
        .split(['#', '?', '[', ';'])
        .next()?;
    let file = WheelFilename::from_str(place.rsplit('/').next()?).ok()?;
    Some(file.name.to_string())
}

/// Whether a word is the path or the address of a wheel, perhaps with extras or a digest.
fn is_wheel(word: &str) -> bool {
    let path = word.split(['#', '?', '[', ';']).next().unwrap_or(word);
    path.len() > 4 && path.to_ascii_lowercase().ends_with(".whl")
}
