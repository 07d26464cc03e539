//! What an account has, now and then, and what happened to it.

use super::{App, AppError};
use crate::domain::fault::TimeRule;
use crate::domain::ledger::GrantState;
use crate::domain::{AccountName, Credits, Faults, Refusal, Timestamp};
use crate::store::{AccountSnapshot, Changes, EntryPage, EntryQuery};

/// Most grants that a balance lists.
pub const BALANCE_GRANTS_MAX: usize = 1_000;

/// All figures of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Whose.
    pub account: AccountName,
    /// What can be spent.
    pub available: Credits,
    /// What is set aside.
    pub held: Credits,
    /// The first live grants, in the order in which they burn.
    pub grants: Vec<GrantState>,
    /// The moment.
    pub time: Timestamp,
    /// The number of moves.
    pub version: i64,
}

impl Balance {
    fn of(snapshot: &AccountSnapshot) -> Self {
        let AccountSnapshot { account, time } = snapshot;
        Self {
            account: account.name().clone(),
            available: account.available(),
            held: account.held(),
            grants: account.grants().take(BALANCE_GRANTS_MAX).cloned().collect(),
            time: *time,
            version: account.version(),
        }
    }
}

impl App {
    /// The account now, or as it was. `faults` is what is wrong with the request's
    /// form; what is wrong by the time is refused together with it.
    ///
    /// # Errors
    /// Bad fields, an unknown account, or a time that is still to come.
    pub async fn balance(
        &self,
        account: Option<AccountName>,
        as_of: Option<Timestamp>,
        mut faults: Faults,
    ) -> Result<Balance, AppError> {
        match account {
            Some(account) if faults.is_empty() => {
                let snapshot = self.store.account(account, as_of).await?;
                Ok(Balance::of(&snapshot))
            }
            _ => {
                let now = self.now();
                let to_come = |time| TimeRule::NotFuture.fault(time, now);
                if let Some(fault) = as_of.and_then(to_come) {
                    faults.add("as_of", fault);
                }
                Err(Refusal::Invalid(faults).into())
            }
        }
    }

    /// Tells of each change of the account from now on.
    ///
    /// # Errors
    /// An unknown account, or a store that cannot be read.
    pub async fn watch(&self, account: AccountName) -> Result<Changes, AppError> {
        self.store.watch(account).await
    }

    /// Some of the account's moves, newest first.
    ///
    /// # Errors
    /// An unknown account or hold, a bad place to begin at, or a store that cannot be
    /// read.
    pub async fn entries(
        &self,
        account: AccountName,
        query: EntryQuery,
    ) -> Result<EntryPage, AppError> {
        self.store.entries(account, query).await
    }
}
