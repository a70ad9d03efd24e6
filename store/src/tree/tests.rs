use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;

use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn refused(path: &Path, expected: &str) {
    let error = normalise(path, &Declared::default()).expect_err("refused");
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn nar_hashes_are_those_of_nix() {
    // `nix-hash --type sha256 --base16` of one file with the text "remember\n".
    let folder = folder();
    let file = folder.path().join("note.txt");
    fs::write(&file, "remember\n").expect("write");
    let scanned = normalise(&file, &Declared::default()).expect("scan");
    assert_eq!(
        scanned.nar_hash.to_string(),
        "cddfc30d00adc7b768f63b9d71d4d321008c02b75205dfe694d053194e5d8b2d"
    );
    assert_eq!(scanned.nar_size, 128);
}

#[test]
fn references_are_found_across_chunks() {
    let folder = folder();
    let candidates: BTreeSet<StorePath> = ["1", "2", "3"]
        .map(|digit| StorePath::from_base_name(&format!("{}-x", digit.repeat(32))).expect("valid"))
        .into();
    fs::write(
        folder.path().join("file"),
        format!("{}{}", "x".repeat(CHUNK - 100), "1".repeat(32)),
    )
    .expect("write");
    std::os::unix::fs::symlink("2".repeat(32), folder.path().join("link")).expect("link");
    let declared = Declared {
        candidates,
        only: false,
    };
    let scanned = normalise(folder.path(), &declared).expect("scan");
    let found: Vec<&str> = scanned
        .references
        .iter()
        .map(StorePath::hash_part)
        .collect();
    assert_eq!(found, ["1".repeat(32), "2".repeat(32)]);
}

#[test]
fn all_8_only_files_folders_and_links() {
    let folder = folder();
    let pipe = folder.path().join("pipe");
    rustix::fs::mkfifoat(CWD, &pipe, Mode::RWXU).expect("a pipe");
    refused(folder.path(), "it is a pipe");
}

#[test]
fn lim_1_depth_is_bounded() {
    let folder = folder();
    let deep =
        |levels: usize| (0..levels).fold(folder.path().join("top"), |path, _| path.join("d"));
    fs::create_dir_all(deep(62)).expect("create");
    normalise(&folder.path().join("top"), &Declared::default()).expect("64 levels");
    fs::set_permissions(deep(62), fs::Permissions::from_mode(0o755)).expect("chmod");
    fs::create_dir_all(deep(64)).expect("create");
    refused(&folder.path().join("top"), "more than 64 levels");
}

#[test]
fn box_6_links_from_outside_are_refused_and_those_inside_kept() {
    let folder = folder();
    let (outside, tree) = (folder.path().join("outside"), folder.path().join("tree"));
    fs::write(&outside, "text").expect("write");
    fs::create_dir(&tree).expect("create");
    fs::hard_link(&outside, tree.join("one")).expect("link");
    refused(&tree, "hard-linked from outside");
    fs::remove_file(&outside).expect("remove");
    fs::hard_link(tree.join("one"), tree.join("two")).expect("link");
    normalise(&tree, &Declared::default()).expect("all names are inside");
    // What is normal already does not change, so it may be shared with another store path.
    fs::hard_link(tree.join("one"), &outside).expect("link");
    normalise(&tree, &Declared::default()).expect("nothing has to be changed");
}

#[test]
fn all_9_attributes_are_removed_and_unreadable_files_read() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "text").expect("write");
    let set = rustix::fs::setxattr(&file, "user.note", b"x", rustix::fs::XattrFlags::empty());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).expect("chmod");
    normalise(folder.path(), &Declared::default()).expect("normalise");
    let left = rustix::fs::listxattr(&file, &mut [] as &mut [u8]).expect("list");
    // Some file systems have no attributes at all; then there is none to remove.
    assert_eq!((set.is_ok(), left).1, 0);
    assert!(inspect(folder.path()).expect("inspect").deviations.len() <= 1);
}

#[test]
fn inspecting_changes_nothing_and_says_what_is_not_normal() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "text").expect("write");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("chmod");
    let scanned = inspect(&file).expect("inspect");
    assert_eq!(scanned.deviations.len(), 1);
    assert!(
        scanned.deviations[0].contains("0640"),
        "{:?}",
        scanned.deviations
    );
    let mode = fs::metadata(&file).expect("metadata").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

/// A tree as a value.
#[derive(Debug, Clone)]
enum Model {
    File(bool, Vec<u8>),
    Link(Vec<u8>),
    Folder(BTreeMap<Vec<u8>, Self>),
}

fn models() -> impl Strategy<Value = Model> {
    let name = || {
        prop::collection::vec(1_u8.., 1..20).prop_filter("a name", |name| {
            !name.contains(&b'/') && name != b"." && name != b".."
        })
    };
    let leaf = prop_oneof![
        (any::<bool>(), prop::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(executable, bytes)| Model::File(executable, bytes)),
        prop::collection::vec(1_u8.., 1..50).prop_map(Model::Link),
    ];
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop::collection::btree_map(name(), inner, 0..5).prop_map(Model::Folder)
    })
}

fn write(model: &Model, place: &Path) {
    match model {
        Model::File(executable, bytes) => {
            fs::write(place, bytes).expect("write");
            let mode = if *executable { 0o700 } else { 0o600 };
            fs::set_permissions(place, fs::Permissions::from_mode(mode)).expect("chmod");
        }
        Model::Link(target) => {
            std::os::unix::fs::symlink(OsStr::from_bytes(target), place).expect("link");
        }
        Model::Folder(entries) => {
            fs::create_dir(place).expect("create");
            for (name, entry) in entries {
                write(entry, &place.join(OsStr::from_bytes(name)));
            }
        }
    }
}

fn encode(model: &Model, name: Option<&[u8]>, archive: &mut Encoder<Vec<u8>>) {
    match model {
        Model::File(executable, bytes) => archive.regular_bytes(name, *executable, bytes),
        Model::Link(target) => archive.symlink(name, target),
        Model::Folder(entries) => {
            archive.start_directory(name).expect("a folder");
            for (name, entry) in entries {
                encode(entry, Some(name), archive);
            }
            archive.end_directory()
        }
    }
    .expect("an archive");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is on disk has the archive of what was meant to be there, before and after it is made normal.
    #[test]
    fn store_4_a_tree_on_disk_has_the_archive_of_its_model(model in models()) {
        let folder = folder();
        let place = folder.path().join("tree");
        write(&model, &place);
        let mut archive = Encoder::new(Vec::new()).expect("an archive");
        encode(&model, None, &mut archive);
        let archive = archive.finish().expect("complete");
        for scanned in [inspect(&place), normalise(&place, &Declared::default()), inspect(&place)] {
            let scanned = scanned.expect("scan");
            prop_assert_eq!(scanned.nar_hash, Sha256::of(&archive));
            prop_assert_eq!(scanned.nar_size, archive.len() as u64);
        }
    }
}
