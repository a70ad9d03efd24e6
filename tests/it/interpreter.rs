//! Interpreters that Debian does not ship: an archive stands in for the real one, served on loopback.

use std::io::Write;
use std::path::Path;

use cognix_derivations::Sha256;
use serde_json::Value;

use crate::world::server::Fault;
use crate::world::{World, fail, json, succeed, write};

const FILE: &str = "20260101/cpython-3.12.9+20260101-stand-in.tar.gz";

/// The least that is an interpreter, laid out as python-build-standalone does.
fn archive(python: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let program = format!("python/bin/python{python}");
    let library = format!("python/lib/python{python}/os.py");
    for (path, contents, mode) in [
        (&program, "#!/bin/sh\n", 0o755),
        (&library, "# the library\n", 0o664),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(contents.len() as u64);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        builder
            .append_data(&mut header, path, contents.as_bytes())
            .expect("memory is always writable");
    }
    let bytes = builder.into_inner().expect("memory is always writable");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder
        .write_all(&bytes)
        .expect("memory is always writable");
    encoder.finish().expect("memory is always writable")
}

/// A project on this Python; `spec` is what its `cognix.nix` says of the package source.
fn project(world: &World, name: &str, python: &str, spec: &str) -> std::path::PathBuf {
    let project = world.project(name, "alpha\n");
    let edit = |file: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(project.join(file)).expect("readable");
        assert!(text.contains(from), "{text}");
        write(&project.join(file), text.replacen(from, to, 1));
    };
    edit("cog.yaml", "3.11", python);
    edit("cognix.nix", "{", &format!("{{ {spec}"));
    project
}

/// A pin of one's own for the stand-in.
fn pin(version: &str, bytes: &[u8]) -> String {
    format!(
        "inputs.python-build-standalone.archives = [ {{ platform = \"linux/amd64\"; version = \"{version}\"; \
         path = \"{FILE}\"; sha256 = \"{}\"; }} ];",
        Sha256::of(bytes)
    )
}

fn url(world: &World) -> String {
    let url = world.server.url("interpreters");
    format!("inputs.python-build-standalone.url = \"{url}\";")
}

/// Publishes the stand-in as uv asks for it.
fn publish(world: &World, bytes: &[u8]) {
    let path = format!("interpreters/{}", FILE.replace('+', "%2B"));
    world.server.put(&path, "application/gzip", bytes);
}

fn lock_text(project: &Path) -> String {
    std::fs::read_to_string(project.join("cognix.lock")).expect("a lock")
}

/// Every entry of one layer: path, mode and link target.
fn layer_entries(layout: &Path, build: &Value, name: &str) -> Vec<(String, u32, String)> {
    let layers = build["layers"].as_array().expect("layers");
    let layer = layers.iter().find(|layer| layer["name"] == name);
    let layer = layer.unwrap_or_else(|| panic!("no layer {name} in {build}"));
    let digest = layer["digest"].as_str().expect("a digest");
    let blob = layout.join(digest.replace("sha256:", "blobs/sha256/"));
    let file = std::fs::File::open(blob).expect("every layer is written");
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(file));
    let entry = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let entry = entry.expect("a sound archive");
        let target = entry.link_name_bytes().unwrap_or_default();
        (
            String::from_utf8(entry.path_bytes().into_owned()).expect("UTF-8"),
            entry.header().mode().expect("a mode"),
            String::from_utf8(target.into_owned()).expect("UTF-8"),
        )
    };
    archive
        .entries()
        .expect("a tar archive")
        .map(entry)
        .filter(|(path, ..)| !path.ends_with('/'))
        .collect()
}

#[test]
fn a_model_on_a_python_that_debian_does_not_ship() {
    let world = World::new();
    let bytes = archive("3.12");
    publish(&world, &bytes);
    let spec = pin("3.12.9", &bytes) + &url(&world);
    let project = project(&world, "model", "3.12", &spec);
    let layout = world.path("layout");
    let build = json(
        world
            .cognix("store")
            .args(["build", "--format", "json", "-o"])
            .arg(format!("oci:{}:latest", layout.display()))
            .arg(&project),
    );
    let lock: Value = serde_json::from_str(&lock_text(&project)).expect("JSON");
    let platform = &lock["variants"]["default"]["platforms"]["linux/amd64"];
    assert_eq!(
        platform["interpreter"],
        serde_json::json!({ "standalone": {
            "sha256": Sha256::of(&bytes).to_string(),
            "size": bytes.len(),
            "url": format!("mirror://python-build-standalone/{FILE}"),
            "version": "3.12.9",
        }})
    );
    let text = lock_text(&project);
    assert!(
        text.contains("trixie") && !text.contains("python3."),
        "{text}"
    );
    let entry = |path: &str, mode, target: &str| (path.to_owned(), mode, target.to_owned());
    assert_eq!(
        layer_entries(&layout, &build, "python"),
        [
            entry("opt/python/bin/python3.12", 0o755, ""),
            entry("opt/python/lib/python3.12/os.py", 0o664, ""),
            entry("usr/local/bin/python", 0o777, "python3.12"),
            entry("usr/local/bin/python3", 0o777, "python3.12"),
            entry(
                "usr/local/bin/python3.12",
                0o777,
                "/opt/python/bin/python3.12"
            ),
        ]
    );
    let environment = layer_entries(&layout, &build, "virtual-environment");
    let program = entry("venv/bin/python3.12", 0o777, "/opt/python/bin/python3.12");
    assert!(environment.contains(&program), "{environment:?}");
    let alpha = layer_entries(&layout, &build, "alpha");
    assert!(
        alpha
            .iter()
            .any(|(path, ..)| path == "venv/lib/python3.12/site-packages/alpha/__init__.py"),
        "{alpha:?}"
    );
}

/// The command line, the machine's setting for uv, a folder: the lock is the same, and so is the image.
#[test]
fn every_mirror_gives_the_same_lock() {
    let world = World::new();
    let bytes = archive("3.12");
    publish(&world, &bytes);
    let folder = world.path("mirror");
    let file = folder.join(FILE);
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("writable");
    write(&file, &bytes);
    let project = project(&world, "model", "3.12", &pin("3.12.9", &bytes));
    let mut results = Vec::new();
    let served = world.server.url("interpreters/");
    let folder = format!("file://{}", folder.display());
    for (store, argument, variable) in [
        ("one", Some(&served), None),
        ("two", Some(&folder), Some("http://127.0.0.1:9/nobody")),
        ("three", None, Some(served.as_str())),
    ] {
        let mut command = world.cognix(store);
        command.args(["build", "--format", "json"]).arg(&project);
        if let Some(argument) = argument {
            command.arg(format!("--mirror=python-build-standalone={argument}"));
        }
        if let Some(variable) = variable {
            command.env("UV_PYTHON_INSTALL_MIRROR", variable);
        }
        let digest = json(&mut command)["image"]["digest"].clone();
        results.push((lock_text(&project), digest));
        std::fs::remove_file(project.join("cognix.lock")).expect("it was written");
    }
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0], results[2]);
    assert!(!results[0].0.contains("127.0.0.1"), "{}", results[0].0);
}

/// The archive that the program knows by itself cannot be had here: locking goes on without its size, building names
/// every way out.
#[test]
fn an_archive_out_of_reach_is_named_with_the_ways_out() {
    let world = World::new();
    let project = project(&world, "model", "3.14", &url(&world));
    succeed(world.cognix("store").arg("lock").arg(&project));
    let lock: Value = serde_json::from_str(&lock_text(&project)).expect("JSON");
    let archive =
        &lock["variants"]["default"]["platforms"]["linux/amd64"]["interpreter"]["standalone"];
    assert_eq!(archive["size"], Value::Null, "{archive}");
    let named = archive["url"].as_str().expect("a URL");
    assert!(named.contains("/cpython-3.14."), "{named}");
    let plan = succeed(world.cognix("store").arg("plan").arg(&project));
    let plan = String::from_utf8_lossy(&plan.stdout);
    assert!(plan.contains("of unknown size"), "{plan}");
    let text = fail(world.cognix("store").arg("build").arg(&project), 69);
    for words in [
        named,
        "404",
        "--mirror python-build-standalone=URL",
        "inputs.python-build-standalone.url",
        "UV_PYTHON_INSTALL_MIRROR",
        "python_version \"3.11\" or \"3.13\"",
    ] {
        assert!(text.contains(words), "{words:?} is not in:\n{text}");
    }
    assert!(text.lines().count() <= 20, "{text}");
}

#[test]
fn an_archive_with_other_bytes_is_refused() {
    let world = World::new();
    let bytes = archive("3.12");
    publish(&world, &bytes);
    let spec = pin("3.12.9", &bytes) + &url(&world);
    let project = project(&world, "model", "3.12", &spec);
    world
        .server
        .break_path("stand-in.tar.gz", Fault::OtherBytes);
    let text = fail(world.cognix("store").arg("build").arg(&project), 102);
    assert!(text.contains("stand-in.tar.gz"), "{text}");
    world.server.heal();
    world.build("store", &project);
}

/// One's own archive takes the place of Debian's package, and another pin makes the lock stale.
#[test]
fn an_archive_of_ones_own_instead_of_debians() {
    let world = World::new();
    let bytes = archive("3.11");
    publish(&world, &bytes);
    let spec = pin("3.11.99", &bytes) + &url(&world);
    let project = project(&world, "model", "3.11", &spec);
    world.build("store", &project);
    let text = lock_text(&project);
    assert!(text.contains("\"version\": \"3.11.99\""), "{text}");
    assert!(
        text.contains("bookworm") && !text.contains("\"python3.11\""),
        "{text}"
    );

    let other = std::fs::read_to_string(project.join("cognix.nix")).expect("readable");
    write(
        &project.join("cognix.nix"),
        other.replace("3.11.99", "3.11.98"),
    );
    let text = fail(
        world
            .cognix("store")
            .args(["build", "--locked"])
            .arg(&project),
        78,
    );
    assert!(
        text.contains("archives of python-build-standalone was 3.11.99")
            && text.contains("3.11.98"),
        "{text}"
    );
}

#[test]
fn another_interpreter_than_the_pin_says() {
    let world = World::new();
    let bytes = archive("3.10");
    publish(&world, &bytes);
    let spec = pin("3.12.9", &bytes) + &url(&world);
    let project = project(&world, "model", "3.12", &spec);
    let text = fail(world.cognix("store").arg("build").arg(&project), 100);
    assert!(text.contains("has no python/bin/python3.12"), "{text}");
}
