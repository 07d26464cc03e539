//! The wire: the only place that knows tonic, prost and gRPC.
//!
//! A call comes in through the [`layer`]s, is sent to its service by [`router`],
//! its message turned into values by [`convert`], and handed to a use case.
//! Refusals leave by [`refused`]; how they read stands in [`prose`].

mod batch;
pub mod client;
pub mod codec;
pub mod convert;
pub mod direct;
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

pub use ledger_service::LedgerApi;
pub use pricing_service::PricingApi;

/// Largest message that is read, and the largest reply that is sent: what
/// clients take by default.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most metadata of a call that is read.
pub const METADATA_BYTES_MAX: usize = 16 * 1024;
