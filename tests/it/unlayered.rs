//! The law of the projection, for the example: the layers stacked are the tree of everything the image is made of.
//!
//! The layers are read as any engine reads them. The tree is put together here from the store's outputs (packages, system
//! configuration, environment, installed wheels, source) without any code of the layers but the record of modes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cognix::layers::{MODES_FILE, ModesRecord};
use cognix::lock::Architecture;
use cognix::pipeline::{ImageOptions, OpenOptions, Project, Realisation};
use cognix::recipes::{self, Instantiation};
use cognix_derivations::{Derivation, Sha256, StorePath};
use cognix_store::{CancellationToken, Store};

use crate::example::Example;
use crate::hello::hello;

/// What lies at a path: mode, owner, group, and a folder, a file's digest or a link's target.
pub(crate) type Node = (u32, u64, u64, Content);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Folder,
    File(Sha256),
    Link(String),
}

/// Everything that the layers hold, one above the other.
pub(crate) fn stacked(hello: &Example) -> BTreeMap<String, Node> {
    let mut tree = BTreeMap::new();
    for layer in hello.build["layers"].as_array().expect("layers") {
        let digest = layer["digest"].as_str().expect("a digest");
        let blob = digest.replace("sha256:", "blobs/sha256/");
        let file = std::fs::File::open(hello.layout.join(blob)).expect("every layer is written");
        let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(file));
        for entry in archive.entries().expect("a tar archive") {
            let mut entry = entry.expect("a sound archive");
            let path = String::from_utf8(entry.path_bytes().into_owned()).expect("UTF-8");
            let kind = entry.header().entry_type();
            let content = if kind.is_dir() {
                Content::Folder
            } else if kind.is_symlink() {
                let target = entry.link_name_bytes().expect("a link has a target");
                Content::Link(String::from_utf8(target.into_owned()).expect("UTF-8"))
            } else {
                assert!(kind.is_file(), "{path} is a {kind:?}");
                Content::File(digest_of(&mut entry))
            };
            let header = entry.header();
            let mode = header.mode().expect("a mode");
            let owner = header.uid().expect("an owner");
            let group = header.gid().expect("a group");
            tree.insert(
                path.trim_end_matches('/').to_owned(),
                (mode, owner, group, content),
            );
        }
    }
    tree
}

fn digest_of(content: &mut impl Read) -> Sha256 {
    let mut hasher = cognix_derivations::HashingWriter::new(std::io::sink());
    std::io::copy(content, &mut hasher).expect("whole contents");
    hasher.finish().1
}

/// Every entry below a folder, by its path from there.
pub(crate) fn walk(root: &Path, see: &mut dyn FnMut(String, &std::fs::Metadata, Content)) {
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let real = entry.expect("readable").path();
            let metadata = real.symlink_metadata().expect("it is there");
            let content = if metadata.is_dir() {
                waiting.push(real.clone());
                Content::Folder
            } else if metadata.is_symlink() {
                let target = std::fs::read_link(&real).expect("a link");
                Content::Link(target.into_os_string().into_string().expect("UTF-8"))
            } else {
                Content::File(digest_of(
                    &mut std::fs::File::open(&real).expect("readable"),
                ))
            };
            let path = real.strip_prefix(root).expect("below the root");
            let path = path.to_str().expect("UTF-8").to_owned();
            see(path, &metadata, content);
        }
    }
}

/// The trees that an image is made of, put into one without any layer.
#[derive(Default)]
struct Union {
    tree: BTreeMap<String, Node>,
    owners: BTreeMap<String, String>,
}

impl Union {
    /// Adds a tree of the store below `prefix`, with the modes that are recorded beside it.
    fn add(&mut self, owner: &str, out: &Path, control: Option<&Path>, prefix: &str) {
        let modes = control.and_then(|control| std::fs::read(control.join(MODES_FILE)).ok());
        let modes = modes.map(|text| ModesRecord::parse(&text).expect("a record of modes"));
        walk(out, &mut |path, metadata, content| {
            let recorded = modes.as_ref().and_then(|modes| modes.get(&path));
            let usual = match &content {
                Content::Link(_) => 0o777,
                Content::File(_) if metadata.permissions().mode() & 0o111 == 0 => 0o644,
                _ => 0o755,
            };
            let node = match recorded {
                Some(recorded) => (
                    recorded.mode.bits(),
                    recorded.uid.into(),
                    recorded.gid.into(),
                    content,
                ),
                None => (usual, 0, 0, content),
            };
            self.place(owner, format!("{prefix}{path}"), node, recorded.is_some());
        });
    }

    /// Files of several owners have to be the same. Of a folder, a mode counts that somebody recorded.
    fn place(&mut self, owner: &str, path: String, node: Node, recorded: bool) {
        let first = self.owners.entry(path.clone());
        let first = first.or_insert_with(|| owner.to_owned()).clone();
        let there = self
            .tree
            .entry(path.clone())
            .or_insert_with(|| node.clone());
        if node.3 == Content::Folder && there.3 == Content::Folder {
            if recorded {
                *there = node;
            }
            return;
        }
        assert_eq!(*there, node, "{path} of {first} and of {owner}");
    }
}

/// All trees that the example is made of: packages, configuration, environment, wheels, source, and their bytecode.
fn unlayered(hello: &Example) -> BTreeMap<String, Node> {
    let store = Store::open(&hello.folder.join("store")).expect("the store");
    let project = Project::open(&hello.project, OpenOptions::default()).expect("the example");
    let lock = project.read_lock().expect("readable").expect("a lock");
    let source = project.scan_source().expect("readable");
    let image = project
        .instantiate(
            &lock,
            Architecture::Amd64,
            source.store_path(),
            &ImageOptions::default(),
        )
        .expect("a sound lock");

    let mut trees = Instantiation::from(image.graph.clone());
    let part = project.part(&lock).expect("one variant");
    let locked = part.platform(Architecture::Amd64).expect("a platform");
    let python = recipes::python_of(locked).expect("a known Python");
    let wheels = locked.python.packages.iter();
    let wheels: BTreeSet<StorePath> = wheels
        .map(|wheel| recipes::wheel_tree(&mut trees, locked, wheel, python).expect("a sound lock"))
        .collect();
    let has_tree = |derivation: &Derivation| {
        let mut kinds = ["deb", "system", "venv", "wheel"].iter();
        kinds.any(|kind| derivation.builder_name() == format!("builtin:cognix-{kind}-1"))
            || derivation.name().ends_with("-bytecode")
    };
    let targets: Vec<(StorePath, String)> = trees
        .graph
        .iter()
        .filter(|derivation| has_tree(derivation))
        .flat_map(|derivation| {
            let path = derivation.path();
            let outputs = derivation.outputs().keys();
            outputs
                .map(|output| (path.clone(), output.clone()))
                .collect::<Vec<_>>()
        })
        .collect();
    let realisation = Realisation {
        store: store.clone(),
        mirrors: project
            .mirrors(&[], hello.folder.join("cache"), true)
            .expect("no settings are needed"),
        jobs: 2,
        events: std::sync::Arc::new(cognix_store::Silent),
        cancel: CancellationToken::new(),
        sandbox: Default::default(),
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let realised = runtime
        .block_on(realisation.outputs(&trees.graph, &targets))
        .expect("everything was fetched for the image");

    let real =
        |key: &(StorePath, String)| realised.outputs.get(key).map(|path| store.real_path(path));
    let mut union = Union::default();
    for (derivation, output) in targets.iter().filter(|(_, output)| output == "out") {
        let out = real(&(derivation.clone(), output.clone())).expect("realised");
        let control = real(&(derivation.clone(), "control".to_owned()));
        let prefix = match derivation.name() {
            "source-bytecode.drv" => "src/",
            _ => "",
        };
        union.add(derivation.name(), &out, control.as_deref(), prefix);
    }
    assert_eq!(
        wheels.len(),
        locked.python.packages.len(),
        "a tree for each wheel"
    );
    union.place(
        "the image",
        "src".to_owned(),
        (0o755, 0, 0, Content::Folder),
        false,
    );
    let source = store.real_path(source.store_path());
    union.add("source", &source, None, "src/");
    union.tree
}

pub(crate) fn assert_same_tree(one: &BTreeMap<String, Node>, other: &BTreeMap<String, Node>) {
    let different: Vec<String> = one
        .keys()
        .chain(other.keys())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .filter(|path| one.get(*path) != other.get(*path))
        .take(20)
        .map(|path| format!("{path}: {:?} and {:?}", one.get(path), other.get(path)))
        .collect();
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn the_layers_stacked_are_the_unlayered_tree() {
    let hello = hello();
    assert_same_tree(&stacked(hello), &unlayered(hello));
}
