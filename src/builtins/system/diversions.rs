//! Diversions that scripts ask for: notes of dpkg about files that one package leaves to another.
//!
//! Only those that move no file; one that does is not covered, and its script is run.

use super::{
    SystemError,
    root::{Owner, Root},
    shell::{Effect, Script, Text},
};

const RULE: &str = "dpkg-divert";

/// A file that other packages' files of the same path give way to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Diversion {
    path: String,
    to: String,
    package: String,
}

impl Diversion {
    /// What a call of `dpkg-divert` adds; none when it adds nothing or moves files.
    pub(super) fn of(arguments: &[Text]) -> Option<Self> {
        let (mut path, mut to, mut package) = (None, None, None);
        let (mut adds, mut stays) = (true, false);
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let word = word.as_deref()?;
            match word {
                "--package" => package = words.next().cloned().flatten(),
                "--divert" => to = words.next().cloned().flatten(),
                "--local" => package = Some(":".to_owned()),
                "--add" | "--quiet" => {}
                "--no-rename" => stays = true,
                "--rename" => stays = false,
                _ if word.starts_with('-') => adds = false,
                _ => path = Some(word.to_owned()),
            }
        }
        let path = path.filter(|_| adds && stays)?;
        let to = to.unwrap_or_else(|| format!("{path}.distrib"));
        let package = package.unwrap_or_else(|| ":".to_owned());
        let plain = [&path, &to].into_iter().all(|path| path.starts_with('/'))
            && ![&path, &to, &package]
                .into_iter()
                .any(|text| text.contains('\n'));
        plain.then_some(Self { path, to, package })
    }
}

/// Adds the list.
pub(super) fn apply(root: &mut Root<'_>) -> Result<(), SystemError> {
    let mut diversions: Vec<Diversion> = Vec::new();
    for package in root.packages() {
        for (file, arguments) in [
            ("preinst", ["install", ""]),
            ("postinst", ["configure", ""]),
        ] {
            let Some(text) = root.control(package, file)? else {
                continue;
            };
            let text = String::from_utf8_lossy(&text);
            if !text.contains(RULE) {
                continue;
            }
            let script = Script {
                text: &text,
                package: &package.name,
                arguments: &arguments,
            };
            // One that cannot be followed is run.
            for effect in script.effects(root).unwrap_or_default() {
                let Effect::Call(words) = effect else {
                    continue;
                };
                let diversion = match words.split_first() {
                    Some((Some(program), arguments)) if program == RULE => Diversion::of(arguments),
                    _ => None,
                };
                if let Some(diversion) = diversion
                    && !diversions.iter().any(|other| other.path == diversion.path)
                {
                    // dpkg reads its list from the end and adds to the front.
                    diversions.reverse();
                    diversions.insert(0, diversion);
                }
            }
        }
    }
    if diversions.is_empty() || root.package("dpkg").is_none() {
        return Ok(());
    }
    let lines = diversions
        .iter()
        .flat_map(|one| [&one.path, "\n", &one.to, "\n", &one.package, "\n"]);
    let text: String = lines.collect();
    root.add_file(
        RULE,
        "var/lib/dpkg/diversions",
        text.into_bytes(),
        Owner::FILE,
    )
}
