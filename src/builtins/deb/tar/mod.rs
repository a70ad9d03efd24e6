//! Reads the inner archives of a package, with one meaning for each byte.
//!
//! Read are v7, ustar, GNU's long names and the extended headers of one file. What two tar programs could understand in
//! two ways is refused: two long names for one entry, sizes of things that have no contents, global headers, sparse
//! files, numbers that are negative, anything but zeros after the end. An own reader and not the `tar` crate, because
//! that one decides these very points by itself and does not show them: helper headers are gone before the caller sees
//! an entry, unknown types are handed on, and the rest of the stream after the first zero block is never looked at.

mod header;
mod pax;

use std::io::{self, Read, Take};

use self::{
    header::{BLOCK, RawHeader},
    pax::Extended,
};
use super::{
    ar::read_up_to,
    error::{DebError, Quoted},
};

/// A GNU long name is a path and its NUL.
const LONG_NAME_MAX: u64 = 4096 + 1;
/// An extended header holds two paths, a few numbers and perhaps a comment.
const EXTENDED_MAX: u64 = 1 << 20;

/// What an entry is; anything else never gets here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file with contents.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Another name of an earlier file.
    HardLink,
}

/// One entry, with everything that helper headers said about it put in.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    /// What a link points to; empty for the rest.
    pub(super) target: Vec<u8>,
    pub(super) kind: Kind,
    /// Permission bits alone.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
}

/// The entries of one inner archive, one after the other.
pub(super) struct TarReader<R> {
    input: Take<R>,
    member: &'static str,
    /// Zeros that follow the current entry's contents.
    padding: u64,
    last_name: Vec<u8>,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    Reading,
    Ended,
    Dead,
}

/// What the helper headers before an entry said.
#[derive(Default)]
struct Helpers {
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    extended: Option<Extended>,
}

impl<R: Read> TarReader<R> {
    /// Reads an archive whose place in the package errors name.
    pub(super) fn new(input: R, member: &'static str) -> Self {
        let input = input.take(0);
        Self {
            input,
            member,
            padding: 0,
            last_name: Vec::new(),
            state: State::Reading,
        }
    }

    /// The next entry, whose contents [`Self::contents`] then gives; none once the whole input is read and was zeros.
    ///
    /// After an error there is nothing more to read.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, DebError> {
        match self.state {
            State::Reading => {}
            State::Ended => return Ok(None),
            State::Dead => return Err(self.cut_off(io::ErrorKind::InvalidData.into())),
        }
        let next = self.read_next();
        self.state = match next {
            Ok(Some(_)) => State::Reading,
            Ok(None) => State::Ended,
            Err(_) => State::Dead,
        };
        next
    }

    /// The contents of the current entry; a short read means that the input is cut off.
    pub(super) fn contents(&mut self) -> &mut impl Read {
        &mut self.input
    }

    /// How many bytes of the current entry are not read yet.
    pub(super) fn remaining(&self) -> u64 {
        self.input.limit()
    }

    fn read_next(&mut self) -> Result<Option<Entry>, DebError> {
        self.finish_entry()?;
        let mut helpers = Helpers::default();
        loop {
            let Some(raw) = self.header()? else {
                return match helpers {
                    Helpers {
                        name: None,
                        target: None,
                        extended: None,
                    } => Ok(None),
                    _ => Err(self.refuse("type", b"the end", "a file after its helper header")),
                };
            };
            match raw.kind() {
                b'L' => self.long_name(&raw, &mut helpers.name)?,
                b'K' => self.long_name(&raw, &mut helpers.target)?,
                b'x' => self.extended(&raw, &mut helpers.extended)?,
                _ => return self.entry(&raw, helpers).map(Some),
            }
        }
    }

    /// The next header block; none when zeros have followed to the input's end.
    fn header(&mut self) -> Result<Option<RawHeader>, DebError> {
        let mut block = [0; BLOCK];
        self.input.set_limit(BLOCK as u64);
        let read = read_up_to(&mut self.input, &mut block).map_err(|error| self.cut_off(error))?;
        if read < BLOCK {
            return Err(self.cut_off(io::ErrorKind::UnexpectedEof.into()));
        }
        if block.iter().any(|byte| *byte != 0) {
            let header = RawHeader::new(block);
            return match header.problem() {
                None => Ok(Some(header)),
                Some((field, found, expected)) => Err(self.refuse(field, &found, expected)),
            };
        }
        self.drain_zeros()?;
        Ok(None)
    }

    /// The rest of the input after the first zero block: at least one more, and nothing but zeros.
    fn drain_zeros(&mut self) -> Result<(), DebError> {
        let mut buffer = [0; 16 * BLOCK];
        let mut total = 0;
        loop {
            self.input.set_limit(buffer.len() as u64);
            let read =
                read_up_to(&mut self.input, &mut buffer).map_err(|error| self.cut_off(error))?;
            if buffer[..read].iter().any(|byte| *byte != 0) {
                return Err(self.refuse("the rest after the end", b"more bytes", "zeros"));
            }
            total += read;
            if read < buffer.len() {
                break;
            }
        }
        if total < BLOCK || !total.is_multiple_of(BLOCK) {
            return Err(self.cut_off(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(())
    }

    fn finish_entry(&mut self) -> Result<(), DebError> {
        let rest = self.input.limit() + std::mem::take(&mut self.padding);
        self.input.set_limit(rest);
        io::copy(&mut self.input, &mut io::sink()).map_err(|error| self.cut_off(error))?;
        if self.input.limit() > 0 {
            return Err(self.cut_off(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(())
    }

    /// The contents of a helper header, which are small, without its padding.
    fn helper(&mut self, raw: &RawHeader, limit: u64) -> Result<Vec<u8>, DebError> {
        let size = self.number("size", raw.size())?;
        if size > limit {
            return Err(self.refuse(
                "size of a helper header",
                size.to_string().as_bytes(),
                "less than 1 MiB, a long name less than 4097",
            ));
        }
        let mut contents = Vec::new();
        self.input.set_limit(size);
        self.input
            .read_to_end(&mut contents)
            .map_err(|error| self.cut_off(error))?;
        self.padding = padding_of(size);
        self.finish_entry()?;
        Ok(contents)
    }

    fn long_name(&mut self, raw: &RawHeader, slot: &mut Option<Vec<u8>>) -> Result<(), DebError> {
        let mut name = self.helper(raw, LONG_NAME_MAX)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        if name.is_empty() || name.contains(&0) {
            return Err(self.refuse("a long name", &name, "a name that ends with its only NUL"));
        }
        match slot.replace(name) {
            None => Ok(()),
            Some(first) => Err(self.refuse("a second long name", &first, "one for each entry")),
        }
    }

    fn extended(&mut self, raw: &RawHeader, slot: &mut Option<Extended>) -> Result<(), DebError> {
        let records = self.helper(raw, EXTENDED_MAX)?;
        let extended = Extended::parse(&records).map_err(|pax::Problem { found, expected }| {
            self.refuse("an extended header", &found, expected)
        })?;
        match slot.replace(extended) {
            None => Ok(()),
            Some(_) => {
                Err(self.refuse("an extended header", b"a second one", "one for each entry"))
            }
        }
    }

    fn entry(&mut self, raw: &RawHeader, helpers: Helpers) -> Result<Entry, DebError> {
        let extended = helpers.extended.unwrap_or_default();
        let name = self
            .only_one("name", helpers.name, extended.path)?
            .unwrap_or_else(|| raw.name());
        self.last_name.clone_from(&name);
        let target = self.only_one("link target", helpers.target, extended.link_path)?;
        let target = target.unwrap_or_else(|| raw.link_name());
        let kind = self.kind(raw, &name)?;
        let size = match extended.size {
            // It wins whatever the old field holds, so that field may be too small for the number.
            Some(size) => size,
            None => self.number("size", raw.size())?,
        };
        if kind != Kind::File && size > 0 {
            return Err(self.refuse(
                "size",
                size.to_string().as_bytes(),
                "0, since only files have contents",
            ));
        }
        let mode = self.number("mode", raw.mode())?;
        if mode > 0o177_777 {
            return Err(self.refuse("mode", format!("{mode:o}").as_bytes(), "at most 177777"));
        }
        let uid = extended
            .uid
            .map_or_else(|| self.number("owner", raw.uid()), Ok)?;
        let gid = extended
            .gid
            .map_or_else(|| self.number("group", raw.gid()), Ok)?;
        let narrow = |field, id: u64| {
            u32::try_from(id)
                .map_err(|_| self.refuse(field, id.to_string().as_bytes(), "at most 32 bits"))
        };
        let (uid, gid) = (narrow("owner", uid)?, narrow("group", gid)?);
        let is_link = matches!(kind, Kind::Symlink | Kind::HardLink);
        self.input.set_limit(size);
        self.padding = padding_of(size);
        let target = if is_link { target } else { Vec::new() };
        Ok(Entry {
            name,
            target,
            kind,
            mode: (mode & 0o7777) as u32,
            uid,
            gid,
            size,
        })
    }

    fn kind(&self, raw: &RawHeader, name: &[u8]) -> Result<Kind, DebError> {
        let slash = name.last() == Some(&b'/');
        match raw.kind() {
            // v7 knew no type for directories and marked them by their names.
            0 if slash && raw.is_v7() => Ok(Kind::Directory),
            0 | b'0' if slash => {
                Err(self.refuse("name", name, "a file's name without a slash at its end"))
            }
            0 | b'0' => Ok(Kind::File),
            b'1' => Ok(Kind::HardLink),
            b'2' => Ok(Kind::Symlink),
            b'5' => Ok(Kind::Directory),
            other => {
                let found: &[u8] = match other {
                    b'3' | b'4' => b"a device",
                    b'6' => b"a pipe",
                    b'S' => b"a sparse file",
                    b'g' => b"a global header",
                    _ => &[other],
                };
                Err(self.refuse("type", found, "a file, a directory or a link"))
            }
        }
    }

    /// GNU's long name or the extended header's, but not both.
    fn only_one<T: AsRef<[u8]>>(
        &self,
        field: &'static str,
        gnu: Option<T>,
        extended: Option<T>,
    ) -> Result<Option<T>, DebError> {
        match (gnu, extended) {
            (Some(_), Some(second)) => Err(self.refuse(
                field,
                second.as_ref(),
                "one of a long name and an extended header",
            )),
            (first, second) => Ok(first.or(second)),
        }
    }

    fn number(&self, field: &'static str, number: Result<u64, Vec<u8>>) -> Result<u64, DebError> {
        number.map_err(|found| {
            self.refuse(field, &found, "octal digits, or a positive binary number")
        })
    }

    fn refuse(&self, field: &'static str, found: &[u8], expected: &'static str) -> DebError {
        DebError::Tar {
            member: self.member,
            entry: Quoted::new(&self.last_name),
            field,
            found: Quoted::new(found),
            expected,
        }
    }

    fn cut_off(&self, source: io::Error) -> DebError {
        let part = format!(
            "{}, after entry {}",
            self.member,
            Quoted::new(&self.last_name)
        );
        DebError::Read { part, source }
    }
}

fn padding_of(size: u64) -> u64 {
    (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64
}
