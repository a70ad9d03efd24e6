//! Reads zip archives strictly.
//!
//! An archive is opened only if every reader must see the same members with the same contents in it: one end record,
//! a central directory that agrees with every local header, no byte unaccounted for, names that are plain paths.
//! What is read is read at its place in the file, so many threads read from one archive, and memory holds the list of
//! members but never a content.
//!
//! Headers are parsed by `rawzip`, which gives both headers of a member as they stand, without allocation or unsafe
//! code, and leaves judgement to its caller. The end records are parsed here, because that crate forgives some of
//! their faults. Nothing is extracted and nothing about wheels is known here; see [`super::plan()`].

mod directory;
mod end_record;
mod error;
mod extra_fields;
mod limits;
mod local_headers;
pub(super) mod names;
mod reader;
mod window;

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
};

pub use error::ArchiveError;
pub(super) use error::Quoted;
pub use limits::Limits;
pub use reader::{MemberReader, RawReader};

/// An open archive whose headers have all been found consistent.
#[derive(Debug)]
pub struct WheelArchive {
    file: File,
    members: Vec<Member>,
    /// Files only.
    by_name: HashMap<String, usize>,
}

/// A file or directory in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    name: String,
    directory: bool,
    size: u64,
    compressed_size: u64,
    method: Method,
    crc32: u32,
    executable: bool,
    offset: u64,
}

/// How a member's content is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Not at all.
    Stored,
    /// As a raw deflate stream.
    Deflate,
    /// As one zstd frame.
    Zstd,
}

impl WheelArchive {
    /// Reads and checks all headers, with the default [`Limits`].
    pub fn open(file: File) -> Result<Self, ArchiveError> {
        Self::open_within(file, &Limits::default())
    }

    /// Reads and checks all headers, with other limits.
    pub fn open_within(file: File, limits: &Limits) -> Result<Self, ArchiveError> {
        let length = file.metadata()?.len();
        let end = end_record::locate(&file, length)?;
        let members = directory::read(&file, length, &end, limits)?;
        let by_name = (0..)
            .zip(&members)
            .filter(|(_, member)| !member.directory)
            .map(|(index, member)| (member.name.clone(), index))
            .collect();
        Ok(Self {
            file,
            members,
            by_name,
        })
    }

    /// All files and directories, in the order of the central directory.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The place of a file in [`Self::members`].
    pub fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The compressed bytes of a member, from the first to the last.
    ///
    /// # Panics
    ///
    /// If there is no member with this index.
    pub fn raw(&self, index: usize) -> RawReader<'_> {
        RawReader::new(&self.file, &self.members[index])
    }

    /// The content of a member, checked to its end.
    ///
    /// # Panics
    ///
    /// If there is no member with this index.
    pub fn read(&self, index: usize) -> io::Result<MemberReader<'_, RawReader<'_>>> {
        self.read_from(index, self.raw(index))
    }

    /// The content of a member, made from compressed bytes that pass through the caller, who may look at them.
    ///
    /// # Panics
    ///
    /// If there is no member with this index.
    pub fn read_from<R: Read>(&self, index: usize, raw: R) -> io::Result<MemberReader<'_, R>> {
        MemberReader::new(&self.members[index], raw)
    }
}

impl Member {
    /// The path inside the archive, `/` between its parts and none at its end.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a directory; directories have no content.
    pub fn is_directory(&self) -> bool {
        self.directory
    }

    /// The length of the content.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The length of the compressed content.
    pub fn compressed_size(&self) -> u64 {
        self.compressed_size
    }

    /// How the content is compressed.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The checksum of the content, as gzip has it too.
    pub fn crc32(&self) -> u32 {
        self.crc32
    }

    /// Whether anybody may execute the file.
    pub fn is_executable(&self) -> bool {
        self.executable
    }

    /// Where the compressed content begins in the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

impl Method {
    fn number(self) -> u64 {
        match self {
            Self::Stored => 0,
            Self::Deflate => 8,
            Self::Zstd => 93,
        }
    }
}

#[cfg(test)]
mod tests;
