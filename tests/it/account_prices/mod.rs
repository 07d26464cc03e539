//! Prices for each account, over the wire.

mod card;
mod client;
mod estimates;
mod writes;
