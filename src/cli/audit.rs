//! `creditd audit`.

use std::path::PathBuf;

use serde::Serialize;

use super::failure::Failure;
use super::output::{self, Format, print_own};
use super::progress::Progress;
use crate::server::files::{self, AuditReport};

const EXAMPLES: &str = "Examples:
  creditd audit
  creditd audit --data /var/lib/creditd/creditd.db
  creditd audit --data backup.db --json

The exit status is 0 where the file is sound and 1 where it is not, or cannot be read.";

/// Prove a data file: that its entries add up, and that nothing in it says anything else
///
/// Folds every entry onto those before it, prices every usage again under its revision, and
/// compares balances, grants, holds, refunds and request_ids with what the entries say. It
/// reads one moment of the file, also while a server uses it, and changes nothing. Its memory
/// grows with the number of accounts and of their checkpoints, its time with the number of entries.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
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
struct Printed<'a> {
    sound: bool,
    accounts: u64,
    entries: u64,
    other_rows: u64,
    priced_again: u64,
    damage: u64,
    findings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'a str>,
}

/// Audits; fails where the file is not sound.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut progress = Progress::new("rows");
    let report = files::audit(&args.data, &mut |done, total| progress.tell(done, total))?;
    progress.end();
    let printed = Printed {
        sound: report.is_sound(),
        accounts: report.accounts,
        entries: report.entries,
        other_rows: report.other_rows,
        priced_again: report.priced,
        damage: report.damage,
        findings: &report.findings,
        warning: report.warning.as_deref(),
    };
    // Programs find it among the rest.
    if let (Some(warning), false) = (&report.warning, args.format.json) {
        let data = args.data.display();
        output::complain(&format!("warning: data file {data}: {warning}"));
    }
    print_own(args.format, &printed, || text(args, &report))?;
    match report.is_sound() {
        true => Ok(()),
        false => Err(format!(
            "data file {}: it is damaged; restore it from a backup, and keep this file to find out why",
            args.data.display()
        )
        .into()),
    }
}

fn text(args: &Args, report: &AuditReport) -> String {
    let file = args.data.display();
    let AuditReport {
        entries,
        other_rows,
        accounts,
        priced,
        ..
    } = report;
    let (entries, accounts) = (
        many(*entries, "entry", "entries"),
        many(*accounts, "account", "accounts"),
    );
    let others = match other_rows {
        0 => String::new(),
        others => format!(" and {}", many(*others, "other row", "other rows")),
    };
    let read = format!("{entries}{others} of {accounts}, {priced} priced again");
    if report.is_sound() {
        return format!("{file} is sound: {read}");
    }
    let mut lines = report.findings.clone();
    let listed = u64::try_from(lines.len()).unwrap_or(u64::MAX);
    if report.damage > listed {
        let more = report.damage.saturating_sub(listed);
        lines.push(format!("and {more} more"));
    }
    lines.push(format!("{file} is not sound: {read}"));
    lines.join("\n")
}

/// "1 account", "2 accounts".
fn many(number: u64, one: &str, more: &str) -> String {
    let word = if number == 1 { one } else { more };
    format!("{number} {word}")
}
