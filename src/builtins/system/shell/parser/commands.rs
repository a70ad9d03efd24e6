//! Lists, pipelines and the compound commands.

use std::rc::Rc;

use super::{Parsed, cursor::Cursor, pieces::parameter_name};
use crate::builtins::system::shell::words::{Command, Part, Word};

/// Words that end a list, where they stand for a command.
const ENDS: [&str; 9] = [
    "then", "else", "elif", "fi", "do", "done", "esac", "}", ";;",
];

impl Cursor<'_> {
    /// Commands up to a closing bracket or one of the ends, which is not taken.
    pub(super) fn list(&mut self) -> Parsed<Command> {
        let mut commands = Vec::new();
        loop {
            self.skip_separators();
            if self.peek().is_none_or(|next| next == ')') || ENDS.contains(&self.next_word()) {
                return Ok(Command::Sequence(commands));
            }
            commands.push(self.nested(Self::and_or)?);
        }
    }

    fn and_or(&mut self) -> Parsed<Command> {
        let mut left = self.pipeline()?;
        loop {
            self.skip_blanks();
            let and = self.eat("&&");
            if !and && !self.eat("||") {
                return Ok(left);
            }
            self.skip_newlines();
            let right = Box::new(self.pipeline()?);
            left = if and {
                Command::And(Box::new(left), right)
            } else {
                Command::Or(Box::new(left), right)
            };
        }
    }

    fn pipeline(&mut self) -> Parsed<Command> {
        let negated = self.eat_word("!");
        let mut commands = vec![self.command()?];
        loop {
            self.skip_blanks();
            if self.rest().starts_with("||") || !self.eat("|") {
                break;
            }
            self.eat("&");
            self.skip_newlines();
            commands.push(self.command()?);
        }
        let pipeline = match commands.pop() {
            Some(only) if commands.is_empty() => only,
            last => Command::Pipeline(commands.into_iter().chain(last).collect()),
        };
        Ok(if negated {
            Command::Not(Box::new(pipeline))
        } else {
            pipeline
        })
    }

    fn command(&mut self) -> Parsed<Command> {
        self.skip_blanks();
        let compound = match self.next_word() {
            "if" => self.keyword("if", Self::if_command)?,
            "for" => self.keyword("for", Self::for_command)?,
            "while" => self.keyword("while", |parser| parser.while_command(false))?,
            "until" => self.keyword("until", |parser| parser.while_command(true))?,
            "case" => self.keyword("case", Self::case_command)?,
            "{" => self.keyword("{", |parser| parser.list_until("}"))?,
            "[[" => self.keyword("[[", Self::bash_test)?,
            "function" => {
                return self.keyword("function", |parser| {
                    let name = parser.next_word();
                    parser.at += name.len();
                    parser.skip_blanks();
                    parser.eat("()");
                    parser.function(name.to_owned())
                });
            }
            _ if self.rest().starts_with("((") => return Err(self.error("no arithmetic command")),
            _ if self.eat("(") => {
                let list = self.nested(|parser| parser.list())?;
                if !self.eat(")") {
                    return Err(self.error("\")\""));
                }
                Command::Subshell(Box::new(list))
            }
            _ => return self.simple(),
        };
        let redirected = self.redirections()?;
        Ok(redirected.around(compound))
    }

    fn keyword<T>(&mut self, word: &str, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.at += word.len();
        self.nested(parse)
    }

    fn list_until(&mut self, end: &'static str) -> Parsed<Command> {
        let list = self.list()?;
        self.expect_word(end)?;
        Ok(list)
    }

    fn if_command(&mut self) -> Parsed<Command> {
        let mut arms = Vec::new();
        loop {
            let condition = self.list_until("then")?;
            arms.push((condition, self.list()?));
            if self.eat_word("elif") {
                continue;
            }
            let otherwise = if self.eat_word("else") {
                self.list()?
            } else {
                Command::Sequence(Vec::new())
            };
            self.expect_word("fi")?;
            return Ok(Command::If {
                arms,
                otherwise: Box::new(otherwise),
            });
        }
    }

    fn for_command(&mut self) -> Parsed<Command> {
        let variable = self.next_word().to_owned();
        self.at += variable.len();
        self.skip_newlines();
        let words = if self.eat_word("in") {
            let mut words = Vec::new();
            while let Some(word) = self.word()? {
                words.push(word);
            }
            Some(words)
        } else {
            None
        };
        self.skip_separators();
        self.expect_word("do")?;
        let body = Box::new(self.list_until("done")?);
        Ok(Command::For {
            variable,
            words,
            body,
        })
    }

    fn while_command(&mut self, until: bool) -> Parsed<Command> {
        let condition = Box::new(self.list_until("do")?);
        let body = Box::new(self.list_until("done")?);
        Ok(Command::While {
            condition,
            until,
            body,
        })
    }

    fn case_command(&mut self) -> Parsed<Command> {
        let word = self
            .word()?
            .ok_or_else(|| self.error("a word after case"))?;
        self.expect_word("in")?;
        let mut arms = Vec::new();
        loop {
            self.skip_newlines();
            if self.eat_word("esac") {
                return Ok(Command::Case { word, arms });
            }
            self.eat("(");
            let mut patterns = Vec::new();
            loop {
                patterns.push(self.word()?.ok_or_else(|| self.error("a pattern"))?);
                self.skip_blanks();
                if !self.eat("|") {
                    break;
                }
            }
            if !self.eat(")") {
                return Err(self.error("\")\" after a pattern"));
            }
            arms.push((patterns, self.list()?));
            self.skip_newlines();
            self.eat(";;");
        }
    }

    fn bash_test(&mut self) -> Parsed<Command> {
        let end = self.rest().find("]]").ok_or_else(|| self.error("]]"))?;
        self.at += end + 2;
        Ok(Command::Opaque)
    }

    fn function(&mut self, name: String) -> Parsed<Command> {
        self.skip_newlines();
        let body = Rc::new(self.nested(Self::command)?);
        Ok(Command::Function { name, body })
    }

    fn simple(&mut self) -> Parsed<Command> {
        let (mut assignments, mut words) = (Vec::new(), Vec::<Word>::new());
        let mut redirected = self.redirections()?;
        while let Some(word) = self.word()? {
            self.skip_blanks();
            if words.is_empty()
                && let Some(name) = word.bare()
                && self.eat("()")
            {
                return self.function(name.to_owned());
            }
            match split_assignment(&word) {
                Some(assignment) if words.is_empty() => assignments.push(assignment),
                _ => words.push(word),
            }
            redirected.join(self.redirections()?);
        }
        if assignments.is_empty() && words.is_empty() && !redirected.silent {
            return Err(self.error("a command"));
        }
        let silent = redirected.silent;
        Ok(redirected.around(Command::Simple {
            assignments,
            words,
            silent,
        }))
    }

    fn redirections(&mut self) -> Parsed<Redirected> {
        let mut redirected = Redirected::default();
        loop {
            self.skip_blanks();
            let rest = self.rest();
            let digits = rest.len()
                - rest
                    .trim_start_matches(|next: char| next.is_ascii_digit())
                    .len();
            let operator = [
                "<<-", "<<<", "<<", "<&", "<>", "<", ">>", ">&", ">|", ">", "&>",
            ]
            .into_iter()
            .find(|operator| rest[digits..].starts_with(operator));
            let Some(operator) = operator.filter(|operator| digits == 0 || *operator != "&>")
            else {
                return Ok(redirected);
            };
            redirected.silent |= operator == "&>"
                || operator.starts_with('>') && (digits == 0 || rest.starts_with("1>"));
            self.at += digits + operator.len();
            let target = self
                .word()?
                .ok_or_else(|| self.error("a file to redirect to"))?;
            match operator {
                "<<" | "<<-" => self.pending.push((plain_text(&target), operator == "<<-")),
                // Not a file, but what another descriptor writes to.
                ">&" if target.bare().is_some_and(is_descriptor) => {}
                ">>" | ">&" | ">|" | ">" | "&>" | "<>" => redirected.writes.push(target),
                _ => {}
            }
        }
    }
}

/// What redirections do to a command.
#[derive(Default)]
struct Redirected {
    /// Whether one of them takes the standard output away.
    silent: bool,
    /// The files that are written to.
    writes: Vec<Word>,
}

impl Redirected {
    fn join(&mut self, other: Self) {
        self.silent |= other.silent;
        self.writes.extend(other.writes);
    }

    fn around(self, command: Command) -> Command {
        if self.writes.is_empty() {
            return command;
        }
        Command::Sequence(vec![Command::Writes(self.writes), command])
    }
}

fn is_descriptor(target: &str) -> bool {
    target == "-" || target.bytes().all(|byte| byte.is_ascii_digit())
}

/// `NAME=VALUE`, where the name and the equals sign are not quoted.
fn split_assignment(word: &Word) -> Option<(String, Word)> {
    let [
        Part::Literal {
            text,
            quoted: false,
        },
        rest @ ..,
    ] = word.0.as_slice()
    else {
        return None;
    };
    let (name, value) = text.split_once('=')?;
    if name.is_empty()
        || parameter_name(name).len() != name.len()
        || name.starts_with(|first: char| first.is_ascii_digit())
    {
        return None;
    }
    let first = (!value.is_empty()).then(|| Part::Literal {
        text: value.to_owned(),
        quoted: false,
    });
    Some((
        name.to_owned(),
        Word(first.into_iter().chain(rest.iter().cloned()).collect()),
    ))
}

fn plain_text(word: &Word) -> String {
    let text = |part: &Part| match part {
        Part::Literal { text, .. } => text.clone(),
        _ => String::new(),
    };
    word.0.iter().map(text).collect()
}
