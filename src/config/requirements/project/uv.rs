//! `[tool.uv]`: where dependencies come from, and settings that decide what is installed.

use std::collections::BTreeMap;

use uv_pep508::MarkerTree;

use super::super::kind::normalise;
use super::super::read::Role;
use super::document::Item;
use super::indexes::Indexes;
use super::{ProjectReason, Scope, Wanted, is_here, path, repository, workspace};

/// Settings that only say how versions are chosen: a lock was made by them.
const CHOICE: [(&str, &str); 9] = [
    ("resolution", "highest"),
    ("prerelease", "if-necessary-or-explicit"),
    ("index-strategy", "first-index"),
    ("exclude-newer", ""),
    ("exclude-newer-package", ""),
    ("fork-strategy", "requires-python"),
    ("dependency-metadata", ""),
    ("no-build", "false"),
    ("no-build-package", ""),
];

/// Settings about how sources are built.
const BUILDS: [&str; 7] = [
    "build-constraint-dependencies",
    "config-settings",
    "config-settings-package",
    "extra-build-dependencies",
    "extra-build-variables",
    "no-build-isolation",
    "no-build-isolation-package",
];

/// The entries of `tool.uv.sources` by normalised name.
pub(super) fn sources<'d>(
    scope: &mut Scope<'_, '_>,
    document: &Item<'d>,
) -> BTreeMap<String, Item<'d>> {
    let Some(sources) = document.get("tool.uv.sources") else {
        return BTreeMap::new();
    };
    if document.flag_of("tool.uv.no-sources") == Some(true) {
        return BTreeMap::new();
    }
    if !sources.is_table() {
        scope.wrong(&sources, "a table");
    }
    let entries = sources.entries().into_iter();
    entries
        .map(|(name, item)| (normalise(&name), item))
        .collect()
}

/// Reads everything besides sources and indexes.
pub(super) fn settings(scope: &mut Scope<'_, '_>, document: &Item<'_>, is_locked: bool) {
    let Some(uv) = document.get("tool.uv") else {
        return;
    };
    for (key, role) in [
        ("constraint-dependencies", Role::Constraints),
        ("override-dependencies", Role::Overrides),
    ] {
        for (item, text) in uv
            .get(key)
            .map(|list| scope.texts(&list))
            .unwrap_or_default()
        {
            scope.line(&item, text, role);
        }
    }
    let options = [
        ("index-url", "--index-url"),
        ("extra-index-url", "--extra-index-url"),
        ("find-links", "--find-links"),
    ];
    for (key, option) in options {
        for item in uv.get(key).iter().flat_map(Item::one_or_many) {
            if let Some(text) = scope.text(&item) {
                scope.line(&item, &format!("{option} {text}"), Role::Requirements);
            }
        }
    }
    if let Some(item) = uv.get("no-index").filter(|item| item.flag() == Some(true)) {
        scope.line(&item, "--no-index", Role::Requirements);
    }
    if let Some(item) = uv.get("no-binary").filter(|item| item.flag() == Some(true)) {
        scope.line(&item, "--no-binary :all:", Role::Requirements);
    }
    for (item, name) in uv
        .get("no-binary-package")
        .map(|list| scope.texts(&list))
        .unwrap_or_default()
    {
        scope.line(&item, &format!("--no-binary {name}"), Role::Requirements);
    }
    choice(scope, &uv, is_locked);
}

fn choice(scope: &mut Scope<'_, '_>, uv: &Item<'_>, is_locked: bool) {
    if let Some(item) = uv
        .get("prerelease")
        .filter(|item| item.text() == Some("allow"))
    {
        scope.line(&item, "--pre", Role::Requirements);
    }
    for (key, usual) in CHOICE.into_iter().filter(|_| !is_locked) {
        let Some(item) = uv.get(key) else { continue };
        let is_usual = item.text() == Some(usual) || usual == "false" && item.flag() == Some(false);
        if is_usual || key == "prerelease" && item.text() == Some("allow") {
            continue;
        }
        let what = match item.text() {
            Some(text) => format!("{key} = \"{text}\""),
            None => key.to_owned(),
        };
        let way_out = match key {
            "exclude-newer" => {
                "remove it and run `cognix lock --exclude-newer DATE`, or run `uv lock`: its versions are taken then"
            }
            _ => "run `uv lock`: what it chose is taken then",
        };
        scope.refuse(&item, ProjectReason::NotHonoured { what, way_out });
    }
    if let Some(item) = uv.get("exclude-dependencies") {
        let what = "a list of packages that are not installed although others need them".to_owned();
        let way_out = "remove it";
        scope.refuse(&item, ProjectReason::NotHonoured { what, way_out });
    }
    for key in BUILDS {
        if let Some(item) = uv.get(key) {
            let why = "packages that are built from source are built in the one way; see overrides in cognix.nix";
            scope.warn(&item, ProjectReason::Ignored { why });
        }
    }
}

/// A dependency as its sources say.
pub(super) fn lower(
    scope: &mut Scope<'_, '_>,
    item: &Item<'_>,
    wanted: &Wanted,
    source: &Item<'_>,
    indexes: &Indexes,
) {
    let of_project =
        |source: &Item<'_>| source.get("extra").is_none() && source.get("group").is_none();
    let several = source.one_or_many();
    let mut rest = MarkerTree::TRUE;
    for source in several.iter().filter(|source| of_project(source)) {
        if !source.is_table() {
            scope.wrong(source, "a table");
            return;
        }
        let marker = match source.get("marker") {
            None => MarkerTree::TRUE,
            Some(marker) => {
                let Some(text) = scope.text(&marker) else {
                    return;
                };
                match text.parse::<MarkerTree>() {
                    Ok(tree) => tree,
                    Err(_) => return scope.wrong(&marker, "a marker"),
                }
            }
        };
        rest = rest.and(marker.negate());
        if !is_for_linux(marker) {
            continue;
        }
        let mut wanted = wanted.clone();
        wanted
            .markers
            .extend(marker.contents().map(|marker| marker.to_string()));
        one(scope, item, wanted, source, indexes);
    }
    // Where no source holds, the package is one of the index.
    if !rest.is_false() && is_for_linux(rest) {
        let mut wanted = wanted.clone();
        wanted
            .markers
            .extend(rest.contents().map(|marker| marker.to_string()));
        scope.line(item, &wanted.text(), Role::Requirements);
    }
}

fn one(
    scope: &mut Scope<'_, '_>,
    item: &Item<'_>,
    mut wanted: Wanted,
    source: &Item<'_>,
    indexes: &Indexes,
) {
    if let Some(index) = source.get("index") {
        indexes.pin(scope, &wanted.name, &index);
        return scope.line(item, &wanted.text(), Role::Requirements);
    }
    let subdirectory = source.text_of("subdirectory");
    if let Some(git) = source.get("git") {
        if source.get("path").is_some() {
            let what = "an archive inside a repository".to_owned();
            let way_out = "copy it into the project, and name it with path";
            return scope.refuse(source, ProjectReason::NotHonoured { what, way_out });
        }
        let Some(address) = scope.text(&git) else {
            return;
        };
        let reference = ["rev", "tag", "branch"]
            .iter()
            .find_map(|key| source.text_of(key));
        wanted.pointer = Some(repository(address, reference, subdirectory));
    } else if let Some(url) = source.get("url") {
        let Some(address) = scope.text(&url) else {
            return;
        };
        let subdirectory = subdirectory.map(|folder| format!("#subdirectory={folder}"));
        wanted.pointer = Some(format!("{address}{}", subdirectory.unwrap_or_default()));
    } else if let Some(folder) = source.get("path") {
        let Some(text) = scope.text(&folder) else {
            return;
        };
        if is_here(text) {
            return;
        }
        if source.flag_of("package") == Some(false) {
            let what = "a folder that is no package".to_owned();
            let way_out = "list what it needs in project.dependencies";
            return scope.refuse(source, ProjectReason::NotHonoured { what, way_out });
        }
        wanted.pointer = Some(path(text));
    } else if let Some(member) = source.get("workspace") {
        if member.flag() == Some(true) {
            match workspace::member(scope, &wanted.name) {
                Some(folder) if folder.is_empty() => return,
                Some(folder) => wanted.pointer = Some(folder),
                None => {
                    let name = wanted.name.clone();
                    return scope.error(&member, ProjectReason::NotAMember { name });
                }
            }
        } else if member.text().is_some() {
            let what = "a member of another workspace".to_owned();
            let way_out = "name its folder with path";
            return scope.refuse(&member, ProjectReason::NotHonoured { what, way_out });
        }
    } else {
        return scope.wrong(source, "a source with index, git, url, path or workspace");
    }
    let folder = wanted
        .pointer
        .clone()
        .filter(|pointer| pointer.starts_with('.'));
    // A package that needs the one that needs it is named already.
    if folder
        .as_ref()
        .is_some_and(|folder| workspace::is_being_read(scope, folder))
    {
        return;
    }
    scope.line(item, &wanted.text(), Role::Requirements);
    if let Some(folder) = folder {
        workspace::sources_of(scope, &folder);
    }
}

/// Whether a marker may hold in an image.
fn is_for_linux(marker: MarkerTree) -> bool {
    let linux = "sys_platform == 'linux' and os_name == 'posix' and platform_system == 'Linux' \
                 and platform_python_implementation == 'CPython' and implementation_name == 'cpython'";
    let linux: MarkerTree = linux.parse().expect("a marker of this program is one");
    !marker.is_disjoint(linux)
}
