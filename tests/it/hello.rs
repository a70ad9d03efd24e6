//! The example from nothing: real packages, real tools, and a server that answers.

use std::collections::{BTreeMap, BTreeSet};
#[cfg(feature = "oracle-tests")]
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::example::Example;
use crate::world::{COGNIX, json, succeed};

/// The example, locked and built once for all tests of this file and of `unlayered`.
pub(crate) fn hello() -> &'static Example {
    static HELLO: OnceLock<Example> = OnceLock::new();
    HELLO.get_or_init(|| Example::build("hello"))
}

/// The entries of every layer: path, kind and header fields, in the order of the image.
fn layer_entries(hello: &Example) -> Vec<(String, Vec<(String, tar::Header)>)> {
    let layers = hello.build["layers"].as_array().expect("layers");
    layers
        .iter()
        .map(|layer| {
            let digest = layer["digest"]
                .as_str()
                .expect("a digest")
                .replace("sha256:", "");
            let file = std::fs::File::open(hello.layout.join("blobs/sha256").join(digest))
                .expect("every layer is written");
            let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(file));
            let entries = archive.entries().expect("a tar archive").map(|entry| {
                let mut entry = entry.expect("a sound archive");
                std::io::copy(&mut entry, &mut std::io::sink()).expect("whole contents");
                (
                    String::from_utf8(entry.path_bytes().into_owned()).expect("UTF-8"),
                    entry.header().clone(),
                )
            });
            (
                layer["name"].as_str().expect("a name").to_owned(),
                entries.collect(),
            )
        })
        .collect()
}

#[test]
fn every_derivation_gives_the_same_once_more() {
    hello().check();
}

#[test]
fn no_path_stands_in_two_layers() {
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    let mut folders: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (layer, entries) in layer_entries(hello()) {
        for (path, header) in entries {
            if header.entry_type().is_dir() {
                // Folders belong to nobody: every layer brings those above its files, the same everywhere.
                let bytes = header.as_bytes().to_vec();
                assert_eq!(
                    *folders.entry(path.clone()).or_insert_with(|| bytes.clone()),
                    bytes,
                    "{path} differs in {layer}"
                );
            } else if let Some(other) = owners.insert(path.clone(), layer.clone()) {
                panic!("{path} stands in {other} and in {layer}");
            }
        }
    }
    assert!(
        owners.len() > 5_000,
        "only {} files were found",
        owners.len()
    );
}

#[test]
fn every_wheel_of_the_lock_has_its_own_layer() {
    let hello = hello();
    let lock = hello.lock();
    let wheels = lock["python"]
        .as_array()
        .expect("wheels")
        .iter()
        .map(|wheel| wheel["name"].as_str());
    let layers: BTreeSet<_> = hello.build["layers"]
        .as_array()
        .expect("layers")
        .iter()
        .map(|layer| layer["name"].as_str())
        .collect();
    for wheel in wheels {
        assert!(layers.contains(&wheel), "{wheel:?} has no layer");
    }
}

#[test]
fn the_lock_names_no_host() {
    let text = std::fs::read_to_string(hello().project.join("cognix.lock")).expect("a lock");
    assert!(
        !text.contains("://")
            || text.split("://").skip(1).count() == text.matches("mirror://").count(),
        "a URL stands in it"
    );
}

/// The promise with real packages: another store, home, zone, language, umask, folder and number of jobs.
#[test]
fn a_second_build_from_nothing_is_the_same_bytes() {
    let hello = hello();
    let project = hello.folder.join("other/place");
    std::fs::create_dir_all(&project).expect("a writable folder");
    for name in [
        ".dockerignore",
        "predict.py",
        "requirements.txt",
        "cog.yaml",
        "cognix.lock",
    ] {
        std::fs::copy(hello.project.join(name), project.join(name)).expect("readable");
    }
    let layout = hello.folder.join("layout-2");
    let mut shell = Command::new("sh");
    shell
        .env("HOME", hello.folder.join("home-2"))
        .env("TZ", "America/St_Johns")
        .env("LC_ALL", "tr_TR.UTF-8")
        .args(["-c", "umask 077; exec \"$@\"", "sh", COGNIX, "--store"])
        .arg(hello.folder.join("store-2"))
        .args(["build", "--locked", "--jobs", "5", "-o"])
        .arg(format!("oci:{}:latest", layout.display()))
        .arg(&project);
    succeed(&mut shell);
    let (one, other) = (
        crate::build::files(&hello.layout),
        crate::build::files(&layout),
    );
    assert_eq!(
        one.keys().collect::<Vec<_>>(),
        other.keys().collect::<Vec<_>>()
    );
    assert!(
        one.iter().all(|(name, bytes)| other[name] == *bytes),
        "the layouts differ"
    );
    // Only what the other tests use stays: the disk may be small.
    std::fs::remove_dir_all(&layout).expect("our own");
    crate::example::remove(&hello.folder.join("store-2"));
}

#[cfg(feature = "container-tests")]
mod container {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::unlayered;

    #[test]
    fn skopeo_and_umoci_take_the_image() {
        let hello = hello();
        let reference = format!("oci:{}:latest", hello.layout.display());
        let inspected = json(Command::new("skopeo").args(["inspect", &reference]));
        assert_eq!(inspected["Digest"], hello.build["image"]["digest"]);
        let copy = hello.folder.join("copy");
        succeed(
            Command::new("skopeo")
                .args(["copy", "--quiet", &reference])
                .arg(format!("dir:{}", copy.display())),
        );
        let bundle = hello.folder.join("bundle");
        succeed(
            Command::new("umoci")
                .args(["unpack", "--image"])
                .arg(format!("{}:latest", hello.layout.display()))
                .arg(&bundle),
        );
        let mut unpacked = BTreeMap::new();
        unlayered::walk(&bundle.join("rootfs"), &mut |path, metadata, content| {
            let (mode, user, group) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
            unpacked.insert(path, (mode, user.into(), group.into(), content));
        });
        unlayered::assert_same_tree(&unpacked, &unlayered::stacked(hello));
        std::fs::remove_dir_all(&copy).expect("our own");
        crate::example::remove(&bundle);
    }

    #[test]
    fn skopeo_takes_both_archives() {
        let hello = hello();
        for transport in ["oci-archive", "docker-archive"] {
            let file = hello.folder.join(format!("{transport}.tar"));
            let destination = format!("{transport}:{}:hello:latest", file.display());
            let destination =
                destination.replace("oci-archive.tar:hello:latest", "oci-archive.tar:latest");
            let mut build = hello.cognix();
            succeed(
                build
                    .args(["build", "--locked", "-o", &destination])
                    .arg(&hello.project),
            );
            let inspected = json(
                Command::new("skopeo")
                    .arg("inspect")
                    .arg(format!("{transport}:{}", file.display())),
            );
            assert_eq!(inspected["Os"], "linux", "{inspected}");
            std::fs::remove_file(&file).expect("our own");
        }
    }

    /// Starts the image's own server and asks it what a user would.
    #[test]
    fn the_server_gets_ready_and_answers() {
        let hello = hello();
        let answer = hello.ask(r#"{"input": {"text": "brave new world"}}"#);
        assert_eq!(answer["status"], "succeeded", "{answer}");
        assert_eq!(answer["output"], "hello brave new world (13 letters)");
    }

    #[test]
    fn exec_runs_in_the_image_and_gives_back_the_status() {
        let hello = hello();
        let mut exec = hello.cognix();
        exec.args(["exec", "--locked", "--project"])
            .arg(&hello.project);
        let script = "import sys, ssl, numpy, ctypes.util, pwd; print(sys.prefix, numpy.__version__, pwd.getpwuid(0).pw_name, \
                      len(ssl.create_default_context().get_ca_certs()) > 100, ctypes.util.find_library('c')); sys.exit(7)";
        let output = exec
            .args(["--", "python", "-c", script])
            .output()
            .expect("the program starts");
        assert_eq!(
            output.status.code(),
            Some(7),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "/venv 2.2.6 root True libc.so.6\n"
        );
    }
}

#[cfg(feature = "oracle-tests")]
mod oracle {
    use super::*;

    /// A real Nix accepts the store after a build and shows our hashes.
    #[test]
    fn a_real_nix_verifies_the_store() {
        let hello = hello();
        let tools = PathBuf::from(
            std::env::var_os("COGNIX_NIX_ORACLE")
                .expect("COGNIX_NIX_ORACLE names a folder with Nix's commands"),
        );
        let store = format!("local?root={}", hello.folder.join("store").display());
        let verify = succeed(
            Command::new(tools.join("nix-store"))
                .env("NIX_REMOTE", &store)
                .args(["--verify", "--check-contents"]),
        );
        let said = String::from_utf8_lossy(&verify.stderr);
        assert!(
            !said.contains("error") && !said.contains("modified") && !said.contains("disappeared"),
            "{said}"
        );
        let image = hello.build["outPath"].as_str().expect("a path");
        let theirs = json(
            Command::new(tools.join("nix"))
                .env("NIX_REMOTE", &store)
                .args(["path-info", "--json", image]),
        );
        let ours = json(
            hello
                .cognix()
                .args(["store", "info", "--format", "json", image]),
        );
        let theirs = theirs
            .as_array()
            .and_then(|list| list.first())
            .or_else(|| theirs.get(image))
            .expect("one path")
            .clone();
        assert_eq!(theirs["narHash"], ours["paths"][0]["narHash"]);
        let derivation = hello.build["drvPath"].as_str().expect("a path");
        succeed(
            Command::new(tools.join("nix"))
                .env("NIX_REMOTE", &store)
                .args(["derivation", "show", derivation]),
        );
    }
}
