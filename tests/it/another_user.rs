//! The promise across users: what an ordinary user builds is what root builds.
//!
//! Needs root, to become somebody else, and `setpriv` of Debian's util-linux.

use crate::build::assert_same_files;
use crate::world::somebody::Somebody;
use crate::world::{World, succeed};

#[test]
fn an_ordinary_user_builds_the_same_bytes_as_root() {
    let world = World::new();
    let project = world.project("model", "alpha\n");
    let layout = world.path("layout");
    let mut build = world.cognix("store");
    build
        .arg("build")
        .arg("-o")
        .arg(format!("oci:{}:latest", layout.display()));
    succeed(build.arg(&project));

    // The world's folder and the build folder are root's alone, so the other user gets a place of its own.
    let place = tempfile::tempdir().expect("a temporary folder");
    let somebody = Somebody::new(place.path(), &project);
    let theirs = somebody.path("layout");
    let mut build = somebody.cognix();
    build
        .args(["build", "--locked", "-o"])
        .arg(format!("oci:{}:latest", theirs.display()))
        .arg(somebody.project());
    succeed(&mut build);
    assert_same_files(&layout, &theirs);
}
