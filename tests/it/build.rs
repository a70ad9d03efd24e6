//! `cognix build`: what changes an image and what does not.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::world::wheels::{self, Wheel};
use crate::world::{World, fail, json, succeed, write};

fn digest(build: &Value) -> &str {
    build["image"]["digest"]
        .as_str()
        .expect("a build prints the image's digest")
}

/// Layer digests by layer name.
fn layers(build: &Value) -> BTreeMap<String, String> {
    let layers = build["layers"]
        .as_array()
        .expect("a build prints its layers");
    let pair = |layer: &Value| {
        Some((
            layer["name"].as_str()?.to_owned(),
            layer["digest"].as_str()?.to_owned(),
        ))
    };
    layers
        .iter()
        .map(|layer| pair(layer).expect("a layer has name and digest"))
        .collect()
}

fn changed(before: &Value, after: &Value) -> Vec<String> {
    let (before, after) = (layers(before), layers(after));
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>()
    );
    after
        .into_iter()
        .filter(|(name, digest)| before[name] != *digest)
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn a_second_build_changes_nothing_and_asks_nobody() {
    let world = World::new();
    let project = world.project("model", "alpha\n");
    let first = world.build("store", &project);
    world.server.take_requests();
    let second = world.build("store", &project);
    assert_eq!(digest(&first), digest(&second));
    assert_eq!(world.server.take_requests(), Vec::<String>::new());
    assert_eq!(second["stats"]["built"], 0);
}

#[test]
fn every_wheel_has_a_layer_of_its_own() {
    let world = World::new();
    let build = world.build("store", &world.project("model", "alpha\n"));
    let names: Vec<String> = layers(&build).into_keys().collect();
    for wheel in ["alpha", "beta", "cog", "coglet"] {
        assert!(
            names.iter().any(|name| name == wheel),
            "{wheel} has no layer: {names:?}"
        );
    }
}

/// As tensorflow and tensorboard do: the command of both is the same file, and RECORD does not list it.
#[test]
fn a_command_of_two_packages_is_in_one_layer() {
    let world = World::new();
    let wheel = |name: &str| {
        let entry_points = "[console_scripts]\nboard = board.main:run\n";
        Wheel::new(name, "1.0").file(
            &format!("{name}-1.0.dist-info/entry_points.txt"),
            entry_points,
        )
    };
    wheels::publish(&world.server, &[wheel("board"), wheel("flow")]);
    let project = world.project("model", "board\nflow\n");
    world.build("store", &project);
    let lock = std::fs::read_to_string(project.join("cognix.lock")).expect("a lock");
    assert_eq!(lock.matches("\"venv/bin/board\"").count(), 1, "{lock}");
}

#[test]
fn an_image_keeps_to_its_budget_of_layers() {
    let world = World::new();
    let project = world.project("model", "alpha\n");
    let file = project.join("cognix.nix");
    let spec = std::fs::read_to_string(&file).expect("readable");
    let build = |budget: &str| {
        write(
            &file,
            spec.replacen('{', &format!("{{ layers.budget = {budget};"), 1),
        );
        // The budget is part of what a lock answers.
        std::fs::remove_file(project.join("cognix.lock")).ok();
        world.build("store", &project)
    };
    let wheels = |build: &Value| {
        let names = layers(build).into_keys();
        names.filter(|name| name.starts_with("wheels-")).count()
    };
    let (roomy, narrow) = (build("100"), build("8"));
    assert_eq!(wheels(&roomy), 0);
    assert!(
        wheels(&narrow) > 0 && layers(&narrow).len() <= 8,
        "{narrow}"
    );
    write(&file, spec.replacen('{', "{ layers.budget = 3;", 1));
    let text = fail(world.cognix("store").arg("build").arg(&project), 78);
    assert!(text.contains("layers.budget was 8, is 3"), "{text}");
    std::fs::remove_file(project.join("cognix.lock")).expect("the stale lock");
    let text = fail(world.cognix("store").arg("build").arg(&project), 78);
    assert!(text.contains("raise layers.budget"), "{text}");
}

#[test]
fn one_changed_line_moves_the_source_layer_alone() {
    let world = World::new();
    let project = world.project("model", "alpha\n");
    let before = world.build("store", &project);
    write(
        &project.join("predict.py"),
        "def predict(text: str) -> str:\n    return text.upper()\n",
    );
    let after = world.build("store", &project);
    assert_eq!(changed(&before, &after), ["source"]);
    assert_ne!(digest(&before), digest(&after));
    assert_ne!(before["config"]["digest"], after["config"]["digest"]);
}

#[test]
fn one_bumped_package_moves_its_layer_alone() {
    let world = World::new();
    let project = world.project("model", "alpha\n");
    let before = world.build("store", &project);
    world.publish_wheels("1.1");
    succeed(
        world
            .cognix("store")
            .args(["lock", "--update"])
            .arg(&project),
    );
    let after = world.build("store", &project);
    assert_eq!(changed(&before, &after), ["alpha"]);
}

/// The promise: nothing of the machine, the user or the moment reaches a digest.
#[test]
fn two_builds_under_different_circumstances_are_the_same_bytes() {
    let world = World::new();
    let first = world.project("one", "alpha\n");
    succeed(world.cognix("store-1").arg("lock").arg(&first));
    let second = world.path("elsewhere/far/away");
    copy_in_reverse(&first, &second);

    let mut build = world.cognix("store-1");
    build
        .env("TZ", "Pacific/Kiritimati")
        .env("LANG", "C")
        .args(["build", "--locked", "--jobs", "1", "-o"]);
    let (layout_1, layout_2) = (world.path("layout-1"), world.path("layout-2"));
    succeed(
        build
            .arg(format!("oci:{}:latest", layout_1.display()))
            .arg(&first),
    );

    let mut shell = std::process::Command::new("sh");
    shell
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", world.path("another-home"))
        .env("TZ", "America/St_Johns")
        .env("LANG", "tr_TR.UTF-8")
        .env("LC_ALL", "tr_TR.UTF-8")
        .args([
            "-c",
            "umask 077; exec \"$@\"",
            "sh",
            crate::world::COGNIX,
            "--store",
        ])
        .arg(world.path("store-2"))
        .args(["build", "--locked", "--jobs", "7", "-o"])
        .arg(format!("oci:{}:latest", layout_2.display()))
        .arg(&second);
    succeed(&mut shell);
    assert_same_files(&layout_1, &layout_2);
}

/// Copies a project file by file in reverse order of names, with other times and modes.
pub(crate) fn copy_in_reverse(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a writable folder");
    let mut names: Vec<_> = std::fs::read_dir(from)
        .expect("readable")
        .map(|entry| entry.expect("readable").file_name())
        .collect();
    names.sort();
    for name in names.into_iter().rev() {
        std::fs::copy(from.join(&name), to.join(&name)).expect("writable");
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(to.join(&name), private).expect("our own file");
    }
}

pub(crate) fn assert_same_files(one: &Path, other: &Path) {
    let (one, other) = (files(one), files(other));
    assert_eq!(
        one.keys().collect::<Vec<_>>(),
        other.keys().collect::<Vec<_>>()
    );
    for (name, bytes) in &one {
        assert!(*bytes == other[name], "{name} differs");
    }
}

/// Every file below a folder by its relative name.
pub(crate) fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path
                    .strip_prefix(root)
                    .expect("below the root")
                    .to_string_lossy()
                    .into_owned();
                found.insert(name, std::fs::read(&path).expect("readable"));
            }
        }
    }
    found
}

#[test]
fn a_stale_lock_is_refused_with_what_changed() {
    let world = World::new();
    let project = world.project("model", "beta\n");
    world.build("store", &project);
    let lock = std::fs::read(project.join("cognix.lock")).expect("a build makes the lock");
    write(&project.join("requirements.txt"), "alpha\n");
    let text = crate::world::fail(world.cognix("store").arg("build").arg(&project), 78);
    assert!(
        text.contains("added requirement alpha") && text.contains("cognix lock"),
        "{text}"
    );
    assert_eq!(
        std::fs::read(project.join("cognix.lock")).expect("still there"),
        lock
    );
}

#[test]
fn locked_builds_never_make_a_lock() {
    let world = World::new();
    let project = world.project("model", "beta\n");
    let text = crate::world::fail(
        world
            .cognix("store")
            .args(["build", "--locked"])
            .arg(&project),
        78,
    );
    assert!(text.contains("cognix.lock"), "{text}");
    assert!(!project.join("cognix.lock").exists());
}

#[test]
fn locking_twice_gives_the_same_bytes() {
    let world = World::new();
    let project = world.project("model", "alpha\n");
    let mut locks = Vec::new();
    for _ in 0..2 {
        let _ = std::fs::remove_file(project.join("cognix.lock"));
        succeed(
            world
                .cognix("store")
                .args(["lock", "--exclude-newer", "2025-06-01"])
                .arg(&project),
        );
        locks
            .push(std::fs::read_to_string(project.join("cognix.lock")).expect("locking writes it"));
    }
    assert_eq!(locks[0], locks[1]);
    assert!(
        !locks[0].contains("127.0.0.1"),
        "an address stands in the lock"
    );
}

#[test]
fn the_plan_names_layers_and_downloads_before_anything_is_built() {
    let world = World::new();
    let project = world.project("model", "alpha\n");
    let plan = json(
        world
            .cognix("store")
            .args(["plan", "--format", "json"])
            .arg(&project),
    );
    assert!(
        plan["fetch"]["files"]
            .as_u64()
            .is_some_and(|files| files > 10),
        "{plan}"
    );
    let names: Vec<&str> = plan["layers"]
        .as_array()
        .expect("layers")
        .iter()
        .filter_map(|layer| layer["name"].as_str())
        .collect();
    assert!(
        names.contains(&"alpha") && names.contains(&"source"),
        "{names:?}"
    );
}
