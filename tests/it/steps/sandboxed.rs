//! Commands that are run, with packages made up for it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::process::Command;

use super::*;
use crate::build::assert_same_files;
use crate::world::debs::{self, Deb};
use crate::world::somebody::Somebody;

/// Programs of this machine with their libraries, as a package.
fn toolbox() -> Deb {
    let programs = [
        "sh", "bash", "cat", "chmod", "chown", "env", "id", "ln", "mkdir", "rm", "touch",
    ];
    let mut deb = Deb::new("toolbox", "1.0");
    let mut libraries = BTreeSet::new();
    for program in programs {
        let path = format!("/usr/bin/{program}");
        let listed = succeed(Command::new("ldd").arg(&path)).stdout;
        let listed = String::from_utf8(listed).expect("UTF-8");
        let words = listed
            .split_whitespace()
            .filter(|word| word.starts_with('/'));
        libraries.extend(words.map(str::to_owned));
        let bytes = std::fs::read(&path).expect("a program");
        deb = deb.file(&path[1..], bytes, 0o755);
    }
    for library in libraries {
        let bytes = std::fs::read(&library).expect("a library");
        deb = deb.file(&library[1..], bytes, 0o755);
    }
    deb
}

/// The small world, and a shell in it.
fn world() -> World {
    let world = World::new();
    let mut packages = crate::world::base_debs();
    packages.push(toolbox());
    debs::publish(&world.server, "debian", "bookworm", "bookworm", &packages);
    world
}

fn project(world: &World, name: &str, run: &str) -> std::path::PathBuf {
    let project = super::project(world, name, run);
    let file = project.join("cog.yaml");
    let text = std::fs::read_to_string(&file).expect("our own");
    write(&file, text.replace("[sl]", "[sl, toolbox]"));
    project
}

/// What an image has at a path: mode, owner, group, and a text where it is a file or link.
type Node = (u32, u64, u64, Option<String>);

/// Applies the layers of an image as an engine does.
fn applied(layout: &std::path::Path, build: &serde_json::Value) -> BTreeMap<String, Node> {
    let mut root: BTreeMap<String, Node> = BTreeMap::new();
    let clear = |root: &mut BTreeMap<String, Node>, at: &str| {
        let below = format!("{at}/");
        root.retain(|path, _| path != at && !path.starts_with(&below));
    };
    for layer in build["layers"].as_array().expect("layers") {
        let digest = layer["digest"].as_str().expect("a digest");
        let blob = layout.join(digest.replace("sha256:", "blobs/sha256/"));
        let file = std::fs::File::open(blob).expect("every layer is written");
        let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(file));
        for entry in archive.entries().expect("a tar archive") {
            let mut entry = entry.expect("a sound archive");
            let path = String::from_utf8(entry.path_bytes().into_owned()).expect("UTF-8");
            let path = path.trim_end_matches('/').to_owned();
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
            if let Some(name) = name.strip_prefix(".wh.") {
                let gone = format!("{parent}/{name}");
                let gone = gone.trim_start_matches('/');
                assert!(root.contains_key(gone), "{gone} is not there");
                clear(&mut root, gone);
                continue;
            }
            let header = entry.header().clone();
            let text = match entry.link_name_bytes() {
                Some(target) => Some(String::from_utf8(target.into_owned()).expect("UTF-8")),
                None if header.entry_type().is_dir() => None,
                None => {
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes).expect("whole contents");
                    Some(String::from_utf8_lossy(&bytes).into_owned())
                }
            };
            if text.is_some() {
                clear(&mut root, &path);
            }
            let (mode, user) = (
                header.mode().expect("a mode"),
                header.uid().expect("a user"),
            );
            root.insert(path, (mode, user, header.gid().expect("a group"), text));
        }
    }
    root
}

#[test]
fn a_maintainer_script_that_fails_is_named_and_can_be_left_out() {
    let world = World::new();
    let mut packages = crate::world::base_debs();
    packages.push(toolbox());
    let script = "#!/bin/sh\nset -e\necho looking\nno-such-program --now\n";
    packages.push(Deb::new("daemon", "1.0").script("postinst", script));
    debs::publish(&world.server, "debian", "bookworm", "bookworm", &packages);
    let project = super::project(&world, "model", "");
    let file = project.join("cog.yaml");
    let text = std::fs::read_to_string(&file).expect("our own");
    let text = text.replace("  run:\n", "");
    write(&file, text.replace("[sl]", "[daemon, toolbox]"));
    let said = fail(world.cognix("store").arg("build").arg(&project), 100);
    for words in [
        "postinst of daemon failed",
        "no-such-program",
        "cognix log /nix/store/",
        "base.leaveOutScripts = [ \"daemon\" ];",
    ] {
        assert!(said.contains(words), "{words} is not in:\n{said}");
    }
    let spec = project.join("cognix.nix");
    let text = std::fs::read_to_string(&spec).expect("our own");
    let with = "{ base.leaveOutScripts = [ \"daemon\" ];";
    write(&spec, text.replacen('{', with, 1));
    let stale = fail(world.cognix("store").arg("build").arg(&project), 78);
    let added = "added package whose scripts are left out daemon";
    assert!(stale.contains(added), "{stale}");
    succeed(world.cognix("store").arg("lock").arg(&project));
    world.build("store", &project);
    let plan = succeed(world.cognix("store").arg("plan").arg(&project)).stdout;
    let plan = String::from_utf8(plan).expect("UTF-8");
    let shown =
        "left out on request (base.leaveOutScripts): calls no-such-program --now: daemon postinst";
    assert!(plan.contains(shown), "{plan}");
}

#[test]
fn commands_of_other_platforms_are_left_to_machines_of_their_kind() {
    let world = world();
    let project = project(&world, "model", "- echo 1 > /opt/one");
    let mut lock = world.cognix("store");
    lock.args([
        "lock",
        "--allow-network",
        "--platform",
        "linux/arm64,linux/amd64",
    ]);
    let locked = succeed(lock.arg(&project));
    let said = String::from_utf8_lossy(&locked.stderr);
    let other =
        "run-1 (echo 1 > /opt/one) for linux/arm64 was not run: this machine is of another kind";
    assert!(
        said.contains(other) && said.matches("was not run").count() == 1,
        "{said}"
    );
    let mut build = world.cognix("store");
    build.args(["build", "--platform", "linux/arm64,linux/amd64"]);
    let refused = fail(build.arg(&project), 78);
    assert!(
        refused.contains("it is built on aarch64-linux only"),
        "{refused}"
    );
}

#[test]
fn lim_3_a_program_ends_at_its_limit_and_the_option_is_named() {
    let world = world();
    let grow = "- while :; do cat /usr/bin/bash; done > /opt/large";
    for (name, run, options, words) in [
        (
            "time",
            "- while :; do echo word; done",
            ["--timeout", "2s"],
            "--timeout TIME",
        ),
        (
            "silence",
            "- while :; do :; done",
            ["--max-silent-time", "2"],
            "--max-silent-time TIME",
        ),
        ("disk", grow, ["--max-disk", "4M"], "--max-disk SIZE"),
    ] {
        let project = project(&world, name, run);
        let mut build = world.cognix("store");
        let text = fail(build.arg("build").args(options).arg(&project), 101);
        assert!(
            text.contains(words) && text.contains("cognix log /nix/store/"),
            "{text}"
        );
    }
    let project = project(
        &world,
        "log",
        "- for i in 1 2 3 4 5; do echo \"$PATH $i\"; done",
    );
    let mut build = world.cognix("store");
    build.arg("build").env("COGNIX_MAX_BUILD_LOG_SIZE", "100");
    succeed(build.arg(&project));
    let plan = json(
        world
            .cognix("store")
            .args(["plan", "--format", "json"])
            .arg(&project),
    );
    let step = plan["steps"][0]["drvPath"].as_str().expect("a derivation");
    let log = succeed(world.cognix("store").args(["log", step])).stdout;
    let log = String::from_utf8(log).expect("UTF-8");
    assert!(
        log.contains("[log cut after ") && !log.contains(" 5\n"),
        "{log}"
    );
}

#[test]
fn box_7_without_user_namespaces_a_command_is_refused_with_the_setting() {
    let world = world();
    let project = project(&world, "model", "- echo 1");
    succeed(world.cognix("store").arg("lock").arg(&project));
    // In a namespace of our own the switch can be turned without any right.
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c"]);
    command
        .arg("echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"")
        .arg("sh");
    let build = world.cognix("store");
    command
        .arg(crate::world::COGNIX)
        .args(build.get_args())
        .args(["build"])
        .arg(&project);
    for (name, value) in build.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let text = fail(&mut command, 77);
    assert!(
        text.contains("sysctl user.max_user_namespaces=10000"),
        "{text}"
    );
}

const COMMANDS: &str = "- mkdir -p /opt/made && echo text > /opt/made/file && chmod 750 /opt/made && chown 990:991 /opt/made/file\n\
        - rm -r /usr/share/doc /venv/lib/python3.11/site-packages/alpha && ln -s made /opt/link\n\
        - chmod 4755 /usr/bin/mawk && rm /opt/made/file && mkdir /opt/made/file && touch /opt/made/file/x && mkdir -p /src && echo old > /src/predict.py && chmod 700 /src\n\
        - id > /opt/id && cat /opt/made/file/x && echo \"$HOME $SOURCE_DATE_EPOCH\" > /opt/env";

#[test]
fn commands_change_and_remove_what_is_below() {
    let world = world();
    let project = project(&world, "model", COMMANDS);
    let layout = world.path("layout");
    let mut build = world.cognix("store");
    build.args(["build", "--format", "json", "-o"]);
    let build = json(
        build
            .arg(format!("oci:{}:latest", layout.display()))
            .arg(&project),
    );
    let root = applied(&layout, &build);
    let at = |path: &str| root.get(path).cloned();
    assert_eq!(at("opt/made"), Some((0o750, 0, 0, None)));
    assert_eq!(at("opt/made/file"), Some((0o755, 0, 0, None)));
    assert_eq!(
        at("opt/made/file/x"),
        Some((0o644, 0, 0, Some(String::new())))
    );
    assert_eq!(at("opt/link"), Some((0o777, 0, 0, Some("made".to_owned()))));
    assert_eq!(at("usr/bin/mawk").map(|node| node.0), Some(0o4755));
    let gone = ["usr/share/doc", "venv/lib/python3.11/site-packages/alpha"];
    let is_below = |path: &String| gone.iter().any(|gone| path.starts_with(gone));
    assert!(
        !root
            .keys()
            .any(|path| gone.contains(&path.as_str()) || path.starts_with("usr/share/doc/")),
        "{:?}",
        root.keys()
            .filter(|path| is_below(path))
            .collect::<Vec<_>>()
    );
    // The model's files come last, as with Cog.
    assert_eq!(at("src"), Some((0o755, 0, 0, None)));
    assert!(
        at("src/predict.py")
            .is_some_and(|node| node.3.is_some_and(|text| text.contains("def predict")))
    );
    let text = |path: &str| at(path).and_then(|node| node.3).unwrap_or_default();
    assert!(
        text("opt/id").starts_with("uid=0(root) gid=0(root)"),
        "{}",
        text("opt/id")
    );
    assert_eq!(text("opt/env"), "/root 315532800\n");
    let groups = names(&build["layers"], "group");
    assert_eq!(groups.iter().filter(|group| *group == "run").count(), 4);

    // Nothing is run twice.
    let again = world.build("store", &project);
    assert_eq!(again["stats"]["built"], 0, "{again}");
    let plan = json(
        world
            .cognix("store")
            .args(["plan", "--format", "json"])
            .arg(&project),
    );
    assert!(
        plan["steps"]
            .as_array()
            .is_some_and(|steps| steps.iter().all(|step| step["runs"] == false))
    );
}

/// Another store, folder, number of jobs and user, and a user who is not root.
#[test]
fn whoever_builds_gets_the_same_bytes() {
    let world = world();
    let project = project(&world, "model", COMMANDS);
    let layout = world.path("layout");
    let mut build = world.cognix("store");
    build.args(["build", "--jobs", "1", "-o"]);
    succeed(
        build
            .arg(format!("oci:{}:latest", layout.display()))
            .arg(&project),
    );

    let place = tempfile::tempdir().expect("a temporary folder");
    let somebody = Somebody::new(place.path(), &project);
    let theirs = somebody.path("layout");
    let mut build = somebody.cognix();
    build
        .args(["build", "--locked", "--jobs", "6", "-o"])
        .arg(format!("oci:{}:latest", theirs.display()))
        .arg(somebody.project());
    succeed(&mut build);
    assert_same_files(&layout, &theirs);
}

#[test]
fn a_command_that_fails_is_named_with_the_end_of_its_log() {
    let world = world();
    let project = project(&world, "model", "- echo fine\n- echo about to fail; exit 3");
    let text = fail(world.cognix("store").arg("build").arg(&project), 100);
    for words in [
        "run-2 of build.run failed: echo about to fail; exit 3",
        "status 3",
        "about to fail",
        "cognix lock --allow-network",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn sec_1_a_command_reads_its_secret_and_nothing_else_has_it() {
    let world = world();
    let mount = "\n  mounts: [{type: secret, id: token, target: /run/secrets/token}]";
    // Its length, because the command itself is no secret.
    let reads = format!(
        "- command: read -r value < /run/secrets/token; echo \"$value\"; test ${{#value}} = 17 && touch /read{mount}"
    );
    let project = project(&world, "model", &reads);
    let layout = world.path("layout");
    let token = world.path("token");
    write(&token, "xyzzy-very-secret\n");
    let mut build = world.cognix("store");
    build
        .args(["build", "--verbose", "--format", "json", "--secret"])
        .arg(format!("id=token,src={}", token.display()))
        .arg("-o")
        .arg(format!("oci:{}:latest", layout.display()));
    let output = succeed(build.arg(&project));
    let build: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(applied(&layout, &build).contains_key("read"));
    assert!(!applied(&layout, &build).contains_key("run/secrets"));
    for text in [&output.stdout, &output.stderr] {
        assert!(!String::from_utf8_lossy(text).contains("xyzzy"));
    }
    let found = Command::new("grep")
        .args(["-r", "-l", "xyzzy"])
        .args([world.path("store"), layout, world.path("home"), project])
        .output()
        .expect("grep");
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}

#[test]
fn sec_2_a_secret_in_what_a_command_leaves_fails_the_build() {
    let world = world();
    let leaks = "- command: cat /run/secrets/token > /opt-token\n  mounts: [{type: secret, id: token, target: /run/secrets/token}]";
    let project = project(&world, "model", leaks);
    let mut build = world.cognix("store");
    build
        .args(["build", "--secret", "id=token,env=MY_TOKEN"])
        .env("MY_TOKEN", "xyzzy-very-secret");
    let text = fail(build.arg(&project), 100);
    assert!(
        text.contains("secret") && text.contains("opt-token"),
        "{text}"
    );
    assert!(!text.contains("xyzzy"), "{text}");
}

/// A command that needs a network is recorded while locking; builds take what was recorded.
#[test]
fn a_command_with_a_network_is_recorded_in_the_lock() {
    let world = world();
    world.server.put("model.txt", "text/plain", "weights\n");
    let address = world.server.url("");
    let address = address.trim_start_matches("http://").trim_end_matches('/');
    let (host, port) = address.split_once(':').expect("an address of loopback");
    let fetch = format!(
        "- \"exec bash -c 'exec 3<>/dev/tcp/{host}/{port}; printf \\\"GET /model.txt HTTP/1.0\\\\r\\\\nConnection: close\\\\r\\\\n\\\\r\\\\n\\\" >&3; \
             while read -r line <&3; do last=$line; test \\\"$line\\\" = weights && break; done; test \\\"$last\\\" = weights && echo $last > /fetched'\"\n\
             - cat /fetched > /copied"
    );
    let project = project(&world, "model", &fetch);
    succeed(world.cognix("store").arg("lock").arg(&project));
    let text = fail(
        world
            .cognix("store")
            .args(["build", "--locked"])
            .arg(&project),
        100,
    );
    assert!(
        text.contains("run-1 of build.run failed") && text.contains("--allow-network"),
        "{text}"
    );

    let mut lock = world.cognix("store");
    let locked = succeed(lock.args(["lock", "--allow-network"]).arg(&project));
    let said = String::from_utf8_lossy(&locked.stderr);
    assert!(
        said.contains("run-1") && said.contains("recorded what"),
        "{said}"
    );
    let text = std::fs::read_to_string(project.join("cognix.lock")).expect("a lock");
    assert!(
        text.contains("\"version\": 3") && text.matches("-run-").count() == 1,
        "{text}"
    );
    let first = world.build("store", &project);
    let plan = json(
        world
            .cognix("store")
            .args(["plan", "--format", "json"])
            .arg(&project),
    );
    assert_eq!(plan["steps"][0]["recorded"], true);
    assert_eq!(plan["steps"][1]["recorded"], false);

    // Where it never ran, it needs permission, and must give the same.
    let text = fail(
        world
            .cognix("store-2")
            .args(["build", "--locked"])
            .arg(&project),
        78,
    );
    assert!(text.contains("--allow-network"), "{text}");
    let mut build = world.cognix("store-2");
    build.args(["build", "--locked", "--allow-network", "--format", "json"]);
    let second = json(build.arg(&project));
    assert_eq!(second["image"]["digest"], first["image"]["digest"]);

    // Another package below, and it is a record of something else.
    write(&project.join("requirements.txt"), "beta\n");
    let locked = succeed(world.cognix("store").arg("lock").arg(&project));
    let said = String::from_utf8_lossy(&locked.stderr);
    assert!(said.contains("what was recorded of run-1"), "{said}");
}
