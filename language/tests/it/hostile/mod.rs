//! Texts that want to keep or fill a machine, or to see what is not theirs: each ends, with an error that says why.

use cognix_language::{ErrorKind, EvalError, Limits, MemoryFiles, Options, evaluate};

mod files;
mod nesting;
mod recursion;
mod sizes;

/// Limits that a test can reach.
fn tight() -> Options {
    Options {
        limits: Limits {
            memory: 64 << 20,
            steps: 2_000_000,
            ..Limits::default()
        },
        ..Options::default()
    }
}

/// The printed value of a text, within the limits of a test.
fn print(files: &MemoryFiles, text: &str) -> Result<String, EvalError> {
    evaluate(files, &tight(), |evaluator| {
        let value = evaluator.expression(text, "hostile.nix")?;
        evaluator.print(value)
    })
}

/// Each text fails with one of these kinds, and with words.
fn all_fail(files: &MemoryFiles, texts: &[&str], kinds: &[ErrorKind]) {
    for text in texts {
        fails(files, text, text, kinds);
    }
}

fn fails(files: &MemoryFiles, name: &str, text: &str, kinds: &[ErrorKind]) -> EvalError {
    match print(files, text) {
        Ok(value) => panic!("{name} has a value: {}", shortened(&value)),
        Err(error) => {
            let words = error.to_string();
            assert!(
                kinds.contains(&error.kind()),
                "{name}: {:?}, {words}",
                error.kind()
            );
            assert!(!error.message().is_empty(), "{name} says nothing");
            assert!(words.len() < 20_000, "{name} says {} bytes", words.len());
            error
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}
