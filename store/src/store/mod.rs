//! The store as others see it: questions, and the three ways in that need no building.
//!
//! A text, a batch of derivations and a tree enter here; what is built or fetched enters through [`crate::realise`]. All of
//! them end at the same gate, so everything is hashed, normal and durable before it is valid.

mod texts;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::time::{SystemTime, UNIX_EPOCH};

use cognix_derivations::{
    ContentAddress, Derivation, HashingWriter, PathInfo, RealisationId, Sha256, StorePath,
    StorePathName, content_addressed_path,
};

use crate::admit::{Admission, Context, Gate, Prepared};
use crate::error::StoreError;
use crate::events::{EventSink, Silent};
use crate::guard::PathLock;
use crate::layout::Layout;
use crate::path_infos::{Database, PathInfos, Registration};
use crate::roots::TemporaryRoots;
use crate::staging::{Staging, sweep};
use crate::tree;

pub use texts::Text;

/// Whether "done" means that it survives a power failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Every path is synced before it is valid.
    #[default]
    Full,
    /// Nothing is synced: for stores that are thrown away, such as those of tests. A crash of the machine may leave valid
    /// paths that are not whole; a crash of the program still cannot.
    None,
}

/// One store. Clones share everything.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    events: Arc<dyn EventSink>,
}

#[derive(Debug)]
struct Shared {
    layout: Layout,
    database: Database,
    gate: Gate,
    roots: TemporaryRoots,
    /// What killed processes have left is removed once, before the first write.
    swept: Once,
}

impl Store {
    /// Opens the store below this root, and creates it if there is none.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        Self::open_with(root, Durability::Full)
    }

    /// Like [`Self::open`], with a choice of durability.
    pub fn open_with(root: &Path, durability: Durability) -> Result<Self, StoreError> {
        let store = Self::open_layout(Layout::new(root), true, durability)?;
        Ok(store.expect("a store is created when there is none"))
    }

    /// Opens the store below this root, if there is one. Nothing is created, and one that cannot be written can be read.
    pub fn open_existing(root: &Path) -> Result<Option<Self>, StoreError> {
        Self::open_layout(Layout::new(root), false, Durability::Full)
    }

    fn open_layout(
        layout: Layout,
        create: bool,
        durability: Durability,
    ) -> Result<Option<Self>, StoreError> {
        let durable = durability == Durability::Full;
        let Some(database) = Database::open(&layout, create, durable)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            shared: Arc::new(Shared {
                roots: TemporaryRoots::new(&layout),
                layout,
                database,
                gate: Gate::new(durable),
                swept: Once::new(),
            }),
            events: Arc::new(Silent),
        }))
    }

    /// The same store, telling its events to somebody.
    #[must_use]
    pub fn with_events(&self, events: Arc<dyn EventSink>) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            events,
        }
    }

    /// The folder that holds everything.
    pub fn root(&self) -> &Path {
        self.shared.layout.root()
    }

    /// All locations of this store.
    pub fn layout(&self) -> &Layout {
        &self.shared.layout
    }

    /// Where the files of a store path really are.
    pub fn real_path(&self, path: &StorePath) -> PathBuf {
        self.shared.layout.real_path(path)
    }

    /// Everything about a path, if it is valid.
    pub fn query(&self, path: &StorePath) -> Result<Option<PathInfo>, StoreError> {
        self.shared.database.query(path)
    }

    /// Whether a path is there, whole, and registered.
    pub fn is_valid(&self, path: &StorePath) -> Result<bool, StoreError> {
        self.shared.database.is_valid(path)
    }

    /// What the output of this identity was realised as, if that is valid.
    pub fn realisation(&self, id: &RealisationId) -> Result<Option<StorePath>, StoreError> {
        self.shared.database.realisation(id)
    }

    /// All valid paths.
    pub fn all_paths(&self) -> Result<BTreeSet<StorePath>, StoreError> {
        self.shared.database.all_paths()
    }

    /// These paths and everything they refer to, directly or not. All of them must be valid.
    pub fn closure(&self, paths: &[StorePath]) -> Result<BTreeSet<StorePath>, StoreError> {
        let closure = self.shared.database.closure(paths)?;
        match paths.iter().find(|path| !closure.contains(path)) {
            None => Ok(closure),
            Some(path) => Err(StoreError::NotValid {
                path: path.clone(),
                root: self.root().to_owned(),
            }),
        }
    }

    /// Reads a derivation that is in the store.
    pub fn read_derivation(&self, path: &StorePath) -> Result<Derivation, StoreError> {
        if !self.is_valid(path)? {
            return Err(StoreError::NotValid {
                path: path.clone(),
                root: self.root().to_owned(),
            });
        }
        let real = self.real_path(path);
        let text = fs::read(&real).map_err(StoreError::io("read", &real))?;
        Ok(Derivation::parse(path.name(), &text)?)
    }

    /// Adds a tree: `write` puts a file, a link or a folder at the path it is given. The path follows from name and content
    /// (recursive SHA-256, no references).
    pub fn import(
        &self,
        name: &StorePathName,
        write: &mut dyn FnMut(&Path) -> io::Result<()>,
    ) -> Result<PathInfo, StoreError> {
        let staging = self.staging()?;
        let staged = staging.path().join("tree");
        write(&staged).map_err(StoreError::io("write", &staged))?;
        self.admit_imported(staging, staged, name, |nar_hash| {
            ContentAddress::Recursive(nar_hash.into())
        })
    }

    /// Adds one file that is not executable. The path follows from name and bytes (flat SHA-256).
    pub fn import_file(
        &self,
        name: &StorePathName,
        contents: &mut dyn io::Read,
    ) -> Result<PathInfo, StoreError> {
        let staging = self.staging()?;
        let staged = staging.path().join("file");
        let mut write = || -> io::Result<Sha256> {
            let mut writer = HashingWriter::new(fs::File::create_new(&staged)?);
            io::copy(contents, &mut writer)?;
            Ok(writer.finish().1)
        };
        let digest = write().map_err(StoreError::io("write", &staged))?;
        self.admit_imported(staging, staged, name, |_| {
            ContentAddress::Flat(digest.into())
        })
    }

    /// Normalises, hashes and registers what was written.
    fn admit_imported(
        &self,
        staging: Staging,
        staged: PathBuf,
        name: &StorePathName,
        address: impl FnOnce(Sha256) -> ContentAddress,
    ) -> Result<PathInfo, StoreError> {
        let scanned = tree::normalise(&staged, &tree::Declared::default())?;
        let ca = address(scanned.nar_hash);
        let info = PathInfo {
            path: content_addressed_path(name, &ca, &BTreeSet::new(), false)?,
            nar_hash: scanned.nar_hash,
            nar_size: scanned.nar_size,
            references: BTreeSet::new(),
            deriver: None,
            ca: Some(ca),
            registration_time: now(),
            ultimate: false,
        };
        let prepared = Prepared {
            registration: Registration {
                info: info.clone(),
                derivation_outputs: BTreeMap::new(),
            },
            staged,
        };
        let admission = Admission {
            paths: vec![prepared],
            realisations: Vec::new(),
        };
        self.admit(staging, admission, &[], &|| false)?;
        self.query(&info.path)
            .map(|registered| registered.unwrap_or(info))
    }

    /// A place to write; the first one of a process also removes what killed ones have left.
    pub(crate) fn staging(&self) -> Result<Staging, StoreError> {
        self.shared.database.check_writable()?;
        self.shared.swept.call_once(|| sweep(&self.shared.layout));
        Staging::new(&self.shared.layout)
    }

    /// See [`Gate::admit`].
    pub(crate) fn admit(
        &self,
        staging: Staging,
        admission: Admission,
        held: &[&PathLock],
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), StoreError> {
        let paths: Vec<&StorePath> = admission
            .paths
            .iter()
            .map(|prepared| &prepared.registration.info.path)
            .collect();
        self.shared.roots.add(&paths)?;
        let context = Context {
            layout: &self.shared.layout,
            database: &self.shared.database,
            events: &*self.events,
            cancelled,
        };
        self.shared.gate.admit(&context, staging, admission, held)
    }

    pub(crate) fn database(&self) -> &Database {
        &self.shared.database
    }

    pub(crate) fn roots(&self) -> &TemporaryRoots {
        &self.shared.roots
    }
}

impl PathInfos for Store {
    fn is_valid(&self, path: &StorePath) -> Result<bool, StoreError> {
        self.shared.database.is_valid(path)
    }

    fn realisation(&self, id: &RealisationId) -> Result<Option<StorePath>, StoreError> {
        self.shared.database.realisation(id)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Store").field(&self.root()).finish()
    }
}

/// The time for a row of the database; nothing else depends on it.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests;
