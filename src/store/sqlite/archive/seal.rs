//! The seal of an archive: a hash of all openings and of what is kept of the archived rows, so
//! that none of it can be changed without another seal.
//!
//! It is the SHA-256 of a version byte, the position of the cut, and the canonical forms of the
//! openings in the order of their accounts' names, of the kept rows in order of position, and of
//! the first revocations of grants by then. Forms are defined here and never change.
//!
//! Texts of labels can be erased, so no form has any: those of a row stand in its hash as
//! digests, and those of an account in the hash of its newest update, which is kept.

use std::collections::{HashMap, HashSet};

use sha2::{Digest as _, Sha256};

use crate::domain::canonical::{Canonical, CanonicalForm};
use crate::store::sqlite::chain::{BEGINNING, Chain, ChainRow};
use crate::store::sqlite::journal::{Journal, Position, StorageError};
use crate::store::sqlite::openings::StoredOpening;
use crate::store::sqlite::rows::StoredEntry;
use crate::store::sqlite::text::{GrantText, HoldText, StateText};
use crate::store::sqlite::times::At;

/// The first byte of what is hashed.
const VERSION: u8 = 1;

/// A hash of openings and kept rows.
pub(in crate::store::sqlite) type Seal = [u8; 32];

/// The seal as people and the trail have it.
pub(in crate::store::sqlite) fn seal_text(seal: &Seal) -> String {
    seal.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A seal in the making.
pub(in crate::store::sqlite) struct SealHash {
    position: Position,
    hash: Sha256,
    form: CanonicalForm,
    /// The newest archived entry of each account.
    entries: HashMap<i64, i64>,
    /// Positions of the newest archived rows.
    newest: HashSet<i64>,
    /// Positions of the rows that are kept.
    kept: Vec<i64>,
}

impl SealHash {
    /// The seal of a cut after the row at that position.
    pub(in crate::store::sqlite) fn new(position: Position) -> Self {
        let mut hash = Sha256::new();
        hash.update([VERSION]);
        hash.update(position.0.to_be_bytes());
        Self {
            position,
            hash,
            form: CanonicalForm::default(),
            entries: HashMap::new(),
            newest: HashSet::new(),
            kept: Vec::new(),
        }
    }

    /// Adds the opening of an account. They come in the order of names.
    pub(in crate::store::sqlite) fn opening(
        &mut self,
        name: &str,
        opening: &StoredOpening,
        state: &StateText,
    ) {
        let form = OpeningForm {
            name,
            opening,
            state,
        };
        self.add(1, &form);
        self.entries.insert(opening.account_id, opening.entry.0);
        self.newest.insert(opening.position.0);
        self.kept.push(opening.position.0);
        self.kept
            .extend(opening.settings.map(|settings| settings.0));
    }

    fn add(&mut self, kind: u8, item: &dyn Canonical) {
        self.form.clear();
        self.form.field(kind, &Item(item));
        self.hash.update(self.form.as_bytes());
    }

    /// Adds the rows that are kept, as that file has them, and the revocations.
    pub(in crate::store::sqlite) fn finish(
        mut self,
        journal: &Journal,
    ) -> Result<(Seal, Vec<i64>), StorageError> {
        let mut kept = std::mem::take(&mut self.kept);
        kept.extend(journal.kept_for_terms(self.position, &self.newest)?);
        kept.sort_unstable();
        kept.dedup();
        for position in &kept {
            let stored = journal.entry(Position(*position))?;
            let missing = || StorageError(format!("the entry at {position} is missing"));
            let stored = stored.ok_or_else(missing)?;
            let hash = row_hash(&stored)?;
            self.add(2, &KeptForm(&stored, hash));
        }
        let mut statement = journal.connection.prepare(
            "SELECT account_id, a.name, grant_id, entry_id
               FROM revocations JOIN accounts a USING (account_id) ORDER BY a.name, grant_id",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (account, entry): (i64, i64) = (row.get(0)?, row.get(3)?);
            if self
                .entries
                .get(&account)
                .is_some_and(|last| entry <= *last)
            {
                let (name, grant): (String, i64) = (row.get(1)?, row.get(2)?);
                self.add(3, &RevocationForm(&name, grant, entry));
            }
        }
        Ok((self.hash.finalize().into(), kept))
    }
}

/// The hash of a row alone, whatever came before it. It is the same once texts were erased.
pub(in crate::store::sqlite) fn row_hash(stored: &StoredEntry) -> Result<Chain, StorageError> {
    let row = ChainRow {
        position: stored.place.position,
        entry: &stored.entry,
        fingerprint: stored.fingerprint.as_ref(),
        answered: stored.told_otherwise(),
        seals: &stored.seals,
    };
    let hash = row.hash(&BEGINNING, &mut CanonicalForm::default());
    hash.ok_or_else(|| StorageError(format!("the entry at {} cannot be hashed", row.position.0)))
}

impl Journal {
    /// Positions of archived rows whose terms are needed on: of those that made grants, holds that
    /// were open at the cut, and holds that the newest row of an account closed.
    fn kept_for_terms(
        &self,
        cut: Position,
        newest: &HashSet<i64>,
    ) -> Result<Vec<i64>, StorageError> {
        let mut kept = Vec::new();
        let mut statement = self.connection.prepare(
            "SELECT position, NULL FROM grants WHERE position <= ?1
             UNION ALL
             SELECT made, closed FROM holds WHERE made <= ?1",
        )?;
        let mut rows = statement.query([cut.0])?;
        while let Some(row) = rows.next()? {
            let closed: Option<i64> = row.get(1)?;
            if closed.is_none_or(|closed| closed > cut.0 || newest.contains(&closed)) {
                kept.push(row.get(0)?);
            }
        }
        Ok(kept)
    }
}

/// An item of a kind.
struct Item<'a>(&'a dyn Canonical);

impl Canonical for Item<'_> {
    fn write(&self, form: &mut CanonicalForm) {
        self.0.write(form);
    }
}

struct OpeningForm<'a> {
    name: &'a str,
    opening: &'a StoredOpening,
    state: &'a StateText,
}

/// The numbers of these fields never change; new ones come last.
impl Canonical for OpeningForm<'_> {
    fn write(&self, form: &mut CanonicalForm) {
        // No pattern has "..": a field that is added and forgotten here does not compile.
        let StoredOpening {
            account_id: _,
            archive,
            position,
            entry,
            time,
            available,
            held,
            settings,
            previous_chain,
            chain,
            state: _,
        } = self.opening;
        form.field(1, self.name);
        form.field(2, archive);
        form.field(3, &position.0);
        form.field(4, &entry.0);
        form.field(5, time);
        form.field(6, available);
        form.field(7, held);
        form.field(8, &settings.map(|position| position.0));
        form.field(9, previous_chain);
        form.field(10, chain);
        form.field(11, self.state);
    }
}

/// The state of an account but for its labels, which its newest update has.
impl Canonical for StateText {
    fn write(&self, form: &mut CanonicalForm) {
        let last = self.last();
        form.field(1, &last.entry.0);
        form.field(2, &last.grant.0);
        form.field(3, &last.hold.0);
        form.field(4, &self.create_time());
        if let Some(settings) = &self.settings {
            form.field(5, &settings.rate_card());
            form.field(6, settings.attributes());
        }
        form.field(7, &self.grants[..]);
        form.field(8, &self.holds[..]);
    }
}

impl Canonical for [GrantText] {
    fn write(&self, form: &mut CanonicalForm) {
        for grant in self {
            let GrantText {
                id,
                remaining,
                held,
                revoked,
            } = grant;
            form.field(1, id);
            form.field(2, remaining);
            form.field(3, held);
            form.field(4, revoked);
        }
    }
}

impl Canonical for [HoldText] {
    fn write(&self, form: &mut CanonicalForm) {
        for hold in self {
            let HoldText {
                id,
                settled,
                expire_time: At(expire_time),
                shares,
            } = hold;
            form.field(1, id);
            form.field(2, settled);
            form.field(3, expire_time);
            for (grant, amount) in shares {
                form.field(4, grant);
                form.field(5, amount);
            }
        }
    }
}

/// A kept row: its own hash, and what it says of the rows before it, which are not there.
struct KeptForm<'a>(&'a StoredEntry, Chain);

impl Canonical for KeptForm<'_> {
    fn write(&self, form: &mut CanonicalForm) {
        let Self(stored, hash) = self;
        form.field(1, &stored.place.position.0);
        form.field(2, hash);
        form.field(3, &stored.chain);
        form.field(4, &stored.place.previous.map(|previous| previous.0));
    }
}

struct RevocationForm<'a>(&'a str, i64, i64);

impl Canonical for RevocationForm<'_> {
    fn write(&self, form: &mut CanonicalForm) {
        form.field(1, self.0);
        form.field(2, &self.1);
        form.field(3, &self.2);
    }
}
