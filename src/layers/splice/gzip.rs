//! Writes the gzip members of recipe `gzip-wheel-splice-1` and keeps the two digests of a layer.
//!
//! ```text
//! layer    = { member }
//! member   = 1f 8b 08 00, time 0, flags 0, system 255, deflate stream, CRC-32, length modulo 2^32
//! deflate  = what the wheel holds | { stored block of 65,535 bytes } , last stored block of 1 to 65,535 bytes
//! ```
//!
//! Bytes that go through [`Splicer::plain`] are collected into one member of stored blocks, which ends when a deflated
//! member begins or the layer ends. So the bytes depend on the tar stream and on where its deflated members are, never
//! on the sizes of the pieces in which it arrives.

use std::io::{self, Read, Write};

use cognix_derivations::{HashingWriter, Sha256, Sha256Hasher};
use libdeflater::Crc;

use super::{
    super::compress::{BLOCK, BlockEncoder},
    inflate::Inflated,
};
use crate::builtins::wheel::{Member, WheelArchive};

/// How a member begins: deflate, no name, no time, no system.
pub(super) const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// The longest stored block that deflate has.
const STORED_MAX: usize = 65_535;
/// How much of a large content is in memory at once.
const PIECE: usize = 256 << 10;

/// CRC-32 and length, as a member ends with them.
pub(super) fn trailer(crc32: u32, length: u64) -> [u8; 8] {
    let mut trailer = [0; 8];
    trailer[..4].copy_from_slice(&crc32.to_le_bytes());
    // gzip counts modulo 2^32.
    trailer[4..].copy_from_slice(&(length as u32).to_le_bytes());
    trailer
}

/// What became of a layer.
pub(super) struct Spliced {
    pub(super) digest: Sha256,
    pub(super) size: u64,
    /// None where only the compressed bytes were wanted.
    pub(super) diff_id: Option<Sha256>,
    pub(super) uncompressed_size: u64,
}

/// Turns the pieces of a tar stream into gzip members.
pub(super) struct Splicer<W> {
    out: HashingWriter<W>,
    diff: Option<Sha256Hasher>,
    uncompressed_size: u64,
    stored: Stored,
    encoder: Option<BlockEncoder>,
}

/// The member of stored blocks that is being filled.
struct Stored {
    /// Less than a block, or a block that may be the last one.
    pending: Vec<u8>,
    crc: Crc,
    length: u64,
    begun: bool,
}

impl Stored {
    fn new() -> Self {
        Self {
            pending: Vec::with_capacity(STORED_MAX),
            crc: Crc::new(),
            length: 0,
            begun: false,
        }
    }

    fn write(&mut self, out: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
        self.crc.update(bytes);
        self.length += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.pending.len() == STORED_MAX {
                self.write_block(out, false)?;
            }
            let taken = bytes.len().min(STORED_MAX - self.pending.len());
            self.pending.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    fn write_block(&mut self, out: &mut impl Write, last: bool) -> io::Result<()> {
        if !self.begun {
            out.write_all(&HEADER)?;
            self.begun = true;
        }
        let length =
            u16::try_from(self.pending.len()).expect("a stored block has at most 65,535 bytes");
        let mut head = [u8::from(last), 0, 0, 0, 0];
        head[1..3].copy_from_slice(&length.to_le_bytes());
        head[3..].copy_from_slice(&(!length).to_le_bytes());
        out.write_all(&head)?;
        out.write_all(&self.pending)?;
        self.pending.clear();
        Ok(())
    }

    fn end(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.length == 0 {
            return Ok(());
        }
        self.write_block(out, true)?;
        out.write_all(&trailer(self.crc.sum(), self.length))?;
        (self.crc, self.length, self.begun) = (Crc::new(), 0, false);
        Ok(())
    }
}

impl<W: Write> Splicer<W> {
    /// For describing: both digests are computed, so every content passes inflated.
    pub(super) fn describing(out: W) -> Self {
        Self {
            diff: Some(Sha256Hasher::new()),
            ..Self::repeating(out)
        }
    }

    /// For making the bytes of a described layer again: deflated contents are copied without a look inside.
    pub(super) fn repeating(out: W) -> Self {
        Self {
            out: HashingWriter::new(out),
            diff: None,
            uncompressed_size: 0,
            stored: Stored::new(),
            encoder: None,
        }
    }

    /// Headers, padding, and contents that are not compressed.
    pub(super) fn plain(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.count(bytes);
        self.stored.write(&mut self.out, bytes)
    }

    /// A content that has been inflated already.
    pub(super) fn inflated(&mut self, inflated: &Inflated<'_>) -> io::Result<()> {
        self.stored.end(&mut self.out)?;
        self.count(inflated.content);
        self.out.write_all(inflated.gzip)
    }

    /// A deflated content of any size, inflated on the way; `look` sees it piece by piece.
    pub(super) fn inflating(
        &mut self,
        archive: &WheelArchive,
        index: usize,
        mut look: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.begin_member()?;
        let Self {
            out,
            diff,
            uncompressed_size,
            ..
        } = self;
        let raw = Tee {
            from: archive.raw(index),
            to: out,
        };
        let mut content = archive.read_from(index, raw)?;
        each_piece(&mut content, |piece| {
            look(piece)?;
            *uncompressed_size += piece.len() as u64;
            if let Some(diff) = diff {
                diff.update(piece);
            }
            Ok(())
        })?;
        self.end_member(&archive.members()[index])
    }

    /// A deflated content, copied as it stands in the wheel.
    pub(super) fn copied(&mut self, archive: &WheelArchive, index: usize) -> io::Result<()> {
        self.begin_member()?;
        let member = &archive.members()[index];
        let out = &mut self.out;
        each_piece(&mut archive.raw(index), |piece| out.write_all(piece))?;
        self.uncompressed_size += member.size();
        self.end_member(member)
    }

    /// One block of a content that gzip cannot hold as the wheel has it.
    pub(super) fn recompressed(&mut self, block: &[u8]) -> io::Result<()> {
        self.stored.end(&mut self.out)?;
        self.count(block);
        let encoder = self.encoder.get_or_insert_with(BlockEncoder::new);
        self.out.write_all(&encoder.encode(block))
    }

    /// Ends the last member and flushes the writer.
    pub(super) fn finish(mut self) -> io::Result<Spliced> {
        self.stored.end(&mut self.out)?;
        self.out.flush()?;
        let (_, digest, size) = self.out.finish();
        let diff_id = self.diff.map(Sha256Hasher::finish);
        Ok(Spliced {
            digest,
            size,
            diff_id,
            uncompressed_size: self.uncompressed_size,
        })
    }

    fn count(&mut self, bytes: &[u8]) {
        self.uncompressed_size += bytes.len() as u64;
        if let Some(diff) = &mut self.diff {
            diff.update(bytes);
        }
    }

    fn begin_member(&mut self) -> io::Result<()> {
        self.stored.end(&mut self.out)?;
        self.out.write_all(&HEADER)
    }

    fn end_member(&mut self, member: &Member) -> io::Result<()> {
        self.out.write_all(&trailer(member.crc32(), member.size()))
    }
}

/// Reads to the end, in pieces of bounded size.
pub(super) fn each_piece(
    from: &mut impl Read,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => each(&piece[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads to the end, in blocks that are full up to the last one.
pub(super) fn each_block(
    from: &mut impl Read,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut block = Vec::with_capacity(BLOCK);
    loop {
        block.clear();
        from.by_ref().take(BLOCK as u64).read_to_end(&mut block)?;
        if block.is_empty() {
            return Ok(());
        }
        each(&block)?;
    }
}

/// Passes on what is read.
struct Tee<'a, R, W> {
    from: R,
    to: &'a mut W,
}

impl<R: Read, W: Write> Read for Tee<'_, R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.to.write_all(&buffer[..read])?;
        Ok(read)
    }
}
