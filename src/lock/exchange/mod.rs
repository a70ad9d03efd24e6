//! Locks of other tools, read and written.
//!
//! ```text
//! pylock.toml, uv.lock, poetry.lock ─ read ─▶ ForeignLock ─ pins for one environment ─▶ Pins ─▶ the resolver
//! Lock ─ the machine's indexes ─▶ pylock.toml
//! ```
//!
//! Another tool's lock is never believed instead of resolving: its versions become pins, its hashes are held against the
//! files that the resolver chose, and what it does not know is chosen freely and named. Only what the format says about
//! wheels of an index is used; groups and extras are not selected. Files that belong to nobody's format are refused.

mod error;
mod pins;
mod places;
mod poetry;
mod pylock;
mod read;
mod uv_lock;
mod write;

#[cfg(test)]
mod tests;

pub use error::ExchangeError;
pub(in crate::lock) use pins::Pins;
pub use pins::{Import, Imported, RequirementPlace};
pub use places::{Places, export};
pub use read::ForeignLock;
pub use write::{Address, pylock};
