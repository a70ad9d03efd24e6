//! The last step of entering: sync, rename, sync, commit.
//!
//! Paths that have been written, normalised and hashed by several threads become valid in groups: whoever finds nobody at
//! work takes all that wait, makes them durable with one sync of the file system, renames them, syncs the store folder once
//! and commits one transaction. So a thousand small paths cost a few syncs, and a path is never valid before it is durable.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cognix_derivations::{ContentAddress, StorePath};
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use crate::error::StoreError;
use crate::events::EventSink;
use crate::guard::PathLock;
use crate::layout::Layout;
use crate::path_infos::{Database, PathInfos as _, Registration, Registrations};
use crate::staging::Staging;
use crate::tree;

/// A path that only has to be moved in.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What to register.
    pub(crate) registration: Registration,
    /// Where it is now: inside the staging.
    pub(crate) staged: PathBuf,
}

impl Prepared {
    fn path(&self) -> &StorePath {
        &self.registration.info.path
    }
}

/// What becomes valid together.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    /// The paths, none of them twice.
    pub(crate) paths: Vec<Prepared>,
    /// See [`Registrations::realisations`].
    pub(crate) realisations: Vec<(cognix_derivations::RealisationId, StorePath)>,
}

/// Lets paths in, in groups.
#[derive(Debug)]
pub(crate) struct Gate {
    waiting: Mutex<Vec<Arc<Ticket>>>,
    at_work: Mutex<()>,
    durable: bool,
}

/// One admission on its way.
#[derive(Debug)]
struct Ticket {
    staging: Arc<Staging>,
    work: Mutex<Work>,
}

#[derive(Debug)]
enum Work {
    Waiting(Vec<Moving>, Registrations),
    /// Somebody is at it.
    Taken,
    Done(Result<(), StoreError>),
}

/// One path between its staging and its place.
#[derive(Debug)]
struct Moving {
    staged: PathBuf,
    place: PathBuf,
    /// Texts are shared without a lock, so they are never moved out again.
    text: bool,
    folder: bool,
}

/// What an admission needs of its store.
pub(crate) struct Context<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) database: &'a Database,
    pub(crate) events: &'a dyn EventSink,
    pub(crate) cancelled: &'a dyn Fn() -> bool,
}

impl Gate {
    pub(crate) fn new(durable: bool) -> Self {
        Self {
            waiting: Mutex::default(),
            at_work: Mutex::default(),
            durable,
        }
    }

    /// Makes paths valid. Returns when they are, durably; paths that are valid already are left as they are.
    ///
    /// `held` are locks that the caller has; the others are taken here, except for texts, see [`settle_text`].
    pub(crate) fn admit(
        &self,
        context: &Context<'_>,
        staging: Staging,
        admission: Admission,
        held: &[&PathLock],
    ) -> Result<(), StoreError> {
        let ours: BTreeSet<&StorePath> = held.iter().map(|lock| lock.path()).collect();
        let wanted: Vec<StorePath> = admission
            .paths
            .iter()
            .filter(|prepared| !is_text(prepared) && !ours.contains(prepared.path()))
            .map(|prepared| prepared.path().clone())
            .collect();
        let _locks = PathLock::acquire_all(
            context.layout,
            &wanted.iter().collect(),
            context.events,
            context.cancelled,
        )?;
        let mut moving = Vec::new();
        let mut registrations = Registrations {
            paths: Vec::new(),
            realisations: admission.realisations,
        };
        let paths = admission.paths.iter().map(Prepared::path).cloned();
        let paths: Vec<StorePath> = paths.collect();
        let valid = context.database.are_valid(paths.iter())?;
        for (number, prepared) in admission.paths.into_iter().enumerate() {
            if valid.contains(prepared.path()) {
                continue;
            }
            let place = context.layout.real_path(prepared.path());
            let text = is_text(&prepared);
            let mut folder = false;
            let mut gone = false;
            if text {
                gone = settle_text(context, &staging, &prepared, &place, number)?;
            } else {
                clear(&staging, &place, number)?;
                folder = fs::symlink_metadata(&prepared.staged)
                    .map_err(StoreError::io("look at", &prepared.staged))?
                    .is_dir();
            }
            if !gone {
                moving.push(Moving {
                    staged: prepared.staged,
                    place,
                    text,
                    folder,
                });
            }
            registrations.paths.push(prepared.registration);
        }
        if registrations.paths.is_empty() && registrations.realisations.is_empty() {
            return Ok(());
        }
        let ticket = Arc::new(Ticket {
            staging: Arc::new(staging),
            work: Mutex::new(Work::Waiting(moving, registrations)),
        });
        lock(&self.waiting).push(Arc::clone(&ticket));
        self.serve(context, &ticket)
    }

    /// Waits for a turn, and then works for all who wait, unless somebody has worked for us meanwhile.
    fn serve(&self, context: &Context<'_>, ticket: &Ticket) -> Result<(), StoreError> {
        let _turn = lock(&self.at_work);
        let group = std::mem::take(&mut *lock(&self.waiting));
        if !group.is_empty() {
            self.let_in(context, &group);
        }
        match std::mem::replace(&mut *lock(&ticket.work), Work::Taken) {
            Work::Done(result) => result,
            Work::Waiting(..) | Work::Taken => Err(StoreError::Io {
                action: "register paths in",
                path: context.layout.database(),
                source: io::Error::other("the thread that did it panicked"),
            }),
        }
    }

    /// Works for a group: everybody in it has a result afterwards.
    fn let_in(&self, context: &Context<'_>, group: &[Arc<Ticket>]) {
        let mut members: Vec<Member<'_>> = group
            .iter()
            .map(|ticket| {
                let work = std::mem::replace(&mut *lock(&ticket.work), Work::Taken);
                let (moving, registrations) = match work {
                    Work::Waiting(moving, registrations) => (moving, registrations),
                    Work::Taken | Work::Done(_) => (Vec::new(), Registrations::default()),
                };
                Member {
                    ticket,
                    moving,
                    moved: 0,
                    registrations,
                    result: Ok(()),
                }
            })
            .collect();
        self.make_durable(&mut members);
        for member in members.iter_mut().filter(|member| member.result.is_ok()) {
            member.result = member.move_in(self.durable);
        }
        if self.durable
            && members.iter().any(|member| member.moved > 0)
            && let Err(error) = sync(context.layout.store_dir())
        {
            fail_all(&mut members, context.layout.store_dir(), &error);
        }
        register(context, &mut members);
        for member in members {
            if member.result.is_err() {
                member.move_out();
            }
            *lock(&member.ticket.work) = Work::Done(member.result);
        }
    }

    /// One sync for all. The oldest staging was open before any of the others was written to, so it hears of every error.
    ///
    /// A file system's sync waits for what every other program has written. So a few small files are synced each by
    /// itself: saving one line of a model must not wait for somebody's compiler.
    fn make_durable(&self, members: &mut [Member<'_>]) {
        let oldest = members
            .iter()
            .filter(|member| !member.moving.is_empty())
            .map(|member| &member.ticket.staging)
            .min_by_key(|staging| staging.age())
            .cloned();
        let Some(oldest) = oldest.filter(|_| self.durable) else {
            return;
        };
        let mut budget = SMALL;
        let mut moving = members.iter().flat_map(|member| &member.moving);
        let few = moving.all(|moving| budget.take(&moving.staged).is_ok_and(|fits| fits));
        let synced = if !few && syncfs_reports_errors() {
            rustix::fs::syncfs(oldest.directory()).map_err(io::Error::from)
        } else {
            members
                .iter()
                .flat_map(|member| &member.moving)
                .try_for_each(|moving| sync_tree(&moving.staged))
        };
        if let Err(error) = synced {
            fail_all(members, oldest.path(), &error);
        }
    }
}

/// One admission while its group is worked for.
struct Member<'a> {
    ticket: &'a Ticket,
    moving: Vec<Moving>,
    /// How many of `moving` are at their place.
    moved: usize,
    registrations: Registrations,
    result: Result<(), StoreError>,
}

impl Member<'_> {
    fn move_in(&mut self, durable: bool) -> Result<(), StoreError> {
        for moving in &self.moving {
            match rename_new(&moving.staged, &moving.place) {
                Ok(()) => {}
                // Only texts are renamed without a lock, and they were compared: somebody has put the same text there.
                Err(Errno::EXIST) if moving.text && same_text(&moving.staged, &moving.place) => {}
                Err(error) => return Err(StoreError::errno("create", &moving.place)(error)),
            }
            self.moved += 1;
            if moving.folder {
                tree::seal(&moving.place, durable)?;
            }
        }
        Ok(())
    }

    /// Back into the staging, which is removed with all it holds. The locks are still held.
    fn move_out(&self) {
        for (number, moving) in self.moving[..self.moved].iter().enumerate() {
            if moving.text {
                continue;
            }
            let _ = clear(
                &self.ticket.staging,
                &moving.place,
                self.moving.len() + number,
            );
        }
    }
}

fn register(context: &Context<'_>, members: &mut [Member<'_>]) {
    let mut fine: Vec<&mut Member<'_>> = members
        .iter_mut()
        .filter(|member| member.result.is_ok())
        .collect();
    let sets: Vec<&Registrations> = fine.iter().map(|member| &member.registrations).collect();
    if sets.is_empty() {
        return;
    }
    match context.database.register(&sets, context.events) {
        Ok(results) => {
            for (member, result) in fine.iter_mut().zip(results) {
                member.result = result;
            }
        }
        Err(error) => {
            // The first one gets the error itself, the others its words.
            let words = error.to_string();
            let mut error = Some(error);
            for member in fine {
                member.result = Err(error.take().unwrap_or_else(|| StoreError::Io {
                    action: "register paths in",
                    path: context.layout.database(),
                    source: io::Error::other(words.clone()),
                }));
            }
        }
    }
}

fn fail_all(members: &mut [Member<'_>], path: &Path, error: &io::Error) {
    for member in members.iter_mut().filter(|member| member.result.is_ok()) {
        member.result = Err(StoreError::NotDurable {
            path: path.to_owned(),
            source: error
                .raw_os_error()
                .map_or_else(|| error.kind().into(), io::Error::from_raw_os_error),
        });
    }
}

/// Texts are small, many and named by their bytes. They need no lock: what is at their place already is compared, and only
/// if it is something else (a torn write of a crashed machine) is it removed, under its lock.
fn settle_text(
    context: &Context<'_>,
    staging: &Staging,
    prepared: &Prepared,
    place: &Path,
    number: usize,
) -> Result<bool, StoreError> {
    if !place.exists() {
        return Ok(false);
    }
    if same_text(&prepared.staged, place) {
        return Ok(true);
    }
    let path = prepared.path();
    let _lock = PathLock::acquire(context.layout, path, context.events, context.cancelled)?;
    if !same_text(&prepared.staged, place) && !context.database.is_valid(path)? {
        clear(staging, place, number)?;
    }
    Ok(false)
}

/// Moves what is at a place, but is not valid, into the staging, to be removed with it.
fn clear(staging: &Staging, place: &Path, number: usize) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt as _;
    match fs::symlink_metadata(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("look at", place)(error)),
        Ok(metadata) if metadata.is_dir() => {
            fs::set_permissions(place, fs::Permissions::from_mode(0o700))
                .map_err(StoreError::io("change the mode of", place))?;
        }
        Ok(_) => {}
    }
    // Outputs have names of their own in a staging; none begins like this.
    let trash = staging.path().join(format!(".trash-{number}"));
    fs::rename(place, trash).map_err(StoreError::io("remove", place))
}

fn is_text(prepared: &Prepared) -> bool {
    matches!(prepared.registration.info.ca, Some(ContentAddress::Text(_)))
}

fn same_text(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let shape = |path: &Path| {
        let metadata = fs::symlink_metadata(path).ok()?;
        metadata
            .is_file()
            .then(|| (metadata.mode(), metadata.mtime(), metadata.len()))
    };
    let text = |path: &Path| fs::read(path).ok();
    shape(one).is_some() && shape(one) == shape(other) && text(one) == text(other)
}

/// Renames without replacing; file systems that cannot do that get a check before, under the lock of the place.
fn rename_new(from: &Path, to: &Path) -> Result<(), Errno> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => match rustix::fs::lstat(to) {
            Err(Errno::NOENT) => rustix::fs::rename(from, to),
            Ok(_) => Err(Errno::EXIST),
            Err(error) => Err(error),
        },
        result => result,
    }
}

/// Since Linux 5.8, syncfs tells of data that could not be written since the descriptor was opened.
fn syncfs_reports_errors() -> bool {
    static ANSWER: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *ANSWER.get_or_init(|| {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut numbers = release.split(|character: char| !character.is_ascii_digit());
        let mut next = || numbers.next().and_then(|text| text.parse::<u32>().ok());
        (next(), next()) >= (Some(5), Some(8))
    })
}

/// How much is synced file by file rather than with the whole file system.
#[derive(Debug, Clone, Copy)]
struct Budget {
    entries: u64,
    bytes: u64,
}

const SMALL: Budget = Budget {
    entries: 32,
    bytes: 4 << 20,
};

impl Budget {
    /// Takes what a tree needs; whether there was enough.
    fn take(&mut self, path: &Path) -> io::Result<bool> {
        let metadata = fs::symlink_metadata(path)?;
        let size = if metadata.is_file() {
            metadata.len()
        } else {
            0
        };
        let left = self
            .entries
            .checked_sub(1)
            .zip(self.bytes.checked_sub(size));
        let Some((entries, bytes)) = left else {
            return Ok(false);
        };
        *self = Self { entries, bytes };
        if metadata.is_dir() {
            for entry in fs::read_dir(path)? {
                if !self.take(&entry?.path())? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

fn sync_tree(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            sync_tree(&entry?.path())?;
        }
    }
    if metadata.is_symlink() {
        return Ok(());
    }
    sync(path)
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A thread that panicked while it worked for others leaves their results unset, which `serve` reports.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
