//! The prices that are served: a snapshot, which can be replaced while calls go on. A call
//! takes it once when it begins, and keeps what it has.

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::Guard;

use super::App;
use crate::domain::Refusal;
use crate::domain::pricing::{Card, Catalog, Selector};

/// The prices of one moment, for a call that does not wait: to take them costs no count that
/// threads share.
pub struct Prices(Guard<Arc<Catalog>>);

impl Prices {
    /// The same, for a call that waits.
    #[must_use]
    pub fn into_shared(self) -> Arc<Catalog> {
        Guard::into_inner(self.0)
    }
}

impl Deref for Prices {
    type Target = Catalog;

    fn deref(&self) -> &Catalog {
        &self.0
    }
}

impl App {
    /// The prices as they are now.
    #[must_use]
    pub fn prices(&self) -> Prices {
        Prices(self.catalog.load())
    }

    /// Serves these prices from now on. Calls that have begun keep those that they began with,
    /// which are returned.
    pub fn replace_prices(&self, catalog: Arc<Catalog>) -> Arc<Catalog> {
        self.catalog.swap(catalog)
    }

    /// The card that a request means now.
    ///
    /// # Errors
    /// That there is none.
    pub fn rate_card(&self, selector: &Selector<'_>) -> Result<Arc<Card>, Refusal> {
        self.prices().select(selector, self.clock.now()).cloned()
    }

    /// The card of these prices that a request means.
    pub(super) fn card<'a>(
        &self,
        prices: &'a Catalog,
        selector: &Selector<'_>,
    ) -> Result<&'a Card, Refusal> {
        let card = prices.select(selector, self.clock.now());
        card.map(|card| &**card)
    }
}
