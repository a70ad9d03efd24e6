//! Programs that are none of ours, run in a sandbox.
//!
//! A derivation says in its attribute `sandbox` what the program's root is made of and what becomes of its work; see
//! [`Plan`].

mod plan;

pub use plan::{
    ATTRIBUTE, BUILD_DIRECTORY, Entry, Identity, OutputKind, Plan, PlanError, SecretUse,
};
