//! Writes the entries of a layer through the digests and the compressor, reading each file when its turn comes.
//!
//! What the entries are, and in which order, is decided by whoever asks: [`super::tree`] merges trees, [`super::changes`]
//! reads what a build left behind. Making the bytes of a described layer again goes the same way.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use cognix_derivations::{HashingWriter, Sha256, Sha256Hasher};

use super::{
    LayerError, LayerRequest,
    compress::{BlockCompressor, Recipe},
    description::{DiffId, Entry, EntryKind, LayerDescription, LayerDigest, LayerSource},
    modes::Recorded,
    path::ImagePath,
    tar::{self, TarKind, whiteout},
};

/// How much of a file is in memory at once.
pub(super) const PIECE: usize = 256 << 10;

/// One entry that is to be written.
pub(super) struct Item<'a> {
    pub(super) path: &'a ImagePath,
    pub(super) recorded: Recorded,
    pub(super) content: Content<'a>,
}

/// What an entry is, and where its bytes are.
pub(super) enum Content<'a> {
    Directory,
    File { size: u64, real: &'a Path },
    Symlink { target: &'a str },
    Removed,
}

/// What became of a layer, besides its entries.
pub(super) struct Streamed {
    pub(super) digest: LayerDigest,
    pub(super) diff_id: DiffId,
    pub(super) size: u64,
    pub(super) uncompressed_size: u64,
}

impl Streamed {
    /// The description of a layer that was just written.
    pub(super) fn description(
        self,
        request: &LayerRequest<'_>,
        source: LayerSource,
        entries: Vec<Entry>,
    ) -> LayerDescription {
        LayerDescription {
            name: request.name.to_owned(),
            recipe: request.recipe,
            time: request.time,
            digest: self.digest,
            diff_id: self.diff_id,
            size: self.size,
            uncompressed_size: self.uncompressed_size,
            source,
            entries,
        }
    }
}

/// Lets a tar stream be written, and compresses it into `out`. `from` says in an error what the layer is made of.
pub(super) fn compress<T, W: Write>(
    request: &LayerRequest<'_>,
    from: &'static str,
    out: W,
    write_tar: impl FnOnce(
        &mut HashingWriter<BlockCompressor<HashingWriter<W>>>,
    ) -> Result<T, LayerError>,
) -> Result<(Streamed, T), LayerError> {
    if request.recipe != Recipe::GzipLibdeflate126Level6 {
        return Err(LayerError::Recipe {
            recipe: request.recipe,
            from,
            expected: Recipe::FOR_TREES,
        });
    }
    let failed = |source| not_written(request, source);
    let compressor = BlockCompressor::new(HashingWriter::new(out)).map_err(failed)?;
    let mut layer = HashingWriter::new(compressor);
    let made = write_tar(&mut layer)?;
    let (compressor, diff_id, uncompressed_size) = layer.finish();
    let (_, digest, size) = compressor.finish().map_err(failed)?.finish();
    let streamed = Streamed {
        digest: LayerDigest(digest),
        diff_id: DiffId(diff_id),
        size,
        uncompressed_size,
    };
    Ok((streamed, made))
}

/// Writes the tar stream of some entries, whole.
pub(super) fn write_entries<'a>(
    request: &LayerRequest<'_>,
    items: impl ExactSizeIterator<Item = Item<'a>>,
    out: &mut impl Write,
) -> Result<Vec<Entry>, LayerError> {
    let mut entries = Vec::with_capacity(items.len());
    let mut buffer = vec![0; PIECE];
    for item in items {
        if (request.cancelled)() {
            return Err(LayerError::Cancelled);
        }
        let kind = write_entry(request, &item, out, &mut buffer)?;
        entries.push(Entry {
            path: item.path.clone(),
            kind,
            recorded: item.recorded,
        });
    }
    out.write_all(&tar::END)
        .map_err(|error| not_written(request, error))?;
    Ok(entries)
}

fn write_entry(
    request: &LayerRequest<'_>,
    item: &Item<'_>,
    out: &mut impl Write,
    buffer: &mut [u8],
) -> Result<EntryKind, LayerError> {
    let write_header = |path: &ImagePath, kind: TarKind<'_>, out: &mut dyn Write| {
        let mut header = Vec::new();
        tar::write_header(&mut header, path, item.recorded, kind, request.time);
        out.write_all(&header)
            .map_err(|error| not_written(request, error))
    };
    match item.content {
        Content::Directory => {
            write_header(item.path, TarKind::Directory, out)?;
            Ok(EntryKind::Directory)
        }
        Content::Symlink { target } => {
            write_header(item.path, TarKind::Symlink(target), out)?;
            Ok(EntryKind::Symlink {
                target: target.to_owned(),
            })
        }
        Content::File { size, real } => {
            write_header(item.path, TarKind::File(size), out)?;
            let sha256 = write_content(request, real, size, out, buffer)?;
            out.write_all(tar::padding(size))
                .map_err(|error| not_written(request, error))?;
            Ok(EntryKind::File { size, sha256 })
        }
        Content::Removed => {
            let mark = whiteout(item.path).map_err(|source| LayerError::Path {
                owner: format!("the mark that layer {} removes", request.name),
                source,
            })?;
            write_header(&mark, TarKind::File(0), out)?;
            Ok(EntryKind::Removed)
        }
    }
}

/// Copies exactly as many bytes as the header has promised.
pub(super) fn write_content(
    request: &LayerRequest<'_>,
    path: &Path,
    size: u64,
    out: &mut impl Write,
    buffer: &mut [u8],
) -> Result<Sha256, LayerError> {
    let mut file = File::open(path).map_err(|source| not_read(path, source))?;
    let mut hasher = Sha256Hasher::new();
    let mut copied = 0;
    loop {
        let read = read_some(&mut file, buffer).map_err(|source| not_read(path, source))?;
        copied += read as u64;
        if copied > size || (read == 0 && copied < size) {
            return Err(LayerError::Changed {
                path: path.to_owned(),
                expected: size,
                found: copied,
            });
        }
        if read == 0 {
            return Ok(hasher.finish());
        }
        if (request.cancelled)() {
            return Err(LayerError::Cancelled);
        }
        hasher.update(&buffer[..read]);
        out.write_all(&buffer[..read])
            .map_err(|error| not_written(request, error))?;
    }
}

fn not_written(request: &LayerRequest<'_>, source: io::Error) -> LayerError {
    LayerError::Write {
        name: request.name.to_owned(),
        source,
    }
}

pub(super) fn read_some(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

pub(super) fn not_read(path: &Path, source: io::Error) -> LayerError {
    LayerError::Read {
        path: path.to_owned(),
        source,
    }
}
