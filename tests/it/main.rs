//! The program seen from outside.
//!
//! The default tests run it against a small world on loopback. What needs real packages, sandboxes, a container runtime or a
//! real Nix is behind the features `network-tests`, `sandbox-tests`, `container-tests` and `oracle-tests`.

#[cfg(feature = "container-tests")]
mod another_user;
mod architecture;
mod build;
mod config;
#[cfg(all(feature = "oracle-tests", feature = "sandbox-tests"))]
mod debian;
mod eval;
#[cfg(feature = "network-tests")]
mod example;
mod exchange;
mod failures;
mod hardening;
#[cfg(feature = "network-tests")]
mod hello;
mod help;
mod image;
mod inputs;
mod interpreter;
mod layers;
mod nar;
#[cfg(feature = "network-tests")]
mod platforms;
mod project;
#[cfg(all(feature = "network-tests", feature = "sandbox-tests"))]
mod repositories;
#[cfg(all(feature = "network-tests", feature = "sandbox-tests"))]
mod sandbox;
#[cfg(all(feature = "network-tests", feature = "sandbox-tests"))]
mod sdists;
mod spec;
mod steps;
#[cfg(feature = "container-tests")]
mod system;
#[cfg(feature = "network-tests")]
mod unlayered;
mod variants;
#[cfg(feature = "network-tests")]
mod vision;
mod world;
