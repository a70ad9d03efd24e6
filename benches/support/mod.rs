//! What the benchmarks share: samples, tables, and a line about the machine.
//!
//! They only measure and print. Nothing here compares a figure with a limit and fails: that would be a statement about
//! the machine's other guests.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::{Command, ExitCode, Output};
use std::time::{Duration, Instant};

/// Why a benchmark could not be run, in words for the person who started it.
pub(crate) type Problem = String;

/// Prints the report, or why there is none.
pub(crate) fn finish(report: Result<String, Problem>) -> ExitCode {
    let result = match &report {
        Ok(report) => io::stdout().lock().write_all(report.as_bytes()),
        Err(problem) => writeln!(io::stderr().lock(), "{problem}"),
    };
    match (report, result) {
        (Ok(_), Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// What stands above [`Samples::cells`].
pub(crate) const HEAD: [&str; 4] = ["runs", "median", "shortest", "longest"];

/// How long the runs of one thing took.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    /// Runs it once more.
    #[allow(dead_code, reason = "one benchmark is told its times by others")]
    pub(crate) fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = work();
        self.add(started.elapsed());
        result
    }

    /// Takes a run that somebody else has timed.
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The middle one, or the mean of the middle two.
    pub(crate) fn median(&self) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        let middle = sorted.len() / 2;
        if sorted.len().is_multiple_of(2) {
            (sorted[middle - 1] + sorted[middle]) / 2
        } else {
            sorted[middle]
        }
    }

    /// Number of runs, median, shortest and longest, as a table shows them below [`HEAD`].
    pub(crate) fn cells(&self) -> [String; 4] {
        let longest = self.0.iter().max().copied().unwrap_or_default();
        let shortest = self.0.iter().min().copied().unwrap_or_default();
        let [median, shortest, longest] = [self.median(), shortest, longest].map(shown);
        [self.0.len().to_string(), median, shortest, longest]
    }
}

/// Milliseconds below a second, seconds above.
pub(crate) fn shown(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        seconds => format!("{seconds:.2} s"),
    }
}

/// How many times `one` is longer than `other`.
pub(crate) fn ratio(one: Duration, other: Duration) -> String {
    format!("{:.2}", one.as_secs_f64() / other.as_secs_f64())
}

/// Columns as wide as their widest cell; the first is flush left, the others right.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            text.push_str(&match column {
                0 => format!("  {cell:<width$}"),
                _ => format!("  {cell:>width$}"),
            });
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

/// Processor, cores, memory and kernel.
pub(crate) fn machine() -> String {
    let field = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()));
        value.unwrap_or_else(|| "unknown".to_owned())
    };
    let memory = field("/proc/meminfo", "MemTotal");
    let memory = memory
        .strip_suffix(" kB")
        .and_then(|number| number.parse::<u64>().ok())
        .map_or(memory.clone(), |number| {
            format!("{} GiB", (number + (1 << 19)) >> 20)
        });
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let processor = field("/proc/cpuinfo", "model name");
    format!(
        "{processor}, {cores} cores, {memory} of memory, Linux {}",
        kernel.trim()
    )
}

/// Runs a program to its end; a status other than 0 is a problem, told in the program's own words.
pub(crate) fn succeed(command: &mut Command) -> Result<Output, Problem> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("{program} is missing on this machine"),
        _ => format!("cannot run {program}: {error}"),
    })?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} failed ({}):\n{said}", output.status))
}

/// Puts what was being done before the reason why it failed.
pub(crate) fn because<E: Display>(what: impl Display) -> impl FnOnce(E) -> Problem {
    move |error| format!("{what}: {error}")
}
