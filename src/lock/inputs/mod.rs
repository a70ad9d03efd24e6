//! What the inputs of a spec are locked to that are no package sources: files at addresses, files of the project, images
//! of registries, and other names of inputs.
//!
//! Package sources stand in the request of each variant ([`super::InputPin`]), because they decide which packages are
//! chosen. These here are asked once for the whole lock. What the spec pins by itself is recorded as it is; a file
//! without a digest is read once, an image without one is asked of its registry. A path of the project is part of the
//! project, as its source is, so nothing of its contents is recorded.

mod fetch;
mod registry;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use cognix_derivations::Sha256;
use cognix_store::CancellationToken;
use serde::{Deserialize, Serialize};

use super::request::Change;

pub use registry::{ImageReference, ReferenceError};

/// What is locked of inputs, by name.
pub type LockedInputs = BTreeMap<String, LockedInput>;

/// What one input is locked to. Texts are sorted by key in the file, after the type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum LockedInput {
    /// Another name of an input.
    Follows {
        /// The input that is meant.
        name: String,
    },
    /// An image of a registry.
    Oci {
        /// The image as the spec names it.
        reference: String,
        /// The digest of its manifest.
        sha256: Sha256,
    },
    /// A file or folder of the project.
    Path {
        /// Where it is below the project.
        path: String,
    },
    /// A file at an address.
    Url {
        /// The digest of the file.
        sha256: Sha256,
        /// Its size in bytes, where it was read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        /// The address.
        url: String,
    },
}

/// What a spec says about one input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedInput {
    /// Another name of an input.
    Follows {
        /// The input that is meant.
        name: String,
    },
    /// An image of a registry.
    Oci {
        /// The image as the spec names it.
        reference: String,
        /// The digest that its manifest must have.
        sha256: Option<Sha256>,
    },
    /// A file or folder of the project.
    Path {
        /// Where it is below the project.
        path: String,
    },
    /// A file at an address.
    Url {
        /// The address.
        url: String,
        /// The digest that the file must have.
        sha256: Option<Sha256>,
    },
}

/// Why an input cannot be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The address or the registry does not answer as it should.
    #[error("inputs.{name}: cannot read {address}")]
    Unavailable {
        /// The input.
        name: String,
        /// Where it was looked for.
        address: String,
        /// What happened.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing may be asked, and nobody was asked before.
    #[error(
        "inputs.{name} is not locked yet, and the network is switched off; run once without --offline, or write its digest"
    )]
    Offline {
        /// The input.
        name: String,
    },
    /// Not an image of a registry.
    #[error("inputs.{name}.reference")]
    Reference {
        /// The input.
        name: String,
        /// What is wrong.
        source: ReferenceError,
    },
    /// Somebody asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// What locking inputs needs.
pub(super) struct Asking<'a> {
    /// What is there already and holds.
    pub(super) previous: Option<&'a LockedInputs>,
    /// Inputs that are asked for again.
    pub(super) update: &'a BTreeSet<String>,
    /// Whether nothing may be asked.
    pub(super) offline: bool,
    /// Ends the work early.
    pub(super) cancel: &'a CancellationToken,
}

/// Locks inputs; what holds already is kept.
pub(super) async fn lock(
    wanted: &BTreeMap<String, WantedInput>,
    asking: &Asking<'_>,
) -> Result<LockedInputs, InputError> {
    let mut locked = LockedInputs::new();
    for (name, input) in wanted {
        let known = asking.previous.and_then(|previous| previous.get(name));
        let known = known.filter(|known| input.is_answered_by(known));
        let stays = known.filter(|_| !is_updated(wanted, name, asking.update));
        let one = match stays {
            Some(known) => known.clone(),
            None => asking
                .cancel
                .run_until_cancelled(input.lock(name, asking.offline))
                .await
                .ok_or(InputError::Interrupted)??,
        };
        locked.insert(name.clone(), one);
    }
    Ok(locked)
}

/// Whether an input is asked for again, by its own name or by another one.
fn is_updated(
    wanted: &BTreeMap<String, WantedInput>,
    name: &str,
    update: &BTreeSet<String>,
) -> bool {
    let means = |other: &String| match wanted.get(other) {
        Some(WantedInput::Follows { name: target }) => target == name,
        _ => other == name,
    };
    update.iter().any(means)
}

impl WantedInput {
    /// Whether what is locked answers what is wanted.
    fn is_answered_by(&self, locked: &LockedInput) -> bool {
        let same = |wanted: &Option<Sha256>, locked: &Sha256| {
            wanted.is_none_or(|wanted| wanted == *locked)
        };
        match (self, locked) {
            (Self::Follows { name }, LockedInput::Follows { name: known }) => name == known,
            (Self::Path { path }, LockedInput::Path { path: known }) => path == known,
            (
                Self::Oci { reference, sha256 },
                LockedInput::Oci {
                    reference: known,
                    sha256: digest,
                },
            ) => reference == known && same(sha256, digest),
            (
                Self::Url { url, sha256 },
                LockedInput::Url {
                    url: known,
                    sha256: digest,
                    ..
                },
            ) => url == known && same(sha256, digest),
            _ => false,
        }
    }

    async fn lock(&self, name: &str, offline: bool) -> Result<LockedInput, InputError> {
        let ask = || match offline {
            true => Err(InputError::Offline {
                name: name.to_owned(),
            }),
            false => Ok(()),
        };
        Ok(match self.clone() {
            Self::Follows { name } => LockedInput::Follows { name },
            Self::Path { path } => LockedInput::Path { path },
            Self::Url { url, sha256 } => match sha256 {
                Some(sha256) => LockedInput::Url {
                    sha256,
                    size: None,
                    url,
                },
                None => {
                    if !url.starts_with("file:") {
                        ask()?;
                    }
                    let (sha256, size) = fetch::read(name, &url).await?;
                    LockedInput::Url {
                        sha256,
                        size: Some(size),
                        url,
                    }
                }
            },
            Self::Oci { reference, sha256 } => {
                let wrong = |source| InputError::Reference {
                    name: name.to_owned(),
                    source,
                };
                let parsed: ImageReference = reference.parse().map_err(wrong)?;
                let sha256 = match sha256.or(parsed.digest) {
                    Some(sha256) => sha256,
                    None => {
                        ask()?;
                        registry::digest(name, &parsed).await?
                    }
                };
                LockedInput::Oci { reference, sha256 }
            }
        })
    }

    fn describe(&self) -> String {
        let with = |text: &str, sha256: &Option<Sha256>| match sha256 {
            Some(sha256) => format!("{text} ({sha256})"),
            None => text.to_owned(),
        };
        match self {
            Self::Follows { name } => format!("another name of {name}"),
            Self::Oci { reference, sha256 } => with(reference, sha256),
            Self::Path { path } => path.clone(),
            Self::Url { url, sha256 } => with(url, sha256),
        }
    }
}

impl LockedInput {
    /// The digest of the file or the image.
    pub fn sha256(&self) -> Option<Sha256> {
        match self {
            Self::Oci { sha256, .. } | Self::Url { sha256, .. } => Some(*sha256),
            Self::Follows { .. } | Self::Path { .. } => None,
        }
    }

    fn describe(&self, wanted: &WantedInput) -> String {
        // A digest is only worth telling where the spec tells it too.
        let pinned = match wanted {
            WantedInput::Oci { sha256, .. } | WantedInput::Url { sha256, .. } => sha256.is_some(),
            _ => false,
        };
        let known = match self.clone() {
            Self::Follows { name } => WantedInput::Follows { name },
            Self::Path { path } => WantedInput::Path { path },
            Self::Oci { reference, sha256 } => WantedInput::Oci {
                reference,
                sha256: pinned.then_some(sha256),
            },
            Self::Url { url, sha256, .. } => WantedInput::Url {
                url,
                sha256: pinned.then_some(sha256),
            },
        };
        known.describe()
    }
}

/// What differs between what is locked and what is wanted now.
pub(super) fn changes(
    locked: &LockedInputs,
    wanted: &BTreeMap<String, WantedInput>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (name, input) in wanted {
        match locked.get(name) {
            None => changes.push(Change::Added(format!("input {name}"))),
            Some(known) if input.is_answered_by(known) => {}
            Some(known) => changes.push(Change::Changed {
                what: format!("inputs.{name}"),
                from: known.describe(input),
                to: input.describe(),
            }),
        }
    }
    let gone = locked.keys().filter(|name| !wanted.contains_key(*name));
    changes.extend(gone.map(|name| Change::Removed(format!("input {name}"))));
    changes
}
