//! The decision: what a command writes, or why it is refused.
//!
//! The guards, in order; the first that refuses is the answer:
//!
//! 1. The request_id. The store looks it up before it asks here: a known one is
//!    answered again or refused, and nothing below is looked at.
//! 2. What the application found wrong by its rate cards, and times on the wrong
//!    side of now. All bad fields are named at once.
//! 3. The account exists; a grant opens it.
//! 4. What the command names exists: a hold, an entry, a grant.
//! 5. It can be done with that: the hold is open, was made for that service and
//!    has enough; the entry can be refunded, and by so much.
//! 6. The limits of the account: live grants, open holds, the largest balance.
//! 7. There is enough to pay with.

mod grant;
mod hold;
mod pay;
mod refund;
mod settle;

use super::account::{Account, Inconsistent};
use super::command::{Action, Command, Cost, Found, Priced};
use super::entry::{Entry, EntryKind};
use super::id::EntryId;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;

pub use grant::LIVE_GRANTS_MAX;
pub use hold::OPEN_HOLDS_MAX;

/// What a command wrote. It is applied to the account already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The command's own entry.
    pub entry: Entry,
    /// What followed from it: credits that came back to grants that are gone.
    pub lapsed: Vec<Entry>,
}

/// Why a command wrote nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The rules refuse it; the account is as it was.
    Refused(Refusal),
    /// A defect; the account is not to be used any more.
    Defect(Inconsistent),
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Inconsistent> for Denied {
    fn from(at: Inconsistent) -> Self {
        Self::Defect(at)
    }
}

/// Everything that a decision rests on, beside the account.
#[derive(Clone, Copy)]
struct Context<'a> {
    command: &'a Command,
    found: &'a Found,
    now: Timestamp,
    id: EntryId,
}

/// Decides the command and applies what it writes. What has ended by `now` has
/// left the account before; entries are numbered from `id`.
///
/// # Errors
/// The first guard that refuses, or a defect.
pub fn execute(
    account: &mut Account,
    command: Command,
    found: &Found,
    now: Timestamp,
    id: EntryId,
) -> Result<Outcome, Denied> {
    let context = Context {
        command: &command,
        found,
        now,
        id,
    };
    let mut entry = decide(account, context)?;
    entry.request_id = Some(command.request.id);
    entry.labels = command.labels;
    if let Action::Charge(Ok(cost)) = command.action {
        describe(&mut entry, *cost);
    }
    account.apply(&entry)?;
    let lapsed = match account.has_lapsed(now) {
        true => account.lapse(now, id.next())?,
        false => Vec::new(),
    };
    Ok(Outcome { entry, lapsed })
}

fn decide(account: &Account, context: Context<'_>) -> Result<Entry, Refusal> {
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
            let terms = settle::Terms {
                keep_open: *keep_open,
                overage: *overage,
            };
            settle::settle(account, hold, cost, terms, context)
        }
        Action::ReleaseHold { hold } => hold::release(account, hold, context),
        Action::RevokeGrant { grant } => grant::revoke(account, grant, context),
    }
}

/// The cost of a command on an account that exists.
fn cost_of<'a>(account: &Account, priced: &'a Priced) -> Result<&'a Cost, Refusal> {
    let cost = priced.as_ref().map_err(Refusal::clone)?;
    exists(account)?;
    Ok(cost)
}

fn exists(account: &Account) -> Result<(), Refusal> {
    if account.is_unopened() {
        return Err(Refusal::AccountNotFound {
            account: account.name().clone(),
        });
    }
    Ok(())
}

fn charge(account: &Account, priced: &Priced, context: Context<'_>) -> Result<Entry, Refusal> {
    let cost = cost_of(account, priced)?;
    let mut entry = account.next_entry(context.id, context.now, EntryKind::Charge);
    entry.shares = pay::pay(account, cost.service.as_deref(), cost.credits)?
        .into_iter()
        .map(pay::taken)
        .collect();
    entry.credits = cost.credits.negated();
    entry.spent = cost.credits;
    pay::seal(account, entry)
}

/// What the entry says about the work.
fn describe(entry: &mut Entry, cost: Cost) {
    entry.service = cost.service;
    entry.pricing = cost.pricing;
    entry.usage = cost.usage;
}
