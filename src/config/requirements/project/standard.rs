//! `[project]`, as every tool reads it (PEP 621), with what uv and Poetry add to its dependencies.

use std::collections::BTreeMap;

use super::super::kind::{self, normalise};
use super::super::read::Role;
use super::document::Item;
use super::indexes::Indexes;
use super::{ProjectFile, ProjectReason, Scope, Wanted, poetry, uv};

/// Reads the table.
pub(super) fn read(
    scope: &mut Scope<'_, '_>,
    document: &Item<'_>,
    project: &Item<'_>,
    poetry: Option<&Item<'_>>,
    indexes: &Indexes,
    found: &mut ProjectFile,
) {
    if !project.is_table() {
        return scope.wrong(project, "a table");
    }
    if let Some(python) = project.get("requires-python") {
        scope.requires_python(&python, found);
    } else if let Some(python) = poetry.and_then(|poetry| poetry.get("dependencies.python")) {
        scope.requires_python(&python, found);
    }
    let dynamic: Vec<&str> = match project.get("dynamic") {
        Some(list) => scope
            .texts(&list)
            .into_iter()
            .map(|(_, text)| text)
            .collect(),
        None => Vec::new(),
    };
    match project.get("dependencies") {
        Some(list) => {
            let sources = Sources {
                uv: uv::sources(scope, document),
                poetry: poetry.map(poetry::enrichments).unwrap_or_default(),
                indexes,
            };
            let own = project.text_of("name").map(normalise);
            let mut pending = scope.texts(&list);
            pending.reverse();
            let mut expanded = std::collections::BTreeSet::new();
            while let Some((item, text)) = pending.pop() {
                // `name[extra]` of the project itself stands for what the extra lists.
                let parsed = kind::parse(text).ok();
                if let Some(parsed) = parsed.filter(|parsed| Some(parsed.name.to_string()) == own) {
                    for extra in &parsed.extras {
                        let list = project.get(&format!("optional-dependencies.{extra}"));
                        if let Some(list) = list.filter(|_| expanded.insert(extra.to_string())) {
                            let mut more = scope.texts(&list);
                            more.reverse();
                            pending.extend(more);
                        }
                    }
                    continue;
                }
                dependency(scope, &item, text, &sources);
            }
        }
        None if dynamic.contains(&"dependencies") => {
            self::dynamic(scope, document, project, poetry, indexes, found);
        }
        // Poetry 2 reads its own list where the standard one is not there.
        None => {
            if let Some(poetry) = poetry.filter(|poetry| poetry.get("dependencies").is_some()) {
                poetry::dependencies(scope, poetry, indexes, found);
            }
        }
    }
}

/// What else is said about dependencies, by normalised name.
struct Sources<'d, 'i> {
    uv: BTreeMap<String, Item<'d>>,
    poetry: BTreeMap<String, Item<'d>>,
    indexes: &'i Indexes,
}

/// One dependency with its sources.
fn dependency(scope: &mut Scope<'_, '_>, item: &Item<'_>, text: &str, sources: &Sources<'_, '_>) {
    let Ok(parsed) = kind::parse(text) else {
        // The reader says what is wrong with it.
        return scope.line(item, text, Role::Requirements);
    };
    let name = parsed.name.to_string();
    let wanted = Wanted::of(&parsed);
    if let Some(source) = sources.uv.get(&name) {
        return uv::lower(scope, item, &wanted, source, sources.indexes);
    }
    if let Some(source) = sources.poetry.get(&name) {
        return poetry::enrich(scope, item, text, wanted, source, sources.indexes);
    }
    scope.line(item, text, Role::Requirements);
}

/// Dependencies that the build backend computes: those of setuptools stand in files.
fn dynamic(
    scope: &mut Scope<'_, '_>,
    document: &Item<'_>,
    project: &Item<'_>,
    poetry: Option<&Item<'_>>,
    indexes: &Indexes,
    found: &mut ProjectFile,
) {
    if let Some(poetry) = poetry.filter(|poetry| poetry.get("dependencies").is_some()) {
        return poetry::dependencies(scope, poetry, indexes, found);
    }
    let files = document.get("tool.setuptools.dynamic.dependencies");
    if let Some(files) = files.as_ref().and_then(|table| table.get("file")) {
        for file in files.one_or_many() {
            if let Some(path) = scope.text(&file) {
                // As `-r` in a requirements file: lines keep the places that they have there.
                let place = scope.place(&file, Role::Requirements);
                scope
                    .reader
                    .include_option(path, &place, Role::Requirements);
            }
        }
        return;
    }
    let backend = document.text_of("build-system.build-backend");
    let backend = backend.unwrap_or("setuptools.build_meta").to_owned();
    let item = project.get("dynamic");
    let item = item.as_ref().unwrap_or(project);
    scope.refuse(item, ProjectReason::Dynamic { backend });
}
