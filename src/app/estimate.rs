//! What usage would cost, and whether an account could pay.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use super::access::Caller;
use super::{App, AppError, BATCH_LENGTH_MAX};
use crate::domain::ledger::{Account, Affordability, FundsCheck, SpendableCredits};
use crate::domain::pricing::{AccountTerms, Catalog, PriceTerms, Quote, Selector, Usage};
use crate::domain::{AccountName, Credits, FieldViolations, Refusal, Violation};

/// Most unknown services for which one batch searches the nearest known one.
const SUGGESTIONS_MAX: usize = 32;

/// How many grants and services a check of funds visits without a pause: a millisecond's work.
const VISITS_AT_ONCE: usize = 16_384;

/// So many items of a batch are priced at a time: about half a millisecond.
pub(super) const SLICE_LENGTH: usize = 512;

/// Priced usages, in the order of the request. A bad usage fails alone.
pub struct BatchEstimate<'card> {
    /// The terms by which they were priced.
    pub terms: PriceTerms<'card>,
    /// For each usage its quote, or everything that is wrong with it.
    pub results: Vec<Result<Quote<'card>, FieldViolations>>,
    /// The exact sum of the quotes.
    pub total: Credits,
}

impl App {
    /// Prices one usage by these prices. `violations` is what is wrong with the request already; it
    /// is refused together with what is wrong with the usage.
    ///
    /// # Errors
    /// All bad fields of the usage under `usage.`, or no such prices.
    pub fn estimate<'a>(
        &self,
        prices: &'a Catalog,
        usage: Option<&Usage<'_>>,
        selector: &Selector<'_>,
        account: AccountTerms<'a>,
        violations: FieldViolations,
    ) -> Result<(PriceTerms<'a>, Quote<'a>), Refusal> {
        let Some(usage) = usage else {
            let mut all = FieldViolations::of("usage", Violation::Required);
            all.merge(violations);
            return Err(all.into());
        };
        let with_rest = |of_usage: FieldViolations| {
            let mut all = of_usage.under("usage.");
            all.merge(violations.clone());
            all
        };
        let terms = self.terms(prices, selector, account).map_err(|missing| {
            // Bad fields are named before prices that are not there.
            let all = with_rest(usage.own_violations());
            all.or(missing).unwrap_or_else(Refusal::from)
        })?;
        match terms.price(usage) {
            Ok(quote) => violations.or((terms, quote)).map_err(Refusal::from),
            Err(of_usage) => Err(with_rest(of_usage).into()),
        }
    }

    /// Prices many usages by these prices. `violations` is what is wrong with the request as a
    /// whole already.
    ///
    /// # Errors
    /// What is wrong with the batch as a whole: its size, its prices, its total.
    pub async fn batch_estimate<'a>(
        &self,
        prices: &'a Catalog,
        usages: &[Usage<'_>],
        selector: &Selector<'_>,
        account: AccountTerms<'a>,
        violations: FieldViolations,
    ) -> Result<BatchEstimate<'a>, Refusal> {
        let mut all = check_batch("usages", usages.len());
        all.merge(violations);
        all.or(())?;
        let terms = self.terms(prices, selector, account)?;
        let card = terms.card();
        // A search for the nearest service compares with every row of the card: each name is
        // searched once, and a batch can ask for only so many searches.
        let mut suggested: HashMap<&str, Violation> = HashMap::new();
        let mut results = Vec::with_capacity(usages.len());
        for slice in usages.chunks(SLICE_LENGTH) {
            if !results.is_empty() {
                // Other calls of the thread have their turn.
                pause().await;
            }
            results.extend(slice.iter().map(|usage| {
                terms.price_or(usage, |service| match suggested.get(service) {
                    Some(violation) => violation.clone(),
                    None if suggested.len() < SUGGESTIONS_MAX => {
                        let violation = card.unknown_service(service);
                        suggested.insert(usage.service, violation.clone());
                        violation
                    }
                    None => card.unknown_service_unsearched(service),
                })
            }));
        }
        let total = results
            .iter()
            .flatten()
            .try_fold(Credits::ZERO, |sum, quote| sum.checked_add(quote.credits()))
            .map_err(|_| Refusal::invalid("usages", Violation::CostTooLarge))?;
        Ok(BatchEstimate {
            terms,
            results,
            total,
        })
    }

    /// Whether the account could pay these costs, as if they were charged in order: now, or at
    /// the moment for which it was read. It reserves nothing.
    ///
    /// # Errors
    /// An unknown account, or a store that cannot be read.
    pub async fn affordability(
        &self,
        caller: &Caller,
        payer: AccountName,
        account: Option<Arc<Account>>,
        costs: Vec<(Arc<str>, Credits)>,
    ) -> Result<Affordability, AppError> {
        let account = match account {
            Some(account) => account,
            None => caller.ask(self.store.account(payer, None)).await?.account,
        };
        let first = costs.first().map(|(service, _)| Arc::clone(service));
        let one = first.filter(|one| costs.iter().all(|(service, _)| service == one));
        let credits = match one {
            Some(service) => SpendableCredits::of_service(&account, &service),
            None => SpendableCredits::of(&account),
        };
        drop(account);
        let costs = costs.iter();
        let costs = costs.map(|(service, credits)| (&**service, *credits));
        let mut check = FundsCheck::new(&credits, costs);
        loop {
            match check.advance(VISITS_AT_ONCE) {
                Ok(Some(affordability)) => return Ok(affordability),
                // Other calls of the thread have their turn.
                Ok(None) => tokio::task::yield_now().await,
                Err(_) => return Err(Refusal::invalid("usages", Violation::CostTooLarge).into()),
            }
        }
    }
}

/// Lets whoever polls this poll others first.
pub(super) async fn pause() {
    let mut has_paused = false;
    poll_fn(|context| match std::mem::replace(&mut has_paused, true) {
        true => Poll::Ready(()),
        false => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

/// What is wrong with the size of a batch.
pub(super) fn check_batch(field: &'static str, size: usize) -> FieldViolations {
    match size {
        0 => FieldViolations::of(
            field,
            Violation::BatchEmpty {
                limit: BATCH_LENGTH_MAX,
            },
        ),
        _ if size > BATCH_LENGTH_MAX => FieldViolations::of(
            field,
            Violation::TooManyItems {
                size,
                limit: BATCH_LENGTH_MAX,
            },
        ),
        _ => FieldViolations::new(),
    }
}
