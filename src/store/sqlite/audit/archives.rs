//! Audits a data file together with its archives: what an archive has up to the cut must make
//! exactly the openings that were sealed, and from there on both files must have the same rows.

use std::path::{Path, PathBuf};

use super::openings::{StoredArchive, archives};
use super::{Audit, AuditReport, Expected, Reprice, audit_file, open_to_read};
use crate::store::sqlite::accounts::state_of;
use crate::store::sqlite::archive::{SealHash, seal_text};
use crate::store::sqlite::chain::head::JournalHead;
use crate::store::sqlite::journal::{Journal, Position, StorageError};
use crate::store::sqlite::open::show_as_newest;
use crate::store::sqlite::openings::StoredOpening;

/// An archive that was audited with the file of which it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveProof {
    /// Its file.
    pub file: PathBuf,
    /// Counts archives of the data file.
    pub number: i64,
    /// How many entries and other rows it has, with those that both files have.
    pub rows: u64,
    /// How many things are wrong with it.
    pub damage: u64,
}

/// What is known of a file before it is audited.
struct Facts {
    path: PathBuf,
    key: Vec<u8>,
    archives: Vec<StoredArchive>,
}

impl Facts {
    fn read(path: &Path) -> Result<Self, String> {
        let failed = |StorageError(cause)| format!("data file {}: {cause}", path.display());
        let (connection, _) = open_to_read(path)?;
        show_as_newest(&connection).map_err(|error| failed(error.into()))?;
        let journal = Journal::new(connection);
        let key = journal
            .connection
            .query_row("SELECT key FROM file", [], |row| row.get(0));
        Ok(Self {
            path: path.to_owned(),
            key: key.map_err(|error| failed(error.into()))?,
            archives: archives(&journal).map_err(failed)?,
        })
    }

    /// Rows up to there are in archives.
    fn floor(&self) -> i64 {
        self.archives.last().map_or(0, |archive| archive.position)
    }

    /// The archive that it is, counted as its data file does.
    fn number(&self) -> i64 {
        let made = i64::try_from(self.archives.len()).unwrap_or(i64::MAX);
        made.saturating_add(1)
    }
}

/// Audits a file, and with it archives of it. `progress` gets the number of rows of a journal read
/// and of all rows. With `since` the file must also go on from that head; one that is older than
/// the newest archive needs the archives since then.
///
/// # Errors
/// Why a file cannot be read as a data file of creditd, is no archive of the first one, or has no
/// head to go on from; which archive is missing.
pub fn audit_with_archives(
    path: &Path,
    archive_files: &[PathBuf],
    since: Option<&JournalHead>,
    reprice: &mut dyn Reprice,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<AuditReport, String> {
    let live = Facts::read(path)?;
    let mut files = Vec::with_capacity(archive_files.len());
    for file in archive_files {
        let facts = Facts::read(file)?;
        check_is_archive(&live, &facts)?;
        files.push(facts);
    }
    files.sort_by_key(Facts::number);
    let since_file = since.map(|since| file_of_head(&live, &files, since));
    let since_file = since_file.transpose()?;
    let (mut findings, mut proofs) = (Vec::new(), Vec::new());
    let mut damage = 0_u64;
    // The head of the file before, from which the next one must go on.
    let mut before: Option<JournalHead> = None;
    for (at, facts) in files.iter().chain([&live]).enumerate() {
        let heads = before.take().filter(|head| head.rows() >= facts.floor());
        let own = since.filter(|_| since_file == Some(at)).cloned();
        let heads: Vec<JournalHead> = heads.into_iter().chain(own).collect();
        let is_live = at == files.len();
        let number = usize::try_from(facts.number()).unwrap_or(usize::MAX);
        let cut = live.archives.get(number.saturating_sub(1));
        let expected = Expected {
            heads: &heads,
            cut: cut.filter(|_| !is_live),
        };
        let mut report = audit_file(&facts.path, expected, reprice, progress)?;
        if is_live {
            report.proofs = proofs;
            report.damage = report.damage.saturating_add(damage);
            findings.append(&mut report.findings);
            findings.truncate(super::FINDINGS_MAX);
            report.findings = findings;
            return Ok(report);
        }
        let former = live.archives.get(..facts.archives.len());
        if former != Some(&facts.archives) {
            report.add("it has other archives before it than the data file has");
        }
        before.clone_from(&report.head);
        damage = damage.saturating_add(report.damage);
        let file = facts.path.display();
        findings
            .extend((report.findings.iter()).map(|finding| format!("archive {file}: {finding}")));
        proofs.push(ArchiveProof {
            file: facts.path.clone(),
            number: facts.number(),
            rows: report.entries.saturating_add(report.other_rows),
            damage: report.damage,
        });
    }
    Err("no file was audited".to_owned())
}

/// Refuses a file that is no archive of the data file.
fn check_is_archive(live: &Facts, archive: &Facts) -> Result<(), String> {
    let (file, data) = (archive.path.display(), live.path.display());
    if archive.key != live.key {
        return Err(format!(
            "archive {file}: it is of another data file than {data}; name an archive of that by --archive"
        ));
    }
    if archive.number() > i64::try_from(live.archives.len()).unwrap_or(i64::MAX) {
        return Err(format!(
            "archive {file}: {data} was not cut since that copy was made, so it is no archive but a backup; name an archive by --archive"
        ));
    }
    Ok(())
}

/// Which file has the row at which a head was made; the data file is the last one.
fn file_of_head(live: &Facts, files: &[Facts], since: &JournalHead) -> Result<usize, String> {
    if since.rows() >= live.floor() {
        return Ok(files.len());
    }
    // All archives from that one on, so that each goes on from the one before.
    let needed = live.archives.iter();
    let needed = needed.filter(|archive| archive.position > since.rows());
    let mut first = None;
    for archive in needed {
        let at = files
            .iter()
            .position(|file| file.number() == archive.number);
        let Some(at) = at else {
            return Err(format!(
                "data file {}: the head {since} is of its first {} rows, and those up to {} are in archive {} ({}); give it by --archive",
                live.path.display(),
                since.rows(),
                archive.position,
                archive.number,
                archive.file
            ));
        };
        first.get_or_insert(at);
    }
    Ok(first.unwrap_or(files.len()))
}

impl Audit<'_> {
    /// Compares what the rows of an archive make with what its data file has sealed.
    pub(super) fn check_cut(&mut self, cut: &StoredArchive) -> Result<(), StorageError> {
        if self.head(cut.position).to_string() != cut.head {
            self.report.add(format!(
                "its rows up to {} do not make the head that was stored when it was archived",
                cut.position
            ));
        }
        let (mut openings, mut unknown) = (Vec::new(), false);
        for (id, account_audit) in &self.accounts {
            let (Some(position), Some(account)) = (account_audit.head, &account_audit.account)
            else {
                unknown |= account_audit.head.is_some();
                continue;
            };
            let is_new = position.0 > self.floor;
            let opening = StoredOpening {
                account_id: *id,
                archive: match is_new {
                    true => cut.number,
                    false => account_audit.archive,
                },
                position,
                entry: account.last().entry,
                time: account.last_time(),
                available: account.available().nanos(),
                held: account.held().nanos(),
                settings: account_audit.last_update,
                previous_chain: account_audit.previous_chain,
                chain: account_audit.chain,
                state: String::new(),
            };
            openings.push((account_audit.name.as_str(), opening, state_of(account)));
        }
        if unknown {
            // What does not follow is told already.
            return Ok(());
        }
        openings.sort_unstable_by_key(|(name, _, _)| *name);
        let mut hash = SealHash::new(Position(cut.position));
        for (name, opening, state) in &openings {
            hash.opening(name, opening, state);
        }
        match hash.finish(&self.journal) {
            Ok((seal, _)) if seal == cut.seal => {}
            Ok((seal, _)) => self.report.add(format!(
                "its rows up to {} make openings with the seal {}, and the data file has {}",
                cut.position,
                seal_text(&seal),
                seal_text(&cut.seal)
            )),
            Err(StorageError(cause)) => self
                .report
                .add(format!("its seal cannot be compared: {cause}")),
        }
        Ok(())
    }
}
