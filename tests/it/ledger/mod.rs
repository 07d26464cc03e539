//! The ledger as a whole: tables in text, and random operations compared with a
//! model, over every kind of store.
//!
//! `call` has the verbs as values, `subjects` what can be asked, `table` and `run`
//! the tables under `tests/data/ledger`, `random` the operations that nobody thought
//! of, `sizes` what is as large as it may be.

pub mod call;
mod cards;
mod random;
mod sizes;
mod subjects;
mod table;
