//! How long importing heavy packages takes in a fresh container, with the image's bytecode and without.
//!
//! Two variants of one model, which differ in `bytecode` alone, are built in a store below the target folder; this needs
//! the machine's package sources and is not measured. Then `cognix exec` starts a new container for every measurement, by
//! turns, and Python itself tells how long the import took.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use support::{HEAD, Problem, Samples, because, finish, machine, ratio, succeed, table};
use tempfile::TempDir;

const ROUNDS: usize = 7;
const VARIANTS: [&str; 2] = ["compiled", "plain"];

const FILES: [(&str, &str); 4] = [
    (
        "cog.yaml",
        "build:\n  python_version: \"3.11\"\n  python_requirements: requirements.txt\nrun: predict.py:predict\n",
    ),
    (
        "cognix.nix",
        "{\n  outputs = { self, ... }: {\n    images.compiled = { };\n    images.plain.bytecode = false;\n  };\n}\n",
    ),
    ("requirements.txt", "pandas==2.2.3\nscipy==1.14.1\n"),
    ("predict.py", "def predict() -> str:\n    return \"\"\n"),
];

/// Prints the seconds that the import took.
const PROGRAM: &str = "import time; start = time.perf_counter(); import pandas, scipy.optimize, scipy.signal, scipy.stats; \
                       print(time.perf_counter() - start)";

fn main() -> ExitCode {
    finish(measure())
}

fn measure() -> Result<String, Problem> {
    let bench = Bench::new()?;
    bench.cognix(&["lock"])?;
    bench.cognix(&["build", "--all-variants"])?;
    for variant in VARIANTS {
        bench.import(variant)?;
    }
    let mut samples = [Samples::default(), Samples::default()];
    for _ in 0..ROUNDS {
        for (variant, samples) in VARIANTS.into_iter().zip(&mut samples) {
            samples.add(bench.import(variant)?);
        }
    }
    let [with, without] = &samples;
    let mut head = vec![""];
    head.extend(HEAD);
    head.push("of without");
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for (name, samples) in [("with bytecode", with), ("without", without)] {
        let mut row = vec![name.to_owned()];
        row.extend(samples.cells());
        row.push(ratio(samples.median(), without.median()));
        rows.push(row);
    }
    Ok(format!(
        "\nimport pandas, scipy.optimize, scipy.signal, scipy.stats, each time in a new container\n{}\n\n{}\n",
        machine(),
        table(&rows)
    ))
}

/// The model and the store that it is built in.
struct Bench {
    folder: TempDir,
    store: PathBuf,
}

impl Bench {
    fn new() -> Result<Self, Problem> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = tempfile::tempdir_in(target).map_err(because("cannot make a folder"))?;
        for (name, text) in FILES {
            std::fs::write(folder.path().join(name), text)
                .map_err(because("cannot write the model"))?;
        }
        Ok(Self {
            folder,
            store: target.join("bench-store"),
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cognix"));
        command
            .current_dir(self.folder.path())
            .env("COGNIX_STORE", &self.store);
        command
    }

    fn cognix(&self, arguments: &[&str]) -> Result<(), Problem> {
        succeed(self.command().args(arguments)).map(drop)
    }

    fn import(&self, variant: &str) -> Result<Duration, Problem> {
        let mut command = self.command();
        command.args(["exec", "--variant", variant, "--", "python", "-c", PROGRAM]);
        let output = succeed(&mut command)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let seconds: f64 = text
            .trim()
            .parse()
            .map_err(because(&format!("expected seconds, found {text:?}")))?;
        Ok(Duration::from_secs_f64(seconds))
    }
}
