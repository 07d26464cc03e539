//! `creditd archive`.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::audit::many;
use super::erase::{days, hours};
use super::failure::Failure;
use super::output::{Format, print_own};
use super::progress::Progress;
use super::times::{self, Moment};
use crate::server::files::{self, ArchiveReport, ArchiveStep, Archiving};
use crate::server::{CheckedClock, Options, REQUEST_ID_DAYS_CREDITS, REQUEST_ID_HOURS};

const EXAMPLES: &str = "Examples:
  creditd archive --before 2026-01-01 --to archive-1.db --dry-run
  creditd archive --before 2026-01-01 --to archive-1.db
  creditd archive --before 400d --to /archives/creditd-1.db --config /etc/creditd.toml --json
  creditd audit --archive archive-1.db             prove both files together
  creditd audit --data archive-1.db                an archive is a data file";

/// Move old entries to an archive, from a data file that no server uses
///
/// The archive is a whole copy of the file, audited and on disk before anything is removed. Then
/// each account begins at a sealed opening balance in place of its entries from before that time.
/// No request_id that still has to be known is touched. Balances of earlier times, and refunds of
/// archived entries, are refused from then on as HISTORY_ARCHIVED; a server over a copy of the
/// archive answers what was.
///
/// If it is killed, run it again: it goes on.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Archive what was written before that time
    #[arg(long, value_name = "TIME", value_parser = times::past)]
    before: Moment,
    /// Where the archive goes
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Say what would be archived, and change nothing; a server may use the file
    #[arg(long)]
    dry_run: bool,
    /// For how many hours the server knows a request_id at least, 72 to 8760 [default: 72]
    #[arg(
        long,
        env = "CREDITD_REQUEST_ID_HOURS",
        value_name = "HOURS",
        value_parser = hours
    )]
    request_id_hours: Option<u32>,
    /// The same of a Grant, Refund or RevokeGrant, in days, 90 to 3650 [default: 90]
    #[arg(
        long,
        env = "CREDITD_REQUEST_ID_DAYS_CREDITS",
        value_name = "DAYS",
        value_parser = days
    )]
    request_id_days_credits: Option<u32>,
    /// The data file [default: creditd.db]
    #[arg(long, env = "CREDITD_DATA", value_name = "FILE")]
    data: Option<PathBuf>,
    /// The server's configuration file: how long it knows request_ids, and its data file
    #[arg(long, env = "CREDITD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    format: Format,
}

#[derive(Serialize)]
struct Printed {
    archive: i64,
    file: String,
    data: String,
    position: i64,
    rows: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<String>,
    size_bytes_before: u64,
    size_bytes: u64,
    dry_run: bool,
    went_on: bool,
}

/// Archives, or says what would be.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let file = match &args.config {
        Some(path) => {
            Options::from_file(path).map_err(|error| Failure::usage(error.problems().join("\n")))?
        }
        None => Options::default(),
    };
    let given =
        |option: Option<u32>, of_file: Option<u32>, least: u32| option.or(of_file).unwrap_or(least);
    let order = Archiving {
        before: args.before.time,
        to: args.to.clone(),
        request_hours: given(
            args.request_id_hours,
            file.request_id_hours,
            *REQUEST_ID_HOURS.start(),
        ),
        request_days_credits: given(
            args.request_id_days_credits,
            file.request_id_days_credits,
            *REQUEST_ID_DAYS_CREDITS.start(),
        ),
    };
    let data = args.data.clone().or(file.data);
    let data = data.unwrap_or_else(|| PathBuf::from("creditd.db"));
    let report = match args.dry_run {
        true => files::plan_archive(&data, &order, &CheckedClock::new(None))?,
        false => archive(&data, &order)?,
    };
    let printed = printed(args, &data, &report);
    print_own(args.format, &printed, || text(&printed))
}

fn archive(data: &Path, order: &Archiving) -> Result<ArchiveReport, Failure> {
    let mut shown: Option<(ArchiveStep, Progress)> = None;
    let report = files::archive(
        data,
        order,
        &CheckedClock::new(None),
        &mut |step, done, total| {
            if let Some((_, progress)) = shown.take_if(|(of, _)| *of != step) {
                progress.end();
            }
            let (_, progress) = shown.get_or_insert_with(|| (step, Progress::new(unit(step))));
            progress.tell(done, total);
        },
    );
    if let Some((_, progress)) = shown {
        progress.end();
    }
    Ok(report?)
}

const fn unit(step: ArchiveStep) -> &'static str {
    match step {
        ArchiveStep::Copy => "pages copied",
        ArchiveStep::Audit => "rows audited",
        ArchiveStep::Mark => "accounts sealed",
        ArchiveStep::Remove => "rows removed",
    }
}

fn printed(args: &Args, data: &Path, report: &ArchiveReport) -> Printed {
    let ArchiveReport {
        archive,
        position,
        rows,
        kept,
        file,
        seal,
        bytes: (before, after),
        went_on,
    } = report;
    let (seal, head) = seal.as_ref().map_or((None, None), |(seal, head)| {
        (Some(seal.clone()), Some(head.to_string()))
    });
    Printed {
        archive: *archive,
        file: file.clone(),
        data: data.display().to_string(),
        position: *position,
        rows: *rows,
        kept: *kept,
        seal,
        head,
        size_bytes_before: *before,
        size_bytes: *after,
        dry_run: args.dry_run,
        went_on: *went_on,
    }
}

fn text(printed: &Printed) -> String {
    let Printed {
        archive,
        file,
        data,
        position,
        rows,
        kept,
        seal,
        head,
        size_bytes_before,
        size_bytes,
        dry_run,
        went_on,
    } = printed;
    let rows = many(u64::try_from(*rows).unwrap_or_default(), "row", "rows");
    if *dry_run {
        return match went_on {
            true => format!(
                "{data}: archive {archive} ({file}) is made, and not all of its rows are removed: \"creditd archive\" goes on with that"
            ),
            false => format!(
                "{data}: {rows}, up to position {position}, would go to archive {archive}; nothing was changed"
            ),
        };
    }
    let mut lines = vec![match went_on {
        true => format!(
            "an earlier command had made archive {archive} ({file}) of {data}, and was ended before all of its rows were removed: now they are; nothing else was archived"
        ),
        false => format!(
            "{file} is archive {archive} of {data}: {rows}, up to position {position}, are archived"
        ),
    }];
    if let Some(kept) = kept {
        let kept = many(u64::try_from(*kept).unwrap_or_default(), "row", "rows");
        lines.push(format!(
            "{kept} of them stay for what grants, holds and accounts need of them; {data} had {size_bytes_before} bytes and has {size_bytes}"
        ));
    }
    if let (Some(seal), Some(head)) = (seal, head) {
        lines.push(format!("seal {seal}"));
        lines.push(format!("head {head}"));
    }
    lines.join("\n")
}
