//! What reading a model's configuration found: errors, warnings, and what cannot be built yet.
//!
//! All three have one shape, so that they are printed, counted and given out as JSON in one way: the file and the
//! place, the key, the reason, and where possible a hint that the user can act on.

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use super::credentials;
use super::position::Position;
use super::reason::Reason;

/// One thing to tell about a configuration.
#[derive(Debug)]
pub struct Finding {
    /// The file, as the user named it.
    pub file: String,
    /// The place in it; absent when the finding is about the file as a whole.
    pub position: Option<Position>,
    /// The path of the key, such as `build.run[2].mounts[0].type`; empty for the whole file.
    pub key: String,
    /// What was found.
    pub reason: Reason,
}

impl Finding {
    /// A line the user can act on.
    pub fn hint(&self) -> Option<String> {
        self.reason.hint()
    }

    /// Whether this is about a key that does not exist, which strict reading refuses.
    pub fn is_unknown_key(&self) -> bool {
        matches!(self.reason, Reason::UnknownKey { .. })
    }

    /// The order in which findings are shown.
    pub(super) fn by_place(&self, other: &Self) -> std::cmp::Ordering {
        (&self.file, self.position).cmp(&(&other.file, other.position))
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.file)?;
        if let Some(position) = self.position {
            write!(formatter, ":{position}")?;
        }
        if !self.key.is_empty() {
            write!(formatter, ": {}", self.key)?;
        }
        write!(formatter, ": {}", self.reason)
    }
}

impl std::error::Error for Finding {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.reason)
    }
}

/// `{file, line, column, key, message, hint}`; what is not known is null.
impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Finding", 6)?;
        fields.serialize_field("file", &self.file)?;
        fields.serialize_field("line", &self.position.map(|position| position.line))?;
        fields.serialize_field("column", &self.position.map(|position| position.column))?;
        fields.serialize_field("key", &self.key)?;
        fields.serialize_field("message", &self.reason.to_string())?;
        fields.serialize_field("hint", &self.hint())?;
        fields.end()
    }
}

/// Why a configuration is not valid: every rejection, in the order of the file.
#[derive(Debug)]
pub struct ConfigErrors {
    /// At least one finding.
    pub errors: Vec<Finding>,
    /// What was noticed beside the errors.
    pub warnings: Vec<Finding>,
}

impl ConfigErrors {
    pub(super) fn new(mut errors: Vec<Finding>, mut warnings: Vec<Finding>) -> Self {
        errors.sort_by(Finding::by_place);
        warnings.sort_by(Finding::by_place);
        Self { errors, warnings }
    }

    pub(super) fn one(finding: Finding) -> Self {
        Self {
            errors: vec![finding],
            warnings: Vec::new(),
        }
    }
}

/// How many findings a message shows before it only counts the rest: with hints, they still fit a screen.
const SHOWN: usize = 8;

impl std::fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, finding) in self.errors.iter().take(SHOWN).enumerate() {
            if index > 0 {
                writeln!(formatter)?;
            }
            write!(formatter, "{finding}")?;
            if let Some(hint) = finding.hint() {
                write!(formatter, "\n  hint: {hint}")?;
            }
        }
        match self.errors.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            rest => write!(formatter, "\nand {rest} more"),
        }
    }
}

impl std::error::Error for ConfigErrors {}

/// Text from a file as it may be shown: in quotes, control characters escaped, without credentials, at most 80
/// characters.
pub(super) fn quoted(text: &str) -> String {
    let text = credentials::cleaned(text);
    let mut shown: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}
