//! Accounts in memory: those that were used last, within a bound. The others are
//! read from the file when they are needed.

use std::collections::HashMap;

use super::accounts::Loaded;
use crate::domain::AccountName;

/// Two generations: what is used is in the young one; when that has half of the
/// bound, it becomes the old one, and what was not used since is let go.
pub(super) struct Cache {
    young: HashMap<AccountName, Loaded>,
    old: HashMap<AccountName, Loaded>,
    weight: usize,
    weight_max: usize,
}

impl Cache {
    pub(super) fn new(accounts_max: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            weight: 0,
            weight_max: accounts_max.div_ceil(2),
        }
    }

    /// The account, where it is in memory.
    pub(super) fn get(&mut self, name: &AccountName) -> Option<&mut Loaded> {
        if !self.young.contains_key(name) {
            let found = self.old.remove(name)?;
            self.insert(found);
        }
        self.young.get_mut(name)
    }

    /// Adds an account; a large one counts as several.
    pub(super) fn insert(&mut self, loaded: Loaded) {
        let weight = loaded.account.size().div_euclid(4).saturating_add(1);
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
        self.young.insert(loaded.account.name().clone(), loaded);
    }

    /// Forgets an account; the file has it.
    pub(super) fn forget(&mut self, name: &AccountName) {
        self.young.remove(name);
        self.old.remove(name);
    }
}
