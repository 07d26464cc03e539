//! Batches of charges.

use super::estimate::check_batch;
use super::{App, AppError, WriteForm};
use crate::domain::Refusal;
use crate::store::{Answer, Written};

/// Says whether the answers to a batch may be given: of the items that could be
/// decided, in order.
pub type BatchFits = Box<dyn FnMut(&[Answer<Written>]) -> Result<(), Refusal> + Send>;

impl App {
    /// Decides many charges, each by itself, as if they were sent one after another. `fits` is
    /// given the charges that are refused already, and makes the check of all answers.
    ///
    /// # Errors
    /// What is wrong with the batch as a whole, or that the store cannot write.
    pub async fn batch_charge(
        &self,
        forms: Vec<WriteForm<'_>>,
        fits: impl FnOnce(&[Refusal]) -> BatchFits,
    ) -> Result<Vec<Answer<Written>>, AppError> {
        check_batch("charges", forms.len())
            .or(())
            .map_err(Refusal::from)?;
        let mut refused = Vec::new();
        let mut commands = Vec::with_capacity(forms.len());
        let mut decided = Vec::with_capacity(forms.len());
        {
            // One price snapshot for all items.
            let prices = self.prices();
            for form in forms {
                match self.command(&prices, form, None) {
                    Ok(command) => {
                        commands.push(command);
                        decided.push(true);
                    }
                    Err(refusal) => {
                        refused.push(refusal);
                        decided.push(false);
                    }
                }
            }
        }
        let mut fits = fits(&refused);
        let answers = match commands.is_empty() {
            true => fits(&[]).map(|()| Vec::new())?,
            false => self.store.write_batch(commands, fits).await?,
        };
        if refused.is_empty() {
            return Ok(answers);
        }
        let mut merged = Vec::with_capacity(decided.len());
        let (mut answers, mut refused) = (answers.into_iter(), refused.into_iter());
        merged.extend(decided.into_iter().filter_map(|decided| match decided {
            true => answers.next(),
            false => refused.next().map(|refusal| Err(refusal.into())),
        }));
        Ok(merged)
    }
}
