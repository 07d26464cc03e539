//! The ledger's rules, pure: what a command does to an account.
//!
//! An [`Account`] is the fold of its [`Entry`]s: [`Account::apply`] is the only
//! way in which one changes. [`decide`] looks at an account and a [`Command`] and
//! returns the entries to write, or a refusal. Credits that have expired leave by
//! entries too, dated at their instant: [`Account::expire`] makes them.

mod account;
mod afford;
mod command;
mod decide;
mod entry;

pub use account::{Account, GrantState};
pub use afford::{Affordability, afford};
pub use command::{Action, Command, Fingerprint, GrantAction, RequestKey};
pub use decide::decide;
pub use entry::{Entry, EntryId, EntryKind, GrantId, GrantShare, GrantTerms};
