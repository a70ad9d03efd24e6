//! Writes an archive.

use std::io::{self, Write};

use nix_archive::nar as upstream;

use super::{MAX_DEPTH, NarError, check_name, check_target};

/// Writes one archive, root first. The root has no name; everything inside a directory has one, in ascending order.
///
/// ```
/// use cognix_derivations::nar::Encoder;
///
/// let mut archive = Encoder::new(Vec::new())?;
/// archive.start_directory(None)?;
/// archive.regular_bytes(Some(b"hello"), false, b"world\n")?;
/// archive.symlink(Some(b"link"), b"hello")?;
/// archive.end_directory()?;
/// assert_eq!(archive.finish()?.len() % 8, 0);
/// # Ok::<(), cognix_derivations::nar::NarError>(())
/// ```
pub struct Encoder<W> {
    inner: upstream::Encoder<W>,
    open_directories: usize,
}

impl<W: Write> Encoder<W> {
    /// Starts an archive. The writer gets many small pieces, so it should be a buffered one.
    pub fn new(writer: W) -> Result<Self, NarError> {
        Ok(Self {
            inner: upstream::Encoder::new(writer)?,
            open_directories: 0,
        })
    }

    /// Opens a directory; its entries follow.
    pub fn start_directory(&mut self, name: Option<&[u8]>) -> Result<(), NarError> {
        self.check_node(name)?;
        self.inner.start_directory(name)?;
        self.open_directories += 1;
        Ok(())
    }

    /// Closes the innermost open directory.
    pub fn end_directory(&mut self) -> Result<(), NarError> {
        self.inner.end_directory()?;
        self.open_directories -= 1;
        Ok(())
    }

    /// Starts a file of exactly `size` bytes, which go to the returned writer; [`FileWriter::finish`] ends it.
    pub fn regular(
        &mut self,
        name: Option<&[u8]>,
        executable: bool,
        size: u64,
    ) -> Result<FileWriter<'_, W>, NarError> {
        self.check_node(name)?;
        Ok(FileWriter(
            self.inner.start_regular(name, executable, size)?,
        ))
    }

    /// Writes a file that is in memory.
    pub fn regular_bytes(
        &mut self,
        name: Option<&[u8]>,
        executable: bool,
        contents: &[u8],
    ) -> Result<(), NarError> {
        self.check_node(name)?;
        Ok(self.inner.regular(name, executable, contents)?)
    }

    /// Writes a symbolic link.
    pub fn symlink(&mut self, name: Option<&[u8]>, target: &[u8]) -> Result<(), NarError> {
        self.check_node(name)?;
        check_target(target)?;
        Ok(self.inner.symlink(name, target)?)
    }

    /// Makes sure that the archive is complete, and gives back the writer.
    pub fn finish(self) -> Result<W, NarError> {
        Ok(self.inner.finish()?)
    }

    fn check_node(&self, name: Option<&[u8]>) -> Result<(), NarError> {
        if self.open_directories >= MAX_DEPTH {
            return Err(NarError::TooDeep);
        }
        check_name(name)
    }
}

/// Takes the bytes of one file. Dropped without [`FileWriter::finish`], it leaves the archive unusable.
pub struct FileWriter<'a, W>(upstream::RegularWriter<'a, W>);

impl<W: Write> FileWriter<'_, W> {
    /// Ends the file; fails when fewer bytes came than were announced.
    pub fn finish(self) -> Result<(), NarError> {
        Ok(self.0.finish()?)
    }
}

impl<W: Write> Write for FileWriter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
