//! What an account has left.

use super::{App, AppError};
use crate::domain::fault::TimeRule;
use crate::domain::{AccountName, Faults, Refusal, Timestamp};
use crate::store::Reading;

/// Most grants that a balance lists.
pub const BALANCE_GRANTS_MAX: usize = 1_000;

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
    ) -> Result<Reading, AppError> {
        match account {
            Some(account) if faults.is_empty() => self.store.account(account, as_of).await,
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
}
