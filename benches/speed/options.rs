//! What can be chosen on the command line.

use std::path::PathBuf;
use std::time::Duration;

/// Measures creditd on this machine, and says whether it meets its goals
///
/// Without any option everything is measured, which takes about 10 minutes. Nothing else
/// should run on the machine meanwhile. docs/performance.md says how to read the figures.
#[derive(clap::Parser, Debug)]
#[command(name = "speed", after_help = EXAMPLES)]
pub struct Options {
    /// What is measured [default: all of it]
    #[arg(value_enum, value_name = "PART")]
    pub parts: Vec<Part>,
    /// Only rows and plots whose name has this text, such as "Charge" or "10,000 accounts, 256"
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// How many times creditd and its yardstick are measured in turn for each goal
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub pairs: u32,
    /// How long each measurement takes; in growth a fifth of it for each point
    #[arg(long, default_value_t = 2, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// How long the same load runs before it is measured
    #[arg(long, default_value_t = 1, value_name = "S", value_parser = clap::value_parser!(u64).range(0..=3_600))]
    pub warm_up_seconds: u64,
    /// Over how many accounts a load is spread
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1_000..=100_000))]
    pub accounts: u32,
    /// Ledger: charge an amount instead of a usage that has to be priced
    #[arg(long)]
    pub amount: bool,
    /// Ledger: calls arrive at this rate, answered or not, and their time begins when they
    /// should have been sent; the callers of a row are how many can be under way
    #[arg(long, value_name = "CALLS_PER_S", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub rate: Option<u64>,
    /// Goals: how many accounts the large data file has, and how many entries; 0 leaves its
    /// rows out
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub big_accounts: u32,
    /// Goals: entries of the large data file; its grants are among them
    #[arg(long, default_value_t = 10_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=1_000_000_000))]
    pub big_entries: u64,
    /// Goals: a command that prints further rows, each a line of JSON; may be repeated.
    /// docs/performance.md has the form
    #[arg(long, value_name = "COMMAND")]
    pub rows_of: Vec<String>,
    /// Growth and overload: where the plots are put [default: docs/growth and docs/overload]
    #[arg(long, value_name = "DIR")]
    pub plots: Option<PathBuf>,
    /// Where data files are put and the disk is measured; not in memory [default: target/bench]
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// The program that serves [default: the one that was built along with this]
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
    /// The server that it is compared with [default: creditd-yardstick beside the program
    /// that was built along with this]
    #[arg(long, value_name = "FILE")]
    pub yardstick: Option<PathBuf>,
    /// Where all figures are written [default: bench.json in the directory]
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Cargo says so.
    #[arg(long, hide = true)]
    pub bench: bool,
}

const EXAMPLES: &str = "\
Examples:
  make bench
  make bench ARGS=\"goals --big-entries 0\"
  make bench ARGS=\"goals --only Estimate --pairs 9\"
  make bench ARGS=\"ledger --only 256 --program /path/to/another/creditd\"
  make bench ARGS=\"ledger --only 1,024 --rate 20000\"
  make bench ARGS=\"overload --seconds 5 --program /path/to/another/creditd\"
  make bench ARGS=\"growth --plots /tmp/growth\"";

/// A part of a run.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What creditd is held to: it and an ordinary tonic server in turn
    Goals,
    /// Charges a second, and how long they take, for each kind of load
    Ledger,
    /// More calls than can be done: how many are, and how long those take
    Overload,
    /// How cost grows with accounts, grants, entries, services, batches and connections
    Growth,
}

impl Options {
    pub fn has(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }

    /// Whether a row or plot of this name is wanted.
    pub fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only))
    }

    /// To warm up, and to be measured.
    pub fn times(&self) -> (Duration, Duration) {
        (
            Duration::from_secs(self.warm_up_seconds),
            Duration::from_secs(self.seconds),
        )
    }
}
