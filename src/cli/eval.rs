//! `cognix eval`: the value of an expression, as a real Nix prints it.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use clap::Args;
use cognix_language::{
    ErrorKind as Mistake, Eval, EvalError, Evaluator, Limits, Options, Pos, Value,
};
use cognix_store::ErrorKind;

use super::Failure;
use super::printer::{Format, Printer, Verbosity};
use super::project::Work;
use crate::spec::{self, DiskFiles};

/// How many links a file's name may go through.
const MAX_LINKS: usize = 40;

/// Show the value of an expression, as nix-instantiate --eval does.
///
/// An expression sees the files below its own folder, and nothing else: no clock, environment, network or other files.
/// With --format json everything in the value is evaluated and written as nix-instantiate --eval --strict --json writes
/// it. --format nix is another word for text.
#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    #[command(flatten)]
    what: What,
    /// Show this part of the value: names, and places in lists, with dots between them (images.cpu.packages.0).
    #[arg(short = 'A', long, value_name = "PATH")]
    attr: Option<String>,
    /// Evaluate everything in the value; otherwise what nothing asked for is shown as <CODE>.
    #[arg(long)]
    strict: bool,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
struct What {
    /// The file, a folder with a default.nix, or - for standard input. Of a project's folder, and where nothing is named, what
    /// its cognix.nix makes.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The expression itself. Its folder is the current one.
    #[arg(short = 'E', long, value_name = "EXPR", allow_hyphen_values = true)]
    expr: Option<String>,
}

/// What is to be evaluated.
struct Source {
    /// The folder whose files it sees.
    folder: PathBuf,
    expression: Expression,
    /// What a mistake in it is.
    kind: ErrorKind,
}

enum Expression {
    /// A file of the folder.
    File(String),
    /// A text, and what messages call it.
    Text(String, &'static str),
}

impl EvalArgs {
    pub(super) fn run(&self, printer: Printer) -> Result<(), Failure> {
        if let Some(folder) = self.what.spec_folder() {
            return self.run_spec(&folder, printer);
        }
        let source = self.what.source()?;
        let files = fs_err::metadata(&source.folder)
            .and_then(|_| DiskFiles::open(&source.folder))
            .map_err(Failure::from)?;
        // Messages are shown whatever the evaluation ends with.
        let messages = Mutex::new(Vec::new());
        let result = Work::new()?.evaluation(|cancelled| {
            let options = Options {
                limits: Limits {
                    cancelled: Some(cancelled),
                    ..Limits::default()
                },
                shown_root: Some(source.folder.to_string_lossy().into_owned()),
                ..Options::default()
            };
            cognix_language::evaluate(&files, &options, |evaluator| {
                let text = self.text(evaluator, &source.expression, printer.format);
                if let Ok(mut messages) = messages.lock() {
                    *messages = evaluator.take_messages();
                }
                text
            })
        });
        for message in messages.into_inner().unwrap_or_default() {
            printer.note(printable(&message));
        }
        let mut text = result.map_err(|error| failure(error, source.kind, printer))?;
        text.push('\n');
        Ok(printer.bytes(text.as_bytes())?)
    }

    fn text(
        &self,
        evaluator: &Evaluator<'_>,
        expression: &Expression,
        format: Format,
    ) -> Eval<String> {
        let value = evaluate(evaluator, expression)?;
        self.shown(evaluator, value, format)
    }

    /// What a project's spec makes, with its inputs: what `self` is in its outputs.
    fn run_spec(&self, folder: &Path, printer: Printer) -> Result<(), Failure> {
        let messages = Mutex::new(Vec::new());
        let result = Work::new()?.evaluation(|cancelled| {
            let known = spec::Known {
                cancelled: Some(cancelled),
                ..spec::Known::default()
            };
            spec::with_outputs(folder, &known, |evaluator, outputs| {
                let text = self.shown(evaluator, outputs, printer.format);
                if let Ok(mut messages) = messages.lock() {
                    *messages = evaluator.take_messages();
                }
                text
            })
        });
        for message in messages.into_inner().unwrap_or_default() {
            printer.note(printable(&message));
        }
        let text = result.map_err(|error| super::project::pipeline_failure(error.into()))?;
        Ok(printer.bytes(format!("{text}\n").as_bytes())?)
    }

    fn shown<'a>(
        &self,
        evaluator: &Evaluator<'a>,
        value: Value<'a>,
        format: Format,
    ) -> Eval<String> {
        let value = match &self.attr {
            Some(path) => evaluator.select(value, path)?,
            None => value,
        };
        match (format, self.strict) {
            (Format::Json, _) => Ok(evaluator.to_json(value, true, Pos::NONE)?.0),
            (Format::Text, true) => evaluator.print(value),
            (Format::Text, false) => Ok(evaluator.print_lazily(value)),
        }
    }
}

fn evaluate<'a>(evaluator: &Evaluator<'a>, expression: &Expression) -> Eval<Value<'a>> {
    match expression {
        Expression::File(name) => evaluator.file(name),
        Expression::Text(text, name) => evaluator.expression(text, name),
    }
}

impl What {
    fn source(&self) -> Result<Source, Failure> {
        match (&self.file, &self.expr) {
            (_, Some(text)) => here(text.clone(), "--expr"),
            (Some(file), None) if file.as_os_str() == "-" => here(standard_input()?, "stdin"),
            (Some(file), None) => from_file(file),
            (None, None) => here(String::new(), "nothing"),
        }
    }

    /// The folder whose spec is meant: the one that is named, if it has a spec and no `default.nix`; the current one where
    /// nothing is named.
    fn spec_folder(&self) -> Option<PathBuf> {
        match (&self.file, &self.expr) {
            (None, None) => Some(PathBuf::from(".")),
            (Some(folder), None) => {
                let has = |name: &str| folder.join(name).is_file();
                (has(spec::FILE_NAME) && !has("default.nix")).then(|| folder.clone())
            }
            _ => None,
        }
    }
}

/// A text in the current folder.
fn here(text: String, name: &'static str) -> Result<Source, Failure> {
    Ok(Source {
        folder: std::env::current_dir()?,
        expression: Expression::Text(text, name),
        kind: ErrorKind::Input,
    })
}

fn standard_input() -> Result<String, Failure> {
    let mut text = String::new();
    // What is too long is refused by the evaluation's own limit on texts; here it must only not fill the machine.
    let limit = Limits::default().file_size as u64;
    std::io::stdin().take(limit).read_to_string(&mut text)?;
    Ok(text)
}

/// A file and the folder that it is in. A link stands for what it points to, so that paths in the expression mean what
/// they mean there.
fn from_file(file: &Path) -> Result<Source, Failure> {
    let mut path = absolute(Path::new("/"), &std::path::absolute(file)?);
    let mut links = 0;
    let metadata = loop {
        let metadata = fs_err::symlink_metadata(&path)?;
        if !metadata.is_symlink() {
            break metadata;
        }
        links += 1;
        if links > MAX_LINKS {
            let message = format!("{} goes through too many symbolic links", file.display());
            return Err(Failure::new(ErrorKind::Io, message));
        }
        let target = fs_err::read_link(&path)?;
        path = absolute(path.parent().unwrap_or(Path::new("/")), &target);
    };
    let (folder, name) = match metadata.is_dir() {
        true => (path, "default.nix".to_owned()),
        false => {
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.map(str::to_owned).ok_or_else(|| {
                let message = format!("{}: the name is not UTF-8", file.display());
                Failure::new(ErrorKind::Input, message)
            })?;
            path.pop();
            (path, name)
        }
    };
    let kind = match name == spec::FILE_NAME {
        true => ErrorKind::Configuration,
        false => ErrorKind::Input,
    };
    fs_err::symlink_metadata(folder.join(&name))?;
    Ok(Source {
        folder,
        expression: Expression::File(name),
        kind,
    })
}

/// A path from a folder without `.` and `..`, which go back by name as they do in the language.
fn absolute(folder: &Path, path: &Path) -> PathBuf {
    use std::path::Component;
    let mut absolute = folder.to_owned();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(absolute.pop()),
            Component::CurDir => {}
            part => absolute.push(part),
        }
    }
    absolute
}

/// A mistake on its way out: what it is about decides the exit status.
fn failure(error: EvalError, kind: ErrorKind, printer: Printer) -> Failure {
    let kind = match error.kind() {
        Mistake::Cancelled => ErrorKind::Interrupted,
        _ => kind,
    };
    let is_cut = format!("{error:#}") != error.to_string();
    let failure = Failure::new(kind, error);
    match is_cut && printer.verbosity < Verbosity::Verbose {
        true => failure.hint("--verbose shows every step"),
        false => failure,
    }
}

/// What an expression says, without what a terminal would obey.
fn printable(text: &str) -> String {
    let letter = |letter: char| match letter {
        '\n' | '\t' => letter,
        letter if letter.is_control() => '\u{fffd}',
        letter => letter,
    };
    text.chars().map(letter).collect()
}
