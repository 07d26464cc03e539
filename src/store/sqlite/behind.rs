//! Rows of accounts that are behind the journal, and how they are brought up: a few along
//! with each group, the one that fell behind first before the others.

use super::books::{Books, Undo};
use super::journal::BadRow;
use crate::domain::ledger::EntryId;

/// How many entries the rows of accounts may be behind.
pub(super) const BEHIND_MAX: i64 = 65_536;
/// Most rows of accounts that are brought up along with one group.
pub(super) const SAVED_PER_GROUP: usize = 512;

/// Where an account stands whose row is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Its newest entry.
    pub(super) entry: EntryId,
    /// The first entry that the account's row does not have.
    pub(super) since: EntryId,
}

impl Books {
    /// At start: an entry that is newer than the rows of accounts are.
    pub(super) fn note_behind(&mut self, account: i64, entry: EntryId) {
        let head = self.heads.entry(account);
        let head = head.or_insert(Head {
            entry,
            since: entry,
        });
        head.entry = entry;
    }

    /// Brings rows of accounts up that are too far behind.
    pub(super) fn save_some(&mut self, most: usize, behind_max: i64) -> Result<(), BadRow> {
        let mut saved = 0_usize;
        while let Some((since, account, _)) = self.behind.front() {
            let current = self.heads.get(account).is_some_and(|h| h.since == *since);
            let behind = self.next_entry.0.saturating_sub(since.0);
            if current && (behind < behind_max || saved == most) {
                break;
            }
            let Some((_, account, name)) = self.behind.pop_front() else {
                break;
            };
            if !current {
                continue;
            }
            self.group.saved = true;
            if let Err(cause) = self.bring(&name) {
                if self.journal.connection.is_autocommit() {
                    return Err(cause);
                }
                // Its trouble is nobody else's. Its row stays behind.
                tracing::error!(account = %name, cause = cause.0, "an account cannot be read");
                let first = self.heads.get(&account).map(|head| head.since);
                self.stuck = self.stuck.into_iter().chain(first).min();
                continue;
            }
            if let Some(loaded) = self.cache.get(&name) {
                self.journal.save(loaded)?;
            }
            let before = self.heads.remove(&account);
            self.group.undo.push(Undo::Head {
                account,
                name,
                before,
                next_entry: self.next_entry,
            });
            saved = saved.saturating_add(1);
        }
        if saved > 0 {
            let first = self.behind.front().map(|(since, _, _)| *since);
            let first = first.into_iter().chain(self.stuck).min();
            let folded = first.unwrap_or(self.next_entry).0;
            self.journal
                .connection
                .prepare_cached("UPDATE file SET folded = ?1")?
                .execute([folded.saturating_sub(1)])?;
        }
        Ok(())
    }

    /// At start, and after accounts fell back: who is how far behind.
    pub(super) fn order_behind(&mut self) {
        let mut behind: Vec<_> = self
            .heads
            .iter()
            .map(|(id, head)| (head.since, *id))
            .collect();
        behind.sort_unstable();
        self.behind.clear();
        for (since, account) in behind {
            match self.journal.account_name(account) {
                Ok(Some(name)) => self.behind.push_back((since, account, name)),
                Ok(None) => {}
                Err(BadRow(cause)) => tracing::error!(account, cause, "an account has no name"),
            }
        }
    }
}
