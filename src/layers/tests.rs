//! The law of the room: the layers together are the tree that they were made from.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    os::unix::fs::PermissionsExt,
};

use proptest::prelude::*;

use super::{
    description::{PythonVersion, RecordPolicy, TreeSource, WheelSource},
    *,
};
use crate::builtins::wheel::{
    InstallTarget, WheelArchive,
    fixtures::{DEMO_FILENAME, Wheel},
    plan, write_tree,
};

/// What an unpacked image has at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Directory(u32),
    File(u32, Vec<u8>),
    Symlink(String),
}

type Root = BTreeMap<String, Node>;

/// Unpacks a layer over what is there, as an engine does.
fn unpack(root: &mut Root, layer: &[u8]) {
    let mut tar = Vec::new();
    flate2::read::MultiGzDecoder::new(layer)
        .read_to_end(&mut tar)
        .expect("gzip");
    for entry in ::tar::Archive::new(tar.as_slice()).entries().expect("tar") {
        let mut entry = entry.expect("an entry");
        let path = String::from_utf8(entry.path_bytes().into_owned()).expect("UTF-8");
        let mode = entry.header().mode().expect("a mode");
        let node = match entry.link_name_bytes() {
            Some(target) => Node::Symlink(String::from_utf8(target.into_owned()).expect("UTF-8")),
            None if entry.header().entry_type().is_dir() => Node::Directory(mode),
            None => {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).expect("a content");
                Node::File(mode, content)
            }
        };
        root.insert(path.trim_end_matches('/').to_owned(), node);
    }
}

/// Writes a tree as the store would have it.
fn write_nodes(at: &Path, nodes: &Root) {
    for (path, node) in nodes {
        let path = at.join(path);
        match node {
            Node::Directory(_) => fs::create_dir(&path).expect("a directory"),
            Node::Symlink(target) => std::os::unix::fs::symlink(target, &path).expect("a link"),
            Node::File(mode, content) => {
                fs::write(&path, content).expect("a file");
                fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o555))
                    .expect("a mode");
            }
        }
    }
}

/// What a directory holds, with the modes that a layer gives it.
fn read_nodes(root: &mut Root, base: &Path, directory: &Path) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let name = path
            .strip_prefix(base)
            .expect("below")
            .to_str()
            .expect("UTF-8")
            .to_owned();
        let metadata = path.symlink_metadata().expect("metadata");
        if metadata.is_dir() {
            read_nodes(root, base, &path);
            root.insert(name, Node::Directory(0o755));
        } else {
            let mode = if metadata.permissions().mode() & 0o100 == 0 {
                0o644
            } else {
                0o755
            };
            root.insert(name, Node::File(mode, fs::read(&path).expect("a file")));
        }
    }
}

fn store_path(name: &str) -> StorePath {
    StorePath::parse(&format!("/nix/store/{}-{name}", "0".repeat(32))).expect("a store path")
}

prop_compose! {
    /// A tree and for each of its leaves the layers that bring it; with names whose order is not that of the tree.
    fn whole()(
        leaves in prop::collection::btree_map(
            prop::collection::vec(prop_oneof![Just("a"), Just("a-"), Just("b"), Just("ü")], 1..4),
            (0..3_usize, prop::collection::vec(any::<u8>(), 0..40), prop::collection::btree_set(0..3_usize, 1..3)),
            0..10,
        ),
    ) -> Vec<(String, Node, BTreeSet<usize>)> {
        let mut taken = BTreeSet::new();
        let mut nodes = Vec::new();
        for (parts, (kind, content, layers)) in leaves {
            let above: Vec<_> = (1..parts.len()).map(|length| parts[..length].join("/")).collect();
            // Shorter paths come first, so a leaf is known before anything would lie below it.
            if above.iter().any(|above| taken.contains(above)) {
                continue;
            }
            let path = parts.join("/");
            taken.insert(path.clone());
            let node = match kind {
                0 => Node::Symlink(format!("to/{}", content.len())),
                1 => Node::File(0o755, content),
                _ => Node::File(0o644, content),
            };
            nodes.push((path, node, layers));
        }
        let leaves: BTreeSet<_> = nodes.iter().map(|(path, ..)| path.clone()).collect();
        let below = |path: &str| leaves.iter().any(|other| other.starts_with(&format!("{path}/")));
        nodes.retain(|(path, ..)| !below(path));
        nodes
    }
}

fn with_parents<'a>(leaves: impl Iterator<Item = (&'a String, &'a Node)>) -> Root {
    let mut root = Root::new();
    for (path, node) in leaves {
        for above in ImagePath::parse(path.as_str()).expect("a path").ancestors() {
            root.insert(above.as_str().to_owned(), Node::Directory(0o755));
        }
        root.insert(path.clone(), node.clone());
    }
    root
}

fn describe(tree: &Path, omit: BTreeSet<ImagePath>) -> LayerDescription {
    let request = LayerRequest {
        time: crate::layers::Timestamp::default(),
        name: "part",
        recipe: Recipe::FOR_TREES,
        cancelled: &|| false,
    };
    let source = TreeSource {
        control: None,
        omit: BTreeSet::new(),
        out: store_path("part"),
    };
    let input = TreeInput {
        root: tree.to_owned(),
        source,
        modes: None,
        package: None,
    };
    let options = TreesOptions {
        omit,
        ..TreesOptions::default()
    };
    describe_trees(&request, &[input], options).expect("a tree")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn layers_together_equal_the_unlayered_tree(whole in whole(), order in Just([0, 1, 2]).prop_shuffle()) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let parts: Vec<_> = (0..3).map(|layer| {
            let tree = directory.path().join(layer.to_string());
            fs::create_dir(&tree).expect("a directory");
            let own = whole.iter().filter(|(_, _, layers)| layers.contains(&layer));
            write_nodes(&tree, &with_parents(own.map(|(path, node, _)| (path, node))));
            tree
        }).collect();

        // What several trees bring is settled first; then the layers are a partition.
        let described: Vec<_> = parts.iter().map(|tree| describe(tree, BTreeSet::new())).collect();
        let shared = whole.iter().any(|(_, _, layers)| layers.len() > 1);
        prop_assert_eq!(partition_check(&described).is_err(), shared);
        let omissions = settle(&described).expect("equal files only");
        let described: Vec<_> = parts.iter().zip(omissions).map(|(tree, omit)| describe(tree, omit)).collect();
        prop_assert_eq!(partition_check(&described), Ok(()));

        // Whatever the order, stacking them gives the tree.
        let mut stacked = Root::new();
        for layer in order {
            let mut bytes = Vec::new();
            write(&described[layer], &|_| parts[layer].clone(), &mut bytes).expect("the same bytes");
            unpack(&mut stacked, &bytes);
        }
        prop_assert_eq!(&stacked, &with_parents(whole.iter().map(|(path, node, _)| (path, node))));

        // And so does one layer made of all trees at once.
        let request = LayerRequest { time: crate::layers::Timestamp::default(),  name: "whole", recipe: Recipe::FOR_TREES, cancelled: &|| false };
        let inputs: Vec<_> = parts.iter().zip(["p0", "p1", "p2"]).map(|(root, name)| {
            let source = TreeSource { control: None, omit: BTreeSet::new(), out: store_path(name) };
            TreeInput { root: root.clone(), source, modes: None, package: None }
        }).collect();
        let one = describe_trees(&request, &inputs, TreesOptions::default()).expect("trees");
        let locate = |path: &StorePath| {
            let part: usize = path.name()[1..].parse().expect("a number");
            parts[part].clone()
        };
        let (mut bytes, mut merged) = (Vec::new(), Root::new());
        write(&one, &locate, &mut bytes).expect("the same bytes");
        unpack(&mut merged, &bytes);
        prop_assert_eq!(merged, stacked);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Copying merges: a tree over itself is that tree, whether the merge or an engine's unpacking does it, and nothing
    /// ever comes to lie inside its own copy (`/venv/venv`).
    #[test]
    fn a_tree_projected_onto_itself_stays_what_it_is(
        whole in whole(),
        prefix in prop::option::of("[a-c]{1,2}(/[a-c]){0,2}"),
    ) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let tree = directory.path().join("tree");
        fs::create_dir(&tree).expect("a directory");
        write_nodes(&tree, &with_parents(whole.iter().map(|(path, node, _)| (path, node))));
        let prefix = prefix.map(|path| ImagePath::parse(path).expect("a path"));
        let described = |times: usize| {
            let request = LayerRequest { time: crate::layers::Timestamp::default(),  name: "tree", recipe: Recipe::FOR_TREES, cancelled: &|| false };
            let source = TreeSource { control: None, omit: BTreeSet::new(), out: store_path("tree") };
            let input = TreeInput { root: tree.clone(), source, modes: None, package: None };
            let options = TreesOptions { prefix: prefix.clone(), ..TreesOptions::default() };
            describe_trees(&request, &vec![input; times], options).expect("a tree")
        };
        let (once, twice) = (described(1), described(2));
        prop_assert_eq!((once.diff_id, &once.entries), (twice.diff_id, &twice.entries));

        let mut layer = Vec::new();
        write_tar(&once, &|_| tree.clone(), &mut layer).expect("the same bytes");
        let root = directory.path().join("root");
        fs::create_dir(&root).expect("a directory");
        for _ in 0..2 {
            ::tar::Archive::new(layer.as_slice()).unpack(&root).expect("our own layer");
        }
        // The modes that were unpacked are those of this process.
        let places = |description: &LayerDescription| -> Vec<_> {
            description.entries.iter().map(|entry| (entry.path.clone(), entry.kind.clone())).collect()
        };
        prop_assert_eq!(places(&describe(&root, BTreeSet::new())), places(&once));
    }
}

#[test]
fn the_layer_of_a_wheel_equals_its_tree() {
    let script = b"#!python\nprint(1)\n";
    let wheel = Wheel::new(&[
        ("demo/__init__.py", b""),
        ("demo/a.py", b"print(1)\n"),
        ("demo-1.0.data/scripts/run", script),
        ("demo-1.0.data/data/share/man/man1/demo.1", b"manual"),
        (
            "demo-1.0.dist-info/entry_points.txt",
            b"[console_scripts]\ndemo = demo:main\n",
        ),
    ]);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("wheel");
    fs::write(&file, wheel.zip().bytes()).expect("a file");

    let archive = WheelArchive::open(fs::File::open(&file).expect("a file")).expect("a wheel");
    let planned = plan(
        &archive,
        DEMO_FILENAME,
        &InstallTarget { python: (3, 11) },
        RecordPolicy::Checked,
    )
    .expect("a plan");
    let tree = directory.path().join("tree");
    write_tree(&archive, &planned, &tree, &|| false).expect("a tree");
    let mut expected = Root::new();
    read_nodes(&mut expected, &tree, &tree);

    let request = LayerRequest {
        time: crate::layers::Timestamp::default(),
        name: "demo",
        recipe: Recipe::FOR_WHEELS,
        cancelled: &|| false,
    };
    let source = WheelSource {
        wheel: store_path(DEMO_FILENAME),
        filename: DEMO_FILENAME.to_owned(),
        python: PythonVersion(3, 11),
        omit: BTreeSet::new(),
        record: RecordPolicy::Checked,
        bytecode: None,
    };
    let description = describe_wheel(&request, &|_| file.clone(), source).expect("a wheel");
    let (mut bytes, mut found) = (Vec::new(), Root::new());
    write(&description, &|_| file.clone(), &mut bytes).expect("the same bytes");
    unpack(&mut found, &bytes);
    assert_eq!(found, expected);
    // The same files and modes as a layer made of that tree, though other compressed bytes.
    let of_tree = describe(&tree, BTreeSet::new());
    assert_eq!(
        (of_tree.diff_id, of_tree.entries),
        (description.diff_id, description.entries)
    );
}
