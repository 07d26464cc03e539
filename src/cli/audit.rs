//! `creditd audit`.

use std::path::PathBuf;

use serde::Serialize;

use super::backup::warn_unless_noted;
use super::failure::Failure;
use super::output::{self, Format, print_own};
use super::progress::Progress;
use crate::server::SystemClock;
use crate::server::files::{self, ArchiveProof, AuditReport, JournalHead, StatusFile};
use crate::store::Clock as _;

const EXAMPLES: &str = "Examples:
  creditd audit
  creditd audit --data /var/lib/creditd/creditd.db
  creditd audit --data backup.db --json
  creditd audit --head            print the head, to be written down
  creditd audit --since HEAD      prove that the file goes on from it
  creditd audit --archive archive-1.db --archive archive-2.db

The exit status is 0 where the file is sound and 1 where it is not, or cannot be read.";

/// Prove a data file: that its entries add up, and that nothing in it says anything else
///
/// Folds every entry onto those before it, prices every usage again under its revision, compares
/// balances, grants, holds, refunds and request_ids with what the entries say, and each entry with
/// the chain of hashes of its account. It reads one moment of the file, also while a server uses
/// it, and changes nothing. Its memory grows with the number of accounts and of their
/// checkpoints, its time with the number of entries.
///
/// Whoever can write to the file can compute all hashes again, or remove the newest entries. Keep
/// the head elsewhere, on paper if need be: --since proves that nothing that was there then was
/// changed, removed, added or exchanged.
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
    /// Print the head of a sound file, and nothing else
    #[arg(long)]
    head: bool,
    /// Prove that the file goes on from this head
    #[arg(long, value_name = "HEAD")]
    since: Option<JournalHead>,
    /// Prove this archive of the file with it: what it has from before the cut makes exactly the
    /// opening balances, and both have the same since then; may be repeated
    #[arg(long = "archive", value_name = "FILE")]
    archives: Vec<PathBuf>,
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
    /// Left out for a file whose entries are not chained yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// The position up to which rows are archived.
    #[serde(skip_serializing_if = "Option::is_none")]
    archived: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    archives: Vec<PrintedArchive>,
}

#[derive(Serialize)]
struct PrintedArchive {
    archive: i64,
    file: String,
    rows: u64,
    sound: bool,
}

#[derive(Serialize)]
struct PrintedHead {
    head: String,
}

/// Audits; fails where the file is not sound.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut progress = Progress::new("rows");
    let since = args.since.as_ref();
    let moment = SystemClock.now();
    let report =
        files::audit_with_archives(&args.data, &args.archives, since, &mut |done, total| {
            progress.tell(done, total);
        })?;
    progress.end();
    if report.is_sound() {
        warn_unless_noted(&args.data, StatusFile::Audit, moment, args.format);
    }
    let printed = Printed {
        sound: report.is_sound(),
        accounts: report.accounts,
        entries: report.entries,
        other_rows: report.other_rows,
        priced_again: report.priced,
        damage: report.damage,
        findings: &report.findings,
        warning: report.warning.as_deref(),
        head: report.head.as_ref().map(ToString::to_string),
        since: since.map(ToString::to_string),
        archived: Some(report.archived).filter(|archived| *archived > 0),
        archives: report.proofs.iter().map(printed_archive).collect(),
    };
    // Programs find it among the rest.
    if let (Some(warning), false) = (&report.warning, args.format.json) {
        let data = args.data.display();
        output::complain(&format!("warning: data file {data}: {warning}"));
    }
    match (&report.head, args.head && report.is_sound()) {
        (Some(head), true) => {
            let head = head.to_string();
            print_own(args.format, &PrintedHead { head: head.clone() }, || head)?;
        }
        (None, true) => {
            return Err(format!(
                "data file {}: its entries are not chained yet, so it has no head; start \"creditd serve\" with it once, which migrates it",
                args.data.display()
            )
            .into());
        }
        (_, false) => print_own(args.format, &printed, || text(args, &report))?,
    }
    match report.is_sound() {
        true => Ok(()),
        false => {
            let what = match since {
                Some(_) => "it is damaged, or older than the head",
                None => "it is damaged",
            };
            Err(format!(
                "data file {}: {what}; restore it from a backup, and keep this file to find out why",
                args.data.display()
            )
            .into())
        }
    }
}

fn printed_archive(proof: &ArchiveProof) -> PrintedArchive {
    PrintedArchive {
        archive: proof.number,
        file: proof.file.display().to_string(),
        rows: proof.rows,
        sound: proof.damage == 0,
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
    let head = match &report.head {
        Some(head) => format!("head {head}"),
        None => {
            "its entries are not chained yet: a server that is started with it does that".to_owned()
        }
    };
    if report.is_sound() {
        let mut lines = vec![format!("{file} is sound: {read}")];
        if report.archived > 0 {
            lines.push(format!(
                "rows up to position {} are archived, and its opening balances are as they were sealed",
                report.archived
            ));
        }
        for proof in &report.proofs {
            lines.push(format!(
                "archive {}, {}, is sound, and makes those opening balances: {}",
                proof.number,
                proof.file.display(),
                many(proof.rows, "row", "rows")
            ));
        }
        if let Some(since) = &args.since {
            lines.push(format!("it goes on from the head {since}"));
        }
        lines.push(head);
        return lines.join("\n");
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
pub(super) fn many(number: u64, one: &str, more: &str) -> String {
    let word = if number == 1 { one } else { more };
    format!("{number} {word}")
}
