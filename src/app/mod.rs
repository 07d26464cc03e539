//! The use cases: look up what a request means, let the domain decide, hand what
//! moves credits to the store. Nothing here knows the wire or a database.

mod balance;
pub mod card_file;
mod charge;
mod estimate;
mod fingerprint;
mod form;
mod grant;
mod hold;

use std::sync::Arc;

use crate::domain::pricing::{Card, Catalog, Selector};
use crate::domain::{Refusal, Timestamp};
use crate::store::{Clock, Store};

pub use balance::{BALANCE_GRANTS_MAX, Balance};
pub use charge::{BatchFits, ChargeForm};
pub use estimate::BatchEstimate;
pub use form::{CostForm, What, WriteForm};
pub use grant::GrantForm;
pub use hold::{HOLD_TTL_SECONDS_DEFAULT, HOLD_TTL_SECONDS_MAX, HoldForm, HoldPage, SettleForm};

/// Most items in one batch.
pub const BATCH_LENGTH_MAX: usize = 10_000;

/// Everything that the use cases need.
pub struct App {
    catalog: Catalog,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl App {
    /// The use cases over these prices and this store.
    #[must_use]
    pub fn new(catalog: Catalog, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            catalog,
            store,
            clock,
        }
    }

    /// The prices.
    #[must_use]
    pub const fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The card that a request means.
    ///
    /// # Errors
    /// That there is none.
    pub fn rate_card(&self, selector: &Selector<'_>) -> Result<&Arc<Card>, Refusal> {
        self.catalog.select(selector, self.clock.now())
    }
}

/// Why a use case did not do what was asked; what it asks and reads; what it wrote.
pub use crate::store::{Answer, EntryPage, EntryQuery, Queued, StoreRefusal as AppError, Written};
