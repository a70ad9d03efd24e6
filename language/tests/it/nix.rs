//! Asks a real Nix for its answers.
//!
//! `COGNIX_NIX_ORACLE` names the folder with its commands (2.26.3 made the golden files). Each question gets a store
//! of its own below a temporary folder, and the project is a copy there, whose place is written `/project` in answers.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use super::cases::{Answer, Corpus, Outcome};

/// So many cases share one process, as long as none fails.
const BATCH: usize = 40;

/// A real Nix, and the folders it works in.
pub(crate) struct Nix {
    commands: PathBuf,
    work: tempfile::TempDir,
}

impl Nix {
    pub(crate) fn new() -> Self {
        let commands = env::var_os("COGNIX_NIX_ORACLE")
            .map(PathBuf::from)
            .expect("COGNIX_NIX_ORACLE must name the folder with the commands of a real Nix");
        let work = tempfile::tempdir().expect("a temporary folder");
        copy(&Corpus::project(), &work.path().join("project"));
        Self { commands, work }
    }

    /// The printed form and the JSON of each case.
    pub(crate) fn values(&self, cases: &[String]) -> Vec<Answer> {
        let store = self.work.path().join("store");
        let prints = self.outcomes(&store, &["--strict"], cases);
        let jsons = self.outcomes(&store, &["--strict", "--json"], cases);
        let both = prints.into_iter().zip(jsons);
        both.map(|(print, json)| Answer {
            print: Some(print),
            json,
            store: BTreeMap::new(),
        })
        .collect()
    }

    /// The JSON of each case and what came into its store.
    pub(crate) fn derivations(&self, cases: &[String]) -> Vec<Answer> {
        let todo = Mutex::new(cases.iter().enumerate());
        let answers = Mutex::new(vec![None; cases.len()]);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        let next = todo.lock().expect("nobody panicked").next();
                        let Some((index, case)) = next else { break };
                        let answer = self.derivation(index, case);
                        answers.lock().expect("nobody panicked")[index] = Some(answer);
                    }
                });
            }
        });
        let answers = answers.into_inner().expect("nobody panicked");
        let all: Option<Vec<Answer>> = answers.into_iter().collect();
        all.expect("each case was asked")
    }

    fn derivation(&self, index: usize, case: &str) -> Answer {
        let store = self.work.path().join(format!("store-{index}"));
        let arguments = ["--strict", "--json"];
        let mut outcomes = self.outcomes(&store, &arguments, &[case.to_owned()]);
        let json = outcomes.pop().expect("one case, one outcome");
        let mut paths = BTreeMap::new();
        if json.is_ok()
            && let Ok(entries) = fs::read_dir(store.join("nix/store"))
        {
            for entry in entries {
                let name = entry.expect("a readable store").file_name();
                let name = name.to_string_lossy();
                if name.starts_with('.') {
                    continue;
                }
                let text = if name.ends_with(".drv") {
                    let bytes = fs::read(store.join("nix/store").join(&*name)).expect("a text");
                    self.without_places(&bytes, &store)
                } else {
                    String::new()
                };
                paths.insert(format!("/nix/store/{name}"), text);
            }
        }
        // Paths in a store are read-only, which keeps them from being removed.
        let _ = Command::new("chmod")
            .arg("-R")
            .arg("u+w")
            .arg(&store)
            .status();
        let _ = fs::remove_dir_all(&store);
        Answer {
            print: None,
            json,
            store: paths,
        }
    }

    fn outcomes(&self, store: &Path, arguments: &[&str], cases: &[String]) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while outcomes.len() < cases.len() {
            let rest = &cases[outcomes.len()..];
            let batch = &rest[..rest.len().min(BATCH)];
            let output = self.evaluate(store, arguments, batch);
            let text = self.without_places(&output.stdout, store);
            let before = outcomes.len();
            // Values have no line feed in any printed form; a line without an end is what there was of one that failed.
            let lines = text.split_inclusive('\n').take(batch.len());
            outcomes.extend(lines.filter_map(|line| Some(Ok(line.strip_suffix('\n')?.to_owned()))));
            if !output.status.success() && outcomes.len() - before < batch.len() {
                let words = self.without_places(&output.stderr, store);
                let line = words.lines().rev().find(|line| line.contains("error: "));
                let words = line.unwrap_or("error: (no words)").trim();
                outcomes.push(Err(words.trim_start_matches("error: ").to_owned()));
            }
            assert!(
                outcomes.len() > before,
                "Nix said nothing to {batch:?}: {output:?}"
            );
        }
        outcomes
    }

    fn evaluate(&self, store: &Path, arguments: &[&str], cases: &[String]) -> Output {
        Command::new(self.commands.join("nix-instantiate"))
            .args(["--eval", "--read-write-mode"])
            .args(arguments)
            .arg("-E")
            // A minus at the beginning would be taken for an option.
            .args(cases.iter().map(|case| match case.strip_prefix('-') {
                Some(_) => format!(" {case}"),
                None => case.clone(),
            }))
            .current_dir(self.work.path().join("project"))
            .env("NIX_REMOTE", {
                let mut remote = OsString::from("local?root=");
                remote.push(store);
                remote
            })
            .env("NIX_PATH", "")
            .output()
            .unwrap_or_else(|error| panic!("COGNIX_NIX_ORACLE has no nix-instantiate: {error}"))
    }

    /// The text with `/project` for the project's folder, and paths in the store as everybody knows them.
    fn without_places(&self, bytes: &[u8], store: &Path) -> String {
        String::from_utf8_lossy(bytes)
            .replace(&*store.to_string_lossy(), "")
            .replace(&*self.work.path().to_string_lossy(), "")
    }
}

/// Copies a tree with its links; modes do not matter to the language, but for the executable bit.
fn copy(from: &Path, to: &Path) {
    let metadata = fs::symlink_metadata(from).expect("the project is there");
    if metadata.is_symlink() {
        let target = fs::read_link(from).expect("a link");
        std::os::unix::fs::symlink(target, to).expect("a new link");
    } else if metadata.is_dir() {
        fs::create_dir(to).expect("a new folder");
        for entry in fs::read_dir(from).expect("a folder") {
            let name = entry.expect("an entry").file_name();
            copy(&from.join(&name), &to.join(&name));
        }
    } else {
        fs::copy(from, to).expect("a copied file");
    }
}
