//! What can go wrong between an image and its place on disk.

use std::io;
use std::path::{Path, PathBuf};

use super::Platform;
use crate::layers::LayerError;
use crate::layers::description::{DiffId, LayerDigest};

/// An image could not be written. What was at its destination before is still there.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file or folder of the destination could not be read or made; the source names it.
    #[error("the destination cannot be used")]
    Io(#[from] io::Error),
    /// A file could not be written: a full disk, most often.
    #[error("{path} could not be written", path = .path.display())]
    Write {
        /// The file, by its final name.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Nothing is overwritten that is no layout: it may be anybody's folder.
    #[error("{directory} is not an OCI layout: {reason}; name an empty or a new folder", directory = .directory.display())]
    NotALayout {
        /// The folder that was named.
        directory: PathBuf,
        /// How that shows.
        reason: String,
    },
    /// The index of an existing layout cannot be extended, so nothing was changed.
    #[error("{file} is not the index of an OCI layout: {reason}", file = .file.display())]
    BrokenIndex {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Registries are pushed to.
    #[error("docker://{reference} is a registry: push the image instead of writing it")]
    Registry {
        /// The reference as it was given.
        reference: String,
    },
    /// `docker load` takes one image for each name.
    #[error(
        "{} is for one image, and docker-archive has no place for several platforms; write oci-archive:FILE, or build \
         one platform", .file.display()
    )]
    DockerArchiveOfSeveral {
        /// The archive.
        file: PathBuf,
    },
    /// An engine could not choose between them.
    #[error("two images for {platform} cannot be in one index")]
    PlatformTwice {
        /// The platform of both.
        platform: Platform,
    },
    /// What is before the first `=` is the name, and there must be one.
    #[error("{name:?} cannot be the name of an environment variable")]
    Environment {
        /// The name that was given.
        name: String,
    },
    /// Configuration, manifest and layer descriptions are not of one image: a damaged or foreign store.
    #[error("these are not the parts of one image: {reason}")]
    Parts {
        /// What does not fit.
        reason: String,
    },
    /// The bytes of a layer could not be made.
    #[error("layer {name} could not be made")]
    Layer {
        /// The layer's name.
        name: String,
        /// Why.
        #[source]
        source: Box<LayerError>,
    },
    /// The bytes that were made are not those of the description: what the layer is made of has changed, or the description
    /// is not its own.
    #[error(
        "layer {name} has {found_size} bytes of digest {found}, expected {expected_size} bytes of {expected}"
    )]
    LayerMismatch {
        /// The layer's name.
        name: String,
        /// The digest in the description.
        expected: LayerDigest,
        /// The size in the description.
        expected_size: u64,
        /// The digest of what was made.
        found: LayerDigest,
        /// The size of what was made.
        found_size: u64,
    },
    /// The same for the tar stream of a layer.
    #[error(
        "layer {name} unpacked has {found_size} bytes of diff id {found}, expected {expected_size} bytes of {expected}"
    )]
    DiffIdMismatch {
        /// The layer's name.
        name: String,
        /// The diff id in the description.
        expected: DiffId,
        /// The size of the tar stream in the description.
        expected_size: u64,
        /// The diff id of what was made.
        found: DiffId,
        /// The size of what was made.
        found_size: u64,
    },
}

impl ImageError {
    /// Names the file, for failures that do not.
    pub(super) fn writing(path: &Path) -> impl Fn(io::Error) -> Self {
        |source| Self::Write {
            path: path.to_owned(),
            source,
        }
    }
}
