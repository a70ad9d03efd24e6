//! Follows requirements files and sorts their lines.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use uv_normalize::PackageName;

use super::super::finding::Finding;
use super::super::position::{Position, Spanned};
use super::super::reason::Reason;
use super::files::{Project, read_text};
use super::kind::{self, Shape, Target};
use super::lines::{self, Line};
use super::option::{self, PipOption};
use super::{
    Install, MAX_BYTES, RequirementKind, RequirementLine, RequirementReason, Requirements, project,
};

/// How deep files may include each other.
const MAX_DEPTH: usize = 32;

/// Whether lines ask for packages or only limit their versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Requirements,
    Constraints,
    /// What holds whatever packages ask for.
    Overrides,
}

/// Where a line stands.
pub(super) struct Place<'p> {
    /// The file as it is shown.
    pub(super) file: &'p str,
    /// The folder that paths are relative to.
    pub(super) folder: &'p Path,
    pub(super) position: Position,
    pub(super) role: Role,
}

/// What a line asks for, apart from its place.
struct Asked {
    text: String,
    kind: RequirementKind,
    name: Option<String>,
    own_index: bool,
}

impl Asked {
    fn new(text: String, kind: RequirementKind, name: Option<String>) -> Self {
        Self {
            text,
            kind,
            name,
            own_index: false,
        }
    }
}

pub(super) struct Reader<'p> {
    pub(super) project: &'p Project,
    pub(super) found: Requirements,
    /// Files that are being read, the outermost first.
    pub(super) open: Vec<PathBuf>,
    /// Files that were read, by what for: a second time would say nothing new.
    pub(super) done: BTreeSet<(PathBuf, Role)>,
    require_hashes: bool,
}

/// Reads the file that `build.python_requirements` names in `config`, and every file that it includes.
pub(in super::super) fn from_file(
    project: &Project,
    path: &Spanned<String>,
    config: &str,
) -> Requirements {
    let mut reader = Reader::new(project);
    let at_key = Place {
        file: config,
        folder: project.root(),
        position: path.position,
        role: Role::Requirements,
    };
    let read = match project::kind(&path.value) {
        Some(kind) => project::read(&mut reader, kind, &path.value, &at_key),
        None => reader.include(&path.value, &path.value, &at_key, Role::Requirements),
    };
    if let Err(reason) = read {
        reader
            .found
            .errors
            .push(at_key.finding("build.python_requirements", reason));
    }
    if reader.found.install.project.is_some() && reader.found.read.is_empty() {
        let lines = &reader.found.install.requirements;
        reader.found.read = lines.iter().map(|line| line.text.clone()).collect();
    }
    reader.finish()
}

/// Reads the items of `build.python_packages` in `config`.
pub(in super::super) fn from_list(
    project: &Project,
    packages: &[Spanned<String>],
    config: &str,
) -> Requirements {
    let mut reader = Reader::new(project);
    for package in packages {
        for line in lines::split(&package.value) {
            reader.found.read.push(line.text.clone());
            // The item says where it is; lines inside an item have no place of their own.
            let place = Place {
                file: config,
                folder: project.root(),
                position: package.position,
                role: Role::Requirements,
            };
            reader.line(&line, &place);
        }
    }
    reader.finish()
}

impl Place<'_> {
    pub(super) fn finding(&self, key: &str, reason: impl Into<Reason>) -> Finding {
        Finding {
            file: self.file.to_owned(),
            position: Some(self.position),
            key: key.to_owned(),
            reason: reason.into(),
        }
    }
}

impl<'p> Reader<'p> {
    fn new(project: &'p Project) -> Self {
        Self {
            project,
            found: Requirements::default(),
            open: Vec::new(),
            done: BTreeSet::new(),
            require_hashes: false,
        }
    }

    fn finish(mut self) -> Requirements {
        if self.require_hashes {
            let missing = self
                .found
                .install
                .requirements
                .iter()
                .filter(|line| !line.text.contains(" --hash="));
            let missing = missing.map(|line| Finding {
                file: line.file.clone(),
                position: Some(line.position()),
                key: String::new(),
                reason: RequirementReason::HashMissing {
                    line: line.text.clone(),
                }
                .into(),
            });
            self.found.refusals.extend(missing);
        }
        self.found
    }

    fn refuse(&mut self, place: &Place<'_>, reason: impl Into<Reason>) {
        self.found.refusals.push(place.finding("", reason));
    }

    fn warn(&mut self, place: &Place<'_>, reason: RequirementReason) {
        self.found.warnings.push(place.finding("", reason));
    }

    /// Reads a file; an error is about the place that names it.
    fn include(
        &mut self,
        path: &str,
        shown: &str,
        from: &Place<'_>,
        role: Role,
    ) -> Result<(), Reason> {
        let inside = self.project.find(from.folder, path)?;
        let path = || path.to_owned();
        if !inside.real.is_file() {
            return Err(Reason::NotAFile { path: path() });
        }
        if self.open.contains(&inside.real) {
            return Err(RequirementReason::Cycle { path: path() }.into());
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(RequirementReason::TooDeep { limit: MAX_DEPTH }.into());
        }
        if !self.done.insert((inside.real.clone(), role)) {
            return Ok(());
        }
        let text = match read_text(&inside.real, MAX_BYTES) {
            Ok(text) => text,
            Err((position, reason)) => {
                self.found.errors.push(Finding {
                    file: shown.to_owned(),
                    position,
                    key: String::new(),
                    reason,
                });
                return Ok(());
            }
        };
        let folder = inside
            .real
            .parent()
            .unwrap_or(self.project.root())
            .to_owned();
        let is_first = self.open.is_empty();
        self.open.push(inside.real);
        for line in lines::split(&text) {
            if is_first && !is_this_project(&line.text) {
                self.found.read.push(line.text.clone());
            }
            let place = Place {
                file: shown,
                folder: &folder,
                position: line.position,
                role,
            };
            self.line(&line, &place);
        }
        self.open.pop();
        Ok(())
    }

    pub(super) fn line(&mut self, line: &Line, place: &Place<'_>) {
        if line.had_credentials {
            self.warn(place, RequirementReason::Credentials);
        }
        if kind::has_variable(&line.text) {
            let line = line.text.clone();
            return self.refuse(place, RequirementReason::Variable { line });
        }
        let (requirement, options) = option::split(&line.text);
        let options = match option::parse(options) {
            Ok(options) => options,
            Err(reason) => return self.refuse(place, reason),
        };
        if requirement.is_empty() {
            options
                .into_iter()
                .for_each(|option| self.option(option, place));
        } else {
            self.requirement(requirement, options, place);
        }
    }

    /// An option on a line of its own.
    fn option(&mut self, option: PipOption, place: &Place<'_>) {
        let PipOption { name, value } = option;
        match name {
            "--requirement" => self.include_option(&value, place, Role::Requirements),
            "--constraint" => self.include_option(&value, place, Role::Constraints),
            "--editable" => self.editable(&value, place),
            "--hash" => {
                let option = name.to_owned();
                self.refuse(place, RequirementReason::UnknownOption { option });
            }
            _ => self.index_option(name, value, place),
        }
    }

    pub(super) fn include_option(&mut self, path: &str, place: &Place<'_>, role: Role) {
        if path.contains("://") {
            let url = path.to_owned();
            return self.refuse(place, RequirementReason::RemoteFile { url });
        }
        // As `uv pip` has it.
        if let Some(kind) = project::kind(path)
            && role == Role::Requirements
        {
            if let Err(reason) = project::read(self, kind, path, place) {
                self.found.errors.push(place.finding("", reason));
            }
            return;
        }
        let shown = match self.project.find(place.folder, path) {
            Ok(inside) => inside.relative,
            Err(reason) => return self.found.errors.push(place.finding("", reason)),
        };
        if let Err(reason) = self.include(path, &shown, place, role) {
            self.found.errors.push(place.finding("", reason));
        }
    }

    /// `-e .` is the project, which is in the image anyway.
    fn editable(&mut self, value: &str, place: &Place<'_>) {
        if matches!(value, "." | "./") {
            return;
        }
        // An image does not change, so that there is nothing to edit: it is installed as any folder.
        self.requirement(value, Vec::new(), place);
    }

    /// An option that stands alone or behind a requirement.
    fn index_option(&mut self, name: &'static str, value: String, place: &Place<'_>) {
        let option = || name.to_owned();
        let ignored = |why| RequirementReason::OptionIgnored {
            option: option(),
            why,
        };
        match name {
            "--index-url" | "--pypi-url" | "--extra-index-url" => self.index(name, value, place),
            "--find-links" => self.find_links(value, place),
            "--no-index" => self.found.install.options.no_index = true,
            "--pre" => self.found.install.options.prerelease = true,
            "--require-hashes" => self.require_hashes = true,
            "--no-binary" => self.no_binary(&value, place),
            // Wheels are taken where there are any, and sources are always built in the one way.
            "--prefer-binary"
            | "--only-binary"
            | "--use-pep517"
            | "--no-use-pep517"
            | "--no-build-isolation" => {}
            "--trusted-host" => self.warn(
                place,
                ignored("connections are verified, and files by their hash"),
            ),
            "--use-feature" => self.warn(place, ignored("it is about pip itself")),
            _ => self.refuse(place, RequirementReason::OptionBuilds { option: option() }),
        }
    }

    /// As pip has it: names with commas between them, `:all:`, or `:none:`, which takes back what was said before.
    fn no_binary(&mut self, value: &str, place: &Place<'_>) {
        for word in value.split(',').map(str::trim) {
            let names = &mut self.found.install.options.no_binary;
            match word {
                ":none:" => names.clear(),
                ":all:" => drop(names.insert(word.to_owned())),
                word => match word.parse::<PackageName>() {
                    Ok(name) => drop(names.insert(name.to_string())),
                    Err(_) => {
                        let (option, found) = ("--no-binary".to_owned(), word.to_owned());
                        self.refuse(place, RequirementReason::NoName { option, found });
                    }
                },
            }
        }
    }

    pub(super) fn index(&mut self, name: &str, value: String, place: &Place<'_>) {
        if kind::target(&value) != Target::Web || url::Url::parse(&value).is_err() {
            let (option, found) = (name.to_owned(), value);
            return self.refuse(place, RequirementReason::Address { option, found });
        }
        let options = &mut self.found.install.options;
        if name != "--extra-index-url" {
            options.index = Some(value);
        } else if !options.extra_indexes.contains(&value) {
            options.extra_indexes.push(value);
        }
    }

    fn find_links(&mut self, value: String, place: &Place<'_>) {
        let link = match kind::target(&value) {
            Target::Web => value,
            Target::Path(path) => match self.project.find(place.folder, &path) {
                Ok(inside) => format!("./{}", inside.relative),
                Err(reason) => return self.refuse(place, reason),
            },
            Target::Repository | Target::Other => {
                let (option, found) = ("--find-links".to_owned(), value);
                return self.refuse(place, RequirementReason::Address { option, found });
            }
        };
        let links = &mut self.found.install.options.find_links;
        if !links.contains(&link) {
            links.push(link);
        }
    }

    /// The options behind a requirement: its hashes, and whether it names an index of its own.
    fn line_options(
        &mut self,
        options: Vec<PipOption>,
        place: &Place<'_>,
    ) -> (BTreeSet<String>, bool) {
        let mut hashes = BTreeSet::new();
        let mut own_index = false;
        for PipOption { name, value } in options {
            match name {
                "--hash" if is_hash(&value) => drop(hashes.insert(value)),
                "--hash" => self.refuse(place, RequirementReason::Hash { found: value }),
                "--requirement" | "--constraint" | "--editable" => {
                    let option = name.to_owned();
                    self.refuse(place, RequirementReason::OptionPlace { option });
                }
                _ => {
                    own_index |= name.ends_with("index-url");
                    self.index_option(name, value, place);
                }
            }
        }
        (hashes, own_index)
    }

    fn requirement(&mut self, text: &str, options: Vec<PipOption>, place: &Place<'_>) {
        let (hashes, own_index) = self.line_options(options, place);
        let shape = match kind::shape(text) {
            Ok(shape) => shape,
            Err(reason) => return self.refuse(place, reason),
        };
        let (mut text, kind, name) = match shape {
            Shape::Package { name } => (text.to_owned(), RequirementKind::Package, Some(name)),
            Shape::Pointer {
                label,
                target,
                rest,
            } => {
                let name = kind::pointer_name(label, target);
                let Some((target, kind)) = self.pointer(target, place) else {
                    return;
                };
                let text = match (label, kind) {
                    (None, _) => format!("{target}{rest}"),
                    (Some(label), RequirementKind::LocalWheel | RequirementKind::Archive)
                        if target.starts_with("./") =>
                    {
                        let known = kind::pointer_name(None, &target);
                        if known.is_some() && known != name {
                            let why = "the wheel is one of another package".to_owned();
                            let line = text.to_owned();
                            return self.refuse(place, RequirementReason::Syntax { line, why });
                        }
                        // A wheel's own name says which package it is; extras stand behind the path, as pip wants them.
                        let extras = label.find('[').map_or("", |open| &label[open..]);
                        format!("{target}{extras}{rest}")
                    }
                    (Some(label), _) => format!("{label} @ {target}{rest}"),
                };
                (text, kind, name)
            }
        };
        for hash in hashes {
            text.push_str(" --hash=");
            text.push_str(&hash);
        }
        let asked = Asked::new(text, kind, name);
        self.push(Asked { own_index, ..asked }, place);
    }

    /// What a pointer leads to, and how it is written from the project's folder; told when it cannot be installed.
    fn pointer(&mut self, target: &str, place: &Place<'_>) -> Option<(String, RequirementKind)> {
        let (target, kind) = match kind::target(target) {
            Target::Web if kind::is_wheel(target) => (target.to_owned(), RequirementKind::Url),
            Target::Web => (target.to_owned(), RequirementKind::Archive),
            Target::Repository => {
                if let Some(found) = not_git(target) {
                    self.refuse(place, RequirementReason::Repository { found });
                    return None;
                }
                (target.to_owned(), RequirementKind::Repository)
            }
            Target::Path(path) => {
                let found = self.project.find(place.folder, &path);
                let found =
                    found.and_then(|inside| match inside.is_folder || inside.real.is_file() {
                        true => Ok(inside),
                        false => Err(Reason::NotAFile { path: path.clone() }),
                    });
                let inside = match found {
                    Ok(inside) => inside,
                    Err(reason) => {
                        self.refuse(place, reason);
                        return None;
                    }
                };
                let kind = match inside.is_folder {
                    true => RequirementKind::Folder,
                    false if kind::is_wheel(&path) => RequirementKind::LocalWheel,
                    false => RequirementKind::Archive,
                };
                (format!("./{}", inside.relative), kind)
            }
            Target::Other => {
                let (option, found) = ("a requirement's address".to_owned(), target.to_owned());
                self.refuse(place, RequirementReason::Address { option, found });
                return None;
            }
        };
        Some((target, kind))
    }

    fn list(&mut self, role: Role) -> &mut Vec<RequirementLine> {
        let Install {
            requirements,
            constraints,
            overrides,
            ..
        } = &mut self.found.install;
        match role {
            Role::Requirements => requirements,
            Role::Constraints => constraints,
            Role::Overrides => overrides,
        }
    }

    fn push(&mut self, asked: Asked, place: &Place<'_>) {
        let Asked {
            text,
            kind,
            name,
            own_index,
        } = asked;
        if matches!(name.as_deref(), Some("cog" | "coglet")) {
            return self.warn(place, RequirementReason::Runtime { line: text });
        }
        if place.role == Role::Constraints
            && matches!(
                kind,
                RequirementKind::LocalWheel
                    | RequirementKind::Archive
                    | RequirementKind::Folder
                    | RequirementKind::Repository
            )
        {
            let line = text.clone();
            self.refuse(place, RequirementReason::Constraint { line });
        }
        let line = RequirementLine {
            text,
            file: place.file.to_owned(),
            line: place.position.line,
            column: place.position.column,
            kind,
            name,
            own_index,
        };
        self.list(place.role).push(line);
    }
}

/// What an address of a repository begins with, if that cannot be used.
fn not_git(target: &str) -> Option<String> {
    let known = ["git+https://", "git+http://", "git+ssh://"];
    let lower = target.to_ascii_lowercase();
    if known.iter().any(|start| lower.starts_with(start)) {
        return None;
    }
    let end = target.find("://").map_or(4, |at| at + 3);
    Some(target.get(..end).unwrap_or(target).to_owned())
}

/// Lines that Cog drops: the project is in the image anyway.
fn is_this_project(line: &str) -> bool {
    line == "-e ."
}

/// A digest of SHA-256 or stronger.
fn is_hash(text: &str) -> bool {
    let Some((algorithm, digits)) = text.split_once(':') else {
        return false;
    };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}
