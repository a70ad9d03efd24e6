//! The builder that does what maintainer scripts would have done.
//!
//! Environment: `debs` (a JSON list of the packages' names and store paths), and `leaveOut` where scripts of packages are not
//! run on request (a JSON list of their names).
//! Outputs: `out` (the files) and `control` (modes and notes).

use std::collections::BTreeSet;

use cognix_derivations::StorePath;
use cognix_store::{BuildError, BuildRequest, Builder};
use serde::Deserialize;

use super::{Package, configure};

/// `builtin:cognix-system-1`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemBuilder;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DebReference {
    control: StorePath,
    name: String,
    out: StorePath,
}

impl Builder for SystemBuilder {
    fn name(&self) -> &str {
        super::NAME
    }

    fn build(&self, request: &BuildRequest<'_>) -> Result<(), BuildError> {
        let references: Vec<DebReference> = request.json("debs")?;
        let package = |reference: DebReference| {
            Ok(Package {
                out: request.input(&reference.out)?,
                control: request.input(&reference.control)?,
                name: reference.name,
            })
        };
        let packages = references
            .into_iter()
            .map(package)
            .collect::<Result<Vec<_>, BuildError>>()?;
        let left_out: BTreeSet<String> = match request.derivation.env().contains_key("leaveOut") {
            true => request.json("leaveOut")?,
            false => BTreeSet::new(),
        };
        let cancelled = || request.cancel.is_cancelled();
        let configured = configure(
            packages,
            &left_out,
            request.output("out")?,
            request.output("control")?,
            &cancelled,
        );
        request.check_cancelled()?;
        configured.map(drop).map_err(BuildError::failed)
    }
}
