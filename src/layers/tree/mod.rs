//! Trees of the store as one layer.
//!
//! The trees are read without their contents first and merged as data ([`merge`]); then the tar stream is written once
//! ([`super::stream`]). Making the bytes of a described layer again goes the same way. Modes and owners come from the
//! records beside the trees; see [`super::modes`].

mod merge;
pub(super) mod scan;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use cognix_derivations::{HashingWriter, StorePath};

use self::{
    merge::{Merged, Omitted, Owned, Tree},
    scan::{Found, FoundKind},
};
use super::{
    LayerError, LayerRequest,
    description::{
        DiffId, Entry, LayerDescription, LayerDigest, LayerSource, TreeSource, TreesSource,
    },
    modes::ModesRecord,
    path::ImagePath,
    stream::{self, Content, Item, PIECE, Streamed, not_read, read_some},
};

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

/// The files of a tree that holds nothing but files and the directories above them, sorted by path.
pub(super) fn plain_files(
    source: TreeSource,
    root: PathBuf,
    cancelled: &dyn Fn() -> bool,
) -> Result<Vec<(ImagePath, PathBuf)>, LayerError> {
    let tree = TreeInput {
        root,
        source,
        modes: None,
        package: None,
    };
    let mut files = Vec::new();
    for found in scan::scan(&tree, None, cancelled)? {
        match found.kind {
            FoundKind::Directory => {}
            FoundKind::File { .. } => files.push((found.path, found.real)),
            FoundKind::Symlink { .. } => {
                return Err(LayerError::Kind {
                    owner: tree.owner().to_owned(),
                    path: found.path.to_string(),
                    found: "a link",
                });
            }
        }
    }
    Ok(files)
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
    let (streamed, (entries, omitted)) = layer.stream(io::sink())?;
    for (tree, omitted) in source.trees.iter_mut().zip(&omitted) {
        tree.omit.clone_from(omitted);
    }
    Ok(streamed.description(request, LayerSource::Trees(source), entries))
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
    TreeLayer {
        request: LayerRequest::of(description),
        trees,
        source,
        rules: &NO_RULES,
    }
}

static NO_RULES: BTreeMap<ImagePath, String> = BTreeMap::new();

struct TreeLayer<'a> {
    request: LayerRequest<'a>,
    trees: &'a [TreeInput],
    source: &'a TreesSource,
    rules: &'a BTreeMap<ImagePath, String>,
}

impl TreeLayer<'_> {
    /// The entries, and what each tree has left out.
    fn stream(&self, out: impl Write) -> Result<(Streamed, (Vec<Entry>, Omitted)), LayerError> {
        stream::compress(&self.request, "trees", out, |tar| self.stream_tar(tar))
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
        let items = merged.iter().map(|(path, entry)| Item {
            path,
            recorded: entry.recorded(),
            content: content(entry),
        });
        let entries = stream::write_entries(&self.request, items, out)?;
        Ok((entries, omitted))
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
}

fn content<'a>(entry: &Merged<'a>) -> Content<'a> {
    match entry.leaf().map(|found| (found, &found.kind)) {
        None | Some((_, FoundKind::Directory)) => Content::Directory,
        Some((_, FoundKind::Symlink { target })) => Content::Symlink { target },
        Some((found, FoundKind::File { size })) => Content::File {
            size: *size,
            real: &found.real,
        },
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

#[cfg(test)]
mod tests;
