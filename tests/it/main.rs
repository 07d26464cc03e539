//! All integration tests, in one binary. Those over the wire run a server in this process, or the
//! real program where they kill or starve it, read its log, or are about its command line.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

/// Running servers, clients, tables.
mod support;

/// Data files that are proved, copied, and damaged on purpose.
mod audit;
/// What the command line prints and refuses.
mod cli;
/// What the command line says where something fails, to people and to programs.
mod cli_failures;
/// The verbs of the ledger as a person types them.
mod cli_ledger;
/// Lists and watches of the command line.
mod cli_lists;
/// Commands that ask a server for prices and health, and what they are told by.
mod cli_remote;
/// Clocks that jump: nothing is dated by them, and it mends by itself. Times of any year.
mod clock;
/// Panics on the server's own threads: told to those who wait, and either over or the end.
#[cfg(debug_assertions)]
mod defects;
/// Disks that are full or broken: nothing is answered that is not kept, and it mends by itself.
mod disk;
/// Data files that are locked, taken away, replaced or cut while a server uses them.
mod file;
/// Grants and balances over the wire: durable, replayed, expiring at their instant.
mod grants;
/// One account that asks for much does not hold up the others.
mod greed;
/// Health by its protocol, and reflection as grpcurl reads it.
mod health;
/// Bad fields, amounts, quantities and batches.
mod input;
/// Servers killed under load, over and over: nothing answered is lost, nothing moves twice.
mod kills;
/// Calls that are sent again days later are answered again, as long as they are known.
mod late;
/// The layers around every call.
mod layers;
/// Every verb of the ledger: tables in text, and random operations beside a model.
mod ledger;
/// Limits of time, number and size, on the running server.
mod limits;
/// docs/limits.md, beside the limits that the code has.
mod limits_page;
/// The ledger told again in the plainest way, to compare the real one with.
mod model;
/// What usage costs, as a table that a product manager could read.
mod prices;
/// What holds for all quantities and amounts, not only for those of the tables.
mod properties;
/// Many callers at once: credits are spent once, and the books add up.
mod races;
/// Rate cards: wrong ones, several of one name, and those that were served before.
mod rate_cards;
/// Every reason is documented, with the message and the metadata that it really has.
mod reasons;
/// Rate cards that are read again while the server runs.
mod reload;
/// Servers that refuse to start, with a sentence that says what to do.
mod start;
/// Servers that stop: drained, within a bound.
mod stop;
/// The embedded store by itself: groups that fail, request_ids that are days old.
mod store;
/// Rules about the code itself.
mod tidy;
/// A server on a Unix socket.
mod unix;
/// Balances that are watched.
mod watch;
/// Bad input on the wire: each gets one clear refusal, and the server goes on.
mod wire;
/// Batches past the generated messages: read and written as the generated code does it.
mod wire_format;
