//! Balances and entries of an account.

use super::access::Caller;
use super::{App, AppError};
use crate::domain::keys::Scope;
use crate::domain::ledger::GrantState;
use crate::domain::violation::TimeRule;
use crate::domain::{AccountName, Credits, FieldViolations, Refusal, Timestamp};
use crate::store::{AccountSnapshot, Changes, EntryPage, EntryQuery};

/// Most grants that a balance lists.
pub const BALANCE_GRANTS_MAX: usize = 1_000;

/// An account's credits at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// The account.
    pub account: AccountName,
    /// What can be spent.
    pub available: Credits,
    /// What open holds have set aside.
    pub held: Credits,
    /// The first live grants, in the order in which they burn.
    pub grants: Vec<GrantState>,
    /// The moment.
    pub time: Timestamp,
    /// Counts the account's entries that callers see.
    pub version: i64,
}

impl Balance {
    pub(super) fn of(snapshot: &AccountSnapshot) -> Self {
        let grants = snapshot.account.grants();
        Self {
            grants: grants.take(BALANCE_GRANTS_MAX).cloned().collect(),
            ..Self::without_grants(snapshot)
        }
    }

    pub(super) fn without_grants(snapshot: &AccountSnapshot) -> Self {
        let AccountSnapshot { account, time } = snapshot;
        Self {
            account: account.name().clone(),
            available: account.available(),
            held: account.held(),
            grants: Vec::new(),
            time: *time,
            version: account.version(),
        }
    }
}

impl App {
    /// The balance now, or as of an earlier time. `violations` is what is wrong with the request
    /// already; a time that is still to come is refused together with it.
    ///
    /// # Errors
    /// Bad fields, an account that the caller may not name, an unknown account, or a time that
    /// is still to come.
    pub async fn balance(
        &self,
        caller: &Caller,
        account: Option<AccountName>,
        as_of: Option<Timestamp>,
        violations: FieldViolations,
    ) -> Result<Balance, AppError> {
        if let Some(account) = &account {
            self.access.admit(caller, account, Scope::Read)?;
        }
        self.balance_again(caller, account, as_of, violations).await
    }

    /// The same for a caller that was admitted to the account.
    pub(crate) async fn balance_again(
        &self,
        caller: &Caller,
        account: Option<AccountName>,
        as_of: Option<Timestamp>,
        mut violations: FieldViolations,
    ) -> Result<Balance, AppError> {
        match account {
            Some(account) if violations.is_empty() => {
                let snapshot = caller.ask(self.store.account(account, as_of)).await?;
                Ok(Balance::of(&snapshot))
            }
            _ => {
                let now = self.now();
                let to_come = |time| TimeRule::NotFuture.violation(time, now);
                if let Some(violation) = as_of.and_then(to_come) {
                    violations.add("as_of", violation);
                }
                Err(Refusal::Invalid(violations).into())
            }
        }
    }

    /// Announces each change of the account from now on.
    ///
    /// # Errors
    /// An account that the caller may not name, an unknown account, or a store that cannot be
    /// read.
    pub async fn watch(&self, caller: &Caller, account: AccountName) -> Result<Changes, AppError> {
        self.access.admit(caller, &account, Scope::Read)?;
        caller.ask(self.store.watch(account)).await
    }

    /// A page of the account's entries, newest first.
    ///
    /// # Errors
    /// An account that the caller may not name, an unknown account or hold, or a store that cannot
    /// be read.
    pub async fn entries(
        &self,
        caller: &Caller,
        account: AccountName,
        query: EntryQuery,
    ) -> Result<EntryPage, AppError> {
        self.access.admit(caller, &account, Scope::Read)?;
        caller.ask(self.store.entries(account, query)).await
    }
}
