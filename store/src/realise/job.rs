//! One derivation: downloaded or built, under a lock.
//!
//! The order is always the same: a slot, the lock, another look (somebody may have made it while we waited), the work, the
//! gate. Limits are counted here: builds, downloads on their way, and how many trees are hashed at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use cognix_derivations::{
    ContentAddress, Derivation, DerivationGraph, Output, RealisationId, StorePath,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::enter::{self, Fixed};
use super::plan::{Action, Step};
use super::{Realiser, StepError};
use crate::admit::Admission;
use crate::build::{BuildRequest, Builder, Builders, LogFile};
use crate::error::StoreError;
use crate::events::{Event, EventSink};
use crate::fetch::{FetchRequest, Fetcher};
use crate::guard::{POLL, PathLock};
use crate::staging::Staging;
use crate::store::Store;
use crate::tree::Declared;

/// Open files that are no step's: the database, connections, the program's own.
const OTHER_FILES: u64 = 96;

/// How many open files a build and a download need at most, until their outputs are valid.
const FILES_PER_STEP: (u64, u64) = (4, 3);

/// How many trees may be hashed at once besides builds.
const SCANS: usize = 4;

/// What a step needs to know: the derivation with its inputs put in, and its names.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// The path of the derivation as it stands in its graph.
    pub(super) derivation: StorePath,
    /// Without input derivations.
    pub(super) resolved: Derivation,
    /// By output: the identity before and after resolving.
    pub(super) identities: BTreeMap<String, [RealisationId; 2]>,
    action: Action,
}

/// What a builder has left.
pub(super) struct Built {
    /// Where each output is.
    pub(super) outputs: BTreeMap<String, PathBuf>,
    /// What the outputs may refer to.
    pub(super) known: Declared,
}

/// What came of a job.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) outputs: BTreeMap<String, StorePath>,
    pub(super) how: How,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    Built,
    /// With so many bytes from the network.
    Fetched(u64),
    Cached,
}

impl Job {
    pub(super) fn new(
        graph: &DerivationGraph,
        step: &Step,
        realised: &BTreeMap<(StorePath, String), StorePath>,
    ) -> Result<Self, StepError> {
        let derivation = graph
            .get(&step.derivation)
            .expect("steps are made from the derivations of the graph");
        let resolved = derivation.resolve(realised)?;
        let mut alone = DerivationGraph::new();
        let path = alone.insert(resolved.clone())?;
        let mut identities = BTreeMap::new();
        for output in derivation.outputs().keys() {
            let ids = (
                graph.realisation_id(&step.derivation, output),
                alone.realisation_id(&path, output),
            );
            if let (Some(before), Some(after)) = ids {
                identities.insert(output.clone(), [before, after]);
            }
        }
        Ok(Self {
            derivation: step.derivation.clone(),
            resolved,
            identities,
            action: step.action.clone(),
        })
    }

    /// Where each output lies while it is made, by the path that it has for its builder. Outputs whose paths follow from
    /// their content cannot refer to these.
    pub(super) fn scratch_paths(&self) -> BTreeMap<StorePath, &str> {
        let outputs = self.resolved.outputs().iter();
        let floating = outputs.filter(|(_, output)| output.path().is_none());
        floating
            .filter_map(|(name, _)| Some((self.resolved.scratch_path(name)?, name.as_str())))
            .collect()
    }

    fn name(&self) -> String {
        self.resolved.name().to_owned()
    }

    /// What to lock: the output where its path is known, the derivation where it is not.
    fn lock_path(&self) -> StorePath {
        let known = self.resolved.outputs().values().find_map(Output::path);
        known.cloned().unwrap_or_else(|| self.resolved.path())
    }

    /// Where the outputs are, if all of them are valid.
    fn look(&self, store: &Store) -> Result<Option<BTreeMap<String, StorePath>>, StoreError> {
        let mut found = BTreeMap::new();
        for (name, output) in self.resolved.outputs() {
            let path = match output.path() {
                Some(path) => store.is_valid(path)?.then(|| path.clone()),
                None => match self.identities.get(name) {
                    Some([_, after]) => store.realisation(after)?,
                    None => None,
                },
            };
            match path {
                Some(path) => found.insert(name.clone(), path),
                None => return Ok(None),
            };
        }
        Ok(Some(found))
    }

    /// Realisations under both identities.
    pub(super) fn realisations(
        &self,
        outputs: &BTreeMap<String, StorePath>,
    ) -> Vec<(RealisationId, StorePath)> {
        let mut realisations = Vec::new();
        for (name, path) in outputs {
            for id in self.identities.get(name).into_iter().flatten() {
                let realisation = (id.clone(), path.clone());
                if !realisations.contains(&realisation) {
                    realisations.push(realisation);
                }
            }
        }
        realisations
    }
}

/// What jobs share.
pub(super) struct Workshop {
    store: Store,
    builders: Builders,
    fetcher: Fetcher,
    pub(super) events: Arc<dyn EventSink>,
    stop: CancellationToken,
    builds: Arc<Semaphore>,
    /// Builds under way, those included whose outputs only wait for the disk.
    entries: Arc<Semaphore>,
    /// Downloads that hold a lock and a file; fewer have a connection.
    fetches: Arc<Semaphore>,
    scans: Arc<Semaphore>,
    cores: usize,
}

impl Workshop {
    pub(super) fn new(realiser: &Realiser, stop: CancellationToken) -> Arc<Self> {
        let events = Arc::clone(&realiser.events);
        let (entries, fetches) = limits();
        Arc::new(Self {
            store: realiser.store.with_events(Arc::clone(&events)),
            builders: realiser.builders.clone(),
            fetcher: Fetcher::new(
                realiser.fetch.clone(),
                Arc::clone(&realiser.mirrors),
                Arc::clone(&events),
            ),
            events,
            stop,
            builds: Arc::new(Semaphore::new(realiser.jobs.max(1))),
            entries: Arc::new(Semaphore::new(entries)),
            fetches: Arc::new(Semaphore::new(fetches)),
            scans: Arc::new(Semaphore::new(SCANS)),
            // Here, and not where a rebuild is kept on one of them.
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        })
    }

    /// Makes one derivation. Returns soon after the token says stop; only a builder may take longer.
    pub(super) async fn make(self: Arc<Self>, job: Job) -> Result<Made, StepError> {
        if let Some(outputs) = job.look(&self.store)? {
            return self.known(job, outputs).await;
        }
        match job.action.clone() {
            Action::Fetch { urls, size } => self.fetch(job, urls, size).await,
            Action::Build { builder } => {
                let builder = self.builder(&builder)?;
                self.build(job, builder).await
            }
        }
    }

    /// Who builds what says this.
    pub(super) fn builder(&self, name: &str) -> Result<Arc<dyn Builder>, StepError> {
        let builder = self.builders.get(name).cloned();
        builder.ok_or_else(|| StepError::NoBuilder {
            builder: name.to_owned(),
        })
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Its outputs are there, made under another name; that is remembered.
    async fn known(
        self: Arc<Self>,
        job: Job,
        outputs: BTreeMap<String, StorePath>,
    ) -> Result<Made, StepError> {
        self.events.emit(Event::BuildCached {
            derivation: job.resolved.path(),
            name: job.name(),
        });
        blocking(move || {
            let admission = Admission {
                paths: Vec::new(),
                realisations: job.realisations(&outputs),
            };
            let staging = self.store.staging()?;
            let cancelled = || self.stop.is_cancelled();
            self.store.admit(staging, admission, &[], &cancelled)?;
            let how = How::Cached;
            Ok(Made { outputs, how })
        })
        .await
    }

    async fn build(
        self: Arc<Self>,
        job: Job,
        builder: Arc<dyn Builder>,
    ) -> Result<Made, StepError> {
        let _entry = self.slot(&self.entries).await?;
        let slot = self.slot(&self.builds).await?;
        let lock = self.lock(&job.lock_path()).await?;
        if let Some(outputs) = job.look(&self.store)? {
            return self.known(job, outputs).await;
        }
        let (derivation, name) = (job.resolved.path(), job.name());
        self.events.emit(Event::BuildStarted {
            derivation: derivation.clone(),
            name: name.clone(),
        });
        let started = Instant::now();
        let workshop = Arc::clone(&self);
        let made = blocking(move || workshop.build_here(&job, &*builder, &lock, slot)).await?;
        let elapsed = started.elapsed();
        self.events.emit(Event::BuildDone {
            derivation,
            name,
            elapsed,
        });
        Ok(made)
    }

    fn build_here(
        &self,
        job: &Job,
        builder: &dyn Builder,
        lock: &PathLock,
        slot: OwnedSemaphorePermit,
    ) -> Result<Made, StepError> {
        let staging = self.store.staging()?;
        let built = self.run_builder(job, builder, &staging, false)?;
        let mut entering = enter::Entering::new(&self.store, job, staging)?;
        for (name, staged) in built.outputs {
            entering.output(&name, staged, &built.known)?;
        }
        // Hashing was work too, but waiting for the disk is not.
        drop(slot);
        let outputs = entering.admit(lock, &|| self.stop.is_cancelled())?;
        let how = How::Built;
        Ok(Made { outputs, how })
    }

    /// Lets a builder write into a staging. What it says is kept, unless it only says it again.
    pub(super) fn run_builder(
        &self,
        job: &Job,
        builder: &dyn Builder,
        staging: &Staging,
        is_rebuild: bool,
    ) -> Result<Built, StepError> {
        let resolved = &job.resolved;
        let outputs: BTreeMap<String, PathBuf> = resolved
            .outputs()
            .keys()
            .map(|name| (name.clone(), staging.path().join(format!("output-{name}"))))
            .collect();
        // What a builder may read, and what its outputs may refer to.
        let inputs: Vec<StorePath> = resolved.input_sources().iter().cloned().collect();
        let mut candidates = self.store.closure(&inputs)?;
        let known = resolved.outputs().values().filter_map(Output::path);
        candidates.extend(known.cloned());
        candidates.extend(job.scratch_paths().into_keys());
        let log = LogFile::new(
            &*self.events,
            &job.derivation,
            resolved.name(),
            staging.path().join("log"),
        );
        let result = builder.build(&BuildRequest {
            derivation: resolved,
            store: &self.store,
            outputs: &outputs,
            cancel: &self.stop,
            log: &log,
            is_rebuild,
            cores: self.cores,
        });
        if !is_rebuild {
            log.publish(self.store.layout(), &[resolved.as_path(), &job.derivation]);
        }
        result?;
        if self.stop.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        Ok(Built {
            outputs,
            known: Declared {
                candidates,
                // Builtins pass on what is in packages, and a package may tell of any store.
                only: !resolved.builder_name().starts_with("builtin:"),
            },
        })
    }

    async fn fetch(
        self: Arc<Self>,
        job: Job,
        urls: Vec<String>,
        size: Option<u64>,
    ) -> Result<Made, StepError> {
        let fixed = Fixed::of(&job.resolved)?;
        let _slot = self.slot(&self.fetches).await?;
        let lock = self.lock(&fixed.path).await?;
        if let Some(outputs) = job.look(&self.store)? {
            return self.known(job, outputs).await;
        }
        self.store.database().check_writable()?;
        let place = self.store.layout().download(&fixed.path);
        let folder = self.store.layout().downloads();
        std::fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
        let (derivation, name) = (job.resolved.path(), job.name());
        let expected = match &fixed.ca {
            ContentAddress::Flat(hash) => Some(hash.clone()),
            // An archive that is not compressed has the digest of its tree.
            ContentAddress::Recursive(hash) if fixed.unpack => Some(hash.clone()),
            // The hash of an archive says nothing about the bytes on the way; it is checked afterwards.
            ContentAddress::Recursive(_) | ContentAddress::Text(_) => None,
        };
        let request = FetchRequest {
            derivation: &derivation,
            name: &name,
            urls: &urls,
            expected: expected.as_ref(),
            size,
        };
        let fetched = self.fetcher.fetch(request, &place, &self.stop).await?;
        let scan = self.slot(&self.scans).await?;
        let workshop = Arc::clone(&self);
        let made = blocking(move || {
            let staging = workshop.store.staging()?;
            let mut staged = take_in(&place, &staging, fixed.executable)?;
            if fixed.unpack {
                staged = unpack(&staged, &staging)?;
            }
            let mut entering = enter::Entering::new(&workshop.store, &job, staging)?;
            entering.verified = expected.filter(|_| !fixed.unpack);
            entering.output("out", staged, &Declared::default())?;
            drop(scan);
            let outputs = entering.admit(&lock, &|| workshop.stop.is_cancelled())?;
            let how = How::Fetched(fetched.transferred);
            Ok(Made { outputs, how })
        })
        .await?;
        self.events.emit(Event::FetchDone {
            derivation,
            name,
            bytes: fetched.transferred,
        });
        Ok(made)
    }

    async fn slot(&self, semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, StepError> {
        let permit = Arc::clone(semaphore).acquire_owned();
        match self.stop.run_until_cancelled(permit).await {
            Some(Ok(permit)) => Ok(permit),
            Some(Err(_)) | None => Err(StepError::Cancelled),
        }
    }

    async fn lock(&self, path: &StorePath) -> Result<PathLock, StepError> {
        self.store.roots().add(&[path])?;
        let mut delay = POLL.0;
        let mut told = false;
        loop {
            if let Some(lock) = PathLock::try_acquire(self.store.layout(), path)? {
                return Ok(lock);
            }
            if !told && delay == POLL.1 {
                told = true;
                self.events.emit(Event::WaitingForLock {
                    path: self.store.layout().path_lock(path),
                });
            }
            let slept = self
                .stop
                .run_until_cancelled(tokio::time::sleep(delay))
                .await;
            slept.ok_or(StepError::Cancelled)?;
            delay = (delay * 2).min(POLL.1);
        }
    }
}

/// How many builds and downloads may be under way, so that half of the files that we may open are for each. More of them
/// become valid with one sync when more may wait together.
fn limits() -> (usize, usize) {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let budget = files.current.unwrap_or(u64::MAX).clamp(256, 1024) - OTHER_FILES;
    let share = |files: u64| usize::try_from(budget / 2 / files).unwrap_or(1).max(1);
    (share(FILES_PER_STEP.0), share(FILES_PER_STEP.1))
}

/// Moves a complete download into a staging.
fn take_in(place: &Path, staging: &Staging, executable: bool) -> Result<PathBuf, StoreError> {
    use std::os::unix::fs::PermissionsExt as _;
    let staged = staging.path().join("output-out");
    match std::fs::rename(place, &staged) {
        Ok(()) => {}
        // The store folder is a file system of its own.
        Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
            std::fs::copy(place, &staged).map_err(StoreError::io("copy", place))?;
            std::fs::remove_file(place).map_err(StoreError::io("remove", place))?;
        }
        Err(error) => return Err(StoreError::io("move", place)(error)),
    }
    if executable {
        std::fs::set_permissions(&staged, std::fs::Permissions::from_mode(0o755))
            .map_err(StoreError::io("change the mode of", &staged))?;
    }
    Ok(staged)
}

/// Makes what an archive holds.
fn unpack(archive: &Path, staging: &Staging) -> Result<PathBuf, StepError> {
    let tree = staging.path().join("output-unpacked");
    let file = std::fs::File::open(archive).map_err(StoreError::io("open", archive))?;
    crate::nar::restore(&mut std::io::BufReader::new(file), &tree).map_err(|error| {
        StepError::Unsupported {
            what: format!("a download that is no archive of files: {}", error.source),
        }
    })?;
    std::fs::remove_file(archive).map_err(StoreError::io("remove", archive))?;
    Ok(tree)
}

/// Runs what reads, hashes and writes files where waiting is allowed.
async fn blocking(
    work: impl FnOnce() -> Result<Made, StepError> + Send + 'static,
) -> Result<Made, StepError> {
    spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(if error.is_panic() {
            StepError::Panicked
        } else {
            StepError::Cancelled
        })
    })
}
