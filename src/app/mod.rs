//! The use cases: they price a request, make a command of it and hand the command to the store.
//! Nothing here knows gRPC or a database.

pub mod access;
mod account;
mod balance;
mod caller;
pub mod card_file;
pub mod certificates;
mod charge;
mod estimate;
mod fingerprint;
mod hold;
pub mod keys;
mod priced;
pub mod prices;
mod publish;
pub mod reload;
mod ring;
pub mod token;
mod write;

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{Mutex, mpsc};

use crate::domain::Timestamp;
use crate::domain::pricing::Catalog;
use crate::store::cards::RateCardStore;
use crate::store::{Clock, Store};

use self::access::{Access, Authentication};
use self::prices::Lookups;
use self::reload::ReloadRequest;

pub use account::{AccountPage, AccountState};
pub use balance::{BALANCE_GRANTS_MAX, Balance};
pub use estimate::BatchEstimate;
pub use hold::{HoldPage, HoldQuery};
pub use priced::PricedAccount;
pub use prices::Prices;
pub use publish::{ListedRateCard, PublishedRateCard, refusal_of_text};
pub use write::{CostForm, HOLD_TTL_SECONDS_DEFAULT, HOLD_TTL_SECONDS_MAX, WriteForm};

/// Most items in one batch.
pub const BATCH_LENGTH_MAX: usize = 10_000;

/// The use cases, with what they need.
pub struct App {
    catalog: ArcSwap<Catalog>,
    store: Arc<dyn Store>,
    cards: Arc<dyn RateCardStore>,
    /// Locked by whoever looks up `cards` or replaces `catalog`.
    lookups: Mutex<Lookups>,
    clock: Arc<dyn Clock>,
    /// The default that the server was told; None: that of its files.
    default_rate_card: ArcSwapOption<String>,
    access: Arc<Access>,
    /// Whoever reads the configuration again.
    reloads: Option<mpsc::Sender<ReloadRequest>>,
}

impl App {
    /// The use cases over these prices and stores. The prices are those that are in force in
    /// `cards`. Callers are not asked who they are.
    #[must_use]
    pub fn new(
        catalog: Catalog,
        store: Arc<dyn Store>,
        cards: Arc<dyn RateCardStore>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            catalog: ArcSwap::from_pointee(catalog),
            store,
            lookups: Mutex::new(Lookups::new(cards.as_ref())),
            cards,
            access: Arc::new(Access::new(Authentication::Off, Arc::clone(&clock), 0)),
            clock,
            default_rate_card: ArcSwapOption::empty(),
            reloads: None,
        }
    }

    /// The same where the server was told which card is meant where none is named.
    #[must_use]
    pub fn with_default_rate_card(self, name: Option<&str>) -> Self {
        self.set_default_rate_card(name);
        self
    }

    fn set_default_rate_card(&self, name: Option<&str>) {
        let name = name.map(|name| Arc::new(name.to_owned()));
        self.default_rate_card.store(name);
    }

    /// The same where callers may do what this says.
    #[must_use]
    pub fn with_access(self, access: Arc<Access>) -> Self {
        Self { access, ..self }
    }

    /// Who may call.
    #[must_use]
    pub const fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// Which queue would refuse a single write that came now, and how much may be queued there. It
    /// counts as refused.
    #[must_use]
    pub fn refuses_writes(&self) -> Option<(usize, Queued)> {
        self.store.refuses_writes()
    }

    /// The time by the server's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// What use cases take from a store of keys and answer.
pub use crate::store::keys::{AdminEvent, EventQuery, KeyQuery};
/// What use cases take from a store and answer.
pub use crate::store::{
    Answer, EntryPage, EntryQuery, NameQuery, Pending, Queued, StoreCall, StoreError as AppError,
    Written,
};
