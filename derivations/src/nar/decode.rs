//! Reads an archive.

use std::io::{self, Read};

use nix_archive::nar as upstream;
use upstream::Event;

use super::{NarError, check_name, check_target};

/// Takes the nodes of an archive as they come, root first. The root has no name.
///
/// What it is given may turn out to be part of a broken archive: nothing counts until [`decode`] returns `Ok`.
pub trait Visitor {
    /// A directory starts; its entries follow.
    fn start_directory(&mut self, name: Option<&[u8]>) -> io::Result<()>;

    /// The innermost open directory ends.
    fn end_directory(&mut self) -> io::Result<()>;

    /// A file of `size` bytes. What is left unread is skipped.
    fn regular(
        &mut self,
        name: Option<&[u8]>,
        executable: bool,
        size: u64,
        contents: &mut dyn Read,
    ) -> io::Result<()>;

    /// A symbolic link.
    fn symlink(&mut self, name: Option<&[u8]>, target: &[u8]) -> io::Result<()>;
}

/// Reads one archive to the end of the stream and shows it to a visitor.
///
/// Memory depends on the depth and the names, never on the size of files. The reader is asked for many small pieces, so it
/// should be a buffered one. After an error nothing more is read.
pub fn decode(mut reader: &mut dyn Read, visitor: &mut dyn Visitor) -> Result<(), NarError> {
    let mut stopped = None;
    let result = upstream::decode_events_reader(&mut reader, |event| {
        visit(event, visitor).map_err(|error| {
            stopped = Some(error);
            upstream::Error::Io(io::Error::other("stopped by the visitor"))
        })
    });
    match stopped {
        Some(error) => Err(error),
        None => result.map_err(read_error),
    }
}

fn visit<R: Read>(
    event: upstream::ReadEvent<'_, R>,
    visitor: &mut dyn Visitor,
) -> Result<(), NarError> {
    match event {
        Event::DirectoryStart { name } => {
            check_name(name)?;
            visitor.start_directory(name)
        }
        Event::DirectoryEnd { .. } => visitor.end_directory(),
        Event::Regular {
            name,
            executable,
            contents,
        } => {
            check_name(name)?;
            let size = contents.size();
            let mut contents = Contents {
                contents,
                missing: size,
            };
            visitor.regular(name, executable, size, &mut contents)
        }
        Event::Symlink { name, target } => {
            check_name(name)?;
            check_target(target)?;
            visitor.symlink(name, target)
        }
    }
    .map_err(NarError::Visitor)
}

/// The bytes of one file. A stream that ends inside it is an error, not the end of the file.
struct Contents<R> {
    contents: R,
    missing: u64,
}

impl<R: Read> Read for Contents<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.contents.read(buffer)?;
        if read == 0 && !buffer.is_empty() && self.missing > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.missing -= read as u64;
        Ok(read)
    }
}

/// In a stream, a name out of order is a fault of the bytes, not of the caller.
fn read_error(error: upstream::Error) -> NarError {
    match error.into() {
        NarError::Order(reason) => NarError::Malformed(reason),
        other => other,
    }
}
