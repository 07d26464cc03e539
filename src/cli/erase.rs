//! `creditd erase`.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use serde::Serialize;

use super::audit::many;
use super::failure::Failure;
use super::output::{Format, print_own};
use super::progress::Progress;
use super::times::{self, Moment};
use crate::domain::AccountName;
use crate::server::files::{self, Erasure};
use crate::server::{REQUEST_ID_DAYS_CREDITS, REQUEST_ID_HOURS, SystemClock};
use crate::store::Clock as _;

const EXAMPLES: &str = "Examples:
  creditd erase --account team-a
  creditd erase --account team-a --label customer --before 2026-01-01
  creditd erase --account team-a --data /var/lib/creditd/creditd.db --json
  creditd audit --since HEAD                    the chains are as they were";

/// Erase texts of labels from a data file, which no server may use meanwhile
///
/// Of each label the key stays, and a digest of its text, so that the chain of the account's
/// entries is what it was. Labels of the account itself are erased as well, from all that is
/// stored of it. Entries whose request_ids may still be known keep their labels: without them a
/// request that is sent again could not be compared. Backups are other files: erase them, too.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Name of the account
    #[arg(long, value_name = "NAME")]
    account: String,
    /// Of entries before that time [default: of all]
    #[arg(long, value_name = "TIME", value_parser = times::past)]
    before: Option<Moment>,
    /// Labels of that key; may be repeated [default: all]
    #[arg(long = "label", value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    labels: Vec<String>,
    /// For how many hours the server knows a request_id at least, 72 to 8760
    #[arg(
        long,
        env = "CREDITD_REQUEST_ID_HOURS",
        value_name = "HOURS",
        default_value_t = *REQUEST_ID_HOURS.start(),
        value_parser = hours
    )]
    request_id_hours: u32,
    /// The same of a Grant, Refund or RevokeGrant, in days, 90 to 3650
    #[arg(
        long,
        env = "CREDITD_REQUEST_ID_DAYS_CREDITS",
        value_name = "DAYS",
        default_value_t = *REQUEST_ID_DAYS_CREDITS.start(),
        value_parser = days
    )]
    request_id_days_credits: u32,
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

pub(super) fn hours(text: &str) -> Result<u32, String> {
    within(text, &REQUEST_ID_HOURS)
}

pub(super) fn days(text: &str) -> Result<u32, String> {
    within(text, &REQUEST_ID_DAYS_CREDITS)
}

fn within(text: &str, range: &std::ops::RangeInclusive<u32>) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("it must be {} to {}", range.start(), range.end()))
}

#[derive(Serialize)]
struct Printed<'a> {
    account: &'a str,
    texts: u64,
    rows: u64,
    states: u64,
    kept: u64,
}

/// Erases.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let account = AccountName::new(&args.account)
        .map_err(|_| Failure::usage("--account must be the name of an account"))?;
    let erasure = Erasure {
        account,
        before: args.before.map(|moment| moment.time),
        keys: args.labels.iter().map(|key| key.as_str().into()).collect(),
        now: SystemClock.now(),
        request_hours: args.request_id_hours,
        request_days_credits: args.request_id_days_credits,
    };
    let mut progress = Progress::new("rows");
    let report = files::erase(&args.data, &erasure, &mut |done, total| {
        progress.tell(done, total);
    })?;
    progress.end();
    let printed = Printed {
        account: &args.account,
        texts: report.texts,
        rows: report.rows,
        states: report.states,
        kept: report.kept,
    };
    print_own(args.format, &printed, || text(args, &printed))
}

fn text(args: &Args, printed: &Printed<'_>) -> String {
    let Printed {
        account,
        texts,
        rows,
        states,
        kept,
    } = printed;
    let mut lines = vec![match texts {
        0 => format!("nothing of {account} was erased"),
        _ => format!(
            "erased {} of {account} from {} and {}",
            many(*texts, "text", "texts"),
            many(*rows, "entry", "entries"),
            many(*states, "state", "states")
        ),
    }];
    if *kept > 0 {
        lines.push(format!(
            "{} kept: their request_ids may be known for {} hours, those of grants, refunds and revocations for {} days, and are compared with all that was sent",
            many(*kept, "entry was", "entries were"),
            args.request_id_hours,
            args.request_id_days_credits
        ));
    }
    lines.join("\n")
}
