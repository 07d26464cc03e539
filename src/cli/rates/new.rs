//! `creditd rates new`.

use super::written;
use crate::cli::failure::Failure;

const EXAMPLES: &str = "Examples:
  creditd rates new > prices.toml
  creditd rates new --output prices.toml && creditd rates check prices.toml";

/// The card to begin with.
const CARD: &str = include_str!("new.toml");

/// Write a rate card to begin with, with comments
///
/// It has a price for a call, one by the second and a table, each with examples, and is right as
/// it is: change it, and check it with "creditd rates check".
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    target: written::Target,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    args.target.write(CARD)
}
