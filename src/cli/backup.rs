//! `creditd backup`.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::failure::Failure;
use super::follow::{self, FollowArgs};
use super::output::{self, Format, print_own};
use super::progress::Progress;
use crate::server::SystemClock;
use crate::server::files::{self, StatusFile};
use crate::store::Clock as _;

const EXAMPLES: &str = "Examples:
  creditd backup /backups/creditd-2026-11-23.db
  creditd backup copy.db --data /var/lib/creditd/creditd.db
  creditd audit --data copy.db                             prove the copy
  creditd backup --follow /backups/creditd                 a continuous copy
  creditd restore /backups/creditd --to creditd.db         the newest moment of it";

/// Copy a data file, once or all the time, also while a server uses it
///
/// The copy is one moment of the file, whatever is being written. It appears under its name
/// once it is whole, checked and on disk; a file of that name is never replaced. It is a data
/// file like any other: to go back to it, stop the server, take the old file away and its -wal
/// and -shm with it, and put the copy in its place.
///
/// With --follow it goes on until it is told to stop by SIGTERM or SIGINT, and writes what is new
/// every --interval-ms into a directory, from which "creditd restore" makes a data file of any
/// moment since --retain. If the disk of the data file is lost, what was answered in the last
/// interval may be lost with it.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Where the copy goes
    #[arg(
        value_name = "FILE",
        required_unless_present = "follow",
        conflicts_with = "follow"
    )]
    copy: Option<PathBuf>,
    #[command(flatten)]
    follow: FollowArgs,
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

/// Makes the copy, or follows.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match (&args.follow.directory, &args.copy) {
        (Some(directory), _) => follow::run(&args.data, directory, &args.follow, args.format),
        (None, Some(copy)) => copy_once(args, copy),
        (None, None) => Err(Failure::usage("where the copy goes is missing")),
    }
}

fn copy_once(args: &Args, copy: &Path) -> Result<(), Failure> {
    let mut progress = Progress::new("pages");
    let moment = SystemClock.now();
    let warning = files::backup(&args.data, copy, &mut |done, total| {
        progress.tell(done, total);
    })?;
    progress.end();
    warn_unless_noted(&args.data, StatusFile::Backup, moment, args.format);
    // Programs find it among the rest.
    if let (Some(warning), false) = (&warning, args.format.json) {
        let data = args.data.display();
        output::complain(&format!("warning: data file {data}: {warning}"));
    }
    let printed = Printed {
        copy: copy.display().to_string(),
        data: args.data.display().to_string(),
        size_bytes: std::fs::metadata(copy).map_or(0, |found| found.len()),
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

/// Notes the moment beside the data file, for metrics. A failure is no reason to fail.
pub(super) fn warn_unless_noted(
    data: &Path,
    file: StatusFile,
    moment: crate::domain::Timestamp,
    format: Format,
) {
    if let (Some(warning), false) = (files::note(file, data, moment), format.json) {
        output::complain(&format!("warning: {warning}"));
    }
}
