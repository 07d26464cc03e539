//! Old entries that are moved to an archive: what is answered after the cut, what is refused, and
//! that both files prove each other.

mod answers;
mod cuts;
mod damage;
mod files;
// By failpoints, which the release program has not.
#[cfg(debug_assertions)]
mod kills;
mod orders;

use std::path::{Path, PathBuf};

use creditd::domain::Timestamp;
use creditd::rfc3339;
use creditd::server::files::{
    self as data_files, ArchiveReport, Archiving, AuditReport, audit_with_archives,
};
use creditd::store::Clock;
use rusqlite::Connection;

/// Later than all that tests write, by more than request_ids are known.
pub const NOW: &str = "2026-11-28T00:00:00Z";

/// A clock that stands.
pub struct At(pub Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

pub fn time(text: &str) -> Timestamp {
    rfc3339::parse(text).unwrap()
}

/// What is from before that time, to `archive-N.db` beside the file.
pub fn order(file: &Path, number: u8, before: Timestamp) -> Archiving {
    Archiving {
        before,
        to: archive_path(file, number),
        request_hours: 72,
        request_days_credits: 90,
    }
}

pub fn archive_path(file: &Path, number: u8) -> PathBuf {
    file.with_file_name(format!("archive-{number}.db"))
}

pub fn archive(order: &Archiving, file: &Path) -> Result<ArchiveReport, String> {
    data_files::archive(file, order, &At(time(NOW)), &mut |_, _, _| {})
}

/// Archives the rows up to that position.
pub fn cut_at(file: &Path, number: u8, position: i64) -> ArchiveReport {
    let order = order(file, number, time_after(file, position));
    let report = archive(&order, file).unwrap();
    assert_eq!(report.position, position);
    report
}

/// The time of the row behind that one, where its rows are in order of time.
pub fn time_after(file: &Path, position: i64) -> Timestamp {
    let sql = "SELECT create_time FROM entries WHERE position = ?1";
    match number(file, &sql.replace("?1", &(position + 1).to_string())) {
        Some(nanos) => Timestamp::from_unix_nanos(nanos),
        None => time("2026-06-01T00:00:00Z"),
    }
}

/// A number in a file; None where there is no row.
pub fn number(file: &Path, sql: &str) -> Option<i64> {
    let connection = Connection::open(file).unwrap();
    let found = connection.query_row(sql, [], |row| row.get(0));
    connection.close().unwrap();
    found.ok()
}

/// What an audit with these archives finds.
pub fn audit_all(file: &Path, numbers: &[u8], since: Option<&str>) -> Result<AuditReport, String> {
    let archives = numbers.iter().map(|number| archive_path(file, *number));
    let archives: Vec<PathBuf> = archives.collect();
    let since = since.map(|head| head.parse().unwrap());
    audit_with_archives(file, &archives, since.as_ref(), &mut |_, _| {})
}

pub fn assert_sound(file: &Path, numbers: &[u8], since: Option<&str>) {
    let report = audit_all(file, numbers, since).unwrap();
    assert_eq!(report.findings, Vec::<String>::new(), "{numbers:?}");
    assert_eq!(report.damage, 0);
}
