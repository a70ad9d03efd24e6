//! `cognix config` against a table of configurations, each written from a statement about Cog.
//!
//! The tables are `tests/configurations/*.json`; their README tells the fields. A case that fails names itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

const NOTHING_TO_RUN: &str = "can't run predictions or training: neither run nor train is set";

/// One configuration and what is said about it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    statement: String,
    #[serde(default)]
    arguments: Vec<String>,
    #[serde(default)]
    folder: String,
    files: std::collections::BTreeMap<String, Text>,
    valid: bool,
    #[serde(default)]
    values: serde_json::Map<String, Value>,
    #[serde(default)]
    errors: Vec<String>,
    #[serde(default)]
    hints: Vec<Option<String>>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    refused: Vec<String>,
}

/// A file's text, as it is or line by line.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Whole(String),
    Lines(Vec<String>),
}

/// The values of a configuration that says nothing, except for `python_version`.
fn defaults() -> Value {
    json!({
        "version": 1, "python_version": null, "gpu": false, "cuda": null, "cudnn": null, "cuda_image": null,
        "torch": null, "tensorflow": null, "system_packages": [], "python_packages": [],
        "install": {
            "index": null, "extra_indexes": [], "find_links": [], "no_index": false, "prerelease": false,
            "requirements": [], "constraints": [],
        },
        "run": null, "predict": null, "train": null, "environment": {}, "image": "cog-model", "concurrency": null,
    })
}

#[test]
fn every_configuration_is_read_as_its_table_says() {
    let tables = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configurations");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&tables)
        .expect("the tables are there")
        .map(|entry| entry.expect("the tables are readable").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    paths.sort();
    let mut failures = Vec::new();
    let mut names = std::collections::BTreeSet::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a readable table");
        let cases: Vec<Case> = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let table = path.file_name().unwrap_or_default().to_string_lossy();
        for case in cases {
            assert!(!case.statement.is_empty(), "{}: no statement", case.name);
            assert!(names.insert(case.name.clone()), "{}: twice", case.name);
            if let Err(difference) = case.check() {
                failures.push(format!("{table}: {}\n{difference}", case.name));
            }
        }
    }
    assert!(names.len() >= 150, "only {} configurations", names.len());
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

impl Case {
    fn check(&self) -> Result<(), String> {
        let project = self.write();
        let found = self.run(&project)?;
        same("errors", &self.errors, &findings(&found["errors"], shown))?;
        same(
            "warnings",
            &self.warnings,
            &findings(&found["warnings"], shown),
        )?;
        if !self.hints.is_empty() {
            let hint = |finding: &Value| finding["hint"].as_str().map(str::to_owned);
            same("hints", &self.hints, &findings(&found["errors"], hint))?;
        }
        if !self.valid {
            return same("errors and none", &false, &self.errors.is_empty());
        }
        let mut values = found.clone();
        if let Some(values) = values.as_object_mut() {
            values.retain(|key, _| !["warnings", "unsupported"].contains(&key.as_str()));
        }
        same("values", &self.expected(), &values)?;
        // Most of the table says nothing about what to run.
        let mut refused = findings(&found["unsupported"], shown);
        refused.retain(|finding| !finding.ends_with(NOTHING_TO_RUN));
        same("refused", &self.refused, &refused)
    }

    fn write(&self) -> TempDir {
        let project = TempDir::new().expect("a temporary folder");
        for (name, text) in &self.files {
            let path = project.path().join("model").join(name);
            let text = match text {
                Text::Whole(text) => text.clone(),
                Text::Lines(lines) => lines.join("\n") + "\n",
            };
            std::fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file of the project");
        }
        project
    }

    /// Runs the program; it prints one object, and its status tells exactly whether the configuration is valid.
    fn run(&self, project: &TempDir) -> Result<Value, String> {
        let output = Command::new(env!("CARGO_BIN_EXE_cognix"))
            .args(["config", "--format", "json"])
            .args(&self.arguments)
            .current_dir(project.path().join("model").join(&self.folder))
            .output()
            .expect("the program runs");
        let status = if self.valid { 0 } else { 78 };
        let stdout = String::from_utf8_lossy(&output.stdout);
        let wrong = |what: &str| {
            let stderr = String::from_utf8_lossy(&output.stderr);
            format!("{what}\n{stdout}{stderr}")
        };
        if output.status.code() != Some(status) {
            return Err(wrong(&format!(
                "exit status {}, expected {status}",
                output.status
            )));
        }
        serde_json::from_str(&stdout).map_err(|error| wrong(&error.to_string()))
    }

    /// The defaults with what the case says.
    fn expected(&self) -> Value {
        let mut expected = defaults();
        for (key, value) in &self.values {
            match (&mut expected[key.as_str()], value) {
                (Value::Object(known), Value::Object(values)) if key == "install" => {
                    known.extend(values.clone());
                }
                (known, value) => *known = value.clone(),
            }
        }
        expected
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, found: &T) -> Result<(), String> {
    match expected == found {
        true => Ok(()),
        false => Err(format!(
            "{what}:\n  expected {expected:?}\n  found    {found:?}"
        )),
    }
}

fn findings<T>(list: &Value, shown: impl Fn(&Value) -> T) -> Vec<T> {
    list.as_array().into_iter().flatten().map(shown).collect()
}

/// `file:line:column: key: message`
fn shown(finding: &Value) -> String {
    let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let mut shown = text("file");
    if !finding["line"].is_null() {
        shown += &format!(":{}:{}", finding["line"], finding["column"]);
    }
    shown += ": ";
    if !text("key").is_empty() {
        shown += &format!("{}: ", text("key"));
    }
    shown + &text("message")
}
