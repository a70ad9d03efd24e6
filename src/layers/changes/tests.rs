use std::{
    fs,
    io::Read as _,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use proptest::prelude::*;

use super::super::{
    DiffId, EntryKind, Recipe, StackError, Timestamp, TreesOptions, describe_trees, stack_check,
    write, write_tar,
};
use super::*;

/// What an image has at a path: mode, owner, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    recorded: Recorded,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Directory,
    File(Vec<u8>),
    Link(String),
}

type Root = BTreeMap<String, Node>;

fn recorded(mode: u32, uid: u32) -> Recorded {
    let mode = Mode::new(mode).expect("twelve bits");
    Recorded {
        gid: uid,
        mode,
        uid,
    }
}

fn directory(mode: u32) -> Node {
    Node {
        recorded: recorded(mode, 0),
        what: What::Directory,
    }
}

fn path(text: &str) -> ImagePath {
    ImagePath::parse(text).expect("a path")
}

fn store_path(name: &str) -> StorePath {
    StorePath::parse(&format!("/nix/store/{}-{name}", "0".repeat(32))).expect("a store path")
}

fn request(name: &str) -> LayerRequest<'_> {
    LayerRequest {
        name,
        recipe: Recipe::FOR_TREES,
        time: Timestamp::default(),
        cancelled: &|| false,
    }
}

/// What is not ordinary of some nodes.
fn modes(nodes: &Root) -> BTreeMap<ImagePath, Recorded> {
    let ordinary = |node: &Node| match &node.what {
        What::Link(_) => recorded(0o777, 0),
        What::Directory => recorded(0o755, 0),
        What::File(_) => recorded(0o644, 0),
    };
    let nodes = nodes
        .iter()
        .filter(|(_, node)| node.recorded != ordinary(node));
    nodes.map(|(at, node)| (path(at), node.recorded)).collect()
}

/// Writes nodes as a store would have them.
fn write_nodes(root: &Path, nodes: &Root) {
    fs::create_dir(root).expect("a directory");
    for (at, node) in nodes {
        let at = root.join(at);
        match &node.what {
            What::Directory => fs::create_dir(&at).expect("a directory"),
            What::Link(target) => symlink(target, &at).expect("a link"),
            What::File(content) => {
                fs::write(&at, content).expect("a file");
                fs::set_permissions(&at, fs::Permissions::from_mode(0o444)).expect("our own");
            }
        }
    }
}

/// Writes what leads from one root to another, as a build step leaves it.
fn write_changes_between(output: &Path, before: &Root, after: &Root) {
    let parent = |at: &str| at.rsplit_once('/').map(|(parent, _)| parent.to_owned());
    let mut tree: Root = after
        .iter()
        .filter(|(at, node)| before.get(*at) != Some(*node))
        .map(|(at, node)| (at.clone(), node.clone()))
        .collect();
    // What lies below something that is no directory any more is gone with it.
    let is_directory = |at: &String| {
        after
            .get(at)
            .is_some_and(|node| node.what == What::Directory)
    };
    let removed: BTreeSet<ImagePath> = before
        .keys()
        .filter(|at| !after.contains_key(*at) && parent(at).as_ref().is_none_or(is_directory))
        .map(|at| path(at))
        .collect();
    let changed: Vec<ImagePath> = tree
        .keys()
        .map(|at| path(at))
        .chain(removed.iter().cloned())
        .collect();
    for above in changed.iter().flat_map(ImagePath::ancestors) {
        let node = after[above.as_str()].clone();
        tree.insert(above.as_str().to_owned(), node);
    }
    fs::create_dir(output).expect("a directory");
    let record = ChangesRecord {
        modes: ModesRecord::of(modes(&tree)).expect("small owners"),
        removed,
    };
    fs::write(output.join(CHANGES_FILE), record.to_json()).expect("writable");
    write_nodes(&output.join(TREE_FOLDER), &tree);
}

/// Unpacks a layer over what is there, as an engine does.
fn unpack(root: &mut Root, layer: &[u8]) {
    let clear = |root: &mut Root, at: &str| {
        let below = format!("{at}/");
        root.retain(|path, _| path != at && !path.starts_with(&below));
    };
    for entry in ::tar::Archive::new(layer).entries().expect("tar") {
        let mut entry = entry.expect("an entry");
        let at = String::from_utf8(entry.path_bytes().into_owned()).expect("UTF-8");
        let at = at.trim_end_matches('/').to_owned();
        if let Some(at) = at.rsplit_once('/').map_or(
            at.strip_prefix(".wh.").map(str::to_owned),
            |(parent, name)| {
                name.strip_prefix(".wh.")
                    .map(|name| format!("{parent}/{name}"))
            },
        ) {
            assert_eq!(entry.size(), 0, "{at}");
            clear(root, &at);
            continue;
        }
        let header = entry.header();
        let recorded = Recorded {
            gid: header.gid().expect("a group").try_into().expect("small"),
            mode: Mode::new(header.mode().expect("a mode")).expect("twelve bits"),
            uid: header.uid().expect("an owner").try_into().expect("small"),
        };
        let what = match entry.link_name_bytes() {
            Some(target) => What::Link(String::from_utf8(target.into_owned()).expect("UTF-8")),
            None if header.entry_type().is_dir() => What::Directory,
            None => {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).expect("a content");
                What::File(content)
            }
        };
        if what != What::Directory {
            clear(root, &at);
        }
        root.insert(at, Node { recorded, what });
    }
}

fn described(output: &Path) -> Result<LayerDescription, LayerError> {
    let source = ChangesSource {
        changes: store_path("run-1"),
    };
    let changes = ChangesInput::load(source, &|_| output.to_owned(), &|| false)?;
    describe_changes(&request("run-1"), changes)
}

fn tar_of(description: &LayerDescription, output: &Path) -> Vec<u8> {
    let locate = |_: &StorePath| output.to_owned();
    let (mut tar, mut compressed) = (Vec::new(), Vec::new());
    write_tar(description, &locate, &mut tar).expect("the same tar stream");
    write(description, &locate, &mut compressed).expect("the same bytes");
    let mut inflated = Vec::new();
    flate2::read::MultiGzDecoder::new(&*compressed)
        .read_to_end(&mut inflated)
        .expect("gzip");
    assert_eq!(inflated, tar);
    tar
}

prop_compose! {
    /// A root; names whose order is not that of the tree, modes and owners that are not ordinary.
    fn root()(
        leaves in prop::collection::btree_map(
            prop::collection::vec(prop_oneof![Just("a"), Just("a-"), Just("b"), Just("ü")], 1..4),
            (0..5_usize, prop::collection::vec(any::<u8>(), 0..9), 0..3_u32),
            0..9,
        ),
        closed in prop::collection::btree_set(prop_oneof![Just("a"), Just("a/b"), Just("b")], 0..3),
    ) -> Root {
        let mut root = Root::new();
        for (parts, (kind, content, owner)) in leaves {
            let at = parts.join("/");
            let above: Vec<String> = path(&at).ancestors().map(|above| above.as_str().to_owned()).collect();
            let is_leaf = |at: &String| root.get(at).is_some_and(|node| node.what != What::Directory);
            if above.iter().any(is_leaf) || root.contains_key(&at) {
                continue;
            }
            for above in above {
                let mode = if closed.contains(above.as_str()) { 0o700 } else { 0o755 };
                root.entry(above).or_insert(directory(mode));
            }
            let (mode, what) = match kind {
                0 => (0o777, What::Link(format!("to/{}", content.len()))),
                1 => (0o1777, What::Directory),
                2 => (0o755, What::Directory),
                3 => (0o4755, What::File(content)),
                _ => (0o644, What::File(content)),
            };
            root.insert(at, Node { recorded: recorded(mode, owner), what });
        }
        root
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// The law of layers of changes: applied in order, they give the root that the last program left.
    #[test]
    fn layers_applied_in_order_give_the_tree(steps in prop::collection::vec(root(), 1..4)) {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let base = folder.path().join("base");
        write_nodes(&base, &steps[0]);
        let input = TreeInput {
            root: base.clone(),
            source: TreeSource { control: None, omit: BTreeSet::new(), out: store_path("base") },
            modes: Some(ModesRecord::of(modes(&steps[0])).expect("small owners")),
            package: None,
        };
        let layer = describe_trees(&request("base"), &[input], TreesOptions::default()).expect("a tree");
        let mut stacked = steps[0].clone();
        let mut layers = vec![layer];
        for (number, pair) in steps.windows(2).enumerate() {
            let output = folder.path().join(number.to_string());
            write_changes_between(&output, &pair[0], &pair[1]);
            let layer = described(&output).expect("changes");
            prop_assert_eq!(LayerDescription::parse(&layer.to_json()).expect("canonical"), layer.clone());
            unpack(&mut stacked, &tar_of(&layer, &output));
            prop_assert_eq!(&stacked, &pair[1]);
            layers.push(layer);
        }
        prop_assert_eq!(stack_check(&layers), Ok(()));
        // Elsewhere than on the root they were made on, removals are refused.
        let last = layers.pop().expect("at least one");
        if let Some(removed) = last.entries.iter().find(|entry| entry.is_removed()) {
            let path = removed.path.clone();
            prop_assert_eq!(stack_check(&[last]), Err(StackError::Absent { layer: "run-1".to_owned(), path }));
        }
    }
}

fn output(record: &str, files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary directory");
    fs::create_dir(folder.path().join(TREE_FOLDER)).expect("a directory");
    fs::write(folder.path().join(CHANGES_FILE), record).expect("writable");
    for file in files {
        let file = folder.path().join(TREE_FOLDER).join(file);
        fs::create_dir_all(file.parent().expect("below the tree")).expect("directories");
        fs::write(file, "text").expect("writable");
    }
    folder
}

/// GNU tar makes the same stream of these files: `tar --format=ustar -b1 --numeric-owner --mtime=@315532800
/// --no-recursion -c etc etc/.wh.motd etc/passwd .wh.usr`.
#[test]
fn the_layer_of_changes_has_fixed_bytes() {
    let record = concat!(
        r#"{"modes":{"etc":{"gid":0,"mode":"0700","uid":0},"etc/passwd":{"gid":5,"mode":"0640","uid":0}},"#,
        r#""removed":["etc/motd","usr"],"version":1}"#,
        "\n"
    );
    let folder = output(record, &["etc/passwd"]);
    let description = described(folder.path()).expect("changes");
    let rows: Vec<String> = description
        .entries
        .iter()
        .map(|entry| {
            let kind = match &entry.kind {
                EntryKind::Directory => "d",
                EntryKind::File { .. } => "f",
                EntryKind::Symlink { .. } => "l",
                EntryKind::Removed => return format!("r {}", entry.path),
            };
            format!(
                "{kind} {} {} {}",
                entry.recorded.mode, entry.recorded.gid, entry.path
            )
        })
        .collect();
    assert_eq!(
        rows,
        ["d 0700 0 etc", "r etc/motd", "f 0640 5 etc/passwd", "r usr"]
    );
    let tar = tar_of(&description, folder.path());
    let names: Vec<String> = ::tar::Archive::new(&*tar)
        .entries()
        .expect("tar")
        .map(|entry| {
            let entry = entry.expect("an entry");
            String::from_utf8(entry.path_bytes().into_owned()).expect("UTF-8")
        })
        .collect();
    assert_eq!(names, ["etc/", "etc/.wh.motd", "etc/passwd", ".wh.usr"]);
    assert_eq!(
        description.diff_id,
        DiffId(cognix_derivations::Sha256::of(&tar))
    );
    assert_eq!(
        description.diff_id.to_string(),
        "sha256:4289f22af995b84b9a8b5671fc7dee9a27f1f1ed192738c207773bc2bf7c1a35"
    );
    let text = String::from_utf8(description.to_json()).expect("JSON is text");
    assert!(text.ends_with("\"version\":2}\n"), "{text}");
    assert!(
        text.contains(r#"{"kind":"removed","path":"etc/motd"}"#),
        "{text}"
    );
    assert!(
        text.contains(r#""source":{"changes":"/nix/store/"#),
        "{text}"
    );
    let refused = text.replace("\"version\":2}", "\"version\":1}");
    assert!(LayerDescription::parse(refused.as_bytes()).is_err());
}

#[test]
fn refuses_what_no_step_leaves_behind() {
    let long = format!(
        r#"{{"modes":{{}},"removed":["{}"],"version":1}}{}"#,
        "n".repeat(252),
        "\n"
    );
    let mode = "{\"modes\":{\"a\":{\"gid\":0,\"mode\":\"0700\",\"uid\":0}},\"removed\":[],\"version\":1}\n";
    for (record, files, message) in [
        ("{\"version\":2}\n", &[][..], "version 2"),
        (
            "{\"modes\":{},\"removed\":[],\"version\":1}",
            &[],
            "not canonical",
        ),
        (
            "{\"modes\":{},\"removed\":[\"b\",\"a\"],\"version\":1}\n",
            &[],
            "not canonical",
        ),
        (
            "{\"modes\":{},\"removed\":[\"/a\"],\"version\":1}\n",
            &[],
            "not valid",
        ),
        (
            "{\"modes\":{},\"removed\":[],\"more\":0,\"version\":1}\n",
            &[],
            "not valid",
        ),
        (
            "{\"modes\":{},\"removed\":[\"a\"],\"version\":1}\n",
            &["a"],
            "a is removed and there at once",
        ),
        (
            "{\"modes\":{},\"removed\":[\"a/b/c\"],\"version\":1}\n",
            &["a/x"],
            "a directory that is not in the tree",
        ),
        (
            "{\"modes\":{},\"removed\":[],\"version\":1}\n",
            &["a/.wh.b"],
            "no image can hold it",
        ),
        (mode, &["b"], "name a, which is not in it"),
        (&long, &[], "longer than 255 bytes"),
    ] {
        let folder = output(record, files);
        let error = described(folder.path()).expect_err(record);
        let text = std::iter::successors(Some(&error as &dyn std::error::Error), |error| {
            error.source()
        })
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ");
        assert!(text.contains(message), "{record}: {text}");
    }
}
