//! The program: parses the command line and calls the library.

use std::process::ExitCode;

/// A call is some thirty small allocations that live shortly: this one is made for it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    creditd::cli::main()
}
