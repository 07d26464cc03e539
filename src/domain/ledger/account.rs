//! An account: the fold of its entries.

use std::sync::Arc;

use super::entry::{Entry, EntryId, EntryKind, GrantId, GrantShare, GrantTerms};
use crate::domain::amount::{Credits, TooLarge};
use crate::domain::names::{AccountName, Labels};
use crate::domain::time::Timestamp;

/// An account as its entries made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    name: AccountName,
    version: i64,
    available: Credits,
    held: Credits,
    last_entry: Option<EntryId>,
    /// With something left or held, in the order in which they burn.
    grants: Vec<GrantState>,
}

/// A grant that has something left or held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantState {
    /// The grant.
    pub id: GrantId,
    /// Its terms.
    pub terms: Arc<GrantTerms>,
    /// Neither spent nor held.
    pub remaining: Credits,
    /// Set aside.
    pub held: Credits,
}

impl GrantState {
    /// Lower priority first, then the soonest to expire, then the oldest.
    fn burn_order(&self) -> (i32, Timestamp, GrantId) {
        let expires = self.terms.expire_time.unwrap_or(Timestamp::MAX);
        (self.terms.priority, expires, self.id)
    }

    /// Whether what is left of it has expired by `now`.
    fn has_expired(&self, now: Timestamp) -> bool {
        !self.remaining.is_zero() && self.terms.expire_time.is_some_and(|time| time <= now)
    }

    /// Whether it may pay for the service; None: for an amount without one.
    #[must_use]
    pub fn pays_for(&self, service: Option<&str>) -> bool {
        self.terms.services.is_empty()
            || service.is_some_and(|key| self.terms.services.iter().any(|s| &**s == key))
    }
}

/// An entry does not follow from what was before it. In a running server that
/// is a defect; in a file that is read, damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inconsistent(pub EntryId);

impl Account {
    /// An account without entries.
    #[must_use]
    pub const fn new(name: AccountName) -> Self {
        Self {
            name,
            version: 0,
            available: Credits::ZERO,
            held: Credits::ZERO,
            last_entry: None,
            grants: Vec::new(),
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &AccountName {
        &self.name
    }

    /// The number of its entries.
    #[must_use]
    pub const fn version(&self) -> i64 {
        self.version
    }

    /// Live credits, less what is held.
    #[must_use]
    pub const fn available(&self) -> Credits {
        self.available
    }

    /// What is set aside.
    #[must_use]
    pub const fn held(&self) -> Credits {
        self.held
    }

    /// Its newest entry.
    #[must_use]
    pub const fn last_entry(&self) -> Option<EntryId> {
        self.last_entry
    }

    /// Grants with something left or held, in the order in which they burn.
    #[must_use]
    pub fn grants(&self) -> &[GrantState] {
        &self.grants
    }

    /// The account after an entry.
    ///
    /// # Errors
    /// [`Inconsistent`] where the entry does not follow; the account is then
    /// not to be used any more.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Inconsistent> {
        self.try_apply(entry).ok_or(Inconsistent(entry.id))
    }

    fn try_apply(&mut self, entry: &Entry) -> Option<()> {
        self.follow(entry)?;
        if let EntryKind::Grant(terms) = &entry.kind {
            self.open_grant(GrantState {
                id: entry.grant,
                terms: Arc::clone(terms),
                remaining: Credits::ZERO,
                held: Credits::ZERO,
            });
        }
        for share in &entry.shares {
            self.apply_share(share)?;
        }
        Some(())
    }

    /// What every entry changes, whatever its kind: the figures of the account.
    fn follow(&mut self, entry: &Entry) -> Option<()> {
        let follows = entry.account == self.name
            && entry.version == self.version.checked_add(1)?
            && entry.previous == self.last_entry;
        if !follows {
            return None;
        }
        self.version = entry.version;
        self.last_entry = Some(entry.id);
        self.available = add(self.available, entry.credits)?;
        self.held = add(self.held, entry.held)?;
        if self.available != entry.available {
            return None;
        }
        Some(())
    }

    fn open_grant(&mut self, grant: GrantState) {
        let order = grant.burn_order();
        let at = self.grants.partition_point(|g| g.burn_order() < order);
        self.grants.insert(at, grant);
    }

    fn apply_share(&mut self, share: &GrantShare) -> Option<()> {
        // New grants stand near the end, unless they have a priority.
        let position = self.grants.iter().rposition(|g| g.id == share.grant)?;
        let grant = self.grants.get_mut(position)?;
        grant.remaining = add(grant.remaining, share.credits)?;
        grant.held = add(grant.held, share.held)?;
        if grant.remaining.is_zero() && grant.held.is_zero() {
            self.grants.remove(position);
        }
        Some(())
    }

    /// Whether something has expired by `now` and is still counted.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.grants.iter().any(|grant| grant.has_expired(now))
    }

    /// Lets go of what has expired by `now`: the entries that say so, each dated
    /// at its instant, numbered from `next`. They are applied already.
    ///
    /// # Errors
    /// [`Inconsistent`] never in a sound account.
    pub fn expire(&mut self, now: Timestamp, next: EntryId) -> Result<Vec<Entry>, Inconsistent> {
        let mut due: Vec<(Timestamp, GrantId, Credits)> = self
            .grants
            .iter()
            .filter(|grant| grant.has_expired(now))
            .filter_map(|grant| Some((grant.terms.expire_time?, grant.id, grant.remaining)))
            .collect();
        if due.is_empty() {
            return Ok(Vec::new());
        }
        due.sort_unstable();
        let mut entries = Vec::with_capacity(due.len());
        let mut id = next;
        for (expire_time, grant, remaining) in due {
            let gone = remaining.negated();
            let available = self.available.checked_add(gone);
            let entry = Entry {
                id,
                previous: self.last_entry,
                account: self.name.clone(),
                kind: EntryKind::Expire,
                credits: gone,
                held: Credits::ZERO,
                spent: Credits::ZERO,
                available: available.map_err(|TooLarge| Inconsistent(id))?,
                create_time: expire_time,
                version: self.version.saturating_add(1),
                request_id: None,
                labels: Labels::default(),
                grant,
                shares: vec![GrantShare {
                    grant,
                    credits: gone,
                    held: Credits::ZERO,
                }],
            };
            self.follow(&entry).ok_or(Inconsistent(id))?;
            entries.push(entry);
            id = id.next();
        }
        // All shares at once: one by one they would cost a search each.
        for grant in &mut self.grants {
            if grant.has_expired(now) {
                grant.remaining = Credits::ZERO;
            }
        }
        self.grants
            .retain(|grant| !(grant.remaining.is_zero() && grant.held.is_zero()));
        Ok(entries)
    }
}

/// A sum that must not be negative.
fn add(amount: Credits, change: Credits) -> Option<Credits> {
    let sum = amount.checked_add(change).ok()?;
    (sum >= Credits::ZERO).then_some(sum)
}
