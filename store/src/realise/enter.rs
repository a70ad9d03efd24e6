//! How outputs enter the store: hashed, named, and registered together with what they are outputs of.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use cognix_derivations::{
    ContentAddress, ContentAddressMethod, Derivation, HashAlgorithm, NixHash, NixHasher, Output,
    PathInfo, StorePath, StorePathName, content_addressed_path,
};

use super::StepError;
use super::job::Job;
use crate::admit::{Admission, Prepared};
use crate::error::StoreError;
use crate::guard::PathLock;
use crate::path_infos::Registration;
use crate::staging::Staging;
use crate::store::{Store, now};
use crate::tree::{self, Declared, Scanned};

/// What a download must become.
#[derive(Debug, Clone)]
pub(super) struct Fixed {
    pub(super) ca: ContentAddress,
    pub(super) path: StorePath,
    pub(super) executable: bool,
    /// Whether the file is an archive (NAR), and the output what is in it.
    pub(super) unpack: bool,
}

impl Fixed {
    /// Reads the attributes of Nix's own `builtin:fetchurl`.
    pub(super) fn of(derivation: &Derivation) -> Result<Self, StepError> {
        let unsupported = |what: &str| StepError::Unsupported {
            what: what.to_owned(),
        };
        let (ca, path) = derivation
            .fixed_output()
            .ok_or_else(|| unsupported("downloading without a hash"))?;
        Ok(Self {
            ca: ca.clone(),
            path: path.clone(),
            executable: derivation.env_str("executable") == Some("1"),
            unpack: derivation.env_str("unpack") == Some("1"),
        })
    }
}

/// The outputs of one derivation on their way.
pub(super) struct Entering<'a> {
    store: &'a Store,
    job: &'a Job,
    staging: Staging,
    prepared: Vec<Prepared>,
    outputs: BTreeMap<String, StorePath>,
    /// The digest of the one file that enters, where it was computed while the file arrived.
    pub(super) verified: Option<NixHash>,
}

impl<'a> Entering<'a> {
    /// Takes the staging that the outputs are in. The resolved derivation enters with them: it is their deriver.
    pub(super) fn new(store: &'a Store, job: &'a Job, staging: Staging) -> Result<Self, StepError> {
        let mut prepared = Vec::new();
        if !store.is_valid(job.resolved.as_path())? {
            prepared.push(store.prepare_derivation(&staging, &job.resolved)?);
        }
        Ok(Self {
            store,
            job,
            staging,
            prepared,
            outputs: BTreeMap::new(),
            verified: None,
        })
    }

    /// Normalises, hashes and names one output, and checks it where its content is known.
    pub(super) fn output(
        &mut self,
        name: &str,
        staged: PathBuf,
        known: &Declared,
    ) -> Result<(), StepError> {
        if fs::symlink_metadata(&staged).is_err() {
            return Err(StepError::MissingOutput {
                output: name.to_owned(),
            });
        }
        let scanned = tree::normalise(&staged, known)?;
        check_references(self.job, name, &scanned)?;
        let (path, ca) = self.name(name, &staged, &scanned)?;
        // Outputs of one derivation may be equal; then they are one path.
        if !self.outputs.values().any(|other| *other == path) {
            self.prepared.push(Prepared {
                registration: Registration {
                    info: PathInfo {
                        path: path.clone(),
                        nar_hash: scanned.nar_hash,
                        nar_size: scanned.nar_size,
                        references: scanned.references,
                        deriver: Some(self.job.resolved.path()),
                        ca,
                        registration_time: now(),
                        ultimate: true,
                    },
                    derivation_outputs: BTreeMap::new(),
                },
                staged,
            });
        }
        self.outputs.insert(name.to_owned(), path);
        Ok(())
    }

    /// Makes everything valid. The caller holds the lock of the derivation, or of its one known output.
    pub(super) fn admit(
        self,
        lock: &PathLock,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<BTreeMap<String, StorePath>, StepError> {
        let admission = Admission {
            paths: self.prepared,
            realisations: self.job.realisations(&self.outputs),
        };
        self.store
            .admit(self.staging, admission, &[lock], cancelled)?;
        Ok(self.outputs)
    }

    /// Where an output goes, and what it goes there for.
    fn name(
        &self,
        name: &str,
        staged: &Path,
        scanned: &Scanned,
    ) -> Result<(StorePath, Option<ContentAddress>), StepError> {
        let derivation = &self.job.resolved;
        match &derivation.outputs()[name] {
            Output::InputAddressed(path) => Ok((path.clone(), None)),
            Output::Fixed { ca, path } => {
                if self.verified.as_ref() == Some(&ca.hash()) {
                    check_plain(staged)?;
                } else {
                    check_fixed(ca, staged, scanned)?;
                }
                Ok((path.clone(), Some(ca.clone())))
            }
            Output::Floating { method, algorithm } => {
                let ca = address(*method, *algorithm, staged, scanned)?;
                let path_name = match name {
                    "out" => StorePathName::parse(derivation.name()),
                    _ => StorePathName::parse(&format!("{}-{name}", derivation.name())),
                };
                let path_name = path_name.map_err(StoreError::from)?;
                let path = content_addressed_path(&path_name, &ca, &scanned.references, false)
                    .map_err(StoreError::from)?;
                Ok((path, Some(ca)))
            }
            Output::Deferred => Err(StepError::Unsupported {
                what: "an output whose path is not known after resolving".to_owned(),
            }),
        }
    }
}

/// What is addressed by its content cannot say where it lies, and nothing can say where it has something from that nobody
/// declared.
pub(super) fn check_references(
    job: &Job,
    output: &str,
    scanned: &Scanned,
) -> Result<(), StepError> {
    let scratch = job.scratch_paths();
    let mut found = scanned.references.iter();
    if let Some(to) = found.find_map(|path| scratch.get(path)) {
        return Err(StepError::OwnReference {
            output: output.to_owned(),
            to: (*to).to_owned(),
        });
    }
    match scanned.strays.first() {
        None => Ok(()),
        Some(path) => Err(StepError::Undeclared {
            output: output.to_owned(),
            path: path.clone(),
        }),
    }
}

/// A fixed output must have its content and nothing else.
fn check_fixed(ca: &ContentAddress, staged: &Path, scanned: &Scanned) -> Result<(), StepError> {
    if let Some(reference) = scanned.references.first() {
        return Err(StepError::FixedReference {
            reference: reference.clone(),
        });
    }
    let expected = ca.hash();
    let method = match ca {
        ContentAddress::Text(_) => ContentAddressMethod::Text,
        ContentAddress::Flat(_) => ContentAddressMethod::Flat,
        ContentAddress::Recursive(_) => ContentAddressMethod::Recursive,
    };
    let actual = address(method, expected.algorithm(), staged, scanned)?.hash();
    if actual != expected {
        return Err(StepError::Mismatch { expected, actual });
    }
    Ok(())
}

/// The content address of what is staged.
fn address(
    method: ContentAddressMethod,
    algorithm: HashAlgorithm,
    staged: &Path,
    scanned: &Scanned,
) -> Result<ContentAddress, StepError> {
    match (method, algorithm) {
        (ContentAddressMethod::Recursive, HashAlgorithm::Sha256) => {
            Ok(ContentAddress::Recursive(scanned.nar_hash.into()))
        }
        (ContentAddressMethod::Flat, algorithm) => {
            Ok(ContentAddress::Flat(hash_file(staged, algorithm)?))
        }
        (ContentAddressMethod::Text, HashAlgorithm::Sha256) => hash_file(staged, algorithm)?
            .sha256()
            .map(ContentAddress::Text)
            .ok_or_else(|| unsupported_hash(algorithm)),
        (_, algorithm) => Err(unsupported_hash(algorithm)),
    }
}

fn unsupported_hash(algorithm: HashAlgorithm) -> StepError {
    StepError::Unsupported {
        what: format!("an output that is addressed by {algorithm}"),
    }
}

/// Only one file without the executable bit has a flat hash.
fn check_plain(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = fs::symlink_metadata(path).map_err(StoreError::io("look at", path))?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 != 0 {
        return Err(StoreError::Unsupported {
            path: path.to_owned(),
            reason: "its hash is that of one file that is not executable".to_owned(),
        });
    }
    Ok(())
}

/// The digest of one plain file.
fn hash_file(path: &Path, algorithm: HashAlgorithm) -> Result<NixHash, StoreError> {
    check_plain(path)?;
    let mut file = File::open(path).map_err(StoreError::io("open", path))?;
    let mut hasher = NixHasher::new(algorithm);
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = file
            .read(&mut buffer)
            .map_err(StoreError::io("read", path))?;
        if count == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&buffer[..count]);
    }
}
