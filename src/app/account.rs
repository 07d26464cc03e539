//! Reads of accounts.

use std::sync::Arc;

use super::access::Caller;
use super::{App, AppError, Balance};
use crate::domain::keys::{AccountPatterns, Scope};
use crate::domain::ledger::{Account, AccountSettings};
use crate::domain::{AccountName, Timestamp};
use crate::store::{AccountSnapshot, NameQuery};

/// How many accounts of a page are read at once. The page takes its turn with other calls: one
/// page of accounts that are in no memory would otherwise delay all writes.
const READ_AT_ONCE: usize = 32;

/// An account at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountState {
    /// When it was opened.
    pub create_time: Option<Timestamp>,
    /// Its settings; None where nothing is set.
    pub settings: Option<Arc<AccountSettings>>,
    /// Its balance.
    pub balance: Balance,
}

impl AccountState {
    fn of(account: &Account, balance: Balance) -> Self {
        Self {
            create_time: account.create_time(),
            settings: account.settings().cloned(),
            balance,
        }
    }
}

/// A page of accounts by name.
#[derive(Clone, Debug, Default)]
pub struct AccountPage {
    /// The accounts, their balances without grants.
    pub accounts: Vec<AccountState>,
    /// Whether the list goes on.
    pub more: bool,
}

impl App {
    /// An account as it is.
    ///
    /// # Errors
    /// An account that the caller may not name, that there is none, or that it cannot be read.
    pub async fn get_account(
        &self,
        caller: &Caller,
        account: AccountName,
    ) -> Result<AccountState, AppError> {
        self.access.admit(caller, &account, Scope::Read)?;
        let snapshot = caller.ask(self.store.account(account, None)).await?;
        Ok(AccountState::of(&snapshot.account, Balance::of(&snapshot)))
    }

    /// A page of the accounts that the caller may name, each as it is when it is read.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn list_accounts(
        &self,
        caller: &Caller,
        query: NameQuery,
    ) -> Result<AccountPage, AppError> {
        let limit = query.limit;
        let one_more = NameQuery {
            limit: limit.saturating_add(1),
            ..query
        };
        let mut names = match caller.accounts() {
            None => caller.ask(self.store.account_names(one_more)).await?,
            Some(allowed) => self.allowed_names(caller, allowed, &one_more).await?,
        };
        let more = names.len() > limit;
        names.truncate(limit);
        let mut accounts = Vec::with_capacity(names.len());
        for names in names.chunks(READ_AT_ONCE) {
            let pending: Vec<_> = (names.iter())
                .map(|name| self.store.account(name.clone(), None))
                .collect();
            for snapshot in pending {
                let snapshot: AccountSnapshot = caller.ask(snapshot).await?;
                let balance = Balance::without_grants(&snapshot);
                accounts.push(AccountState::of(&snapshot.account, balance));
            }
        }
        Ok(AccountPage { accounts, more })
    }

    /// Names of accounts, as far as they are allowed.
    async fn allowed_names(
        &self,
        caller: &Caller,
        allowed: &AccountPatterns,
        query: &NameQuery,
    ) -> Result<Vec<AccountName>, AppError> {
        let mut names = Vec::new();
        for pattern in allowed.within(&query.prefix) {
            let left = query.limit.saturating_sub(names.len());
            if left == 0 {
                break;
            }
            let is_behind = |after: &AccountName| {
                let is_within = pattern.is_prefix && pattern.matches(after.as_str());
                *after.as_str() < *pattern.text || is_within
            };
            if !query.after.as_ref().is_none_or(is_behind) {
                continue;
            }
            let found = self.store.account_names(NameQuery {
                // The name itself comes before all that begin so.
                limit: if pattern.is_prefix { left } else { 1 },
                prefix: pattern.text.clone(),
                after: query.after.clone(),
            });
            let found = caller.ask(found).await?.into_iter();
            names.extend(found.filter(|name| pattern.matches(name.as_str())));
        }
        Ok(names)
    }
}
