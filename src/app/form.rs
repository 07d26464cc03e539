//! What a request to move credits looks like when it comes in, and how it becomes a
//! command.

use std::sync::Arc;

use super::App;
use crate::domain::ledger::{Action, Command, Cost, Fingerprint, Priced, Pricing, RequestKey};
use crate::domain::pricing::{Card, Selector, Usage, UsageRecord};
use crate::domain::{AccountName, Credits, Faults, Labels, Refusal, RequestId};

/// What every request that moves credits has. A field that was bad is None or empty,
/// and stands among the faults.
#[derive(Clone, Debug, Default)]
pub struct WriteForm {
    /// The caller's name of it.
    pub request_id: Option<RequestId>,
    /// Whose credits.
    pub account: Option<AccountName>,
    /// Kept with the entry.
    pub labels: Labels,
    /// What is wrong, whatever the time, the prices and the account are.
    pub faults: Faults,
}

/// What is to be paid for.
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// Work, to be priced.
    Usage(Usage<'a>),
    /// An amount that the caller decided.
    Credits(Credits),
}

/// What is to be paid for, and by which prices.
#[derive(Clone, Copy, Debug)]
pub struct CostForm<'a> {
    /// What; None where it was bad.
    pub what: Option<What<'a>>,
    /// By which prices.
    pub prices: Selector<'a>,
}

impl WriteForm {
    /// The command, where nothing is wrong with the form.
    pub(super) fn command(
        self,
        fingerprint: Fingerprint,
        action: Action,
    ) -> Result<Command, Refusal> {
        self.faults.or(())?;
        let (Some(id), Some(account)) = (self.request_id, self.account) else {
            // What is missing stands among the faults.
            return Err(Refusal::Invalid(Faults::new()));
        };
        Ok(Command {
            account,
            request: RequestKey { id, fingerprint },
            labels: self.labels,
            action,
        })
    }

    /// A form that is bad: with everything else that is wrong by the rate cards.
    fn with_price_faults(mut self, card: Option<&Card>, usage: &Usage<'_>) -> Refusal {
        if let Some(Err(by_prices)) = card.map(|card| card.price(usage)) {
            for violation in by_prices.under("usage.").violations() {
                if !self.faults.has(&violation.field) {
                    self.faults
                        .add(violation.field.clone(), violation.fault.clone());
                }
            }
        }
        Refusal::Invalid(self.faults)
    }
}

impl App {
    /// The form and its price: a price that is refused counts only once the request_id
    /// was found to be new, but for a form that is bad itself.
    pub(super) fn priced<'a>(
        &self,
        form: WriteForm,
        what: Option<What<'_>>,
        card: impl FnOnce() -> Result<&'a Card, Refusal>,
    ) -> Result<(WriteForm, Priced), Refusal> {
        let Some(what) = what else {
            return Err(Refusal::Invalid(form.faults));
        };
        match what {
            What::Usage(usage) if form.faults.is_empty() => {
                let priced = card().and_then(|card| cost_of(card, &usage));
                Ok((form, priced))
            }
            What::Credits(credits) if form.faults.is_empty() => {
                let cost = Cost {
                    credits,
                    service: None,
                    pricing: None,
                    usage: None,
                };
                Ok((form, Ok(Box::new(cost))))
            }
            What::Usage(usage) => Err(form.with_price_faults(card().ok(), &usage)),
            What::Credits(_) => Err(Refusal::Invalid(form.faults)),
        }
    }
}

/// What a usage costs under a card.
fn cost_of(card: &Card, usage: &Usage<'_>) -> Priced {
    let quote = card.price(usage).map_err(|faults| faults.under("usage."))?;
    Ok(Box::new(Cost {
        credits: quote.credits(),
        service: Some(Arc::clone(&quote.service().key)),
        pricing: Some(Pricing {
            rate_card: card.shared_name(),
            revision: card.revision().shared(),
        }),
        usage: Some(Arc::new(UsageRecord::from(usage))),
    }))
}
