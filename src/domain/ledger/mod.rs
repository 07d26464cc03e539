//! The ledger's rules, pure: what a command does to an account.
//!
//! An [`Account`] is the fold of its [`Entry`]s: [`Account::apply`] is the only
//! way in which one changes. [`execute`] looks at an account and a [`Command`] and
//! applies and returns the entries to write, or refuses. What ends by itself
//! leaves by entries too, dated at their instant: [`Account::lapse`] makes them.

mod account;
mod afford;
mod command;
mod decide;
mod entry;
mod grants;
mod hold;
mod id;
mod lapse;
mod payers;

pub use account::{Account, AccountParts, Inconsistent};
pub use afford::{Affordability, Purse, afford};
pub use command::{
    Action, Command, Cost, Fingerprint, Found, GrantAction, Lookup, Overage, Priced, RequestKey,
    Spending,
};
pub use decide::{Denied, LIVE_GRANTS_MAX, OPEN_HOLDS_MAX, Outcome, execute};
pub use entry::{Entry, EntryKind, GrantFacts, GrantShare, GrantTerms, Pricing};
pub use grants::GrantState;
pub use hold::{Hold, HoldStatus, HoldTerms, OpenHold};
pub use id::{EntryId, GrantId, HoldId, Named, entry_named, grant_named, hold_named};
