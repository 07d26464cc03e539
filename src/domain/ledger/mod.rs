//! The ledger's rules as pure functions: what a command does to an account.
//!
//! An [`Account`] is the fold of its [`Entry`]s: only [`Account::apply`] changes it. [`needs`]
//! says what a store must look up for a [`Command`], and [`decide`] says what becomes of it: it
//! is answered again, is refused, or writes entries. [`Account::lapse`] makes the entries by
//! which holds and grants expire, dated at their instant.

mod account;
mod command;
mod cut;
mod decide;
mod entry;
mod funds;
mod grant_index;
mod grants;
mod hold;
mod id;
mod lapse;
mod lookup;
mod opening;
mod settings;

pub use account::{Account, AccountParts, Inconsistent, LastIds};
pub use command::{
    Action, AskedPrices, AssumedSettings, Command, Cost, Fingerprint, GrantAction, Overage, Priced,
    RequestKey, UpdateAction,
};
pub use cut::{CutFacts, NoCut, cut};
pub use decide::{Decision, Effects, LIVE_GRANTS_MAX, OPEN_HOLDS_MAX, Written, decide, replay};
pub use entry::{Entry, EntryKind, GrantFacts, GrantShare, GrantTerms};
pub use funds::{Affordability, FundsCheck, SpendableCredits};
pub use grants::GrantState;
pub use hold::{Hold, HoldStatus, HoldTerms, OpenHold};
pub use id::{AccountId, CHECK_LENGTH, EntryId, GrantId, HoldId, ID_BYTES_MAX, Named};
pub use lookup::{EarlierWrite, LookedUp, Reference, Referenced, Spending, needs};
pub use opening::Opening;
pub use settings::{AccountSettings, AccountUpdate};
