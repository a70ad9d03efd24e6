//! `cognix lock` beyond making a lock: checking it, moving one package, and exchanging locks with other tools.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::world::debs::{self, Deb};
use crate::world::wheels::{self, Wheel};
use crate::world::{World, base_debs, fail, json, succeed, write};

/// The program about to lock a project.
fn lock(world: &World, project: &Path, arguments: &[&str]) -> Command {
    let mut command = world.cognix("store");
    command.arg("lock").arg(project).args(arguments);
    command
}

fn stdout(command: &mut Command) -> String {
    String::from_utf8(succeed(command).stdout).expect("UTF-8")
}

fn locked(project: &Path) -> Value {
    let text = std::fs::read(project.join("cognix.lock")).expect("a lock");
    serde_json::from_slice(&text).expect("JSON")
}

/// `NAME VERSION` and the digest of every wheel.
fn wheels_of(project: &Path) -> Vec<(String, String)> {
    let lock = locked(project);
    let wheels = lock["python"].as_array();
    let entry = |wheel: &Value| {
        let text = |key: &str| wheel[key].as_str().expect("a string").to_owned();
        (
            format!("{} {}", text("name"), text("version")),
            text("sha256"),
        )
    };
    wheels.expect("a list").iter().map(entry).collect()
}

/// Publishes `alpha` and `beta` in newer versions beside the ones that [`World::new`] has.
fn publish_newer(world: &World) {
    let wheels = [
        Wheel::new("cog", "0.16.8")
            .requires("coglet>=0.1")
            .file("cog/server/__init__.py", ""),
        Wheel::new("coglet", "0.1.0"),
        Wheel::new("alpha", "1.0")
            .requires("beta")
            .file("alpha/data.txt", "x".repeat(100_000)),
        Wheel::new("alpha", "1.1").requires("beta"),
        Wheel::new("beta", "2.0").file("beta/unicode-\u{e9}.txt", "caf\u{e9}\n"),
        Wheel::new("beta", "2.1"),
    ];
    wheels::publish(&world.server, &wheels);
}

#[test]
fn check_says_whether_the_lock_is_current_and_why_not() {
    let world = World::new();
    let project = world.project("model", "alpha\n");
    let check = |status: i32| {
        let mut command = lock(&world, &project, &["--check", "--format", "json"]);
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        let value: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
        value
    };
    assert_eq!(check(78)["state"], "missing");
    succeed(&mut lock(&world, &project, &[]));
    world.server.take_requests();
    let current = check(0);
    assert_eq!(
        (&current["state"], &current["current"]),
        (&json!("current"), &json!(true))
    );
    assert_eq!(
        stdout(&mut lock(&world, &project, &["--check"])),
        "cognix.lock is current\n"
    );

    write(&project.join("requirements.txt"), "alpha\nbeta<3\n");
    let stale = check(78);
    assert_eq!(stale["changes"], json!(["added requirement beta<3"]));
    let output = lock(&world, &project, &["--check"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(78));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "cognix.lock is stale:\n  added requirement beta<3\n  hint: run `cognix lock` to bring it up to date\n"
    );

    // Checking asks nobody.
    assert_eq!(world.server.take_requests(), [""; 0]);

    let text = std::fs::read_to_string(project.join("cognix.lock")).expect("a lock");
    write(
        &project.join("cognix.lock"),
        text.replacen("\"debian\"", "\"debain\"", 1),
    );
    let broken = check(78);
    assert_eq!(broken["state"], "unusable");
    let message = broken["message"].as_str().expect("a string");
    assert!(message.starts_with("cognix.lock:2:"), "{message}");
}

#[test]
fn updating_one_package_keeps_the_others() {
    let world = World::new();
    let project = world.project("model", "alpha\n");
    succeed(&mut lock(&world, &project, &[]));
    publish_newer(&world);
    assert_eq!(
        stdout(&mut lock(&world, &project, &["--update", "Alpha"])),
        "alpha 1.0 -> 1.1\n"
    );
    assert_eq!(
        stdout(&mut lock(&world, &project, &["--update"])),
        "beta 2.0 -> 2.1\n"
    );
    let message = fail(&mut lock(&world, &project, &["--update", "alhpa"]), 65);
    assert!(
        message.contains("alhpa is not in cognix.lock; did you mean alpha?"),
        "{message}"
    );
    let value = json(&mut lock(
        &world,
        &project,
        &["--update", "beta", "--format", "json"],
    ));
    assert_eq!(value["moved"], json!([]));
}

#[test]
fn updating_one_debian_package_keeps_the_others() {
    let world = World::new();
    let project = world.project("model", "alpha\n");
    let cog_yaml = std::fs::read_to_string(project.join("cog.yaml")).expect("a project");
    let cog_yaml = cog_yaml.replace("build:\n", "build:\n  system_packages: [sl]\n");
    write(&project.join("cog.yaml"), cog_yaml);
    succeed(&mut lock(&world, &project, &[]));
    let mut newer = base_debs();
    newer.extend([
        Deb::new("tini", "0.20")
            .field("Depends: libc6")
            .file("usr/bin/tini", "2", 0o755),
        Deb::new("tzdata", "2026"),
        Deb::new("sl", "5.03")
            .field("Depends: libc6, netbase (>= 6.5)")
            .file("usr/games/sl", "choo choo\n", 0o755),
        Deb::new("netbase", "6.5"),
    ]);
    debs::publish(&world.server, "debian", "bookworm", "bookworm", &newer);
    // What the newer one needs moves with it, and nothing else.
    assert_eq!(
        stdout(&mut lock(&world, &project, &["--update", "sl"])),
        "netbase 6.4 -> 6.5\nsl 5.02 -> 5.03\n"
    );
    // Another requirement asks no archive and moves nothing.
    write(&project.join("requirements.txt"), "alpha\nbeta\n");
    assert_eq!(stdout(&mut lock(&world, &project, &[])), "");
    assert_eq!(
        stdout(&mut lock(&world, &project, &["--update"])),
        "tini 0.19 -> 0.20\ntzdata 2025 -> 2026\n"
    );
}

#[test]
fn importing_an_exported_lock_is_the_identity() {
    let world = World::new();
    let project = world.project("model", "alpha\n");
    let file = world.path("pylock.toml");
    let file = file.to_str().expect("UTF-8");
    succeed(&mut lock(&world, &project, &["--export", file]));
    let before = wheels_of(&project);
    let exported = std::fs::read_to_string(file).expect("it was written");
    assert!(exported.contains(&world.server.url("")), "{exported}");

    std::fs::remove_file(project.join("cognix.lock")).expect("it is there");
    publish_newer(&world);
    let mut import = lock(&world, &project, &["--import", file, "--format", "json"]);
    let value = json(&mut import);
    assert_eq!(wheels_of(&project), before);
    assert_eq!(
        value["imported"]["linux/amd64"],
        json!({ "pinned": ["alpha", "beta", "cog", "coglet"], "free": [], "elsewhere": [], "unused": 0 })
    );

    // Exported again to standard output, it is the same text and nothing else.
    let printed = stdout(&mut lock(&world, &project, &["--export", "-"]));
    assert_eq!(printed, exported);
    let message = fail(&mut lock(&world, &project, &["--export", "lock.toml"]), 65);
    assert!(message.contains("pylock.NAME.toml"), "{message}");
}

#[test]
fn an_import_that_does_not_fit_is_refused_with_both_places() {
    let world = World::new();
    let project = world.project("model", "# comment\nalpha\n");
    let file = world.path("pylock.toml");
    let file = file.to_str().expect("UTF-8");
    succeed(&mut lock(&world, &project, &["--export", file]));
    publish_newer(&world);
    write(&project.join("requirements.txt"), "# comment\nalpha>=1.1\n");
    let message = fail(&mut lock(&world, &project, &["--import", file]), 65);
    let expected = format!("requirements.txt:2 asks for \"alpha>=1.1\", but {file}:");
    assert!(message.contains(&expected), "{message}");

    write(&project.join("requirements.txt"), "alpha\n");
    let exported = std::fs::read_to_string(file).expect("it was written");
    let digest = &wheels_of(&project)[0].1;
    write(
        Path::new(file),
        exported.replace(digest.as_str(), &"0".repeat(64)),
    );
    let message = fail(&mut lock(&world, &project, &["--import", file]), 102);
    assert!(
        message.contains(&format!("has the SHA-256 {digest}")),
        "{message}"
    );

    let message = fail(
        &mut lock(&world, &project, &["--import", "absent.toml"]),
        74,
    );
    assert!(message.contains("cannot read absent.toml"), "{message}");
}

#[test]
fn why_tells_who_asked_and_what_limits_the_version() {
    let world = World::new();
    let project = world.project("model", "# a comment\nalpha<2\n");
    succeed(&mut lock(&world, &project, &[]));
    world.server.take_requests();
    let plan = |arguments: &[&str]| {
        let mut command = world.cognix("store");
        command.arg("plan").arg(&project).args(arguments);
        command
    };
    let value = json(&mut plan(&["--why", "Beta", "--format", "json"]));
    assert_eq!(value["askedBy"][0]["root"]["place"], "requirements.txt:2");
    assert_eq!(value["askedBy"][0]["through"][0]["asks"], "beta");
    assert_eq!(value["limits"], json!([]));
    assert_eq!(value["otherFiles"], json!({ "fitting": 0, "foreign": 0 }));

    let value = json(&mut plan(&["--why", "libc6", "--format", "json"]));
    let places: Vec<&Value> = value["askedBy"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|chain| &chain["root"]["place"])
        .collect();
    assert!(places.contains(&&json!("cog.yaml:2")), "{places:?}");
    let value = json(&mut plan(&["--why", "base-files", "--format", "json"]));
    let root = &value["askedBy"][0]["root"];
    assert_eq!(root["place"], "base.tier essential");

    let text = stdout(&mut plan(&["--why", "coglet"]));
    for expected in [
        "coglet 0.1.0, a Python package for linux/amd64\n",
        "    cog 0.16.8 asks for coglet>=0.1\n",
        "  coglet>=0.1  (from cog 0.16.8)\n",
        "  the only wheel of its release\n",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert_eq!(world.server.take_requests(), [""; 0], "why asks nobody");
    let message = fail(&mut plan(&["--why", "coglett"]), 65);
    assert!(message.contains("did you mean coglet?"), "{message}");
}

/// What installers of the format make of ours, and we of uv's own lock, with real packages.
#[cfg(feature = "network-tests")]
#[test]
fn uv_installs_from_an_export_and_its_lock_is_imported() {
    let world = World::new();
    let project = world.path("real");
    std::fs::create_dir_all(&project).expect("a writable folder");
    let cog_yaml = "build:\n  python_version: \"3.11\"\n  python_requirements: requirements.txt\nrun: predict.py:run\n";
    write(&project.join("cog.yaml"), cog_yaml);
    write(
        &project.join("predict.py"),
        "def run() -> str:\n    return \"\"\n",
    );
    write(&project.join("requirements.txt"), "numpy\nrequests\n");
    write(
        &project.join("pyproject.toml"),
        "[project]\nname = \"real\"\nversion = \"0\"\nrequires-python = \">=3.11\"\ndependencies = [\"numpy<2.2\", \"requests<2.32\"]\n",
    );
    let uv = |arguments: &[&str]| {
        let mut command = Command::new("uv");
        command.arg("--quiet").args(arguments).current_dir(&project);
        succeed(&mut command)
    };
    uv(&["lock"]);
    let real = |arguments: &[&str]| {
        let mut command = Command::new(crate::world::COGNIX);
        command.arg("lock").arg(&project).args(arguments);
        command
    };
    let uv_lock = project.join("uv.lock");
    let uv_lock = uv_lock.to_str().expect("UTF-8");
    let value = json(&mut real(&["--import", uv_lock, "--format", "json"]));
    let pinned = &value["imported"]["linux/amd64"]["pinned"];
    let expected = [
        "certifi",
        "charset-normalizer",
        "idna",
        "numpy",
        "requests",
        "urllib3",
    ];
    assert_eq!(*pinned, json!(expected));
    let versions: Vec<String> = wheels_of(&project)
        .into_iter()
        .map(|(name, _)| name)
        .collect();

    let exported = project.join("pylock.toml");
    let exported = exported.to_str().expect("UTF-8");
    succeed(&mut real(&["--export", exported]));
    let target = world.path("target");
    let mut dry = Command::new("uv");
    dry.args([
        "pip",
        "install",
        "--dry-run",
        "--python-version",
        "3.11",
        "-r",
        exported,
        "--target",
    ]);
    let said = succeed(dry.arg(&target)).stderr;
    let said = String::from_utf8_lossy(&said);
    for version in versions {
        let line = format!(" + {}", version.replace(' ', "=="));
        assert!(said.contains(&line), "{line} is not in\n{said}");
    }
}
