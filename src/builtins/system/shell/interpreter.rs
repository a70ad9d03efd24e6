//! Walks through a script's syntax tree.

use std::{collections::BTreeMap, rc::Rc};

use super::{
    ParseError, Text, World, parser, pattern, test_command,
    words::{Command, Word},
};

/// No maintainer script does more; an endless loop does.
const STEPS_MAX: u32 = 200_000;
const DEPTH_MAX: u32 = 50;
const ROUNDS_MAX: u32 = 1000;
const TEXT_MAX: usize = 64 << 10;

/// A maintainer script that is to be followed.
pub(in super::super) struct Script<'a> {
    /// Its text.
    pub(in super::super) text: &'a str,
    /// The package it belongs to.
    pub(in super::super) package: &'a str,
    /// What dpkg calls it with.
    pub(in super::super) arguments: &'a [&'a str],
}

/// What a script does to the system around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Effect {
    /// Calls a program, with these words; its name is the first. Words that are not known are none.
    Call(Vec<Text>),
    /// Writes to a file.
    Write(Text),
    /// More than could be followed.
    Unfollowed,
}

impl Script<'_> {
    /// Everything that the script does, in order. Where two ways are possible, what is done on either.
    pub(in super::super) fn effects(&self, world: &dyn World) -> Result<Vec<Effect>, ParseError> {
        let commands = parser::parse(self.text)?;
        let mut shell = Shell::new(self, world);
        shell.run(&commands);
        Ok(shell.effects)
    }

    /// The arguments of the calls of one program, in order.
    pub(in super::super) fn calls(
        &self,
        program: &str,
        world: &dyn World,
    ) -> Result<Vec<Vec<Text>>, ParseError> {
        let calls = self.effects(world)?.into_iter();
        let calls = calls.filter_map(|effect| match effect {
            Effect::Call(mut words) if words[0].as_deref() == Some(program) => {
                words.remove(0);
                Some(words)
            }
            _ => None,
        });
        Ok(calls.collect())
    }
}

/// How a command ended: true is success, none is not known.
type Status = Option<bool>;

/// Where the script goes on after a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next(Status),
    Break,
    Continue,
    Return(Status),
    Exit,
}

const SUCCESS: Flow = Flow::Next(Some(true));
const FAILURE: Flow = Flow::Next(Some(false));
const UNKNOWN: Flow = Flow::Next(None);

/// The state of a shell.
pub(super) struct Shell<'a> {
    world: &'a dyn World,
    variables: BTreeMap<String, Text>,
    functions: BTreeMap<String, Rc<Command>>,
    arguments: Vec<Text>,
    /// What was written to the standard output since the substitution around began.
    output: Text,
    effects: Vec<Effect>,
    steps: u32,
    depth: u32,
}

impl<'a> Shell<'a> {
    fn new(script: &Script<'a>, world: &'a dyn World) -> Self {
        let known = [
            ("DEBIAN_FRONTEND", "noninteractive"),
            ("DPKG_MAINTSCRIPT_ARCH", "amd64"),
            ("DPKG_MAINTSCRIPT_NAME", "postinst"),
            ("DPKG_MAINTSCRIPT_PACKAGE", script.package),
        ];
        let mut variables: BTreeMap<String, Text> = known
            .map(|(name, value)| (name.to_owned(), Some(value.to_owned())))
            .into();
        // The answers of debconf come in this variable.
        variables.insert("RET".to_owned(), None);
        let arguments = script
            .arguments
            .iter()
            .map(|argument| Some((*argument).to_owned()))
            .collect();
        Self {
            world,
            variables,
            functions: BTreeMap::new(),
            arguments,
            output: Some(String::new()),
            effects: Vec::new(),
            steps: 0,
            depth: 0,
        }
    }

    /// The arguments of the script or of the function that runs.
    pub(super) fn arguments(&self) -> &[Text] {
        &self.arguments
    }

    /// A parameter's value; none when it is not set.
    pub(super) fn value(&self, name: &str) -> Option<Text> {
        match name {
            "#" => Some(Some(self.arguments.len().to_string())),
            "@" | "*" => {
                let known: Option<Vec<&str>> =
                    self.arguments.iter().map(Option::as_deref).collect();
                Some(known.map(|arguments| arguments.join(" ")))
            }
            "0" => Some(None),
            "?" | "$" | "!" | "-" => Some(None),
            _ => match name.parse::<usize>() {
                Ok(number) => self.arguments.get(number - 1).cloned(),
                Err(_) => self.variables.get(name).cloned(),
            },
        }
    }

    /// Sets a variable.
    pub(super) fn assign(&mut self, name: &str, value: Text) {
        self.variables.insert(name.to_owned(), bounded(value));
    }

    /// The output of a command, without the line feeds at its end.
    pub(super) fn substitute(&mut self, command: &Command) -> Text {
        let before = self.output.replace(String::new());
        self.subshell(command);
        let output = std::mem::replace(&mut self.output, before);
        output.map(|output| output.trim_end_matches('\n').to_owned())
    }

    fn subshell(&mut self, command: &Command) -> Flow {
        let (variables, arguments) = (self.variables.clone(), self.arguments.clone());
        let flow = self.run(command);
        (self.variables, self.arguments) = (variables, arguments);
        match flow {
            Flow::Next(status) | Flow::Return(status) => Flow::Next(status),
            Flow::Break | Flow::Continue | Flow::Exit => UNKNOWN,
        }
    }

    fn run(&mut self, command: &Command) -> Flow {
        self.steps += 1;
        self.depth += 1;
        let flow = if self.steps > STEPS_MAX {
            self.give_up();
            Flow::Exit
        } else {
            self.run_one(command)
        };
        self.depth -= 1;
        flow
    }

    fn run_one(&mut self, command: &Command) -> Flow {
        match command {
            Command::Simple {
                assignments,
                words,
                silent,
            } => self.simple(assignments, words, *silent),
            Command::Sequence(commands) => self.sequence(commands),
            Command::Pipeline(commands) => self.pipeline(commands),
            Command::Not(command) => match self.run(command) {
                Flow::Next(status) => Flow::Next(status.map(|status| !status)),
                flow => flow,
            },
            Command::And(left, right) => self.then(left, right, true),
            Command::Or(left, right) => self.then(left, right, false),
            Command::If { arms, otherwise } => self.choose(arms, otherwise),
            Command::For {
                variable,
                words,
                body,
            } => self.for_each(variable, words.as_deref(), body),
            Command::While {
                condition,
                until,
                body,
            } => self.repeat(condition, *until, body),
            Command::Case { word, arms } => self.case(word, arms),
            Command::Function { name, body } => {
                self.functions.insert(name.clone(), Rc::clone(body));
                SUCCESS
            }
            Command::Subshell(command) => self.subshell(command),
            Command::Writes(targets) => {
                for target in targets {
                    let target = self.text(target);
                    if target.as_deref() != Some("/dev/null") {
                        self.effects.push(Effect::Write(target));
                    }
                }
                SUCCESS
            }
            Command::Opaque => UNKNOWN,
        }
    }

    /// From here on something may happen that is not known.
    fn give_up(&mut self) {
        if self.effects.last() != Some(&Effect::Unfollowed) {
            self.effects.push(Effect::Unfollowed);
        }
    }

    fn sequence(&mut self, commands: &[Command]) -> Flow {
        let mut last = SUCCESS;
        for command in commands {
            last = self.run(command);
            if !matches!(last, Flow::Next(_)) {
                break;
            }
        }
        last
    }

    /// Each part runs in a shell of its own; what is written goes to the next part, which is not followed.
    fn pipeline(&mut self, commands: &[Command]) -> Flow {
        for command in commands {
            self.subshell(command);
        }
        self.output = None;
        UNKNOWN
    }

    fn then(&mut self, left: &Command, right: &Command, on: bool) -> Flow {
        match self.run(left) {
            Flow::Next(Some(status)) if status == on => self.run(right),
            Flow::Next(None) => self.perhaps(|shell| shell.run(right), |_| UNKNOWN),
            flow => flow,
        }
    }

    fn choose(&mut self, arms: &[(Command, Command)], otherwise: &Command) -> Flow {
        let [(condition, body), rest @ ..] = arms else {
            return self.run(otherwise);
        };
        match self.run(condition) {
            Flow::Next(Some(true)) => self.run(body),
            Flow::Next(Some(false)) => self.choose(rest, otherwise),
            Flow::Next(None) => self.perhaps(
                |shell| shell.run(body),
                |shell| shell.choose(rest, otherwise),
            ),
            flow => flow,
        }
    }

    /// Follows two ways from the same state. Variables that differ afterwards are not known any more; the script ends
    /// only if both ways end it.
    fn perhaps(
        &mut self,
        one: impl FnOnce(&mut Self) -> Flow,
        other: impl FnOnce(&mut Self) -> Flow,
    ) -> Flow {
        let before = self.variables.clone();
        let first = one(self);
        let after_first = std::mem::replace(&mut self.variables, before);
        let second = other(self);
        for (name, value) in after_first {
            let same = self.variables.get(&name) == Some(&value);
            if !same {
                self.variables.insert(name, None);
            }
        }
        match (first, second) {
            (first, second) if first == second => first,
            (Flow::Next(_), Flow::Next(_)) => UNKNOWN,
            (Flow::Next(_), _) | (_, Flow::Next(_)) => UNKNOWN,
            (_, second) => second,
        }
    }

    fn for_each(&mut self, variable: &str, words: Option<&[Word]>, body: &Command) -> Flow {
        let texts = match words {
            Some(words) => self.texts(words),
            None => self.arguments.clone(),
        };
        let mut last = SUCCESS;
        for text in texts {
            self.assign(variable, text);
            last = self.run(body);
            match last {
                Flow::Next(_) | Flow::Continue => {}
                Flow::Break => return SUCCESS,
                Flow::Return(_) | Flow::Exit => return last,
            }
        }
        if last == Flow::Continue {
            SUCCESS
        } else {
            last
        }
    }

    fn repeat(&mut self, condition: &Command, until: bool, body: &Command) -> Flow {
        for _ in 0..ROUNDS_MAX {
            let flow = match self.run(condition) {
                Flow::Next(Some(status)) if status == until => return SUCCESS,
                Flow::Next(Some(_)) => self.run(body),
                Flow::Next(None) => {
                    self.perhaps(|shell| shell.run(body), |_| UNKNOWN);
                    return UNKNOWN;
                }
                flow => flow,
            };
            match flow {
                Flow::Next(_) | Flow::Continue => {}
                Flow::Break => return SUCCESS,
                Flow::Return(_) | Flow::Exit => return flow,
            }
        }
        self.give_up();
        UNKNOWN
    }

    fn case(&mut self, word: &Word, arms: &[(Vec<Word>, Command)]) -> Flow {
        let text = self.text(word);
        let [(patterns, body), rest @ ..] = arms else {
            return SUCCESS;
        };
        let mut fits = Some(false);
        for pattern in patterns {
            let pattern = self.pattern(pattern);
            match (&pattern, &text) {
                (Some(pattern), Some(text)) if pattern::matches(pattern, text) => fits = Some(true),
                (Some(pattern), None) if pattern == "*" => fits = Some(true),
                (Some(_), Some(_)) => continue,
                _ => fits = None,
            }
            break;
        }
        match fits {
            Some(true) => self.run(body),
            Some(false) => self.case(word, rest),
            None => self.perhaps(|shell| shell.run(body), |shell| shell.case(word, rest)),
        }
    }

    fn simple(&mut self, assignments: &[(String, Word)], words: &[Word], silent: bool) -> Flow {
        let texts = self.texts(words);
        for (name, word) in assignments {
            let value = self.text(word);
            self.assign(name, value);
        }
        let before = silent.then(|| self.output.clone());
        let flow = match texts.split_first() {
            None => SUCCESS,
            Some((None, _)) => {
                self.effects.push(Effect::Call(texts));
                self.output = None;
                UNKNOWN
            }
            Some((Some(name), arguments)) => self.command(name, arguments),
        };
        if let Some(before) = before {
            self.output = before;
        }
        flow
    }

    fn command(&mut self, name: &str, arguments: &[Text]) -> Flow {
        if let Some(body) = self.functions.get(name).cloned() {
            return self.function(&body, arguments);
        }
        let first = arguments.first().and_then(Option::as_deref);
        match name {
            ":" | "true" | "set" if first != Some("--") => SUCCESS,
            "set" => {
                self.arguments = arguments[1..].to_vec();
                SUCCESS
            }
            "false" => FAILURE,
            "test" => Flow::Next(test_command::evaluate(arguments, self.world)),
            "[" => Flow::Next(match arguments.split_last() {
                Some((Some(end), words)) if end == "]" => test_command::evaluate(words, self.world),
                _ => None,
            }),
            "exit" => Flow::Exit,
            "return" => Flow::Return(first.map_or(Some(true), |status| {
                status.parse::<u8>().ok().map(|status| status == 0)
            })),
            "break" => Flow::Break,
            "continue" => Flow::Continue,
            "shift" => {
                let count = first
                    .map_or(Some(1), |count| count.parse().ok())
                    .unwrap_or(usize::MAX);
                self.arguments.drain(..count.min(self.arguments.len()));
                SUCCESS
            }
            "export" | "readonly" | "local" | "declare" | "typeset" => self.declare(arguments),
            "unset" => {
                for name in arguments.iter().flatten() {
                    self.variables.remove(name);
                }
                SUCCESS
            }
            "read" => {
                for name in arguments.iter().flatten() {
                    self.assign(name, None);
                }
                UNKNOWN
            }
            _ => self.program(name, first, arguments),
        }
    }

    /// The few programs whose output or answer is known.
    fn program(&mut self, name: &str, first: Option<&str>, arguments: &[Text]) -> Flow {
        let words = [Some(name.to_owned())].into_iter();
        let words = words.chain(arguments.iter().cloned()).collect();
        self.effects.push(Effect::Call(words));
        match (name, first) {
            ("echo", _) => {
                let without_end = first == Some("-n");
                let words = &arguments[usize::from(without_end)..];
                let known: Option<Vec<&str>> = words.iter().map(Option::as_deref).collect();
                self.print(known.map(|words| words.join(" ") + if without_end { "" } else { "\n" }))
            }
            ("printf", Some("%s" | "%s\\n")) => {
                let end = if first == Some("%s") { "" } else { "\n" };
                let known: Option<Vec<String>> = arguments[1..]
                    .iter()
                    .map(|word| word.as_deref().map(|word| format!("{word}{end}")))
                    .collect();
                self.print(known.map(|words| words.concat()))
            }
            ("command", Some("-v")) | ("which", Some(_)) => {
                let wanted = if name == "which" {
                    arguments.first()
                } else {
                    arguments.get(1)
                };
                match wanted.cloned().flatten().map(|wanted| self.which(&wanted)) {
                    Some(Some(path)) => self.print(Some(path + "\n")),
                    Some(None) => FAILURE,
                    None => self.print(None),
                }
            }
            ("uname", Some("-s")) => self.print(Some("Linux\n".to_owned())),
            ("uname", Some("-m")) => self.print(Some("x86_64\n".to_owned())),
            ("dpkg", Some("--print-architecture")) => self.print(Some("amd64\n".to_owned())),
            ("dpkg-architecture", Some("-qDEB_HOST_MULTIARCH")) => {
                self.print(Some("x86_64-linux-gnu\n".to_owned()))
            }
            ("dpkg", Some("--compare-versions")) => Flow::Next(compare_with_nothing(arguments)),
            ("dpkg-maintscript-helper", _) => SUCCESS,
            // Nothing is diverted or overridden in a system that is installed for the first time.
            ("dpkg-divert", Some("--listpackage")) => self.print(Some(String::new())),
            ("dpkg-divert", Some("--truename")) => {
                let path = arguments.get(1).cloned().flatten();
                self.print(path.map(|path| path + "\n"))
            }
            ("dpkg-statoverride", Some("--list")) => FAILURE,
            _ => {
                self.output = None;
                UNKNOWN
            }
        }
    }

    fn function(&mut self, body: &Command, arguments: &[Text]) -> Flow {
        if self.depth > DEPTH_MAX {
            self.give_up();
            return UNKNOWN;
        }
        let before = std::mem::replace(&mut self.arguments, arguments.to_vec());
        let flow = self.run(body);
        self.arguments = before;
        match flow {
            Flow::Return(status) => Flow::Next(status),
            flow => flow,
        }
    }

    fn declare(&mut self, arguments: &[Text]) -> Flow {
        for argument in arguments {
            if let Some((name, value)) = argument
                .as_deref()
                .and_then(|argument| argument.split_once('='))
            {
                self.assign(name, Some(value.to_owned()));
            }
        }
        SUCCESS
    }

    fn print(&mut self, text: Text) -> Flow {
        self.output = match (self.output.take(), text) {
            (Some(before), Some(text)) => bounded(Some(before + &text)),
            _ => None,
        };
        SUCCESS
    }

    fn which(&self, name: &str) -> Option<String> {
        if name.contains('/') {
            return self.world.find(name, true).map(|_| name.to_owned());
        }
        let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"];
        let paths = folders.map(|folder| format!("{folder}/{name}"));
        paths
            .into_iter()
            .find(|path| self.world.find(path, true).is_some())
    }
}

/// A text that doubles in every round of a loop stops to be known before it fills the memory.
fn bounded(text: Text) -> Text {
    text.filter(|text| text.len() <= TEXT_MAX)
}

/// `dpkg --compare-versions "" OPERATOR VERSION`: there was no version before, so it is earlier than any, except for the
/// operators that end in `-nl`, to which it is later.
fn compare_with_nothing(arguments: &[Text]) -> Status {
    let [_, Some(before), Some(operator), _] = arguments else {
        return None;
    };
    match operator.as_str() {
        _ if !before.is_empty() => None,
        "lt" | "le" | "ne" | "gt-nl" | "ge-nl" => Some(true),
        "gt" | "ge" | "eq" | "lt-nl" | "le-nl" => Some(false),
        _ => None,
    }
}
