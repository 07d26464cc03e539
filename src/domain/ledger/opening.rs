//! Sealed opening balances: the account as it was when its older entries went to an archive.

use super::id::{EntryId, HoldId};
use crate::domain::amount::Credits;
use crate::domain::names::AccountName;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;

/// What an account has instead of its archived entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Counts archives; the newest one that took entries of the account.
    pub archive: i64,
    /// The newest archived entry.
    pub entry: EntryId,
    /// The newest hold that was made by then.
    pub hold: HoldId,
    /// When the newest archived entry was written: balances of then and later are known.
    pub time: Timestamp,
    /// Available credits after that entry.
    pub available: Credits,
    /// Held credits after it.
    pub held: Credits,
}

impl Opening {
    /// Whether an entry is archived.
    #[must_use]
    pub fn has_entry(&self, id: EntryId) -> bool {
        id.0 >= 1 && id <= self.entry
    }

    /// Whether a hold was made by then. One that was open then is not archived.
    #[must_use]
    pub fn has_hold(&self, id: HoldId) -> bool {
        id.0 >= 1 && id <= self.hold
    }

    /// Whether a balance is asked for that only the archive has.
    #[must_use]
    pub fn is_before(&self, as_of: Timestamp) -> bool {
        as_of < self.time
    }

    /// The refusal of a request for what the archive has.
    #[must_use]
    pub fn refusal(&self, account: &AccountName) -> Refusal {
        Refusal::HistoryArchived {
            account: account.clone(),
            archive: self.archive,
            oldest: self.time,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opening() -> Opening {
        Opening {
            archive: 1,
            entry: EntryId(5),
            hold: HoldId(2),
            time: Timestamp::from_unix_nanos(100),
            available: Credits::ZERO,
            held: Credits::ZERO,
        }
    }

    #[test]
    fn ids_count_from_one_up_to_the_newest_archived_one() {
        let opening = opening();
        for (number, entry, hold) in [
            (i64::MIN, false, false),
            (0, false, false),
            (1, true, true),
            (2, true, true),
            (3, true, false),
            (5, true, false),
            (6, false, false),
        ] {
            assert_eq!(opening.has_entry(EntryId(number)), entry, "{number}");
            assert_eq!(opening.has_hold(HoldId(number)), hold, "{number}");
        }
    }

    #[test]
    fn the_instant_of_the_opening_is_known_and_nothing_before() {
        for (nanos, before) in [(99, true), (100, false), (101, false)] {
            let as_of = Timestamp::from_unix_nanos(nanos);
            assert_eq!(opening().is_before(as_of), before, "{nanos}");
        }
    }
}
