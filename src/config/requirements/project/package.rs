//! The project itself as a package: its name, its commands, and from where its modules are imported.
//!
//! What an editable install gives. No build backend is asked: only what the tables and the folders say.

use std::collections::BTreeMap;
use std::fs;

use super::super::kind::normalise;
use super::document::Item;
use super::{ProjectReason, Scope, version};

/// The project itself, as an editable install has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectPackage {
    /// Its name as it is written.
    pub name: String,
    /// Its version, normalised.
    pub version: String,
    /// `entry_points.txt`; empty where there are none.
    pub entry_points: String,
    /// The folder of the project below the model's; empty for that itself.
    pub folder: String,
    /// The folders from which its modules are imported, below the model's; empty for that itself. Sorted.
    pub import_roots: Vec<String>,
}

/// Backends that compile what is imported.
const COMPILERS: [&str; 5] = [
    "maturin",
    "mesonpy",
    "scikit_build_core",
    "setuptools_rust",
    "cmake",
];

/// Reads what the project is, where it is a package.
pub(super) fn read(scope: &mut Scope<'_, '_>, document: &Item<'_>) -> Option<ProjectPackage> {
    let poetry = document.get("tool.poetry");
    let project = document.get("project");
    let name = |table: &Option<Item<'_>>| table.as_ref()?.text_of("name").map(str::to_owned);
    let name = name(&project).or(name(&poetry))?;
    let entry_points = entry_points(scope, project.as_ref(), poetry.as_ref());
    if !is_package(document, project.is_none()) {
        if !entry_points.is_empty() {
            let tables = [
                "project.scripts",
                "project.gui-scripts",
                "project.entry-points",
                "tool.poetry.scripts",
            ];
            let table = tables.iter().find_map(|path| document.get(path));
            scope.warn(
                &table.unwrap_or_else(|| document.clone()),
                ProjectReason::NotPackaged,
            );
        }
        return None;
    }
    let backend = document
        .text_of("build-system.build-backend")
        .unwrap_or("setuptools.build_meta");
    if COMPILERS
        .iter()
        .any(|compiler| backend.split('.').next() == Some(compiler))
    {
        let backend = backend.to_owned();
        let item = document.get("build-system.build-backend");
        scope.warn(
            &item.unwrap_or_else(|| document.clone()),
            ProjectReason::Compiled { backend },
        );
    }
    let written = |table: &Option<Item<'_>>| version(table.as_ref()?.text_of("version")?);
    let version = written(&project)
        .or_else(|| written(&poetry))
        .or_else(|| dynamic_version(scope, document));
    let version = version.unwrap_or_else(|| {
        let item = project.as_ref().or(poetry.as_ref()).unwrap_or(document);
        scope.warn(item, ProjectReason::DynamicVersion);
        "0".to_owned()
    });
    let roots = import_roots(scope, document, backend, &name);
    let mut import_roots: Vec<String> = roots
        .into_iter()
        .map(|root| joined(scope.below, &root))
        .collect();
    import_roots.sort();
    import_roots.dedup();
    Some(ProjectPackage {
        name,
        version,
        entry_points: text(&entry_points),
        folder: scope.below.to_owned(),
        import_roots,
    })
}

/// As uv and Poetry decide whether the project itself is installed.
fn is_package(document: &Item<'_>, is_poetry: bool) -> bool {
    if document.flag_of("tool.poetry.package-mode") == Some(false) {
        return false;
    }
    match document.flag_of("tool.uv.package") {
        Some(package) => package,
        None => is_poetry || document.get("build-system").is_some(),
    }
}

/// Entry points by group and name.
type EntryPoints = BTreeMap<String, BTreeMap<String, String>>;

fn entry_points(
    scope: &mut Scope<'_, '_>,
    project: Option<&Item<'_>>,
    poetry: Option<&Item<'_>>,
) -> EntryPoints {
    let mut found = EntryPoints::new();
    let mut group = |scope: &mut Scope<'_, '_>, group: &str, table: &Item<'_>| {
        if !table.is_table() {
            return scope.wrong(table, "a table");
        }
        for (name, item) in table.entries() {
            if let Some(reference) = reference(scope, &item) {
                let of_group = found.entry(group.to_owned()).or_default();
                of_group.entry(name).or_insert(reference);
            }
        }
    };
    if let Some(table) = below(project, "scripts") {
        group(scope, "console_scripts", &table);
    }
    if let Some(table) = below(project, "gui-scripts") {
        group(scope, "gui_scripts", &table);
    }
    for (name, table) in below(project, "entry-points")
        .map(|groups| groups.entries())
        .unwrap_or_default()
    {
        group(scope, &name, &table);
    }
    if let Some(table) = below(poetry, "scripts") {
        group(scope, "console_scripts", &table);
    }
    for (name, table) in below(poetry, "plugins")
        .map(|groups| groups.entries())
        .unwrap_or_default()
    {
        group(scope, &name, &table);
    }
    found
}

fn below<'d>(table: Option<&Item<'d>>, path: &str) -> Option<Item<'d>> {
    table.and_then(|table| table.get(path))
}

/// `MODULE:FUNCTION`; Poetry has tables for it too.
fn reference(scope: &mut Scope<'_, '_>, item: &Item<'_>) -> Option<String> {
    if !item.is_table() {
        return scope.text(item).map(|text| text.trim().to_owned());
    }
    if item.text_of("type") == Some("file") {
        let what = "a script that is a file".to_owned();
        let way_out = "name a function, or copy the file in a command of build.run";
        scope.refuse(item, ProjectReason::NotHonoured { what, way_out });
        return None;
    }
    let reference = item.get("reference").or_else(|| item.get("callable"));
    match reference {
        Some(reference) => scope.text(&reference).map(str::to_owned),
        None => {
            scope.wrong(item, "a text, or a table with a reference");
            None
        }
    }
}

/// `entry_points.txt`: sections and their lines sorted, an empty line between sections.
fn text(entry_points: &EntryPoints) -> String {
    let section = |(group, lines): (&String, &BTreeMap<String, String>)| {
        let lines = lines
            .iter()
            .map(|(name, reference)| format!("{name} = {reference}\n"));
        format!("[{group}]\n{}", lines.collect::<String>())
    };
    entry_points
        .iter()
        .map(section)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The folders that have the modules, relative to the file.
fn import_roots(
    scope: &Scope<'_, '_>,
    document: &Item<'_>,
    backend: &str,
    name: &str,
) -> Vec<String> {
    let texts = |path: &str| -> Vec<String> {
        let items = document
            .get(path)
            .map(|item| item.one_or_many())
            .unwrap_or_default();
        items
            .iter()
            .filter_map(|item| item.text().map(str::to_owned))
            .collect()
    };
    let said: Vec<String> = match backend.split('.').next().unwrap_or_default() {
        "poetry" => {
            let packages = document
                .get("tool.poetry.packages")
                .and_then(|list| list.items())
                .unwrap_or_default();
            packages
                .iter()
                .map(|package| package.text_of("from").unwrap_or(".").to_owned())
                .collect()
        }
        "hatchling" => {
            let wheel = "tool.hatch.build.targets.wheel";
            let dev = [
                texts(&format!("{wheel}.dev-mode-dirs")),
                texts("tool.hatch.build.dev-mode-dirs"),
            ];
            let sources = [
                texts(&format!("{wheel}.sources")),
                texts("tool.hatch.build.sources"),
            ];
            let packages = [
                texts(&format!("{wheel}.packages")),
                texts("tool.hatch.build.packages"),
            ];
            let parent = |package: &String| {
                let package = package.trim_end_matches('/');
                package
                    .rsplit_once('/')
                    .map_or(".", |(parent, _)| parent)
                    .to_owned()
            };
            let first = |lists: [Vec<String>; 2]| lists.into_iter().find(|list| !list.is_empty());
            first(dev)
                .or_else(|| first(sources))
                .or_else(|| first(packages).map(|packages| packages.iter().map(parent).collect()))
                .unwrap_or_default()
        }
        "uv_build" => match document.get("tool.uv.build-backend.module-root") {
            Some(root) => root
                .text()
                .map(|root| if root.is_empty() { "." } else { root }.to_owned())
                .into_iter()
                .collect(),
            None => vec!["src".to_owned()],
        },
        "pdm" => texts("tool.pdm.build.package-dir"),
        "maturin" => texts("tool.maturin.python-source"),
        _ => {
            let finds = texts("tool.setuptools.packages.find.where");
            match document
                .get("tool.setuptools.package-dir")
                .map(|table| table.entries())
            {
                Some(entries) => {
                    let root = entries.iter().find(|(package, _)| package.is_empty());
                    let root = root.and_then(|(_, item)| item.text()).unwrap_or(".");
                    vec![root.to_owned()]
                }
                None => finds,
            }
        }
    };
    if !said.is_empty() {
        return said;
    }
    let module = normalise(name).replace('-', "_");
    let is_folder =
        |below: String| fs::metadata(scope.folder.join(below)).is_ok_and(|found| found.is_dir());
    let is_file =
        |below: String| fs::metadata(scope.folder.join(below)).is_ok_and(|found| found.is_file());
    let has = |root: &str| {
        is_folder(format!("{root}/{module}")) || is_file(format!("{root}/{module}.py"))
    };
    // Without a word, tools look for the module of the project's name, first where the file lies.
    match has(".") || !has("src") && !is_folder("src".to_owned()) {
        true => vec![".".to_owned()],
        false => vec!["src".to_owned()],
    }
}

/// A folder below another; empty for the model's own.
fn joined(below: &str, folder: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in below.split('/').chain(folder.split('/')) {
        match part {
            "" | "." => {}
            // What leaves the project is not in the image.
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// A version that stands in a file, in one of the ways that need no code to be run.
fn dynamic_version(scope: &Scope<'_, '_>, document: &Item<'_>) -> Option<String> {
    let read = |path: &str| {
        let inside = scope.reader.project.find(scope.folder, path).ok()?;
        super::read_text(&inside.real, super::MAX_BYTES).ok()
    };
    let setuptools = document.get("tool.setuptools.dynamic.version");
    if let Some(file) = setuptools.as_ref().and_then(|table| table.text_of("file")) {
        return version(read(file)?.trim());
    }
    if let Some(attribute) = setuptools.as_ref().and_then(|table| table.text_of("attr")) {
        let (module, name) = attribute.rsplit_once('.')?;
        let module = module.replace('.', "/");
        let roots = ["", "src/"].into_iter();
        let mut places = roots.flat_map(|root| {
            [
                format!("{root}{module}.py"),
                format!("{root}{module}/__init__.py"),
            ]
        });
        return places.find_map(|place| assigned(&read(&place)?, &[name]));
    }
    if let Some(path) = document.text_of("tool.hatch.version.path") {
        return assigned(&read(path)?, &["__version__", "VERSION"]);
    }
    None
}

/// The text that a line gives to one of some names.
fn assigned(text: &str, names: &[&str]) -> Option<String> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        let name = name.split(':').next().unwrap_or_default().trim_end();
        if !names.contains(&name) {
            return None;
        }
        let value = value.trim();
        let quote = value
            .chars()
            .next()
            .filter(|quote| matches!(quote, '"' | '\''))?;
        version(value[1..].split(quote).next()?)
    })
}
