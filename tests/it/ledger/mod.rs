//! The ledger as a whole: tables in text, and random operations compared with a model, over
//! every kind of store.
//!
//! `subjects` has the ledgers under test, `table` runs the tables under `tests/data/ledger`,
//! `random` generates operations and compares each answer with the model's, `sizes` makes
//! accounts and replies as large as they may be.

mod cards;
mod random;
mod sizes;
mod subjects;
mod table;
pub mod time;
