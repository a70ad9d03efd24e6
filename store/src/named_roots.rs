//! Named roots: what somebody wants to keep, however long it is not used.
//!
//! As Nix makes them: a link below `gcroots` whose target is the store path. A collector keeps what links point to, with
//! everything it refers to.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use cognix_derivations::StorePath;

use crate::error::StoreError;
use crate::store::Store;

/// Ours among the roots of others.
const FOLDER: &str = "cognix";

impl Store {
    /// Keeps a path under a name; what had the name before is no longer kept by it.
    ///
    /// The name is one path component.
    pub fn add_root(&self, name: &str, path: &StorePath) -> Result<(), StoreError> {
        let folder = self.layout().gc_roots().join(FOLDER);
        let link = folder.join(name);
        if name.is_empty() || name.contains('/') || matches!(name, "." | "..") {
            let reason = "the name of a root is one path component".to_owned();
            return Err(StoreError::Unsupported { path: link, reason });
        }
        let target = path.to_string();
        if fs::read_link(&link).is_ok_and(|known| known == Path::new(&target)) {
            return Ok(());
        }
        fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
        let temporary = folder.join(format!(
            ".{name}.{}.{}",
            std::process::id(),
            fastrand::u64(..)
        ));
        symlink(&target, &temporary).map_err(StoreError::io("create", &temporary))?;
        fs::rename(&temporary, &link).map_err(StoreError::io("replace", &link))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_a_link_that_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(folder.path()).expect("a new store");
        let path = |digit: &str| {
            StorePath::from_base_name(&format!("{}-image", digit.repeat(32))).expect("a sound name")
        };
        for digit in ["0", "1", "1"] {
            store.add_root("model", &path(digit)).expect("writable");
        }
        let links = folder.path().join("nix/var/nix/gcroots/cognix");
        let names: Vec<_> = fs::read_dir(&links)
            .expect("made")
            .map(|entry| entry.expect("readable").file_name())
            .collect();
        assert_eq!(names, ["model"]);
        assert_eq!(
            fs::read_link(links.join("model")).expect("a link"),
            Path::new(&path("1").to_string())
        );
        for wrong in ["", ".", "..", "a/b"] {
            assert!(store.add_root(wrong, &path("0")).is_err(), "{wrong:?}");
        }
    }
}
