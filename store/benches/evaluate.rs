//! A graph of ten thousand derivations beside a real Nix, process against process: its value alone, and with everything
//! that it instantiates written to a new store.
//!
//! `COGNIX_NIX_ORACLE` names the folder with the commands of a real Nix. Both must print the same value, which depends on the path of every derivation.

#[path = "../../benches/support/mod.rs"]
#[allow(dead_code, reason = "other benchmarks use the rest of it")]
mod support;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use cognix_language::{MemoryFiles, Options, evaluate};
use cognix_store::{Durability, Store};
use support::{HEAD, Problem, Samples, because, finish, machine, ratio, succeed, table};
use tempfile::TempDir;

const EXPRESSION: &str = include_str!("evaluate.nix");

/// How often each is measured.
const EVALUATIONS: usize = 15;
const INSTANTIATIONS: usize = 5;

/// The first argument of a run of ours; the second is the root of the store that it writes to, the third how.
const OURS: &str = "--ours";
/// Nothing is synced, as Nix does it by default; otherwise everything is before it counts as written.
const UNSYNCED: &str = "--unsynced";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    finish(match arguments.as_slice() {
        [first, rest @ ..] if first == OURS => {
            let durability = match rest.iter().any(|argument| argument == UNSYNCED) {
                true => Durability::None,
                false => Durability::Full,
            };
            ours(rest.first().map(Path::new), durability)
        }
        _ => measure(),
    })
}

/// One run of ours. The stages go to the error stream, for whoever looks into one of them.
fn ours(root: Option<&Path>, durability: Durability) -> Result<String, Problem> {
    let start = Instant::now();
    let (text, instantiated) = evaluate(&MemoryFiles::new(), &Options::default(), |evaluator| {
        let value = evaluator.expression(EXPRESSION, "evaluate.nix")?;
        let text = evaluator.print(value)?;
        Ok((text, root.map(|_| evaluator.instantiated())))
    })
    .map_err(because("evaluating"))?;
    let evaluated = start.elapsed();
    if let (Some(root), Some(instantiated)) = (root, instantiated) {
        let store = Store::open_with(root, durability).map_err(because("opening a store"))?;
        store
            .add_derivations(&instantiated.graph)
            .map_err(because("writing derivations"))?;
    }
    let written = start.elapsed() - evaluated;
    writeln!(
        std::io::stderr(),
        "evaluated in {evaluated:?}, written in {written:?}"
    )
    .map_err(because("telling the stages"))?;
    // What is left is given back by the end of the process, as Nix does it.
    Ok(format!("{text}\n"))
}

fn measure() -> Result<String, Problem> {
    let bench = Bench::new()?;
    let [
        mut theirs,
        mut ours,
        mut theirs_written,
        mut ours_written,
        mut ours_synced,
    ] = std::array::from_fn(|_| Samples::default());
    for _ in 0..EVALUATIONS {
        let expected = theirs.time(|| succeed(&mut bench.theirs("evaluation", false)))?;
        let found = ours.time(|| succeed(&mut bench.ours(None, None)))?;
        compare(&expected.stdout, &found.stdout)?;
    }
    // Not in turns: file systems are slow where files have just been removed, as Nix removes a lock for each path. So ours
    // come first, and all start with nothing left to be written.
    let mut values = Vec::new();
    for run in 0..INSTANTIATIONS {
        succeed(&mut Command::new("sync"))?;
        let store = format!("cognix-{run}");
        values.push(ours_written.time(|| succeed(&mut bench.ours(Some(&store), Some(UNSYNCED))))?);
        succeed(&mut Command::new("sync"))?;
        let store = format!("cognix-synced-{run}");
        ours_synced.time(|| succeed(&mut bench.ours(Some(&store), None)))?;
    }
    for (run, found) in values.iter().enumerate() {
        succeed(&mut Command::new("sync"))?;
        let store = format!("nix-{run}");
        let expected = theirs_written.time(|| succeed(&mut bench.theirs(&store, true)))?;
        compare(&expected.stdout, &found.stdout)?;
    }
    let mut rows = vec![[""].iter().chain(&HEAD).map(ToString::to_string).collect()];
    for (name, samples) in [
        ("nix-instantiate --eval", &theirs),
        ("cognix, evaluated", &ours),
        ("nix-instantiate --eval --read-write-mode", &theirs_written),
        ("cognix, evaluated and written", &ours_written),
        ("cognix, evaluated, written and synced", &ours_synced),
    ] {
        let mut row = vec![name.to_owned()];
        row.extend(samples.cells());
        rows.push(row);
    }
    Ok(format!(
        "10,000 derivations, {}\n\n{}\n  ours to theirs, medians: {} evaluated, {} written, {} written and synced (Nix does not sync)\n",
        machine(),
        table(&rows),
        ratio(ours.median(), theirs.median()),
        ratio(ours_written.median(), theirs_written.median()),
        ratio(ours_synced.median(), theirs_written.median()),
    ))
}

fn compare(expected: &[u8], found: &[u8]) -> Result<(), Problem> {
    if expected == found {
        return Ok(());
    }
    let [expected, found] = [expected, found].map(String::from_utf8_lossy);
    Err(format!("Nix says {expected}, we say {found}"))
}

struct Bench {
    nix: PathBuf,
    expression: PathBuf,
    /// Stores are removed at the end: file systems may be slow where something has just been removed.
    folder: TempDir,
}

impl Bench {
    fn new() -> Result<Self, Problem> {
        let oracle = std::env::var_os("COGNIX_NIX_ORACLE")
            .ok_or("COGNIX_NIX_ORACLE must name the folder with the commands of a real Nix")?;
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .map_err(because("cannot make a folder"))?;
        let expression = folder.path().join("evaluate.nix");
        std::fs::write(&expression, EXPRESSION).map_err(because("cannot write the expression"))?;
        Ok(Self {
            nix: Path::new(&oracle).join("nix-instantiate"),
            expression,
            folder,
        })
    }

    fn theirs(&self, store: &str, write: bool) -> Command {
        let mut command = Command::new(&self.nix);
        command
            .arg("--eval")
            .args(write.then_some("--read-write-mode"))
            .arg("--store")
            .arg(self.folder.path().join(store))
            .arg(&self.expression);
        command
    }

    fn ours(&self, store: Option<&str>, how: Option<&str>) -> Command {
        let program = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
        let mut command = Command::new(program);
        command
            .arg(OURS)
            .args(store.map(|store| self.folder.path().join(store)))
            .args(how);
        command
    }
}
