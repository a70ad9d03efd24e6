//! Finds the address of every locked wheel on this machine, for an exported lock.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use cognix_store::Mirrors as _;
use futures::{StreamExt as _, TryStreamExt as _};

use super::{Address, ExchangeError, pylock};
use crate::lock::python::WheelOrigin;
use crate::lock::{LockedWheel, VariantLock};
use crate::mirrors::{Mirrors, python_index};

/// Index pages asked for at one time.
const REQUESTS: usize = 8;

/// What an exported lock needs of the machine.
pub struct Places<'a> {
    /// Where wheels are.
    pub mirrors: &'a Mirrors,
    /// The project, for wheels that are files of it.
    pub project: &'a Path,
    /// Where the exported file will stand.
    pub folder: &'a Path,
}

/// The wheels of a lock as a `pylock.toml`.
pub async fn export(lock: &VariantLock, places: &Places<'_>) -> Result<String, ExchangeError> {
    let platforms = lock.platforms.values();
    let wheels = platforms.flat_map(|platform| &platform.python.packages);
    let by_url: BTreeMap<String, &LockedWheel> = wheels.map(|wheel| (wheel.url(), wheel)).collect();
    let found = by_url
        .into_iter()
        .map(|(url, wheel)| async move { Ok((url, places.address(wheel).await?)) });
    let addresses = futures::stream::iter(found)
        .buffered(REQUESTS)
        .try_collect();
    Ok(pylock(lock, &addresses.await?))
}

impl Places<'_> {
    async fn address(&self, wheel: &LockedWheel) -> Result<Address, ExchangeError> {
        let url = wheel.url();
        match &wheel.origin {
            WheelOrigin::Project { path } | WheelOrigin::Folder { path } => {
                let path = relative(self.folder, &self.project.join(path));
                Ok(Address::Path(path.display().to_string()))
            }
            WheelOrigin::Git(address) => Ok(Address::Url(address.repository.clone())),
            WheelOrigin::Url { .. } => Ok(Address::Url(python_index::clean(&url))),
            WheelOrigin::Index { .. } => {
                let unknown = |source: Box<dyn std::error::Error + Send + Sync>| {
                    let filename = wheel.filename.clone();
                    ExchangeError::Locate { filename, source }
                };
                let found = self.mirrors.candidates(&url).await;
                let found = found.map_err(|error| unknown(error.into()))?;
                let first = found
                    .first()
                    .ok_or_else(|| unknown("no index has it".into()))?;
                // Credentials are for this machine only, and signed addresses for a moment only.
                Ok(Address::Url(python_index::clean(first.as_str())))
            }
        }
    }
}

/// The way from a folder to a file, both absolute.
fn relative(folder: &Path, file: &Path) -> PathBuf {
    let plain = |path: &Path| -> Vec<PathBuf> {
        let parts = path.components().filter(|part| *part != Component::CurDir);
        parts.map(|part| PathBuf::from(part.as_os_str())).collect()
    };
    let (folder, file) = (plain(folder), plain(file));
    let shared = folder
        .iter()
        .zip(&file)
        .take_while(|(one, other)| one == other)
        .count();
    let up = folder[shared..].iter().map(|_| PathBuf::from(".."));
    up.chain(file[shared..].iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_between_folders() {
        for (folder, file, expected) in [
            ("/model", "/model/wheels/a.whl", "wheels/a.whl"),
            ("/model/.", "/model/a.whl", "a.whl"),
            ("/model/out", "/model/wheels/a.whl", "../wheels/a.whl"),
            ("/elsewhere", "/model/a.whl", "../model/a.whl"),
        ] {
            assert_eq!(
                relative(Path::new(folder), Path::new(file)),
                Path::new(expected)
            );
        }
    }
}
