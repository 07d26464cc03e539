//! Where a card that a subcommand makes is written.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use crate::cli::failure::{Failure, Kind};
use crate::cli::output::say;

// A flattened struct's documentation would replace that of the subcommand.
#[derive(clap::Args, Debug)]
#[group(skip)]
pub(super) struct Target {
    /// Write it to this file, which must not be there [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long, requires = "output")]
    overwrite: bool,
}

impl Target {
    /// Writes a card, and says where.
    pub(super) fn write(&self, card: &str) -> Result<(), Failure> {
        let Some(path) = &self.output else {
            return say(card.trim_end());
        };
        self.write_file(card)?;
        say(&format!("written to {}", path.display()))
    }

    /// Writes a card to the file, if there is to be one.
    pub(super) fn write_file(&self, card: &str) -> Result<(), Failure> {
        let Some(path) = &self.output else {
            return Ok(());
        };
        let mut options = OpenOptions::new();
        options.write(true);
        match self.overwrite {
            true => options.create(true).truncate(true),
            false => options.create_new(true),
        };
        let written = options
            .open(path)
            .and_then(|mut file| file.write_all(card.as_bytes()));
        written.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => Failure::new(
                Kind::Refused,
                format!(
                    "{} is there already; choose another --output, or add --overwrite to replace it",
                    path.display()
                ),
            ),
            _ => format!("{}: {error}", path.display()).into(),
        })
    }
}
