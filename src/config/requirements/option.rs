//! Options of pip in a requirements file: their names, and how their values are written.

use super::RequirementReason;

/// One option with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PipOption {
    pub(super) name: &'static str,
    /// Empty for an option that takes none.
    pub(super) value: String,
}

/// Every option that pip knows in a requirements file: long name, short name, and whether a value follows.
const KNOWN: [(&str, &str, bool); 24] = [
    ("--index-url", "-i", true),
    ("--pypi-url", "", true),
    ("--extra-index-url", "", true),
    ("--find-links", "-f", true),
    ("--no-index", "", false),
    ("--pre", "", false),
    ("--prefer-binary", "", false),
    ("--only-binary", "", true),
    ("--no-binary", "", true),
    ("--require-hashes", "", false),
    ("--trusted-host", "", true),
    ("--hash", "", true),
    ("--requirement", "-r", true),
    ("--constraint", "-c", true),
    ("--editable", "-e", true),
    ("--use-feature", "", true),
    ("--use-pep517", "", false),
    ("--no-use-pep517", "", false),
    ("--no-build-isolation", "", false),
    ("--config-settings", "-C", true),
    ("--config-setting", "", true),
    ("--global-option", "", true),
    ("--install-option", "", true),
    ("--build-option", "", true),
];

/// Splits a line where its options begin: at the first word that starts with a dash.
pub(super) fn split(text: &str) -> (&str, &str) {
    let mut at_start = true;
    for (index, character) in text.char_indices() {
        if at_start && character == '-' {
            return (text[..index].trim_end(), &text[index..]);
        }
        at_start = character.is_whitespace();
    }
    (text, "")
}

/// Reads the options of a line.
pub(super) fn parse(text: &str) -> Result<Vec<PipOption>, RequirementReason> {
    let mut words = words(text).into_iter();
    let mut options = Vec::new();
    while let Some(word) = words.next() {
        let (name, value, takes_value) = recognise(&word)?;
        let value = match (takes_value, value) {
            (true, None) => words.next().ok_or_else(|| missing(name))?,
            (true, Some(value)) if value.is_empty() => return Err(missing(name)),
            (_, value) => value.unwrap_or_default(),
        };
        options.push(PipOption { name, value });
    }
    Ok(options)
}

fn missing(name: &str) -> RequirementReason {
    RequirementReason::OptionValue {
        option: name.to_owned(),
    }
}

/// The option of a word, and the value if the word holds it: `--name=value`, `-rvalue`, `-r=value`.
fn recognise(word: &str) -> Result<(&'static str, Option<String>, bool), RequirementReason> {
    let unknown = || RequirementReason::UnknownOption {
        option: word.to_owned(),
    };
    if word.starts_with("--") {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word, None),
        };
        let known = KNOWN.iter().find(|(long, ..)| *long == name);
        let (long, _, takes_value) = known.ok_or_else(unknown)?;
        if value.is_some() && !takes_value {
            return Err(unknown());
        }
        return Ok((long, value, *takes_value));
    }
    let known = KNOWN
        .iter()
        .find(|(_, short, _)| !short.is_empty() && word.starts_with(short));
    let (long, short, takes_value) = known.ok_or_else(unknown)?;
    let rest = &word[short.len()..];
    let value = rest.strip_prefix('=').unwrap_or(rest);
    Ok((
        long,
        (!rest.is_empty()).then(|| value.to_owned()),
        *takes_value,
    ))
}

/// Words separated by white space; quotes keep it, as in a shell.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for character in text.chars() {
        match quote {
            Some(open) if character == open => quote = None,
            Some(_) => word.get_or_insert_default().push(character),
            None if character == '"' || character == '\'' => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            None if character.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}
