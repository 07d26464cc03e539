//! Audits a data file: reports everything in which it contradicts its journal.
//!
//! The audit applies the journal's entries to their accounts, one by one, and compares all other
//! tables with the result. It reads the file as it is at one moment, also while a server
//! writes to it, and changes nothing.

mod archives;
mod cards;
mod chain;
mod derived;
mod entries;
mod keys;
mod openings;
mod requests;

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::chain::head::JournalHead;
use super::chain::{BEGINNING, Chain};
use super::journal::{Journal, Position, StorageError};
use super::open::skip_checkpoint_at_close;
use super::wal_match::{self, WithoutWal};
use crate::domain::Credits;
use crate::domain::canonical::CanonicalForm;
use crate::domain::ledger::Account;
use crate::domain::pricing::{Pricing, Usage};
use crate::store::cards::StoredCard;

use self::openings::StoredArchive;

pub use self::archives::{ArchiveProof, audit_with_archives};

/// How many findings are reported as sentences; the others are only counted.
const FINDINGS_MAX: usize = 1_000;

/// The result of an audit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// How many entries there are.
    pub entries: u64,
    /// How many rows of the journal are no entries: extensions of holds and updates of accounts.
    pub other_rows: u64,
    /// How many accounts there are.
    pub accounts: u64,
    /// How many entries were priced again.
    pub priced: u64,
    /// What is wrong, a sentence each, at most 1,000.
    pub findings: Vec<String>,
    /// How many things are wrong.
    pub damage: u64,
    /// Which newest entries may be missing, if that can be known.
    pub warning: Option<String>,
    /// The head of the journal; None in a file from before its entries were chained.
    pub head: Option<JournalHead>,
    /// Rows up to this position are in archives; 0: none are.
    pub archived: i64,
    /// The archives that were audited with it.
    pub proofs: Vec<ArchiveProof>,
}

impl AuditReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.damage == 0
    }

    fn add(&mut self, finding: impl Into<String>) {
        self.damage = self.damage.saturating_add(1);
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding.into());
        }
    }
}

/// Prices usages again by the rate cards of a file.
pub trait Reprice {
    /// Adds a card of the file.
    ///
    /// # Errors
    /// What is wrong with it.
    fn card(&mut self, card: &StoredCard) -> Result<(), String>;

    /// What the usage costs by that revision and those values; None if it has no price there.
    fn price(&self, pricing: &Pricing, usage: &Usage<'_>) -> Option<Credits>;
}

/// An audit in progress.
struct Audit<'a> {
    journal: Journal,
    reprice: &'a mut dyn Reprice,
    progress: &'a mut dyn FnMut(u64, u64),
    report: AuditReport,
    accounts: HashMap<i64, AccountAudit>,
    /// Whether entries are chained, as in files of this version.
    is_chained: bool,
    /// The heads from which the file must go on.
    heads: &'a [JournalHead],
    /// What the rows up to some position must make, in an archive.
    expected: Option<&'a StoredArchive>,
    /// The archives that were made of the file.
    archives: Vec<StoredArchive>,
    /// The seals that the trail names.
    named_seals: Vec<Box<str>>,
    /// Rows up to here are archived, and do not count.
    floor: i64,
    /// The position of the newest row that was read.
    last_position: i64,
    form: CanonicalForm,
}

/// One account, after the entries that were read so far.
struct AccountAudit {
    name: String,
    /// None once an entry did not follow: later ones cannot be checked.
    account: Option<Account>,
    /// The position of its newest entry so far.
    head: Option<Position>,
    /// The position of the newest entry that its row has.
    row_head: Option<Position>,
    row_was_checked: bool,
    /// Whether its first row is an update: then all of its states say when it was opened.
    opened_by_update: bool,
    /// The hash of its newest row so far.
    chain: Chain,
    /// That of its row before.
    previous_chain: Chain,
    /// Its newest update.
    last_update: Option<Position>,
    /// The newest archive that took rows of it; 0: none.
    archive: i64,
    /// Entries since its newest snapshot, as its rows say it.
    steps: u32,
}

/// Audits a file. `progress` gets the number of rows of the journal read and of all rows. With
/// `since` the file must also go on from that head.
///
/// # Errors
/// Why the file cannot be read as a data file of creditd, or has no head to go on from.
pub fn audit(
    path: &Path,
    since: Option<&JournalHead>,
    reprice: &mut dyn Reprice,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<AuditReport, String> {
    audit_with_archives(path, &[], since, reprice, progress)
}

/// What a file must say beside being sound.
#[derive(Clone, Copy, Default)]
struct Expected<'a> {
    heads: &'a [JournalHead],
    cut: Option<&'a StoredArchive>,
}

/// Audits one file.
fn audit_file(
    path: &Path,
    expected: Expected<'_>,
    reprice: &mut dyn Reprice,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<AuditReport, String> {
    let (connection, warning) = open_to_read(path)?;
    let failed = |error| format!("data file {}: {error}", path.display());
    let is_chained = super::open::has_chains(&connection).map_err(failed)?;
    super::open::show_as_newest(&connection).map_err(failed)?;
    if !expected.heads.is_empty() && !is_chained {
        return Err(format!(
            "data file {}: its entries are not chained yet, so it cannot go on from a head; start \"creditd serve\" with it once, which migrates it",
            path.display()
        ));
    }
    let journal = Journal::new(connection);
    let archives = openings::archives(&journal);
    let archives = archives.map_err(|StorageError(cause)| {
        format!(
            "data file {}: its archives cannot be read: {cause}",
            path.display()
        )
    })?;
    let floor = archives.last().map_or(0, |archive| archive.position);
    let mut audit = Audit {
        journal,
        reprice,
        progress,
        report: AuditReport {
            warning,
            archived: floor,
            ..AuditReport::default()
        },
        accounts: HashMap::new(),
        is_chained,
        heads: expected.heads,
        expected: expected.cut,
        archives,
        named_seals: Vec::new(),
        floor,
        last_position: floor,
        form: CanonicalForm::default(),
    };
    match audit.run() {
        Ok(()) => Ok(audit.report),
        Err(StorageError(cause)) => {
            audit
                .report
                .add(format!("the file cannot be read on: {cause}"));
            Ok(audit.report)
        }
    }
}

/// Opens a file to read it as it is at one moment. Also returns a warning where the newest
/// entries may be missing.
pub(super) fn open_to_read(path: &Path) -> Result<(Connection, Option<String>), String> {
    let name = path.display();
    if !path.is_file() {
        return Err(format!(
            "data file {name}: there is no such file; give its path by --data"
        ));
    }
    let refused = |(problem, remedy)| format!("data file {name}: {problem}; {remedy}");
    let (without_wal, wal_bytes) = (
        wal_match::read_without_wal(path),
        wal_match::wal_bytes(path),
    );
    if matches!(without_wal, WithoutWal::Empty) {
        wal_match::refuse_orphan_wal(path).map_err(refused)?;
    }
    let connection = begin_reading(path)?;
    super::open::check_identity(&connection).map_err(refused)?;
    let warning = wal_match::check(&connection, &without_wal, wal_bytes).map_err(refused)?;
    Ok((connection, warning))
}

/// Opens a file, and begins a read transaction. It opens no other descriptor of the file.
pub(super) fn begin_reading(path: &Path) -> Result<Connection, String> {
    let failed = |error: rusqlite::Error| format!("data file {}: {error}", path.display());
    let connect =
        |flags| Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX);
    let begin = |connection: &Connection| {
        connection.busy_timeout(super::open::BUSY_TIMEOUT)?;
        connection.pragma_update(None, "query_only", true)?;
        connection.execute_batch("BEGIN")?;
        // The snapshot of a transaction is taken by its first read.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| {
            row.get::<_, i64>(0)
        })
    };
    // After a kill SQLite must rebuild the -shm, which a read-only connection cannot.
    let read_only = connect(OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    match begin(&read_only) {
        Ok(_) => Ok(read_only),
        Err(_) => {
            let connection = connect(OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
            // No checkpoint on closing, so that nothing is changed.
            skip_checkpoint_at_close(&connection, true).map_err(failed)?;
            begin(&connection).map_err(failed)?;
            Ok(connection)
        }
    }
}

impl Audit<'_> {
    fn run(&mut self) -> Result<(), StorageError> {
        self.check_file()?;
        self.check_schema()?;
        self.read_cards()?;
        self.check_cards()?;
        self.check_keys()?;
        self.check_archives()?;
        self.read_accounts()?;
        self.read_openings()?;
        self.check_kept()?;
        self.apply_entries()?;
        self.note_head();
        self.check_derived()?;
        self.check_requests()
    }

    /// Checks SQLite's own structures.
    fn check_file(&mut self) -> Result<(), StorageError> {
        let mut statement = self
            .journal
            .connection
            .prepare("PRAGMA integrity_check(100)")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let verdict: String = row.get(0)?;
            if verdict != "ok" {
                let verdict = verdict.split_whitespace().collect::<Vec<_>>().join(" ");
                self.report.add(format!("SQLite: {verdict}"));
            }
        }
        Ok(())
    }

    fn read_cards(&mut self) -> Result<(), StorageError> {
        let (reprice, report) = (&mut self.reprice, &mut self.report);
        super::cards::each(&self.journal.connection, |card| {
            if let Err(problem) = reprice.card(&card) {
                report.add(format!("rate card {}: {problem}", card.revision));
            }
        })?;
        Ok(())
    }

    fn read_accounts(&mut self) -> Result<(), StorageError> {
        let mut statement = self
            .journal
            .connection
            .prepare("SELECT account_id, name, head FROM accounts ORDER BY account_id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let name: String = row.get(1)?;
            let account = match crate::domain::AccountName::new(&name) {
                Ok(name) => Some(Account::new(name)),
                Err(_) => {
                    self.report.add(format!("account {id} has no proper name"));
                    None
                }
            };
            let account_audit = AccountAudit {
                name,
                account,
                head: None,
                row_head: row.get::<_, Option<i64>>(2)?.map(Position),
                row_was_checked: false,
                opened_by_update: false,
                chain: BEGINNING,
                previous_chain: BEGINNING,
                last_update: None,
                archive: 0,
                steps: 0,
            };
            self.accounts.insert(id, account_audit);
            self.report.accounts = self.report.accounts.saturating_add(1);
        }
        Ok(())
    }
}
