//! Batches of charges.

use super::estimate::check_batch;
use super::{App, AppError, WriteForm};
use crate::domain::Refusal;
use crate::domain::ledger::Command;
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
        forms: Vec<WriteForm<'_>>,
        check: impl FnOnce(&[Result<Command, Refusal>]) -> Result<(), Refusal>,
    ) -> Result<Vec<Answer<Written>>, AppError> {
        check_batch("charges", forms.len())
            .or(())
            .map_err(Refusal::from)?;
        // One price snapshot for all items.
        let selectors = forms.iter().filter_map(WriteForm::selector);
        let prices = self.prices_for(selectors).await?;
        let items: Vec<_> = forms
            .into_iter()
            .map(|form| self.command(&prices, form, None))
            .collect();
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
}
