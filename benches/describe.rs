//! Describing the layers of a scientific Python environment, beside installing the same wheels with uv.
//!
//! Both begin with wheel files that lie on the disk and end with everything checked: cognix with the descriptions of the
//! layers, uv with a virtual environment. The runs take turns, so that both meet the same machine, and what one leaves to
//! be written is written before the next begins.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};

use cognix::layers::description::{PythonVersion, RecordPolicy, WheelSource};
use cognix::layers::{EntryKind, LayerDescription, LayerRequest, Recipe, describe_wheel};
use cognix_derivations::{StorePath, StorePathName};
use support::{HEAD, Problem, Samples, because, finish, machine, ratio, succeed, table};

/// A folder with the wheels; without it they are downloaded.
const WHEELS: &str = "COGNIX_BENCH_WHEELS";
/// What is installed, together with all that it needs. Later Cogs need fewer wheels; the older ones have a server in
/// Python.
const PACKAGES: [&str; 6] = [
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
    "matplotlib",
    "cog<0.17",
];
const PYTHON: PythonVersion = PythonVersion(3, 11);

/// As many builds at once as the realiser runs on a machine with two cores.
const THREADS: usize = 2;
const ROUNDS: usize = 7;

fn main() -> ExitCode {
    finish(measure())
}

fn measure() -> Result<String, Problem> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"));
    let folder = folder.map_err(because("cannot make a folder"))?;
    let uv = Uv::new(folder.path())?;
    let wheels = wheels()?;
    let descriptions = describe(&wheels)?;
    uv.install(&wheels, Cache::Warm, &mut Samples::default())?;
    let [mut cognix, mut cold, mut warm] = [(); 3].map(|()| Samples::default());
    for _ in 0..ROUNDS {
        rustix::fs::sync();
        cognix.time(|| describe(&wheels))?;
        rustix::fs::sync();
        uv.install(&wheels, Cache::None, &mut cold)?;
        rustix::fs::sync();
        uv.install(&wheels, Cache::Warm, &mut warm)?;
    }
    let rows = [
        (format!("cognix, {THREADS} threads"), &cognix),
        ("uv --no-cache".to_owned(), &cold),
        ("uv, wheels unpacked in its cache".to_owned(), &warm),
    ];
    let mut head = vec![""];
    head.extend(HEAD);
    head.push("of cognix's");
    let mut lines = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for (name, samples) in rows {
        let mut line = vec![name];
        line.extend(samples.cells());
        line.push(ratio(samples.median(), cognix.median()));
        lines.push(line);
    }
    Ok(format!(
        "\nlayers described from wheels, beside uv pip install --link-mode copy --no-deps --no-index ({})\n{}\n{}\n\n{}",
        uv.version,
        machine(),
        size(&wheels, &descriptions)?,
        table(&lines)
    ))
}

/// Describes every wheel's layer, each on the first thread that is free.
fn describe(wheels: &[PathBuf]) -> Result<Vec<LayerDescription>, Problem> {
    let next = AtomicUsize::new(0);
    let work = || {
        let take = || wheels.get(next.fetch_add(1, Ordering::Relaxed));
        std::iter::from_fn(take)
            .map(|wheel| describe_one(wheel))
            .collect::<Result<Vec<_>, _>>()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let mut descriptions = Vec::new();
        for thread in threads {
            let part = thread.join().map_err(|_| "a thread panicked".to_owned())?;
            descriptions.extend(part?);
        }
        Ok(descriptions)
    })
}

fn describe_one(wheel: &Path) -> Result<LayerDescription, Problem> {
    let filename = file_name(wheel);
    let request = LayerRequest {
        time: cognix::layers::Timestamp::default(),
        name: filename.split('-').next().unwrap_or_default(),
        recipe: Recipe::FOR_WHEELS,
        cancelled: &|| false,
    };
    let base_name = format!(
        "{}-{}",
        "0".repeat(32),
        StorePathName::sanitized(&filename).as_str()
    );
    let source = WheelSource {
        wheel: StorePath::from_base_name(&base_name).map_err(because(&filename))?,
        filename: filename.clone(),
        python: PYTHON,
        omit: Default::default(),
        record: RecordPolicy::Checked,
        bytecode: None,
    };
    let description =
        describe_wheel(&request, &|_| wheel.to_owned(), source).map_err(because(&filename))?;
    // A description is a file in the end, so writing it out belongs to the work.
    std::hint::black_box(description.to_json());
    Ok(description)
}

/// How much was described.
fn size(wheels: &[PathBuf], descriptions: &[LayerDescription]) -> Result<String, Problem> {
    let mut packed = 0;
    for wheel in wheels {
        packed += std::fs::metadata(wheel)
            .map_err(because(wheel.display()))?
            .len();
    }
    let sizes = descriptions
        .iter()
        .flat_map(|description| &description.entries)
        .filter_map(|entry| match entry.kind {
            EntryKind::File { size, .. } => Some(size),
            EntryKind::Directory | EntryKind::Symlink { .. } | EntryKind::Removed => None,
        });
    let (files, bytes) = sizes.fold((0, 0), |(files, bytes), size| (files + 1, bytes + size));
    Ok(format!(
        "{} wheels of {} MB with {} MB in {files} files",
        wheels.len(),
        packed / 1_000_000,
        bytes / 1_000_000
    ))
}

/// The wheels, in the order of their names.
fn wheels() -> Result<Vec<PathBuf>, Problem> {
    let folder = match std::env::var_os(WHEELS) {
        Some(folder) => PathBuf::from(folder),
        None => downloaded()?,
    };
    let entries = std::fs::read_dir(&folder).map_err(because(folder.display()))?;
    let mut wheels = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(because(folder.display()))?;
    wheels.retain(|path| path.extension().is_some_and(|extension| extension == "whl"));
    wheels.sort();
    if wheels.is_empty() {
        return Err(format!("there are no wheels in {}", folder.display()));
    }
    Ok(wheels)
}

/// Wheels that an earlier run has downloaded, or that pip downloads now, as its own settings say.
fn downloaded() -> Result<PathBuf, Problem> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = target.with_file_name("bench-wheels");
    if folder.is_dir() {
        return Ok(folder);
    }
    let partial = target.join("bench-wheels-partial");
    let mut command = Command::new("pip");
    command.args(["download", "--quiet", "--only-binary", ":all:"]);
    command.args(["--implementation", "cp", "--python-version"]);
    command.arg(PYTHON.to_string());
    for platform in ["manylinux_2_28", "manylinux_2_17", "manylinux2014"] {
        command.args(["--platform", &format!("{platform}_x86_64")]);
    }
    command.arg("--dest").arg(&partial).args(PACKAGES);
    succeed(&mut command)
        .map_err(|problem| format!("{problem}\nor name a folder with wheels in {WHEELS}"))?;
    std::fs::rename(&partial, &folder).map_err(because(folder.display()))?;
    Ok(folder)
}

/// What uv may keep of a wheel between two installations.
#[derive(Clone, Copy)]
enum Cache {
    /// Nothing: it unpacks every wheel and copies the files.
    None,
    /// Everything: it only copies the files.
    Warm,
}

struct Uv {
    environment: PathBuf,
    cache: PathBuf,
    version: String,
}

impl Uv {
    fn new(folder: &Path) -> Result<Self, Problem> {
        let version = succeed(Command::new("uv").arg("--version"))?;
        let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
        let (environment, cache) = (folder.join("venv"), folder.join("cache"));
        Ok(Self {
            environment,
            cache,
            version,
        })
    }

    /// Installs into an environment that is made anew; making it is not measured.
    fn install(
        &self,
        wheels: &[PathBuf],
        cache: Cache,
        samples: &mut Samples,
    ) -> Result<(), Problem> {
        let mut make = Command::new("uv");
        make.args(["venv", "--quiet", "--offline", "--clear", "--python"]);
        make.arg(PYTHON.to_string()).arg(&self.environment);
        succeed(&mut make)?;
        let mut install = Command::new("uv");
        install.args(["pip", "install", "--quiet", "--link-mode", "copy"]);
        install.args(["--no-deps", "--no-index", "--offline", "--no-config"]);
        install.arg("--python").arg(&self.environment).args(wheels);
        match cache {
            Cache::None => install.arg("--no-cache"),
            Cache::Warm => install.arg("--cache-dir").arg(&self.cache),
        };
        samples.time(|| succeed(&mut install))?;
        Ok(())
    }
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
