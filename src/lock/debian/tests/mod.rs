//! The whole room over made-up archives, signed by a key of the test's own.

#[cfg(feature = "network-tests")]
mod apt;
mod archive;
mod cached;
mod choosing;
mod recommended;
mod several;
mod trust;
