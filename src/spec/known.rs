//! What is known when a spec is evaluated, and how it looks from inside.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cognix_derivations::{DerivationGraph, Sha256, StorePath};
use cognix_language::{Attr, Eval, Evaluator, Pos, Thunk, Value};

use super::architecture::Architecture;
use super::settings::{Input, InputKind};

/// What is known when a spec is evaluated.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// What is locked; without it, what depends on versions cannot be asked for.
    pub locked: Option<LockedImage>,
    /// What is locked of the inputs: the digest of a file or an image, by the input's name.
    pub inputs: BTreeMap<String, Sha256>,
    /// Set from outside to end the evaluation.
    pub cancelled: Option<Arc<AtomicBool>>,
}

/// What is locked for one variant on one platform, as far as derivations of a spec depend on it.
#[derive(Debug, Clone)]
pub struct LockedImage {
    /// The platform.
    pub platform: Architecture,
    /// Python, as in `3.12`.
    pub python: String,
    /// The Python packages, by normalised name.
    pub packages: BTreeMap<String, LockedPackage>,
    /// The derivations that build those of the packages that come as source.
    pub builds: DerivationGraph,
    /// The image's Debian packages and their configuration.
    pub root: LockedRoot,
}

/// What a root is made of, and the derivations that make it.
#[derive(Debug, Clone, Default)]
pub struct LockedRoot {
    /// All of them.
    pub graph: DerivationGraph,
    /// The parts, bottom to top.
    pub parts: Vec<RootPart>,
}

/// A part of a root: outputs of one derivation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootPart {
    /// A tree in `out`, with its modes in `control`.
    Tree(StorePath),
    /// Changes in `out`.
    Changes(StorePath),
}

/// One wheel of the lock.
#[derive(Debug, Clone)]
pub struct LockedPackage {
    /// Its version.
    pub version: String,
    /// The name of the derivation that unpacks it.
    pub tree_name: String,
    /// The name of the derivation that fetches it.
    pub fetch_name: String,
    /// The file's name.
    pub filename: String,
    /// Where it comes from, as in the lock.
    pub url: String,
    /// The file's digest.
    pub sha256: Sha256,
    /// The file's size, where the lock knows it.
    pub size: Option<u64>,
    /// Whether it may break its own RECORD.
    pub waived: bool,
    /// The derivation that builds it, where it comes as source.
    pub build: Option<StorePath>,
}

/// A set of the program's own making.
pub(super) fn set<'a, 'n>(
    evaluator: &Evaluator<'a>,
    entries: impl IntoIterator<Item = (&'n str, &'a Thunk<'a>)>,
) -> Value<'a> {
    let entries = entries.into_iter().map(|(name, value)| Attr {
        name: evaluator.symbol(name),
        pos: Pos::NONE,
        value,
    });
    evaluator.attrs(entries.collect())
}

pub(super) fn packages<'a>(
    evaluator: &Evaluator<'a>,
    packages: &BTreeMap<String, LockedPackage>,
    builds: &DerivationGraph,
) -> Value<'a> {
    evaluator.adopt(builds);
    let text = |text: &str| evaluator.known(evaluator.string(text));
    let size = |size: Option<u64>| match size.and_then(|size| i64::try_from(size).ok()) {
        Some(size) => evaluator.known(Value::Int(size)),
        None => evaluator.known(Value::Null),
    };
    let package = |locked: &LockedPackage| {
        let value = set(
            evaluator,
            [
                ("version", text(&locked.version)),
                ("treeName", text(&locked.tree_name)),
                ("fetchName", text(&locked.fetch_name)),
                ("filename", text(&locked.filename)),
                ("url", text(&locked.url)),
                ("hash", text(&locked.sha256.to_sri())),
                ("size", size(locked.size)),
                ("waived", evaluator.known(Value::Bool(locked.waived))),
                ("build", build(evaluator, builds, locked.build.as_ref())),
            ],
        );
        evaluator.known(value)
    };
    let entries = packages
        .iter()
        .map(|(name, locked)| (name.as_str(), package(locked)));
    set(evaluator, entries)
}

/// A derivation as the arguments that it was made with, and what it needs: null where there is none.
fn build<'a>(
    evaluator: &Evaluator<'a>,
    builds: &DerivationGraph,
    path: Option<&StorePath>,
) -> &'a Thunk<'a> {
    let text = |text: &str| evaluator.known(evaluator.string(text));
    let Some(derivation) = path.and_then(|path| builds.get(path)) else {
        return evaluator.known(Value::Null);
    };
    let environment = derivation.env().iter();
    // What says how outputs are addressed is added again.
    let made = [
        "__contentAddressed",
        "name",
        "out",
        "outputHashAlgo",
        "outputHashMode",
    ];
    let environment = environment.filter(|(key, _)| !made.contains(&key.as_str()));
    let entries: Vec<_> = environment
        .filter_map(|(key, value)| Some((key.as_str(), text(std::str::from_utf8(value).ok()?))))
        .collect();
    let arguments = derivation.args().iter();
    let arguments: Vec<_> = arguments.map(|argument| text(argument)).collect();
    let inputs = derivation.input_derivations().iter();
    let inputs = inputs.flat_map(|(path, outputs)| {
        let outputs = outputs.iter();
        outputs.map(move |output| evaluator.known(evaluator.output(path, output)))
    });
    let inputs: Vec<_> = inputs.collect();
    let list = |items: Vec<_>| match evaluator.list(items.into_iter(), Pos::NONE) {
        Ok(list) => evaluator.known(list),
        Err(_) => evaluator.known(Value::Null),
    };
    let value = set(
        evaluator,
        [
            ("name", text(derivation.name())),
            ("args", list(arguments)),
            ("environment", evaluator.known(set(evaluator, entries))),
            ("inputs", list(inputs)),
        ],
    );
    evaluator.known(value)
}

/// The parts of a root, as `cognix.root` has them.
pub(super) fn root<'a>(evaluator: &Evaluator<'a>, root: &LockedRoot) -> Eval<Value<'a>> {
    evaluator.adopt(&root.graph);
    let output = |path: &StorePath, name| evaluator.known(evaluator.output(path, name));
    let part = |part: &RootPart| {
        let value = match part {
            RootPart::Tree(path) => {
                let entries = [
                    ("tree", output(path, "out")),
                    ("control", output(path, "control")),
                ];
                set(evaluator, entries)
            }
            RootPart::Changes(path) => set(evaluator, [("changes", output(path, "out"))]),
        };
        evaluator.known(value)
    };
    let parts: Vec<_> = root.parts.iter().map(part).collect();
    evaluator.list(parts.into_iter(), Pos::NONE)
}

/// An input as outputs see it, before the library makes derivations of those that are files.
pub(super) fn input_value<'a>(
    evaluator: &Evaluator<'a>,
    input: &Input,
    sha256: Option<&Sha256>,
) -> Value<'a> {
    let text = |text: &str| evaluator.known(evaluator.string(text));
    let mut entries = vec![
        ("name", text(&input.name)),
        ("type", text(input.kind.name())),
    ];
    if let Some(url) = &input.url {
        entries.push(("url", text(url)));
    }
    match (input.kind, &input.path, &input.reference) {
        (InputKind::Path, Some(path), _) => {
            entries.push(("outPath", evaluator.known(evaluator.project_file(path))));
        }
        (InputKind::Oci, _, Some(reference)) => {
            entries.push(("reference", text(reference)));
            if let Some(digest) = sha256 {
                entries.push(("digest", text(&format!("sha256:{digest}"))));
            }
        }
        _ => {}
    }
    if let (InputKind::Url, Some(sha256)) = (input.kind, sha256) {
        entries.push(("hash", text(&sha256.to_sri())));
    }
    set(evaluator, entries)
}
