//! Opens the data file: checks, lock and migrations.

use std::fmt;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::journal::{Journal, StorageError};
use super::wal_match::{self, WithoutWal};

/// SQLite's application_id of a data file: "cred".
const APPLICATION_ID: i32 = 0x6372_6564;
/// Each migrates the schema from the version before it.
const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("schema-4.sql"),
    include_str!("rate_cards.sql"),
    include_str!("chain.sql"),
    include_str!("keys.sql"),
    include_str!("archive.sql"),
];
/// The version after the first of them. Versions 1 and 2 were never released.
const VERSION_FIRST: i64 = 3;
/// The first version whose entries have chains.
const VERSION_OF_CHAINS: i64 = 6;
/// The first version that can have archives.
const VERSION_OF_ARCHIVES: i64 = 8;
/// The tables of archives, where a file has none, for a reader.
const NO_ARCHIVES: &str = "
    CREATE TEMP VIEW archives AS SELECT NULL AS archive_id, NULL AS create_time,
        NULL AS before_time, NULL AS position, NULL AS head, NULL AS seal, NULL AS file,
        NULL AS finished WHERE 0;
    CREATE TEMP VIEW openings AS SELECT NULL AS account_id, NULL AS archive_id, NULL AS position,
        NULL AS entry_id, NULL AS create_time, NULL AS available, NULL AS held,
        NULL AS settings_position, NULL AS previous_chain, NULL AS chain, NULL AS state WHERE 0;
";
/// Files up to this size get a full quick_check at every start.
const CHECKED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long the lock is waited for: a server that ends has it until its last descriptor is
/// closed, and so has a process that it has just forked.
const LOCK_WAIT_MAX: Duration = Duration::from_millis(300);
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(10);
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a data file cannot be used, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenError {
    path: PathBuf,
    problem: String,
    remedy: String,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "data file {}: {}; {}",
            self.path.display(),
            self.problem,
            self.remedy
        )
    }
}

impl std::error::Error for OpenError {}

impl OpenError {
    pub(super) fn new(path: &Path, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    pub(super) fn other(path: &Path, error: &dyn std::error::Error) -> Self {
        Self::new(
            path,
            error.to_string(),
            "see that the directory exists and that this user may write there",
        )
    }

    pub(super) fn damaged(path: &Path, damage: impl fmt::Display) -> Self {
        Self::new(
            path,
            format!("it is damaged ({damage})"),
            "restore it from a backup, or start with another file by --data",
        )
    }

    fn from_sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::new(
                path,
                "it is not a creditd data file",
                "restore it from a backup if it was one, or give --data another path; creditd makes the file where there is none",
            ),
            Some(ErrorCode::DatabaseCorrupt) => Self::damaged(path, error),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::new(
                path,
                "another program is writing to it",
                "end that program, or wait for it, and start again",
            ),
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::read_only(path),
            _ => Self::other(path, error),
        }
    }

    fn read_only(path: &Path) -> Self {
        Self::new(
            path,
            "it cannot be written to",
            "give this user the right to write to the file and its directory, or choose another by --data",
        )
    }
}

/// The file lock that keeps other servers out.
#[derive(Clone)]
pub(super) struct Lock(pub(super) Arc<File>);

/// An open data file.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) lock: Lock,
    path: PathBuf,
}

impl Opened {
    /// One more connection to the same file. It never checkpoints, not even if it is closed
    /// last.
    pub(super) fn another_connection(&self) -> Result<Connection, OpenError> {
        let connect = || {
            let connection = connect(&self.path)?;
            connection.pragma_update(None, "wal_autocheckpoint", 0)?;
            skip_checkpoint_at_close(&connection, true)?;
            Ok(connection)
        };
        connect().map_err(|error| OpenError::from_sqlite(&self.path, &error))
    }
}

/// Opens or creates the file, and migrates it to the newest schema.
pub(super) fn open(path: &Path) -> Result<Opened, OpenError> {
    let is_new = check_path(path)?;
    let lock = lock(path)?;
    let (without_wal, wal_bytes) = (
        wal_match::read_without_wal(path),
        wal_match::wal_bytes(path),
    );
    let connect = || {
        let connection = connect(path)?;
        // The -wal is not yet known to belong to the file.
        skip_checkpoint_at_close(&connection, true)?;
        Ok(connection)
    };
    let mut connection = connect().map_err(|error| OpenError::from_sqlite(path, &error))?;
    prepare(path, &mut connection, (is_new, &without_wal, wal_bytes))?;
    Ok(Opened {
        connection,
        lock,
        path: path.to_owned(),
    })
}

/// Sets whether the connection skips the checkpoint if it is closed last.
pub(super) fn skip_checkpoint_at_close(
    connection: &Connection,
    leave: bool,
) -> rusqlite::Result<()> {
    let option = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(option, leave).map(|_| ())
}

/// Refuses a path that cannot be a data file. Returns whether the file is to be created.
fn check_path(path: &Path) -> Result<bool, OpenError> {
    let directory = directory_of(path);
    if !directory.is_dir() {
        return Err(OpenError::new(
            path,
            format!("there is no directory {}", directory.display()),
            "make the directory first, or give --data another path",
        ));
    }
    let none = || match wal_match::refuse_orphan_wal(path) {
        Ok(()) => Ok(true),
        Err((problem, remedy)) => Err(OpenError::new(path, problem, remedy)),
    };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => none(),
        Err(error) => Err(OpenError::other(path, &error)),
        Ok(metadata) if metadata.is_dir() => Err(OpenError::new(
            path,
            "it is a directory",
            format!(
                "give --data the path of a file, such as {}",
                path.join("creditd.db").display()
            ),
        )),
        Ok(metadata) if !metadata.is_file() => Err(OpenError::new(
            path,
            "it is not a regular file",
            "give --data the path of a file",
        )),
        // Checked here too, since permissions do not stop the superuser.
        Ok(metadata) if metadata.permissions().readonly() => Err(OpenError::read_only(path)),
        Ok(metadata) if metadata.len() == 0 => none(),
        Ok(_) => Ok(false),
    }
}

pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Creates the file if there is none, and locks it. The lock is on the file and not on a path,
/// so that links cannot get around it. It does not conflict with SQLite's locks, which are
/// of another kind, so that other programs can read the file.
fn lock(path: &Path) -> Result<Lock, OpenError> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                OpenError::read_only(path)
            }
            _ => OpenError::other(path, &error),
        })?;
    let asked = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock(Arc::new(file))),
            Err(TryLockError::WouldBlock) if asked.elapsed() < LOCK_WAIT_MAX => {
                std::thread::sleep(LOCK_RETRY_INTERVAL);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::new(
                    path,
                    "another creditd is using it",
                    "stop that server, or give this one a file of its own by --data",
                ));
            }
            Err(TryLockError::Error(error)) => return Err(OpenError::other(path, &error)),
        }
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // It takes effect only on an empty file.
    connection.pragma_update(None, "page_size", 8192)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

/// What identifies a SQLite file.
pub(super) struct Identity {
    application: i64,
    version: i64,
    /// Whether it has no tables.
    pub(super) empty: bool,
}

pub(super) fn identify(connection: &Connection) -> rusqlite::Result<Identity> {
    let number =
        |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let application = number("application_id")?;
    Ok(Identity {
        application,
        version: number("user_version")?,
        empty: application == 0 && tables == 0,
    })
}

impl Identity {
    pub(super) fn is_ours(&self) -> bool {
        self.application == i64::from(APPLICATION_ID)
    }

    /// Why this creditd cannot use the file, and what to do about it.
    fn problem(&self) -> Option<(String, &'static str)> {
        if !self.empty && !self.is_ours() {
            return Some((
                "it is a SQLite file of another program".to_owned(),
                "give --data another path; creditd makes the file where there is none",
            ));
        }
        let version = self.version;
        let newest = version_after(MIGRATIONS.len());
        if version > newest {
            return Some((
                format!("it has version {version}, and this creditd knows versions up to {newest}"),
                "use the newer creditd that wrote it",
            ));
        }
        (!self.empty && version < VERSION_FIRST).then(|| {
            (
                format!("it has version {version}, which no released creditd wrote"),
                "start with another file by --data",
            )
        })
    }
}

/// Refuses a file that this creditd cannot use, with what to do about it.
pub(super) fn check_identity(connection: &Connection) -> Result<(), (String, String)> {
    let identity = identify(connection).map_err(|error| {
        (
            format!("it is not a creditd data file ({error})"),
            "restore it from a backup if it was one, or give --data another path".to_owned(),
        )
    })?;
    match identity.problem() {
        Some((problem, remedy)) => Err((problem, remedy.to_owned())),
        None if identity.empty => Err((
            "it is empty".to_owned(),
            "give --data the path of a data file".to_owned(),
        )),
        None => Ok(()),
    }
}

/// Something of a schema: type, name, table and SQL.
pub(super) type SchemaRow = (String, String, String, Option<String>);

/// The schema that a file of this version has.
pub(super) fn schema_of_version(file: &Connection) -> rusqlite::Result<Vec<SchemaRow>> {
    let version = identify(file)?.version;
    let migrations = version.saturating_sub(version_after(0));
    let empty = Connection::open_in_memory()?;
    for migration in (MIGRATIONS.iter()).take(usize::try_from(migrations).unwrap_or_default()) {
        empty.execute_batch(migration)?;
    }
    let mut statement = empty.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema")?;
    let rows = statement.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    rows.collect()
}

/// Whether the entries of the file are chained.
pub(super) fn has_chains(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(identify(connection)?.version >= VERSION_OF_CHAINS)
}

/// Shows an older file to its reader as if it had been migrated: what reads it changes nothing.
pub(super) fn show_as_newest(connection: &Connection) -> rusqlite::Result<()> {
    let version = identify(connection)?.version;
    if version >= VERSION_OF_ARCHIVES {
        return Ok(());
    }
    connection.pragma_update(None, "query_only", false)?;
    connection.execute_batch(NO_ARCHIVES)?;
    if version >= VERSION_OF_CHAINS {
        return connection.pragma_update(None, "query_only", true);
    }
    let columns = [
        (
            3,
            "NULL AS price_values, NULL AS price_time, NULL AS account",
        ),
        (
            5,
            "NULL AS key_id, NULL AS chain, NULL AS salts, NULL AS erased",
        ),
    ];
    let missing = columns.iter().filter(|(last, _)| version <= *last);
    let missing: Vec<&str> = missing.map(|(_, columns)| *columns).collect();
    // The temporary view comes before the table of that name.
    connection.execute_batch(&format!(
        "CREATE TEMP VIEW entries AS SELECT *, {} FROM main.entries",
        missing.join(", ")
    ))?;
    connection.pragma_update(None, "query_only", true)
}

/// Checks that the file is creditd's, complete and sound, and migrates it.
fn prepare(
    path: &Path,
    connection: &mut Connection,
    (is_new, without_wal, wal_bytes): (bool, &WithoutWal, u64),
) -> Result<(), OpenError> {
    let failed = |error: rusqlite::Error| OpenError::from_sqlite(path, &error);
    if connection.is_readonly("main").map_err(failed)? {
        return Err(OpenError::read_only(path));
    }
    let identity = identify(connection).map_err(failed)?;
    if let Some((problem, remedy)) = identity.problem() {
        return Err(OpenError::new(path, problem, remedy));
    }
    match wal_match::check(connection, without_wal, wal_bytes) {
        Ok(None) => {}
        Ok(Some(warning)) => tracing::warn!("data file {}: {warning}", path.display()),
        Err((problem, remedy)) => return Err(OpenError::new(path, problem, remedy)),
    }
    let (version, empty) = (identity.version, identity.empty);
    let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    if !empty && size <= CHECKED_BYTES_MAX {
        let verdict: String = connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(failed)?;
        if verdict != "ok" {
            let verdict = verdict.split_whitespace().collect::<Vec<_>>().join(" ");
            return Err(OpenError::damaged(path, verdict));
        }
    }
    migrate(path, connection, version)?;
    // This also fails if the file cannot be written.
    let mut key = [0_u8; 16];
    getrandom::fill(&mut key).map_err(|error| OpenError::other(path, &error))?;
    connection
        .execute(
            "INSERT OR IGNORE INTO file VALUES (1, 0, 0, ?1, 0, 0, 0)",
            [key],
        )
        .map_err(failed)?;
    wal_match::set_in_use(connection).map_err(failed)?;
    // Without a sync of its directory a new file can be lost in a crash.
    if is_new {
        File::open(directory_of(path))
            .and_then(|directory| directory.sync_all())
            .map_err(|error| OpenError::other(path, &error))?;
    }
    Ok(())
}

/// The version of a file after so many migrations.
fn version_after(migrations: usize) -> i64 {
    let migrations = i64::try_from(migrations).unwrap_or(i64::MAX);
    VERSION_FIRST.saturating_sub(1).saturating_add(migrations)
}

fn migrate(path: &Path, connection: &mut Connection, version: i64) -> Result<(), OpenError> {
    let failed = |error: rusqlite::Error| OpenError::from_sqlite(path, &error);
    (connection.pragma_update(None, "journal_mode", "WAL")).map_err(failed)?;
    let done = version.saturating_sub(version_after(0));
    let done = usize::try_from(done).unwrap_or_default();
    for (position, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        let version = version_after(position.saturating_add(1));
        let migrated = migrate_to(path, connection, (version, migration));
        if migrated.is_err() && !connection.is_autocommit() {
            connection.execute_batch("ROLLBACK").map_err(failed)?;
        }
        migrated?;
    }
    Ok(())
}

/// Migrates to this version, in a transaction.
fn migrate_to(
    path: &Path,
    connection: &mut Connection,
    (version, migration): (i64, &str),
) -> Result<(), OpenError> {
    let failed = |error: rusqlite::Error| OpenError::from_sqlite(path, &error);
    connection
        .execute_batch("BEGIN IMMEDIATE")
        .map_err(failed)?;
    connection.execute_batch(migration).map_err(failed)?;
    if version == VERSION_OF_CHAINS {
        // A journal has its connection for itself.
        let other = Connection::open_in_memory().map_err(failed)?;
        let journal = Journal::new(std::mem::replace(connection, other));
        let filled = journal.fill_chains();
        *connection = journal.connection;
        filled.map_err(|StorageError(cause)| OpenError::damaged(path, cause))?;
    }
    let finish = || {
        connection.pragma_update(None, "user_version", version)?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.execute_batch("COMMIT")
    };
    finish().map_err(failed)
}
