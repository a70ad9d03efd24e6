//! What went wrong in an evaluation, where, and on the way to what.

use std::fmt;

use crate::source::{Place, Pos, Sources};

/// How many steps of a long trace are shown of its inside and of its outside: the whole message then has about twenty
/// lines.
const SHOWN_FRAMES: (usize, usize) = (4, 2);

/// The kind of a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Not Nix, or a variable that does not exist.
    Syntax,
    /// `throw`: what `tryEval` catches.
    Thrown,
    /// A failed `assert`, which `tryEval` catches too.
    Assertion,
    /// `abort`.
    Aborted,
    /// A value of another type than needed, a missing attribute, a number out of range.
    Value,
    /// A value that needs itself.
    InfiniteRecursion,
    /// A limit of [`crate::Limits`], or more nesting than the stack holds.
    Limit,
    /// Something an evaluation must not see: the clock, the environment, the network, other files.
    Forbidden,
    /// A file of the project that cannot be read.
    File,
    /// Somebody asked the evaluation to stop.
    Cancelled,
}

/// A mistake while evaluation goes on: positions are not looked up yet.
#[derive(Debug)]
pub struct Fault(Box<Details>);

#[derive(Debug)]
struct Details {
    kind: ErrorKind,
    message: String,
    pos: Pos,
    hints: Vec<String>,
    /// From the inside out.
    trace: Vec<(Pos, String)>,
    /// How many frames were left out of the middle of the trace.
    left_out: usize,
}

/// What evaluation gives.
pub type Eval<T> = Result<T, Fault>;

/// How much of a trace is kept: a deep recursion has as many frames as levels.
const KEPT_FRAMES: usize = 64;

impl Fault {
    /// A mistake at a position.
    pub fn new(kind: ErrorKind, pos: Pos, message: impl Into<String>) -> Self {
        Self(Box::new(Details {
            kind,
            message: message.into(),
            pos,
            hints: Vec::new(),
            trace: Vec::new(),
            left_out: 0,
        }))
    }

    /// A mistake about a value.
    pub fn value(pos: Pos, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Value, pos, message)
    }

    /// Something that evaluation must not see.
    pub fn forbidden(pos: Pos, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Forbidden, pos, message)
    }

    /// Adds a line on what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hints.push(hint.into());
        self
    }

    /// Says on the way to what it happened.
    #[must_use]
    pub fn within(mut self, pos: Pos, what: impl Into<String>) -> Self {
        if self.0.trace.len() < KEPT_FRAMES {
            self.0.trace.push((pos, what.into()));
        } else {
            // The outermost frames say what was asked for, the innermost what failed: the middle goes.
            self.0.trace.remove(KEPT_FRAMES / 2);
            self.0.left_out += 1;
            self.0.trace.push((pos, what.into()));
        }
        self
    }

    /// The position, where the fault has none yet.
    #[must_use]
    pub fn at(mut self, pos: Pos) -> Self {
        if self.0.pos == Pos::NONE {
            self.0.pos = pos;
        }
        self
    }

    /// What kind of mistake it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether nothing is known yet of how it came about.
    pub(crate) fn has_no_trace(&self) -> bool {
        self.0.trace.is_empty()
    }

    /// Whether `tryEval` catches it.
    pub(crate) fn is_catchable(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Thrown | ErrorKind::Assertion)
    }

    pub(crate) fn resolve(self, sources: &Sources) -> EvalError {
        let details = *self.0;
        let frame = |(pos, message): (Pos, String)| Frame {
            place: sources.place(pos),
            message: clipped(message),
        };
        EvalError(Box::new(ErrorParts {
            kind: details.kind,
            message: clipped(details.message),
            place: sources.place(details.pos),
            hints: details.hints,
            trace: details.trace.into_iter().map(frame).collect(),
            left_out: details.left_out,
        }))
    }
}

/// The longest message, in bytes: it may quote a text that is as long as somebody wanted.
const MAX_MESSAGE: usize = 10_000;

fn clipped(mut message: String) -> String {
    if message.len() > MAX_MESSAGE {
        let more = message.len() - message.floor_char_boundary(MAX_MESSAGE);
        message.truncate(message.len() - more);
        message.push_str(&format!("… ({more} bytes more)"));
    }
    message
}

/// One step on the way to a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Where it stands in a text.
    pub place: Option<Place>,
    /// What was being done.
    pub message: String,
}

/// A mistake in an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvalError(Box<ErrorParts>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct ErrorParts {
    kind: ErrorKind,
    message: String,
    place: Option<Place>,
    hints: Vec<String>,
    trace: Vec<Frame>,
    left_out: usize,
}

impl EvalError {
    /// The kind of mistake.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What is wrong, in one sentence without a place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where it is wrong. Without a place of its own, a mistake is where the innermost frame with one is.
    pub fn place(&self) -> Option<&Place> {
        let frames = || self.0.trace.iter().find_map(|frame| frame.place.as_ref());
        self.0.place.as_ref().or_else(frames)
    }

    /// What to do about it, a line each.
    pub fn hints(&self) -> &[String] {
        &self.0.hints
    }

    /// On the way to what it happened, from the inside out.
    pub fn trace(&self) -> &[Frame] {
        &self.0.trace
    }
}

impl std::error::Error for EvalError {}

impl fmt::Display for EvalError {
    /// The sentence and its place, the source line, then the trace from the inside out. `{:#}` tells the whole trace,
    /// `{}` its ends.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &self.0;
        match &parts.place {
            Some(place) => {
                write!(formatter, "{place}: {}", printable_lines(&parts.message))?;
                excerpt(formatter, place)?;
            }
            None => formatter.write_str(&printable_lines(&parts.message))?,
        }
        for hint in &parts.hints {
            write!(formatter, "\n  {hint}")?;
        }
        // Frames that say nothing a reader can look at are left out, and so is one that says what the last one said.
        let mut frames: Vec<&Frame> = parts
            .trace
            .iter()
            .filter(|frame| frame.place.is_some())
            .collect();
        frames.dedup();
        let (first, last) = match formatter.alternate() {
            true => (frames.len(), 0),
            false => SHOWN_FRAMES,
        };
        // The middle is cut only where that makes the text shorter.
        let cut = frames.len() > first + last + 1;
        let mut shown = parts.place.as_ref();
        for (index, frame) in frames.iter().enumerate() {
            let is_hidden = cut && index >= first && index < frames.len() - last;
            if is_hidden && index == first {
                let count = frames.len() - first - last + parts.left_out;
                write!(formatter, "\n  … {count} more steps")?;
            }
            // What the trace itself does not have any more was in its middle.
            if !cut && parts.left_out > 0 && index == frames.len() / 2 {
                write!(formatter, "\n  … {} more steps", parts.left_out)?;
            }
            if !is_hidden {
                step(formatter, frame, shown)?;
                shown = frame.place.as_ref();
            }
        }
        Ok(())
    }
}

/// One step of a trace: what was done, where, and the line. The place that was `shown` last is not shown again.
fn step(formatter: &mut fmt::Formatter<'_>, frame: &Frame, shown: Option<&Place>) -> fmt::Result {
    write!(formatter, "\n  … {}", printable_lines(&frame.message))?;
    let Some(place) = frame.place.as_ref().filter(|place| Some(*place) != shown) else {
        return Ok(());
    };
    write!(formatter, "\n    at {place}")?;
    let line = place.lines[1].as_deref().unwrap_or_default().trim();
    match line.is_empty() {
        true => Ok(()),
        false => write!(formatter, ": {}", printable(line)),
    }
}

/// The line of a place with a mark below the column, and the lines around it.
fn excerpt(formatter: &mut fmt::Formatter<'_>, place: &Place) -> fmt::Result {
    let [before, Some(line), after] = &place.lines else {
        return Ok(());
    };
    let number = |offset: i64| (i64::from(place.line) + offset).to_string();
    let width = number(1).len();
    let mut show = |number: &str, text: &str| {
        let text = printable(text);
        write!(formatter, "\n  {number:>width$} | {}", text.trim_end())
    };
    if let Some(before) = before {
        show(&number(-1), before)?;
    }
    show(&number(0), line)?;
    let letters = line.chars().take(place.mark);
    let indent: String = letters
        .map(|letter| if letter == '\t' { '\t' } else { ' ' })
        .collect();
    show("", &format!("{indent}^"))?;
    match after.as_ref().filter(|after| !after.trim().is_empty()) {
        Some(after) => show(&number(1), after),
        None => Ok(()),
    }
}

/// A terminal must not obey what stands in a text.
fn printable(text: &str) -> String {
    printable_lines(text).replace('\n', "\u{fffd}")
}

/// The same for a text that may have several lines.
fn printable_lines(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '\t' | '\n' => letter,
            letter if letter.is_control() => '\u{fffd}',
            letter => letter,
        })
        .collect()
}
