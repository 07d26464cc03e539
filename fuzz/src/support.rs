//! What the bodies take of the tests.

#[path = "../../tests/it/support/keys.rs"]
pub mod keys;
#[path = "../../tests/it/support/memory.rs"]
pub mod memory;
#[path = "../../tests/it/support/rate_cards.rs"]
pub mod rate_cards;
#[path = "../../tests/it/support/refusal.rs"]
pub mod refusal;
