//! Bit-reproducible OCI images of Cog models, through Nix-compatible derivations.
//!
//! A model is one value that moves forward through the stages and never goes back:
//!
//! ```text
//! cog.yaml    ─ config::load ──▶ Loaded ────┐
//! cognix.nix  ─ spec::load, spec::variants ─┴─ lock::resolve ─▶ Lock ┐
//! model files ─ store import ──────────────────────────▶ StorePath ─┴─ recipes::instantiate ─▶ DerivationGraph
//!   ─ cognix_store::realise ─▶ outputs, made by builtins and described by layers ─ image::assemble ─▶ Image
//! ```
//!
//! The rooms in reading order: config, spec, mirrors, lock, recipes, builtins, layers, image, container, pipeline, cli. [`pipeline`] is the only one that knows the order, and only [`cli`] prints.

pub mod builtins;
pub mod cli;
pub mod config;
pub mod container;
pub mod image;
pub mod layers;
pub mod lock;
pub mod mirrors;
pub mod pipeline;
pub mod recipes;
pub mod spec;
