//! The root of a build, from the parts that its plan names.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use cognix_derivations::StorePath;
use cognix_sandbox::{Lower, Mode};

use super::error::ForeignError;
use super::plan::{Entry, Plan};
use super::record::{
    CHANGES_FILE, CHANGES_TREE, ChangesRecord, MODES_FILE, Owned, RecordError, parse_modes,
};
use crate::build::{BuildError, BuildRequest};

/// The trees of a root, bottom first.
pub(super) fn lowers(request: &BuildRequest<'_>, plan: &Plan) -> Result<Vec<Lower>, BuildError> {
    let lower = |entry: &Entry<StorePath>| match entry {
        Entry::Tree { tree, control } => {
            let modes = match control {
                None => BTreeMap::new(),
                Some(control) => {
                    let file = request.input(control)?.join(MODES_FILE);
                    modes_of(read(&file, parse_modes)?)
                }
            };
            Ok(Lower {
                modes,
                ..Lower::new(request.input(tree)?)
            })
        }
        Entry::Changes(changes) => {
            let folder = request.input(changes)?;
            let record = read(&folder.join(CHANGES_FILE), ChangesRecord::parse)?;
            Ok(Lower {
                tree: folder.join(CHANGES_TREE),
                removed: record.removed.into_iter().map(PathBuf::from).collect(),
                modes: modes_of(record.modes),
            })
        }
    };
    let lowers: Vec<Lower> = plan
        .root
        .iter()
        .map(lower)
        .collect::<Result<_, BuildError>>()?;
    keep_links(plan, &lowers)?;
    Ok(lowers)
}

/// Refuses a folder at the top of a tree that hides a link of a tree below. What a program changed it may have changed on
/// purpose.
fn keep_links(plan: &Plan, lowers: &[Lower]) -> Result<(), BuildError> {
    let mut links: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for (entry, lower) in plan.root.iter().zip(lowers) {
        let tree = &lower.tree;
        let Entry::Tree { tree: path, .. } = entry else {
            continue;
        };
        for entry in fs::read_dir(tree).map_err(BuildError::io(tree))? {
            let entry = entry.map_err(BuildError::io(tree))?;
            let (name, place) = (entry.file_name(), entry.path());
            let kind = entry.file_type().map_err(BuildError::io(&place))?;
            if kind.is_symlink() {
                let target = fs::read_link(&place).map_err(BuildError::io(&place))?;
                links.insert(name, target);
            } else if kind.is_dir()
                && let Some(target) = links.get(&name)
            {
                return Err(ForeignError::HiddenLink {
                    tree: path.clone(),
                    name: name.display().to_string(),
                    target: target.display().to_string(),
                }
                .into());
            }
        }
    }
    Ok(())
}

fn read<T>(
    path: &Path,
    parse: impl FnOnce(&[u8]) -> Result<T, RecordError>,
) -> Result<T, BuildError> {
    let text = fs::read(path).map_err(BuildError::io(path))?;
    parse(&text).map_err(|source| {
        let path = path.to_owned();
        ForeignError::Record { path, source }.into()
    })
}

fn modes_of(modes: BTreeMap<String, Owned>) -> BTreeMap<PathBuf, Mode> {
    let modes = modes.into_iter();
    modes
        .map(|(path, Owned { gid, mode, uid })| (PathBuf::from(path), Mode { mode, uid, gid }))
        .collect()
}

/// What is recorded about a directory by the uppermost tree that has it.
pub(super) fn recorded(lowers: &[Lower], directory: &Path) -> Option<Mode> {
    let mut lowers = lowers.iter().rev();
    let owner = lowers.find(|lower| {
        fs::symlink_metadata(lower.tree.join(directory)).is_ok_and(|metadata| metadata.is_dir())
    });
    owner?.modes.get(directory).copied()
}
