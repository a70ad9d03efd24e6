//! Where an evaluation starts and ends.

use bumpalo::Bump;
use cognix_derivations::{DerivationGraph, StorePath};

use super::files::SourceImport;
use super::{Evaluator, STACK};
use crate::error::{ErrorKind, Eval, EvalError, Fault};
use crate::files::Files;
use crate::limits::Limits;
use crate::source::Pos;

/// How an evaluation works.
#[derive(Debug, Clone)]
pub struct Options {
    /// What it may take.
    pub limits: Limits,
    /// The text that stands for the project's folder at the start of paths: where the folder really is must not reach a
    /// value.
    pub root: String,
    /// What paths begin with in place of that where a value is printed for people: where the folder really is. The root
    /// itself without one.
    pub shown_root: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            root: "/project".to_owned(),
            shown_root: None,
        }
    }
}

/// What an evaluation wants in a store, beside its value.
#[derive(Debug, Clone, Default)]
pub struct Instantiated {
    /// The derivations.
    pub graph: DerivationGraph,
    /// Texts: name, contents and what they refer to, each after those that it refers to.
    pub texts: Vec<Text>,
    /// Files and folders of the project.
    pub sources: Vec<SourceImport>,
}

/// A text in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Where it is.
    pub path: StorePath,
    /// What it says.
    pub bytes: Vec<u8>,
    /// What it refers to.
    pub references: std::collections::BTreeSet<StorePath>,
}

/// Evaluates: `work` gets an evaluator and says what of its values is wanted. It runs on a thread of its own, with a
/// stack for values that are nested deep; all values are gone when it ends.
pub fn evaluate<R: Send>(
    files: &(dyn Files + Sync),
    options: &Options,
    work: impl for<'a> FnOnce(&Evaluator<'a>) -> Eval<R> + Send,
) -> Result<R, EvalError> {
    let run = || {
        let start = 0_u8;
        let arena = Bump::new();
        let evaluator = Evaluator::new(&arena, files, options, std::ptr::from_ref(&start).addr());
        work(&evaluator).map_err(|fault| fault.resolve(&evaluator.sources))
    };
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new()
            .name("evaluation".to_owned())
            .stack_size(STACK);
        match builder.spawn_scoped(scope, run) {
            Ok(thread) => thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(error) => {
                let message = format!("no thread for the evaluation: {error}");
                let fault = Fault::new(ErrorKind::Limit, Pos::NONE, message);
                Err(fault.resolve(&Default::default()))
            }
        }
    })
}
