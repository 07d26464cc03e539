//! Adding credits, and taking them back.

use super::fingerprint::{self, FingerprintWriter, Method};
use super::form::WriteForm;
use super::{App, AppError};
use crate::domain::fault::TimeRule;
use crate::domain::ledger::{Action, GrantAction, GrantId, Named};
use crate::domain::{Credits, Faults, Refusal, Timestamp};
use crate::store::Written;

/// A request to add credits. A field that was bad is None or empty, and stands
/// among the faults of the form.
#[derive(Clone, Debug)]
pub struct GrantForm {
    /// What every write has.
    pub write: WriteForm,
    /// How much; more than 0.
    pub credits: Option<Credits>,
    /// When what is left is gone; None: never.
    pub expire_time: Option<Timestamp>,
    /// Lower burns first.
    pub priority: i32,
    /// Where the credits come from.
    pub source: Box<str>,
    /// Services that they may pay for, in order, each once; empty: all.
    pub services: Vec<Box<str>>,
}

impl App {
    /// Adds credits, and answers once that is durable.
    ///
    /// # Errors
    /// What is refused by the rules, or that the store cannot write.
    pub async fn grant(&self, form: GrantForm) -> Result<Box<Written>, AppError> {
        // Cards can change while a request_id is kept: this counts only if it is new.
        // So does the time, which the ledger looks at.
        let mut by_prices = Faults::new();
        if let Some(fault) = form
            .services
            .iter()
            .find_map(|key| self.prices().unknown_service(key))
        {
            by_prices.add("services", fault);
        }
        let mut write = form.write;
        let Some(credits) = form.credits.filter(|_| write.faults.is_empty()) else {
            // No earlier answer can belong to it: everything that is wrong is
            // told at once.
            let now = self.now();
            let in_past = |time| TimeRule::Future.fault(time, now);
            if let Some(fault) = form.expire_time.and_then(in_past) {
                write.faults.add("expire_time", fault);
            }
            write.faults.merge(by_prices);
            return Err(Refusal::Invalid(write.faults).into());
        };
        let action = GrantAction {
            credits,
            expire_time: form.expire_time,
            priority: form.priority,
            source: form.source,
            services: form.services,
            faults: by_prices,
        };
        let fingerprint = fingerprint::of_grant(&action, &write.labels);
        let command = write.command(fingerprint, Action::Grant(action))?;
        self.store.write(command).await
    }

    /// Takes back what is unspent of a grant.
    ///
    /// # Errors
    /// As [`App::grant`].
    pub async fn revoke_grant(
        &self,
        form: WriteForm,
        grant: Option<Named<GrantId>>,
    ) -> Result<Box<Written>, AppError> {
        let Some(grant) = grant else {
            return Err(Refusal::Invalid(form.faults).into());
        };
        let fingerprint = FingerprintWriter::new(Method::RevokeGrant)
            .text(3, &grant.text())
            .labels(4, &form.labels)
            .finish();
        let command = form.command(fingerprint, Action::RevokeGrant { grant })?;
        self.store.write(command).await
    }
}
