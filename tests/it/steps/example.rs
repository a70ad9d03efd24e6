//! The example, with real packages: what its commands leave is there for engines, and the same for everybody.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::build::assert_same_files;
use crate::example::{Example, remove};
use crate::world::{COGNIX, succeed};

fn steps() -> &'static Example {
    static STEPS: OnceLock<Example> = OnceLock::new();
    STEPS.get_or_init(|| Example::build("steps"))
}

#[test]
fn a_container_shows_what_the_commands_did() {
    let steps = steps();
    let mut exec = steps.cognix();
    exec.args(["exec", "--locked", "--project"])
        .arg(&steps.project);
    let script = "id -un worker; count one two; test ! -e /usr/share/doc && test ! -e /usr/share/man && ls -d /usr/share/zoneinfo";
    let said = succeed(exec.args(["--", "sh", "-c", script])).stdout;
    assert_eq!(
        String::from_utf8_lossy(&said),
        "worker\n2 words\n/usr/share/zoneinfo\n"
    );
}

#[test]
fn umoci_unpacks_what_the_commands_left() {
    let steps = steps();
    shows_deletions(&steps.layout, &steps.folder.join("bundle"));
}

/// Deletions come through an archive as Docker has it.
#[test]
fn skopeo_copies_what_the_commands_left() {
    let steps = steps();
    let archive = steps.folder.join("steps.tar");
    let copy = steps.folder.join("copied");
    let image = |layout: &Path| format!("oci:{}:latest", layout.display());
    let docker = format!("docker-archive:{}:steps:latest", archive.display());
    for (from, to) in [
        (image(&steps.layout), docker.clone()),
        (docker, image(&copy)),
    ] {
        let mut skopeo = Command::new("skopeo");
        succeed(skopeo.args(["copy", "--insecure-policy", &from, &to]));
    }
    shows_deletions(&copy, &steps.folder.join("copied-bundle"));
    remove(&copy);
    std::fs::remove_file(&archive).expect("our own");
}

fn shows_deletions(layout: &Path, bundle: &Path) {
    let mut umoci = Command::new("umoci");
    umoci.args(["unpack", "--image"]);
    succeed(
        umoci
            .arg(format!("{}:latest", layout.display()))
            .arg(bundle),
    );
    let root = bundle.join("rootfs");
    assert!(root.join("usr/local/bin/count").is_file());
    assert!(root.join("var/lib/worker").is_dir());
    assert!(!root.join("usr/share/doc").exists() && !root.join("usr/share/man").exists());
    assert!(!root.join("usr/share/.wh.doc").exists());
    let users = std::fs::read_to_string(root.join("etc/passwd")).expect("users");
    assert!(users.contains("\nworker:x:"), "{users}");
    remove(bundle);
}

#[test]
fn the_server_answers_with_what_the_commands_made() {
    let answer = steps().ask(r#"{"input": {"text": "three more words"}}"#);
    assert_eq!(
        answer["output"], "3 words, /var/lib/worker, documentation: False",
        "{answer}"
    );
}

#[test]
fn another_build_is_the_same_bytes() {
    let steps = steps();
    let (store, layout) = (steps.folder.join("store-2"), steps.folder.join("layout-2"));
    let mut build = Command::new("sh");
    build
        .env("HOME", steps.folder.join("home-2"))
        .env("TZ", "America/St_Johns")
        .args(["-c", "umask 077; exec \"$@\"", "sh", COGNIX, "--store"])
        .arg(&store)
        .args(["build", "--locked", "--jobs", "5", "-o"])
        .arg(format!("oci:{}:latest", layout.display()))
        .arg(&steps.project);
    succeed(&mut build);
    assert_same_files(&steps.layout, &layout);
    std::fs::remove_dir_all(&layout).expect("our own");
    remove(&store);
}
