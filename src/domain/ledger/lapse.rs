//! Lapses: the entries by which holds and grants expire, and by which credits leave that came
//! back to an expired or revoked grant.

use std::sync::Arc;

use super::account::{Account, Due, Inconsistent};
use super::entry::{Entry, EntryKind, GrantShare};
use super::grants::BurnKey;
use super::hold::{Hold, HoldStatus};
use super::id::{AccountId as _, HoldId};
use crate::domain::amount::Credits;
use crate::domain::time::Timestamp;

impl Account {
    /// When the next lapse is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.get_min().map(|(time, _)| *time)
    }

    /// When the next lapse after `now` is due.
    #[must_use]
    pub fn next_due_after(&self, now: Timestamp) -> Option<Timestamp> {
        let mut all = self.due.iter().map(|(time, _)| *time);
        all.find(|time| *time > now)
    }

    /// Whether a lapse is due by `now`.
    #[must_use]
    pub fn has_lapsed(&self, now: Timestamp) -> bool {
        self.next_due().is_some_and(|time| time <= now)
    }

    /// Applies the lapses that are due by `now`, and returns their entries. Each is dated at the
    /// instant of expiry, or when the credits came back, if that was later.
    ///
    /// # Errors
    /// [`Inconsistent`] only if the account has a defect.
    pub fn lapse(&mut self, now: Timestamp) -> Result<Vec<Entry>, Inconsistent> {
        let mut entries = Vec::new();
        while let Some((time, due)) = self.due.get_min().copied()
            && time <= now
        {
            let time = time.max(self.last_time());
            let entry = match due {
                Due::Hold(hold) => self.expire_hold(hold, time),
                Due::Grant(key) => self.lapse_grant(key, time),
            };
            entries.push(entry?);
        }
        Ok(entries)
    }

    /// The error that the next entry does not follow.
    fn inconsistent(&self) -> Inconsistent {
        Inconsistent(self.last().entry.next())
    }

    fn expire_hold(&mut self, hold: HoldId, time: Timestamp) -> Result<Entry, Inconsistent> {
        let entry = self.release_entry(hold, HoldStatus::Expired, time);
        let entry = entry.ok_or_else(|| self.inconsistent())?;
        self.apply(&entry)?;
        Ok(entry)
    }

    /// The entry that returns all that an open hold sets aside.
    pub(super) fn release_entry(
        &self,
        hold: HoldId,
        status: HoldStatus,
        time: Timestamp,
    ) -> Option<Entry> {
        let open = self.holds().get(&hold)?;
        let held = open.hold.held;
        let mut entry = self.next_entry(time, EntryKind::Release);
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
            .map(|(grant, amount)| GrantShare {
                grant: *grant,
                credits: *amount,
                held: amount.negated(),
            })
            .collect();
        Some(entry)
    }

    fn lapse_grant(&mut self, key: BurnKey, time: Timestamp) -> Result<Entry, Inconsistent> {
        let grant = self.grant_at(key);
        let (grant, remaining, revoked) = grant.ok_or_else(|| self.inconsistent())?;
        let kind = match revoked {
            true => EntryKind::Revoke(grant),
            false => EntryKind::Expire(grant),
        };
        let mut entry = self.next_entry(time, kind);
        entry.credits = remaining.negated();
        entry.available = self
            .available()
            .checked_sub(remaining)
            .map_err(|_| self.inconsistent())?;
        entry.shares = vec![GrantShare {
            grant,
            credits: entry.credits,
            held: Credits::ZERO,
        }];
        self.apply_at(&entry, key)?;
        Ok(entry)
    }
}
