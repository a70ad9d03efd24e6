//! The language as others see it: against the answers of a real Nix, against hostile texts, and by its laws.
#![expect(
    clippy::disallowed_methods,
    reason = "the corpora are files and a real Nix is a program; the language itself sees neither"
)]

mod cases;
mod conformance;
mod hostile;
#[cfg(feature = "oracle-tests")]
mod nix;
#[cfg(feature = "oracle-tests")]
mod oracle;
mod ours;
mod properties;
