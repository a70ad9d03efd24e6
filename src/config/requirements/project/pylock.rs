//! A `pylock.toml` that stands alone (PEP 751): its packages are what is asked for.
//!
//! Their files are held against the lock's digests when they are chosen; see [`crate::lock::exchange`].

use super::super::read::Role;
use super::document::Item;
use super::{ProjectFile, Scope, Wanted, is_here, path, repository};

/// Reads the packages.
pub(super) fn read(scope: &mut Scope<'_, '_>, document: &Item<'_>, found: &mut ProjectFile) {
    if let Some(python) = document.get("requires-python") {
        scope.requires_python(&python, found);
    }
    let Some(packages) = document.get("packages") else {
        return scope.wrong(document, "a lock with packages");
    };
    let Some(packages) = packages.items() else {
        return scope.wrong(&packages, "a list of tables");
    };
    for item in &packages {
        package(scope, item);
    }
}

fn package(scope: &mut Scope<'_, '_>, item: &Item<'_>) {
    let Some(name) = item.get("name") else {
        return scope.wrong(item, "a table with a name");
    };
    let Some(text) = scope.text(&name) else {
        return;
    };
    let mut wanted = Wanted {
        name: text.to_owned(),
        markers: item
            .text_of("marker")
            .map(str::to_owned)
            .into_iter()
            .collect(),
        ..Wanted::default()
    };
    if let Some(directory) = item.get("directory") {
        let folder = directory.text_of("path").unwrap_or(".");
        if is_here(folder) {
            return;
        }
        wanted.pointer = Some(path(folder));
    } else if let Some(vcs) = item.get("vcs") {
        let address = vcs.text_of("url").or(vcs.text_of("path"));
        let Some(address) = address else {
            return scope.wrong(&vcs, "a table with a url");
        };
        wanted.pointer = Some(repository(
            address,
            vcs.text_of("commit-id"),
            vcs.text_of("subdirectory"),
        ));
    } else if let Some(archive) = item.get("archive") {
        let address = match (archive.text_of("url"), archive.text_of("path")) {
            (Some(url), _) => url.to_owned(),
            (None, Some(local)) => path(local),
            (None, None) => return scope.wrong(&archive, "a table with a url or a path"),
        };
        wanted.pointer = Some(address);
    } else if let Some(version) = item.text_of("version") {
        wanted.specifiers = format!("=={version}");
    }
    scope.line(&name, &wanted.text(), Role::Requirements);
}
