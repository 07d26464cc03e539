//! What an account has left.

use super::{App, AppError};
use crate::domain::{AccountName, Timestamp};
use crate::store::Reading;

/// Most grants that a balance lists.
pub const BALANCE_GRANTS_MAX: usize = 1_000;

impl App {
    /// The account now, or as it was.
    ///
    /// # Errors
    /// An unknown account, or a time that is still to come.
    pub async fn balance(
        &self,
        account: AccountName,
        as_of: Option<Timestamp>,
    ) -> Result<Reading, AppError> {
        self.store.account(account, as_of).await
    }
}
