//! What a derivation is.
//!
//! Nix's own formats, bit for bit, as plain values: digests and their texts, store paths and how they are computed,
//! derivations and their ATerm, hash modulo, placeholders, realisation ids, the archive format, references. All other
//! packages speak in these types.
//!
//! Nothing here touches the world: no file, no socket, no clock, no environment, no async runtime. Parsing takes bytes,
//! archives take [`std::io::Read`] and [`std::io::Write`], and what comes out depends on what goes in alone.
//! The store directory is always [`STORE_DIR`], whatever folder holds it.
#![forbid(unsafe_code)]

mod closure;
pub mod derivation;
pub mod digest;
pub mod nar;
pub mod nixbase32;
mod path_info;
pub mod references;
pub mod store_path;

pub use closure::{DerivationGraph, GraphError};
pub use derivation::{
    ContentAddressMethod, Derivation, DerivationBuilder, DerivationError, Output, RealisationId,
    downstream_placeholder, placeholder,
};
pub use digest::{
    Blake3, Blake3Hasher, DigestError, HashAlgorithm, HashingReader, HashingWriter, NixHash,
    NixHasher, Sha256, Sha256Hasher,
};
pub use path_info::PathInfo;
pub use store_path::{
    ContentAddress, STORE_DIR, StorePath, StorePathError, StorePathName, content_addressed_path,
};
