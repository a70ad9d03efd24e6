//! Real wheels, installed by us and by uv, must give the same environment: as a tree, and as a layer that is unpacked.
//!
//! Needs `pip` and `uv` on the path and a package index in their own settings; with `COGNIX_TEST_WHEELS` set to a
//! directory, the wheels there are compared instead of downloaded ones. A few wheels are on the disk at a time, and each is
//! removed when it was compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{Read, Write as _},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use cognix_derivations::{StorePath, StorePathName};

use crate::builtins::wheel::{InstallTarget, RecordPolicy, WheelArchive, plan, write_tree};
use crate::layers::description::{PythonVersion, WheelSource};
use crate::layers::{self, LayerRequest, Recipe, describe_wheel};

/// Popular wheels, chosen for what is in them: `.data` trees, scripts of all kinds, namespaces, wheels of unusual tools,
/// large lists. None is above 20 MB, and all together are about 150 MB.
const WHEELS: [&str; 100] = [
    "aiohttp==3.14.5",
    "aiosignal==1.4.0",
    "alembic==1.20.1",
    "amqp==5.4.2",
    "annotated-types==0.8.0",
    "anyio==4.16.0",
    "attrs==26.1.0",
    "billiard==4.3.2",
    "blinker==1.9.0",
    "boto3==1.44.5",
    "botocore==1.44.5",
    "cachetools==8.0.1",
    "certifi==2026.10.18",
    "cffi==2.1.1",
    "charset-normalizer==3.5.2",
    "click==8.5.1",
    "coglet==0.23.1",
    "colorama==0.4.6",
    "contourpy==1.3.3",
    "cycler==0.12.1",
    "django==5.2.19",
    "fastapi==0.165.0",
    "filelock==4.2.11",
    "flask==3.1.3",
    "fonttools==4.68.0",
    "frozenlist==1.8.0",
    "fsspec==2026.9.0",
    "google-api-core==2.44.0",
    "google-auth==2.62.2",
    "google-cloud-core==2.8.0",
    "google-cloud-storage==3.17.1",
    "googleapis-common-protos==1.76.0",
    "greenlet==3.5.6",
    "grpcio==1.85.1",
    "gunicorn==27.0.1",
    "h11==0.16.0",
    "httpcore==1.0.9",
    "httpx==0.28.1",
    "idna==3.20",
    "iniconfig==2.3.1",
    "itsdangerous==2.2.0",
    "jinja2==3.1.6",
    "jmespath==1.1.0",
    "joblib==1.6.0",
    "jsonschema-specifications==2025.9.1",
    "jsonschema==4.26.0",
    "jupyterlab==4.6.6",
    "kombu==5.7.0",
    "mako==1.4.3",
    "markdown-it-py==4.3.0",
    "markupsafe==3.0.4",
    "matplotlib==3.11.2",
    "mdurl==0.1.2",
    "ninja==1.13.2",
    "notebook==7.6.5",
    "numpy==2.4.6",
    "oauthlib==4.0.1",
    "packaging==26.3",
    "pandas==3.1.1",
    "pip==26.3",
    "platformdirs==4.14.7",
    "pluggy==1.7.0",
    "propcache==0.5.4",
    "proto-plus==1.29.0",
    "protobuf==7.36.2",
    "pyasn1-modules==0.4.2",
    "pyasn1==0.6.5",
    "pycparser==3.12",
    "pyjwt==2.15.1",
    "pyparsing==3.3.3",
    "pytest==9.2.0",
    "python-dateutil==4.0.0",
    "pywin32-ctypes==0.2.3",
    "referencing==0.37.0",
    "requests-oauthlib==2.0.0",
    "requests==2.34.2",
    "rich==15.0.0",
    "rpds-py==2026.9.1",
    "rsa==4.9.1",
    "ruamel.yaml==0.19.1",
    "ruff==0.17.5",
    "s3transfer==0.19.3",
    "setuptools==84.2.1",
    "six==1.17.0",
    "sniffio==1.3.1",
    "starlette==1.10.0",
    "sympy==1.14.0",
    "threadpoolctl==3.8.0",
    "tomli==2.5.0",
    "tqdm==4.70.1",
    "typing-extensions==4.16.0",
    "tzdata==2026.6",
    "urllib3==2.8.0",
    "uvicorn==0.54.0",
    "vine==5.1.0",
    "virtualenv==21.15.7",
    "websockets==17.4",
    "werkzeug==3.1.9",
    "wheel==0.48.0",
    "yarl==1.25.1",
];

/// Wheels that installers take and that we refuse without a waiver, and why.
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

/// Wheels whose names or sizes no popular wheel has, made by Python's own `zipfile`: names that are not ASCII, and 64-bit
/// sizes throughout.
const MADE: &str = r#"
import base64, hashlib, sys, zipfile
for name, files, zip64 in [
    ("nonascii", {"nonascii/__init__.py": b"", "nonascii/caf\u00e9 \u4f60\u597d.txt": "\u00fc".encode(),
                  "nonascii-1.0.data/data/share/\u00e9t\u00e9.txt": b"summer"}, False),
    ("zip64", {"zip64/__init__.py": b"x = 1\n", "zip64/large.bin": bytes(range(256)) * 4096}, True),
]:
    files[f"{name}-1.0.dist-info/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()
    files[f"{name}-1.0.dist-info/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    digest = lambda body: base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
    record = "".join(f"{path},sha256={digest(body)},{len(body)}\n" for path, body in files.items())
    files[f"{name}-1.0.dist-info/RECORD"] = (record + f"{name}-1.0.dist-info/RECORD,,\n").encode()
    with zipfile.ZipFile(f"{sys.argv[1]}/{name}-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        for path, body in files.items():
            with archive.open(zipfile.ZipInfo(path), "w", force_zip64=zip64) as member:
                member.write(body)
"#;

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

/// What was found in the wheels, so that the test says what it has shown.
#[derive(Debug, Default)]
struct Counts {
    wheels: usize,
    files: usize,
    bytes: u64,
    data: usize,
    entry_points: usize,
    namespaces: usize,
    non_ascii: usize,
    executables: usize,
}

#[test]
fn real_wheels_are_installed_as_uv_installs_them() {
    let work = tempfile::tempdir().expect("a temporary directory");
    let mut counts = Counts::default();
    let mut failures = Vec::new();
    let mut check = |wheel: &Path| {
        if let Err(problem) = compare(wheel, work.path(), RecordPolicy::Checked, &mut counts) {
            failures.push(format!("{}: {problem}", wheel.display()));
        }
    };
    match std::env::var_os("COGNIX_TEST_WHEELS") {
        Some(directory) => wheels_in(Path::new(&directory))
            .iter()
            .for_each(|wheel| check(wheel)),
        None => each_downloaded(work.path(), &WHEELS, &mut check),
    }
    // Shown with `--nocapture`, and when it fails.
    writeln!(std::io::stderr(), "{counts:?}").expect("somebody listens");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    if std::env::var_os("COGNIX_TEST_WHEELS").is_none() {
        assert_eq!(counts.wheels, WHEELS.len());
        let Counts {
            data,
            entry_points,
            namespaces,
            executables,
            ..
        } = counts;
        assert!(
            data >= 5 && entry_points >= 20 && namespaces >= 5 && executables >= 5,
            "{counts:?}"
        );
    }
}

#[test]
fn zip_2_zip_3_names_beyond_ascii_and_long_sizes_are_installed_as_uv_installs_them() {
    let work = tempfile::tempdir().expect("a temporary directory");
    run(Command::new("python3").args(["-c", MADE]).arg(work.path())).expect("made");
    let wheels = wheels_in(work.path());
    assert_eq!(wheels.len(), 2);
    let mut counts = Counts::default();
    for wheel in wheels {
        compare(&wheel, work.path(), RecordPolicy::Checked, &mut counts).expect("the same");
        let long_sizes = fs::read(&wheel)
            .expect("readable")
            .windows(4)
            .any(|at| at == [1, 0, 16, 0]);
        assert_eq!(
            long_sizes,
            wheel.to_string_lossy().contains("zip64"),
            "{}",
            wheel.display()
        );
    }
    assert_eq!(counts.non_ascii, 1);
}

/// A waiver makes installable what breaks its own RECORD, with the same files as uv's.
#[test]
fn rec_2_rec_3_real_wheels_that_break_their_promises_need_a_waiver() {
    for (requirement, expected) in BROKEN {
        let work = tempfile::tempdir().expect("a temporary directory");
        each_downloaded(work.path(), &[requirement], &mut |wheel| {
            let error = ours(wheel, work.path(), RecordPolicy::Checked).expect_err(requirement);
            assert_eq!(error, expected);
            let waived = compare(
                wheel,
                work.path(),
                RecordPolicy::Waived,
                &mut Counts::default(),
            );
            assert_eq!(waived, Ok(()), "{requirement}");
        });
    }
}

fn wheels_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory of wheels");
    let mut wheels: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    wheels.retain(|path| path.extension().is_some_and(|extension| extension == "whl"));
    wheels.sort();
    wheels
}

/// Downloads a few wheels at a time, while those before are looked at, and removes them again.
fn each_downloaded(work: &Path, requirements: &[&str], look: &mut dyn FnMut(&Path)) {
    let (ready, batches) = std::sync::mpsc::sync_channel(0);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for (number, batch) in requirements.chunks(10).enumerate() {
                let folder = work.join(format!("wheels-{number}"));
                if ready
                    .send(download(&folder, batch).map(|()| folder))
                    .is_err()
                {
                    return;
                }
            }
        });
        for folder in batches {
            let folder = folder.expect("downloading");
            wheels_in(&folder).iter().for_each(|wheel| look(wheel));
            fs::remove_dir_all(folder).expect("our own");
        }
    });
}

fn download(folder: &Path, requirements: &[&str]) -> Result<(), String> {
    let mut pip = Command::new("pip");
    pip.args(["download", "--quiet", "--no-deps", "--no-cache-dir"]);
    pip.args(["--only-binary", ":all:", "--python-version", "3.11"]);
    // None of these implies the others.
    for platform in [
        "manylinux1",
        "manylinux2010",
        "manylinux2014",
        "manylinux_2_17",
        "manylinux_2_27",
        "manylinux_2_28",
        "manylinux_2_34",
    ] {
        pip.args(["--platform", &format!("{platform}_x86_64")]);
    }
    run(pip.arg("--dest").arg(folder).args(requirements))
}

/// Installs a wheel twice and says what differs; the layer of the wheel must be the tree, byte for byte.
fn compare(
    wheel: &Path,
    work: &Path,
    record: RecordPolicy,
    counts: &mut Counts,
) -> Result<(), String> {
    let tree = ours(wheel, work, record)?;
    let unpacked = layer(wheel, record)?;
    differences(&tree, &unpacked, "the tree's", "the layer's")?;
    counts.add(wheel, &tree);
    let with_record = record == RecordPolicy::Checked;
    let ours = normalise(tree, "/venv/bin/python", with_record);
    differences(&ours, &theirs(wheel, work, with_record)?, "ours", "uv's")
}

fn differences(one: &Tree, other: &Tree, of_one: &str, of_other: &str) -> Result<(), String> {
    let mut differences = Vec::new();
    for path in one.keys().chain(other.keys()).collect::<BTreeSet<_>>() {
        let problem = match (one.get(path), other.get(path)) {
            (Some(_), None) => format!("only {of_one}"),
            (None, Some(_)) => format!("only {of_other}"),
            (Some(one), Some(other)) if one.executable != other.executable => {
                "executable bit".to_owned()
            }
            (Some(one), Some(other)) if one.bytes != other.bytes => "content".to_owned(),
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

impl Counts {
    fn add(&mut self, wheel: &Path, tree: &Tree) {
        let site_packages = "lib/python3.11/site-packages/";
        let packages: BTreeSet<&str> = tree
            .keys()
            .filter_map(|path| path.strip_prefix(site_packages)?.split_once('/'))
            .map(|(package, _)| package)
            // `numpy.libs` is no package.
            .filter(|package| !package.contains('.'))
            .collect();
        let is_namespace =
            |package: &&str| !tree.contains_key(&format!("{site_packages}{package}/__init__.py"));
        let archive = File::open(wheel).map(WheelArchive::open).expect("readable");
        let archive = archive.expect("it was installed");
        let names = || archive.members().iter().map(|member| member.name());
        let has = |holds: bool| usize::from(holds);
        self.wheels += 1;
        self.files += tree.len();
        self.bytes += wheel.metadata().expect("readable").len();
        self.data += has(names().any(|name| name.contains(".data/")));
        self.entry_points += has(names().any(|name| name.ends_with("/entry_points.txt")));
        self.namespaces += has(packages.iter().any(is_namespace));
        self.non_ascii += has(names().any(|name| !name.is_ascii()));
        self.executables += has(tree.values().any(|file| file.executable));
    }
}

fn ours(wheel: &Path, work: &Path, record: RecordPolicy) -> Result<Tree, String> {
    let target = work.join("ours");
    let archive = WheelArchive::open(File::open(wheel).map_err(|error| error.to_string())?)
        .map_err(|error| error.to_string())?;
    let installed = InstallTarget { python: (3, 11) };
    let plan =
        plan(&archive, &filename(wheel)?, &installed, record).map_err(|error| error.to_string())?;
    write_tree(&archive, &plan, &target, &|| false).map_err(|error| error.to_string())?;
    let tree = read(&target.join("venv"));
    fs::remove_dir_all(target).map_err(|error| error.to_string())?;
    Ok(tree)
}

/// Describes the layer of a wheel, makes its bytes, and unpacks them.
fn layer(wheel: &Path, record: RecordPolicy) -> Result<Tree, String> {
    let filename = filename(wheel)?;
    let base_name = format!(
        "{}-{}",
        "0".repeat(32),
        StorePathName::sanitized(&filename).as_str()
    );
    let request = LayerRequest {
        name: &filename,
        recipe: Recipe::FOR_WHEELS,
        time: layers::Timestamp::default(),
        cancelled: &|| false,
    };
    let source = WheelSource {
        wheel: StorePath::from_base_name(&base_name).map_err(|error| error.to_string())?,
        filename: filename.clone(),
        python: PythonVersion(3, 11),
        omit: BTreeSet::new(),
        record,
        bytecode: None,
    };
    let description = describe_wheel(&request, &|_| wheel.to_owned(), source)
        .map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    layers::write(&description, &|_| wheel.to_owned(), &mut bytes)
        .map_err(|error| error.to_string())?;
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(bytes.as_slice()));
    let mut tree = Tree::new();
    for entry in archive.entries().map_err(|error| error.to_string())? {
        let mut entry = entry.map_err(|error| error.to_string())?;
        let path = String::from_utf8(entry.path_bytes().into_owned()).map_err(|_| "no text")?;
        if entry.header().entry_type().is_dir() {
            continue;
        }
        let mut bytes = Vec::new();
        entry
            .read_to_end(&mut bytes)
            .map_err(|error| error.to_string())?;
        let executable = entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
        let path = path
            .strip_prefix("venv/")
            .ok_or("outside the environment")?;
        tree.insert(path.to_owned(), Installed { executable, bytes });
    }
    Ok(tree)
}

fn filename(wheel: &Path) -> Result<String, String> {
    let name = wheel.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).ok_or_else(|| "no name".to_owned())
}

fn theirs(wheel: &Path, work: &Path, with_record: bool) -> Result<Tree, String> {
    let venv = work.join("theirs");
    run(Command::new("uv")
        .args(["venv", "--quiet", "--python", "3.11"])
        .arg(&venv))?;
    let before = read(&venv);
    run(Command::new("uv")
        .args([
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-cache",
            "--no-compile",
            "--offline",
            "--link-mode",
            "copy",
        ])
        .arg("--python")
        .arg(&venv)
        .arg(wheel))?;
    let mut tree = read(&venv);
    tree.retain(|path, _| !before.contains_key(path) && path != ".lock");
    let python = venv.join("bin/python");
    fs::remove_dir_all(venv).map_err(|error| error.to_string())?;
    Ok(normalise(tree, &python.to_string_lossy(), with_record))
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
fn read(root: &Path) -> Tree {
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
    tree
}

/// Takes the installers' own files away and puts one interpreter into all first lines. RECORD is compared line by line on
/// request: all paths, and the digests of what is not generated.
fn normalise(mut tree: Tree, python: &str, with_record: bool) -> Tree {
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
    for path in records.iter().filter(|path| with_record && own(path)) {
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
