//! The `test` command, with a third answer for what cannot be known.

use super::{Found, Text, World};

/// Evaluates the words between `[` and `]`; none when the answer is not known.
pub(super) fn evaluate(words: &[Text], world: &dyn World) -> Option<bool> {
    let mut test = Test {
        words,
        at: 0,
        world,
    };
    let result = test.or();
    if test.at == words.len() { result } else { None }
}

struct Test<'a> {
    words: &'a [Text],
    at: usize,
    world: &'a dyn World,
}

impl Test<'_> {
    fn or(&mut self) -> Option<bool> {
        let mut result = self.and();
        while self.eat("-o") {
            let right = self.and();
            result = match (result, right) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            };
        }
        result
    }

    fn and(&mut self) -> Option<bool> {
        let mut result = self.primary();
        while self.eat("-a") {
            let right = self.primary();
            result = match (result, right) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            };
        }
        result
    }

    fn primary(&mut self) -> Option<bool> {
        let left = self.words.len() - self.at;
        let is_binary = left >= 3
            && self.words[self.at + 1]
                .as_deref()
                .is_some_and(is_comparison);
        if is_binary {
            return self.comparison();
        }
        if left >= 2 && self.eat("!") {
            return self.primary().map(|result| !result);
        }
        if left >= 3 && self.eat("(") {
            let result = self.or();
            return if self.eat(")") { result } else { None };
        }
        let operator = self.words.get(self.at).cloned().flatten();
        match operator {
            Some(operator) if left >= 2 && operator.len() == 2 && operator.starts_with('-') => {
                let operand = self.words[self.at + 1].clone();
                self.at += 2;
                self.unary(&operator, operand)
            }
            word => {
                let nothing = self.at == self.words.len();
                self.at += usize::from(!nothing);
                if nothing {
                    Some(false)
                } else {
                    word.map(|word| !word.is_empty())
                }
            }
        }
    }

    fn unary(&self, operator: &str, operand: Text) -> Option<bool> {
        let operand = operand?;
        let at = |follow| self.world.find(&operand, follow);
        Some(match operator {
            "-n" => !operand.is_empty(),
            "-z" => operand.is_empty(),
            "-e" | "-r" | "-w" => at(true).is_some(),
            "-f" => matches!(at(true), Some(Found::File { .. })),
            "-d" => at(true) == Some(Found::Directory),
            "-L" | "-h" => at(false) == Some(Found::Link),
            "-x" => matches!(
                at(true),
                Some(Found::Directory | Found::File { executable: true })
            ),
            _ => return None,
        })
    }

    fn comparison(&mut self) -> Option<bool> {
        let [left, operator, right] = &self.words[self.at..self.at + 3] else {
            return None;
        };
        self.at += 3;
        let (left, operator, right) = (left.as_deref()?, operator.as_deref()?, right.as_deref()?);
        if operator == "=" || operator == "==" {
            return Some(left == right);
        }
        if operator == "!=" {
            return Some(left != right);
        }
        let (left, right): (i64, i64) = (left.trim().parse().ok()?, right.trim().parse().ok()?);
        Some(match operator {
            "-eq" => left == right,
            "-ne" => left != right,
            "-lt" => left < right,
            "-le" => left <= right,
            "-gt" => left > right,
            _ => left >= right,
        })
    }

    fn eat(&mut self, word: &str) -> bool {
        let found = self
            .words
            .get(self.at)
            .is_some_and(|next| next.as_deref() == Some(word));
        self.at += usize::from(found);
        found
    }
}

fn is_comparison(word: &str) -> bool {
    ["=", "==", "!=", "-eq", "-ne", "-lt", "-le", "-gt", "-ge"].contains(&word)
}
