//! The help of the whole program, held in one file so that a changed option is seen in review.
//!
//! After a change that is meant, run the test with `COGNIX_BLESS=1` and look at the difference.

use std::path::Path;

#[test]
fn the_help_is_as_reviewed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/help.txt");
    let help = cognix::cli::help();
    if std::env::var_os("COGNIX_BLESS").is_some() {
        std::fs::write(&path, &help).expect("the sources are writable");
    }
    let reviewed = std::fs::read_to_string(&path).expect("the reviewed help is there");
    assert!(
        help == reviewed,
        "the help differs from tests/it/help.txt; it is now:\n{help}"
    );
}

#[test]
fn global_options_go_before_and_after_the_command() {
    let world = crate::world::World::new();
    let root = world.path("store");
    for arguments in [
        vec!["--format", "json", "store", "path"],
        vec!["store", "path", "--format", "json"],
        vec!["store", "--format", "json", "path"],
    ] {
        let mut command = world.cognix("store");
        let printed = crate::world::json(command.args(arguments));
        assert_eq!(printed["path"], root.to_string_lossy().as_ref());
    }
}

#[test]
fn wrong_use_has_its_own_status() {
    let world = crate::world::World::new();
    crate::world::fail(world.cognix("store").arg("biuld"), 2);
}

#[test]
fn a_broken_model_shows_every_mistake_with_its_place() {
    let world = crate::world::World::new();
    let project = world.project("model", "alpha\n");
    crate::world::write(
        &project.join("cog.yaml"),
        "build:\n  python_version: \"3.9\"\n  cuda: \"x\"\npredict: nothing\n",
    );
    let text = crate::world::fail(world.cognix("store").arg("build").arg(&project), 78);
    for place in ["cog.yaml:2:", "cog.yaml:3:", "cog.yaml:4:"] {
        assert!(text.contains(place), "{place} is not in:\n{text}");
    }
    let printed = world
        .cognix("store")
        .args(["config", "--format", "json"])
        .arg(&project)
        .output()
        .expect("the program starts");
    assert_eq!(printed.status.code(), Some(78));
    let errors: serde_json::Value = serde_json::from_slice(&printed.stdout).expect("JSON");
    assert_eq!(errors["errors"].as_array().map(Vec::len), Some(3));
}
