//! What the language knows about bytes and numbers, without any value of the language in sight.
//!
//! Regular expressions, versions, the texts of numbers, JSON, XML, hashes. Everything here is a plain function from bytes to
//! bytes, agrees with Nix 2.26 in what it returns and in what it refuses, and works in bounded time and memory whatever
//! it is given. Errors say what is wrong with the text; where the text came from is the caller's knowledge.

mod grisu;
pub(crate) mod hashes;
pub(crate) mod json;
pub(crate) mod numbers;
pub(crate) mod regex;
pub(crate) mod strings;
pub(crate) mod suggest;
pub(crate) mod toml;
pub(crate) mod versions;
pub(crate) mod xml;
