//! What ends by itself: holds and grants whose time is over, and credits that
//! came back to a grant that is gone.

use std::sync::Arc;

use super::account::{Account, Due, Inconsistent};
use super::entry::{Entry, EntryKind, GrantShare};
use super::grants::BurnKey;
use super::hold::{Hold, HoldStatus};
use super::id::{EntryId, HoldId};
use crate::domain::amount::Credits;
use crate::domain::time::Timestamp;

impl Account {
    /// When something ends by itself next.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(time, _)| *time)
    }

    /// When something ends by itself next, of what has not ended by `now`.
    #[must_use]
    pub fn next_due_after(&self, now: Timestamp) -> Option<Timestamp> {
        let mut all = self.due.iter().map(|(time, _)| *time);
        all.find(|time| *time > now)
    }

    /// Whether something has ended by `now` and is still counted.
    #[must_use]
    pub fn has_lapsed(&self, now: Timestamp) -> bool {
        self.next_due().is_some_and(|time| time <= now)
    }

    /// Ends what has ended by `now`: the entries that say so, numbered from `next`,
    /// each dated at its instant, or where credits came back later, when they
    /// did. They are applied already.
    ///
    /// # Errors
    /// [`Inconsistent`] never in a sound account.
    pub fn lapse(&mut self, now: Timestamp, next: EntryId) -> Result<Vec<Entry>, Inconsistent> {
        let mut entries = Vec::new();
        let mut id = next;
        while let Some((time, due)) = self.due.first().copied()
            && time <= now
        {
            let time = time.max(self.last_time());
            let entry = match due {
                Due::Hold(hold) => self.end_hold(hold, time, id),
                Due::Grant(key) => self.end_grant(key, time, id),
            };
            entries.push(entry?);
            id = id.next();
        }
        Ok(entries)
    }

    fn end_hold(
        &mut self,
        hold: HoldId,
        time: Timestamp,
        id: EntryId,
    ) -> Result<Entry, Inconsistent> {
        let entry = self.release_entry(hold, HoldStatus::Expired, time, id);
        let entry = entry.ok_or(Inconsistent(id))?;
        self.apply(&entry)?;
        Ok(entry)
    }

    /// The entry that returns all that an open hold keeps.
    pub(super) fn release_entry(
        &self,
        hold: HoldId,
        status: HoldStatus,
        time: Timestamp,
        id: EntryId,
    ) -> Option<Entry> {
        let open = self.holds().get(&hold)?;
        let held = open.hold.held;
        let mut entry = self.next_entry(id, time, EntryKind::Release);
        entry.credits = held;
        entry.held = held.negated();
        entry.available = self.available().checked_add(held).ok()?;
        entry.service = open.hold.terms.service.clone();
        entry.hold = Some(Arc::new(Hold {
            held: Credits::ZERO,
            status,
            ..Hold::clone(&open.hold)
        }));
        entry.shares = open
            .shares
            .iter()
            .map(|(grant, kept)| GrantShare {
                grant: *grant,
                credits: *kept,
                held: kept.negated(),
            })
            .collect();
        Some(entry)
    }

    fn end_grant(
        &mut self,
        key: BurnKey,
        time: Timestamp,
        id: EntryId,
    ) -> Result<Entry, Inconsistent> {
        let (grant, remaining, revoked) = self.grant_at(key).ok_or(Inconsistent(id))?;
        let kind = match revoked {
            true => EntryKind::Revoke(grant),
            false => EntryKind::Expire(grant),
        };
        let mut entry = self.next_entry(id, time, kind);
        entry.credits = remaining.negated();
        entry.available = self
            .available()
            .checked_sub(remaining)
            .map_err(|_| Inconsistent(id))?;
        entry.shares = vec![GrantShare {
            grant,
            credits: entry.credits,
            held: Credits::ZERO,
        }];
        self.apply_at(&entry, key)?;
        Ok(entry)
    }
}
