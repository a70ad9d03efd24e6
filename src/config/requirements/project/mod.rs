//! A project's own files as requirements: `pyproject.toml`, and the locks that uv, Poetry and others keep beside it.
//!
//! What is read is what `uv sync` or `poetry install` would install, without groups and extras: `[project]` with what
//! `[tool.uv]` says about it, or `[tool.poetry]`. Versions of a lock are not read here; the lock is named, and
//! [`crate::lock::exchange`] makes pins of it. Of a `pylock.toml` that stands alone, the packages are the requirements.
//!
//! ```text
//! pyproject.toml ─ document ─▶ standard, poetry ─▶ lines of a requirements file ─ read ─▶ Install
//!                                  uv, indexes ─────▲              package ─▶ ProjectPackage
//! ```
//!
//! Every requirement becomes a line as pip takes it, so that paths, addresses and names are judged in one place. A key
//! that decides what is installed and cannot be honoured is refused with its place; others are left alone.

mod constraint;
mod document;
mod indexes;
mod package;
mod poetry;
mod pylock;
mod reason;
mod standard;
#[cfg(test)]
mod tests;
mod uv;
mod workspace;

use std::path::Path;

use toml::de::DeTable;
use uv_pep440::Version;
use uv_pep508::{Requirement, VerbatimUrl, VersionOrUrl};

use self::constraint::Constraint;
use self::document::Item;
use super::super::finding::Finding;
use super::super::position::Position;
use super::super::python::PythonVersion;
use super::super::reason::Reason;
use super::files::{Inside, Project, read_text};
use super::lines;
use super::read::{Place, Reader, Role};
use super::{Install, MAX_BYTES, RequirementReason};

pub use package::ProjectPackage;
pub use reason::ProjectReason;

const PYPROJECT: &str = "pyproject.toml";

/// Locks that may lie beside a `pyproject.toml`; the first that is there counts.
const LOCKS: [&str; 3] = ["uv.lock", "poetry.lock", "pylock.toml"];

/// What a project's own file brings besides requirements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectFile {
    /// The lock whose versions hold, below the model's folder.
    pub lock: Option<String>,
    /// The project itself, where it is a package.
    pub package: Option<ProjectPackage>,
    /// Which Pythons it is for, with the place where that stands.
    pub(super) requires_python: Option<RequiresPython>,
}

/// Which Pythons a project is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequiresPython {
    constraint: Constraint,
    written: String,
    key: String,
    file: String,
    position: Position,
}

/// The kinds of files that a project has of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Pyproject,
    /// A lock that says what was chosen for the `pyproject.toml` beside it.
    Lock,
    /// A lock that stands alone (PEP 751).
    Pylock,
}

/// The kind of a file, by its name.
pub(super) fn kind(path: &str) -> Option<Kind> {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name {
        PYPROJECT => Some(Kind::Pyproject),
        "uv.lock" | "poetry.lock" => Some(Kind::Lock),
        "pylock.toml" => Some(Kind::Pylock),
        _ => {
            let middle = name
                .strip_prefix("pylock.")
                .and_then(|rest| rest.strip_suffix(".toml"));
            middle
                .filter(|middle| !middle.is_empty() && !middle.contains('.'))
                .map(|_| Kind::Pylock)
        }
    }
}

/// Reads a project's file, which `build.python_requirements` names.
pub(super) fn read(
    reader: &mut Reader<'_>,
    kind: Kind,
    path: &str,
    at: &Place<'_>,
) -> Result<(), Reason> {
    let project = reader.project;
    let inside = project.find(at.folder, path)?;
    if !inside.real.is_file() {
        return Err(Reason::NotAFile {
            path: path.to_owned(),
        });
    }
    let lock = || inside.relative.clone();
    let mut found = ProjectFile::default();
    match kind {
        Kind::Pylock => {
            found.lock = Some(lock());
            read_file(reader, &inside, &mut found, pylock::read);
        }
        Kind::Lock => {
            found.lock = Some(lock());
            let name = || ProjectReason::LockAlone { lock: lock() };
            let beside = beside(project, &inside, PYPROJECT).ok_or_else(name);
            let beside = beside.map_err(RequirementReason::from)?;
            read_file(reader, &beside, &mut found, pyproject);
        }
        Kind::Pyproject => {
            let mut locks = LOCKS
                .iter()
                .filter_map(|name| beside(project, &inside, name));
            found.lock = locks.next().map(|lock| lock.relative);
            read_file(reader, &inside, &mut found, pyproject);
        }
    }
    reader.found.install.project = Some(found);
    Ok(())
}

/// Holds the Pythons that a project allows against the image's.
pub(in super::super) fn check_python(install: &Install, python: &PythonVersion) -> Option<Finding> {
    let required = install.project.as_ref()?.requires_python.as_ref()?;
    if required.constraint.allows_python(python.numbers()) {
        return None;
    }
    let reason = ProjectReason::Python {
        requires: required.written.clone(),
        python: python.short(),
    };
    Some(Finding {
        file: required.file.clone(),
        position: Some(required.position),
        key: required.key.clone(),
        reason: RequirementReason::from(reason).into(),
    })
}

/// A file in the folder of another.
fn beside(project: &Project, file: &Inside, name: &str) -> Option<Inside> {
    let folder = Path::new(&file.relative).parent()?;
    let path = project.root().join(folder).join(name);
    let found = project.find(project.root(), path.to_str()?).ok()?;
    found.real.is_file().then_some(found)
}

/// Reads a file as TOML and hands it over; what is wrong with the file itself is told.
fn read_file(
    reader: &mut Reader<'_>,
    file: &Inside,
    found: &mut ProjectFile,
    read: fn(&mut Scope<'_, '_>, &Item<'_>, &mut ProjectFile),
) {
    let mut error = |position, reason| {
        reader.found.errors.push(Finding {
            file: file.relative.clone(),
            position,
            key: String::new(),
            reason,
        });
    };
    let text = match read_text(&file.real, MAX_BYTES) {
        Ok(text) => text,
        Err((position, reason)) => return error(position, reason),
    };
    let document = match DeTable::parse(&text) {
        Ok(document) => document,
        Err(wrong) => {
            let offset = wrong.span().map_or(0, |span| span.start);
            let message = wrong.message().replace('\n', " ");
            let reason = RequirementReason::from(ProjectReason::Toml(message));
            return error(Some(Position::of_offset(&text, offset)), reason.into());
        }
    };
    reader.open.push(file.real.clone());
    let folder = file.real.parent().unwrap_or(reader.project.root());
    let below = file
        .relative
        .rsplit_once('/')
        .map_or("", |(folder, _)| folder);
    let mut scope = Scope {
        reader,
        file: &file.relative,
        folder,
        below,
    };
    let document = Item::document(&text, document.get_ref());
    read(&mut scope, &document, found);
    scope.reader.open.pop();
}

/// Reads a `pyproject.toml`.
fn pyproject(scope: &mut Scope<'_, '_>, document: &Item<'_>, found: &mut ProjectFile) {
    let indexes = indexes::read(scope, document);
    match (document.get("project"), document.get("tool.poetry")) {
        (Some(project), poetry) => {
            standard::read(scope, document, &project, poetry.as_ref(), &indexes, found)
        }
        (None, Some(poetry)) => poetry::read(scope, &poetry, &indexes, found),
        // What is told to uv alone may be a workspace without a project of its own.
        (None, None) => scope.error(document, ProjectReason::NoTables),
    }
    uv::settings(scope, document, found.lock.is_some());
    found.package = package::read(scope, document);
}

/// A file while it is read.
pub(super) struct Scope<'r, 'p> {
    reader: &'r mut Reader<'p>,
    /// The file as it is shown.
    file: &'r str,
    /// The folder that its paths are relative to.
    folder: &'r Path,
    /// The same below the model's folder; empty for that itself.
    below: &'r str,
}

impl<'r> Scope<'r, '_> {
    fn place(&self, item: &Item<'_>, role: Role) -> Place<'r> {
        Place {
            file: self.file,
            folder: self.folder,
            position: item.position(),
            role,
        }
    }

    fn finding(&self, item: &Item<'_>, reason: ProjectReason) -> Finding {
        let place = self.place(item, Role::Requirements);
        place.finding(&item.key, RequirementReason::from(reason))
    }

    /// What makes the file invalid.
    fn error(&mut self, item: &Item<'_>, reason: ProjectReason) {
        let finding = self.finding(item, reason);
        self.reader.found.errors.push(finding);
    }

    /// What cannot be built.
    fn refuse(&mut self, item: &Item<'_>, reason: ProjectReason) {
        let finding = self.finding(item, reason);
        self.reader.found.refusals.push(finding);
    }

    fn warn(&mut self, item: &Item<'_>, reason: ProjectReason) {
        let finding = self.finding(item, reason);
        self.reader.found.warnings.push(finding);
    }

    fn wrong(&mut self, item: &Item<'_>, expected: &'static str) {
        let found = item.describe();
        self.error(item, ProjectReason::WrongType { expected, found });
    }

    /// A text, or a complaint.
    fn text<'d>(&mut self, item: &Item<'d>) -> Option<&'d str> {
        let text = item.text();
        if text.is_none() {
            self.wrong(item, "a text");
        }
        text
    }

    /// The texts of a list, each with its place.
    fn texts<'d>(&mut self, list: &Item<'d>) -> Vec<(Item<'d>, &'d str)> {
        let Some(items) = list.items() else {
            self.wrong(list, "a list");
            return Vec::new();
        };
        let text = |item: Item<'d>| Some((item.clone(), self.text(&item)?));
        items.into_iter().filter_map(text).collect()
    }

    /// Hands one requirement on, as if it stood on a line of a requirements file.
    fn line(&mut self, item: &Item<'_>, text: &str, role: Role) {
        let place = self.place(item, role);
        // A text of several lines is none of a requirement, and says so itself.
        let text = text.replace(['\n', '\r'], " ");
        for line in lines::split(&text) {
            self.reader.line(&line, &place);
        }
    }

    /// Says for which Pythons the project is.
    fn requires_python(&mut self, item: &Item<'_>, found: &mut ProjectFile) {
        let Some(text) = self.text(item) else { return };
        match Constraint::parse(text) {
            Ok(constraint) => {
                found.requires_python = Some(RequiresPython {
                    constraint,
                    written: text.to_owned(),
                    key: item.key.clone(),
                    file: self.file.to_owned(),
                    position: item.position(),
                });
            }
            Err(reason) => self.error(item, reason),
        }
    }
}

/// A requirement on its way to a line.
#[derive(Debug, Clone, Default)]
struct Wanted {
    name: String,
    extras: Vec<String>,
    /// Versions as PEP 440 has them; an address takes their place.
    specifiers: String,
    /// An address or a path.
    pointer: Option<String>,
    /// All of them must hold.
    markers: Vec<String>,
}

impl Wanted {
    /// A requirement of the standard, without its address.
    fn of(parsed: &Requirement<VerbatimUrl>) -> Self {
        Self {
            name: parsed.name.to_string(),
            extras: parsed.extras.iter().map(ToString::to_string).collect(),
            specifiers: match &parsed.version_or_url {
                Some(VersionOrUrl::VersionSpecifier(specifiers)) => {
                    let texts: Vec<String> = specifiers.iter().map(ToString::to_string).collect();
                    texts.join(",")
                }
                _ => String::new(),
            },
            pointer: None,
            markers: parsed
                .marker
                .contents()
                .map(|marker| marker.to_string())
                .into_iter()
                .collect(),
        }
    }

    fn text(&self) -> String {
        let mut text = self.name.clone();
        if !self.extras.is_empty() {
            text.push_str(&format!("[{}]", self.extras.join(",")));
        }
        match &self.pointer {
            Some(pointer) => text.push_str(&format!(" @ {pointer}")),
            None => text.push_str(&self.specifiers),
        }
        let markers: Vec<&String> = self
            .markers
            .iter()
            .filter(|marker| !marker.is_empty())
            .collect();
        match &markers[..] {
            [] => {}
            [only] => text.push_str(&format!(" ; {only}")),
            several => {
                let several = several.iter().map(|marker| format!("({marker})"));
                text.push_str(&format!(" ; {}", several.collect::<Vec<_>>().join(" and ")));
            }
        }
        text
    }
}

/// An address of a repository as pip names it, with what was asked of it.
fn repository(address: &str, reference: Option<&str>, subdirectory: Option<&str>) -> String {
    let address = match address.split_once("://") {
        Some(_) => address.to_owned(),
        // `git@host:path`, as ssh has it.
        None => match address.split_once(':') {
            Some((host, path)) if !host.contains('/') => format!("ssh://{host}/{path}"),
            _ => address.to_owned(),
        },
    };
    let mut text = match address.starts_with("git+") {
        true => address,
        false => format!("git+{address}"),
    };
    if let Some(reference) = reference {
        text.push_str(&format!("@{reference}"));
    }
    if let Some(subdirectory) = subdirectory {
        text.push_str(&format!("#subdirectory={subdirectory}"));
    }
    text
}

/// A path as a pointer that can be nothing else.
fn path(text: &str) -> String {
    let text = text.trim_end_matches('/');
    match text.starts_with(['/', '.']) {
        true => text.to_owned(),
        false => format!("./{text}"),
    }
}

/// The text of a version, normalised where it is one.
fn version(text: &str) -> Option<String> {
    text.parse::<Version>()
        .ok()
        .map(|version| version.to_string())
}

/// Whether a path is the folder that it is relative to.
fn is_here(path: &str) -> bool {
    path.split('/').all(|part| matches!(part, "" | "."))
}
