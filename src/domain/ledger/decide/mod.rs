//! The decision over a command: it is answered again, is refused, or writes entries. Every store
//! uses this function. It looks up what [`needs`] names, and makes durable what [`decide`]
//! returns.
//!
//! The guards, in order; the first that refuses is the answer:
//!
//! 1. The request_id: a known one is answered again or refused, before all that follows.
//! 2. What pricing refused by the rate cards, and times on the wrong side of now. All bad
//!    fields are named at once.
//! 3. The account exists; a grant opens it, and an update that may.
//! 4. What the command refers to exists: a hold, an entry, a grant.
//! 5. It can be done with that: the hold is open, was made for that service and
//!    has enough; the entry can be refunded, and by so much.
//! 6. The limits of the account: live grants, open holds, the largest balance.
//! 7. There is enough to pay with.

mod grant;
mod hold;
mod pay;
mod refund;
mod settle;
mod update;

use std::sync::Arc;

use super::account::{Account, Inconsistent};
use super::command::{Action, Command, Cost, Priced};
use super::entry::{Entry, EntryKind};
use super::lookup::{EarlierWrite, LookedUp, Referenced};
use super::settings::AccountSettings;
use crate::domain::amount::Credits;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;

pub use grant::LIVE_GRANTS_MAX;
pub use hold::OPEN_HOLDS_MAX;

/// The decision over a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// An earlier call with the same request_id wrote it: this is its answer.
    Replay(Box<Written>),
    /// A rule refuses it.
    Refuse {
        /// What the rule refuses.
        refusal: Refusal,
        /// Lapses that were due. They must be written although the command is refused, now or
        /// with a later command.
        lapsed: Vec<Entry>,
    },
    /// It has to be priced again, for an account with these settings; see [`Cost::assumed`].
    Reprice(Option<Arc<AccountSettings>>),
    /// It writes these entries.
    Write(Box<Effects>),
}

/// The entries that a command writes, in the order of their fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effects {
    /// Lapses that were due before the command.
    pub lapsed: Vec<Entry>,
    /// The command's own entry.
    pub entry: Entry,
    /// Lapses that follow from it: credits that came back to an expired or revoked grant leave
    /// at once.
    pub follow_ups: Vec<Entry>,
    /// Available credits after all of them.
    pub available: Credits,
}

impl Effects {
    /// The newest of the entries.
    #[must_use]
    pub fn last(&self) -> &Entry {
        self.follow_ups.last().unwrap_or(&self.entry)
    }
}

/// The answer to a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The entry. It has the hold, if it is of one.
    pub entry: Entry,
    /// Available credits after the entry and the lapses that followed from it.
    pub available: Credits,
    /// Whether it was written by an earlier call with the same request_id.
    pub replayed: bool,
}

/// What the guards need beside the account.
#[derive(Clone, Copy)]
struct Context<'a> {
    command: &'a Command,
    referenced: Option<&'a Referenced>,
    /// Lapses that were due before the command.
    lapsed: &'a [Entry],
    now: Timestamp,
}

/// Decides a command, and applies the entries that it returns to the account, which it leaves
/// unchanged if it returns none. The command can be decided again over the account as it was,
/// so that a transaction can be retried.
///
/// # Errors
/// [`Inconsistent`] is a defect; the account must then not be used any more.
pub fn decide(
    account: &mut Arc<Account>,
    command: &Command,
    looked_up: LookedUp,
    now: Timestamp,
) -> Result<Decision, Inconsistent> {
    if let Some(earlier) = looked_up.earlier {
        return Ok(match replay(command, earlier) {
            Ok(written) => Decision::Replay(Box::new(written)),
            Err(refusal) => Decision::Refuse {
                refusal,
                lapsed: Vec::new(),
            },
        });
    }
    if let Some(settings) = settings_to_price_by(account, command) {
        return Ok(Decision::Reprice(settings));
    }
    // Entries of an account are in order of time, also if the clock went back.
    let now = now.max(account.last_time());
    let lapsed = match account.has_lapsed(now) {
        true => Arc::make_mut(account).lapse(now)?,
        false => Vec::new(),
    };
    let context = Context {
        command,
        referenced: looked_up.referenced.as_ref(),
        lapsed: &lapsed,
        now,
    };
    let mut entry = match entry_of(account, context) {
        Ok(entry) => entry,
        Err(refusal) => return Ok(Decision::Refuse { refusal, lapsed }),
    };
    entry.request_id = Some(command.request.id.clone());
    entry.key_id.clone_from(&command.key_id);
    entry.labels.clone_from(&command.labels);
    let account = Arc::make_mut(account);
    account.apply(&entry)?;
    let follow_ups = match account.has_lapsed(now) {
        true => account.lapse(now)?,
        false => Vec::new(),
    };
    Ok(Decision::Write(Box::new(Effects {
        lapsed,
        entry,
        follow_ups,
        available: account.available(),
    })))
}

/// The settings by which a command has to be priced again, where it has to be.
fn settings_to_price_by(
    account: &Account,
    command: &Command,
) -> Option<Option<Arc<AccountSettings>>> {
    let cost = command.action.cost()?.as_ref().ok()?;
    let assumed = cost.assumed.as_ref()?;
    let settings = account.settings();
    let holds = assumed.holds(settings.map(|settings| &**settings));
    (!holds).then(|| settings.cloned())
}

/// The answer to a command whose request_id is known.
///
/// # Errors
/// That the request_id was used with another body.
pub fn replay(command: &Command, earlier: EarlierWrite) -> Result<Written, Refusal> {
    if earlier.fingerprint != Some(command.request.fingerprint) {
        return Err(Refusal::RequestIdReused {
            account: command.account.clone(),
            request_id: command.request.id.clone(),
        });
    }
    Ok(Written {
        entry: earlier.entry,
        available: earlier.available,
        replayed: true,
    })
}

/// The entry that a command writes.
fn entry_of(account: &Account, context: Context<'_>) -> Result<Entry, Refusal> {
    match &context.command.action {
        Action::Grant(action) => grant::grant(account, action, context),
        Action::Charge(cost) => charge(account, cost, context),
        Action::Refund { entry, credits } => refund::refund(account, entry, *credits, context),
        Action::Hold { cost, ttl_nanos } => hold::hold(account, cost, *ttl_nanos, context),
        Action::ExtendHold { hold, ttl_nanos } => hold::extend(account, hold, *ttl_nanos, context),
        Action::SettleHold {
            hold,
            cost,
            keep_open,
            overage,
        } => {
            let options = settle::SettleOptions {
                keep_open: *keep_open,
                overage: *overage,
            };
            settle::settle(account, hold, cost, options, context)
        }
        Action::ReleaseHold { hold } => hold::release(account, hold, context),
        Action::RevokeGrant { grant } => grant::revoke(account, grant, context),
        Action::UpdateAccount(action) => update::update(account, action, context),
    }
}

/// The cost of a command on an account that exists.
fn cost_of<'a>(account: &Account, priced: &'a Priced) -> Result<&'a Cost, Refusal> {
    let cost = priced.as_ref().map_err(Refusal::clone)?;
    check_exists(account)?;
    Ok(cost)
}

fn check_exists(account: &Account) -> Result<(), Refusal> {
    if account.is_unopened() {
        return Err(Refusal::AccountNotFound {
            account: account.name().clone(),
        });
    }
    Ok(())
}

fn charge(account: &Account, priced: &Priced, context: Context<'_>) -> Result<Entry, Refusal> {
    let cost = cost_of(account, priced)?;
    let mut entry = account.next_entry(context.now, EntryKind::Charge);
    entry.shares = pay::pay(account, cost.service.as_deref(), cost.credits)?
        .into_iter()
        .map(pay::paid_share)
        .collect();
    entry.credits = cost.credits.negated();
    entry.spent = cost.credits;
    copy_cost(&mut entry, cost);
    pay::with_available(account, entry)
}

/// Copies service, rate card and usage into the entry.
fn copy_cost(entry: &mut Entry, cost: &Cost) {
    entry.service.clone_from(&cost.service);
    entry.pricing.clone_from(&cost.pricing);
    entry.usage.clone_from(&cost.usage);
}
