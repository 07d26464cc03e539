//! What writes cost: by the prices that they ask for, or else by those of the account that
//! pays.
//!
//! The settings of most accounts are known at once, or there are none. Where they are not known, or
//! may be others by now, a charge is priced as for an account without settings or with those, and
//! says so: the ledger answers with the settings where the account has others, and the charge is
//! priced again by them.

use std::sync::Arc;

use super::access::Caller;
use super::write::{CostForm, WriteForm};
use super::{App, AppError};
use crate::domain::keys::Scope;
use crate::domain::ledger::{
    Account, AccountSettings, Action, AskedPrices, AssumedSettings, Command, Cost, HoldId, Named,
    Priced,
};
use crate::domain::pricing::{
    AccountTerms, Card, Catalog, Pairs, PriceTerms, Selector, Usage, UsageRecord,
};
use crate::domain::{AccountName, Refusal, Timestamp};
use crate::store::{
    AccountSnapshot, Answer, KnownSettings, OtherSettings, Pending, StoreError, Written,
};

/// What is known of the account that pays.
#[derive(Clone, Debug)]
pub(super) enum Payer {
    /// Its settings.
    Read(Option<Arc<AccountSettings>>),
    /// Settings that it may have; it was not read.
    Assumed(Option<Arc<AccountSettings>>),
}

impl Payer {
    fn terms(&self) -> AccountTerms<'_> {
        let (Self::Read(settings) | Self::Assumed(settings)) = self;
        AccountSettings::terms_of(settings.as_deref())
    }
}

/// The account for which prices are asked.
#[derive(Clone, Debug, Default)]
pub struct PricedAccount {
    /// Whether the ledger knows it.
    pub known: bool,
    settings: Option<Arc<AccountSettings>>,
    /// The account of the same moment, where its balance is asked for too.
    pub account: Option<Arc<Account>>,
}

impl PricedAccount {
    /// What it says of prices.
    #[must_use]
    pub fn terms(&self) -> AccountTerms<'_> {
        AccountSettings::terms_of(self.settings.as_deref())
    }
}

/// The price of a write cannot be told unless the account is read.
pub(super) struct NeedsAccount;

/// The prices by which a hold was priced.
pub(super) struct HoldPrices {
    card: Arc<Card>,
    /// Of the account and the clock, as they were then.
    values: Pairs,
}

impl HoldPrices {
    fn terms(&self, now: Timestamp) -> PriceTerms<'_> {
        let no_account = AccountTerms::NONE.attributes;
        PriceTerms::again(&self.card, self.values.clone(), no_account, now)
    }
}

impl App {
    /// The account for which prices are asked, where one is. One that the ledger does not know
    /// is priced as one without settings.
    ///
    /// # Errors
    /// An account that the caller may not name, or that the ledger cannot be read.
    pub async fn priced_account(
        &self,
        caller: &Caller,
        account: Option<&AccountName>,
        with_balance: bool,
    ) -> Result<PricedAccount, AppError> {
        let Some(account) = account else {
            return Ok(PricedAccount::default());
        };
        self.access.admit(caller, account, Scope::Price)?;
        let known = self.store.known_settings(account);
        if let KnownSettings::Current(settings) = known
            && !with_balance
        {
            return Ok(PricedAccount {
                known: true,
                settings,
                account: None,
            });
        }
        match caller.ask(self.store.account(account.clone(), None)).await {
            Ok(AccountSnapshot { account, .. }) => Ok(PricedAccount {
                known: true,
                settings: account.settings().cloned(),
                account: with_balance.then_some(account),
            }),
            Err(AppError::Refused(Refusal::AccountNotFound { .. })) => Ok(PricedAccount::default()),
            Err(other) => Err(other),
        }
    }

    /// What is known at once of the account that pays.
    pub(super) fn payer(&self, form: &WriteForm<'_>) -> Payer {
        let Some(account) = &form.account else {
            return Payer::Read(None);
        };
        match self.store.known_settings(account) {
            KnownSettings::Current(settings) => Payer::Read(settings),
            KnownSettings::Lately(settings) => Payer::Assumed(settings),
            KnownSettings::None => Payer::Assumed(None),
        }
    }

    /// What a write costs; None where it has no cost.
    pub(super) fn price_of(
        &self,
        catalog: &Catalog,
        form: &WriteForm<'_>,
        of_hold: Option<&HoldPrices>,
        payer: &Payer,
    ) -> Result<Option<Priced>, NeedsAccount> {
        let (usage, selector) = match form.action.cost() {
            None => return Ok(None),
            Some(CostForm::Credits(credits)) => {
                return Ok(Some(Ok(Box::new(Cost {
                    credits: *credits,
                    service: None,
                    pricing: None,
                    usage: None,
                    assumed: None,
                }))));
            }
            Some(CostForm::Usage { usage, prices }) => (usage, prices),
        };
        if let Some(of_hold) = of_hold {
            return Ok(Some(cost_of(&of_hold.terms(self.now()), usage)));
        }
        let terms = self.terms(catalog, selector, payer.terms());
        let asks_account = match &terms {
            Ok(terms) => !selector.names_card() || terms.asks_account(usage.service),
            Err(_) => !selector.names_card(),
        };
        let mut priced = match terms {
            Ok(terms) => cost_of(&terms, usage),
            Err(refusal) => Err(refusal),
        };
        let Payer::Assumed(settings) = payer else {
            return Ok(Some(priced));
        };
        if !asks_account {
            return Ok(Some(priced));
        }
        match &mut priced {
            Ok(cost) if form.violations.is_empty() => {
                cost.assumed = Some(AssumedSettings {
                    settings: settings.clone(),
                    asked: AskedPrices {
                        rate_card: selector.rate_card.into(),
                        revision: selector.revision.into(),
                        price_time: selector.price_time,
                    },
                });
                Ok(Some(priced))
            }
            // What is wrong with it depends on the account.
            Ok(_) | Err(_) => Err(NeedsAccount),
        }
    }

    /// The answer to a command. Where it was priced without a look at its account, and that has
    /// other settings, it is priced by them and decided once more.
    ///
    /// # Errors
    /// As the command's.
    pub async fn written(
        &self,
        caller: &Caller,
        pending: Pending<Box<Written>>,
    ) -> Answer<Box<Written>> {
        match caller.ask(pending).await {
            Err(StoreError::OtherSettings(other)) => {
                let command = self.priced_again(*other).await?;
                caller.ask(self.store.write(command)).await
            }
            answer => answer,
        }
    }

    async fn priced_again(&self, other: OtherSettings) -> Result<Command, AppError> {
        let OtherSettings { command, settings } = other;
        let Command {
            account,
            request,
            key_id,
            labels,
            action,
        } = command;
        let asked = action.cost().and_then(|cost| {
            let cost = cost.as_ref().ok()?;
            cost.assumed.as_ref().map(|assumed| assumed.asked.clone())
        });
        let asked = asked.unwrap_or_default();
        let of_account = AccountSettings::terms_of(settings.as_deref());
        let selector = Selector {
            rate_card: &asked.rate_card,
            revision: &asked.revision,
            price_time: asked.price_time,
        };
        let catalog = self.prices_for([selector]).await?;
        let action = action.map_cost(|priced| {
            let Ok(cost) = &priced else { return priced };
            let (Some(service), Some(usage)) = (&cost.service, &cost.usage) else {
                return priced;
            };
            let terms = self.terms(&catalog, &selector, of_account)?;
            cost_of(&terms, &usage.of(service))
        });
        Ok(Command {
            account,
            request,
            key_id,
            labels,
            action,
        })
    }

    /// The settings of an account, where it has to be read for a price.
    pub(super) async fn read_payer(
        &self,
        caller: &Caller,
        account: &AccountName,
    ) -> Result<Payer, AppError> {
        let settings = self.store.settings(vec![account.clone()]);
        let mut settings = caller.ask(settings).await?;
        Ok(Payer::Read(settings.pop().flatten()))
    }

    /// The prices by which a hold was priced: a settlement is priced by them, unless it asks for
    /// others. They never change, so they can be read ahead. None where there are none:
    /// the ledger says what is wrong with the hold, after it has looked up the request_id.
    pub(super) async fn prices_of_hold(
        &self,
        caller: &Caller,
        form: &WriteForm<'_>,
    ) -> Result<Option<HoldPrices>, AppError> {
        match (&form.action, &form.account) {
            (Action::SettleHold { hold, cost, .. }, Some(account)) if cost.has_default_prices() => {
                self.hold_prices(caller, account, hold).await
            }
            _ => Ok(None),
        }
    }

    async fn hold_prices(
        &self,
        caller: &Caller,
        account: &AccountName,
        hold: &Named<HoldId>,
    ) -> Result<Option<HoldPrices>, AppError> {
        if hold.id().is_none() {
            return Ok(None);
        }
        let hold = self.store.hold(account.clone(), hold.clone());
        let hold = match caller.ask(hold).await {
            Ok(hold) => hold,
            Err(AppError::Refused(_)) => return Ok(None),
            Err(other) => return Err(other),
        };
        let Some(pricing) = &hold.terms.pricing else {
            return Ok(None);
        };
        let revision = &*pricing.revision;
        let selector = Selector {
            revision,
            ..Selector::default()
        };
        let prices = self.prices_for([selector]).await?;
        let card = prices.card_of_revision(revision).cloned();
        Ok(card.map(|card| HoldPrices {
            card,
            values: pricing.values.clone(),
        }))
    }
}

/// What a usage costs by these terms.
fn cost_of(terms: &PriceTerms<'_>, usage: &Usage<'_>) -> Priced {
    let quote = terms
        .price(usage)
        .map_err(|violations| violations.under("usage."))?;
    Ok(Box::new(Cost {
        credits: quote.credits(),
        service: Some(Arc::clone(&quote.service().key)),
        pricing: Some(terms.pricing(&quote)),
        usage: Some(Arc::new(UsageRecord::from(usage))),
        assumed: None,
    }))
}
