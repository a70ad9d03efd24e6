//! What a valid model asks for that cannot be built.
//!
//! One place for all of it: `cognix config` shows such a model, every building command refuses it. Two kinds stand
//! here side by side: what Cog refuses only when it generates a build, and what this program does not do yet.

use super::finding::Finding;
use super::model::{Build, Model};
use super::position::{Position, Spanned};
use super::python::PythonVersion;
use super::reason::Reason;
use super::reference::Reference;

/// Everything that keeps an image of the model from being built, each with its place; `found` are the findings of
/// other files.
pub(super) fn unsupported(model: &Model, file_name: &str, found: Vec<Finding>) -> Vec<Finding> {
    let mut notes = Notes {
        file: file_name,
        findings: found,
    };
    if let Some(build) = &model.build {
        build_section(&mut notes, build);
    }
    for (key, reference) in [("run", &model.run), ("train", &model.train)] {
        if let Some(reference) = reference
            .as_ref()
            .filter(|reference| !reference.is_complete())
        {
            notes.add(key, reference.position, incomplete(reference));
        }
    }
    for weight in &model.weights {
        notes.unsupported(
            "weights",
            weight.name.position,
            "a model with managed weights",
        );
    }
    if let Some(python) = model.build.as_ref().map(|build| &build.python_version)
        && !python.is_provided()
    {
        notes.add("build.python_version", python.position, missing(python));
    }
    if model.run.is_none() && model.train.is_none() {
        let file = file_name.to_owned();
        notes.findings.push(Finding {
            file,
            position: None,
            key: String::new(),
            reason: Reason::NothingToRun,
        });
    }
    notes.findings.sort_by(Finding::by_place);
    notes.findings
}

struct Notes<'f> {
    file: &'f str,
    findings: Vec<Finding>,
}

impl Notes<'_> {
    fn finding(&self, key: &str, position: Position, reason: Reason) -> Finding {
        Finding {
            file: self.file.to_owned(),
            position: Some(position),
            key: key.to_owned(),
            reason,
        }
    }

    fn add(&mut self, key: &str, position: Position, reason: Reason) {
        self.findings.push(self.finding(key, position, reason));
    }

    fn unsupported(&mut self, key: &str, position: Position, what: &str) {
        self.add(
            key,
            position,
            Reason::Unsupported {
                what: what.to_owned(),
            },
        );
    }
}

fn build_section(notes: &mut Notes<'_>, build: &Build) {
    for (index, command) in build.run.iter().enumerate() {
        let key = format!("build.run[{index}]");
        self::command(notes, &key, command.position, &command.command);
        for (index, mount) in command.mounts.iter().enumerate() {
            let key = format!("{key}.mounts[{index}]");
            if !is_secret(&mount.id) {
                let found = mount.id.value.clone();
                notes.add(
                    &format!("{key}.id"),
                    mount.id.position,
                    Reason::SecretId { found },
                );
            }
            if !is_target(&mount.target) {
                let found = mount.target.value.clone();
                let reason = Reason::SecretTarget { found };
                notes.add(&format!("{key}.target"), mount.target.position, reason);
            }
        }
    }
    for (index, command) in build.pre_install.iter().enumerate() {
        self::command(
            notes,
            &format!("build.pre_install[{index}]"),
            command.position,
            command,
        );
    }
    for (index, package) in build.system_packages.iter().enumerate() {
        if !is_package(package) {
            let what = "a system package other than NAME, NAME=VERSION or NAME/SUITE";
            notes.unsupported(
                &format!("build.system_packages[{index}]"),
                package.position,
                what,
            );
        }
    }
    if let Some(version) = build
        .sdk_version
        .as_ref()
        .filter(|version| version.is_too_old())
    {
        let reason = Reason::SdkTooOld {
            found: version.to_string(),
        };
        notes.add("build.sdk_version", version.position, reason);
    }
}

fn command(notes: &mut Notes<'_>, key: &str, position: Position, command: &str) {
    if command.trim().contains('\n') {
        notes.add(key, position, Reason::CommandNewline);
    }
}

/// A name that `--secret id=NAME,…` can give.
fn is_secret(id: &str) -> bool {
    !id.is_empty() && id != ".." && id != "." && !id.contains(['/', ',', '\0'])
}

/// A file of the image, named from its root.
fn is_target(target: &str) -> bool {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    target
        .strip_prefix('/')
        .is_some_and(|path| path.split('/').all(plain))
}

fn incomplete(reference: &Spanned<Reference>) -> Reason {
    Reason::ReferenceIncomplete {
        found: reference.text.clone(),
    }
}

fn missing(python: &Spanned<PythonVersion>) -> Reason {
    Reason::PythonUnavailable {
        found: python.text.clone(),
        available: PythonVersion::available(),
    }
}

/// What `apt-get install` takes: a name by Debian's rules, perhaps with an architecture, then a version or a suite.
fn is_package(package: &str) -> bool {
    let end = package.find(['=', '/']).unwrap_or(package.len());
    let (name, choice) = package.split_at(end);
    let (name, architecture) = name.split_once(':').unwrap_or((name, "any"));
    let word = |text: &str, marks: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
        !text.is_empty() && text.chars().all(allowed)
    };
    let name_is_valid = name.len() >= 2
        && name.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && name.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte)
        });
    let choice_is_valid = choice.is_empty() || word(&choice[1..], ".+-~:*_");
    name_is_valid && word(architecture, "-") && choice_is_valid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_as_apt_names_them() {
        for package in [
            "git",
            "g++",
            "libgl1",
            "curl=7.88.1-10+deb12u5",
            "git=1:2.39.*",
            "git/bookworm-backports",
            "git:any=1:2",
        ] {
            assert!(is_package(package), "{package}");
        }
        for package in [
            "", "a", "Git", "lib gl1", "git=", "git/", "git:", "git; ls", "-y", "git=1 2", "../git",
        ] {
            assert!(!is_package(package), "{package}");
        }
    }
}
