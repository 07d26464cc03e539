//! Accounts in memory: those that were used last, within a bound. The others are
//! read from the file when they are needed.

use indexmap::IndexMap;

use super::accounts::Loaded;
use crate::domain::AccountName;

/// Two generations: what is used is in the young one; when that has half of the
/// bound, it becomes the old one, and what was not used since is let go.
pub(super) struct Cache {
    young: IndexMap<AccountName, Loaded>,
    old: IndexMap<AccountName, Loaded>,
    weight: usize,
    weight_max: usize,
}

/// Where an account stands in memory, until another one comes in or goes: a name is
/// hashed once for all that is done with its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(usize);

impl Cache {
    pub(super) fn new(accounts_max: usize) -> Self {
        Self {
            young: IndexMap::new(),
            old: IndexMap::new(),
            weight: 0,
            weight_max: accounts_max.div_ceil(2),
        }
    }

    /// Where the account is, if it is in memory.
    pub(super) fn find(&mut self, name: &AccountName) -> Option<Slot> {
        match self.young.get_index_of(name) {
            Some(index) => Some(Slot(index)),
            None => self.old.swap_remove(name).map(|found| self.insert(found)),
        }
    }

    /// The account there.
    pub(super) fn at(&mut self, Slot(index): Slot) -> Option<&mut Loaded> {
        self.young.get_index_mut(index).map(|(_, loaded)| loaded)
    }

    /// Adds an account; a large one counts as several.
    pub(super) fn insert(&mut self, loaded: Loaded) -> Slot {
        let weight = weight(&loaded);
        self.weight = self.weight.saturating_add(weight);
        if self.weight > self.weight_max {
            let young = std::mem::take(&mut self.young);
            let gone = std::mem::replace(&mut self.old, young);
            self.weight = weight;
            if !gone.is_empty() {
                // Many small pieces: giving them back takes a while.
                let _ = std::thread::Builder::new().spawn(move || drop(gone));
            }
        }
        let name = loaded.account.name().clone();
        Slot(self.young.insert_full(name, loaded).0)
    }

    /// How many accounts are in memory.
    pub(super) fn length(&self) -> usize {
        self.young.len().saturating_add(self.old.len())
    }

    /// Forgets an account; the file has it.
    pub(super) fn forget(&mut self, name: &AccountName) {
        if let Some(gone) = self.young.swap_remove(name) {
            self.weight = self.weight.saturating_sub(weight(&gone));
        }
        self.old.swap_remove(name);
    }
}

/// How much of what holds and settings keep for callers counts as one more account.
const TEXT_BYTES: usize = 1_024;

/// As how many accounts it counts.
fn weight(loaded: &Loaded) -> usize {
    let account = &loaded.account;
    let holds = account.holds().values();
    let texts = holds.map(|open| open.hold.terms.text_bytes());
    let settings = account.settings().map_or(0, |set| set.text_bytes());
    let texts = texts.fold(settings, usize::saturating_add);
    let parts = account.size().div_euclid(4);
    parts
        .saturating_add(texts.div_euclid(TEXT_BYTES))
        .saturating_add(1)
}
