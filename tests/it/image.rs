//! What an image says about itself, and when somebody asks for more.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::world::{World, fail, json, succeed, write};

/// A build with these arguments and variables; the layout is written to `layout`.
fn build(world: &World, project: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Value {
    let layout = format!("oci:{}", world.path("layout").display());
    let mut command = world.cognix("store");
    command
        .envs(variables.iter().copied())
        .args(["build", "--format", "json", "-o", &layout])
        .args(arguments);
    json(command.arg(project))
}

fn blob(world: &World, digest: &Value) -> Vec<u8> {
    let digest = digest.as_str().expect("a digest").replace("sha256:", "");
    std::fs::read(world.path("layout/blobs/sha256").join(digest)).expect("every blob is written")
}

fn text(world: &World, digest: &Value) -> Value {
    serde_json::from_slice(&blob(world, digest)).expect("JSON")
}

fn manifest(world: &World, build: &Value) -> Value {
    text(world, &build["image"]["digest"])
}

fn labels(world: &World, build: &Value) -> BTreeMap<String, String> {
    let config = text(world, &build["config"]["digest"]);
    serde_json::from_value(config["config"]["Labels"].clone()).expect("labels")
}

/// The times of all entries of all layers.
fn times(world: &World, build: &Value) -> Vec<u64> {
    let mut times = Vec::new();
    for layer in build["layers"].as_array().expect("layers") {
        let bytes = blob(world, &layer["digest"]);
        let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(bytes.as_slice()));
        for entry in archive.entries().expect("a tar archive") {
            times.push(entry.expect("sound").header().mtime().expect("a time"));
        }
    }
    times.sort_unstable();
    times.dedup();
    times
}

#[test]
fn everything_was_made_in_1980() {
    let world = World::new();
    let build = build(&world, &world.project("model", "beta\n"), &[], &[]);
    assert_eq!(times(&world, &build), [315_532_800]);
    let config = text(&world, &build["config"]["digest"]);
    assert_eq!(config["created"], "1980-01-01T00:00:00Z");
}

/// Asked by the variable or by the option, here or elsewhere: the same digest, and not the usual one.
#[test]
fn an_asked_time_reaches_every_layer_and_is_part_of_the_digest() {
    let world = World::new();
    let project = world.project("model", "beta\n");
    let usual = build(&world, &project, &[], &[]);
    let variable = build(
        &world,
        &project,
        &[],
        &[("SOURCE_DATE_EPOCH", "1700000000")],
    );
    assert_eq!(times(&world, &variable), [1_700_000_000]);
    let config = text(&world, &variable["config"]["digest"]);
    assert_eq!(config["created"], "2023-11-14T22:13:20Z");
    let option = build(
        &world,
        &project,
        &["--timestamp", "1700000000"],
        &[("SOURCE_DATE_EPOCH", "1800000000")],
    );
    assert_eq!(option["image"], variable["image"]);
    assert_ne!(usual["image"], variable["image"]);
    let asked_for_the_usual = build(&world, &project, &["--timestamp", "315532800"], &[]);
    assert_eq!(asked_for_the_usual["drvPath"], usual["drvPath"]);
    assert_eq!(
        build(&world, &project, &[], &[("SOURCE_DATE_EPOCH", "")])["image"],
        usual["image"]
    );
}

#[test]
fn times_that_no_archive_holds_are_refused() {
    let world = World::new();
    let project = world.project("model", "beta\n");
    for (value, words) in [
        ("0", "before 1980-01-01"),
        ("yesterday", "is no number of seconds"),
        ("9999999999999", "after 2242-03-16"),
    ] {
        let mut command = world.cognix("store");
        command.env("SOURCE_DATE_EPOCH", value).arg("build");
        let text = fail(command.arg(&project), 65);
        assert!(
            text.contains("SOURCE_DATE_EPOCH: ") && text.contains(words),
            "{text}"
        );
        let mut command = world.cognix("store");
        command.args(["build", "--timestamp", value]);
        let text = fail(command.arg(&project), 65);
        assert!(
            text.contains("--timestamp: ") && text.contains(words),
            "{text}"
        );
    }
}

#[test]
fn labels_and_annotations_are_added_on_request() {
    let world = World::new();
    let project = world.project("model", "beta\n");
    let plain = build(&world, &project, &[], &[("GITHUB_SHA", "0123")]);
    let names = labels(&world, &plain).into_keys();
    assert_eq!(
        names.filter(|name| !name.starts_with("run.cog.")).count(),
        0
    );

    let asked = [
        "--label",
        "com.example.team=vision",
        "--label",
        "org.opencontainers.image.licenses=MIT",
        "--annotation",
        "com.example.ticket=7",
    ];
    let more = build(&world, &project, &asked, &[]);
    let found = labels(&world, &more);
    assert_eq!(found["com.example.team"], "vision");
    assert!(!found.contains_key("com.example.ticket"));
    let annotations = &manifest(&world, &more)["annotations"];
    assert_eq!(annotations["org.opencontainers.image.licenses"], "MIT");
    assert_eq!(annotations["com.example.ticket"], "7");
    assert_eq!(annotations["com.example.team"], Value::Null);
    assert_eq!(plain["layers"], more["layers"]);

    let mut command = world.cognix("store");
    command.args(["build", "--label", "run.cog.config={}"]);
    let text = fail(command.arg(&project), 2);
    assert!(text.contains("written from cog.yaml"), "{text}");
}

fn git(project: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command
        .args(["-c", "user.name=me", "-c", "user.email=me@localhost", "-C"])
        .arg(project)
        .args(arguments);
    let output = succeed(&mut command);
    String::from_utf8(output.stdout)
        .expect("UTF-8")
        .trim()
        .to_owned()
}

#[test]
fn git_labels_are_cogs() {
    let world = World::new();
    let project = world.project("model", "beta\n");
    let mut command = world.cognix("store");
    command.env("GIT_CEILING_DIRECTORIES", world.path(""));
    let text = fail(command.args(["build", "--git-labels"]).arg(&project), 65);
    assert!(
        text.contains("no commit to name") && text.contains("--label"),
        "{text}"
    );

    let label = |labels: &BTreeMap<String, String>, name: &str| {
        labels
            .get(&format!("org.opencontainers.image.{name}"))
            .cloned()
    };
    write(
        &project.join(".dockerignore"),
        ".git\narchive-key.gpg\ncognix.nix\n",
    );
    git(&project, &["init", "--quiet"]);
    git(&project, &["add", "."]);
    git(&project, &["commit", "--quiet", "-m", "first"]);
    let found = labels(&world, &build(&world, &project, &["--git-labels"], &[]));
    let head = git(&project, &["rev-parse", "HEAD"]);
    assert_eq!(label(&found, "revision"), Some(head));
    assert_eq!(label(&found, "version"), None);
    git(&project, &["tag", "v1.0"]);
    let variables = [("GITHUB_SHA", "0123abc"), ("GITHUB_REF_NAME", "main")];
    let both = labels(&world, &build(&world, &project, &["--git-labels"], &[]));
    // The lock that the first build has made is not committed, but git only looks at files it knows.
    assert_eq!(label(&both, "version").as_deref(), Some("v1.0"));
    let found = labels(
        &world,
        &build(&world, &project, &["--git-labels"], &variables),
    );
    assert_eq!(label(&found, "revision").as_deref(), Some("0123abc"));
    assert_eq!(label(&found, "version").as_deref(), Some("main"));
}

/// The folder's name must not reach a digest, and the name in `cog.yaml` may.
#[test]
fn the_title_is_the_name_that_the_model_gives_itself() {
    let world = World::new();
    let project = world.project("model", "beta\n");
    let title = |build: &Value| {
        manifest(&world, build)["annotations"]["org.opencontainers.image.title"].clone()
    };
    assert_eq!(title(&build(&world, &project, &[], &[])), Value::Null);
    let file = project.join("cog.yaml");
    let text = std::fs::read_to_string(&file).expect("readable");
    write(
        &file,
        format!("{text}image: registry.example/me/greeter:v1\n"),
    );
    assert_eq!(title(&build(&world, &project, &[], &[])), "greeter");
}
