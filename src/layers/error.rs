//! What can go wrong between the store and a layer.

use std::{io, path::PathBuf};

use super::{
    changes::ChangesError,
    compress::Recipe,
    description::{DescriptionError, DiffId, LayerDigest},
    modes::ModesError,
    path::{ImagePath, InvalidImagePath},
    plan::Conflict,
};
use crate::builtins::wheel::WheelError;

/// Why a layer cannot be described, or its bytes cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The work was called off; nothing of it is of use.
    #[error("cancelled")]
    Cancelled,

    /// Something in the store lies where no image can have it.
    #[error("{owner} cannot be in an image")]
    Path {
        /// The wheel or tree it belongs to.
        owner: String,
        /// What is wrong with the path.
        source: InvalidImagePath,
    },

    /// A name in a tree that JSON cannot hold.
    #[error("{} in {owner} is not UTF-8; rename it, cognix images have UTF-8 names only", path.display())]
    NotUtf8 {
        /// The tree.
        owner: String,
        /// The name, below the tree's root.
        path: PathBuf,
    },

    /// Something that a layer does not carry: a device, a pipe or a socket.
    #[error("{path} in {owner} is {found}, expected a file, a directory or a symbolic link")]
    Kind {
        /// The tree.
        owner: String,
        /// Its path in the image.
        path: String,
        /// What it is.
        found: &'static str,
    },

    /// The wheel is damaged, or does not keep a rule of wheels.
    #[error("wheel {filename} cannot become a layer")]
    Wheel {
        /// The name of the wheel file.
        filename: String,
        /// What is wrong with it.
        source: Box<WheelError>,
    },

    /// A file of the wheel is not the one its RECORD promises: the wheel was changed after it was built.
    #[error(
        "{path} in {filename} does not match RECORD: expected sha256 {expected}, found {found}"
    )]
    Record {
        /// The name of the wheel file.
        filename: String,
        /// The path in the image.
        path: ImagePath,
        /// What RECORD says, in hexadecimal.
        expected: cognix_derivations::Sha256,
        /// What the file has.
        found: cognix_derivations::Sha256,
    },

    /// The list of modes beside a tree cannot be read.
    #[error("modes of {owner} cannot be applied")]
    Modes {
        /// The tree.
        owner: String,
        /// What is wrong with the list.
        source: ModesError,
    },

    /// The list of modes was made for another tree.
    #[error("modes of {owner} name {path}, which is not in it")]
    ModesPath {
        /// The tree.
        owner: String,
        /// The path that is not there.
        path: ImagePath,
    },

    /// What a program left behind is damaged, or no layer can hold it.
    #[error("the changes of {owner} cannot become a layer")]
    Changes {
        /// The output that holds them.
        owner: String,
        /// What is wrong with them.
        source: ChangesError,
    },

    /// What another layer was to bring instead is not here at all, or is a directory, which no layer owns.
    #[error("layer {layer} is to leave out {path}, which is not a file or link in it")]
    Omit {
        /// The layer.
        layer: String,
        /// The path that was to be left out.
        path: ImagePath,
    },

    /// Two owners want one path.
    #[error(transparent)]
    Conflict(#[from] Box<Conflict>),

    /// A link, followed inside the image to find where a directory lies, leads nowhere.
    #[error("{path} leads in a circle or out of the image: its links cannot be followed")]
    Links {
        /// Where the links start.
        path: ImagePath,
    },

    /// The recipe is known, but makes something else.
    #[error("recipe {recipe} cannot make a layer from {from}, expected {expected}")]
    Recipe {
        /// The recipe that was asked for.
        recipe: Recipe,
        /// What it was to make a layer from.
        from: &'static str,
        /// The recipe for that.
        expected: Recipe,
    },

    /// The description is damaged or from a newer cognix.
    #[error(transparent)]
    Description(#[from] DescriptionError),

    /// The bytes that were made are not those that were described: what the layer is made of changed in the store, or
    /// this cognix makes other bytes than the one that described the layer. What was written is of no use.
    #[error(
        "layer {name} came out differently: expected {expected} of {expected_size} bytes, made {found} of {found_size} bytes"
    )]
    Differs {
        /// The layer.
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

    /// The tar stream is not the one that was described: what the layer is made of changed in the store, or this cognix
    /// makes other bytes than the one that described the layer. What was written is of no use.
    #[error(
        "the tar stream of layer {name} came out differently: expected {expected} of {expected_size} bytes, made {found} \
         of {found_size} bytes"
    )]
    TarDiffers {
        /// The layer.
        name: String,
        /// The digest in the description.
        expected: DiffId,
        /// The size in the description.
        expected_size: u64,
        /// The digest of what was made.
        found: DiffId,
        /// The size of what was made.
        found_size: u64,
    },

    /// A file became longer or shorter while it was read. Nobody may write in the store.
    #[error("{} changed while it was read: expected {expected} bytes, found {found}", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its length before.
        expected: u64,
        /// How much was there.
        found: u64,
    },

    /// The store cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },

    /// The place that the bytes go to does not take them: usually a full disk or a broken connection.
    #[error("cannot write layer {name}")]
    Write {
        /// The layer.
        name: String,
        /// What the writer says.
        source: io::Error,
    },
}

impl LayerError {
    /// Whether it is a wheel's RECORD that is wrong, and nothing else: a waiver for the archive settles it.
    pub fn can_be_waived(&self) -> bool {
        match self {
            Self::Wheel { source, .. } => source.can_be_waived(),
            Self::Record { .. } => true,
            _ => false,
        }
    }
}
