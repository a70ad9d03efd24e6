//! The pure Nix language: an evaluator that makes the derivations a real Nix makes.
//!
//! [`evaluate`] is the door: it gives an [`Evaluator`], which reads texts and files of a project, makes [`Value`]s of
//! them, prints these as a real Nix prints them, and knows which derivations, texts and sources they stand for
//! ([`Evaluator::instantiated`]).
//!
//! Nothing here touches the world: files come through the trait [`Files`], and there is no clock, no environment and no
//! network, so the same files give the same values on every machine. What an evaluation may take is bounded by
//! [`Limits`]. Mistakes ([`EvalError`]) carry their place, the line, and on the way to what they happened.
//!
//! ```
//! use cognix_language::{MemoryFiles, Options, evaluate};
//!
//! let text = evaluate(&MemoryFiles::new(), &Options::default(), |evaluator| {
//!     let value = evaluator.expression("map (x: x * x) [ 1 2 3 ]", "example")?;
//!     evaluator.print(value)
//! });
//! assert_eq!(text.as_deref(), Ok("[ 1 4 9 ]"));
//! ```
//!
//! | Room | Holds |
//! |---|---|
//! | `syntax` | texts as expressions whose variables are resolved |
//! | `value` | values, strings that refer to the store, printing |
//! | `eval` | the machine |
//! | [`builtins`] | the functions of the language, a table for each topic |
//! | `text` | what they do with bytes and numbers |
#![forbid(unsafe_code)]

pub mod builtins;
mod error;
mod eval;
mod files;
mod limits;
mod paths;
mod reference;
mod source;
mod syntax;
mod text;
mod value;

pub use error::{ErrorKind, Eval, EvalError, Fault, Frame};
pub use eval::{Coercion, Evaluator, Instantiated, Options, SourceImport, Text, evaluate};
pub use files::{FileKind, Files, FilesError, MemoryFiles};
pub use limits::Limits;
pub use reference::reference;
pub use source::{Place, Pos};
pub use value::{Attr, Attrs, Context, ContextElement, Lambda, Partial, Str, Symbol, Thunk, Value};

/// The version of Nix whose language this is.
pub const NIX_VERSION: &str = "2.26.3";
