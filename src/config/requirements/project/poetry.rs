//! `[tool.poetry]`: dependencies in Poetry's own words.

use std::collections::BTreeMap;

use super::super::kind::normalise;
use super::super::read::Role;
use super::constraint::Constraint;
use super::document::Item;
use super::indexes::Indexes;
use super::{ProjectFile, ProjectReason, Scope, Wanted, is_here, path, repository};

/// Reads the table of a project that has no `[project]`.
pub(super) fn read(
    scope: &mut Scope<'_, '_>,
    poetry: &Item<'_>,
    indexes: &Indexes,
    found: &mut ProjectFile,
) {
    if !poetry.is_table() {
        return scope.wrong(poetry, "a table");
    }
    if let Some(python) = poetry.get("dependencies.python") {
        scope.requires_python(&python, found);
    }
    dependencies(scope, poetry, indexes, found);
}

/// Reads `dependencies`. Groups and extras are not installed, so optional ones are left out.
pub(super) fn dependencies(
    scope: &mut Scope<'_, '_>,
    poetry: &Item<'_>,
    indexes: &Indexes,
    _found: &mut ProjectFile,
) {
    let Some(table) = poetry.get("dependencies") else {
        return;
    };
    if !table.is_table() {
        return scope.wrong(&table, "a table");
    }
    for (name, item) in table.entries() {
        if normalise(&name) == "python" {
            continue;
        }
        for one in item.one_or_many() {
            dependency(scope, &name, &one, indexes);
        }
    }
}

/// What `dependencies` says beside `[project]`, by normalised name.
pub(super) fn enrichments<'d>(poetry: &Item<'d>) -> BTreeMap<String, Item<'d>> {
    let entries = poetry
        .get("dependencies")
        .map(|table| table.entries())
        .unwrap_or_default();
    entries
        .into_iter()
        .map(|(name, item)| (normalise(&name), item))
        .collect()
}

/// A dependency of `[project]` with what Poetry's table adds: where it comes from.
pub(super) fn enrich(
    scope: &mut Scope<'_, '_>,
    item: &Item<'_>,
    text: &str,
    mut wanted: Wanted,
    source: &Item<'_>,
    indexes: &Indexes,
) {
    let sources = source.one_or_many();
    let [source] = &sources[..] else {
        let what = "a list of sources for a dependency of project.dependencies".to_owned();
        let way_out = "write one table";
        return scope.refuse(source, ProjectReason::NotHonoured { what, way_out });
    };
    if let Some(name) = source.get("source") {
        indexes.pin(scope, &normalise(&wanted.name), &name);
    }
    match pointer(scope, source) {
        Ok(Some(pointer)) => {
            wanted.pointer = Some(pointer);
            scope.line(item, &wanted.text(), Role::Requirements);
        }
        Ok(None) => scope.line(item, text, Role::Requirements),
        Err(Here) => {}
    }
}

fn dependency(scope: &mut Scope<'_, '_>, name: &str, item: &Item<'_>, indexes: &Indexes) {
    let mut wanted = Wanted {
        name: name.to_owned(),
        ..Wanted::default()
    };
    if let Some(text) = item.text() {
        wanted.specifiers = match specifiers(scope, item, text) {
            Some(specifiers) => specifiers,
            None => return,
        };
        return scope.line(item, &wanted.text(), Role::Requirements);
    }
    if !item.is_table() {
        return scope.wrong(item, "a version, a table, or a list of tables");
    }
    if item.flag_of("optional") == Some(true) {
        return;
    }
    if let Some(version) = item.get("version") {
        let Some(text) = scope.text(&version) else {
            return;
        };
        wanted.specifiers = match specifiers(scope, &version, text) {
            Some(specifiers) => specifiers,
            None => return,
        };
    }
    if item.flag_of("allow-prereleases") == Some(true) {
        // A bound that is itself a pre-release lets pre-releases of this package in, and shuts no release out.
        let comma = if wanted.specifiers.is_empty() {
            ""
        } else {
            ","
        };
        wanted.specifiers.push_str(&format!("{comma}>=0.dev0"));
    }
    if let Some(extras) = item.get("extras") {
        wanted.extras = scope
            .texts(&extras)
            .into_iter()
            .map(|(_, text)| text.to_owned())
            .collect();
    }
    if !markers(scope, item, &mut wanted) {
        return;
    }
    if let Some(source) = item.get("source") {
        indexes.pin(scope, &normalise(name), &source);
    }
    match pointer(scope, item) {
        Ok(pointer) => wanted.pointer = pointer,
        Err(Here) => return,
    }
    scope.line(item, &wanted.text(), Role::Requirements);
}

/// Where the dependency is needed; says whether that was understood.
fn markers(scope: &mut Scope<'_, '_>, item: &Item<'_>, wanted: &mut Wanted) -> bool {
    if let Some(python) = item.get("python") {
        let Some(text) = scope.text(&python) else {
            return false;
        };
        match Constraint::parse(text) {
            Ok(constraint) => wanted.markers.extend(constraint.python_marker()),
            Err(reason) => {
                scope.error(&python, reason);
                return false;
            }
        }
    }
    if let Some(platform) = item.get("platform") {
        let Some(text) = scope.text(&platform) else {
            return false;
        };
        let platforms = text
            .split('|')
            .map(str::trim)
            .filter(|platform| !platform.is_empty());
        let markers = platforms.map(|platform| match platform.strip_prefix("!=") {
            Some(other) => format!("sys_platform != '{}'", other.trim()),
            None => format!(
                "sys_platform == '{}'",
                platform.trim_start_matches('=').trim()
            ),
        });
        wanted
            .markers
            .push(markers.collect::<Vec<_>>().join(" or "));
    }
    if let Some(marker) = item.get("markers") {
        let Some(text) = scope.text(&marker) else {
            return false;
        };
        wanted.markers.push(text.to_owned());
    }
    true
}

fn specifiers(scope: &mut Scope<'_, '_>, item: &Item<'_>, text: &str) -> Option<String> {
    match Constraint::parse(text).and_then(|constraint| constraint.specifiers()) {
        Ok(specifiers) => Some(specifiers),
        Err(reason @ ProjectReason::Alternatives { .. }) => {
            scope.refuse(item, reason);
            None
        }
        Err(reason) => {
            scope.error(item, reason);
            None
        }
    }
}

/// The dependency is the project itself.
struct Here;

/// Where a dependency comes from that is no release of an index.
fn pointer(scope: &mut Scope<'_, '_>, item: &Item<'_>) -> Result<Option<String>, Here> {
    let subdirectory = item.text_of("subdirectory");
    if let Some(git) = item.get("git") {
        let reference = ["rev", "tag", "branch"]
            .iter()
            .find_map(|key| item.text_of(key));
        return Ok(scope
            .text(&git)
            .map(|address| repository(address, reference, subdirectory)));
    }
    if let Some(url) = item.get("url") {
        let subdirectory = subdirectory.map(|folder| format!("#subdirectory={folder}"));
        let address = scope.text(&url);
        return Ok(address.map(|address| format!("{address}{}", subdirectory.unwrap_or_default())));
    }
    for key in ["path", "file"] {
        if let Some(local) = item.get(key) {
            return match scope.text(&local) {
                Some(text) if is_here(text) => Err(Here),
                text => Ok(text.map(path)),
            };
        }
    }
    Ok(None)
}
