//! `cognix nar` and `cognix derivation`: Nix's formats from the command line.

use std::io::Write;
use std::process::Stdio;

use crate::world::{World, fail, json, succeed, write};

#[test]
fn an_archive_becomes_the_tree_it_was_made_from() {
    let world = World::new();
    let tree = world.path("tree");
    std::fs::create_dir_all(tree.join("folder")).expect("writable");
    write(&tree.join("folder/file"), "contents\n");
    std::os::unix::fs::symlink("folder/file", tree.join("link")).expect("writable");
    let archive = succeed(world.cognix("store").args(["nar", "dump"]).arg(&tree)).stdout;

    let copy = world.path("copy");
    let mut restore = world.cognix("store");
    let mut child = restore
        .args(["nar", "restore"])
        .arg(&copy)
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(&archive).expect("the program reads");
    drop(stdin);
    assert!(child.wait().expect("our own child").success());

    let hash = |path| {
        json(
            world
                .cognix("store")
                .args(["nar", "hash", "--format", "json"])
                .arg(path),
        )
    };
    assert_eq!(hash(&tree), hash(&copy));
    assert_eq!(hash(&tree)["narSize"], archive.len());
    // What is there is not written over.
    let mut again = world.cognix("store");
    again
        .args(["nar", "restore"])
        .arg(&copy)
        .stdin(Stdio::null());
    fail(&mut again, 65);
}

#[test]
fn derivations_are_shown_as_nix_shows_them() {
    let world = World::new();
    let project = world.project("model", "alpha\n");
    let build = world.build("store", &project);
    let path = build["drvPath"]
        .as_str()
        .expect("a build prints its derivation");
    let from_store = json(world.cognix("store").args(["derivation", "show", path]));
    let from_project = json(
        world
            .cognix("other")
            .args(["derivation", "show", "--project"])
            .arg(&project),
    );
    assert_eq!(from_store, from_project);
    let all = json(
        world
            .cognix("store")
            .args(["derivation", "show", "--recursive", path]),
    );
    let count = all["derivations"]
        .as_object()
        .map_or(0, serde_json::Map::len);
    assert_eq!(build["stats"]["derivations"], count);
    let store_path = succeed(world.cognix("store").args(["store", "path", path])).stdout;
    assert!(
        String::from_utf8_lossy(&store_path)
            .trim_end()
            .ends_with(".drv")
    );
}
