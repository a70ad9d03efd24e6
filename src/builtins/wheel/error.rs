//! What is wrong with a wheel, in words that name the file in it, what was found and what was expected.

use std::{io, path::PathBuf};

use super::archive::{ArchiveError, Quoted};

/// Why a wheel cannot be installed. Nothing of it has been, when a plan fails.
#[derive(Debug, thiserror::Error)]
pub enum WheelError {
    /// The archive itself is damaged, or no archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),

    /// Wheels say in their file name what they are.
    #[error(
        "{} is no file name of a wheel: {problem}; expected NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl",
        Quoted(name)
    )]
    FileName {
        /// The file name.
        name: String,
        /// What does not fit.
        problem: String,
    },

    /// Without the file, nobody knows what the wheel is or what belongs to it.
    #[error("wheel has no {}", Quoted(file))]
    Absent {
        /// The file's path in the wheel.
        file: String,
    },

    /// More than one package claims the wheel, or none does.
    #[error(
        "wheel has {}, expected one directory {}",
        listed(found),
        Quoted(expected)
    )]
    DistInfo {
        /// The directories whose names end in `.dist-info`.
        found: Vec<String>,
        /// The name such a directory should have.
        expected: String,
    },

    /// The wheel was renamed, or built by a tool that got it wrong.
    #[error(
        "wheel is {expected} by its file name, but its {place} says {}",
        Quoted(found)
    )]
    Identity {
        /// Where the other name or version stands.
        place: String,
        /// What stands there.
        found: String,
        /// What the file name says.
        expected: String,
    },

    /// A file that describes the wheel does not have the form it must have.
    #[error("{}{}: {problem}", Quoted(file), at_line(*line))]
    Malformed {
        /// The file's path in the wheel.
        file: String,
        /// The line, where one is known.
        line: Option<u64>,
        /// What was found and what was expected.
        problem: String,
    },

    /// The archive holds files that nobody vouches for: the wheel was changed after it was built, or built by a tool
    /// that got it wrong.
    #[error("{} does not list {}{}", Quoted(record), Quoted(file), and_more(*more))]
    Unlisted {
        /// The record's path in the wheel.
        record: String,
        /// The first such file.
        file: String,
        /// How many more there are.
        more: usize,
    },

    /// The record promises files that are not there.
    #[error(
        "{} lists {} in line {line}, but the wheel does not hold it{}",
        Quoted(record), Quoted(file), and_more(*more)
    )]
    Missing {
        /// The record's path in the wheel.
        record: String,
        /// The first such file.
        file: String,
        /// Its line in the record.
        line: u64,
        /// How many more there are.
        more: usize,
    },

    /// A file is not the one the wheel was built with.
    #[error(
        "{}: its {what} is {found}, but {} says {expected}",
        Quoted(file),
        Quoted(record)
    )]
    Mismatch {
        /// The file's path in the wheel.
        file: String,
        /// `size`, or the algorithm of the digest.
        what: &'static str,
        /// What the file has.
        found: String,
        /// What the record says.
        expected: String,
        /// The record's path in the wheel.
        record: String,
    },

    /// The file would be installed where a wheel must not write.
    #[error("{} cannot be installed: {problem}", Quoted(file))]
    Target {
        /// The file's path in the wheel, or the entry point's name.
        file: String,
        /// Which rule it breaks.
        problem: String,
    },

    /// Two files of the wheel want one place, or one wants another as its directory.
    #[error("{} and {} cannot both be installed", Quoted(first), Quoted(second))]
    Conflict {
        /// A path in the environment.
        first: String,
        /// The other one.
        second: String,
    },

    /// A description of the wheel is larger than any that makes sense.
    #[error("{} is {size} bytes, more than {limit}", Quoted(file))]
    TooLarge {
        /// The file's path in the wheel.
        file: String,
        /// How long it is.
        size: u64,
        /// How long it may be.
        limit: u64,
    },

    /// The tree could not be written: usually a full disk or missing rights.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },

    /// The work was called off; what has been written is to be removed.
    #[error("cancelled")]
    Cancelled,
}

impl WheelError {
    /// Whether it is RECORD that is wrong, and nothing else: a waiver for the archive makes the wheel installable.
    pub fn can_be_waived(&self) -> bool {
        match self {
            Self::Unlisted { .. } | Self::Missing { .. } | Self::Mismatch { .. } => true,
            Self::Malformed { file, .. } => file.ends_with(".dist-info/RECORD"),
            _ => false,
        }
    }
}

fn at_line(line: Option<u64>) -> String {
    line.map_or_else(String::new, |line| format!(", line {line}"))
}

fn and_more(more: usize) -> String {
    if more == 0 {
        String::new()
    } else {
        format!(", nor {more} more")
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "no .dist-info directory".to_owned();
    }
    let names: Vec<String> = names.iter().map(|name| Quoted(name).to_string()).collect();
    names.join(" and ")
}
