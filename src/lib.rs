//! creditd prices usage in credits and keeps prepaid balances, over gRPC.
//!
//! From the outside in, each module knowing only those after it:
//!
//! - [`cli`] is the command line: one file a subcommand.
//! - [`server`] composes a running server: configuration, store, use cases,
//!   services, threads, signals.
//! - [`rpc`] is the only place that knows tonic and the wire: services, layers,
//!   conversions, and how refusals read.
//! - [`app`] holds the use cases.
//! - [`store`] keeps accounts and served rate cards.
//! - [`domain`] holds the rules, pure.
//!
//! Beside them stand [`rfc3339`], times as text, [`line_rate`], which bounds the log, and the
//! failpoints of debug builds.
//!
//! ARCHITECTURE.md shows the flow with a picture, docs/glossary.md explains the words.

pub mod app;
pub mod cli;
pub mod domain;
mod failpoint;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod line_rate;
mod pem;
pub mod rfc3339;
pub mod rpc;
pub mod server;
pub mod store;
