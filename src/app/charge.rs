//! Paying for work at once, one by one or many together, and giving it back.

use super::estimate::check_batch;
use super::fingerprint::{FingerprintWriter, Method};
use super::form::{CostForm, WriteForm};
use super::{App, AppError};
use crate::domain::ledger::{Action, Command, EntryId, Named};
use crate::domain::pricing::Catalog;
use crate::domain::{Credits, Refusal};
use crate::store::{Answer, Pending, Written};

/// A request to pay for work.
#[derive(Clone, Debug)]
pub struct ChargeForm<'a> {
    /// What every write has.
    pub write: WriteForm,
    /// What is to be paid for.
    pub cost: CostForm<'a>,
}

impl App {
    /// Pays for work, and answers once that is durable.
    ///
    /// # Errors
    /// What is refused by the rules, or that the store cannot write.
    pub fn charge(&self, form: ChargeForm<'_>) -> Pending<Box<Written>> {
        // No part of a charge but its answer is waited for: what was sent is not kept.
        match self.charge_command(&self.prices(), form) {
            Ok(command) => self.store.write(command),
            Err(refusal) => Pending::ready(Err(refusal.into())),
        }
    }

    fn charge_command(&self, by: &Catalog, form: ChargeForm<'_>) -> Result<Command, Refusal> {
        let CostForm { what, prices } = form.cost;
        let (write, cost) = self.priced(form.write, what, || self.card(by, &prices))?;
        let mut writer = FingerprintWriter::new(Method::Charge);
        if let Some(what) = &what {
            writer.what(3, 4, what);
        }
        let fingerprint = writer.prices(5, &prices).labels(6, &write.labels).finish();
        write.command(fingerprint, Action::Charge(cost))
    }

    /// Pays for many works, each by itself, as if they were sent one after another.
    /// `check` sees all items, as commands or as refused by their form, before any of them
    /// counts, and can refuse the batch.
    ///
    /// # Errors
    /// What is wrong with the batch as a whole, or that the store cannot write.
    pub async fn batch_charge(
        &self,
        forms: Vec<ChargeForm<'_>>,
        check: impl FnOnce(&[Result<Command, Refusal>]) -> Result<(), Refusal>,
    ) -> Result<Vec<Answer<Written>>, AppError> {
        check_batch("charges", forms.len())
            .or(())
            .map_err(Refusal::from)?;
        let items: Vec<_> = {
            // All items by the same prices.
            let prices = self.prices();
            let forms = forms.into_iter();
            forms
                .map(|form| self.charge_command(&prices, form))
                .collect()
        };
        check(&items)?;
        let mut commands = Vec::with_capacity(items.len());
        let refused: Vec<Option<Refusal>> = items
            .into_iter()
            .map(|item| item.map(|command| commands.push(command)).err())
            .collect();
        let answers = match commands.is_empty() {
            true => Vec::new(),
            false => self.store.write_batch(commands).await?,
        };
        if answers.len() == refused.len() {
            return Ok(answers);
        }
        let mut answers = answers.into_iter();
        let merged = refused.into_iter().filter_map(|refused| match refused {
            None => answers.next(),
            Some(refusal) => Some(Err(refusal.into())),
        });
        Ok(merged.collect())
    }

    /// Gives back a charge or settlement; without `credits` all that is not given
    /// back yet.
    ///
    /// # Errors
    /// As [`App::charge`].
    pub async fn refund(
        &self,
        form: WriteForm,
        entry: Option<Named<EntryId>>,
        credits: Option<Credits>,
    ) -> Result<Box<Written>, AppError> {
        let Some(entry) = entry else {
            return Err(Refusal::Invalid(form.faults).into());
        };
        let mut writer = FingerprintWriter::new(Method::Refund);
        writer.text(3, &entry.text());
        if let Some(credits) = credits {
            writer.amount(4, credits);
        }
        let fingerprint = writer.labels(5, &form.labels).finish();
        let command = form.command(fingerprint, Action::Refund { entry, credits })?;
        self.store.write(command).await
    }
}
