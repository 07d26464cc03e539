//! What usage would cost, and whether an account could pay.

use std::collections::HashMap;
use std::sync::Arc;

use super::{App, AppError, BATCH_LENGTH_MAX};
use crate::domain::ledger::{Affordability, Purse, afford};
use crate::domain::pricing::{Card, Catalog, Quote, Selector, Usage};
use crate::domain::{AccountName, Credits, Fault, Faults, Refusal};

/// Most names for which one batch is told what may have been meant.
const SUGGESTIONS_MAX: usize = 32;

/// Priced usages, in the order of the request. One bad usage fails alone.
pub struct BatchEstimate<'card> {
    /// The card that priced them.
    pub card: &'card Card,
    /// A quote or everything that is wrong with the usage.
    pub results: Vec<Result<Quote<'card>, Faults>>,
    /// Exact sum of the quotes.
    pub total: Credits,
}

impl App {
    /// Prices one usage by these prices. `found` is what is already known to be wrong with the
    /// request; it is refused together with what is found here.
    ///
    /// # Errors
    /// All bad fields of the usage under `usage.`, or no such prices.
    pub fn estimate<'a>(
        &self,
        prices: &'a Catalog,
        usage: Option<&Usage<'_>>,
        selector: &Selector<'_>,
        mut found: Faults,
    ) -> Result<(&'a Card, Quote<'a>), Refusal> {
        let Some(usage) = usage else {
            let mut faults = Faults::of("usage", Fault::Required);
            faults.merge(found);
            return Err(faults.into());
        };
        match self.card(prices, selector) {
            Ok(card) => match (card.price(usage), found.is_empty()) {
                (Ok(quote), true) => Ok((card, quote)),
                (Ok(_), false) => Err(found.into()),
                (Err(faults), _) => {
                    let mut all = faults.under("usage.");
                    all.merge(found);
                    Err(all.into())
                }
            },
            Err(missing) if found.is_empty() => {
                // Bad fields are named before prices that are not there.
                found = usage.own_faults();
                found.under("usage.").or(()).map_err(Refusal::from)?;
                Err(missing)
            }
            Err(_) => {
                let mut all = usage.own_faults().under("usage.");
                all.merge(found);
                Err(all.into())
            }
        }
    }

    /// Prices many usages by these prices. `found` is what is already known to be wrong with
    /// the request as a whole.
    ///
    /// # Errors
    /// What is wrong with the batch as a whole: its size, its prices, its total.
    pub fn batch_estimate<'a>(
        &self,
        prices: &'a Catalog,
        usages: &[Usage<'_>],
        selector: &Selector<'_>,
        found: Faults,
    ) -> Result<BatchEstimate<'a>, Refusal> {
        let mut faults = check_batch("usages", usages.len());
        faults.merge(found);
        faults.or(())?;
        let card = self.card(prices, selector)?;
        // A name that is misspelled throughout is looked for once, and no batch
        // can ask for more than a few searches.
        let mut suggested: HashMap<&str, Fault> = HashMap::new();
        let results: Vec<_> = usages
            .iter()
            .map(|usage| {
                card.price_or(usage, |service| match suggested.get(service) {
                    Some(fault) => fault.clone(),
                    None if suggested.len() < SUGGESTIONS_MAX => {
                        let fault = card.unknown_service(service);
                        suggested.insert(usage.service, fault.clone());
                        fault
                    }
                    None => card.unknown_service_unsearched(service),
                })
            })
            .collect();
        let total = results
            .iter()
            .flatten()
            .try_fold(Credits::ZERO, |sum, quote| sum.checked_add(quote.credits()))
            .map_err(|_| Refusal::invalid("usages", Fault::CostTooLarge))?;
        Ok(BatchEstimate {
            card,
            results,
            total,
        })
    }

    /// Whether the account could pay these costs now, as if they were charged in
    /// order. It reserves nothing.
    ///
    /// # Errors
    /// An unknown account, or a store that cannot be read.
    pub async fn affordability(
        &self,
        payer: AccountName,
        costs: Vec<(Arc<str>, Credits)>,
    ) -> Result<Affordability, AppError> {
        let first = costs.first().map(|(service, _)| Arc::clone(service));
        let one = first.filter(|one| costs.iter().all(|(service, _)| service == one));
        let account = self.store.account(payer, None).await?.account;
        let purse = match one {
            Some(service) => Purse::of_service(&account, &service),
            None => Purse::of(&account),
        };
        // A write to the account copies it while a snapshot is in use.
        drop(account);
        let costs = costs.iter();
        let costs = costs.map(|(service, credits)| (&**service, *credits));
        afford(&purse, costs).map_err(|_| Refusal::invalid("usages", Fault::CostTooLarge).into())
    }
}

/// What is wrong with the size of a batch.
pub(super) fn check_batch(field: &'static str, size: usize) -> Faults {
    match size {
        0 => Faults::of(
            field,
            Fault::BatchEmpty {
                limit: BATCH_LENGTH_MAX,
            },
        ),
        _ if size > BATCH_LENGTH_MAX => Faults::of(
            field,
            Fault::TooManyItems {
                size,
                limit: BATCH_LENGTH_MAX,
            },
        ),
        _ => Faults::new(),
    }
}
