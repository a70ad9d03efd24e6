//! Interpreters of a model's own: `archives = [ { platform; version; path; sha256; } … ];` of a package source.

use cognix_derivations::Sha256;
use cognix_language::Value;

use super::architecture::Architecture;
use super::decode::{digest, platform};
use super::error::{SpecError, SpecReason};
use super::keys::{Keys, join};
use super::settings::PinnedArchive;

/// Reads the list, if there is one.
pub(super) fn archives(keys: &Keys<'_, '_>) -> Result<Option<Vec<PinnedArchive>>, SpecError> {
    const KEY: &str = "archives";
    let Some(items) = keys.items(KEY, "a list of sets")? else {
        return Ok(None);
    };
    let mut archives: Vec<PinnedArchive> = Vec::new();
    for item in items {
        let Value::Attrs(attrs) = item.value else {
            return Err(keys.wrong(KEY, &item, "a list of sets"));
        };
        let found = archive(&Keys {
            path: keys.path_of(KEY),
            schema: join(&keys.schema, KEY),
            attrs,
            pos: item.pos,
            ..keys.clone()
        })?;
        let same = |other: &PinnedArchive| {
            other.platform == found.platform && minor(&other.version) == minor(&found.version)
        };
        if archives.iter().any(same) {
            let reason = SpecReason::SecondArchive {
                key: keys.path_of(KEY),
                python: minor(&found.version).to_owned(),
                platform: found.platform.to_string(),
            };
            return Err(keys.error(item.pos, reason));
        }
        archives.push(found);
    }
    Ok(Some(archives))
}

fn archive(keys: &Keys<'_, '_>) -> Result<PinnedArchive, SpecError> {
    keys.only_known()?;
    let missing = |key: &str| {
        let key = keys.path_of(key);
        keys.error(keys.pos, SpecReason::Missing { key })
    };
    let architecture: Option<Architecture> = keys.parsed("platform", platform)?;
    let sha256: Option<Sha256> = keys.parsed("sha256", digest)?;
    Ok(PinnedArchive {
        path: keys
            .parsed("path", source_path)?
            .ok_or_else(|| missing("path"))?,
        platform: architecture.ok_or_else(|| missing("platform"))?,
        sha256: sha256.ok_or_else(|| missing("sha256"))?,
        version: keys
            .parsed("version", version)?
            .ok_or_else(|| missing("version"))?,
    })
}

/// Relative, with no empty, `.` or `..` part: it stands in a URL of the lock.
fn source_path(key: String, text: String) -> Result<String, SpecReason> {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && part.len() <= 255;
    let is_plain = text.split('/').all(plain) && !text.contains(char::is_control);
    if is_plain && text.len() <= 4095 && !text.contains('\\') {
        Ok(text)
    } else {
        Err(SpecReason::SourcePath { key, found: text })
    }
}

/// Three numbers, the last one perhaps with a mark such as `rc1`.
fn version(key: String, text: String) -> Result<String, SpecReason> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<&str> = text.split('.').collect();
    let is_version = match parts[..] {
        [major, minor, patch] => {
            let is_plain = patch.bytes().all(|b| b.is_ascii_alphanumeric());
            let starts = patch.starts_with(|c: char| c.is_ascii_digit());
            is_number(major) && is_number(minor) && is_plain && starts
        }
        _ => false,
    };
    if is_version {
        Ok(text)
    } else {
        Err(SpecReason::Version { key, found: text })
    }
}

/// `3.12` of `3.12.4`.
fn minor(version: &str) -> &str {
    version.rsplit_once('.').map_or(version, |(minor, _)| minor)
}
