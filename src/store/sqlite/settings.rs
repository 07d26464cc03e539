//! Settings of accounts for readers on other threads: what an estimate or a charge needs of an
//! account is known without a turn of the writer, which may be in a commit.
//!
//! The writer alone changes it, after the commit and before the answer, so that a reader sees
//! all that was answered before, and nothing that is not durable. Accounts get here when they
//! are read.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::domain::AccountName;
use crate::domain::ledger::AccountSettings;

/// Settings of an account; None where nothing is set.
pub(super) type Settings = Option<Arc<AccountSettings>>;
type Shard = RwLock<HashMap<AccountName, Settings>>;

const SHARDS: usize = 16;
const SHARDS_U64: u64 = 16;
/// Most accounts of a shard; a full one begins anew.
const SHARD_LENGTH_MAX: usize = 8_192;

/// The settings of accounts that were read lately.
#[derive(Default)]
pub(super) struct KnownSettings([Shard; SHARDS]);

impl KnownSettings {
    /// The settings of an account; None where they are not known here.
    pub(super) fn get(&self, name: &AccountName) -> Option<Settings> {
        let shard = self.shard(name)?.read();
        let shard = shard.unwrap_or_else(PoisonError::into_inner);
        shard.get(name).cloned()
    }

    /// Adds an account that was read.
    pub(super) fn add(&self, name: &AccountName, settings: Settings) {
        let Some(shard) = self.shard(name) else {
            return;
        };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= SHARD_LENGTH_MAX && !shard.contains_key(name) {
            shard.clear();
        }
        shard.insert(name.clone(), settings);
    }

    fn shard(&self, name: &AccountName) -> Option<&Shard> {
        // Only spreads: names that were chosen to meet in one shard share its lock and its room.
        let sum = name.as_str().bytes().fold(0_u64, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        let at = usize::try_from(sum % SHARDS_U64).ok()?;
        self.0.get(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_so_many_accounts_and_no_more() {
        let known = KnownSettings::default();
        let name = |n: usize| AccountName::new(&format!("account-{n}")).unwrap();
        assert_eq!(known.get(&name(0)), None);
        let count = 3 * SHARDS * SHARD_LENGTH_MAX;
        for n in 0..count {
            known.add(&name(n), None);
        }
        assert_eq!(
            known.get(&name(count - 1)),
            Some(None),
            "the newest is there"
        );
        let lengths = known.0.iter().map(|shard| shard.read().unwrap().len());
        assert!(lengths.sum::<usize>() <= SHARDS * SHARD_LENGTH_MAX);
        let settings = Some(Arc::new(AccountSettings::default()));
        known.add(&name(0), settings.clone());
        assert_eq!(known.get(&name(0)), Some(settings));
    }
}
