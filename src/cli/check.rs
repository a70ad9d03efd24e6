//! `cognix check`: everything once more, and compared.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;

use clap::Args;
use cognix_derivations::{Derivation, DerivationGraph, Sha256, StorePath};
use cognix_store::compare::{DifferenceKind, FileDifference, MOST_DIFFERENCES};
use cognix_store::realise::{Checked, OutputDifference, Verdict};
use cognix_store::{ErrorKind, Store};
use serde_json::{Value, json};

use super::limits::LimitArgs;
use super::printer::Printer;
use super::progress::Progress;
use super::project::{OpenProject, ProjectArgs, VariantArg, Work, default_jobs, pipeline_failure};
use super::steps::StepArgs;
use super::{Failure, Global};
use crate::pipeline::{ImageDerivations, ImageOptions, Realisation};

/// Build an image's derivations again and compare.
///
/// Nothing in the store is changed. A rebuild happens under other conditions: on one core, with other process numbers and at
/// other addresses, in another folder, at another time. Downloads were compared with their hashes when they came, and are
/// not made again. Ends with status 104 when something differs.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    project: ProjectArgs,
    #[command(flatten)]
    variant: VariantArg,
    /// Check one of the packages of cognix.nix, with all that it is made of, instead of an image.
    #[arg(long, value_name = "NAME", conflicts_with = "variant")]
    package: Option<String>,
    /// Check only this derivation, by its name or its path (repeatable).
    #[arg(long = "derivation", value_name = "NAME")]
    derivations: Vec<String>,
    /// Check so many of the derivations, chosen by their hashes.
    #[arg(long, value_name = "N", conflicts_with = "derivations")]
    sample: Option<usize>,
    /// Choose another sample.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "sample")]
    seed: u64,
    /// How many builds run at once [default: the number of cores].
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    #[command(flatten)]
    steps: StepArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

impl CheckArgs {
    pub(super) fn run(&self, global: &Global, printer: Printer) -> Result<u8, Failure> {
        let (project, targets) = self.targets(printer)?;
        let store = global.open_store()?;
        let mut reports = BTreeMap::new();
        for target in &targets {
            target.import(&store)?;
            let chosen = self.choose(&target.derivations.graph, &target.derivations.image)?;
            let found = self.check(
                &store,
                &project,
                &target.derivations.graph,
                &chosen,
                printer,
            )?;
            reports.extend(found.into_iter().map(|report| (report.order(), report)));
        }
        let reports: Vec<Report> = reports.into_values().collect();
        let summary = Summary::of(&reports);
        let value = json!({
            "version": 1,
            "derivations": reports.iter().map(|report| &report.value).collect::<Vec<_>>(),
            "summary": {
                "same": summary.same, "fetched": summary.fetched, "differs": summary.differs, "failed": summary.failed,
            },
        });
        printer.result(&value, || {
            let texts: String = reports.iter().map(|report| report.text.as_str()).collect();
            format!("{texts}{}\n", summary.text())
        })?;
        Ok(summary.status())
    }

    /// What is to be checked: an image for each platform, or a package.
    fn targets(&self, printer: Printer) -> Result<(OpenProject, Vec<Target>), Failure> {
        if let Some(name) = &self.package {
            let project = self.project.open_all(None, printer)?;
            let lock = project.read_lock()?;
            let (derivations, _) =
                crate::pipeline::spec_package(&project.project, name, lock.as_ref())
                    .map_err(pipeline_failure)?;
            let target = Target {
                derivations,
                source: None,
            };
            return Ok((project, vec![target]));
        }
        let project = self.project.open(&self.variant, printer)?;
        let lock = project.current_lock()?;
        let mut targets = Vec::new();
        for architecture in project.project.architectures() {
            let source = project.scan_source()?;
            let options = ImageOptions::default();
            let derivations =
                project.instantiate(&lock, architecture, source.store_path(), &options)?;
            targets.push(Target {
                derivations,
                source: Some(source),
            });
        }
        Ok((project, targets))
    }

    /// The derivations that are asked for, each after what it needs.
    fn choose(
        &self,
        graph: &DerivationGraph,
        target: &StorePath,
    ) -> Result<Vec<StorePath>, Failure> {
        let closure = graph.input_closure(std::slice::from_ref(target));
        let all: Vec<&Derivation> = graph
            .iter()
            .filter(|derivation| closure.contains(derivation.as_path()))
            .collect();
        let unknown = self.derivations.iter().find(|wanted| {
            let mut all = all.iter();
            !all.any(|derivation| is_called(derivation, wanted))
        });
        if let Some(unknown) = unknown {
            let message = format!("no derivation is called {unknown}");
            let hint = "`cognix plan` and `cognix check --format json` show their names";
            return Err(Failure::new(ErrorKind::Input, message).hint(hint));
        }
        if let Some(count) = self.sample {
            return Ok(sample(&all, count, self.seed));
        }
        let wanted = |derivation: &&&Derivation| {
            let mut names = self.derivations.iter();
            self.derivations.is_empty() || names.any(|name| is_called(derivation, name))
        };
        let chosen = all.iter().filter(wanted);
        Ok(chosen.map(|derivation| derivation.path()).collect())
    }

    fn check(
        &self,
        store: &Store,
        project: &OpenProject,
        graph: &DerivationGraph,
        chosen: &[StorePath],
        printer: Printer,
    ) -> Result<Vec<Report>, Failure> {
        let work = Work::new()?;
        let progress = Arc::new(Progress::new(printer));
        let realisation = Realisation {
            store: store.clone(),
            mirrors: project.mirrors(false)?,
            jobs: self.jobs.map_or_else(default_jobs, usize::from),
            events: Arc::clone(&progress) as _,
            cancel: work.cancel.clone(),
            sandbox: self.steps.sandbox(&self.limits)?,
        };
        let mut step = None;
        let mut reports = Vec::new();
        let checking = realisation.check(
            graph,
            chosen,
            || {
                step = Some(progress.step(&format!("building {} derivations again", chosen.len())));
                // What cognix makes itself depends on no mask; from here on only rebuilds write.
                rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
            },
            |checked| {
                let report = Report::of(&checked);
                match checked.verdict {
                    Verdict::Same | Verdict::Fetched => printer.detail(report.line(&checked)),
                    _ => printer.note(report.line(&checked)),
                }
                reports.push(report);
            },
        );
        let checked = work.run(checking);
        drop(step);
        progress.finish();
        checked.map(|()| reports)
    }
}

/// Something to be checked.
struct Target {
    derivations: ImageDerivations,
    source: Option<crate::pipeline::Source>,
}

impl Target {
    fn import(&self, store: &Store) -> Result<(), Failure> {
        let source = self
            .source
            .as_ref()
            .map_or(Ok(()), |source| source.import(store));
        let imported = source.and_then(|()| self.derivations.import(store));
        imported.map_err(pipeline_failure)
    }
}

fn is_called(derivation: &Derivation, name: &str) -> bool {
    let path = derivation.as_path();
    name == derivation.name() || name == path.as_base_name() || name == path.to_string()
}

/// Some derivations, the same for the same seed: in the order of the hashes of seed and path.
fn sample(all: &[&Derivation], count: usize, seed: u64) -> Vec<StorePath> {
    let mut drawn: Vec<(Sha256, StorePath)> = all
        .iter()
        .map(|derivation| {
            let path = derivation.path();
            (Sha256::of(format!("{seed}:{path}").as_bytes()), path)
        })
        .collect();
    drawn.sort_unstable_by(|one, other| one.0.as_bytes().cmp(other.0.as_bytes()));
    drawn.truncate(count);
    drawn.into_iter().map(|(_, path)| path).collect()
}

/// What is told about one derivation.
struct Report {
    text: String,
    value: Value,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Same,
    Fetched,
    Differs,
    Failed(ErrorKind),
}

impl Report {
    fn of(checked: &Checked) -> Self {
        let (name, path) = (&checked.name, &checked.derivation);
        let mut value = json!({ "name": name, "drvPath": path });
        let (kind, word, text) = match &checked.verdict {
            Verdict::Same => (Kind::Same, "same", String::new()),
            Verdict::Fetched => (Kind::Fetched, "fetched", String::new()),
            Verdict::Differs(rebuilt) => {
                let mut text = format!("{name} is not reproducible ({path})\n");
                let mut outputs = serde_json::Map::new();
                for (output, difference) in &rebuilt.outputs {
                    let words = diffoscope(difference);
                    text.push_str(&describe(output, difference, words.as_deref()));
                    outputs.insert(
                        output.clone(),
                        json!({
                            "path": difference.path, "expected": difference.expected.to_sri(),
                            "actual": difference.actual.to_sri(), "files": difference.files, "diffoscope": words,
                        }),
                    );
                }
                value["outputs"] = Value::Object(outputs);
                (Kind::Differs, "differs", text)
            }
            Verdict::Failed(error) => {
                let failure = chain(error);
                value["error"] = json!(failure);
                let text = format!("{name} could not be built again ({path})\n  {failure}\n");
                (Kind::Failed(error.kind()), "failed", text)
            }
        };
        value["result"] = json!(word);
        Self { text, value, kind }
    }

    /// By name, then by path.
    fn order(&self) -> (String, String) {
        let text = |key: &str| self.value[key].as_str().unwrap_or_default().to_owned();
        (text("name"), text("drvPath"))
    }

    fn line(&self, checked: &Checked) -> String {
        let name = &checked.name;
        match self.kind {
            Kind::Same => format!("{name} is the same"),
            Kind::Fetched => format!("{name} comes from the network, and has its hash"),
            Kind::Differs => format!("{name} is not reproducible"),
            Kind::Failed(_) => format!("{name} could not be built again"),
        }
    }
}

/// An error and its causes in one text.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// The difference of an output, file by file.
fn describe(output: &str, difference: &OutputDifference, words: Option<&str>) -> String {
    let mut text = String::new();
    for file in &difference.files {
        let place = match file.path.as_os_str().is_empty() {
            true => output.to_owned(),
            false => format!("{output}/{}", file.path.display()),
        };
        text.push_str(&format!("  {place}: {}\n", in_words(file)));
    }
    if difference.files.len() >= MOST_DIFFERENCES {
        text.push_str("  and more\n");
    }
    for line in words.iter().flat_map(|words| words.lines()) {
        text.push_str(&format!("    {line}\n"));
    }
    text
}

fn in_words(difference: &FileDifference) -> String {
    let line = |text: &Option<String>| match text {
        Some(text) => format!("{text:?}"),
        None => "the end".to_owned(),
    };
    match &difference.kind {
        DifferenceKind::OnlyFirst => "is there no more".to_owned(),
        DifferenceKind::OnlySecond => "was not there before".to_owned(),
        DifferenceKind::Type { first, second } => format!("was a {first}, is a {second}"),
        DifferenceKind::Executable { first: true } => "can be executed no more".to_owned(),
        DifferenceKind::Executable { first: false } => "could not be executed before".to_owned(),
        DifferenceKind::Target { first, second } => {
            format!("led to {first:?}, leads to {second:?}")
        }
        DifferenceKind::Line {
            line: number,
            first,
            second,
        } => format!("line {number} was {}, is {}", line(first), line(second)),
        DifferenceKind::Bytes {
            offset,
            first,
            second,
        } if first == second => format!("differs from byte {offset} on ({first} bytes)"),
        DifferenceKind::Bytes {
            offset,
            first,
            second,
        } => format!("differs from byte {offset} on (was {first} bytes, is {second})"),
    }
}

/// How much of what diffoscope says is shown.
const WORDS: usize = 100;

/// What diffoscope says, where it is on the machine.
fn diffoscope(difference: &OutputDifference) -> Option<String> {
    let output = Command::new("diffoscope")
        .args(["--text", "-"])
        .args([&difference.first, &difference.second])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = text.lines().take(WORDS).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// How many derivations came to what.
struct Summary {
    same: usize,
    fetched: usize,
    differs: usize,
    failed: usize,
    failures: Vec<ErrorKind>,
}

impl Summary {
    fn of(reports: &[Report]) -> Self {
        let count = |kind: Kind| reports.iter().filter(|report| report.kind == kind).count();
        let failures: Vec<ErrorKind> = reports
            .iter()
            .filter_map(|report| match report.kind {
                Kind::Failed(kind) => Some(kind),
                _ => None,
            })
            .collect();
        Self {
            same: count(Kind::Same),
            fetched: count(Kind::Fetched),
            differs: count(Kind::Differs),
            failed: failures.len(),
            failures,
        }
    }

    fn text(&self) -> String {
        let all = self.same + self.fetched + self.differs + self.failed;
        let mut text = format!(
            "{all} derivations: {} built again and the same, {} from the network with their hashes",
            self.same, self.fetched
        );
        if self.differs > 0 {
            text.push_str(&format!(", {} not reproducible", self.differs));
        }
        if self.failed > 0 {
            text.push_str(&format!(", {} not built again", self.failed));
        }
        text
    }

    /// The statuses of everything that went wrong together, as with Nix; one that is no build's stands for itself.
    fn status(&self) -> u8 {
        let differs = (self.differs > 0).then_some(ErrorKind::NotReproducible);
        let kinds = self.failures.iter().copied().chain(differs);
        let codes: Vec<u8> = kinds.map(ErrorKind::exit_code).collect();
        let other = codes
            .iter()
            .copied()
            .find(|code| !(100..105).contains(code));
        other.unwrap_or_else(|| codes.iter().fold(0, |all, code| all | code))
    }
}
