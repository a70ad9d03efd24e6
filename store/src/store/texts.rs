//! Texts and derivations on their way in: many at once, since a model has a few and a graph has thousands.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::PathBuf;

use cognix_derivations::{
    ContentAddress, Derivation, DerivationGraph, Output, PathInfo, Sha256, StorePath,
    StorePathName, content_addressed_path,
};

use super::{Store, now};
use crate::admit::{Admission, Prepared};
use crate::error::StoreError;
use crate::path_infos::Registration;
use crate::staging::Staging;
use crate::tree;

/// How many threads write texts at most: the file system is what they wait for.
const MAX_THREADS: usize = 4;

/// What a thread is worth starting for.
const MIN_SHARE: usize = 256;

/// A text that is to enter a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The name of its path.
    pub name: StorePathName,
    /// What the file holds.
    pub bytes: Vec<u8>,
    /// What it refers to.
    pub references: BTreeSet<StorePath>,
}

impl Store {
    /// Adds a text. Its path follows from name, bytes and references; what it refers to must be valid.
    pub fn add_text(
        &self,
        name: &StorePathName,
        bytes: &[u8],
        references: &BTreeSet<StorePath>,
    ) -> Result<StorePath, StoreError> {
        let text = Text {
            name: name.clone(),
            bytes: bytes.to_owned(),
            references: references.clone(),
        };
        self.add_texts(&[text])
            .map(|mut paths| paths.swap_remove(0))
    }

    /// Adds texts: one sync and one transaction, however many they are. They may refer to each other. The paths are in the
    /// order of the texts.
    pub fn add_texts(&self, texts: &[Text]) -> Result<Vec<StorePath>, StoreError> {
        let mut paths = Vec::with_capacity(texts.len());
        let mut wanted = BTreeMap::new();
        for text in texts {
            let digest = Sha256::of(&text.bytes);
            let ca = ContentAddress::Text(digest);
            let path = content_addressed_path(&text.name, &ca, &text.references, false)?;
            paths.push(path.clone());
            wanted.insert(path, (text, digest));
        }
        self.roots().add(&wanted.keys().collect::<Vec<_>>())?;
        let valid = self.database().are_valid(wanted.keys())?;
        if valid.len() == wanted.len() {
            return Ok(paths);
        }
        let staging = self.staging()?;
        let missing: Vec<_> = wanted
            .iter()
            .filter(|(path, _)| !valid.contains(path))
            .collect();
        let prepared = prepare_all(&staging, &missing, |folder, (path, (text, digest))| {
            let references = text.references.clone();
            prepare_text(folder, (*path).clone(), &text.bytes, *digest, references)
        })?;
        self.enter(staging, prepared)?;
        Ok(paths)
    }

    /// Adds the derivations of a graph that are not there yet: one sync and one transaction, however many they are.
    ///
    /// Where a derivation is valid, so is everything it stands on, and nothing below it is looked at.
    pub fn add_derivations(&self, graph: &DerivationGraph) -> Result<(), StoreError> {
        let mut waiting: BTreeSet<&StorePath> = graph.tops().map(Derivation::as_path).collect();
        let mut missing = BTreeMap::new();
        while !waiting.is_empty() {
            let valid = self.database().are_valid(waiting.iter().copied())?;
            let mut next = BTreeSet::new();
            for path in waiting {
                if let Some(derivation) = graph.get(path).filter(|_| !valid.contains(path)) {
                    next.extend(derivation.input_derivations().keys());
                    missing.insert(path, derivation);
                }
            }
            next.retain(|path| !missing.contains_key(path));
            waiting = next;
        }
        if missing.is_empty() {
            return Ok(());
        }
        let staging = self.staging()?;
        let missing: Vec<&Derivation> = missing.into_values().collect();
        let prepared = prepare_all(&staging, &missing, |folder, derivation| {
            prepare_derivation(folder, derivation)
        })?;
        self.enter(staging, prepared)
    }

    /// Writes a `.drv` into the staging.
    pub(crate) fn prepare_derivation(
        &self,
        staging: &Staging,
        derivation: &Derivation,
    ) -> Result<Prepared, StoreError> {
        prepare_derivation(&Folder::of(staging)?, derivation)
    }

    fn enter(&self, staging: Staging, paths: Vec<Prepared>) -> Result<(), StoreError> {
        let admission = Admission {
            paths,
            realisations: Vec::new(),
        };
        self.admit(staging, admission, &[], &|| false)
    }
}

/// Where texts are written: a folder that is open, and where it is.
struct Folder {
    open: File,
    path: PathBuf,
}

impl Folder {
    fn of(staging: &Staging) -> Result<Self, StoreError> {
        let open = staging.directory().try_clone();
        Ok(Self {
            open: open.map_err(StoreError::io("open", staging.path()))?,
            path: staging.path().to_owned(),
        })
    }

    /// A new folder in the staging.
    fn inside(staging: &Staging, number: usize) -> Result<Self, StoreError> {
        let path = staging.path().join(format!(".texts-{number}"));
        fs::create_dir(&path).map_err(StoreError::io("create", &path))?;
        let open = File::open(&path).map_err(StoreError::io("open", &path))?;
        Ok(Self { open, path })
    }
}

/// Prepares all of them, in their order. Many are shared out among threads, each of which has a folder of its own, because
/// a folder takes one new file at a time.
fn prepare_all<T: Sync>(
    staging: &Staging,
    items: &[T],
    prepare: impl Fn(&Folder, &T) -> Result<Prepared, StoreError> + Sync,
) -> Result<Vec<Prepared>, StoreError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = items
        .len()
        .div_ceil(threads.min(MAX_THREADS))
        .max(MIN_SHARE);
    let prepare_share = |number: usize, items: &[T]| {
        let folder = Folder::inside(staging, number)?;
        let prepared = items.iter().map(|item| prepare(&folder, item));
        prepared.collect::<Result<Vec<_>, _>>()
    };
    let shares: Vec<_> = std::thread::scope(|scope| {
        let prepare_share = &prepare_share;
        let mut shares = items.chunks(share).enumerate();
        let own = shares.next();
        let others: Vec<_> = shares
            .map(|(number, items)| scope.spawn(move || prepare_share(number, items)))
            .collect();
        let own = own.map(|(number, items)| prepare_share(number, items));
        let others = others.into_iter().map(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        own.into_iter().chain(others).collect()
    });
    let mut prepared = Vec::with_capacity(items.len());
    for share in shares {
        prepared.extend(share?);
    }
    Ok(prepared)
}

fn prepare_derivation(folder: &Folder, derivation: &Derivation) -> Result<Prepared, StoreError> {
    let bytes = derivation.to_aterm();
    let references = derivation.references();
    let digest = Sha256::of(&bytes);
    let mut prepared = prepare_text(folder, derivation.path(), &bytes, digest, references)?;
    prepared.registration.derivation_outputs =
        derivation.outputs().iter().filter_map(known_path).collect();
    Ok(prepared)
}

fn prepare_text(
    folder: &Folder,
    path: StorePath,
    bytes: &[u8],
    digest: Sha256,
    references: BTreeSet<StorePath>,
) -> Result<Prepared, StoreError> {
    let staged = folder.path.join(path.as_base_name());
    tree::write_text(&folder.open, &staged, bytes)?;
    let (nar_hash, nar_size) = tree::hash_text(bytes, &staged)?;
    Ok(Prepared {
        registration: Registration {
            info: PathInfo {
                path,
                nar_hash,
                nar_size,
                references,
                deriver: None,
                ca: Some(ContentAddress::Text(digest)),
                registration_time: now(),
                ultimate: false,
            },
            derivation_outputs: BTreeMap::new(),
        },
        staged,
    })
}

fn known_path((name, output): (&String, &Output)) -> Option<(String, StorePath)> {
    Some((name.clone(), output.path()?.clone()))
}
