//! The interpreter: a Debian package among the others, or a standalone archive with a layer of its own.

use cognix_derivations::{Derivation, StorePath, StorePathName};

use super::system_packages::tree_layer;
use super::{Instantiation, RecipeError, fetch};
use crate::lock::platform::PythonVersion;
use crate::lock::{LockedArchive, LockedInterpreter, LockedPlatform};

/// Where a standalone interpreter lies in the image. Not below `/usr/local`, where Cog's images have theirs: other
/// packages put files into its `lib`, `include` and `share`, and Debian's own Python reads its directories there.
const PREFIX: &str = "opt/python";

/// The fetch of a standalone interpreter: the one download that only some machines can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterpreterFetch {
    /// The derivation.
    pub derivation: StorePath,
    /// The derivation that unpacks it.
    pub unpacked: StorePath,
    /// Where the archive is, relative to its package source.
    pub url: String,
    /// The whole version of the interpreter.
    pub version: String,
}

/// The directory of the interpreter in the image.
pub(super) fn home(interpreter: &LockedInterpreter) -> String {
    match interpreter {
        LockedInterpreter::Debian { .. } => "/usr/bin".to_owned(),
        LockedInterpreter::Standalone(_) => format!("/{PREFIX}/bin"),
    }
}

/// Adds fetch, unpacking and layer of a standalone interpreter, and returns the fetch; Debian's is in the layers of its
/// packages.
pub(super) fn layer(
    builder: &mut Instantiation,
    lock: LockedPlatform<'_>,
    python: PythonVersion,
) -> Result<Option<InterpreterFetch>, RecipeError> {
    let LockedInterpreter::Standalone(archive) = lock.interpreter else {
        return Ok(None);
    };
    let (fetch, interpreter) = unpacked(builder, archive, python)?;
    let fetches = vec![fetch.clone()];
    let trees = [(&interpreter, true)];
    tree_layer(builder, lock, "python", "python", "", &trees, fetches)?;
    Ok(Some(InterpreterFetch {
        derivation: fetch,
        unpacked: interpreter,
        url: archive.url(),
        version: archive.version.clone(),
    }))
}

/// Adds fetch and unpacking of a standalone interpreter.
pub(super) fn unpacked(
    builder: &mut Instantiation,
    archive: &LockedArchive,
    python: PythonVersion,
) -> Result<(StorePath, StorePath), RecipeError> {
    let fetch = fetch::fetch(
        builder,
        archive.file_name(),
        &archive.url(),
        archive.sha256,
        archive.size,
    )?;
    let name = StorePathName::sanitized(&format!("python-{}", archive.version));
    let derivation = Derivation::builder(name.as_str())
        .floating_output("out")
        .floating_output("control")
        .system("builtin")
        .builder("builtin:cognix-python-1")
        .env("archive", builder.reference(&fetch, "out"))
        .env("prefix", PREFIX)
        .env("python", python.to_string())
        .input_derivation(&fetch, "out")
        .build();
    let interpreter = builder.add(name.as_str(), derivation)?;
    Ok((fetch, interpreter))
}
