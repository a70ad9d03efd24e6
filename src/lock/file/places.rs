//! Where a file comes from, in the words of the lock: `mirror://INPUT/PATH`, `project://PATH`, or an address.

use super::LockFileError;
use crate::lock::python::{self, WheelOrigin};
use crate::lock::{LockedArchive, LockedDeb};
use crate::mirrors::git::GitAddress;
use crate::mirrors::project_folder::{FOLDER, archive_name};

impl LockedDeb {
    /// Where the file comes from, relative to a named input.
    pub fn url(&self) -> String {
        format!("mirror://{}/{}", self.input, self.path)
    }

    /// The last part of the path: the file's name in the archive.
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

impl python::LockedWheel {
    /// Where the file comes from: `mirror://INDEX/NAME/FILE`, `project://PATH`, `project-folder://PATH`,
    /// `git+ADDRESS@COMMIT`, or the address that was asked for.
    pub fn url(&self) -> String {
        match &self.origin {
            WheelOrigin::Index { input } => {
                format!("mirror://{input}/{}/{}", self.name, self.filename)
            }
            WheelOrigin::Project { path } => format!("{PROJECT}{path}"),
            WheelOrigin::Folder { path } => format!("{FOLDER}{path}"),
            WheelOrigin::Git(address) => address.to_string(),
            WheelOrigin::Url { url } => url.clone(),
        }
    }
}

impl LockedArchive {
    /// Where the file comes from, relative to a named input.
    pub fn url(&self) -> String {
        format!("mirror://{}/{}", self.input, self.path)
    }
}

/// What the address of a file of the project begins with.
const PROJECT: &str = "project://";

/// The name of the file behind an address of the lock.
pub(super) fn file_name(address: &str) -> String {
    if let Some(Ok(address)) = GitAddress::parse(address) {
        return address.file_name();
    }
    let path = match url::Url::parse(address) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => {
            let decoded = percent_encoding::percent_decode_str(url.path());
            decoded.decode_utf8_lossy().into_owned()
        }
        _ => address.to_owned(),
    };
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

/// Where a wheel comes from, and the name of its file.
pub(super) fn wheel_origin(
    name: &str,
    url: &str,
    text: &str,
) -> Result<(WheelOrigin, String), LockFileError> {
    let wrong = |message: String| LockFileError::Inconsistent {
        line: line_of(text, url),
        message,
    };
    if let Some(path) = url.strip_prefix(PROJECT) {
        if !is_plain_path(path) {
            return Err(wrong(format!("{url:?} is not below the project")));
        }
        let filename = path.rsplit('/').next().unwrap_or(path).to_owned();
        let path = path.to_owned();
        return Ok((WheelOrigin::Project { path }, filename));
    }
    if let Some(path) = url.strip_prefix(FOLDER) {
        if !is_plain_path(path) {
            return Err(wrong(format!("{url:?} is not below the project")));
        }
        let (filename, path) = (archive_name(path), path.to_owned());
        return Ok((WheelOrigin::Folder { path }, filename));
    }
    if let Some(address) = GitAddress::parse(url) {
        let address = address.map_err(|reason| wrong(format!("{url:?}: {reason}")))?;
        let filename = address.file_name();
        return Ok((WheelOrigin::Git(address), filename));
    }
    if url.starts_with("https://") || url.starts_with("http://") {
        url::Url::parse(url).map_err(|error| wrong(format!("{url:?}: {error}")))?;
        let filename = file_name(url);
        let url = url.to_owned();
        return Ok((WheelOrigin::Url { url }, filename));
    }
    // An index of several parts has a name of several parts: `pytorch/cu124`.
    let (input, path) = split_mirror_url(url, text)?;
    let path = format!("{input}/{path}");
    let below = format!("/{name}/");
    let split = path.rsplit_once('/').and_then(|(folder, filename)| {
        let input = format!("{folder}/").strip_suffix(&below)?.to_owned();
        Some((input, filename.to_owned()))
    });
    let (input, filename) =
        split.ok_or_else(|| wrong(format!("the file of {name} is not below its name: {url}")))?;
    Ok((WheelOrigin::Index { input }, filename))
}

/// Splits `mirror://INPUT/PATH`; the path must stay below the input.
pub(super) fn split_mirror_url(url: &str, text: &str) -> Result<(String, String), LockFileError> {
    let split = url
        .strip_prefix("mirror://")
        .and_then(|rest| rest.split_once('/'));
    let (input, path) = split
        .filter(|(input, path)| !input.is_empty() && is_plain_path(path))
        .ok_or_else(|| {
            let message = format!("{url:?} is not of the form mirror://INPUT/PATH");
            LockFileError::Inconsistent {
                line: line_of(text, url),
                message,
            }
        })?;
    Ok((input.to_owned(), path.to_owned()))
}

fn is_plain_path(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains(char::is_control)
}

/// The line in which something stands first; the first where it does not.
pub(super) fn line_of(text: &str, needle: &str) -> usize {
    text.lines()
        .position(|line| line.contains(needle))
        .map_or(1, |index| index + 1)
}
