//! The schema of the database: Nix's, version 10, with the tables for realisations.
//!
//! The two SQL files hold the statements as Nix itself stores them, so that the dump of a database of ours equals the dump
//! of one of Nix's. Creation happens under one exclusive lock (`big-lock`, as in Nix); what is there is only checked.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use rustix::fs::FlockOperation;

use crate::error::StoreError;
use crate::layout::{LOCK_SUFFIX, Layout, SCHEMA_VERSION, TEMPORARY_PREFIX};

const SCHEMA: &str = include_str!("schema.sql");
const REALISATIONS: &str = include_str!("realisations.sql");

/// The mark that says that the tables for realisations are there.
const REALISATIONS_MARK: &str = "20220326-ca-derivations";

/// What a look at a root shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No store.
    Absent,
    /// The schema file is there and says our version.
    Ready,
    /// A database without a schema file: its creation was cut off, or Nix wrote it, which tolerates that.
    Unmarked,
}

/// Looks at a root without changing it.
pub(super) fn inspect(layout: &Layout) -> Result<State, StoreError> {
    let path = layout.schema();
    let version = match fs::read_to_string(&path) {
        Ok(text) => Some(text.trim().to_owned()),
        Err(error) if is_absent(&error) => None,
        Err(error) => return Err(StoreError::io("read", &path)(error)),
    };
    if let Some(found) = &version
        && *found != SCHEMA_VERSION.to_string()
    {
        return Err(StoreError::Schema {
            path,
            found: found.clone(),
        });
    }
    let database = layout.database();
    match (database.try_exists(), version) {
        (Ok(true), Some(_)) => Ok(State::Ready),
        (Ok(true), None) => Ok(State::Unmarked),
        (Ok(false), _) if holds_paths(layout)? => Err(StoreError::MissingDatabase {
            store: layout.store_dir().to_owned(),
            database,
        }),
        (Ok(false), _) => Ok(State::Absent),
        (Err(error), _) => Err(StoreError::io("look at", &database)(error)),
    }
}

/// Creates what is missing. Two processes that start at the same time both come here; the second one finds it done.
pub(super) fn create(layout: &Layout) -> Result<(), StoreError> {
    for directory in layout.directories() {
        fs::create_dir_all(&directory).map_err(read_only(layout, "create", &directory))?;
    }
    let lock_path = layout.big_lock();
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&lock_path)
        .map_err(read_only(layout, "open", &lock_path))?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive)
        .map_err(StoreError::errno("lock", &lock_path))?;
    inspect(layout)?;
    create_tables(&layout.database()).map_err(|error| super::database::failure(layout, error))?;
    write_version(layout)?;
    for directory in layout.directories() {
        sync_directory(&directory)?;
    }
    Ok(())
}

/// Whether the tables that every store has are there.
pub(super) fn has_paths(connection: &Connection) -> Result<bool, rusqlite::Error> {
    connection.table_exists(None, "ValidPaths")
}

/// Whether the tables for realisations are there; a store of a Nix that does not use them has none.
pub(super) fn has_realisations(connection: &Connection) -> Result<bool, rusqlite::Error> {
    if !connection.table_exists(None, "SchemaMigrations")? {
        return Ok(false);
    }
    connection
        .prepare("SELECT 1 FROM SchemaMigrations WHERE migration = ?1")?
        .exists([REALISATIONS_MARK])
}

fn create_tables(path: &Path) -> Result<(), rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    super::database::configure_writer(&connection)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if !has_paths(&transaction)? {
        transaction.execute_batch(SCHEMA)?;
    }
    if !has_realisations(&transaction)? {
        if !transaction.table_exists(None, "SchemaMigrations")? {
            transaction.execute_batch(
                "CREATE TABLE SchemaMigrations (migration text primary key not null);",
            )?;
        }
        if !transaction.table_exists(None, "Realisations")? {
            transaction.execute_batch(REALISATIONS)?;
        }
        transaction.execute(
            "INSERT INTO SchemaMigrations (migration) VALUES (?1)",
            [REALISATIONS_MARK],
        )?;
    }
    transaction.commit()
}

fn write_version(layout: &Layout) -> Result<(), StoreError> {
    let path = layout.schema();
    if path.exists() {
        return Ok(());
    }
    // Only one process comes here at a time, so one temporary name is enough.
    let temporary = path.with_extension("tmp");
    let write = || -> io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(SCHEMA_VERSION.to_string().as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)
    };
    write().map_err(StoreError::io("write", &path))
}

pub(crate) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(StoreError::io("sync", path))
}

/// Whether the store folder holds anything that a store path could be.
fn holds_paths(layout: &Layout) -> Result<bool, StoreError> {
    let entries = match fs::read_dir(layout.store_dir()) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(false),
        Err(error) => return Err(StoreError::io("list", layout.store_dir())(error)),
    };
    for entry in entries {
        let entry = entry.map_err(StoreError::io("list", layout.store_dir()))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name != ".links" && !name.starts_with(TEMPORARY_PREFIX) && !name.ends_with(LOCK_SUFFIX) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn read_only(
    layout: &Layout,
    action: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> StoreError {
    let (root, path) = (layout.root().to_owned(), path.to_owned());
    move |source| match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StoreError::ReadOnly { root, source }
        }
        _ => StoreError::Io {
            action,
            path,
            source,
        },
    }
}
