//! gRPC: the only place that knows tonic and prost.
//!
//! A call passes the [`layer`]s, [`router`] calls its service, [`convert`] makes values of its
//! message, and a use case does the work. [`refused`] makes statuses of refusals, with the
//! sentences of [`prose`].

mod admin_service;
mod batch;
pub mod client;
pub mod codec;
pub mod convert;
pub mod health;
pub mod json;
pub mod layer;
mod ledger_service;
pub mod method;
pub mod pb;
pub mod peer;
mod pricing_service;
pub mod prose;
pub mod reflection;
pub mod refused;
mod reply;
pub mod router;
mod watching;
pub mod wire;

pub use admin_service::{AdminApi, CARD_LOADS_MAX, PUBLICATIONS_UNDER_WAY_MAX};
pub use ledger_service::LedgerApi;
pub use pricing_service::PricingApi;

/// Largest request and largest reply: what gRPC clients accept by default.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Largest metadata of a call.
pub const METADATA_BYTES_MAX: usize = 16 * 1024;
