//! Readers and writers that count and digest what passes.
//!
//! Reading again what was just written doubles the work and opens a gap between the check and the use.

use std::io::{self, Read, Write};

use super::{Sha256, Sha256Hasher};

/// Passes bytes on to a writer and knows how many there were and what they hash to.
#[derive(Debug)]
pub struct HashingWriter<W> {
    writer: W,
    hasher: Sha256Hasher,
    bytes: u64,
}

impl<W> HashingWriter<W> {
    /// Wraps a writer; what it took before is not counted.
    pub fn new(writer: W) -> Self {
        Self {
            writer,
            hasher: Sha256Hasher::new(),
            bytes: 0,
        }
    }

    /// How many bytes have passed.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives back the writer, with the digest and the number of the bytes it accepted.
    pub fn finish(self) -> (W, Sha256, u64) {
        (self.writer, self.hasher.finish(), self.bytes)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let accepted = self.writer.write(bytes)?;
        self.hasher.update(&bytes[..accepted]);
        self.bytes += accepted as u64;
        Ok(accepted)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Passes bytes on from a reader and knows how many there were and what they hash to.
///
/// The digest is that of the bytes that were read: whoever checks a whole stream reads it to its end first.
#[derive(Debug)]
pub struct HashingReader<R> {
    reader: R,
    hasher: Sha256Hasher,
    bytes: u64,
}

impl<R> HashingReader<R> {
    /// Wraps a reader; what was read from it before is not counted.
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            hasher: Sha256Hasher::new(),
            bytes: 0,
        }
    }

    /// How many bytes have passed.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives back the reader, with the digest and the number of the bytes that were read.
    pub fn finish(self) -> (R, Sha256, u64) {
        (self.reader, self.hasher.finish(), self.bytes)
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}
