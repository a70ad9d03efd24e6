//! Words become texts: parameters, substitutions, and the splitting at blanks.

use super::{
    Text,
    interpreter::Shell,
    pattern,
    words::{Operation, Part, Word},
};

/// The texts of a word while they are put together.
#[derive(Default)]
struct Fields {
    done: Vec<Text>,
    current: Option<Text>,
}

impl Fields {
    fn push(&mut self, text: Text) {
        self.current = Some(match (self.current.take(), text) {
            (None, text) => text,
            (Some(Some(mut before)), Some(text)) => {
                before.push_str(&text);
                Some(before)
            }
            _ => None,
        });
    }

    fn split(&mut self) {
        self.done.extend(self.current.take());
    }

    /// Puts in an unquoted value: blanks in it end a text.
    fn push_split(&mut self, value: Text) {
        let Some(value) = value else {
            return self.push(None);
        };
        let mut first = true;
        for piece in value.split([' ', '\t', '\n']) {
            if !std::mem::take(&mut first) {
                self.split();
            }
            if !piece.is_empty() {
                self.push(Some(piece.to_owned()));
            }
        }
    }
}

impl Shell<'_> {
    /// The texts of some words, in order.
    pub(super) fn texts(&mut self, words: &[Word]) -> Vec<Text> {
        words.iter().flat_map(|word| self.fields(word)).collect()
    }

    fn fields(&mut self, word: &Word) -> Vec<Text> {
        let mut fields = Fields::default();
        for part in &word.0 {
            match part {
                Part::Parameter {
                    name,
                    operation: Operation::Value,
                    quoted,
                } if name == "@" || name == "*" && !quoted => {
                    for (number, argument) in self.arguments().to_vec().into_iter().enumerate() {
                        if number > 0 {
                            fields.split();
                        }
                        if *quoted {
                            fields.push(argument)
                        } else {
                            fields.push_split(argument)
                        }
                    }
                }
                Part::Literal { text, quoted } => fields.push(literal(text, *quoted)),
                Part::Parameter {
                    name,
                    operation,
                    quoted,
                } => {
                    let value = self.parameter(name, operation);
                    if *quoted {
                        fields.push(value)
                    } else {
                        fields.push_split(value)
                    }
                }
                Part::Substitution { command, quoted } => {
                    let value = self.substitute(command);
                    if *quoted {
                        fields.push(value)
                    } else {
                        fields.push_split(value)
                    }
                }
                Part::Unknown => fields.push(None),
            }
        }
        fields.split();
        fields.done
    }

    /// The text of a word where it is not split: in assignments, patterns and after `case`.
    pub(super) fn text(&mut self, word: &Word) -> Text {
        let mut result = Some(String::new());
        for part in &word.0 {
            let text = match part {
                Part::Literal { text, .. } => Some(text.clone()),
                Part::Parameter {
                    name, operation, ..
                } => self.parameter(name, operation),
                Part::Substitution { command, .. } => self.substitute(command),
                Part::Unknown => None,
            };
            result = match (result, text) {
                (Some(before), Some(text)) => Some(before + &text),
                _ => None,
            };
        }
        result
    }

    /// As [`Self::text`], with what was quoted kept from being a pattern.
    pub(super) fn pattern(&mut self, word: &Word) -> Text {
        let escaped = word.0.iter().map(|part| match part {
            Part::Literal { text, quoted: true } => Part::Literal {
                text: escape(text),
                quoted: true,
            },
            other => other.clone(),
        });
        let escaped = Word(escaped.collect());
        self.text(&escaped)
    }

    fn parameter(&mut self, name: &str, operation: &Operation) -> Text {
        let value = self.value(name);
        let is_empty = |empty: &bool| match &value {
            Some(Some(value)) => Some(*empty && value.is_empty()),
            Some(None) => None,
            None => Some(true),
        };
        match operation {
            Operation::Value => value.unwrap_or_else(|| Some(String::new())),
            Operation::Length => value
                .unwrap_or_else(|| Some(String::new()))
                .map(|value| value.chars().count().to_string()),
            Operation::Default { word, empty } => match is_empty(empty)? {
                true => self.text(word),
                false => value?,
            },
            Operation::Assign { word, empty } => match is_empty(empty)? {
                true => {
                    let text = self.text(word);
                    self.assign(name, text.clone());
                    text
                }
                false => value?,
            },
            Operation::Alternative { word, empty } => match is_empty(empty)? {
                true => Some(String::new()),
                false => self.text(word),
            },
            Operation::Remove {
                pattern,
                prefix,
                longest,
            } => {
                let pattern = self.pattern(pattern)?;
                let value = value.unwrap_or_else(|| Some(String::new()))?;
                Some(pattern::remove(&pattern, &value, *prefix, *longest).to_owned())
            }
            Operation::Unknown => None,
        }
    }
}

/// Names of files are not looked up, so an unquoted pattern is a text that is not known.
fn literal(text: &str, quoted: bool) -> Text {
    let is_set = text.find('[').is_some_and(|at| text[at..].contains(']'));
    (quoted || !text.contains(['*', '?']) && !is_set).then(|| text.to_owned())
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for next in text.chars() {
        if "*?[\\".contains(next) {
            escaped.push('\\');
        }
        escaped.push(next);
    }
    escaped
}
