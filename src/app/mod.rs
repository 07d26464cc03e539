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
mod prices;

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::domain::Timestamp;
use crate::domain::pricing::Catalog;
use crate::store::{Clock, Store};

pub use balance::{BALANCE_GRANTS_MAX, Balance};
pub use charge::ChargeForm;
pub use estimate::BatchEstimate;
pub use form::{CostForm, What, WriteForm};
pub use grant::GrantForm;
pub use hold::{
    HOLD_TTL_SECONDS_DEFAULT, HOLD_TTL_SECONDS_MAX, HoldForm, HoldPage, HoldQuery, SettleForm,
};
pub use prices::Prices;

/// Most items in one batch.
pub const BATCH_LENGTH_MAX: usize = 10_000;

/// Everything that the use cases need.
pub struct App {
    catalog: ArcSwap<Catalog>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl App {
    /// The use cases over these prices and this store.
    #[must_use]
    pub fn new(catalog: Catalog, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            catalog: ArcSwap::from_pointee(catalog),
            store,
            clock,
        }
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Why a use case did not do what was asked; what it asks and reads; what it wrote.
pub use crate::store::{Answer, EntryPage, EntryQuery, Queued, StoreRefusal as AppError, Written};
