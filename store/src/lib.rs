//! Where derivations are realised.
//!
//! A store is a folder laid out as Nix's own chroot store; a real Nix reads it, verifies it and works in it. What enters is
//! written under a temporary name, normalised, hashed, made durable, renamed, and only then registered.
//!
//! | room | what it does |
//! | --- | --- |
//! | [`layout`] | every location below the root |
//! | [`path_infos`] | which paths are valid, what they refer to, what derivations were realised as |
//! | [`Store`] | questions; texts, derivations and trees enter |
//! | [`fetch`] | files from mirrors, verified |
//! | [`build`] | what a builder is, and what it is given |
//! | [`build::foreign`] | programs that are none of ours, run in a sandbox |
//! | [`realise`] | decides what to make, and makes it; makes it again, and compares |
//! | [`compare`] | how two trees differ, file by file |
//! | [`VerifyReport`] | compares what is registered with what is there |
//! | [`events`] | what all of them tell while they work |
//!
//! The store knows neither Cog nor OCI, and it prints nothing.

mod admit;
pub mod build;
pub mod compare;
mod error;
pub mod events;
pub mod fetch;
mod guard;
pub mod layout;
mod named_roots;
pub mod nar;
pub mod path_infos;
pub mod realise;
mod roots;
mod staging;
mod store;
mod tree;
mod verify;

pub use build::{BuildError, BuildLog, BuildRequest, Builder, Builders};
pub use error::StoreError;
pub use events::{Event, EventSink, Silent};
pub use fetch::{FetchError, FetchOptions, MirrorError, Mirrors};
pub use realise::{ErrorKind, RealiseError, Realised, Realiser, Stats};
pub use store::{Durability, Store, Text};
pub use tokio_util::sync::CancellationToken;
pub use verify::{Problem, VerifyReport};
