//! `creditd backup`.

use std::path::PathBuf;

use serde::Serialize;

use super::failure::Failure;
use super::output::{self, Format, print_own};
use super::progress::Progress;
use crate::server::files;

const EXAMPLES: &str = "Examples:
  creditd backup /backups/creditd-2026-11-23.db
  creditd backup copy.db --data /var/lib/creditd/creditd.db
  creditd audit --data copy.db                             prove the copy";

/// Copy a data file, also while a server uses it
///
/// The copy is one moment of the file, whatever is being written. It appears under its name
/// once it is whole, checked and on disk; a file of that name is never replaced. It is a data
/// file like any other: to go back to it, stop the server, take the old file away and its -wal
/// and -shm with it, and put the copy in its place.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Where the copy goes
    #[arg(value_name = "FILE")]
    copy: PathBuf,
    /// The data file
    #[arg(
        long,
        env = "CREDITD_DATA",
        value_name = "FILE",
        default_value = "creditd.db"
    )]
    data: PathBuf,
    #[command(flatten)]
    format: Format,
}

#[derive(Serialize)]
struct Printed {
    copy: String,
    data: String,
    size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

/// Makes the copy.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut progress = Progress::new("pages");
    let warning = files::backup(&args.data, &args.copy, &mut |done, total| {
        progress.tell(done, total);
    })?;
    progress.end();
    // Programs find it among the rest.
    if let (Some(warning), false) = (&warning, args.format.json) {
        let data = args.data.display();
        output::complain(&format!("warning: data file {data}: {warning}"));
    }
    let printed = Printed {
        copy: args.copy.display().to_string(),
        data: args.data.display().to_string(),
        size_bytes: std::fs::metadata(&args.copy).map_or(0, |found| found.len()),
        warning,
    };
    print_own(args.format, &printed, || {
        let Printed {
            copy,
            data,
            size_bytes,
            ..
        } = &printed;
        format!("{copy} is a copy of {data}, {size_bytes} bytes")
    })
    .map_err(|mut failure| {
        failure.add(&format!("; but {} is made, and whole", printed.copy));
        failure
    })
}
