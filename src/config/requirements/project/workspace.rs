//! The members of a uv workspace: folders with a `pyproject.toml` of their own.

use std::fs;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::super::kind::{self, normalise};
use super::super::read::Role;
use super::document::Item;
use super::indexes::Indexes;
use super::{PYPROJECT, ProjectFile, Scope, Wanted, path, read_file, uv};

/// How many folders of one level are looked at.
const MAX_FOLDERS: usize = 10_000;

/// The folder of a member, relative to the file that is read; empty for the project itself.
pub(super) fn member(scope: &Scope<'_, '_>, name: &str) -> Option<String> {
    let mut folder = Some(scope.folder);
    let mut upwards = String::new();
    // The workspace is that of the nearest file above, the own one first.
    while let Some(at) = folder.filter(|at| at.starts_with(scope.reader.project.root())) {
        if let Some(members) = members(at) {
            let own = at == scope.folder && name_of(at).as_deref() == Some(name);
            if own {
                return Some(String::new());
            }
            let mut folders = members
                .into_iter()
                .flat_map(|pattern| matching(at, &pattern))
                .chain([at.to_owned()]);
            let found = folders.find(|folder| name_of(folder).as_deref() == Some(name))?;
            let below = found.strip_prefix(at).ok()?.to_str()?;
            return Some(path(&format!("{upwards}{below}")));
        }
        upwards.push_str("../");
        folder = at.parent();
    }
    None
}

/// Whether a folder is that of a file which is being read.
pub(super) fn is_being_read(scope: &Scope<'_, '_>, folder: &str) -> bool {
    let file = scope
        .reader
        .project
        .find(scope.folder, &format!("{folder}/{PYPROJECT}"));
    file.is_ok_and(|file| scope.reader.open.contains(&file.real))
}

/// Where the dependencies of a folder's package come from, by its own file: a build backend does not tell it, and a package
/// of the same name on an index may be anybody's.
pub(super) fn sources_of(scope: &mut Scope<'_, '_>, folder: &str) {
    let file = scope
        .reader
        .project
        .find(scope.folder, &format!("{folder}/{PYPROJECT}"));
    let Ok(file) = file else { return };
    if scope
        .reader
        .done
        .insert((file.real.clone(), Role::Requirements))
    {
        read_file(scope.reader, &file, &mut ProjectFile::default(), sources);
    }
}

fn sources(scope: &mut Scope<'_, '_>, document: &Item<'_>, _: &mut ProjectFile) {
    let sources = uv::sources(scope, document);
    let Some(list) = document
        .get("project.dependencies")
        .filter(|_| !sources.is_empty())
    else {
        return;
    };
    // An index of a member is none of the workspace.
    let is_elsewhere = |source: &Item<'_>| {
        source
            .one_or_many()
            .iter()
            .any(|one| one.get("index").is_none())
    };
    for (item, text) in scope.texts(&list) {
        let Ok(parsed) = kind::parse(text) else {
            continue;
        };
        let source = sources.get(parsed.name.as_str());
        if let Some(source) = source.filter(|source| is_elsewhere(source)) {
            uv::lower(
                scope,
                &item,
                &Wanted::of(&parsed),
                source,
                &Indexes::default(),
            );
        }
    }
}

/// The patterns of `tool.uv.workspace.members`, where a folder is the root of a workspace.
fn members(folder: &Path) -> Option<Vec<String>> {
    with_document(folder, |document| {
        let workspace = document.get("tool.uv.workspace")?;
        let members = workspace
            .get("members")
            .and_then(|members| members.items())
            .unwrap_or_default();
        Some(
            members
                .iter()
                .filter_map(|member| member.text().map(str::to_owned))
                .collect(),
        )
    })
}

/// The normalised name of the project in a folder.
fn name_of(folder: &Path) -> Option<String> {
    with_document(folder, |document| {
        let name = document
            .text_of("project.name")
            .or(document.text_of("tool.poetry.name"))?;
        Some(normalise(name))
    })
}

fn with_document<T>(folder: &Path, read: impl FnOnce(&Item<'_>) -> Option<T>) -> Option<T> {
    let text = fs::read_to_string(folder.join(PYPROJECT)).ok()?;
    let document = DeTable::parse(&text).ok()?;
    read(&Item::document(&text, document.get_ref()))
}

/// The folders that a pattern with `*` and `?` means, sorted.
fn matching(root: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut folders = vec![root.to_owned()];
    for part in pattern.split('/').filter(|part| !matches!(*part, "" | ".")) {
        let mut below = Vec::new();
        for folder in folders {
            if !part.contains(['*', '?']) {
                below.push(folder.join(part));
                continue;
            }
            let Ok(entries) = fs::read_dir(&folder) else {
                continue;
            };
            let entries = entries.take(MAX_FOLDERS).filter_map(Result::ok);
            let named =
                entries.filter(|entry| fits(part.as_bytes(), entry.file_name().as_encoded_bytes()));
            below.extend(named.map(|entry| entry.path()));
        }
        below.sort();
        folders = below;
    }
    folders.retain(|folder| folder.is_dir());
    folders
}

/// Whether a name fits a pattern of one part.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => fits(rest, name) || !name.is_empty() && fits(pattern, &name[1..]),
        ([b'?', rest @ ..], [_, name @ ..]) => fits(rest, name),
        ([one, rest @ ..], [other, name @ ..]) => one == other && fits(rest, name),
        _ => false,
    }
}
