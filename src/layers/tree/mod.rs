//! Trees of the store as one layer.
//!
//! The trees are read without their contents first and merged as data ([`merge`]); then the tar stream is written once,
//! through the digests and the compressor, reading each file when its turn comes. Making the bytes of a described layer
//! again goes the same way. Modes and owners come from the records beside the trees; see [`super::modes`].

mod merge;
mod scan;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use cognix_derivations::{HashingWriter, Sha256, Sha256Hasher, StorePath};

use self::{
    merge::{Merged, Omitted, Owned, Tree},
    scan::{Found, FoundKind},
};
use super::{
    LayerError, LayerRequest,
    compress::{BlockCompressor, Recipe},
    description::{
        DiffId, Entry, EntryKind, LayerDescription, LayerDigest, LayerSource, TreeSource,
        TreesSource,
    },
    modes::ModesRecord,
    path::ImagePath,
    tar::{self, TarKind},
};

/// How much of a file is in memory at once.
const PIECE: usize = 256 << 10;

/// One tree that goes into a layer.
#[derive(Clone, Debug)]
pub struct TreeInput {
    /// The directory that holds the files.
    pub root: PathBuf,
    /// What the description calls it.
    pub source: TreeSource,
    /// Deviating modes and owners, by path below the tree's root.
    pub modes: Option<ModesRecord>,
    /// The package that it is made of, by which rules name it.
    pub package: Option<String>,
}

/// How trees are put together; the default is at the root, whole, and without rules.
#[derive(Clone, Debug, Default)]
pub struct TreesOptions {
    /// The directory they are put in; none for the root.
    pub prefix: Option<ImagePath>,
    /// Files and links that are left out, whichever tree brings them.
    pub omit: BTreeSet<ImagePath>,
    /// Files and links that belong to one package: every other tree leaves them out, also when that package is in
    /// another layer.
    pub rules: BTreeMap<ImagePath, String>,
}

impl TreeInput {
    /// Reads the modes beside a tree, where it has a control output.
    pub fn load(
        source: TreeSource,
        locate: &dyn Fn(&StorePath) -> PathBuf,
    ) -> Result<Self, LayerError> {
        let root = locate(&source.out);
        let control = source.control.as_ref().map(locate);
        let modes = control
            .map(|control| super::read_modes(&control, source.out.name()))
            .transpose()?;
        Ok(Self {
            root,
            source,
            modes,
            package: None,
        })
    }

    /// The name in messages.
    fn owner(&self) -> &str {
        self.source.out.name()
    }
}

/// Describes the layer of several trees, merged. What trees leave out by a rule stands in the description, so that its
/// bytes are made again without the rules.
pub fn describe_trees(
    request: &LayerRequest<'_>,
    trees: &[TreeInput],
    options: TreesOptions,
) -> Result<LayerDescription, LayerError> {
    let mut source = TreesSource {
        trees: trees.iter().map(|tree| tree.source.clone()).collect(),
        prefix: options.prefix,
        omit: options.omit,
    };
    let layer = TreeLayer {
        request: *request,
        trees,
        source: &source,
        rules: &options.rules,
    };
    let (streamed, _) = layer.stream(io::sink())?;
    for (tree, omitted) in source.trees.iter_mut().zip(&streamed.omitted) {
        tree.omit.clone_from(omitted);
    }
    Ok(LayerDescription {
        name: request.name.to_owned(),
        recipe: request.recipe,
        time: request.time,
        digest: streamed.digest,
        diff_id: streamed.diff_id,
        size: streamed.size,
        uncompressed_size: streamed.uncompressed_size,
        source: LayerSource::Trees(source),
        entries: streamed.entries,
    })
}

/// Makes the bytes again; the caller compares the digest and the size that come back.
pub(super) fn write_trees(
    description: &LayerDescription,
    source: &TreesSource,
    locate: &dyn Fn(&StorePath) -> PathBuf,
    out: &mut dyn Write,
) -> Result<(LayerDigest, u64), LayerError> {
    let trees = load_all(source, locate)?;
    let (streamed, _) = layer_of(description, source, &trees).stream(out)?;
    Ok((streamed.digest, streamed.size))
}

/// Makes the tar stream without compressing it; the caller compares the digest and the size that come back.
pub(super) fn write_trees_tar(
    description: &LayerDescription,
    source: &TreesSource,
    locate: &dyn Fn(&StorePath) -> PathBuf,
    out: &mut dyn Write,
) -> Result<(DiffId, u64), LayerError> {
    let trees = load_all(source, locate)?;
    let mut tar = HashingWriter::new(out);
    layer_of(description, source, &trees).stream_tar(&mut tar)?;
    let (_, diff_id, size) = tar.finish();
    Ok((DiffId(diff_id), size))
}

fn load_all(
    source: &TreesSource,
    locate: &dyn Fn(&StorePath) -> PathBuf,
) -> Result<Vec<TreeInput>, LayerError> {
    let trees = source.trees.iter();
    trees
        .map(|tree| TreeInput::load(tree.clone(), locate))
        .collect()
}

fn layer_of<'a>(
    description: &'a LayerDescription,
    source: &'a TreesSource,
    trees: &'a [TreeInput],
) -> TreeLayer<'a> {
    // Whoever wants to stop lets the writer fail.
    let request = LayerRequest {
        name: &description.name,
        recipe: description.recipe,
        time: description.time,
        cancelled: &|| false,
    };
    TreeLayer {
        request,
        trees,
        source,
        rules: &NO_RULES,
    }
}

static NO_RULES: BTreeMap<ImagePath, String> = BTreeMap::new();

/// What became of a layer.
struct Streamed {
    digest: LayerDigest,
    diff_id: DiffId,
    size: u64,
    uncompressed_size: u64,
    entries: Vec<Entry>,
    omitted: Omitted,
}

struct TreeLayer<'a> {
    request: LayerRequest<'a>,
    trees: &'a [TreeInput],
    source: &'a TreesSource,
    rules: &'a BTreeMap<ImagePath, String>,
}

impl TreeLayer<'_> {
    fn stream<W: Write>(&self, out: W) -> Result<(Streamed, W), LayerError> {
        if self.request.recipe != Recipe::GzipLibdeflate126Level6 {
            let (recipe, expected) = (self.request.recipe, Recipe::FOR_TREES);
            return Err(LayerError::Recipe {
                recipe,
                from: "trees",
                expected,
            });
        }
        let compressor = BlockCompressor::new(HashingWriter::new(out))
            .map_err(|error| self.not_written(error))?;
        let mut layer = HashingWriter::new(compressor);
        let (entries, omitted) = self.stream_tar(&mut layer)?;
        let (compressor, diff_id, uncompressed_size) = layer.finish();
        let out = compressor
            .finish()
            .map_err(|error| self.not_written(error))?;
        let (out, digest, size) = out.finish();
        let (digest, diff_id) = (LayerDigest(digest), DiffId(diff_id));
        Ok((
            Streamed {
                digest,
                diff_id,
                size,
                uncompressed_size,
                entries,
                omitted,
            },
            out,
        ))
    }

    /// Merges the trees and writes the tar stream.
    fn stream_tar(&self, out: &mut impl Write) -> Result<(Vec<Entry>, Omitted), LayerError> {
        let prefix = self.source.prefix.as_ref();
        let scanned = self
            .trees
            .iter()
            .map(|tree| scan::scan(tree, prefix, self.request.cancelled));
        let scanned = scanned.collect::<Result<Vec<_>, _>>()?;
        let owned = self.trees.iter().zip(&scanned).map(|(tree, found)| Owned {
            owner: tree.owner(),
            package: tree.package.as_deref(),
            omit: &tree.source.omit,
            found,
        });
        let owned: Vec<_> = owned.collect();
        let (mut merged, omitted) = merge::merge(&owned, self.rules, &mut same_content)?;
        if let Some(prefix) = prefix {
            merge::add_prefix(&mut merged, prefix)?;
        }
        self.leave_out(&mut merged)?;
        Ok((self.write_entries(&merged, out)?, omitted))
    }

    fn leave_out(&self, merged: &mut Tree<'_>) -> Result<(), LayerError> {
        for path in &self.source.omit {
            if merged.get(path).is_none_or(|entry| entry.leaf().is_none()) {
                return Err(LayerError::Omit {
                    layer: self.request.name.to_owned(),
                    path: path.clone(),
                });
            }
            merged.remove(path);
        }
        Ok(())
    }

    fn write_entries(
        &self,
        merged: &Tree<'_>,
        out: &mut impl Write,
    ) -> Result<Vec<Entry>, LayerError> {
        let mut entries = Vec::with_capacity(merged.len());
        let mut buffer = vec![0; PIECE];
        for (path, entry) in merged {
            if (self.request.cancelled)() {
                return Err(LayerError::Cancelled);
            }
            entries.push(self.write_entry(path, entry, out, &mut buffer)?);
        }
        out.write_all(&tar::END)
            .map_err(|error| self.not_written(error))?;
        Ok(entries)
    }

    fn write_entry(
        &self,
        path: &ImagePath,
        entry: &Merged<'_>,
        out: &mut impl Write,
        buffer: &mut [u8],
    ) -> Result<Entry, LayerError> {
        let recorded = entry.recorded();
        let write_header = |kind: TarKind<'_>, out: &mut dyn Write| {
            let mut header = Vec::new();
            tar::write_header(&mut header, path, recorded, kind, self.request.time);
            out.write_all(&header)
                .map_err(|error| self.not_written(error))
        };
        let kind = match entry.leaf().map(|found| (found, &found.kind)) {
            None | Some((_, FoundKind::Directory)) => {
                write_header(TarKind::Directory, out)?;
                EntryKind::Directory
            }
            Some((_, FoundKind::Symlink { target })) => {
                write_header(TarKind::Symlink(target), out)?;
                EntryKind::Symlink {
                    target: target.clone(),
                }
            }
            Some((found, FoundKind::File { size })) => {
                write_header(TarKind::File(*size), out)?;
                let sha256 = self.write_content(&found.real, *size, out, buffer)?;
                out.write_all(tar::padding(*size))
                    .map_err(|error| self.not_written(error))?;
                EntryKind::File {
                    size: *size,
                    sha256,
                }
            }
        };
        Ok(Entry {
            path: path.clone(),
            kind,
            recorded,
        })
    }

    /// Copies exactly as many bytes as the header has promised.
    fn write_content(
        &self,
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
            if (self.request.cancelled)() {
                return Err(LayerError::Cancelled);
            }
            hasher.update(&buffer[..read]);
            out.write_all(&buffer[..read])
                .map_err(|error| self.not_written(error))?;
        }
    }

    fn not_written(&self, source: io::Error) -> LayerError {
        LayerError::Write {
            name: self.request.name.to_owned(),
            source,
        }
    }
}

/// Compares two files of the same size.
fn same_content(one: &Found, other: &Found) -> Result<bool, LayerError> {
    let open = |path: &Path| File::open(path).map_err(|source| not_read(path, source));
    let (mut first, mut second) = (open(&one.real)?, open(&other.real)?);
    let (mut left, mut right) = (vec![0; PIECE], vec![0; PIECE]);
    loop {
        let read =
            read_some(&mut first, &mut left).map_err(|source| not_read(&one.real, source))?;
        if read == 0 {
            return Ok(true);
        }
        let same = second.read_exact(&mut right[..read]);
        same.map_err(|source| not_read(&other.real, source))?;
        if left[..read] != right[..read] {
            return Ok(false);
        }
    }
}

fn read_some(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

fn not_read(path: &Path, source: io::Error) -> LayerError {
    LayerError::Read {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
