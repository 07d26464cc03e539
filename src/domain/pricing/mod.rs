//! Pricing: what a usage costs by a rate card, as pure functions with exact arithmetic.
//!
//! A [`Catalog`] holds the [`Card`]s that are in force and some that were. A card
//! holds a [`Service`] for each row. [`Card::price`] turns a [`Usage`] into a
//! [`Quote`], or into all violations of the usage. The quote has the cost as the price list shows
//! it, and its explanation.
//!
//! A service has one [`Price`] for one quantity, or a sum of [`lines`] over several meters and
//! attributes.

mod card;
mod catalog;
mod context;
mod index;
pub mod lines;
mod nearest;
mod pairs;
mod price;
mod quote;
mod terms;
mod usage;

pub use card::{Card, CardError, OnePrice, Revision, Service, ServicePrice, Shown};
pub use catalog::{Catalog, CatalogError, KnownCard, Period, REPLACED_SERVICES_MAX, Selector};
pub use context::PriceContext;
pub use nearest::nearest;
pub use pairs::{Pair, PairList, Pairs, PairsRef};
pub use price::{Meter, PER_MAX_UNITS, Price, ProRata};
pub use quote::{Line, Quote};
pub use terms::{AccountTerms, PriceTerms, Pricing};
pub use usage::{Given, Usage, UsageRecord};
