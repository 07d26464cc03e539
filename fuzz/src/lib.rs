//! The bodies of the fuzz targets, which ordinary tests run too, and what they take of the tests.

#[path = "../../tests/it/fuzz/mod.rs"]
pub mod fuzz;
#[expect(dead_code, reason = "tests take more of it")]
mod support;
