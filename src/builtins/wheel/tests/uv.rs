//! Real wheels, installed by us and by uv, must give the same environment.
//!
//! Needs `pip` and `uv` on the path and a package index in their own settings; with `COGNIX_TEST_WHEELS` set to a
//! directory, the wheels there are compared instead of downloaded ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::builtins::wheel::{InstallTarget, RecordPolicy, WheelArchive, plan, write_tree};

/// Chosen for what is in them: `.data` trees, scripts of all kinds, namespaces, wheels of unusual tools, large lists.
const WHEELS: [&str; 24] = [
    "aiohttp==3.14.5",
    "botocore==1.44.5",
    "cmake==4.4.4",
    "coglet==0.23.1",
    "django==5.2.19",
    "fastapi==0.165.0",
    "google-cloud-storage==3.17.1",
    "grpcio==1.85.1",
    "jupyterlab==4.6.6",
    "matplotlib==3.11.2",
    "ninja==1.13.2",
    "notebook==7.6.5",
    "numpy==2.4.6",
    "pandas==3.1.1",
    "pip==26.3",
    "protobuf==7.36.2",
    "pywin32-ctypes==0.2.3",
    "ruamel.yaml==0.19.1",
    "ruff==0.17.5",
    "setuptools==84.2.1",
    "sympy==1.14.0",
    "uvicorn==0.54.0",
    "virtualenv==21.15.7",
    "wheel==0.48.0",
];

/// Wheels that installers take and that we refuse, and why.
const BROKEN: [(&str, &str); 2] = [
    (
        "decord==0.6.0",
        "`decord-0.6.0.dist-info/top_level.txt`: its size is 7, but `decord-0.6.0.dist-info/RECORD` says 17",
    ),
    (
        "selenium==4.1.0",
        "`selenium-4.1.0.dist-info/RECORD`, line 1: path `/selenium/__init__.py` is absolute",
    ),
];

/// What an installer says about itself rather than about the package.
const OF_THE_INSTALLER: [&str; 5] = [
    "INSTALLER",
    "REQUESTED",
    "RECORD",
    "direct_url.json",
    "uv_cache.json",
];

#[derive(Debug, PartialEq, Eq)]
struct Installed {
    executable: bool,
    bytes: Vec<u8>,
}

type Tree = BTreeMap<String, Installed>;

#[test]
fn real_wheels_are_installed_as_uv_installs_them() {
    let work = tempfile::tempdir().expect("a temporary directory");
    let wheels = match std::env::var_os("COGNIX_TEST_WHEELS") {
        Some(directory) => PathBuf::from(directory),
        None => download(work.path(), &WHEELS),
    };
    let mut failures = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(wheels).expect("the directory of wheels") {
        let wheel = entry.expect("an entry").path();
        if wheel
            .extension()
            .is_some_and(|extension| extension == "whl")
        {
            count += 1;
            if let Err(problem) = compare(&wheel, work.path()) {
                failures.push(format!("{}: {problem}", wheel.display()));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(count > 0, "there were no wheels");
}

#[test]
fn rec_2_real_wheels_that_break_their_promises_are_refused() {
    for (requirement, expected) in BROKEN {
        let work = tempfile::tempdir().expect("a temporary directory");
        let wheels = download(work.path(), &[requirement]);
        let wheel = fs::read_dir(wheels)
            .expect("a directory")
            .next()
            .expect("a wheel");
        let error = ours(&wheel.expect("an entry").path(), work.path()).expect_err(requirement);
        assert_eq!(error, expected);
    }
}

fn download(work: &Path, requirements: &[&str]) -> PathBuf {
    let wheels = work.join("wheels");
    let mut pip = Command::new("pip");
    pip.args(["download", "--quiet", "--no-deps", "--only-binary", ":all:"]);
    pip.args(["--python-version", "3.11"]);
    // None of these implies the others.
    for platform in [
        "manylinux1",
        "manylinux2010",
        "manylinux2014",
        "manylinux_2_17",
        "manylinux_2_27",
        "manylinux_2_28",
    ] {
        pip.args(["--platform", &format!("{platform}_x86_64")]);
    }
    pip.arg("--dest").arg(&wheels).args(requirements);
    run(&mut pip).expect("downloading");
    wheels
}

/// Installs a wheel twice and says what differs.
fn compare(wheel: &Path, work: &Path) -> Result<(), String> {
    let ours = ours(wheel, work)?;
    let theirs = theirs(wheel, work)?;
    let mut differences = Vec::new();
    for path in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
        let (one, other) = (ours.get(path), theirs.get(path));
        let problem = match (one, other) {
            (Some(_), None) => "only ours",
            (None, Some(_)) => "only uv's",
            (Some(one), Some(other)) if one.executable != other.executable => "executable bit",
            (Some(one), Some(other)) if one.bytes != other.bytes => "content",
            _ => continue,
        };
        differences.push(format!("{problem}: {path}"));
    }
    if differences.is_empty() {
        Ok(())
    } else {
        Err(differences.join(", "))
    }
}

fn ours(wheel: &Path, work: &Path) -> Result<Tree, String> {
    let target = work.join("ours");
    let filename = wheel
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or("no name")?;
    let archive = WheelArchive::open(File::open(wheel).map_err(|error| error.to_string())?)
        .map_err(|error| error.to_string())?;
    let plan = plan(
        &archive,
        filename,
        &InstallTarget { python: (3, 11) },
        RecordPolicy::Checked,
    )
    .map_err(|error| error.to_string())?;
    write_tree(&archive, &plan, &target, &|| false).map_err(|error| error.to_string())?;
    let tree = read(&target.join("venv"), "/venv/bin/python");
    fs::remove_dir_all(target).map_err(|error| error.to_string())?;
    Ok(tree)
}

fn theirs(wheel: &Path, work: &Path) -> Result<Tree, String> {
    let venv = work.join("theirs");
    run(Command::new("uv")
        .args(["venv", "--quiet", "--python", "3.11"])
        .arg(&venv))?;
    let before = read(&venv, "");
    run(Command::new("uv")
        .args([
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--link-mode",
            "copy",
        ])
        .arg("--python")
        .arg(&venv)
        .arg(wheel))?;
    let mut tree = read(&venv, &venv.join("bin/python").to_string_lossy());
    tree.retain(|path, _| !before.contains_key(path) && path != ".lock");
    fs::remove_dir_all(venv).map_err(|error| error.to_string())?;
    Ok(tree)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// Everything below an environment that the wheel, and not the installer, decides.
fn read(root: &Path, python: &str) -> Tree {
    let mut tree = Tree::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let metadata = path.symlink_metadata().expect("a file");
            let relative = path
                .strip_prefix(root)
                .expect("below")
                .to_string_lossy()
                .into_owned();
            if metadata.is_dir() {
                directories.push(path);
            } else if !metadata.is_symlink() {
                let bytes = fs::read(&path).expect("readable");
                let executable = metadata.permissions().mode() & 0o111 != 0;
                tree.insert(relative, Installed { executable, bytes });
            }
        }
    }
    normalise(tree, python)
}

/// Takes the installers' own files away and puts one interpreter into all first lines. RECORD is compared line by line:
/// all paths, and the digests of what is not generated.
fn normalise(mut tree: Tree, python: &str) -> Tree {
    let shebang = format!("#!{python}\n");
    for file in tree.values_mut() {
        if let Some(rest) = file.bytes.strip_prefix(shebang.as_bytes()) {
            file.bytes = [b"#!python\n", rest].concat();
        }
    }
    let is_own = |path: &str| {
        path.rsplit_once(".dist-info/")
            .is_some_and(|(_, name)| OF_THE_INSTALLER.contains(&name))
    };
    let records: Vec<String> = tree
        .keys()
        .filter(|path| path.ends_with(".dist-info/RECORD"))
        .cloned()
        .collect();
    // A wheel that vendors others has their records too, as ordinary files.
    let own = |path: &String| path.matches('/').count() == 4;
    for path in records.iter().filter(|path| own(path)) {
        let text = String::from_utf8_lossy(&tree[path].bytes).into_owned();
        let lines = text
            .lines()
            .filter(|line| !is_own(line.split(',').next().unwrap_or_default()));
        let lines = lines.map(|line| match line.strip_prefix("../../../bin/") {
            Some(script) => script.split(',').next().unwrap_or_default().to_owned(),
            None => line.to_owned(),
        });
        let bytes = lines.collect::<Vec<_>>().join("\n").into_bytes();
        tree.insert(
            format!("{path} without its own lines"),
            Installed {
                executable: false,
                bytes,
            },
        );
    }
    tree.retain(|path, _| !(is_own(path) && own(path)));
    tree
}
