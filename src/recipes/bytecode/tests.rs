//! The program that compiles, run by this machine's Python and without a sandbox.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::SCRIPT;

/// Compiles a folder; the second time gives other bytes for `order.py`. Returns the report and what was said.
fn compile(folder: &Path, modules: &[(&str, &str)]) -> (String, String) {
    let source = folder.join("source");
    fs::create_dir(&source).expect("writable");
    for (name, text) in modules {
        fs::write(source.join(name), text).expect("writable");
    }
    let again = "python3 -S -s -B -W ignore \"$@\" && for f in \"$results\"/__pycache__/order.*; do echo >> \"$f\"; done";
    let mut command = Command::new("python3");
    command
        .args(["-S", "-s", "-B", "-W", "ignore", "-c", SCRIPT, SCRIPT])
        .current_dir(folder)
        .env("PYTHONUTF8", "1")
        .env("python", json!(["/bin/sh", "-c", again, "sh"]).to_string())
        .env(
            "sources",
            json!([{ "from": source, "prefix": "src" }]).to_string(),
        )
        .env("out", folder.join("out"))
        .env("report", folder.join("report"));
    let output = command.output().expect("this machine has Python");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    let report = fs::read_to_string(folder.join("report")).expect("a report");
    (report, said)
}

#[test]
fn what_differs_or_does_not_compile_is_left_out_and_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let modules = [
        ("broken.py", "def f(:\n"),
        ("fine.py", "x = 1\n"),
        ("order.py", "x = 2\n"),
    ];
    let (report, said) = compile(folder.path(), &modules);
    assert_eq!(
        report,
        "/broken.py: does not compile (SyntaxError)\n/order.py: compiling it twice gave different bytes\n"
    );
    assert_eq!(said, format!("compiled 1 modules, left out 2\n{report}"));
    let made = fs::read_dir(folder.path().join("out/__pycache__")).expect("a folder");
    let made: Vec<_> = made
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    assert!(
        made.len() == 1 && made[0].starts_with("fine.cpython-"),
        "{made:?}"
    );
}
