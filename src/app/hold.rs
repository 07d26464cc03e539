//! Setting credits aside for work whose cost is not known yet.

use std::ops::Bound;
use std::sync::Arc;

use super::fingerprint::{FingerprintWriter, Method};
use super::form::{CostForm, What, WriteForm};
use super::{App, AppError};
use crate::domain::ledger::{Action, Hold, HoldId, Named, Overage};
use crate::domain::pricing::{Card, Catalog};
use crate::domain::{AccountName, Labels, Refusal, RequestId, Timestamp};
use crate::store::Written;

/// The longest that a hold can be made or extended for.
pub const HOLD_TTL_SECONDS_MAX: i64 = 86_400;
/// How long a hold is where nothing else is asked for.
pub const HOLD_TTL_SECONDS_DEFAULT: i64 = 3_600;

/// A request to set credits aside.
#[derive(Clone, Debug)]
pub struct HoldForm<'a> {
    /// What every write has.
    pub write: WriteForm,
    /// For what.
    pub cost: CostForm<'a>,
    /// How long, in nanoseconds; None where it was bad.
    pub ttl_nanos: Option<i64>,
}

/// A request to pay out of a hold.
#[derive(Clone, Debug)]
pub struct SettleForm<'a> {
    /// What every write has.
    pub write: WriteForm,
    /// Out of which; None where it was bad.
    pub hold: Option<Named<HoldId>>,
    /// For what.
    pub cost: CostForm<'a>,
    /// Whether the rest stays held.
    pub keep_open: bool,
    /// Where what the hold does not have comes from.
    pub overage: Overage,
}

/// Which open holds are asked for. All that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HoldQuery {
    /// Younger than this one.
    pub after: Option<HoldId>,
    /// At most so many.
    pub limit: usize,
    /// Made by that write.
    pub request_id: Option<RequestId>,
    /// With all of these labels; there may be more.
    pub labels: Labels,
    /// Made then or later.
    pub start_time: Option<Timestamp>,
    /// Made before then.
    pub end_time: Option<Timestamp>,
}

impl HoldQuery {
    fn matches(&self, hold: &Hold) -> bool {
        let made = hold.terms.create_time;
        self.start_time.is_none_or(|start| start <= made)
            && self.end_time.is_none_or(|end| made < end)
            && (self.request_id.as_ref()).is_none_or(|id| *id == hold.terms.request_id)
            && hold.terms.labels.have_all_of(&self.labels)
    }
}

/// Some open holds, oldest first.
#[derive(Clone, Debug, Default)]
pub struct HoldPage {
    /// The holds.
    pub holds: Vec<Arc<Hold>>,
    /// Whether there are more behind them.
    pub more: bool,
}

impl App {
    /// Sets credits aside, and answers once that is durable.
    ///
    /// # Errors
    /// What is refused by the rules, or that the store cannot write.
    pub async fn hold(&self, form: HoldForm<'_>) -> Result<Box<Written>, AppError> {
        let CostForm { what, prices } = form.cost;
        let (write, cost) = {
            let by = self.prices();
            self.priced(form.write, what, || self.card(&by, &prices))?
        };
        let ttl_nanos = form.ttl_nanos.unwrap_or_default();
        let mut writer = FingerprintWriter::new(Method::Hold);
        if let Some(what) = &what {
            writer.what(3, 4, what);
        }
        let fingerprint = writer
            .prices(5, &prices)
            .integer(6, ttl_nanos)
            .labels(7, &write.labels)
            .finish();
        let command = write.command(fingerprint, Action::Hold { cost, ttl_nanos })?;
        self.store.write(command).await
    }

    /// Sets the end of a hold anew.
    ///
    /// # Errors
    /// As [`App::hold`].
    pub async fn extend_hold(
        &self,
        form: WriteForm,
        hold: Option<Named<HoldId>>,
        ttl_nanos: Option<i64>,
    ) -> Result<Box<Written>, AppError> {
        let (Some(hold), Some(ttl_nanos)) = (hold, ttl_nanos) else {
            return Err(Refusal::Invalid(form.faults).into());
        };
        let fingerprint = FingerprintWriter::new(Method::ExtendHold)
            .text(3, &hold.text())
            .integer(4, ttl_nanos)
            .finish();
        let command = form.command(fingerprint, Action::ExtendHold { hold, ttl_nanos })?;
        self.store.write(command).await
    }

    /// Pays out of a hold, and returns the rest unless it stays open.
    ///
    /// # Errors
    /// As [`App::hold`].
    pub async fn settle_hold(&self, form: SettleForm<'_>) -> Result<Box<Written>, AppError> {
        let CostForm { what, prices } = form.cost;
        let by = self.prices().into_shared();
        let Some(hold) = form.hold else {
            let faults = self.priced(form.write, what, || self.card(&by, &prices));
            return Err(match faults {
                Err(refusal) => refusal.into(),
                // What is wrong with the hold stands among the faults.
                Ok((write, _)) => Refusal::Invalid(write.faults).into(),
            });
        };
        // A hold is settled by the prices with which it was made, unless others are
        // asked for. They never change, so they can be read ahead.
        let by_hold = match (&what, &form.write.account) {
            (Some(What::Usage(_)), Some(account)) if prices.is_default() => {
                self.card_of_hold(&by, account, &hold).await?
            }
            _ => None,
        };
        let card = || by_hold.map_or_else(|| self.card(&by, &prices), Ok);
        let (write, cost) = self.priced(form.write, what, card)?;
        let mut writer = FingerprintWriter::new(Method::SettleHold);
        writer.text(3, &hold.text());
        if let Some(what) = &what {
            writer.what(4, 5, what);
        }
        let fingerprint = writer
            .integer(6, i64::from(form.keep_open))
            .overage(7, form.overage)
            .prices(8, &prices)
            .labels(9, &write.labels)
            .finish();
        let action = Action::SettleHold {
            hold,
            cost,
            keep_open: form.keep_open,
            overage: form.overage,
        };
        let command = write.command(fingerprint, action)?;
        self.store.write(command).await
    }

    /// The card with which a hold was priced. None where there is none: the ledger says
    /// what is wrong with the hold, after it has looked for the request_id.
    async fn card_of_hold<'a>(
        &self,
        prices: &'a Catalog,
        account: &AccountName,
        hold: &Named<HoldId>,
    ) -> Result<Option<&'a Card>, AppError> {
        match self.store.hold(account.clone(), hold.clone()).await {
            Ok(hold) => {
                let pricing = hold.terms.pricing.as_ref();
                let card = pricing.and_then(|p| prices.ever_served(&p.revision));
                Ok(card.map(|card| &**card))
            }
            Err(AppError::Refused(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Returns what a hold keeps.
    ///
    /// # Errors
    /// As [`App::hold`].
    pub async fn release_hold(
        &self,
        form: WriteForm,
        hold: Option<Named<HoldId>>,
    ) -> Result<Box<Written>, AppError> {
        let Some(hold) = hold else {
            return Err(Refusal::Invalid(form.faults).into());
        };
        let fingerprint = FingerprintWriter::new(Method::ReleaseHold)
            .text(3, &hold.text())
            .finish();
        let command = form.command(fingerprint, Action::ReleaseHold { hold })?;
        self.store.write(command).await
    }

    /// A hold of any status.
    ///
    /// # Errors
    /// That there is none, or that it cannot be read.
    pub async fn get_hold(
        &self,
        account: AccountName,
        hold: Named<HoldId>,
    ) -> Result<Arc<Hold>, AppError> {
        self.store.hold(account, hold).await
    }

    /// Some open holds.
    ///
    /// # Errors
    /// An unknown account, or a store that cannot be read.
    pub async fn list_holds(
        &self,
        account: AccountName,
        query: HoldQuery,
    ) -> Result<HoldPage, AppError> {
        let account = self.store.account(account, None).await?.account;
        let from = query.after.map_or(Bound::Unbounded, Bound::Excluded);
        let open = account.holds().range((from, Bound::Unbounded));
        let mut found = open
            .map(|(_, open)| &open.hold)
            .filter(|hold| query.matches(hold));
        let holds = found.by_ref().take(query.limit).cloned().collect();
        Ok(HoldPage {
            holds,
            more: found.next().is_some(),
        })
    }
}
