//! A wheel as a layer, without a compressor and without a tree.
//!
//! A wheel is a zip file, and the contents in it are deflate streams; so are the contents of a gzip file. The layer takes
//! them over as they are, between members that hold the tar headers (recipe `gzip-wheel-splice-1`, see
//! [`super::compress::Recipe`]). Describing a layer reads the wheel once: each content is inflated once, and compared
//! with the archive's checksum and the RECORD's digest while it passes through the digest of the tar stream. Making the
//! bytes of a described layer again does not even inflate. Where the files go is the install plan's business.

mod gzip;
mod inflate;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use cognix_derivations::{Sha256, Sha256Hasher};

use self::{
    gzip::{Spliced, Splicer, each_block, each_piece},
    inflate::Inflater,
};
use super::{
    LayerError, LayerRequest,
    compress::Recipe,
    description::{
        DiffId, Entry, EntryKind, LayerDescription, LayerDigest, LayerSource, WheelSource,
    },
    modes::{Mode, Recorded},
    path::ImagePath,
    tar::{self, TarKind},
    timestamp::Timestamp,
};
use crate::builtins::wheel::{
    ArchiveError, Content, InstallTarget, Method, PlannedFile, WheelArchive, WheelError, plan,
};

/// Small writes are the rule between small files.
const BUFFER: usize = 256 << 10;

/// Describes the layer of one wheel, whose file lies at `file`.
pub fn describe_wheel(
    request: &LayerRequest<'_>,
    file: &Path,
    source: WheelSource,
) -> Result<LayerDescription, LayerError> {
    check_recipe(request.recipe)?;
    let wheel = Wheel::open(file, &source, None, request.time)?;
    let files = wheel.files(request.name, &source)?;
    let mut splicer = Splicer::describing(io::sink());
    let mut inflater = Inflater::new();
    let entries = wheel.stream(
        &files,
        request.cancelled,
        &mut splicer,
        |splicer, path, planned| {
            let found =
                wheel.describe_content(splicer, &mut inflater, planned, request.cancelled)?;
            if found == planned.sha256 {
                return Ok(());
            }
            let (filename, path) = (source.filename.clone(), path.clone());
            Err(LayerError::Record {
                filename,
                path,
                expected: planned.sha256,
                found,
            })
        },
    )?;
    let Spliced {
        digest,
        size,
        diff_id,
        uncompressed_size,
        ..
    } = splicer.finish().map_err(|error| wheel.failed(error))?;
    Ok(LayerDescription {
        name: request.name.to_owned(),
        recipe: request.recipe,
        time: request.time,
        digest: LayerDigest(digest),
        diff_id: DiffId(diff_id.expect("a splicer that describes keeps this digest")),
        size,
        uncompressed_size,
        source: LayerSource::Wheel(source),
        entries,
    })
}

/// Makes the bytes again; the caller compares the digest and the size that come back.
pub(super) fn write_wheel(
    description: &LayerDescription,
    source: &WheelSource,
    file: &Path,
    out: &mut dyn Write,
) -> Result<(LayerDigest, u64), LayerError> {
    check_recipe(description.recipe)?;
    let wheel = Wheel::open(file, source, Some(&description.name), description.time)?;
    let files = wheel.files(&description.name, source)?;
    let mut splicer = Splicer::repeating(BufWriter::with_capacity(BUFFER, out));
    // Whoever wants to stop lets the writer fail.
    wheel.stream(&files, &|| false, &mut splicer, |splicer, _, planned| {
        wheel
            .repeat_content(splicer, planned)
            .map_err(|error| wheel.failed(error))
    })?;
    let spliced = splicer.finish().map_err(|error| wheel.failed(error))?;
    Ok((LayerDigest(spliced.digest), spliced.size))
}

fn check_recipe(recipe: Recipe) -> Result<(), LayerError> {
    match recipe {
        Recipe::GzipWheelSplice1 => Ok(()),
        Recipe::GzipLibdeflate126Level6 => Err(LayerError::Recipe {
            recipe,
            from: "a wheel",
            expected: Recipe::FOR_WHEELS,
        }),
    }
}

/// An open wheel and its install plan.
struct Wheel<'a> {
    filename: &'a str,
    /// The layer that is written; none while one is described, which writes nothing.
    written: Option<&'a str>,
    time: Timestamp,
    archive: WheelArchive,
    planned: Vec<PlannedFile>,
}

/// Every path of the layer; directories have no file.
type Files<'a> = BTreeMap<ImagePath, Option<&'a PlannedFile>>;

impl<'a> Wheel<'a> {
    fn open(
        file: &Path,
        source: &'a WheelSource,
        written: Option<&'a str>,
        time: Timestamp,
    ) -> Result<Self, LayerError> {
        let filename = source.filename.as_str();
        let failed = |source: WheelError| LayerError::Wheel {
            filename: filename.to_owned(),
            source: Box::new(source),
        };
        let opened = File::open(file).map_err(|source| LayerError::Read {
            path: file.to_owned(),
            source,
        })?;
        let archive = WheelArchive::open(opened).map_err(|error| failed(error.into()))?;
        let target = InstallTarget {
            python: (source.python.0, source.python.1),
        };
        let planned = plan(&archive, filename, &target, source.record).map_err(failed)?;
        Ok(Self {
            filename,
            written,
            time,
            archive,
            planned: planned.files,
        })
    }

    /// The planned files without those to be left out, and every directory above them.
    fn files(&self, layer: &str, source: &WheelSource) -> Result<Files<'_>, LayerError> {
        let mut files = Files::new();
        for planned in &self.planned {
            let path =
                ImagePath::parse(planned.path.as_str()).map_err(|source| LayerError::Path {
                    owner: self.filename.to_owned(),
                    source,
                })?;
            files.insert(path, Some(planned));
        }
        for path in &source.omit {
            if files.remove(path).is_none() {
                return Err(LayerError::Omit {
                    layer: layer.to_owned(),
                    path: path.clone(),
                });
            }
        }
        let directories: Vec<_> = files.keys().flat_map(ImagePath::ancestors).collect();
        for directory in directories {
            files.entry(directory).or_insert(None);
        }
        Ok(files)
    }

    /// Drives the tar stream: headers here, contents by `content`.
    fn stream<W: Write>(
        &self,
        files: &Files<'_>,
        cancelled: &dyn Fn() -> bool,
        splicer: &mut Splicer<W>,
        mut content: impl FnMut(&mut Splicer<W>, &ImagePath, &PlannedFile) -> Result<(), LayerError>,
    ) -> Result<Vec<Entry>, LayerError> {
        let mut entries = Vec::with_capacity(files.len());
        let mut header = Vec::new();
        for (path, planned) in files {
            if cancelled() {
                return Err(LayerError::Cancelled);
            }
            let Some(planned) = planned else {
                let entry = Entry::directory(path.clone());
                self.plain(splicer, &mut header, &entry, TarKind::Directory)?;
                entries.push(entry);
                continue;
            };
            let (size, sha256) = (planned.size, planned.sha256);
            let recorded = Recorded::root(Mode::of_file(planned.executable));
            let entry = Entry {
                path: path.clone(),
                kind: EntryKind::File { size, sha256 },
                recorded,
            };
            self.plain(splicer, &mut header, &entry, TarKind::File(size))?;
            content(splicer, path, planned)?;
            splicer
                .plain(tar::padding(size))
                .map_err(|error| self.failed(error))?;
            entries.push(entry);
        }
        splicer
            .plain(&tar::END)
            .map_err(|error| self.failed(error))?;
        Ok(entries)
    }

    fn plain<W: Write>(
        &self,
        splicer: &mut Splicer<W>,
        header: &mut Vec<u8>,
        entry: &Entry,
        kind: TarKind<'_>,
    ) -> Result<(), LayerError> {
        header.clear();
        tar::write_header(header, &entry.path, entry.recorded, kind, self.time);
        splicer.plain(header).map_err(|error| self.failed(error))
    }

    /// Passes one content through the splicer and returns its digest.
    fn describe_content<W: Write>(
        &self,
        splicer: &mut Splicer<W>,
        inflater: &mut Inflater,
        planned: &PlannedFile,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Sha256, LayerError> {
        let index = match &planned.content {
            Content::Generated(bytes) => {
                splicer.plain(bytes).map_err(|error| self.failed(error))?;
                return Ok(Sha256::of(bytes));
            }
            Content::Member(index) => *index,
        };
        if planned.size > 0
            && let Some(inflated) = inflater
                .inflate(&self.archive, index)
                .map_err(|error| self.failed(error))?
        {
            splicer
                .inflated(&inflated)
                .map_err(|error| self.failed(error))?;
            return Ok(Sha256::of(inflated.content));
        }
        let mut hasher = Sha256Hasher::new();
        let result = self.describe_pieces(splicer, index, &mut |piece| {
            hasher.update(piece);
            if cancelled() {
                Err(io::Error::from(io::ErrorKind::Interrupted))
            } else {
                Ok(())
            }
        });
        match result {
            Err(_) if cancelled() => Err(LayerError::Cancelled),
            Err(error) => Err(self.failed(error)),
            Ok(()) => Ok(hasher.finish()),
        }
    }

    fn describe_pieces<W: Write>(
        &self,
        splicer: &mut Splicer<W>,
        index: usize,
        look: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let member = &self.archive.members()[index];
        match member.method() {
            // Nothing to put in, but the archive's reader still has to find the stream in order.
            _ if member.size() == 0 => each_piece(&mut self.archive.read(index)?, look),
            Method::Deflate => splicer.inflating(&self.archive, index, look),
            Method::Stored => each_piece(&mut self.archive.read(index)?, |piece| {
                look(piece)?;
                splicer.plain(piece)
            }),
            Method::Zstd => each_block(&mut self.archive.read(index)?, |block| {
                look(block)?;
                splicer.recompressed(block)
            }),
        }
    }

    /// The same bytes, of contents that were checked when the layer was described.
    fn repeat_content<W: Write>(
        &self,
        splicer: &mut Splicer<W>,
        planned: &PlannedFile,
    ) -> io::Result<()> {
        let index = match &planned.content {
            Content::Generated(bytes) => return splicer.plain(bytes),
            Content::Member(index) => *index,
        };
        match self.archive.members()[index].method() {
            _ if planned.size == 0 => Ok(()),
            Method::Deflate => splicer.copied(&self.archive, index),
            Method::Stored => {
                each_piece(&mut self.archive.raw(index), |piece| splicer.plain(piece))
            }
            Method::Zstd => each_block(&mut self.archive.read(index)?, |block| {
                splicer.recompressed(block)
            }),
        }
    }

    fn failed(&self, error: io::Error) -> LayerError {
        if let Some(name) = self.written
            && !error
                .get_ref()
                .is_some_and(|inner| inner.is::<ArchiveError>())
        {
            return LayerError::Write {
                name: name.to_owned(),
                source: error,
            };
        }
        let source = WheelError::from(ArchiveError::from_read(error));
        LayerError::Wheel {
            filename: self.filename.to_owned(),
            source: Box::new(source),
        }
    }
}

#[cfg(test)]
mod tests;
