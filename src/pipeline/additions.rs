//! What the derivations of a spec need before they are realised: texts and files of the project, put into the store.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Deref;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use cognix_derivations::{StorePath, StorePathName};
use cognix_store::Store;

use super::PipelineError;
use crate::recipes::{Additions, Extra, Instantiated};
use crate::spec::{Derivations, ProjectFiles, StoreText};

/// The derivations of one image, and what has to be in a store before they are realised.
#[derive(Debug)]
pub struct ImageDerivations {
    pub(super) instantiated: Instantiated,
    pub(super) project: PathBuf,
    pub(super) texts: BTreeMap<StorePath, StoreText>,
    pub(super) sources: BTreeMap<StorePath, ProjectFiles>,
}

impl Deref for ImageDerivations {
    type Target = Instantiated;

    fn deref(&self) -> &Instantiated {
        &self.instantiated
    }
}

impl ImageDerivations {
    /// Puts what the derivations refer to into a store.
    pub fn import(&self, store: &Store) -> Result<(), PipelineError> {
        for (path, files) in &self.sources {
            if !store.is_valid(path)? {
                self.import_files(store, path, files)?;
            }
        }
        let mut missing: Vec<_> = self.texts.iter().collect();
        while !missing.is_empty() {
            let before = missing.len();
            let mut waiting = Vec::new();
            for (path, text) in missing {
                // A text comes after those that it names.
                if text.references.iter().any(|named| {
                    named != path && self.texts.contains_key(named) && !is_there(store, named)
                }) {
                    waiting.push((path, text));
                    continue;
                }
                let name = StorePathName::parse(path.name())?;
                store.add_text(&name, &text.bytes, &text.references)?;
            }
            if waiting.len() == before {
                // Two that name each other cannot be: a path follows from what it names.
                return Err(PipelineError::SourceChanged);
            }
            missing = waiting;
        }
        Ok(())
    }

    fn import_files(
        &self,
        store: &Store,
        path: &StorePath,
        files: &ProjectFiles,
    ) -> Result<(), PipelineError> {
        let from = self.project.join(&files.path);
        let name = StorePathName::parse(path.name())?;
        let info = match files.flat {
            true => store.import_file(&name, &mut fs::File::open(&from)?)?,
            false => store.import(&name, &mut |target| copy(&from, target, "", files))?,
        };
        match info.path == *path {
            true => Ok(()),
            false => Err(PipelineError::SourceChanged),
        }
    }
}

fn is_there(store: &Store, path: &StorePath) -> bool {
    store.is_valid(path).unwrap_or(false)
}

/// Copies a file, a link or a folder; `below` is its path below what is imported.
fn copy(from: &Path, to: &Path, below: &str, files: &ProjectFiles) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    if metadata.is_symlink() {
        return symlink(fs::read_link(from)?, to);
    }
    if !metadata.is_dir() {
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        let text = name.to_str().ok_or_else(|| {
            io::Error::other(format!("{} is not UTF-8", from.join(&name).display()))
        })?;
        let below = match below {
            "" => text.to_owned(),
            below => format!("{below}/{text}"),
        };
        if files.kept.as_ref().is_none_or(|kept| kept.contains(&below)) {
            copy(&from.join(&name), &to.join(&name), &below, files)?;
        }
    }
    Ok(())
}

/// What a spec says, in the words of the recipes.
pub(super) fn additions(derivations: &Derivations) -> Additions {
    let extra = derivations.extra_packages.iter().map(|extra| Extra {
        name: extra.name.clone(),
        derivation: extra.derivation.clone(),
        output: extra.output.clone(),
        destination: extra.destination.clone(),
    });
    Additions {
        graph: derivations.graph.clone(),
        extra: extra.collect(),
        replaced: derivations.replaced.clone(),
    }
}
