//! The room from its doors. What each text and project gives stands in the tables of `tests/configurations`; here is
//! what a table cannot say.

mod adjusted;
mod documents;
mod projects;

use super::{Finding, Parsed, parse};

/// A finding in one line: its kind, place, key and message.
fn shown(kind: &str, finding: &Finding) -> String {
    let place = finding
        .position
        .map_or_else(|| "-".to_owned(), |position| position.to_string());
    let key = if finding.key.is_empty() {
        String::new()
    } else {
        format!("{}: ", finding.key)
    };
    format!("{kind} {place} {key}{}", finding.reason)
}

/// Everything that is told about a text.
fn told(text: &str) -> Vec<String> {
    let (errors, warnings) = match parse(text, "cog.yaml") {
        Ok(Parsed { warnings, .. }) => (Vec::new(), warnings),
        Err(found) => (found.errors, found.warnings),
    };
    let errors = errors.iter().map(|error| shown("error", error));
    errors
        .chain(warnings.iter().map(|warning| shown("warning", warning)))
        .collect()
}

#[test]
fn yaml_2_hints_tell_what_to_write() {
    let cases = [
        ("build: {}", "add python_version: \"3.13\" under build"),
        ("build: {python_version: 3}", "write it as \"3.13\""),
        (
            "build: {python_version: '3.11', cuda: 12}",
            "write it as \"12.4\"",
        ),
        (
            "build: {python_version: '3.11', gpu: 'true'}",
            "write true or false, without quotes",
        ),
        (
            "build: {python_version: '3.11', run: [5]}",
            "put the command in quotes",
        ),
        (
            "build: {python_version: '3.11', system_packages: git}",
            "write each item on a line of its own that starts with -",
        ),
        (
            "environment: [A]",
            "write each entry as a text, such as - NAME=value",
        ),
        ("image:", "give it a value, or remove the key"),
        ("concurrency: {max: '5'}", "write the number without quotes"),
        (
            "run: a.py:B\npredict: a.py:B",
            "keep run: predict is its old name",
        ),
        (
            "image: a\nmodel: b",
            "keep model when weights are used, image otherwise",
        ),
        (
            "image: a\nweights: [{name: a, target: /a, source: {uri: u}}]",
            "rename image to model",
        ),
        (
            "weights: [{name: a, target: /a, source: {uri: u}}]",
            "add model: with the repository to push to",
        ),
        (
            "a: b\n---\na: b",
            "remove everything from the second --- on",
        ),
        (
            "build:\n\tgpu: true",
            "YAML is indented with blanks, never with tabs",
        ),
        (
            "run: ../a.py:B",
            "copy it into the project: only its files can be part of the image",
        ),
    ];
    for (text, expected) in cases {
        let errors = parse(text, "cog.yaml").expect_err(text).errors;
        assert_eq!(errors[0].hint().as_deref(), Some(expected), "{text}");
    }
    let warnings = parse(
        "build:\n  python_version: '3.11'\n  pythonPackages: []",
        "cog.yaml",
    )
    .expect("valid")
    .warnings;
    assert_eq!(
        warnings[0].hint().as_deref(),
        Some("did you mean python_packages?")
    );
    assert!(warnings[0].is_unknown_key());
}

#[test]
fn a_message_fits_a_screen() {
    let entries: String = (0..30).map(|number| format!("  - {number}\n")).collect();
    let message = parse(&format!("environment:\n{entries}"), "models/cog.yaml")
        .expect_err("invalid")
        .to_string();
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(
        lines[0],
        "models/cog.yaml:2:5: environment[0]: \"0\" must be in the form NAME=value"
    );
    assert_eq!(
        lines[1],
        "  hint: write each entry as a text, such as - NAME=value"
    );
    assert_eq!(lines.last(), Some(&"and 22 more"));
    assert!(lines.len() <= 20);
}

#[test]
fn all_4_text_from_the_file_is_quoted_and_cut() {
    let long = "x".repeat(100);
    let message = parse(&format!("run: \"a\\e[31m{long}\""), "cog.yaml")
        .expect_err("invalid")
        .errors[0]
        .to_string();
    let shown = format!("\"a\\u{{1b}}[31m{}…\"", "x".repeat(74));
    assert_eq!(
        message,
        format!("cog.yaml:1:6: run: {shown} must be in the form 'run.py:Runner'")
    );
}
