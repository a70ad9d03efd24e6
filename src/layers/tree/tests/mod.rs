mod ownership;

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;
use cognix_derivations::Sha256;

use crate::layers::{
    EntryKind, Recipe,
    modes::{Mode, RecordedKind},
    plan::Problem,
    write,
};

/// A tree in a temporary directory: `d:path`, `f:path=content`, `x:path=content` (executable), `l:path>target`.
struct Case {
    directory: tempfile::TempDir,
    input: TreeInput,
}

impl Case {
    fn new(name: &str, rows: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = directory.path().join("out");
        fs::create_dir(&root).expect("a directory");
        for row in rows {
            write_row(&root, row);
        }
        let out = StorePath::parse(&format!("/nix/store/{}-{name}", "0".repeat(32)))
            .expect("a store path");
        let source = TreeSource {
            control: None,
            omit: BTreeSet::new(),
            out,
        };
        Self {
            input: TreeInput {
                root,
                source,
                modes: None,
                package: Some(name.to_owned()),
            },
            directory,
        }
    }

    fn mode(mut self, path: &str, kind: RecordedKind, mode: u32, gid: u32) -> Self {
        let modes = self.input.modes.get_or_insert_default();
        modes
            .record(image_path(path), kind, mode, 0, gid)
            .expect("a mode");
        self
    }
}

fn write_row(root: &Path, row: &str) {
    let (kind, rest) = row.split_at(2);
    let (path, what) = rest.split_once(['=', '>']).unwrap_or((rest, ""));
    let path = root.join(path);
    let parent = path.parent().expect("below the root");
    fs::create_dir_all(parent).expect("a directory");
    match kind {
        "d:" => fs::create_dir_all(&path).expect("a directory"),
        "l:" => std::os::unix::fs::symlink(what, &path).expect("a link"),
        _ => {
            fs::write(&path, what).expect("a file");
            let mode = if kind == "x:" { 0o555 } else { 0o444 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        }
    }
}

fn image_path(path: &str) -> ImagePath {
    ImagePath::parse(path).expect("a path")
}

fn describe_below(
    prefix: Option<&str>,
    omit: &[&str],
    cases: &[&Case],
) -> Result<LayerDescription, LayerError> {
    let request = LayerRequest {
        time: crate::layers::Timestamp::default(),
        name: "base",
        recipe: Recipe::FOR_TREES,
        cancelled: &|| false,
    };
    let inputs: Vec<_> = cases.iter().map(|case| case.input.clone()).collect();
    let omit = omit.iter().map(|path| image_path(path)).collect();
    let options = TreesOptions {
        prefix: prefix.map(image_path),
        omit,
        ..TreesOptions::default()
    };
    describe_trees(&request, &inputs, options)
}

fn describe(cases: &[&Case]) -> Result<LayerDescription, LayerError> {
    describe_below(None, &[], cases)
}

/// What the entries are, as the rows of a case, with the mode in front where it is not ordinary.
fn rows(description: &LayerDescription) -> Vec<String> {
    let row = |entry: &Entry| {
        let row = match &entry.kind {
            EntryKind::Directory => format!("d:{}", entry.path),
            EntryKind::Symlink { target } => format!("l:{}>{target}", entry.path),
            EntryKind::File { size, .. } => format!("f:{}#{size}", entry.path),
            EntryKind::Removed => format!("r:{}", entry.path),
        };
        let ordinary = match entry.kind {
            EntryKind::Directory => Mode::EXECUTABLE,
            EntryKind::Symlink { .. } => Mode::LINK,
            EntryKind::File { .. } | EntryKind::Removed => Mode::PLAIN,
        };
        let (mode, gid) = (entry.recorded.mode, entry.recorded.gid);
        if mode == ordinary && gid == 0 {
            row
        } else {
            format!("{mode}:{gid} {row}")
        }
    };
    description.entries.iter().map(row).collect()
}

/// Any order of the trees gives these rows, and the same bytes.
fn check(trees: &[&[&str]], expected: &[&str]) {
    let cases: Vec<_> = trees
        .iter()
        .enumerate()
        .map(|(at, rows)| Case::new(&format!("tree{at}"), rows))
        .collect();
    let forward: Vec<_> = cases.iter().collect();
    let backward: Vec<_> = cases.iter().rev().collect();
    let description = describe(&forward).expect("trees that go together");
    assert_eq!(rows(&description), expected, "{trees:?}");
    let other = describe(&backward).expect("trees that go together");
    assert_eq!(other.digest, description.digest, "{trees:?} backwards");
}

fn refused(trees: &[&[&str]], expected: (&str, Problem)) {
    let cases: Vec<_> = trees
        .iter()
        .enumerate()
        .map(|(at, rows)| Case::new(&format!("tree{at}"), rows))
        .collect();
    for cases in [[&cases[0], &cases[1]], [&cases[1], &cases[0]]] {
        match describe(&cases) {
            Err(LayerError::Conflict(conflict)) => {
                assert_eq!(
                    (conflict.path.as_str(), conflict.problem),
                    expected,
                    "{trees:?}"
                );
                let owners = BTreeSet::from([conflict.first.as_str(), conflict.second.as_str()]);
                assert_eq!(owners, BTreeSet::from(["tree0", "tree1"]), "{trees:?}");
            }
            other => panic!("{trees:?}: expected a conflict, got {other:?}"),
        }
    }
}

#[test]
fn directories_merge_and_equal_files_are_shared() {
    check(
        &[
            &["f:etc/a=1", "x:bin/tool=run"],
            &["f:etc/b=22", "x:bin/tool=run", "l:etc/link>a"],
            &["l:etc/link>a"],
        ],
        &[
            "d:bin",
            "0755:0 f:bin/tool#3",
            "d:etc",
            "f:etc/a#1",
            "f:etc/b#2",
            "l:etc/link>a",
        ],
    );
}

#[test]
fn entries_are_sorted_by_the_bytes_of_their_paths() {
    check(
        &[&["f:a/b=1", "f:a-b=1", "f:a.b=1", "f:a0=1", "f:B=1", "f:é=1"]],
        &[
            "f:B#1", "d:a", "f:a-b#1", "f:a.b#1", "f:a/b#1", "f:a0#1", "f:é#1",
        ],
    );
}

#[test]
fn rec_5_different_files_are_a_named_conflict() {
    refused(
        &[&["f:etc/a=1"], &["f:etc/a=2"]],
        ("etc/a", Problem::Content),
    );
    refused(
        &[&["f:etc/a=1"], &["f:etc/a=11"]],
        ("etc/a", Problem::Content),
    );
    refused(
        &[&["f:etc/a=1"], &["x:etc/a=1"]],
        ("etc/a", Problem::Metadata),
    );
    refused(
        &[&["l:etc/a>x"], &["l:etc/a>y"]],
        ("etc/a", Problem::Target),
    );
    refused(&[&["f:etc/a=x"], &["l:etc/a>x"]], ("etc/a", Problem::Kind));
    refused(&[&["f:etc=x"], &["f:etc/a=1"]], ("etc", Problem::Kind));
    let message = describe(&[
        &Case::new("libc6-2.36", &["f:a=1"]),
        &Case::new("musl-1.2", &["f:a=2"]),
    ]);
    let message = message.expect_err("two files").to_string();
    assert_eq!(
        message,
        "a comes from libc6-2.36 and from musl-1.2 with different content; layers.conflicts = { \"a\" = \"PACKAGE\"; }; in \
         cognix.nix says which package keeps it"
    );
}

#[test]
fn deb_7_a_directory_over_a_link_resolves_inside_the_root() {
    for target in ["usr/bin", "/usr/bin", "./usr//bin/", "../../usr/lib/../bin"] {
        let link = format!("l:bin>{target}");
        check(
            &[
                &[&link, "x:usr/bin/ls=ls"],
                &["x:bin/sh=dash", "l:bin/rsh>sh"],
            ],
            &[
                "l:bin>".to_owned() + target,
                "d:usr".into(),
                "d:usr/bin".into(),
            ]
            .iter()
            .map(String::as_str)
            .chain([
                "0755:0 f:usr/bin/ls#2",
                "l:usr/bin/rsh>sh",
                "0755:0 f:usr/bin/sh#4",
            ])
            .collect::<Vec<_>>(),
        );
    }
}

#[test]
fn deb_7_links_lead_through_links_and_to_places_nobody_has_yet() {
    // `lib` is a link to a link, and what it leads to is in no tree.
    check(
        &[
            &["l:lib>lib64", "l:lib64>usr/lib"],
            &["f:lib/a.so=1"],
            &["f:lib64/b.so=2"],
        ],
        &[
            "l:lib>lib64",
            "l:lib64>usr/lib",
            "d:usr",
            "d:usr/lib",
            "f:usr/lib/a.so#1",
            "f:usr/lib/b.so#1",
        ],
    );
    // A link below a directory that moves is met where it comes to lie.
    check(
        &[
            &["l:lib>usr/lib"],
            &["l:lib/x86>../x", "d:lib/y"],
            &["f:usr/lib/x86/c=3"],
        ],
        &[
            "l:lib>usr/lib",
            "d:usr",
            "d:usr/lib",
            "l:usr/lib/x86>../x",
            "d:usr/lib/y",
            "d:usr/x",
            "f:usr/x/c#1",
        ],
    );
    // A link to the root: what lies below it lies at the root.
    check(&[&["l:here>."], &["f:here/a=1"]], &["f:a#1", "l:here>."]);
    check(
        &[&["l:here>/.."], &["f:here/a=1", "f:b=1"]],
        &["f:a#1", "f:b#1", "l:here>/.."],
    );
}

#[test]
fn deb_7_links_to_files_and_in_circles_are_refused() {
    refused(
        &[&["l:bin>file", "f:file=1"], &["f:bin/a=1"]],
        ("file", Problem::Kind),
    );
    refused(
        &[&["l:bin>file/below", "f:file=1"], &["f:bin/a=1"]],
        ("file", Problem::Kind),
    );
    let (circle, below) = (
        Case::new("circle", &["l:a>b", "l:b>a"]),
        Case::new("below", &["f:a/x=1"]),
    );
    let error = describe(&[&circle, &below]).expect_err("a circle");
    assert!(matches!(error, LayerError::Links { .. }), "{error}");
    let (chain, below) = (
        Case::new("chain", &["l:a>a/b"]),
        Case::new("below", &["f:a/x=1"]),
    );
    let error = describe(&[&chain, &below]).expect_err("a link below itself");
    assert!(matches!(error, LayerError::Links { .. }), "{error}");
}

#[test]
fn deb_7_files_that_meet_through_a_link_are_compared() {
    refused(
        &[&["l:bin>usr/bin", "x:usr/bin/sh=1"], &["x:bin/sh=2"]],
        ("usr/bin/sh", Problem::Content),
    );
    check(
        &[&["l:bin>usr/bin", "x:usr/bin/sh=1"], &["x:bin/sh=1"]],
        &[
            "l:bin>usr/bin",
            "d:usr",
            "d:usr/bin",
            "0755:0 f:usr/bin/sh#1",
        ],
    );
}

#[test]
fn deb_6_recorded_modes_and_owners_are_applied() {
    let one = Case::new(
        "one",
        &[
            "f:etc/shadow=root",
            "x:usr/bin/su=elf",
            "d:tmp",
            "d:var/mail",
            "l:l>tmp",
        ],
    )
    .mode("etc/shadow", RecordedKind::File, 0o640, 42)
    .mode("usr/bin/su", RecordedKind::File, 0o4755, 0)
    .mode("tmp", RecordedKind::Directory, 0o1777, 0)
    .mode("l", RecordedKind::Symlink, 0o777, 7);
    let two = Case::new("two", &["d:tmp", "d:var/mail"])
        .mode("tmp", RecordedKind::Directory, 0o700, 0)
        .mode("var/mail", RecordedKind::Directory, 0o2775, 8);
    let expected = [
        "d:etc",
        "0640:42 f:etc/shadow#4",
        "0777:7 l:l>tmp",
        "1777:0 d:tmp",
        "d:usr",
        "d:usr/bin",
        "4755:0 f:usr/bin/su#3",
        "d:var",
        "2775:8 d:var/mail",
    ];
    assert_eq!(rows(&describe(&[&one, &two]).expect("trees")), expected);
}

#[test]
fn deb_6_modes_of_another_tree_are_refused() {
    let case = Case::new("one", &["d:tmp"]).mode("var/tmp", RecordedKind::Directory, 0o1777, 0);
    let error = describe(&[&case]).expect_err("no such path").to_string();
    assert_eq!(error, "modes of one name var/tmp, which is not in it");
}

#[test]
fn modes_are_read_from_the_control_output() {
    let mut case = Case::new("one", &["d:tmp"]);
    let control = case.directory.path().join("control");
    fs::create_dir(&control).expect("a directory");
    let control_path =
        StorePath::parse(&format!("/nix/store/{}-control", "1".repeat(32))).expect("a store path");
    case.input.source.control = Some(control_path.clone());
    let root = case.input.root.clone();
    let locate = |path: &StorePath| {
        if *path == control_path {
            control.clone()
        } else {
            root.clone()
        }
    };
    let load = || TreeInput::load(case.input.source.clone(), &locate);
    assert!(
        load()
            .expect("no record")
            .modes
            .is_some_and(|modes| modes.is_empty())
    );

    let text = "{\"entries\":{\"tmp\":{\"gid\":0,\"mode\":\"1777\",\"uid\":0}},\"version\":1}\n";
    fs::write(control.join("modes.json"), text).expect("a file");
    let request = LayerRequest {
        time: crate::layers::Timestamp::default(),
        name: "base",
        recipe: Recipe::FOR_TREES,
        cancelled: &|| false,
    };
    let description = describe_trees(
        &request,
        &[load().expect("a record")],
        TreesOptions::default(),
    )
    .expect("a tree");
    assert_eq!(rows(&description), ["1777:0 d:tmp"]);
    assert!(write(&description, &locate, &mut io::sink()).is_ok());

    fs::write(control.join("modes.json"), "{}").expect("a file");
    assert!(matches!(load(), Err(LayerError::Modes { .. })));
}

#[test]
fn a_prefix_is_a_directory_even_without_files() {
    let case = Case::new("source", &["f:predict.py=code", "l:link>predict.py"]);
    let description = describe_below(Some("opt/src"), &[], &[&case]).expect("a tree");
    assert_eq!(
        rows(&description),
        [
            "d:opt",
            "d:opt/src",
            "l:opt/src/link>predict.py",
            "f:opt/src/predict.py#4"
        ]
    );
    let description =
        describe_below(Some("src"), &[], &[&Case::new("source", &[])]).expect("a tree");
    assert_eq!(rows(&description), ["d:src"]);
}

#[test]
fn a_tree_may_be_a_single_file() {
    let mut case = Case::new("model.bin", &["f:content=weights"]);
    case.input.root = case.input.root.join("content");
    for (prefix, path) in [
        (None, "model.bin"),
        (Some("opt/x"), "opt/x/model.bin"),
        (Some("opt/model.bin"), "opt/model.bin"),
    ] {
        let description = describe_below(prefix, &[], &[&case]).expect("a file");
        let rows = rows(&description);
        assert_eq!(rows.last(), Some(&format!("f:{path}#7")));
        assert!(
            rows[..rows.len() - 1]
                .iter()
                .all(|row| row.starts_with("d:"))
        );
    }
}

#[test]
fn omitted_files_are_left_to_another_layer() {
    let case = Case::new("one", &["f:a/b=1", "l:a/c>b", "f:d=1"]);
    let description = describe_below(None, &["a/b", "a/c"], &[&case]).expect("a tree");
    assert_eq!(rows(&description), ["d:a", "f:d#1"]);
    for absent in ["a", "x", "a/b/c"] {
        let error = describe_below(None, &[absent], &[&case]).expect_err(absent);
        assert!(
            matches!(error, LayerError::Omit { .. }),
            "{absent}: {error}"
        );
    }
}

#[test]
fn deb_4_hard_links_are_files_of_their_own() {
    let case = Case::new("one", &["f:a=same"]);
    let root = &case.input.root;
    fs::hard_link(root.join("a"), root.join("b")).expect("a hard link");
    assert_eq!(
        rows(&describe(&[&case]).expect("a tree")),
        ["f:a#4", "f:b#4"]
    );
}

#[test]
fn all_8_what_a_layer_cannot_carry_is_refused() {
    let case = Case::new("one", &["d:run"]);
    let _socket =
        std::os::unix::net::UnixListener::bind(case.input.root.join("run/s")).expect("a socket");
    let error = describe(&[&case]).expect_err("a socket").to_string();
    assert_eq!(
        error,
        "run/s in one is a socket, expected a file, a directory or a symbolic link"
    );
    let case = Case::new("one", &[]);
    let name = std::os::unix::ffi::OsStrExt::from_bytes(b"latin-\xe9".as_slice());
    fs::write(case.input.root.join::<&std::ffi::OsStr>(name), "").expect("a file");
    let error = describe(&[&case]).expect_err("not UTF-8").to_string();
    assert!(error.contains("in one is not UTF-8"), "{error}");
}

#[test]
fn the_bytes_are_made_again_or_refused() {
    let case = Case::new("one", &["f:a/b=content", "x:tool=run", "l:link>a"]);
    let description = describe(&[&case]).expect("a tree");
    let mut bytes = Vec::new();
    write(&description, &|_| case.input.root.clone(), &mut bytes).expect("the same bytes");
    assert_eq!(Sha256::of(&bytes), description.digest.0);
    let mut tar = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes.as_slice())
        .read_to_end(&mut tar)
        .expect("gzip");
    assert_eq!(
        (Sha256::of(&tar), tar.len() as u64),
        (description.diff_id.0, description.uncompressed_size)
    );

    write_row(&case.input.root, "f:new=1");
    let error = write(&description, &|_| case.input.root.clone(), &mut io::sink())
        .expect_err("another tree");
    assert!(matches!(error, LayerError::Differs { .. }), "{error}");
    let error = write(
        &description,
        &|_| case.input.root.clone(),
        &mut [0; 9].as_mut_slice(),
    )
    .expect_err("no room");
    assert_eq!(error.to_string(), "cannot write layer base");
}

#[test]
fn a_file_that_changes_under_the_reader_is_an_error() {
    let case = Case::new("one", &["f:a=four"]);
    let request = LayerRequest {
        time: crate::layers::Timestamp::default(),
        name: "base",
        recipe: Recipe::FOR_TREES,
        cancelled: &|| false,
    };
    let path = case.input.root.join("a");
    for promised in [3, 5] {
        let result =
            stream::write_content(&request, &path, promised, &mut io::sink(), &mut [0; 16]);
        assert!(
            matches!(result, Err(LayerError::Changed { .. })),
            "{promised} bytes"
        );
    }
    let request = LayerRequest {
        time: crate::layers::Timestamp::default(),
        cancelled: &|| true,
        ..request
    };
    assert!(matches!(
        describe_trees(&request, &[case.input], TreesOptions::default()),
        Err(LayerError::Cancelled)
    ));
}
