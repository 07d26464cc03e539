//! Writes: from the form of a request to the command that the ledger decides.

use std::borrow::Cow;

use super::access::Caller;
use super::priced::{NeedsAccount, Payer};
use super::{App, AppError, fingerprint};
use crate::domain::keys::Scope;
use crate::domain::ledger::{Action, Command, GrantAction, Priced, RequestKey, UpdateAction};
use crate::domain::names::repeated;
use crate::domain::pricing::{Catalog, Selector, Usage};
use crate::domain::refusal::CardNamedBy;
use crate::domain::violation::TimeRule;
use crate::domain::{AccountName, Credits, FieldViolations, Labels, Refusal, RequestId, Violation};
use crate::store::{Pending, Written};

/// The longest that a hold can be made or extended for.
pub const HOLD_TTL_SECONDS_MAX: i64 = 86_400;
/// How long a hold lasts where the request does not say.
pub const HOLD_TTL_SECONDS_DEFAULT: i64 = 3_600;

/// A request to move credits. A field that was bad has a default in its place and stands among
/// the violations: only a form without violations becomes a command.
#[derive(Clone, Debug)]
pub struct WriteForm<'a> {
    /// The caller's name of this write; None where it was bad.
    pub request_id: Option<RequestId>,
    /// Whose credits move; None where it was bad.
    pub account: Option<AccountName>,
    /// The account that its prices name, where they name one: it has to be the same.
    pub priced_account: Option<AccountName>,
    /// Kept with the entry.
    pub labels: Labels,
    /// What to do, its cost not priced yet.
    pub action: Action<CostForm<'a>>,
    /// What is wrong, whatever the time, the prices and the account are.
    pub violations: FieldViolations,
}

/// What is to be paid for.
#[derive(Clone, Copy, Debug)]
pub enum CostForm<'a> {
    /// Work, and the prices to price it by.
    Usage {
        /// The work.
        usage: Usage<'a>,
        /// Which prices.
        prices: Selector<'a>,
    },
    /// An amount that the caller decided.
    Credits(Credits),
}

impl App {
    /// The same as [`App::write`], where nothing has to be looked up for the command: a call
    /// that waits for its answer keeps nothing of its request. None where something has to be.
    #[must_use]
    pub fn write_at_once(
        &self,
        caller: &Caller,
        form: WriteForm<'_>,
    ) -> Option<Result<Pending<Box<Written>>, AppError>> {
        let prices = self.prices();
        let settles = matches!(form.action, Action::SettleHold { .. });
        if settles || form.selector().is_some_and(|s| prices.misses(&s)) {
            return None;
        }
        let payer = self.payer(&form);
        let priced = self.price_of(&prices, &form, None, &payer).ok()?;
        let command = self.admit(caller, &form);
        let command = command.and_then(|()| self.command(caller, &prices, form, priced));
        let written = command.map(|command| self.store.write(command));
        Some(written.map_err(AppError::from))
    }

    /// Makes a command of the form and hands it to the store. [`App::written`] has the answer
    /// once what was written is durable; the form is not needed for it any more.
    ///
    /// # Errors
    /// An account that the caller may not name, what is wrong with the form, or that prices or the
    /// account cannot be read.
    pub async fn write(
        &self,
        caller: &Caller,
        form: WriteForm<'_>,
    ) -> Result<Pending<Box<Written>>, AppError> {
        self.admit(caller, &form)?;
        let prices = self.prices_for(form.selector()).await?;
        let of_hold = self.prices_of_hold(caller, &form).await?;
        let payer = self.payer(&form);
        let priced = match self.price_of(&prices, &form, of_hold.as_ref(), &payer) {
            Ok(priced) => priced,
            Err(NeedsAccount) => {
                let payer = match &form.account {
                    Some(account) => self.read_payer(caller, account).await,
                    None => Ok(Payer::Read(None)),
                };
                // What is wrong with the form is said also where the account cannot be read.
                let payer = match form.violations.is_empty() {
                    true => payer?,
                    false => payer.unwrap_or(Payer::Read(None)),
                };
                let priced = self.price_of(&prices, &form, of_hold.as_ref(), &payer);
                priced.unwrap_or_default()
            }
        };
        let command = self.command(caller, &prices, form, priced)?;
        Ok(self.store.write(command))
    }

    /// Whether the caller may write that to the account. It is asked before anything is looked up.
    pub(super) fn admit(&self, caller: &Caller, form: &WriteForm<'_>) -> Result<(), Refusal> {
        let scope = form.scope();
        if let Some(account) = &form.priced_account {
            caller.check_account(account, scope)?;
        }
        match &form.account {
            Some(account) => self.access.admit(caller, account, scope),
            None => Ok(()),
        }
    }

    /// The command that a form means, with its price where it has one.
    pub(super) fn command(
        &self,
        caller: &Caller,
        catalog: &Catalog,
        form: WriteForm<'_>,
        priced: Option<Priced>,
    ) -> Result<Command, Refusal> {
        let WriteForm {
            request_id,
            account,
            // It was asked for.
            priced_account: _,
            labels,
            mut action,
            violations,
        } = form;
        if let Action::Grant(grant) = &mut action {
            let mut keys = grant.services.iter();
            if let Some(violation) = keys.find_map(|key| catalog.unknown_service(key)) {
                grant.violations.add("services", violation);
            }
        }
        if let Action::UpdateAccount(update) = &mut action {
            update.refusal = self.refusal_of_update(catalog, update);
        }
        // An action with a cost was priced.
        let unpriced = || Err(Refusal::invalid("what", Violation::Required));
        let price = |_: CostForm<'_>| priced.unwrap_or_else(unpriced);
        match (request_id, account) {
            (Some(id), Some(account)) if violations.is_empty() => {
                let fingerprint = fingerprint::of(&action, &labels);
                Ok(Command {
                    account,
                    request: RequestKey { id, fingerprint },
                    key_id: caller.key_id().cloned(),
                    labels,
                    action: action.map_cost(price),
                })
            }
            _ => Err(self
                .all_violations(violations, &action.map_cost(price))
                .into()),
        }
    }

    /// What is wrong with an update by the cards of the moment.
    fn refusal_of_update(&self, catalog: &Catalog, update: &UpdateAction) -> Option<Refusal> {
        let mut violations = FieldViolations::new();
        if let Some(attributes) = &update.attributes {
            for violation in catalog.account_attribute_violations(attributes) {
                violations.add("account.attributes", violation);
            }
        }
        if !violations.is_empty() {
            return Some(violations.into());
        }
        let name = update.rate_card.as_deref().unwrap_or_default();
        let is_unknown = !name.is_empty() && !catalog.has_name(name);
        is_unknown.then(|| Refusal::RateCardNotFound {
            rate_card: repeated(name),
            at: self.now(),
            named_by: CardNamedBy::Update,
        })
    }

    /// Everything that is wrong with a bad form. No earlier answer can belong to it, so what is
    /// wrong by the prices and the time of the moment is named together with the rest.
    fn all_violations(&self, mut violations: FieldViolations, action: &Action) -> FieldViolations {
        let mut more = FieldViolations::new();
        let mut add = |field: &Cow<'static, str>, violation: &Violation| {
            // A field can have several of the same kind.
            if !violations.has(field) {
                more.add(field.clone(), violation.clone());
            }
        };
        if let Action::Grant(GrantAction {
            expire_time: Some(time),
            ..
        }) = action
            && let Some(violation) = TimeRule::Future.violation(*time, self.now())
        {
            add(&"expire_time".into(), &violation);
        }
        let refusal = match action {
            Action::UpdateAccount(update) => update.refusal.as_ref(),
            other => other.cost().and_then(|cost| cost.as_ref().err()),
        };
        let by_prices = match (action, refusal) {
            (Action::Grant(grant), _) => Some(&grant.violations),
            (_, Some(Refusal::Invalid(violations))) => Some(violations),
            // That the prices themselves are missing is said once the form is right.
            _ => None,
        };
        for violation in by_prices.map_or(&[][..], FieldViolations::as_slice) {
            add(&violation.field, &violation.violation);
        }
        violations.merge(more);
        violations
    }
}

impl<'a> WriteForm<'a> {
    /// What its caller must be allowed to do.
    const fn scope(&self) -> Scope {
        match self.action {
            Action::Grant(_) | Action::RevokeGrant { .. } | Action::UpdateAccount(_) => {
                Scope::Grant
            }
            Action::Charge(_)
            | Action::Refund { .. }
            | Action::Hold { .. }
            | Action::ExtendHold { .. }
            | Action::SettleHold { .. }
            | Action::ReleaseHold { .. } => Scope::Charge,
        }
    }

    /// By which prices its work is to be priced, where there is any.
    pub(super) fn selector(&self) -> Option<Selector<'a>> {
        match self.action.cost()? {
            CostForm::Usage { prices, .. } => Some(*prices),
            CostForm::Credits(_) => None,
        }
    }
}

impl CostForm<'_> {
    /// Whether it has to be priced and does not say by which prices.
    pub(super) fn has_default_prices(&self) -> bool {
        matches!(self, Self::Usage { prices, .. } if prices.is_default())
    }
}
