//! Positioned reads of headers, a little ahead.

use std::{cell::RefCell, fs::File, io, os::unix::fs::FileExt};

use rawzip::ReaderAt;

use super::end_record::number;

/// Reads a little more than it is asked for, because headers are asked for in small pieces.
pub(super) struct Window<'a> {
    file: &'a File,
    read: RefCell<(u64, Vec<u8>)>,
}

impl<'a> Window<'a> {
    const BYTES: usize = 4_096;

    pub(super) fn new(file: &'a File) -> Self {
        Self {
            file,
            read: RefCell::default(),
        }
    }

    pub(super) fn u16_at(&self, offset: u64) -> io::Result<u64> {
        let mut bytes = [0; 2];
        self.read_exact_at(&mut bytes, offset)?;
        Ok(number::<2>(&bytes, 0))
    }
}

impl ReaderAt for Window<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if buffer.len() >= Self::BYTES {
            return self.file.read_at(buffer, offset);
        }
        let (start, bytes) = &mut *self.read.borrow_mut();
        let inside = |start: u64, bytes: &[u8]| {
            let skipped = usize::try_from(offset.checked_sub(start)?).ok()?;
            (skipped.checked_add(buffer.len())? <= bytes.len()).then_some(skipped)
        };
        let skipped = match inside(*start, bytes) {
            Some(skipped) => skipped,
            None => {
                bytes.resize(Self::BYTES, 0);
                let read = self.file.read_at(bytes, offset)?;
                bytes.truncate(read);
                *start = offset;
                0
            }
        };
        let available = &bytes[skipped..];
        let length = buffer.len().min(available.len());
        buffer[..length].copy_from_slice(&available[..length]);
        Ok(length)
    }
}
