//! The corpora's files: cases, and beside them what a real Nix answered.
//!
//! A file of cases holds one expression per line, or several lines between `<<<` and `>>>`; empty lines and lines that
//! begin with `#` stand between cases. The golden file repeats each case behind `>` and gives its answer:
//!
//! ```text
//! > 1 + 2
//! = 3                       as `nix-instantiate --eval --strict` prints it
//! j 3                       as `--json` prints it
//! > 1 / 0
//! ! division by zero        both fail; the words are for readers, nobody compares them
//! d /nix/store/….drv TEXT   a derivation that came into being, with its bytes
//! s /nix/store/…            any other path that came into the store
//! ```
//!
//! `!= …` and `!j …` tell that one of both forms fails. What is compared and what is not is decided here, once.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What evaluating one case gave: a value's text, or the words of the failure.
pub(crate) type Outcome = Result<String, String>;

/// Everything that is known about one case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    /// The printed value; `None` in the corpus of derivations, which has no use for it.
    pub(crate) print: Option<Outcome>,
    /// The value as JSON.
    pub(crate) json: Outcome,
    /// The paths that came into the store, derivations with their text.
    pub(crate) store: BTreeMap<String, String>,
}

impl Answer {
    /// The first difference to another answer, in words; failures are equal whatever they say.
    pub(crate) fn difference(&self, ours: &Self) -> Option<String> {
        let kinds = [("printed", &self.print, &ours.print)];
        for (kind, nix, ours) in kinds {
            let (Some(nix), Some(ours)) = (nix, ours) else {
                continue;
            };
            if let Some(difference) = outcomes_differ(nix, ours, |nix, ours| nix == ours) {
                return Some(format!("{kind}: {difference}"));
            }
        }
        if let Some(difference) = outcomes_differ(&self.json, &ours.json, same_json) {
            return Some(format!("as JSON: {difference}"));
        }
        if self.json.is_err() {
            return None;
        }
        for (path, text) in &self.store {
            match ours.store.get(path) {
                None => return Some(format!("store: {path} is missing\n      Nix: {text}")),
                Some(our_text) if our_text != text => {
                    return Some(format!(
                        "store: {path}\n      Nix: {text}\n      we:  {our_text}"
                    ));
                }
                Some(_) => {}
            }
        }
        let mut more = ours.store.iter();
        more.find(|(path, _)| !self.store.contains_key(*path))
            .map(|(path, text)| format!("store: only we have {path}\n      we: {text}"))
    }
}

fn outcomes_differ(
    nix: &Outcome,
    ours: &Outcome,
    same: impl Fn(&str, &str) -> bool,
) -> Option<String> {
    match (nix, ours) {
        (Ok(nix), Ok(ours)) if same(nix, ours) => None,
        (Err(_), Err(_)) => None,
        (nix, ours) => Some(format!(
            "\n      Nix: {}\n      we:  {}",
            shown(nix),
            shown(ours)
        )),
    }
}

fn shown(outcome: &Outcome) -> String {
    match outcome {
        Ok(text) => text.clone(),
        Err(words) => format!("fails: {words}"),
    }
}

/// Texts first, because a number's spelling belongs to the answer; then the values, because escapes need not be the same.
fn same_json(nix: &str, ours: &str) -> bool {
    nix == ours
        || match (
            serde_json::from_str::<serde_json::Value>(nix),
            serde_json::from_str::<serde_json::Value>(ours),
        ) {
            (Ok(nix), Ok(ours)) => nix == ours,
            _ => false,
        }
}

/// One corpus: a folder with files of cases and their golden answers.
pub(crate) struct Corpus {
    folder: PathBuf,
}

/// One file of cases.
pub(crate) struct Topic {
    /// The file's name without its ending.
    pub(crate) name: String,
    /// The expressions, in order.
    pub(crate) cases: Vec<String>,
    golden: PathBuf,
}

impl Corpus {
    /// The cases of the language.
    pub(crate) fn conformance() -> Self {
        Self::named("conformance")
    }

    /// The cases that make derivations.
    pub(crate) fn derivations() -> Self {
        Self::named("derivations")
    }

    fn named(name: &str) -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        Self {
            folder: tests.join(name),
        }
    }

    /// The project that cases about files see; both corpora share it.
    pub(crate) fn project() -> PathBuf {
        Self::conformance().folder.join("project")
    }

    /// All files of cases, by name.
    pub(crate) fn topics(&self) -> Vec<Topic> {
        let entries = std::fs::read_dir(&self.folder).expect("the corpus is there");
        let mut topics: Vec<Topic> = entries
            .map(|entry| entry.expect("a readable folder").path())
            .filter(|path| path.extension().is_some_and(|end| end == "nix-cases"))
            .map(|path| {
                let text = std::fs::read_to_string(&path).expect("a file of cases");
                let name = path.file_stem().expect("a name").to_string_lossy();
                Topic {
                    name: name.into_owned(),
                    cases: parse_cases(&text),
                    golden: path.with_extension("golden"),
                }
            })
            .collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        topics
    }
}

impl Topic {
    /// What a real Nix answered, case by case; fails where cases and answers are not in step.
    pub(crate) fn golden(&self) -> Vec<Answer> {
        let text = std::fs::read_to_string(&self.golden).unwrap_or_default();
        let answers = parse_golden(&text);
        let cases: Vec<&String> = answers.iter().map(|(case, _)| case).collect();
        assert!(
            cases.iter().copied().eq(&self.cases),
            "the answers of {} are not those of its cases; the corpus' README tells how they are made again",
            self.name
        );
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// Writes the golden file anew.
    #[cfg(feature = "oracle-tests")]
    pub(crate) fn write_golden(&self, answers: &[Answer]) {
        let mut text = String::new();
        for (case, answer) in self.cases.iter().zip(answers) {
            write_answer(&mut text, case, answer);
        }
        std::fs::write(&self.golden, text).expect("a writable corpus");
    }
}

fn parse_cases(text: &str) -> Vec<String> {
    let mut cases = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "<<<" {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != ">>>").collect();
            cases.push(block.join("\n"));
        } else if !line.is_empty() && !line.starts_with('#') {
            cases.push(line.to_owned());
        }
    }
    cases
}

fn write_answer(text: &mut String, case: &str, answer: &Answer) {
    for line in case.split('\n') {
        let _ = writeln!(text, "> {line}");
    }
    match (&answer.print, &answer.json) {
        (None | Some(Err(_)), Err(words)) => {
            let _ = writeln!(text, "! {words}");
        }
        (print, json) => {
            let _ = match print {
                None => Ok(()),
                Some(Ok(value)) => writeln!(text, "= {value}"),
                Some(Err(words)) => writeln!(text, "!= {words}"),
            };
            let _ = match json {
                Ok(value) => writeln!(text, "j {value}"),
                Err(words) => writeln!(text, "!j {words}"),
            };
        }
    }
    for (path, content) in &answer.store {
        let _ = if path.ends_with(".drv") {
            writeln!(text, "d {path} {content}")
        } else {
            writeln!(text, "s {path}")
        };
    }
}

fn parse_golden(text: &str) -> Vec<(String, Answer)> {
    let mut answers: Vec<(String, Answer)> = Vec::new();
    let mut in_case = false;
    for line in text.lines() {
        let (tag, rest) = line.split_once(' ').unwrap_or((line, ""));
        if tag == ">" {
            if in_case {
                let (case, _) = answers.last_mut().expect("a case has begun");
                case.push('\n');
                case.push_str(rest);
            } else {
                let unknown = Answer {
                    print: None,
                    json: Err(String::new()),
                    store: BTreeMap::new(),
                };
                answers.push((rest.to_owned(), unknown));
                in_case = true;
            }
            continue;
        }
        in_case = false;
        let (_, answer) = answers.last_mut().expect("answers follow cases");
        match tag {
            "=" => answer.print = Some(Ok(rest.to_owned())),
            "!=" => answer.print = Some(Err(rest.to_owned())),
            "j" => answer.json = Ok(rest.to_owned()),
            "!j" => answer.json = Err(rest.to_owned()),
            "!" => {
                answer.print = Some(Err(rest.to_owned()));
                answer.json = Err(rest.to_owned());
            }
            "d" => {
                let (path, content) = rest.split_once(' ').expect("a path and a text");
                answer.store.insert(path.to_owned(), content.to_owned());
            }
            "s" => {
                answer.store.insert(rest.to_owned(), String::new());
            }
            other => panic!("unknown mark {other:?} in a golden file"),
        }
    }
    answers
}

#[test]
fn a_golden_file_is_read_as_it_was_written() {
    let answers = [
        ("1 + 2", Some(Ok("3")), Ok("3"), None),
        ("x:\n\n  x", Some(Ok("<LAMBDA>")), Err("a function"), None),
        ("1 / 0", Some(Err("no")), Err("no"), None),
        ("d", None, Ok("1"), Some(("/nix/store/x.drv", "Derive(…)"))),
    ];
    let mut text = String::new();
    let mut expected = Vec::new();
    for (case, print, json, store) in answers {
        let owned = |outcome: Result<&str, &str>| match outcome {
            Ok(text) => Ok(text.to_owned()),
            Err(words) => Err(words.to_owned()),
        };
        let answer = Answer {
            print: print.map(owned),
            json: owned(json),
            store: store
                .map(|(path, text)| (path.to_owned(), text.to_owned()))
                .into_iter()
                .collect(),
        };
        write_answer(&mut text, case, &answer);
        expected.push((case.to_owned(), answer));
    }
    assert_eq!(parse_golden(&text), expected);
}
