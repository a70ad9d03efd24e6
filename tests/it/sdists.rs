//! Real packages, built from source with the backends that people use.
//!
//! One test, because everything that builds need is fetched for it: a model whose packages have no wheels, or are asked for
//! without them. It is locked and built by root, then built by another user in another place, with another number of jobs,
//! from an empty store; the wheels must be the same bytes, which their names in the store tell.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::example::remove;
use crate::world::somebody::Somebody;
use crate::world::{COGNIX, succeed, write};

/// The packages, and the backend that each is built with.
const PACKAGES: [(&str, &str); 12] = [
    // Published as source only.
    (
        "antlr4-python3-runtime==4.9.3",
        "setuptools.build_meta:__legacy__",
    ),
    ("docopt==0.6.2", "setuptools.build_meta:__legacy__"),
    // With extensions in C, one of them made by Cython.
    ("markupsafe==3.0.3", "setuptools.build_meta"),
    ("pyyaml==6.0.3", "_pyyaml_pep517"),
    ("wrapt==2.0.1", "setuptools.build_meta"),
    // Published as source only; needs the library that it is for.
    ("pycairo==1.28.0", "mesonpy"),
    // Of C++, with CMake.
    ("pybind11==3.0.1", "scikit_build_core.build"),
    // In Rust; its archive brings the crates that it needs.
    ("orjson==3.10.18", "maturin"),
    ("annotated-types==0.7.0", "hatchling.build"),
    ("tomli==2.3.0", "flit_core.buildapi"),
    ("tomlkit==0.13.3", "poetry.core.masonry.api"),
    ("iniconfig==2.1.0", "hatchling.build"),
];

#[test]
fn packages_that_are_source_become_the_same_wheels_everywhere() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = target.join(format!("sdists-{}", std::process::id()));
    let project = folder.join("model");
    let requirements: String = PACKAGES
        .iter()
        .map(|(requirement, _)| {
            let name = requirement.split("==").next().unwrap_or_default();
            format!("{requirement}\n--no-binary {name}\n")
        })
        .collect();
    std::fs::create_dir_all(&project).expect("a writable folder");
    write(&project.join("requirements.txt"), requirements);
    let spec = "{ wheels.buildPackages = [ \"libcairo2-dev\" ]; }\n";
    write(&project.join("cognix.nix"), spec);
    write(
        &project.join("predict.py"),
        "class Predictor:\n    def predict(self) -> str:\n        return ''\n",
    );
    write(
        &project.join("cog.yaml"),
        "build:\n  python_version: \"3.13\"\n  python_requirements: requirements.txt\nrun: predict.py:Predictor\n",
    );

    let mut lock = Command::new(COGNIX);
    lock.arg("--store")
        .arg(folder.join("lock-store"))
        .arg("lock");
    succeed(lock.arg(&project));
    says_how_each_is_built(&project);

    let first = folder.join("store");
    let mut build = Command::new(COGNIX);
    build
        .arg("--store")
        .arg(&first)
        .args(["build", "--locked", "--jobs", "2"]);
    let digest = succeed(build.arg(&project)).stdout;

    // The folder of the first build is root's alone, so the other user gets a place of its own.
    let place = folder.join("another/place");
    std::fs::create_dir_all(&place).expect("writable");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).expect("our own");
    let somebody = Somebody::new(&place, &project);
    let mut build = somebody.cognix();
    build
        .args(["build", "--locked", "--jobs", "5"])
        .arg(somebody.project())
        .envs(std::env::vars_os())
        .env("HOME", somebody.path("home"))
        .env("XDG_CACHE_HOME", somebody.path("home/cache"))
        .env("TZ", "America/St_Johns")
        .env("LC_ALL", "tr_TR.UTF-8");
    let again = succeed(&mut build).stdout;

    let wheels = built_wheels(&first);
    assert_eq!(wheels.len(), PACKAGES.len(), "{wheels:?}");
    assert_eq!(wheels, built_wheels(&somebody.path("store")));
    assert_eq!(digest, again);
    remove(&folder);
}

/// The lock has each as a source archive, with its backend and what that needs.
fn says_how_each_is_built(project: &Path) {
    let text = std::fs::read(project.join("cognix.lock")).expect("a lock");
    let lock: Value = serde_json::from_slice(&text).expect("JSON");
    let platform = &lock["variants"]["default"]["platforms"]["linux/amd64"];
    let entries = platform["python"].as_array().expect("packages");
    for (requirement, backend) in PACKAGES {
        let (name, version) = requirement.split_once("==").expect("a pin");
        let start = format!("{}-{version}.", name.replace('-', "_"));
        let entry = entries.iter().find(|entry| {
            let file = entry["file"].as_str().unwrap_or_default();
            file.to_lowercase()
                .replace('-', "_")
                .starts_with(&start.replace('-', "_"))
        });
        let build = &entry.unwrap_or_else(|| panic!("{requirement} is not built"))["build"];
        assert_eq!(build["backend"], backend, "{requirement}");
        assert_eq!(build["reason"], "no-binary", "{requirement}");
        assert!(build["requires"].is_array());
    }
    let tools = platform["build"]["packages"].as_array().expect("tools");
    assert!(tools.iter().any(|deb| deb.to_string().contains("gcc")));
}

/// The wheels that were built, by their names in the store, which hold the digests of their bytes.
fn built_wheels(store: &Path) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(store.join("nix/store")).expect("a store");
    let names = entries.map(|entry| PathBuf::from(entry.expect("readable").file_name()));
    // A fetched wheel has its tags in its name.
    let is_built = |name: &PathBuf| {
        let text = name.to_string_lossy();
        text.ends_with(".whl") && !text.ends_with("any.whl") && !text.contains("linux")
    };
    names.filter(is_built).collect()
}
