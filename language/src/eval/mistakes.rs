//! Typical mistakes and what is said about them, held in `mistakes.txt` so that a change is seen in review.
//!
//! After a change that is meant, run the test with `COGNIX_BLESS=1` and look at the difference. Lines that begin with
//! `> ` are an expression; what follows up to an empty line is the message.

use crate::{MemoryFiles, Options, evaluate};

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test that writes its own expectations when it is told to"
)]
fn messages_are_as_reviewed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/eval/mistakes.txt");
    let reviewed = std::fs::read_to_string(path).unwrap();
    let text = messages(&reviewed);
    if std::env::var_os("COGNIX_BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let reviewed = std::fs::read_to_string(path).unwrap();
    assert!(
        text == reviewed,
        "messages differ from mistakes.txt; they are now:\n{text}"
    );
}

/// The cases of a text with what is said about them now.
fn messages(reviewed: &str) -> String {
    let mut text = String::new();
    for case in reviewed.split("\n\n").filter(|case| !case.is_empty()) {
        let lines = case.lines().filter_map(|line| line.strip_prefix('>'));
        let lines: Vec<&str> = lines
            .map(|line| line.strip_prefix(' ').unwrap_or(line))
            .collect();
        for line in &lines {
            text += format!("> {line}").trim_end();
            text.push('\n');
        }
        text += &message(&lines.join("\n"));
        text += "\n\n";
    }
    format!("{}\n", text.trim_end())
}

fn message(text: &str) -> String {
    let files = MemoryFiles::new()
        .with_file("lib/default.nix", "{ name }: \"lib-${name}\"\n")
        .with_file(
            "packages.nix",
            "{\n  numpy = {\n    version = \"1.26.4\"\n  };\n}\n",
        )
        .with_file("data.json", "{\"a\": }");
    evaluate(&files, &Options::default(), |evaluator| {
        let value = evaluator.expression(text, "cognix.nix")?;
        evaluator.print(value)
    })
    .map_or_else(
        |error| error.to_string(),
        |value| format!("no mistake: {value}"),
    )
}
