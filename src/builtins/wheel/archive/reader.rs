//! Reads one member: its compressed bytes as they stand, or its content, checked to the last byte.
//!
//! A content is good when it has the promised size and checksum, when the compressed stream says itself that it has
//! ended, and when no bytes follow that end. The last two matter because layers carry the compressed stream on.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    os::unix::fs::FileExt,
};

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{ArchiveError, Member, Method};

/// How much is read from the file at once; less for members that are smaller.
const BUFFER_BYTES: u64 = 64 << 10;

/// The compressed bytes of one member, read at their place without moving the file's own position.
#[derive(Debug)]
pub struct RawReader<'a> {
    file: &'a File,
    offset: u64,
    remaining: u64,
}

impl<'a> RawReader<'a> {
    pub(super) fn new(file: &'a File, member: &Member) -> Self {
        Self {
            file,
            offset: member.offset,
            remaining: member.compressed_size,
        }
    }
}

impl Read for RawReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = self.remaining.min(buffer.len() as u64) as usize;
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        if read == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the archive became shorter while it was read",
            ));
        }
        self.offset += read as u64;
        self.remaining -= read as u64;
        Ok(read)
    }
}

/// The content of one member, made from its compressed bytes.
///
/// Size, checksum and ends are checked in the same call that gives the last byte, so whoever has read `size` bytes has
/// read checked bytes. After an error every further read fails.
pub struct MemberReader<'a, R: Read> {
    member: &'a Member,
    source: Source<R>,
    checksum: Crc,
    remaining: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Checked,
    Failed,
}

enum Source<R: Read> {
    Stored(R),
    Deflate(Inflater<R>),
    Zstd(Box<zstd::stream::read::Decoder<'static, BufReader<R>>>),
}

impl<R: Read> std::fmt::Debug for MemberReader<'_, R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("MemberReader")
            .field("member", self.member)
            .field("remaining", &self.remaining)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl<'a, R: Read> MemberReader<'a, R> {
    pub(super) fn new(member: &'a Member, raw: R) -> io::Result<Self> {
        let capacity = member.compressed_size.clamp(1, BUFFER_BYTES) as usize;
        let source = match member.method {
            Method::Stored => Source::Stored(raw),
            Method::Deflate => Source::Deflate(Inflater::new(raw, capacity)),
            Method::Zstd => {
                let raw = BufReader::with_capacity(capacity, raw);
                let decoder = zstd::stream::read::Decoder::with_buffer(raw)?;
                Source::Zstd(Box::new(decoder.single_frame()))
            }
        };
        let (checksum, remaining, state) = (Crc::new(), member.size, State::Reading);
        Ok(Self {
            member,
            source,
            checksum,
            remaining,
            state,
        })
    }

    /// Gives back what the compressed bytes were read from.
    pub fn into_raw(self) -> R {
        match self.source {
            Source::Stored(raw) => raw,
            Source::Deflate(inflater) => inflater.raw,
            Source::Zstd(decoder) => decoder.finish().into_inner(),
        }
    }

    fn read_checked(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = self.remaining.min(buffer.len() as u64) as usize;
        let mut read = 0;
        if wanted > 0 {
            read = self
                .source
                .read(&mut buffer[..wanted])
                .map_err(|error| self.damaged(error))?;
            if read == 0 {
                let found = self.member.size - self.remaining;
                return Err(self.wrong(format!(
                    "its content ends after {found} bytes, expected {}",
                    self.member.size
                )));
            }
        }
        self.checksum.update(&buffer[..read]);
        self.remaining -= read as u64;
        if self.remaining == 0 {
            self.check_end()?;
            self.state = State::Checked;
        }
        Ok(read)
    }

    fn check_end(&mut self) -> io::Result<()> {
        if self
            .source
            .read(&mut [0])
            .map_err(|error| self.damaged(error))?
            != 0
        {
            let size = self.member.size;
            return Err(self.wrong(format!("its content is longer than {size} bytes")));
        }
        if self.source.has_more_input()? {
            return Err(self.wrong("data follow the end of its compressed content".to_owned()));
        }
        let (found, expected) = (self.checksum.sum(), self.member.crc32);
        if found != expected {
            return Err(self.wrong(format!(
                "its checksum is {found:08x}, expected {expected:08x}"
            )));
        }
        Ok(())
    }

    fn wrong(&self, problem: String) -> io::Error {
        ArchiveError::Content {
            member: self.member.name.clone(),
            problem,
        }
        .into()
    }

    /// Errors of the decompressors say what is wrong with the content; all others say that it could not be read.
    fn damaged(&self, error: io::Error) -> io::Error {
        match error.raw_os_error() {
            Some(_) => error,
            None => self.wrong(format!("its compressed content is damaged: {error}")),
        }
    }
}

impl<R: Read> Read for MemberReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.state {
            State::Checked => return Ok(0),
            State::Failed => return Err(self.wrong("an earlier read failed".to_owned())),
            State::Reading if buffer.is_empty() => return Ok(0),
            State::Reading => {}
        }
        let result = self.read_checked(buffer);
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::Interrupted
        {
            self.state = State::Failed;
        }
        result
    }
}

impl<R: Read> Source<R> {
    fn has_more_input(&mut self) -> io::Result<bool> {
        match self {
            // Reading past the end has just found no more bytes.
            Self::Stored(_) => Ok(false),
            Self::Deflate(inflater) => inflater.has_more_input(),
            Self::Zstd(decoder) => Ok(!decoder.get_mut().fill_buf()?.is_empty()),
        }
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Stored(raw) => raw.read(buffer),
            Self::Deflate(inflater) => inflater.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

/// Inflates a raw deflate stream and insists on its end: the readers of the inflating crate take the end of the input
/// for the end of the stream.
struct Inflater<R> {
    raw: R,
    input: Box<[u8]>,
    start: usize,
    end: usize,
    inflate: Decompress,
    ended: bool,
}

impl<R: Read> Inflater<R> {
    fn new(raw: R, capacity: usize) -> Self {
        let input = vec![0; capacity].into_boxed_slice();
        Self {
            raw,
            input,
            start: 0,
            end: 0,
            inflate: Decompress::new(false),
            ended: false,
        }
    }

    /// Reads on if everything read has been used. Whether there is anything now.
    fn has_more_input(&mut self) -> io::Result<bool> {
        if self.start == self.end {
            self.start = 0;
            self.end = self.raw.read(&mut self.input)?;
        }
        Ok(self.start != self.end)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.ended {
            let more = self.has_more_input()?;
            let (input_before, output_before) = (self.inflate.total_in(), self.inflate.total_out());
            let input = &self.input[self.start..self.end];
            let status = self
                .inflate
                .decompress(input, buffer, FlushDecompress::None)?;
            self.start += (self.inflate.total_in() - input_before) as usize;
            self.ended = status == Status::StreamEnd;
            let written = (self.inflate.total_out() - output_before) as usize;
            if written > 0 {
                return Ok(written);
            }
            if !more && !self.ended {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "it has no end",
                ));
            }
        }
        Ok(0)
    }
}
