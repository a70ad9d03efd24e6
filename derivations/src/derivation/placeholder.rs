//! Stand-ins for paths that are not known yet.

use crate::digest::Sha256;
use crate::nixbase32;
use crate::store_path::StorePath;

/// What a derivation writes for the path of its own output: Nix's `builtins.placeholder`.
pub fn placeholder(output: &str) -> String {
    let digest = Sha256::of(format!("nix-output:{output}").as_bytes());
    format!("/{}", nixbase32::encode(digest.as_bytes()))
}

/// What a derivation writes for the path of a floating or deferred output of another one.
///
/// The text depends on the input's `.drv` path and the output's name, so it is the same wherever it stands.
pub fn downstream_placeholder(derivation: &StorePath, output: &str) -> String {
    let name = derivation.name();
    let name = name.strip_suffix(".drv").unwrap_or(name);
    let path_name = if output == "out" {
        name.to_owned()
    } else {
        format!("{name}-{output}")
    };
    let text = format!("nix-upstream-output:{}:{path_name}", derivation.hash_part());
    format!(
        "/{}",
        nixbase32::encode(Sha256::of(text.as_bytes()).as_bytes())
    )
}
