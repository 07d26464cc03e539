//! Work on data files without a server: proving one, copying one, following one, restoring one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::checked_clock::SampledClock;
use crate::app::card_file;
use crate::domain::pricing::{Card, PriceContext, Pricing, Usage};
use crate::domain::{Credits, Timestamp};
use crate::store::Clock;
use crate::store::cards::StoredCard;
use crate::store::sqlite::{self, Reprice};

pub use crate::store::sqlite::{
    ArchiveProof, ArchiveReport, ArchiveStep, Archiving, AuditReport, Erasure, ErasureReport,
    FollowReport, FollowSettings, Generation, JournalHead, NoHead, Restored, StatusFile,
    list_generations, plan_archive, restore, wal_bytes,
};

/// How many milliseconds may be between two segments of a continuous copy.
pub const FOLLOW_INTERVAL_MS: std::ops::RangeInclusive<u64> = 100..=10_000;

/// The rate cards of a file, which price its entries again.
#[derive(Default)]
struct Cards(HashMap<String, Card>);

impl Reprice for Cards {
    fn card(&mut self, card: &StoredCard) -> Result<(), String> {
        let restored = card_file::restore(card).map_err(|problem| problem.to_string())?;
        self.0.insert(card.revision.clone(), restored);
        Ok(())
    }

    fn price(&self, pricing: &Pricing, usage: &Usage<'_>) -> Option<Credits> {
        let card = self.0.get(&*pricing.revision)?;
        // What the account and the clock said then stands in the entry, all of it.
        let context = PriceContext::at(Timestamp::MIN).with_quoted(&pricing.values);
        let quote = card.price(usage, &context).ok()?;
        let values = card.values(quote.service(), &context);
        (values == pricing.values).then(|| quote.credits())
    }
}

/// How much is free on the disk of a file, for those who are not root; None where the system does
/// not say.
#[must_use]
pub fn free_bytes(file: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(file).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

/// Proves a data file; what it finds wrong stands in the report.
///
/// # Errors
/// Why the file cannot be read at all.
pub fn audit(data: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<AuditReport, String> {
    audit_with_archives(data, &[], None, progress)
}

/// The same, with archives of the file, and of a file that must also go on from a head.
///
/// # Errors
/// Why a file cannot be read at all, has no head yet, or which archive is missing.
pub fn audit_with_archives(
    data: &Path,
    archives: &[PathBuf],
    since: Option<&JournalHead>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<AuditReport, String> {
    sqlite::audit_with_archives(data, archives, since, &mut Cards::default(), progress)
}

/// Moves old entries of a data file that no server uses to an archive.
///
/// # Errors
/// What is wrong, what was done by then, and what to do.
pub fn archive(
    data: &Path,
    order: &Archiving,
    clock: &dyn Clock,
    progress: &mut dyn FnMut(ArchiveStep, u64, u64),
) -> Result<ArchiveReport, String> {
    sqlite::archive(data, order, clock, &mut Cards::default(), progress)
}

/// Erases texts of labels from a data file that no server uses.
///
/// # Errors
/// Why the file cannot be used, or that it has no such account.
pub fn erase(
    data: &Path,
    erasure: &Erasure,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<ErasureReport, String> {
    sqlite::erase(data, erasure, progress)
}

/// Copies a data file, also while a server writes to it. A sentence to warn with, where what
/// was written last may be missing.
///
/// # Errors
/// What is wrong and what to do.
pub fn backup(
    data: &Path,
    copy: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Option<String>, String> {
    sqlite::backup(data, copy, progress)
}

/// Keeps a continuous copy of a data file in a directory, until `stop` is set.
///
/// # Errors
/// Why it cannot begin, or why its single round failed.
pub fn follow(
    data: &Path,
    directory: &Path,
    settings: FollowSettings,
    stop: &AtomicBool,
) -> Result<FollowReport, String> {
    sqlite::follow(data, directory, settings, &SampledClock::new(), stop)
}

/// Notes the moment of a copy or a sound audit beside the data file. A sentence to warn with,
/// where that cannot be done.
#[must_use]
pub fn note(file: StatusFile, data: &Path, moment: Timestamp) -> Option<String> {
    let error = file.write(data, moment).err()?;
    let path = file.path(data);
    Some(format!(
        "the moment cannot be noted in {}: {error}",
        path.display()
    ))
}
