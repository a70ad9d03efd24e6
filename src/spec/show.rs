//! What a spec makes, as a tree, and whether all of it is right.

use std::path::Path;

use cognix_language::{Pos, Value};

use super::error::{SpecError, SpecReason};
use super::evaluate::{Session, within};
use super::images::{is_derivation, variant};
use super::keys::Keys;
use super::known::Known;
use super::variant::Variant;

/// One output or a set of outputs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Branch {
    /// Its name.
    pub name: String,
    /// What it is, where it is no mere set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// What is below it, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<Self>,
}

impl Branch {
    fn leaf(name: &str, what: String) -> Self {
        Self {
            name: name.to_owned(),
            what: Some(what),
            below: Vec::new(),
        }
    }

    fn set(name: &str, below: Vec<Self>) -> Self {
        Self {
            name: name.to_owned(),
            what: None,
            below,
        }
    }

    /// The tree as lines, each branch below its root with lines to it, as `nix flake show` draws one.
    pub fn drawn(&self) -> String {
        let mut text = self.name.clone();
        self.draw("", &mut text);
        text
    }

    fn draw(&self, indent: &str, text: &mut String) {
        for (index, branch) in self.below.iter().enumerate() {
            let (corner, bar) = match index + 1 == self.below.len() {
                true => ("└───", "    "),
                false => ("├───", "│   "),
            };
            text.push('\n');
            text.push_str(indent);
            text.push_str(corner);
            text.push_str(&branch.name);
            if let Some(what) = &branch.what {
                text.push_str(": ");
                text.push_str(what);
            }
            branch.draw(&format!("{indent}{bar}"), text);
        }
    }
}

/// The tree of a project's spec. What needs a lock that is not there says so.
pub fn show(project: &Path, known: &Known) -> Result<Branch, SpecError> {
    within(project, known, |session| {
        let mut branches = vec![inputs(session), images(session)?];
        if let Some(packages) = session.outputs.keys("packages")? {
            branches.push(Branch::set("packages", self::packages(session, &packages)?));
        }
        if session.outputs.has("overrides") {
            branches.push(Branch::leaf("overrides", overridden(session)?));
        }
        let name = session.description.as_deref().unwrap_or(super::FILE_NAME);
        Ok(Branch::set(name, branches))
    })
}

/// Every mistake of a project's spec: all images, packages and overrides are looked at, each by itself.
pub fn check(project: &Path, known: &Known) -> Result<Vec<SpecError>, SpecError> {
    within(project, known, |session| {
        let mut mistakes = Vec::new();
        let mut note = |result: Result<(), SpecError>| match result {
            Err(error) if error.is_interrupted() => Err(error),
            Err(error) if known.locked.is_none() && needs_lock(&error) => Ok(()),
            Err(error) => {
                mistakes.push(error);
                Ok(())
            }
            Ok(()) => Ok(()),
        };
        let images = session.images()?;
        note(session.overridden(None).map(drop))?;
        for image in &images {
            note(variant(session, Some(image)).map(drop))?;
            let name = image.path.rsplit('.').next().unwrap_or_default();
            note(session.derivations(name).map(drop))?;
        }
        if let Some(packages) = session.outputs.keys("packages")? {
            for attr in session.evaluator.by_name(packages.attrs) {
                let name = session.evaluator.name_text(attr.name);
                note(package(session, &packages, &name, attr.pos).map(drop))?;
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        mistakes.retain(|mistake| seen.insert(mistake.to_string()));
        Ok(mistakes)
    })
}

/// Whether something could not be said only because nothing is locked yet.
fn needs_lock(error: &SpecError) -> bool {
    matches!(
        &*error.reason,
        SpecReason::Evaluation(error) if error.message().contains("is known once it is locked")
    )
}

fn inputs(session: &Session<'_, '_>) -> Branch {
    let settings = &session.settings;
    let inputs = settings.inputs.values();
    let mut branches: Vec<Branch> = inputs
        .map(|input| {
            let place = input
                .url
                .as_ref()
                .or(input.path.as_ref())
                .or(input.reference.as_ref());
            let what = match place {
                Some(place) => format!("{} {place}", input.kind.name()),
                None => input.kind.name().to_owned(),
            };
            Branch::leaf(&input.name, what)
        })
        .collect();
    let follows = settings.follows.iter();
    branches.extend(follows.map(|(name, target)| Branch::leaf(name, format!("follows {target}"))));
    branches.sort_by(|one, other| one.name.cmp(&other.name));
    Branch::set("inputs", branches)
}

fn images(session: &Session<'_, '_>) -> Result<Branch, SpecError> {
    let variants = session.variants()?;
    let branches = variants
        .iter()
        .map(|variant| Branch::leaf(&variant.name, image_text(variant)));
    Ok(Branch::set("images", branches.collect()))
}

/// What an image changes, in a few words.
fn image_text(variant: &Variant) -> String {
    let mut words = vec!["image".to_owned()];
    let versions = [
        ("Python", &variant.python),
        ("CUDA", &variant.cuda),
        ("cuDNN", &variant.cudnn),
    ];
    for (what, version) in versions {
        if let Some(version) = version {
            words.push(format!("{what} {version}"));
        }
    }
    if let Some(torch) = &variant.torch {
        let mode = match torch.mode {
            super::TorchMode::Wheel => "",
            super::TorchMode::Source => " from source",
        };
        let version = torch.version.as_deref().unwrap_or_default();
        let archs = match torch.gpu_archs.as_slice() {
            [] => String::new(),
            archs => format!(" for {}", archs.join(", ")),
        };
        words.push(format!("torch {version}{mode}{archs}").replace("  ", " "));
    }
    words.extend(variant.pins.iter().map(|(name, pin)| match pin {
        super::Pin::Version(version) => format!("{name} {version}"),
        super::Pin::Url { .. } => format!("{name} of its own"),
    }));
    words.extend(variant.packages.iter().cloned());
    words.extend(variant.system_packages.iter().cloned());
    words.join(", ")
}

fn packages<'e, 'a>(
    session: &Session<'e, 'a>,
    packages: &Keys<'e, 'a>,
) -> Result<Vec<Branch>, SpecError> {
    let mut branches = Vec::new();
    for attr in session.evaluator.by_name(packages.attrs) {
        let name = session.evaluator.name_text(attr.name);
        branches.push(match package(session, packages, &name, attr.pos) {
            Ok(what) => Branch::leaf(&name, what),
            Err(error) if needs_lock(&error) => Branch::leaf(
                &name,
                "a derivation that is known once it is locked".to_owned(),
            ),
            Err(error) => return Err(error),
        });
    }
    Ok(branches)
}

/// `derivation 'NAME'`, once it is made.
fn package<'e, 'a>(
    session: &Session<'e, 'a>,
    packages: &Keys<'e, 'a>,
    name: &str,
    pos: Pos,
) -> Result<String, SpecError> {
    let path = format!("packages.{name}");
    let value = packages.get(name)?.map_or(Value::Null, |entry| entry.value);
    if !is_derivation(session, value) {
        let reason = SpecReason::WrongType {
            key: path,
            expected: "a derivation",
            found: value.describe(),
        };
        return Err(packages.error(pos, reason));
    }
    let (derivation, _) = session.derivation(value, &path, pos)?;
    let name = derivation.name().trim_end_matches(".drv");
    Ok(format!("derivation '{name}'"))
}

/// The names of the packages that all images take from elsewhere.
fn overridden(session: &Session<'_, '_>) -> Result<String, SpecError> {
    let Some(keys) = session.overridden(None)? else {
        return Ok("nothing".to_owned());
    };
    let names = session.evaluator.by_name(keys.attrs);
    let names: Vec<_> = names
        .iter()
        .map(|attr| session.evaluator.name_text(attr.name))
        .collect();
    Ok(format!("other {}", names.join(", ")))
}
