//! `.dockerignore` as BuildKit reads it.
//!
//! A line is a pattern, a comment (`#` in the first column) or blank; a pattern is cleaned like a path and its leading slash is
//! dropped. Patterns apply in order to each path, the last one that matches decides, and one that starts with `!` takes
//! back what earlier ones left out. A pattern that matches a folder counts for everything below it.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use super::SourceError;
use super::pattern::Pattern;

const FILE_NAME: &str = ".dockerignore";
const MAX_BYTES: u64 = 1024 * 1024;

/// The rules of one project.
#[derive(Debug, Default)]
pub(super) struct Rules {
    patterns: Vec<Pattern>,
    /// Whether any pattern takes something back.
    has_exceptions: bool,
    /// Whether all of those are plain paths, so that it is known which folders they can be in.
    exceptions_are_paths: bool,
}

/// Which patterns match a folder, and so everything in it; one for each pattern.
pub(super) type Matched = Vec<bool>;

/// A `.dockerignore` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IgnoreError {
    /// The pattern has no meaning; Docker refuses it too.
    #[error(".dockerignore:{line}: invalid pattern {pattern:?}: {reason}")]
    Pattern {
        /// Where it is.
        line: usize,
        /// What is written there.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is no text.
    #[error(".dockerignore:{line}: the text is not UTF-8")]
    NotUtf8 {
        /// The line of the first wrong byte.
        line: usize,
    },
    /// The file is larger than any list of patterns.
    #[error(".dockerignore has more than {MAX_BYTES} bytes")]
    TooLarge,
    /// The file is a link that leads out of the project.
    #[error(".dockerignore leads outside of the project")]
    OutsideProject,
}

/// Reads the rules of a project; none if there is no file.
pub(super) fn read(root: &Path) -> Result<Rules, SourceError> {
    let path = root.join(FILE_NAME);
    let failed = |source| SourceError::Read {
        path: path.clone(),
        source,
    };
    let real = match fs::canonicalize(&path) {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Rules::default()),
        Err(error) => return Err(failed(error)),
    };
    if !real.starts_with(fs::canonicalize(root).map_err(failed)?) {
        return Err(IgnoreError::OutsideProject.into());
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(&real).map_err(failed)?;
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(IgnoreError::TooLarge.into());
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        IgnoreError::NotUtf8 { line }
    })?;
    Ok(Rules::parse(text)?)
}

impl Rules {
    /// Reads the lines of a file.
    pub(super) fn parse(text: &str) -> Result<Self, IgnoreError> {
        let mut patterns = Vec::new();
        for (index, line) in text
            .strip_prefix('\u{feff}')
            .unwrap_or(text)
            .lines()
            .enumerate()
        {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let pattern = Pattern::parse(line.trim()).map_err(|reason| IgnoreError::Pattern {
                line: index + 1,
                pattern: line.trim().to_owned(),
                reason,
            })?;
            patterns.push(pattern);
        }
        let mut exceptions = patterns
            .iter()
            .filter(|pattern| pattern.is_exception())
            .peekable();
        let has_exceptions = exceptions.peek().is_some();
        let exceptions_are_paths = exceptions.all(Pattern::is_path);
        Ok(Self {
            patterns,
            has_exceptions,
            exceptions_are_paths,
        })
    }

    /// Whether a path is left out, and which patterns count for what is below it.
    ///
    /// `above` is the answer for the folder that the path is in. A pattern that could not change the verdict on a folder is not
    /// tried on it, and so does not count below it either; BuildKit does the same, and copies what this gives.
    pub(super) fn matches(&self, path: &str, above: Option<&Matched>) -> (bool, Matched) {
        let mut left_out = false;
        let mut matched = vec![false; self.patterns.len()];
        for (index, pattern) in self.patterns.iter().enumerate() {
            let counts_above = above.is_some_and(|above| above[index]);
            matched[index] =
                counts_above || (pattern.is_exception() == left_out && pattern.matches(path));
            if matched[index] {
                left_out = !pattern.is_exception();
            }
        }
        (left_out, matched)
    }

    /// Whether something below a folder that is left out may be taken back.
    pub(super) fn may_keep_below(&self, folder: &str) -> bool {
        let below = |pattern: &Pattern| pattern.is_exception() && pattern.can_be_below(folder);
        self.has_exceptions && (!self.exceptions_are_paths || self.patterns.iter().any(below))
    }
}
