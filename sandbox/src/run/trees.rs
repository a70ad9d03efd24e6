//! Trees as an overlay takes them: in groups, with what removes something and with real modes as trees of their own.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::workspace::{io_error, make, make_all, relative, set_mode};
use crate::error::SandboxError;
use crate::order::{Composition, Owned};
use crate::request::{Lower, Mode};

/// The kernel takes 500 trees for one overlay; some are left for the skeleton and the mount points.
const TREES: usize = 480;

/// Splits trees into overlays of at most as many as the kernel takes. Only the first `plain` can be merged beforehand:
/// what removes something must see all that is below it in one overlay.
pub(super) fn group(
    layers: Vec<String>,
    plain: usize,
    folder: &Path,
) -> Result<Composition, SandboxError> {
    if layers.len() <= TREES {
        return Ok(Composition::Overlay {
            groups: Vec::new(),
            layers,
        });
    }
    let (below, above) = layers.split_at(plain);
    let groups: Vec<Vec<String>> = below.chunks(TREES).map(<[String]>::to_vec).collect();
    let mut layers = Vec::new();
    for number in 0..groups.len() {
        let name = format!("group/{number}");
        make(&folder.join(&name), 0o755)?;
        layers.push(name);
    }
    layers.extend_from_slice(above);
    if layers.len() > TREES {
        return Err(SandboxError::Setup {
            attempted: format!(
                "composing a root of {} trees, of which {} remove something from those below; at most {TREES} can",
                below.len() + above.len(),
                above.len(),
            ),
            source: io::ErrorKind::InvalidInput.into(),
        });
    }
    Ok(Composition::Overlay { groups, layers })
}

/// A tree that takes paths away from those below it: devices 0:0, which everybody may make.
pub(super) fn whiteouts(tree: &Path, removed: &[PathBuf]) -> Result<(), SandboxError> {
    make(tree, 0o755)?;
    for path in removed {
        let place = tree.join(relative(path)?);
        if let Some(parent) = place.parent() {
            make_all(tree, parent)?;
        }
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &place,
            rustix::fs::FileType::CharacterDevice,
            rustix::fs::Mode::empty(),
            0,
        )
        .map_err(|error| io_error("mark as removed", &place)(error.into()))?;
    }
    Ok(())
}

/// A tree of the directories whose real modes matter; false if there are none.
pub(super) fn directory_modes(tree: &Path, lower: &Lower) -> Result<bool, SandboxError> {
    let mut made = Vec::new();
    for (path, mode) in &lower.modes {
        let path = relative(path)?;
        let found = fs::symlink_metadata(lower.tree.join(&path));
        if !found.is_ok_and(|found| found.is_dir()) {
            continue;
        }
        if made.is_empty() {
            make(tree, 0o755)?;
        }
        let place = tree.join(&path);
        make_all(tree, &place)?;
        made.push((place, mode.mode & 0o1777));
    }
    // Only now: making what is below a folder gives it the usual mode.
    for (place, mode) in &made {
        set_mode(place, *mode)?;
    }
    Ok(!made.is_empty())
}

/// The modes and owners that are not ordinary, as seen through all trees: the topmost tree that has a path decides.
pub(super) fn modes(root: &[Lower]) -> Vec<Owned> {
    let mut modes: BTreeMap<PathBuf, Mode> = BTreeMap::new();
    for lower in root {
        let gone = |path: &Path| {
            let removed =
                |removed: &PathBuf| path.starts_with(removed.strip_prefix("/").unwrap_or(removed));
            lower.removed.iter().any(removed) || fs::symlink_metadata(lower.tree.join(path)).is_ok()
        };
        modes.retain(|path, _| !gone(path));
        for (path, mode) in &lower.modes {
            let path = path.strip_prefix("/").unwrap_or(path);
            if fs::symlink_metadata(lower.tree.join(path)).is_ok() {
                modes.insert(path.to_owned(), *mode);
            }
        }
    }
    let owned = |(path, mode): (PathBuf, Mode)| Owned {
        path: path.into(),
        mode: mode.mode,
        uid: mode.uid,
        gid: mode.gid,
    };
    modes.into_iter().map(owned).collect()
}
