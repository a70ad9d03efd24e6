//! The larger example: Python 3.13, ffmpeg with everything below it, and some seventy wheels.
//!
//! One test, because the example is large: it is built once, looked at from all sides, and removed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use cognix_derivations::{ContentAddress, Sha256, StorePathName, content_addressed_path};
use serde_json::Value;

use crate::example::{Example, remove};
use crate::world::server::Server;
use crate::world::{COGNIX, succeed};

#[test]
fn the_larger_example_keeps_every_promise() {
    let vision = Example::build("vision");
    let lock = vision.lock();
    let wheels = lock["python"].as_array().expect("wheels");
    assert!(wheels.len() >= 60, "{} wheels", wheels.len());
    the_same_bytes_again(&vision, &lock);
    vision.check();
    #[cfg(feature = "container-tests")]
    container::look(&vision);
    vision.remove();
}

/// The promise: another store, home, zone, language, umask, folder and number of jobs. What the first build has fetched
/// is fetched again, from loopback.
fn the_same_bytes_again(vision: &Example, lock: &Value) {
    let server = Server::start();
    serve(vision, lock, &server);
    let project = vision.folder.join("another/place");
    crate::build::copy_in_reverse(&vision.project, &project);
    let layout = vision.folder.join("layout-2");
    let store = vision.folder.join("store-2");
    let mut shell = Command::new("sh");
    shell
        .env("HOME", vision.folder.join("home-2"))
        .env("XDG_CACHE_HOME", vision.folder.join("home-2/cache"))
        .env("TZ", "America/St_Johns")
        .env("LC_ALL", "tr_TR.UTF-8")
        .args(["-c", "umask 077; exec \"$@\"", "sh", COGNIX, "--store"])
        .arg(&store)
        .args(["build", "--locked", "--jobs", "5", "-o"])
        .arg(format!("oci:{}:latest", layout.display()));
    for (input, folder) in [
        ("pypi", "simple"),
        ("debian", "debian"),
        ("debian-security", "debian-security"),
    ] {
        shell
            .arg("--mirror")
            .arg(format!("{input}={}", server.url(folder)));
    }
    succeed(shell.arg(&project));
    // Before the layouts are read: they are large, and disks may be small.
    remove(&store);
    assert_same_files(&vision.layout, &layout);
    remove(&layout);
}

/// Gives everything that the first build has fetched to a server.
fn serve(vision: &Example, lock: &Value, server: &Server) {
    let fetched = |entry: &Value| {
        let url = entry["url"].as_str().expect("an address");
        let (input, path) = url
            .strip_prefix("mirror://")
            .and_then(|rest| rest.split_once('/'))
            .expect("relative to a source");
        let sha256: Sha256 = entry["sha256"]
            .as_str()
            .expect("a digest")
            .parse()
            .expect("hex");
        let file = path.rsplit('/').next().expect("a file").to_owned();
        let address = ContentAddress::Flat(sha256.into());
        let name = StorePathName::sanitized(&file);
        let stored = content_addressed_path(&name, &address, &Default::default(), false);
        let stored = stored.expect("a name").to_string();
        let bytes = std::fs::read(vision.folder.join("store").join(&stored[1..]));
        (
            input.to_owned(),
            path.to_owned(),
            file,
            bytes.expect("the build has fetched it"),
        )
    };
    for deb in lock["debian"].as_array().expect("packages") {
        let (input, path, _, bytes) = fetched(deb);
        server.put(
            &format!("{input}/{path}"),
            "application/octet-stream",
            bytes,
        );
    }
    for wheel in lock["python"].as_array().expect("wheels") {
        let (_, _, file, bytes) = fetched(wheel);
        let name = wheel["name"].as_str().expect("a name");
        let link = format!(
            "<!doctype html><html><body><a href=\"../../files/{file}#sha256={}\">{file}</a></body></html>\n",
            Sha256::of(&bytes)
        );
        server.put(&format!("simple/{name}/"), "text/html", link);
        server.put(&format!("files/{file}"), "application/octet-stream", bytes);
    }
}

/// As in `build`, but a file at a time.
fn assert_same_files(one: &Path, other: &Path) {
    let list = |root: &Path| {
        let mut sizes = BTreeMap::new();
        for folder in ["", "blobs/sha256"] {
            for entry in std::fs::read_dir(root.join(folder)).expect("a layout") {
                let entry = entry.expect("readable");
                let name = Path::new(folder).join(entry.file_name());
                let metadata = entry.metadata().expect("readable");
                if metadata.is_file() {
                    sizes.insert(name, metadata.len());
                }
            }
        }
        sizes
    };
    let names = list(one);
    assert!(names.len() > 60, "{names:?}");
    assert_eq!(names, list(other));
    for name in names.keys() {
        let read = |root: &Path| std::fs::read(root.join(name)).expect("readable");
        assert!(read(one) == read(other), "{} differs", name.display());
    }
}

#[cfg(feature = "container-tests")]
mod container {
    use super::*;

    /// A picture of one red and one blue half.
    const PICTURE: &str =
        "P3 4 2 255  255 0 0 255 0 0 255 0 0 0 0 255  255 0 0 255 0 0 255 0 0 0 0 255\n";

    pub(super) fn look(vision: &Example) {
        the_packages_work(vision);
        pip_freeze_is_what_the_label_says(vision);
        a_picture_is_described(vision);
    }

    fn run(vision: &Example, command: &[&str]) -> String {
        let mut exec = vision.cognix();
        exec.args(["exec", "--locked", "--project"])
            .arg(&vision.project)
            .arg("--");
        let output = succeed(exec.args(command));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn the_packages_work(vision: &Example) {
        let said = run(vision, &["ffmpeg", "-version"]);
        assert!(said.starts_with("ffmpeg version "), "{said}");
        let script = "import cv2, sklearn, pandas, matplotlib, PIL.Image, fastapi, uvloop; print(cv2.__version__)";
        assert_eq!(run(vision, &["python", "-c", script]), "4.12.0\n");
    }

    /// The names as each package spells its own, sorted as pip sorts them.
    fn pip_freeze_is_what_the_label_says(vision: &Example) {
        let script = "import importlib.metadata as m\n\
            found = [(d.metadata['Name'], d.version) for d in m.distributions()]\n\
            for name, version in sorted(found, key=lambda it: it[0].lower()): print(f'{name}=={version}')";
        let config = vision.build["config"]["digest"].as_str().expect("a digest");
        let blob = vision
            .layout
            .join(config.replace("sha256:", "blobs/sha256/"));
        let config: Value =
            serde_json::from_slice(&std::fs::read(blob).expect("readable")).expect("JSON");
        let label = config["config"]["Labels"]["run.cog.pip_freeze"]
            .as_str()
            .expect("a label");
        assert_eq!(label, run(vision, &["python", "-c", script]));
        assert!(label.contains("PyYAML=="), "{label}");
    }

    fn a_picture_is_described(vision: &Example) {
        let encoded = data_encoding::BASE64.encode(PICTURE.as_bytes());
        let media = format!("data:image/x-portable-pixmap;base64,{encoded}");
        let body = serde_json::json!({ "input": { "media": media, "colors": 2 } });
        let answer = vision.ask(&body.to_string());
        assert_eq!(answer["status"], "succeeded", "{answer}");
        let output = &answer["output"];
        assert_eq!(
            output["colors"],
            serde_json::json!(["#ff0000", "#0000ff"]),
            "{answer}"
        );
        assert_eq!(
            (&output["width"], &output["height"]),
            (&4.into(), &2.into())
        );
    }
}
