//! What the fuzz targets check: each is a function over bytes, which `fuzz/fuzz_targets` gives to
//! libFuzzer and `replay` to every file of `fuzz/corpus`. The package of the fuzz targets has this
//! module by its path. Parsers that creditd keeps to itself have theirs in `src/fuzzing`.

pub mod amounts;
pub mod bearer_tokens;
pub mod cards;
pub mod configuration;
pub mod input;
pub mod names;
pub mod page_tokens;
pub mod requests;
pub mod stored_cards;
pub mod times;

#[cfg(test)]
mod replay;
#[cfg(test)]
mod seeds;
