//! What goes wrong outside: the right exit status, a message to act on, and nothing half-made.

use crate::world::server::Fault;
use crate::world::{self, World, debs, fail, json, succeed, write};

/// Breaks the download of `beta`, builds, and builds again when the fault is gone.
fn check(fault: Fault, status: i32, expected: &[&str]) {
    let world = World::new();
    let project = world.project("model", "beta\n");
    succeed(world.cognix("store").arg("lock").arg(&project));
    let reference = world.build("reference", &project);

    world.server.break_path("beta-2.0-py3-none-any.whl", fault);
    let text = fail(world.cognix("store").arg("build").arg(&project), status);
    for words in expected {
        assert!(text.contains(words), "{words:?} is not in:\n{text}");
    }
    let verified = json(
        world
            .cognix("store")
            .args(["store", "verify", "--format", "json"]),
    );
    assert_eq!(verified["problems"], serde_json::json!([]));

    world.server.heal();
    let again = world.build("store", &project);
    assert_eq!(again["image"]["digest"], reference["image"]["digest"]);
}

#[test]
fn other_bytes_than_the_lock_promises() {
    check(
        Fault::OtherBytes,
        102,
        &["beta-2.0-py3-none-any.whl", "sha256"],
    );
}

#[test]
fn a_download_that_always_breaks_off() {
    check(Fault::Truncated, 69, &["beta-2.0-py3-none-any.whl"]);
}

#[test]
fn a_web_page_instead_of_a_wheel() {
    check(
        Fault::WebPage,
        69,
        &["beta-2.0-py3-none-any.whl", "web page"],
    );
}

#[test]
fn a_pinned_file_that_is_gone() {
    check(
        Fault::Missing,
        69,
        &["beta-2.0-py3-none-any.whl", "cognix lock"],
    );
}

/// Debian's archives keep one version; the index may name the next one already.
#[test]
fn a_pinned_package_that_gave_way_to_a_newer_one() {
    let world = World::new();
    let project = world.project("model", "beta\n");
    let text = std::fs::read_to_string(project.join("cog.yaml")).expect("readable");
    write(
        &project.join("cog.yaml"),
        text.replace("build:\n", "build:\n  system_packages: [sl]\n"),
    );
    succeed(world.cognix("store").arg("lock").arg(&project));
    let newer = debs::Deb::new("sl", "5.03").field("Depends: libc6");
    let debs = world::base_debs().into_iter().chain([newer]);
    debs::publish(
        &world.server,
        "debian",
        "bookworm",
        "bookworm",
        &debs.collect::<Vec<_>>(),
    );
    world.server.break_path("sl_5.02_amd64.deb", Fault::Missing);
    let text = fail(world.cognix("store").arg("build").arg(&project), 69);
    for words in [
        "sl_5.02_amd64.deb answers 404",
        "the pinned version of sl is gone from the archive",
        "`cognix lock --update sl`",
    ] {
        assert!(text.contains(words), "{words:?} is not in:\n{text}");
    }
    succeed(
        world
            .cognix("store")
            .arg("lock")
            .arg(&project)
            .args(["--update", "sl"]),
    );
    world.build("store", &project);
    let lock = std::fs::read_to_string(project.join("cognix.lock")).expect("readable");
    assert!(lock.contains("sl_5.03_amd64.deb"), "{lock}");
}

#[test]
fn an_unknown_python_package() {
    let world = World::new();
    let project = world.project("model", "no-such-package\n");
    let text = fail(world.cognix("store").arg("lock").arg(&project), 65);
    assert!(text.contains("no-such-package"), "{text}");
    assert!(!project.join("cognix.lock").exists());
}

#[test]
fn an_unknown_debian_package() {
    let world = World::new();
    let project = world.project("model", "beta\n");
    let text = std::fs::read_to_string(project.join("cog.yaml")).expect("readable");
    write(
        &project.join("cog.yaml"),
        text.replace("build:\n", "build:\n  system_packages: [slx]\n"),
    );
    let text = fail(world.cognix("store").arg("lock").arg(&project), 65);
    assert!(text.contains("slx") && text.contains("sl"), "{text}");
}

#[test]
fn an_archive_signed_by_a_stranger() {
    let world = World::new();
    let project = world.project("model", "beta\n");
    write(
        &project.join("cognix.nix"),
        std::fs::read_to_string(project.join("cognix.nix"))
            .expect("readable")
            .replace("keys = [ ./archive-key.gpg ];", ""),
    );
    let text = fail(world.cognix("store").arg("lock").arg(&project), 102);
    assert!(
        text.contains("not signed by a trusted key") && text.contains("keys ="),
        "{text}"
    );
}

#[test]
fn a_killed_build_is_taken_up_again() {
    let world = World::new();
    let project = world.project("model", "alpha\n");
    let reference = world.build("reference", &project);
    world
        .server
        .break_path("alpha-1.0-py3-none-any.whl", Fault::Stalls);
    let mut child = world
        .cognix("store")
        .arg("build")
        .arg(&project)
        .spawn()
        .expect("the program starts");
    // Long enough for everything else to arrive; what matters is that the process dies in the middle.
    std::thread::sleep(std::time::Duration::from_secs(3));
    child.kill().expect("still running");
    child.wait().expect("our own child");
    world.server.heal();
    let again = world.build("store", &project);
    assert_eq!(again["image"]["digest"], reference["image"]["digest"]);
    succeed(world.cognix("store").args(["store", "verify"]));
}

#[test]
fn an_interrupted_build_says_so_and_is_taken_up_again() {
    let world = World::new();
    let project = world.project("model", "alpha\n");
    let reference = world.build("reference", &project);
    world
        .server
        .break_path("alpha-1.0-py3-none-any.whl", Fault::Stalls);
    let mut child = world
        .cognix("store")
        .arg("build")
        .arg(&project)
        .spawn()
        .expect("the program starts");
    std::thread::sleep(std::time::Duration::from_secs(2));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("still running");
    let status = child.wait().expect("our own child");
    assert_eq!(status.code(), Some(130));
    world.server.heal();
    assert_eq!(
        world.build("store", &project)["image"]["digest"],
        reference["image"]["digest"]
    );
}

#[test]
fn a_model_whose_code_is_missing() {
    let world = World::new();
    let project = world.project("model", "beta\n");
    std::fs::remove_file(project.join("predict.py")).expect("it was there");
    let text = fail(world.cognix("store").arg("build").arg(&project), 78);
    assert!(
        text.contains("cog.yaml:4:6: run: file does not exist: \"predict.py\""),
        "{text}"
    );
}

#[test]
fn a_registry_is_refused_before_anything_is_done() {
    let world = World::new();
    let project = world.project("model", "beta\n");
    let mut build = world.cognix("store");
    let text = fail(
        build
            .args(["build", "-o", "docker://host.example/model"])
            .arg(&project),
        65,
    );
    assert!(text.contains("skopeo copy"), "{text}");
    assert!(!project.join("cognix.lock").exists());
}

#[test]
fn a_lock_that_cannot_be_written() {
    let world = World::new();
    let project = world.project("model", "beta\n");
    std::fs::create_dir_all(project.join("cognix.lock/folder")).expect("a writable folder");
    let text = fail(world.cognix("store").arg("build").arg(&project), 78);
    assert!(
        text.contains("cannot read") && text.contains("cognix.lock"),
        "{text}"
    );
}

/// What is told a hundred times is not read: a broken mirror is told a few times.
#[test]
fn a_mirror_that_does_not_answer_fits_on_a_screen() {
    let world = World::new();
    let project = world.project("model", "alpha\n");
    succeed(world.cognix("store").arg("lock").arg(&project));
    let mut build = world.cognix("store");
    build.arg("build");
    for name in ["debian", "debian-security", "pypi"] {
        build.args(["--mirror", &format!("{name}=http://127.0.0.1:1/simple")]);
    }
    let text = fail(build.arg(&project), 69);
    assert!(text.contains("--mirror NAME=URL"), "{text}");
    assert!(
        text.lines().count() <= 20 && !text.contains("panicked"),
        "{text}"
    );
}

#[test]
fn an_unknown_key_is_a_warning_with_the_nearest_known_one() {
    let world = World::new();
    let project = world.project("model", "beta\n");
    let text = std::fs::read_to_string(project.join("cog.yaml")).expect("readable");
    write(
        &project.join("cog.yaml"),
        text.replace("build:\n", "build:\n  system_package: [sl]\n"),
    );
    for command in ["config", "lock"] {
        let output = succeed(world.cognix("store").arg(command).arg(&project));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.contains("build.system_package: unknown key")
                && said.contains("did you mean system_packages?"),
            "{said}"
        );
    }
}
