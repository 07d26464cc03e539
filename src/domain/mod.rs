//! The rules of creditd as pure functions: no async, no clock, no log, no wire types.
//!
//! Time and identifiers are arguments, results are data, and refusals are closed enums with
//! data and without prose.

pub mod amount;
pub mod base32;
pub mod canonical;
pub mod clock;
pub mod keys;
pub mod ledger;
pub mod names;
pub mod pricing;
pub mod refusal;
pub mod schedule;
pub mod time;
pub mod violation;

pub use amount::{Credits, Rounding};
pub use names::{AccountName, Labels, RequestId};
pub use refusal::Refusal;
pub use time::Timestamp;
pub use violation::{FieldViolation, FieldViolations, Violation};
