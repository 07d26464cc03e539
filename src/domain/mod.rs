//! The rules of creditd, pure: no async, no clock, no log, no wire types.
//!
//! Everything here is a function over values. Time and identifiers come in as
//! arguments, results go out as data, and what is refused is refused by a closed
//! enum that says what was wrong without saying it in prose.

pub mod amount;
pub mod clock;
pub mod fault;
pub mod ledger;
pub mod names;
pub mod pricing;
pub mod refusal;
pub mod time;

pub use amount::{Credits, Rounding};
pub use fault::{Fault, Faults, Violation};
pub use names::{AccountName, Labels, RequestId};
pub use refusal::Refusal;
pub use time::Timestamp;
