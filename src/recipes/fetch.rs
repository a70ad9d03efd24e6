//! One file from a mirror, verified.
//!
//! The attributes are those of Nix's own `<nix/fetchurl.nix>`, in the same spelling, and `size`: the lock promises it, so
//! a file of another size is refused before all of it has arrived. It is absent where the lock does not know it. A real
//! Nix ignores that attribute.

use cognix_derivations::{ContentAddress, Derivation, Sha256, StorePath, StorePathName};

use super::{Instantiation, RecipeError};

/// The variables that Nix's fetchurl lets through; cognix records them and does not depend on them.
const IMPURE_VARIABLES: &str = "http_proxy https_proxy ftp_proxy all_proxy no_proxy";

/// Adds the fetch of one file. The name is made fit for a store path where it is not.
pub(super) fn fetch(
    builder: &mut Instantiation,
    file_name: &str,
    url: &str,
    sha256: Sha256,
    size: Option<u64>,
) -> Result<StorePath, RecipeError> {
    let content = ContentAddress::Flat(sha256.into());
    add(builder, file_name, url, content, size, "")
}

/// Adds the fetch of a tree of files, which comes as an archive (NAR) that is not compressed. `sha256` and `size` are those
/// of the archive.
pub(super) fn fetch_tree(
    builder: &mut Instantiation,
    name: &str,
    url: &str,
    sha256: Sha256,
    size: u64,
) -> Result<StorePath, RecipeError> {
    let content = ContentAddress::Recursive(sha256.into());
    add(builder, name, url, content, Some(size), "1")
}

fn add(
    builder: &mut Instantiation,
    file_name: &str,
    url: &str,
    content: ContentAddress,
    size: Option<u64>,
    unpack: &str,
) -> Result<StorePath, RecipeError> {
    let name = StorePathName::sanitized(file_name);
    let mut derivation = Derivation::builder(name.as_str())
        .fixed_output(content)
        .system("builtin")
        .builder("builtin:fetchurl")
        .env("executable", "")
        .env("impureEnvVars", IMPURE_VARIABLES)
        .env("preferLocalBuild", "1")
        .env("unpack", unpack)
        .env("url", url)
        .env("urls", url);
    if let Some(size) = size {
        derivation = derivation.env("size", size.to_string());
    }
    let path = builder.add(file_name, derivation.build())?;
    builder.downloads.insert(path.clone(), size.unwrap_or(0));
    Ok(path)
}
