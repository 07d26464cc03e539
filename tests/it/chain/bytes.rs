//! Every byte of a small file, changed: it is found, or the file is refused, or the byte holds
//! no data.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value;

use super::edits::is_unproved;
use super::{small, sql};

/// `make test` changes one byte of so many; `CREDITD_BYTES=1` changes all.
const STRIDE: usize = 61;

/// All that SQLite reads of a file: schema, and each column of each table.
type Contents = Vec<(String, String, Vec<Value>)>;

fn contents(file: &Path) -> rusqlite::Result<Contents> {
    let connection = Connection::open(file)?;
    let read = |sql: &str| -> rusqlite::Result<Vec<Value>> {
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.collect()
    };
    let mut contents = Vec::new();
    for column in ["type", "name", "tbl_name", "sql"] {
        let values = read(&format!("SELECT {column} FROM sqlite_schema"))?;
        contents.push(("sqlite_schema".to_owned(), column.to_owned(), values));
    }
    for table in read("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")? {
        let Value::Text(table) = table else { continue };
        let columns = read(&format!("SELECT name FROM pragma_table_info('{table}')"))?;
        for column in columns {
            let Value::Text(column) = column else {
                continue;
            };
            // Through the table and not through an index.
            let values = read(&format!("SELECT \"{column}\" FROM \"{table}\" NOT INDEXED"))?;
            contents.push((table.clone(), column, values));
        }
    }
    for pragma in ["application_id", "user_version"] {
        let values = read(&format!("SELECT * FROM pragma_{pragma}"))?;
        contents.push((pragma.to_owned(), String::new(), values));
    }
    Ok(contents)
}

/// Why the change of a byte may stay unnoticed; None where it may not.
fn excuse(before: &Contents, file: &Path) -> Option<String> {
    let after = contents(file).ok()?;
    if before.len() != after.len() {
        return None;
    }
    let differing: BTreeSet<(&str, &str)> = before
        .iter()
        .zip(&after)
        .filter(|(before, after)| before != after)
        .map(|(before, _)| (before.0.as_str(), before.1.as_str()))
        .collect();
    // The rule: SQLite reads the same rows and the same schema, or what differs is proved by nothing.
    let unproved = differing
        .iter()
        .all(|(table, column)| is_unproved(table, column));
    unproved.then(|| match differing.first() {
        None => "no data".to_owned(),
        Some((table, column)) => format!("{table}.{column}"),
    })
}

#[tokio::test]
async fn every_changed_byte_is_found_or_holds_no_data() {
    let stride = std::env::var("CREDITD_BYTES").map_or(STRIDE, |text| text.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let file = small(directory.path()).await;
    // Small pages, so that little of the file is unused.
    sql(
        &file,
        "PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM; PRAGMA journal_mode = WAL;",
    );
    let before = contents(&file).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let written = std::fs::File::options().write(true).open(&file).unwrap();
    let (mut found, mut refused, mut excused, mut missed) = (0, 0, 0, Vec::new());
    let mut audited = 0;
    for at in (0..bytes.len()).step_by(stride) {
        // Another bit at each place.
        let changed = bytes[at] ^ (1 << (at / stride % 8));
        written.write_all_at(&[changed], at as u64).unwrap();
        audited += 1;
        match creditd::server::files::audit(&file, &mut |_, _| {}) {
            Err(_) => refused += 1,
            Ok(report) if !report.is_sound() => found += 1,
            Ok(_) => match excuse(&before, &file) {
                Some(_) => excused += 1,
                None => missed.push(format!("{at}: {:#04x} became {changed:#04x}", bytes[at])),
            },
        }
        written.write_all_at(&bytes[at..=at], at as u64).unwrap();
        for more in ["-wal", "-shm"] {
            let more = directory.path().join(format!("creditd.db{more}"));
            let _ = std::fs::remove_file(more);
        }
    }
    eprintln!(
        "{audited} of {} bytes: {found} found, {refused} refused, {excused} without data",
        bytes.len()
    );
    assert!(missed.is_empty(), "{} missed: {missed:#?}", missed.len());
    // The rule excuses no more than what is unused.
    assert!(excused * 2 < audited, "{excused} of {audited} hold no data");
    // It is sound again.
    assert!(super::audit(&file).is_sound());
}
