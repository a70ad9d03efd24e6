//! Our answers, in the form of the corpora.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cognix_language::{
    Eval, EvalError, Evaluator, Instantiated, MemoryFiles, Options, Pos, evaluate,
};

use super::cases::{Answer, Corpus};

/// The project of the corpora, in memory.
pub(crate) fn project() -> MemoryFiles {
    let mut files = MemoryFiles::new();
    add(&mut files, &Corpus::project(), "");
    files
}

fn add(files: &mut MemoryFiles, folder: &Path, below: &str) {
    for entry in fs::read_dir(folder).expect("the project is there") {
        let entry = entry.expect("a readable folder");
        let name = entry.file_name().into_string().expect("names are text");
        let path = format!("{below}{name}");
        let metadata = fs::symlink_metadata(entry.path()).expect("it is there");
        let given = std::mem::take(files);
        *files = if metadata.is_symlink() {
            let target = fs::read_link(entry.path()).expect("a link");
            given.with_link(&path, target.to_str().expect("a text"))
        } else if metadata.is_dir() {
            let mut given = given;
            add(&mut given, &entry.path(), &format!("{path}/"));
            given
        } else {
            let contents = fs::read(entry.path()).expect("a file");
            match is_executable(&metadata) {
                true => given.with_program(&path, contents),
                false => given.with_file(&path, contents),
            }
        };
    }
}

fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o100 != 0
}

/// What `work` gives of an expression's value.
pub(crate) fn value_of<R: Send>(
    files: &MemoryFiles,
    text: &str,
    work: impl for<'a> FnOnce(&Evaluator<'a>, cognix_language::Value<'a>) -> Eval<R> + Send,
) -> Result<R, EvalError> {
    evaluate(files, &Options::default(), |evaluator| {
        let value = evaluator.expression(text, "case")?;
        work(evaluator, value)
    })
}

/// A value as it is printed.
pub(crate) fn print(files: &MemoryFiles, text: &str) -> Result<String, EvalError> {
    value_of(files, text, |evaluator, value| evaluator.print(value))
}

/// A value as JSON, and what it makes.
pub(crate) fn json(files: &MemoryFiles, text: &str) -> Result<(String, Instantiated), EvalError> {
    value_of(files, text, |evaluator, value| {
        let (json, _) = evaluator.to_json(value, true, Pos::NONE)?;
        Ok((json, evaluator.instantiated()))
    })
}

/// Our answer to a case of the language.
pub(crate) fn value(files: &MemoryFiles, case: &str) -> Answer {
    Answer {
        print: Some(outcome(print(files, case))),
        json: outcome(json(files, case)).map(|(json, _)| json),
        store: BTreeMap::new(),
    }
}

/// Our answer to a case that makes derivations.
pub(crate) fn derivations(files: &MemoryFiles, case: &str) -> Answer {
    let made = outcome(json(files, case));
    let store = made
        .as_ref()
        .map(|(_, made)| store(made))
        .unwrap_or_default();
    Answer {
        print: None,
        json: made.map(|(json, _)| json),
        store,
    }
}

fn store(made: &Instantiated) -> BTreeMap<String, String> {
    let derivations = made.graph.iter().map(|derivation| {
        let text = String::from_utf8_lossy(&derivation.to_aterm()).into_owned();
        (derivation.path().to_string(), text)
    });
    let texts = made.texts.iter().map(|text| text.path.to_string());
    let sources = made.sources.iter();
    let sources = sources.map(|source| source.store_path.to_string());
    let others = texts.chain(sources).map(|path| (path, String::new()));
    derivations.chain(others).collect()
}

fn outcome<T>(result: Result<T, EvalError>) -> Result<T, String> {
    result.map_err(|error| error.message().to_owned())
}
