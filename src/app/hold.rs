//! Reads of holds.

use std::ops::Bound;
use std::sync::Arc;

use super::access::Caller;
use super::{App, AppError};
use crate::domain::keys::Scope;
use crate::domain::ledger::{Hold, HoldId, Named};
use crate::domain::{AccountName, Labels, RequestId, Timestamp};

/// Filters of a list of open holds. A hold has to pass all that are set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HoldQuery {
    /// Younger than this hold.
    pub after: Option<HoldId>,
    /// The length of a page.
    pub limit: usize,
    /// Made by the write with this request_id.
    pub request_id: Option<RequestId>,
    /// With all of these labels; there may be more.
    pub labels: Labels,
    /// Made then or later.
    pub start_time: Option<Timestamp>,
    /// Made before then.
    pub end_time: Option<Timestamp>,
}

impl HoldQuery {
    fn matches(&self, hold: &Hold) -> bool {
        let made = hold.terms.create_time;
        self.start_time.is_none_or(|start| start <= made)
            && self.end_time.is_none_or(|end| made < end)
            && (self.request_id.as_ref()).is_none_or(|id| *id == hold.terms.request_id)
            && hold.terms.labels.have_all_of(&self.labels)
    }
}

/// A page of open holds, oldest first.
#[derive(Clone, Debug, Default)]
pub struct HoldPage {
    /// The holds.
    pub holds: Vec<Arc<Hold>>,
    /// Whether the list goes on.
    pub more: bool,
}

impl App {
    /// A hold of any status.
    ///
    /// # Errors
    /// An account that the caller may not name, that there is no such hold, or that it cannot be
    /// read.
    pub async fn get_hold(
        &self,
        caller: &Caller,
        account: AccountName,
        hold: Named<HoldId>,
    ) -> Result<Arc<Hold>, AppError> {
        self.access.admit(caller, &account, Scope::Read)?;
        caller.ask(self.store.hold(account, hold)).await
    }

    /// A page of the account's open holds.
    ///
    /// # Errors
    /// An account that the caller may not name, an unknown account, or a store that cannot be
    /// read.
    pub async fn list_holds(
        &self,
        caller: &Caller,
        account: AccountName,
        query: HoldQuery,
    ) -> Result<HoldPage, AppError> {
        self.access.admit(caller, &account, Scope::Read)?;
        let snapshot = caller.ask(self.store.account(account, None)).await?;
        let account = snapshot.account;
        let from = query.after.map_or(Bound::Unbounded, Bound::Excluded);
        let open = account.holds().range((from, Bound::Unbounded));
        let mut found = open
            .map(|(_, open)| &open.hold)
            .filter(|hold| query.matches(hold));
        let holds = found.by_ref().take(query.limit).cloned().collect();
        Ok(HoldPage {
            holds,
            more: found.next().is_some(),
        })
    }
}
