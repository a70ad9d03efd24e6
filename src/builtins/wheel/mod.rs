//! Wheels: what is in them, what installing one means, and how that becomes a tree.
//!
//! [`WheelArchive`] reads the zip file strictly, [`plan()`] computes the installation as data, [`write_tree`] follows it
//! into a directory; layers follow the same plan without a tree. Everything that a wheel says about itself is held
//! against the rest of what it says: names, versions, the two lists of its files, their sizes, checksums and digests.
//!
//! No code of a wheel is run, no bytecode is compiled (bytecode that a wheel brings is kept), and no ELF file is touched.
//! Whether the wheel suits the interpreter was decided when it was locked.

pub mod archive;
mod builder;
mod editable;
mod entry_points;
mod error;
mod filename;
#[cfg(test)]
pub(crate) mod fixtures;
mod metadata;
mod plan;
mod record;
mod target;
mod tree;

pub use archive::{ArchiveError, Limits, Member, MemberReader, Method, RawReader, WheelArchive};
pub use builder::{BrokenRecord, NAME, WheelBuilder};
pub use editable::EditableBuilder;
pub use entry_points::command_digests;
pub use error::WheelError;
pub use plan::{Content, InstallPlan, PlannedFile, plan};
pub use record::RecordPolicy;
pub use target::{InstallTarget, VENV_PREFIX};
pub use tree::write_tree;

#[cfg(test)]
mod tests;
