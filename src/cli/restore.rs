//! `creditd restore`.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::audit::many;
use super::failure::Failure;
use super::output::{self, Format, print_own};
use super::progress::Progress;
use super::times::{self, Moment};
use crate::rfc3339;
use crate::server::files::{self, AuditReport, Generation, Restored};

const EXAMPLES: &str = "Examples:
  creditd restore /backups/creditd --to creditd.db
  creditd restore /backups/creditd --to then.db --at 2026-11-28T09:30:00Z
  creditd restore /backups/creditd --to before.db --at 10m
  creditd restore /backups/creditd --list

The exit status is 0 where the file was restored and is sound.";

/// Make a data file of a moment from a continuous copy, and prove it
///
/// The copy is what "creditd backup --follow" wrote. Every file that is used is checked first; the
/// data file appears under its name once it is whole and on disk, and is then audited. A file of
/// that name is never replaced.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The directory of the copy
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Where the data file goes
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "list",
        conflicts_with = "list"
    )]
    to: Option<PathBuf>,
    /// The newest moment that is not after this one [default: the newest of all]
    #[arg(long, value_name = "TIME", value_parser = times::past, conflicts_with = "list")]
    at: Option<Moment>,
    /// Show what can be restored, unchecked
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    format: Format,
}

#[derive(Serialize)]
struct Printed<'a> {
    file: String,
    moment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    generation: &'a str,
    segments: u64,
    sound: bool,
    accounts: u64,
    entries: u64,
    damage: u64,
    findings: &'a [String],
}

#[derive(Serialize)]
struct PrintedGeneration<'a> {
    generation: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    newest: Option<String>,
    segments: u64,
    size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
}

#[derive(Serialize)]
struct PrintedList<'a> {
    generations: Vec<PrintedGeneration<'a>>,
}

/// Restores, or lists.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.to {
        Some(to) => restore(args, to),
        None => list(args),
    }
}

fn restore(args: &Args, to: &Path) -> Result<(), Failure> {
    let at = args.at.map(|moment| moment.time);
    let mut progress = Progress::new("segments");
    let restored = files::restore(&args.directory, to, at, &mut |done, total| {
        progress.tell(done, total);
    })?;
    progress.end();
    let mut progress = Progress::new("rows");
    let report = files::audit(to, &mut |done, total| progress.tell(done, total))?;
    progress.end();
    let printed = Printed {
        file: to.display().to_string(),
        moment: rfc3339::format(restored.moment),
        note: restored.note.as_deref(),
        generation: &restored.generation,
        segments: restored.segments,
        sound: report.is_sound(),
        accounts: report.accounts,
        entries: report.entries,
        damage: report.damage,
        findings: &report.findings,
    };
    print_own(args.format, &printed, || text(to, &restored, &report))?;
    match report.is_sound() {
        true => Ok(()),
        false => Err(format!(
            "data file {}: it is damaged; restore an earlier moment, and keep this file to find out why",
            to.display()
        )
        .into()),
    }
}

fn text(to: &Path, restored: &Restored, report: &AuditReport) -> String {
    let mut lines: Vec<_> = restored.note.iter().cloned().collect();
    lines.extend(report.findings.iter().cloned());
    let sound = match report.is_sound() {
        true => "is sound",
        false => "is not sound",
    };
    lines.push(format!(
        "{} is as of {} and {sound}: {} of {}",
        to.display(),
        rfc3339::format(restored.moment),
        many(report.entries, "entry", "entries"),
        many(report.accounts, "account", "accounts"),
    ));
    lines.join("\n")
}

fn list(args: &Args) -> Result<(), Failure> {
    let generations = files::list_generations(&args.directory)?;
    let printed = PrintedList {
        generations: generations.iter().map(printed).collect(),
    };
    print_own(args.format, &printed, || table(&printed))
}

fn printed(generation: &Generation) -> PrintedGeneration<'_> {
    PrintedGeneration {
        generation: &generation.name,
        oldest: generation.oldest.map(rfc3339::format),
        newest: generation.newest.map(rfc3339::format),
        segments: generation.segments,
        size_bytes: generation.size_bytes,
        problem: generation.problem.as_deref(),
    }
}

fn table(list: &PrintedList<'_>) -> String {
    let head = ["oldest", "newest", "segments", "bytes", "generation"].map(str::to_owned);
    let mut rows = vec![head.to_vec()];
    let mut problems = String::new();
    for generation in &list.generations {
        rows.push(vec![
            generation.oldest.clone().unwrap_or_default(),
            generation.newest.clone().unwrap_or_default(),
            generation.segments.to_string(),
            generation.size_bytes.to_string(),
            generation.generation.to_owned(),
        ]);
        if let Some(problem) = generation.problem {
            problems.push_str(problem);
            problems.push('\n');
        }
    }
    format!("{}{problems}", output::table(&rows, &[2, 3]))
}
