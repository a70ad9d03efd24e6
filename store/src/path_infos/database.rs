//! The database: SQLite with Nix's tables.
//!
//! Two connections: one that reads and never waits for writers (WAL), one that is opened at the first write. Every write is
//! one immediate transaction, durable when it returns. Values that do not parse are reported as damage, never skipped.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cognix_derivations::{PathInfo, RealisationId, StorePath};
use rusqlite::{
    CachedStatement, Connection, ErrorCode, OpenFlags, OptionalExtension as _, Row, Transaction,
    TransactionBehavior,
};

use super::schema::{self, State};
use super::{PathInfos, Registration, Registrations, realisations};
use crate::error::StoreError;
use crate::events::{Event, EventSink};
use crate::layout::Layout;

/// How long a writer waits for another process before it says so, and then before it gives up.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The database of one store.
#[derive(Debug)]
pub(crate) struct Database {
    layout: Layout,
    reader: Mutex<Connection>,
    /// Opened at the first write.
    writer: Mutex<Option<Connection>>,
    /// Whether the tables for realisations are there. A Nix that does not use them makes none; our first write does.
    realisations: AtomicBool,
    /// Whether nothing can be written.
    read_only: bool,
    /// Whether a commit waits for the disk.
    durable: bool,
}

impl Database {
    /// Opens the database, and creates it with everything around it if there is none and `create` is set.
    pub(crate) fn open(
        layout: &Layout,
        create: bool,
        durable: bool,
    ) -> Result<Option<Self>, StoreError> {
        let state = schema::inspect(layout)?;
        if state == State::Absent && !create {
            return Ok(None);
        }
        let read_only = state != State::Absent && !writable(layout);
        if create && !read_only && state != State::Ready {
            schema::create(layout)?;
        }
        let fail = |error| failure(layout, error);
        let mut reader = open_reader(layout, read_only).map_err(fail)?;
        if !schema::has_paths(&reader).map_err(fail)? {
            return match state {
                // Its creation was cut off, and it is not for us to finish it.
                State::Unmarked => Ok(None),
                _ => Err(damaged(layout, "it has no table of paths".to_owned())),
            };
        }
        let mut realisations = schema::has_realisations(&reader).map_err(fail)?;
        if create && !read_only && !realisations {
            schema::create(layout)?;
            reader = open_reader(layout, read_only).map_err(fail)?;
            realisations = true;
        }
        Ok(Some(Self {
            layout: layout.clone(),
            reader: Mutex::new(reader),
            writer: Mutex::new(None),
            realisations: AtomicBool::new(realisations),
            read_only,
            durable,
        }))
    }

    /// Everything about one path, if it is valid.
    pub(crate) fn query(&self, path: &StorePath) -> Result<Option<PathInfo>, StoreError> {
        let connection = self.reader();
        let mut statement = connection
            .prepare_cached(
                "SELECT path, hash, narSize, deriver, ca, registrationTime, ultimate, id
                 FROM ValidPaths WHERE path = ?1",
            )
            .map_err(self.fail())?;
        let row = statement
            .query_row([path.to_string()], RawInfo::from_row)
            .optional()
            .map_err(self.fail())?;
        row.map(|raw| self.complete(&connection, raw)).transpose()
    }

    /// Which of these paths are valid, all looked at in one moment.
    pub(crate) fn are_valid<'a>(
        &self,
        paths: impl Iterator<Item = &'a StorePath>,
    ) -> Result<BTreeSet<&'a StorePath>, StoreError> {
        let reader = self.reader();
        let valid = || {
            let transaction = reader.unchecked_transaction()?;
            let mut valid = BTreeSet::new();
            let mut statement =
                transaction.prepare_cached("SELECT 1 FROM ValidPaths WHERE path = ?1")?;
            for path in paths {
                if statement.exists([path.to_string()])? {
                    valid.insert(path);
                }
            }
            Ok(valid)
        };
        valid().map_err(self.fail())
    }

    /// Everything about all valid paths, ordered by path.
    pub(crate) fn query_all(&self) -> Result<Vec<PathInfo>, StoreError> {
        let connection = self.reader();
        let mut statement = connection
            .prepare_cached(
                "SELECT path, hash, narSize, deriver, ca, registrationTime, ultimate, id
                 FROM ValidPaths ORDER BY path",
            )
            .map_err(self.fail())?;
        let rows: Vec<RawInfo> = statement
            .query_map([], RawInfo::from_row)
            .and_then(Iterator::collect)
            .map_err(self.fail())?;
        rows.into_iter()
            .map(|raw| self.complete(&connection, raw))
            .collect()
    }

    /// All valid paths, in order.
    pub(crate) fn all_paths(&self) -> Result<BTreeSet<StorePath>, StoreError> {
        self.paths("SELECT path FROM ValidPaths", [])
    }

    /// The valid paths among these, and everything that they refer to, directly or not.
    pub(crate) fn closure(&self, paths: &[StorePath]) -> Result<BTreeSet<StorePath>, StoreError> {
        // Store paths are plain ASCII, so their list is JSON without any escape.
        let list = serde_json::Value::from_iter(paths.iter().map(StorePath::to_string));
        self.paths(
            "WITH RECURSIVE closure(id) AS (
                 SELECT id FROM ValidPaths WHERE path IN (SELECT value FROM json_each(?1))
                 UNION SELECT reference FROM Refs JOIN closure ON referrer = closure.id)
             SELECT path FROM ValidPaths JOIN closure USING (id)",
            [list.to_string()],
        )
    }

    /// What SQLite says about the state of its file; empty when all is well.
    pub(crate) fn integrity_problems(&self) -> Result<Vec<String>, StoreError> {
        let connection = self.reader();
        let mut problems: Vec<String> = connection
            .prepare("PRAGMA integrity_check(100)")
            .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
            .map_err(self.fail())?;
        problems.retain(|problem| problem != "ok");
        let broken: Vec<String> = connection
            .prepare("PRAGMA foreign_key_check")
            .and_then(|mut statement| {
                statement
                    .query_map([], |row| {
                        let (table, id): (String, Option<i64>) = (row.get(0)?, row.get(1)?);
                        Ok(format!("row {} of {table} points nowhere", id.unwrap_or(0)))
                    })?
                    .collect()
            })
            .map_err(self.fail())?;
        problems.extend(broken);
        Ok(problems)
    }

    /// Registers several sets, each of them wholly or not at all, in one transaction. The answers are in the order of the
    /// sets; an error of the whole means that none has been registered.
    pub(crate) fn register(
        &self,
        sets: &[&Registrations],
        events: &dyn EventSink,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let writer = self.writer()?;
        let connection = writer.as_ref().expect("writer() has opened the connection");
        let mut transaction = self.begin(connection, events)?;
        let mut results = Vec::with_capacity(sets.len());
        for set in sets {
            let savepoint = transaction.savepoint().map_err(self.fail())?;
            let result = self.register_set(&savepoint, set);
            if result.is_ok() {
                savepoint.commit().map_err(self.fail())?;
            } else {
                savepoint.finish().map_err(self.fail())?;
            }
            results.push(result);
        }
        transaction.commit().map_err(self.fail())?;
        Ok(results)
    }

    fn register_set<'a>(
        &self,
        connection: &'a Connection,
        set: &'a Registrations,
    ) -> Result<(), StoreError> {
        let mut inserts = Inserts::new(connection).map_err(self.fail())?;
        for registration in &set.paths {
            inserts.path(registration).map_err(self.fail())?;
        }
        for registration in &set.paths {
            for reference in &registration.info.references {
                let path = &registration.info.path;
                if !inserts.reference(path, reference).map_err(self.fail())? {
                    return Err(StoreError::MissingReference {
                        path: path.clone(),
                        reference: reference.clone(),
                    });
                }
            }
        }
        for (id, path) in &set.realisations {
            match realisations::find(connection, id).map_err(self.fail())? {
                None => realisations::insert(connection, id, path).map_err(self.fail())?,
                Some(existing) if existing == path.to_string() => {}
                Some(existing) => {
                    return Err(StoreError::OtherRealisation {
                        id: id.to_string(),
                        existing: self.parse(&existing)?,
                        new: path.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Begins a write. Other processes write for milliseconds; who has to wait longer is told once.
    fn begin<'a>(
        &self,
        connection: &'a Connection,
        events: &dyn EventSink,
    ) -> Result<Transaction<'a>, StoreError> {
        connection.busy_timeout(PATIENCE.0).map_err(self.fail())?;
        let immediate = TransactionBehavior::Immediate;
        match Transaction::new_unchecked(connection, immediate) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                events.emit(Event::WaitingForDatabase {
                    path: self.layout.database(),
                });
                connection.busy_timeout(PATIENCE.1).map_err(self.fail())?;
                Transaction::new_unchecked(connection, immediate)
            }
            result => result,
        }
        .map_err(self.fail())
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        // A thread that panicked while it read has left nothing behind.
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> Result<MutexGuard<'_, Option<Connection>>, StoreError> {
        self.check_writable()?;
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.is_none() {
            if !self.realisations.load(Ordering::Acquire) {
                schema::create(&self.layout)?;
                self.realisations.store(true, Ordering::Release);
            }
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection =
                Connection::open_with_flags(self.layout.database(), flags).map_err(self.fail())?;
            configure_writer(&connection).map_err(self.fail())?;
            if !self.durable {
                connection
                    .pragma_update(None, "synchronous", "off")
                    .map_err(self.fail())?;
            }
            *writer = Some(connection);
        }
        Ok(writer)
    }

    /// An error when nothing can be written, before any work is done in vain.
    pub(crate) fn check_writable(&self) -> Result<(), StoreError> {
        if self.read_only {
            return Err(StoreError::ReadOnly {
                root: self.layout.root().to_owned(),
                source: std::io::ErrorKind::PermissionDenied.into(),
            });
        }
        Ok(())
    }

    fn paths(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<BTreeSet<StorePath>, StoreError> {
        let connection = self.reader();
        let mut statement = connection.prepare_cached(sql).map_err(self.fail())?;
        let texts: Vec<String> = statement
            .query_map(parameters, |row| row.get(0))
            .and_then(Iterator::collect)
            .map_err(self.fail())?;
        texts.iter().map(|text| self.parse(text)).collect()
    }

    fn complete(&self, connection: &Connection, raw: RawInfo) -> Result<PathInfo, StoreError> {
        let references: Vec<String> = connection
            .prepare_cached(
                "SELECT path FROM Refs JOIN ValidPaths ON ValidPaths.id = reference
                 WHERE referrer = ?1",
            )
            .and_then(|mut statement| statement.query_map([raw.id], |row| row.get(0))?.collect())
            .map_err(self.fail())?;
        let damaged = |column: &str, error: &dyn std::fmt::Display| {
            self.damaged(format!("column {column} of {}: {error}", raw.path))
        };
        Ok(PathInfo {
            path: self.parse(&raw.path)?,
            nar_hash: raw.hash.parse().map_err(|error| damaged("hash", &error))?,
            nar_size: raw.nar_size,
            references: references
                .iter()
                .map(|text| self.parse(text))
                .collect::<Result<_, _>>()?,
            deriver: raw.deriver.map(|text| self.parse(&text)).transpose()?,
            ca: raw
                .ca
                .map(|text| text.parse().map_err(|error| damaged("ca", &error)))
                .transpose()?,
            registration_time: raw.registration_time,
            ultimate: raw.ultimate,
        })
    }

    fn parse(&self, text: &str) -> Result<StorePath, StoreError> {
        StorePath::parse(text).map_err(|error| self.damaged(error.to_string()))
    }

    fn damaged(&self, reason: String) -> StoreError {
        damaged(&self.layout, reason)
    }

    fn fail(&self) -> impl Fn(rusqlite::Error) -> StoreError {
        |error| failure(&self.layout, error)
    }
}

impl PathInfos for Database {
    fn is_valid(&self, path: &StorePath) -> Result<bool, StoreError> {
        self.reader()
            .prepare_cached("SELECT 1 FROM ValidPaths WHERE path = ?1")
            .and_then(|mut statement| statement.exists([path.to_string()]))
            .map_err(self.fail())
    }

    fn realisation(&self, id: &RealisationId) -> Result<Option<StorePath>, StoreError> {
        if !self.realisations.load(Ordering::Acquire) {
            return Ok(None);
        }
        realisations::find(&self.reader(), id)
            .map_err(self.fail())?
            .map(|text| self.parse(&text))
            .transpose()
    }
}

/// A row of `ValidPaths` before its texts are parsed.
struct RawInfo {
    path: String,
    hash: String,
    nar_size: u64,
    deriver: Option<String>,
    ca: Option<String>,
    registration_time: u64,
    ultimate: bool,
    id: i64,
}

impl RawInfo {
    fn from_row(row: &Row<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            path: row.get(0)?,
            hash: row.get(1)?,
            nar_size: row.get::<_, Option<i64>>(2)?.unwrap_or(0).unsigned_abs(),
            deriver: row.get(3)?,
            ca: row.get(4)?,
            registration_time: row.get::<_, i64>(5)?.unsigned_abs(),
            ultimate: row.get::<_, Option<bool>>(6)?.unwrap_or(false),
            id: row.get(7)?,
        })
    }
}

/// Inserts what one set holds. Statements are prepared once, and the rows of paths are remembered: a graph has thousands.
struct Inserts<'a> {
    connection: &'a Connection,
    path: CachedStatement<'a>,
    output: CachedStatement<'a>,
    find: CachedStatement<'a>,
    reference: CachedStatement<'a>,
    rows: BTreeMap<&'a StorePath, i64>,
}

impl<'a> Inserts<'a> {
    fn new(connection: &'a Connection) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            connection,
            path: connection.prepare_cached(
                "INSERT INTO ValidPaths (path, hash, registrationTime, deriver, narSize, ultimate, ca)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (path) DO NOTHING",
            )?,
            output: connection.prepare_cached(
                "INSERT OR REPLACE INTO DerivationOutputs (drv, id, path) VALUES (?1, ?2, ?3)",
            )?,
            find: connection.prepare_cached("SELECT id FROM ValidPaths WHERE path = ?1")?,
            reference: connection
                .prepare_cached("INSERT OR IGNORE INTO Refs (referrer, reference) VALUES (?1, ?2)")?,
            rows: BTreeMap::new(),
        })
    }

    /// Inserts a path with its outputs, unless it is there.
    fn path(&mut self, registration: &'a Registration) -> Result<(), rusqlite::Error> {
        let info = &registration.info;
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let inserted = self.path.execute((
            info.path.to_string(),
            format!("sha256:{}", info.nar_hash),
            number(info.registration_time),
            info.deriver.as_ref().map(StorePath::to_string),
            number(info.nar_size),
            info.ultimate.then_some(1),
            info.ca.as_ref().map(ToString::to_string),
        ))?;
        if inserted == 0 {
            return Ok(());
        }
        let row = self.connection.last_insert_rowid();
        self.rows.insert(&info.path, row);
        for (output, path) in &registration.derivation_outputs {
            self.output.execute((row, output, path.to_string()))?;
        }
        Ok(())
    }

    /// Whether both paths are valid, so that the reference could be recorded.
    fn reference(
        &mut self,
        path: &'a StorePath,
        reference: &'a StorePath,
    ) -> Result<bool, rusqlite::Error> {
        let (Some(referrer), Some(reference)) = (self.row(path)?, self.row(reference)?) else {
            return Ok(false);
        };
        self.reference.execute((referrer, reference))?;
        Ok(true)
    }

    fn row(&mut self, path: &'a StorePath) -> Result<Option<i64>, rusqlite::Error> {
        if let Some(row) = self.rows.get(path) {
            return Ok(Some(*row));
        }
        let row = self
            .find
            .query_row([path.to_string()], |row| row.get(0))
            .optional()?;
        self.rows.extend(row.map(|row| (path, row)));
        Ok(row)
    }
}

/// Settings that every writing connection needs; none of them is remembered by the file.
pub(super) fn configure_writer(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(PATIENCE.1)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "synchronous", "full")
}

/// Tells damage from other errors of SQLite.
pub(super) fn failure(layout: &Layout, source: rusqlite::Error) -> StoreError {
    let missing_table = source.to_string().contains("no such table");
    match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            damaged(layout, source.to_string())
        }
        _ if missing_table => damaged(layout, source.to_string()),
        _ => StoreError::Database {
            path: layout.database(),
            source,
        },
    }
}

fn damaged(layout: &Layout, reason: String) -> StoreError {
    StoreError::Damaged {
        path: layout.database(),
        root: layout.root().to_owned(),
        reason,
    }
}

fn open_reader(layout: &Layout, read_only: bool) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let path = layout.database();
    let connection = if read_only && !has_unmerged_log(&path) {
        // SQLite wants to create files beside the database even to read it, unless it may take it as unchanging. Nobody
        // writes to it without leaving a log, so this holds as long as there is none.
        Connection::open_with_flags(uri(&path, "?immutable=1"), flags)?
    } else {
        Connection::open_with_flags(uri(&path, ""), flags)?
    };
    connection.busy_timeout(PATIENCE.1)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

fn has_unmerged_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|metadata| metadata.len() > 0)
}

/// SQLite's form of a file name with options.
fn uri(path: &Path, options: &str) -> std::path::PathBuf {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let mut uri = b"file:".to_vec();
    for &byte in path.as_os_str().as_bytes() {
        if matches!(byte, b'?' | b'#' | b'%') {
            uri.extend(format!("%{byte:02x}").bytes());
        } else {
            uri.push(byte);
        }
    }
    uri.extend(options.bytes());
    std::ffi::OsString::from_vec(uri).into()
}

fn writable(layout: &Layout) -> bool {
    let access = rustix::fs::Access::WRITE_OK;
    rustix::fs::access(layout.database_dir(), access).is_ok()
        && rustix::fs::access(layout.database(), access).is_ok()
        && rustix::fs::access(layout.store_dir(), access).is_ok()
}
