//! What can be chosen on the command line.

use std::path::PathBuf;
use std::time::Duration;

/// Measures the ledger: charges a second and how long a charge takes, durable, over gRPC
#[derive(clap::Parser, Debug)]
#[command(name = "ledger")]
pub struct Options {
    /// How long each row is measured
    #[arg(long, default_value_t = 3, value_name = "S")]
    pub seconds: u64,
    /// How long the same load runs before it is measured
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub warm_up_seconds: u64,
    /// Only rows whose name has this text, such as "charge" or "10000 accounts, 256"
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Charge an amount instead of a usage that has to be priced
    #[arg(long)]
    pub amount: bool,
    /// Over how many accounts the load is spread
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1_000..=100_000))]
    pub accounts: u32,
    /// Where the data file is put and the disk is measured; not in memory [default: target/bench]
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// The program that serves [default: the one that was built along with this]
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
    /// Also write everything as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Cargo says so.
    #[arg(long, hide = true)]
    pub bench: bool,
}

impl Options {
    pub fn measured(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    pub fn warm_up(&self) -> Duration {
        Duration::from_secs(self.warm_up_seconds)
    }

    /// The program that serves.
    pub fn program(&self) -> PathBuf {
        match &self.program {
            Some(program) => program.clone(),
            None => PathBuf::from(env!("CARGO_BIN_EXE_creditd")),
        }
    }

    /// Where the data file is put.
    pub fn directory(&self) -> PathBuf {
        match &self.directory {
            Some(directory) => directory.clone(),
            None => {
                let program = PathBuf::from(env!("CARGO_BIN_EXE_creditd"));
                let target = program.ancestors().nth(2);
                target
                    .expect("the program is in target/release")
                    .join("bench")
            }
        }
    }
}
