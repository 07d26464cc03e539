//! Batches of charges.

use std::collections::BTreeMap;

use super::access::Caller;
use super::estimate::{SLICE_LENGTH, check_batch, pause};
use super::priced::{NeedsAccount, Payer};
use super::{App, AppError, WriteForm};
use crate::domain::Refusal;
use crate::domain::ledger::Command;
use crate::domain::pricing::Catalog;
use crate::store::{Answer, Written};

impl App {
    /// Decides many charges, each by itself, as if they were sent one after another. `check` sees
    /// all items, as commands or as refused by their form, before any of them counts, and can
    /// refuse the batch.
    ///
    /// # Errors
    /// What is wrong with the batch as a whole, or that the store cannot write.
    pub async fn batch_charge(
        &self,
        caller: &Caller,
        forms: Vec<WriteForm<'_>>,
        check: impl FnOnce(&[Result<Command, Refusal>]) -> Result<(), Refusal>,
    ) -> Result<Vec<Answer<Written>>, AppError> {
        check_batch("charges", forms.len())
            .or(())
            .map_err(Refusal::from)?;
        // One price snapshot for all items.
        let selectors = forms.iter().filter_map(WriteForm::selector);
        let prices = self.prices_for(selectors).await?;
        let admitted: Vec<_> = (forms.iter())
            .map(|form| self.admit(caller, form))
            .collect();
        let payers = self.payers(caller, &prices, &forms, &admitted).await?;
        let mut items = Vec::with_capacity(forms.len());
        for ((form, payer), admitted) in forms.into_iter().zip(payers).zip(admitted) {
            if !items.is_empty() && items.len().is_multiple_of(SLICE_LENGTH) {
                // Other calls of the thread have their turn.
                pause().await;
            }
            let item = admitted.and_then(|()| {
                let priced = self.price_of(&prices, &form, None, &payer);
                self.command(caller, &prices, form, priced.unwrap_or_default())
            });
            items.push(item);
        }
        check(&items)?;
        let mut commands = Vec::with_capacity(items.len());
        let refused: Vec<Option<Refusal>> = items
            .into_iter()
            .map(|item| item.map(|command| commands.push(command)).err())
            .collect();
        let answers = match commands.is_empty() {
            true => Vec::new(),
            false => caller.ask(self.store.write_batch(commands)).await?,
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

    /// The accounts that pay for these, all of them read where their settings can have a part.
    async fn payers(
        &self,
        caller: &Caller,
        prices: &Catalog,
        forms: &[WriteForm<'_>],
        admitted: &[Result<(), Refusal>],
    ) -> Result<Vec<Payer>, AppError> {
        let mut payers: Vec<Payer> = forms.iter().map(|form| self.payer(form)).collect();
        let mut to_read = BTreeMap::new();
        for ((form, payer), admitted) in forms.iter().zip(&payers).zip(admitted) {
            if admitted.is_err() {
                // Nothing of it is looked up.
                continue;
            }
            let has_part = || match self.price_of(prices, form, None, payer) {
                Ok(Some(Ok(cost))) => cost.assumed.is_some(),
                Ok(_) => false,
                Err(NeedsAccount) => true,
            };
            if let (Payer::Assumed(_), Some(account)) = (payer, &form.account)
                && !to_read.contains_key(account)
                && has_part()
            {
                to_read.insert(account.clone(), None);
            }
        }
        if to_read.is_empty() {
            return Ok(payers);
        }
        let settings = self.store.settings(to_read.keys().cloned().collect());
        for (place, settings) in to_read.values_mut().zip(caller.ask(settings).await?) {
            *place = settings;
        }
        for (form, payer) in forms.iter().zip(&mut payers) {
            let account = form.account.as_ref();
            if let Some(settings) = account.and_then(|account| to_read.get(account)) {
                *payer = Payer::Read(settings.clone());
            }
        }
        Ok(payers)
    }
}
