//! An account: the fold of its entries.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use super::entry::{Entry, EntryKind, GrantFacts, GrantShare};
use super::grants::{BurnKey, GrantState, Grants, Place};
use super::hold::{HoldStatus, OpenHold};
use super::id::{AccountId as _, EntryId, GrantId, HoldId};
use super::settings::{AccountSettings, AccountUpdate};
use crate::domain::amount::Credits;
use crate::domain::names::{AccountName, Labels};
use crate::domain::pricing::Pairs;
use crate::domain::time::Timestamp;

/// An account: the state after all of its entries. What can be much of it is in persistent maps: a
/// copy shares them, and a change copies a few nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    name: AccountName,
    available: Credits,
    held: Credits,
    last: LastIds,
    last_time: Timestamp,
    /// When its first entry opened it; None before.
    create_time: Option<Timestamp>,
    /// None where nothing is set, as in most accounts.
    settings: Option<Arc<AccountSettings>>,
    grants: Grants,
    holds: OrdMap<HoldId, Arc<OpenHold>>,
    /// Holds and grants that will expire, by time.
    pub(super) due: OrdSet<(Timestamp, Due)>,
}

/// The newest id of each kind, 0 where there is none yet. The next one is one more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastIds {
    /// The newest entry.
    pub entry: EntryId,
    /// The newest grant.
    pub grant: GrantId,
    /// The newest hold.
    pub hold: HoldId,
}

/// A hold or grant that will expire. At one instant holds expire before grants, so that what
/// they return expires with the rest of the grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Hold(HoldId),
    Grant(BurnKey),
}

/// The parts of an account that a store writes.
#[derive(Clone, Debug)]
pub struct AccountParts {
    /// The account's name.
    pub name: AccountName,
    /// The newest ids.
    pub last: LastIds,
    /// When the newest entry was written.
    pub last_time: Timestamp,
    /// When the account was opened; None before.
    pub create_time: Option<Timestamp>,
    /// Its settings.
    pub settings: AccountSettings,
    /// Grants with something left or held, in any order.
    pub grants: Vec<GrantState>,
    /// Open holds, in any order.
    pub holds: Vec<OpenHold>,
}

/// An entry does not follow from those before it. In a running server that is a defect; in a
/// file that is read it is damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inconsistent(pub EntryId);

impl Account {
    /// An account without entries.
    #[must_use]
    pub fn new(name: AccountName) -> Self {
        Self {
            name,
            available: Credits::ZERO,
            held: Credits::ZERO,
            last: LastIds {
                entry: EntryId(0),
                grant: GrantId(0),
                hold: HoldId(0),
            },
            last_time: Timestamp::MIN,
            create_time: None,
            settings: None,
            grants: Grants::new(),
            holds: OrdMap::new(),
            due: OrdSet::new(),
        }
    }

    /// The account of these parts; None if they contradict each other.
    #[must_use]
    pub fn from_parts(parts: AccountParts) -> Option<Self> {
        let mut account = Self::new(parts.name);
        account.last = parts.last;
        account.last_time = parts.last_time;
        account.create_time = parts.create_time;
        account.settings = shared(parts.settings);
        let mut held_by_holds = Credits::ZERO;
        for hold in parts.holds {
            let mut held = Credits::ZERO;
            for (_, share) in &hold.shares {
                held = add(held, *share)?;
            }
            if held != hold.hold.held {
                return None;
            }
            held_by_holds = add(held_by_holds, held)?;
            account.open_hold(hold);
        }
        for grant in parts.grants {
            account.available = add(account.available, grant.remaining)?;
            account.held = add(account.held, grant.held)?;
            let position = account.grants.insert(grant);
            account.note_due(position, None);
        }
        (account.held == held_by_holds).then_some(account)
    }

    /// The account's name.
    #[must_use]
    pub const fn name(&self) -> &AccountName {
        &self.name
    }

    /// The number of the newest entry.
    #[must_use]
    pub const fn version(&self) -> i64 {
        self.last.entry.0
    }

    /// Whether there is no such account yet. The first grant opens one, or an update that may.
    #[must_use]
    pub const fn is_unopened(&self) -> bool {
        self.create_time.is_none()
    }

    /// When it was opened; None before.
    #[must_use]
    pub const fn create_time(&self) -> Option<Timestamp> {
        self.create_time
    }

    /// Its settings; None where nothing is set.
    #[must_use]
    pub const fn settings(&self) -> Option<&Arc<AccountSettings>> {
        self.settings.as_ref()
    }

    /// The rate card by which it is priced; None: the default.
    #[must_use]
    pub fn rate_card(&self) -> Option<&str> {
        self.settings.as_ref()?.rate_card.as_deref()
    }

    /// What rate cards declare as known of it; None where nothing is set.
    #[must_use]
    pub fn attributes(&self) -> Option<&Pairs> {
        let settings = self.settings.as_ref()?;
        (!settings.attributes.is_empty()).then_some(&settings.attributes)
    }

    /// Credits that are granted and neither spent, held nor expired.
    #[must_use]
    pub const fn available(&self) -> Credits {
        self.available
    }

    /// Credits that open holds set aside.
    #[must_use]
    pub const fn held(&self) -> Credits {
        self.held
    }

    /// The newest ids.
    #[must_use]
    pub const fn last(&self) -> LastIds {
        self.last
    }

    /// When the newest entry was written.
    #[must_use]
    pub const fn last_time(&self) -> Timestamp {
        self.last_time
    }

    /// Grants with something left or held, in burn order.
    pub fn grants(&self) -> impl Iterator<Item = &GrantState> {
        self.grants.iter()
    }

    /// How many of them there are.
    #[must_use]
    pub fn live_grants(&self) -> usize {
        self.grants.len()
    }

    /// A grant that has something left or held.
    #[must_use]
    pub fn grant(&self, id: GrantId) -> Option<&GrantState> {
        self.grants.get(id)
    }

    /// The grants that can pay for a service, in burn order; None: for an amount without one.
    pub(super) fn paying<'a>(
        &'a self,
        service: Option<&'a str>,
    ) -> impl Iterator<Item = &'a GrantState> {
        self.grants.paying(service)
    }

    /// What is left of those, if that is known without a scan.
    pub(super) fn left_for(&self, service: Option<&str>) -> Option<Credits> {
        self.grants.left_for(service)
    }

    /// Open holds, oldest first.
    #[must_use]
    pub const fn holds(&self) -> &OrdMap<HoldId, Arc<OpenHold>> {
        &self.holds
    }

    /// The number of grants with something left or held, and of open holds.
    #[must_use]
    pub fn size(&self) -> usize {
        self.grants.len().saturating_add(self.holds.len())
    }

    /// The grant of a burn key: what is left of it, and whether it was revoked.
    pub(super) fn grant_at(&self, key: BurnKey) -> Option<(GrantId, Credits, bool)> {
        let grant = self.grants.at(self.grants.find_key(key)?)?;
        Some((grant.id, grant.remaining, grant.revoked))
    }

    /// An entry with the account's next id that moves nothing yet.
    pub(super) fn next_entry(&self, time: Timestamp, kind: EntryKind) -> Entry {
        Entry {
            id: self.next_entry_id(&kind),
            account: self.name.clone(),
            kind,
            credits: Credits::ZERO,
            held: Credits::ZERO,
            spent: Credits::ZERO,
            available: self.available,
            create_time: time,
            request_id: None,
            key_id: None,
            labels: Labels::default(),
            service: None,
            pricing: None,
            usage: None,
            hold: None,
            shares: Vec::new(),
        }
    }

    /// The id of the next entry, for an entry of this kind.
    fn next_entry_id(&self, kind: &EntryKind) -> EntryId {
        match kind.is_move() {
            true => self.last.entry.next(),
            false => self.last.entry,
        }
    }

    /// Applies an entry.
    ///
    /// # Errors
    /// [`Inconsistent`] if the entry does not follow. The account must then not be used any
    /// more: a part of the entry is applied.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Inconsistent> {
        self.try_apply(entry, None).ok_or(Inconsistent(entry.id))
    }

    /// Applies an entry of one grant whose burn key is known.
    pub(super) fn apply_at(&mut self, entry: &Entry, at: BurnKey) -> Result<(), Inconsistent> {
        self.try_apply(entry, Some(at))
            .ok_or(Inconsistent(entry.id))
    }

    fn try_apply(&mut self, entry: &Entry, at: Option<BurnKey>) -> Option<()> {
        self.apply_figures(entry)?;
        let mut position = at.and_then(|key| self.grants.find_key(key));
        match &entry.kind {
            EntryKind::Grant { id, terms } => {
                if *id != self.last.grant.next() {
                    return None;
                }
                self.last.grant = *id;
                let facts = GrantFacts {
                    id: *id,
                    terms: Arc::clone(terms),
                    revoked: false,
                };
                position = Some(self.grants.insert(GrantState::empty(&facts)));
            }
            EntryKind::Refund { grants, .. } => {
                for facts in grants {
                    let grant = GrantState::empty(facts);
                    if self.grants.find_key(grant.burn_key()).is_none() {
                        self.grants.insert(grant);
                    }
                }
                // Shares and grants are in the same order.
                for (share, facts) in entry.shares.iter().zip(grants) {
                    let key = GrantState::empty(facts).burn_key();
                    self.change_grant(self.grants.find_key(key)?, share)?;
                }
                let same = entry.shares.len() == grants.len();
                return (same && sums_to(entry)).then_some(());
            }
            EntryKind::Revoke(grant) => self.revoke(*grant),
            EntryKind::Hold | EntryKind::Settle | EntryKind::Release | EntryKind::Extend => {
                self.change_hold(entry)?;
            }
            EntryKind::Update(update) => self.update(update)?,
            EntryKind::Charge | EntryKind::Expire(_) => {}
        }
        let mut near = None;
        for share in &entry.shares {
            let known = position.take();
            let position = known.or_else(|| self.grants.find(share.grant, near))?;
            self.change_grant(position, share)?;
            near = Some(position);
        }
        sums_to(entry).then_some(())
    }

    /// Applies what entries of all kinds have: id, time and the change of the figures.
    fn apply_figures(&mut self, entry: &Entry) -> Option<()> {
        let follows = entry.account == self.name
            && entry.id == self.next_entry_id(&entry.kind)
            && entry.create_time >= self.last_time;
        let moved = entry.credits.checked_add(entry.held).ok()?;
        let sum = moved.checked_add(entry.spent).ok()?;
        if !follows || !(sum.is_zero() || entry.kind.enters_or_leaves()) {
            return None;
        }
        self.last.entry = entry.id;
        self.last_time = entry.create_time;
        self.create_time.get_or_insert(entry.create_time);
        self.available = add(self.available, entry.credits)?;
        self.held = add(self.held, entry.held)?;
        (self.available == entry.available).then_some(())
    }

    /// Sets the settings. The rest of the update repeats what the account has.
    fn update(&mut self, update: &AccountUpdate) -> Option<()> {
        self.settings = shared(update.settings.clone());
        let same = Some(update.create_time) == self.create_time && update.held == self.held;
        same.then_some(())
    }

    fn change_grant(&mut self, position: Place, share: &GrantShare) -> Option<()> {
        let grant = self.grants.at_mut(position)?;
        if grant.id != share.grant {
            return None;
        }
        let before = grant.due();
        let remaining = add(grant.remaining, share.credits)?;
        grant.held = add(grant.held, share.held)?;
        self.grants.set_remaining(position, remaining)?;
        self.note_due(position, before);
        self.grants.drop_if_used_up(position);
        Some(())
    }

    /// Updates `due` after a change of a grant.
    fn note_due(&mut self, position: Place, before: Option<Timestamp>) {
        let Some(grant) = self.grants.at(position) else {
            return;
        };
        let (after, key) = (grant.due(), grant.burn_key());
        if before == after {
            return;
        }
        if let Some(time) = before {
            self.due.remove(&(time, Due::Grant(key)));
        }
        if let Some(time) = after {
            self.due.insert((time, Due::Grant(key)));
        }
    }

    /// Revokes a grant: from now on what returns to it lapses at once.
    fn revoke(&mut self, id: GrantId) {
        let Some(position) = self.grants.find(id, None) else {
            return;
        };
        let Some(grant) = self.grants.at_mut(position) else {
            return;
        };
        let before = grant.due();
        grant.revoked = true;
        self.note_due(position, before);
    }

    fn open_hold(&mut self, open: OpenHold) {
        let hold = &open.hold;
        self.due.insert((hold.expire_time, Due::Hold(hold.id)));
        self.holds.insert(hold.id, Arc::new(open));
    }

    /// Applies an entry to its hold.
    fn change_hold(&mut self, entry: &Entry) -> Option<()> {
        let after = entry.hold.as_ref()?;
        let mut shares = Vec::new();
        if matches!(entry.kind, EntryKind::Hold) {
            if after.id != self.last.hold.next() || after.status != HoldStatus::Open {
                return None;
            }
            self.last.hold = after.id;
        } else {
            let before = self.holds.remove(&after.id)?;
            let due = (before.hold.expire_time, Due::Hold(after.id));
            self.due.remove(&due);
            shares = Arc::unwrap_or_clone(before).shares;
        }
        // The shares of a hold and those of its entries are both in the order in which they
        // were taken, so one pass finds all.
        let mut at = 0_usize;
        for share in entry.shares.iter().filter(|share| !share.held.is_zero()) {
            if matches!(entry.kind, EntryKind::Hold) {
                shares.push((share.grant, add(Credits::ZERO, share.held)?));
                continue;
            }
            let rest = shares.get_mut(at..)?;
            let next = rest.iter().position(|(grant, _)| *grant == share.grant)?;
            let (_, amount) = rest.get_mut(next)?;
            *amount = add(*amount, share.held)?;
            at = at.saturating_add(next).saturating_add(1);
        }
        shares.retain(|(_, amount)| !amount.is_zero());
        let mut held = Credits::ZERO;
        for (_, amount) in &shares {
            held = add(held, *amount)?;
        }
        if held != after.held || (after.status != HoldStatus::Open && !held.is_zero()) {
            return None;
        }
        if after.status == HoldStatus::Open {
            self.open_hold(OpenHold {
                hold: Arc::clone(after),
                shares,
            });
        }
        Some(())
    }
}

/// Settings as an account has them.
fn shared(settings: AccountSettings) -> Option<Arc<AccountSettings>> {
    (!settings.is_empty()).then(|| Arc::new(settings))
}

/// Whether the shares of an entry sum to its credits and held.
fn sums_to(entry: &Entry) -> bool {
    let zero = (Credits::ZERO, Credits::ZERO);
    let sums = entry
        .shares
        .iter()
        .try_fold(zero, |(credits, held), share| {
            let credits = credits.checked_add(share.credits).ok()?;
            Some((credits, held.checked_add(share.held).ok()?))
        });
    sums == Some((entry.credits, entry.held))
}

/// The sum; None if it is negative or too large.
fn add(amount: Credits, change: Credits) -> Option<Credits> {
    let sum = amount.checked_add(change).ok()?;
    (sum >= Credits::ZERO).then_some(sum)
}
