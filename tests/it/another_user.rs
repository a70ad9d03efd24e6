//! The promise across users: what an ordinary user builds is what root builds.
//!
//! Needs root, to become somebody else, and `setpriv` of Debian's util-linux.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::build::{assert_same_files, copy_in_reverse};
use crate::world::{COGNIX, World, succeed};

const NOBODY: &str = "65534";

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
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.path(), open).expect("our own folder");
    let theirs = |name: &str| place.path().join(name);
    std::fs::copy(COGNIX, theirs("cognix")).expect("writable");
    copy_in_reverse(&project, &theirs("model"));
    let owner = format!("{NOBODY}:{NOBODY}");
    succeed(Command::new("chown").args(["-R", &owner]).arg(place.path()));

    let mut build = Command::new("setpriv");
    build
        .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"])
        .args(["sh", "-c", "umask 077; exec \"$@\"", "sh"])
        .arg(theirs("cognix"))
        .arg("--store")
        .arg(theirs("store"))
        .args(["build", "--locked", "-o"])
        .arg(format!("oci:{}:latest", theirs("layout").display()))
        .arg(theirs("model"))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", theirs("home"));
    succeed(&mut build);
    assert_same_files(&layout, &theirs("layout"));
}
