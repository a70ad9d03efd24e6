//! A wheel as a layer, without a compressor and without a tree.
//!
//! A wheel is a zip file, and the contents in it are deflate streams; so are the contents of a gzip file. The layer takes
//! them over as they are, between members that hold the tar headers (recipe `gzip-wheel-splice-1`, see
//! [`super::compress::Recipe`]). Describing a layer reads the wheel once: each content is inflated once, and compared
//! with the archive's checksum and the RECORD's digest while it passes through the digest of the tar stream. Making the
//! bytes of a described layer again does not even inflate. Where the files go is the install plan's business. Bytecode,
//! where an image has any, lies among the wheel's files and is compressed as trees are.

mod gzip;
mod inflate;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use cognix_derivations::{Sha256, Sha256Hasher, StorePath};

use self::{
    gzip::{Spliced, Splicer, each_block, each_piece},
    inflate::Inflater,
};
use super::{
    LayerError, LayerRequest,
    compress::{BLOCK, Recipe},
    description::{
        DiffId, Entry, EntryKind, LayerDescription, LayerDigest, LayerSource, TreeSource,
        WheelSource,
    },
    modes::{Mode, Recorded},
    path::ImagePath,
    plan::{Conflict, Problem},
    tar::{self, TarKind},
    timestamp::Timestamp,
    tree::plain_files,
};
use crate::builtins::wheel::{
    ArchiveError, Content, InstallTarget, Method, PlannedFile, WheelArchive, WheelError, plan,
};

/// Small writes are the rule between small files.
const BUFFER: usize = 256 << 10;

/// Describes the layer of one wheel. `locate` says where its file and its bytecode lie.
pub fn describe_wheel(
    request: &LayerRequest<'_>,
    locate: &dyn Fn(&StorePath) -> PathBuf,
    source: WheelSource,
) -> Result<LayerDescription, LayerError> {
    check_recipe(request.recipe)?;
    let wheel = Wheel::open(locate, &source, None, request.time)?;
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
    locate: &dyn Fn(&StorePath) -> PathBuf,
    out: &mut dyn Write,
) -> Result<(LayerDigest, u64), LayerError> {
    check_recipe(description.recipe)?;
    let wheel = Wheel::open(locate, source, Some(&description.name), description.time)?;
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
    /// Where the files of the bytecode lie.
    bytecode: Vec<(ImagePath, PathBuf)>,
}

/// Every path of the layer.
type Nodes<'a> = BTreeMap<ImagePath, Node<'a>>;

/// What lies at a path of the layer.
#[derive(Clone, Copy)]
enum Node<'a> {
    Directory,
    /// As the wheel is installed.
    Planned(&'a PlannedFile),
    /// A file of the bytecode.
    Bytecode(&'a Path),
}

impl<'a> Wheel<'a> {
    fn open(
        locate: &dyn Fn(&StorePath) -> PathBuf,
        source: &'a WheelSource,
        written: Option<&'a str>,
        time: Timestamp,
    ) -> Result<Self, LayerError> {
        let filename = source.filename.as_str();
        let failed = |source: WheelError| LayerError::Wheel {
            filename: filename.to_owned(),
            source: Box::new(source),
        };
        let path = locate(&source.wheel);
        let opened = File::open(&path).map_err(|source| LayerError::Read { path, source })?;
        let archive = WheelArchive::open(opened).map_err(|error| failed(error.into()))?;
        let target = InstallTarget {
            python: (source.python.0, source.python.1),
        };
        let planned = plan(&archive, filename, &target, source.record).map_err(failed)?;
        let bytecode = match &source.bytecode {
            None => Vec::new(),
            Some(out) => {
                let root = locate(out);
                let source = TreeSource {
                    control: None,
                    omit: BTreeSet::new(),
                    out: out.clone(),
                };
                plain_files(source, root, &|| false)?
            }
        };
        Ok(Self {
            filename,
            written,
            time,
            archive,
            planned: planned.files,
            bytecode,
        })
    }

    /// The planned files without those to be left out, and every directory above them.
    fn files(&self, layer: &str, source: &WheelSource) -> Result<Nodes<'_>, LayerError> {
        let mut files = Nodes::new();
        for planned in &self.planned {
            let path =
                ImagePath::parse(planned.path.as_str()).map_err(|source| LayerError::Path {
                    owner: self.filename.to_owned(),
                    source,
                })?;
            files.insert(path, Node::Planned(planned));
        }
        for path in &source.omit {
            if files.remove(path).is_none() {
                return Err(LayerError::Omit {
                    layer: layer.to_owned(),
                    path: path.clone(),
                });
            }
        }
        for (path, file) in &self.bytecode {
            if files.insert(path.clone(), Node::Bytecode(file)).is_some() {
                let conflict = Conflict {
                    path: path.clone(),
                    first: self.filename.to_owned(),
                    second: "its bytecode".to_owned(),
                    problem: Problem::Content,
                };
                return Err(Box::new(conflict).into());
            }
        }
        let directories: Vec<_> = files.keys().flat_map(ImagePath::ancestors).collect();
        for directory in directories {
            files.entry(directory).or_insert(Node::Directory);
        }
        Ok(files)
    }

    /// Drives the tar stream: headers here, contents by `content`.
    fn stream<W: Write>(
        &self,
        files: &Nodes<'_>,
        cancelled: &dyn Fn() -> bool,
        splicer: &mut Splicer<W>,
        mut content: impl FnMut(&mut Splicer<W>, &ImagePath, &PlannedFile) -> Result<(), LayerError>,
    ) -> Result<Vec<Entry>, LayerError> {
        let mut entries = Vec::with_capacity(files.len());
        let mut header = Vec::new();
        for (path, node) in files {
            if cancelled() {
                return Err(LayerError::Cancelled);
            }
            let (size, sha256, executable, bytecode) = match node {
                Node::Directory => {
                    let entry = Entry::directory(path.clone());
                    self.plain(splicer, &mut header, &entry, TarKind::Directory)?;
                    entries.push(entry);
                    continue;
                }
                Node::Planned(planned) => (planned.size, planned.sha256, planned.executable, None),
                Node::Bytecode(file) => {
                    let bytes = fs::read(file).map_err(|source| LayerError::Read {
                        path: (*file).to_owned(),
                        source,
                    })?;
                    (bytes.len() as u64, Sha256::of(&bytes), false, Some(bytes))
                }
            };
            let entry = Entry {
                path: path.clone(),
                kind: EntryKind::File { size, sha256 },
                recorded: Recorded::root(Mode::of_file(executable)),
            };
            self.plain(splicer, &mut header, &entry, TarKind::File(size))?;
            match (node, bytecode) {
                (Node::Planned(planned), _) => content(splicer, path, planned)?,
                (_, bytes) => bytes
                    .unwrap_or_default()
                    .chunks(BLOCK)
                    .try_for_each(|block| splicer.recompressed(block))
                    .map_err(|error| self.failed(error))?,
            }
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
