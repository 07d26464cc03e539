//! Damage to a file that was cut, and to its archive: all of it is found.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::types::Value;

use super::cuts::copy;
use super::{archive_path, assert_sound, audit_all, cut_at};
use crate::chain::{audit, head, open, small, sql};
use crate::store::Hand;

/// A file that was cut behind its row 15, and its archive beside it.
async fn cut(directory: &Path) -> PathBuf {
    let file = small(directory).await;
    cut_at(&file, 1, 15);
    assert_sound(&file, &[1], None);
    file
}

/// What one edit makes of a value.
fn changed(value: Value, kind: &str) -> Value {
    match (value, kind) {
        (Value::Integer(number), _) => Value::Integer(number + 1),
        (Value::Text(text), _) => {
            let at = text.rfind(|c: char| c.is_ascii_alphanumeric()).unwrap_or(0);
            let other = if &text[at..=at] == "1" { "2" } else { "1" };
            let mut text = text;
            text.replace_range(at..=at, other);
            Value::Text(text)
        }
        (Value::Blob(mut bytes), _) => {
            bytes[0] ^= 1;
            Value::Blob(bytes)
        }
        (Value::Null, "TEXT") => Value::Text("{}".to_owned()),
        (Value::Null, "BLOB") => Value::Blob(vec![0; 16]),
        (Value::Null, _) => Value::Integer(1),
        (Value::Real(_), _) => panic!("no column has fractions"),
    }
}

/// What nothing says but the row itself: when an archive was made, for what it was asked, and how
/// its file was called.
const UNPROVED: &[&str] = &["create_time", "before_time", "file"];

#[tokio::test]
async fn each_column_of_openings_archives_and_kept_rows_is_proved() {
    let directory = tempfile::tempdir().unwrap();
    let sound = cut(directory.path()).await;
    let path = directory.path().join("edited.db");
    let connection = Connection::open(&sound).unwrap();
    let mut missed = Vec::new();
    for (table, key) in [
        ("archives", "archive_id"),
        ("openings", "account_id"),
        ("entries", "position"),
    ] {
        let kept = match table {
            "entries" => " WHERE position <= 15",
            _ => "",
        };
        let keys: Vec<i64> = connection
            .prepare(&format!("SELECT {key} FROM {table}{kept}"))
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert!(!keys.is_empty(), "{table}");
        let columns: Vec<(String, String)> = connection
            .prepare(&format!(
                "SELECT name, type FROM pragma_table_info('{table}')"
            ))
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        for row in keys {
            for (column, kind) in &columns {
                if table == "archives" && UNPROVED.contains(&column.as_str()) {
                    continue;
                }
                std::fs::copy(&sound, &path).unwrap();
                let edited = Connection::open(&path).unwrap();
                let value: Value = edited
                    .query_row(
                        &format!("SELECT {column} FROM {table} WHERE {key} = {row}"),
                        [],
                        |row| row.get(0),
                    )
                    .unwrap();
                let edit = format!("UPDATE {table} SET {column} = ?1 WHERE {key} = {row}");
                let taken = edited.execute(&edit, [changed(value, kind)]).is_ok();
                edited.close().unwrap();
                let is_sound = audit(&path).is_sound();
                if taken && is_sound {
                    missed.push(format!("{column} of {table} {row}"));
                }
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

/// Edits of a cut file, and words of a finding.
const EDITS: &[(&str, &str)] = &[
    // A balance that is larger, in all places that say so.
    (
        "UPDATE openings SET state = replace(state, '\"remaining\":100000000000', '\"remaining\":200000000000'),
                available = available + 100000000000 WHERE account_id = 1",
        "the opening of account team-a",
    ),
    // Two accounts exchange their openings.
    (
        "UPDATE openings SET account_id = account_id + 10;
         UPDATE openings SET account_id = 13 - account_id WHERE account_id > 10;",
        "the opening of account team-",
    ),
    ("DELETE FROM openings WHERE account_id = 2", "the seal of archive 1"),
    ("DELETE FROM openings", "the seal of archive 1"),
    (
        "INSERT INTO openings SELECT 77, archive_id, position, entry_id, create_time, available,
           held, settings_position, previous_chain, chain, state FROM openings WHERE account_id = 2",
        "an opening is of an account that is not there",
    ),
    ("DELETE FROM archives", "there are openings of accounts, and no archive"),
    ("UPDATE archives SET seal = zeroblob(32)", "the trail names another seal"),
    ("UPDATE archives SET position = 16", "the seal of archive 1"),
    ("UPDATE archives SET position = 14", "the seal of archive 1"),
    (
        "DELETE FROM admin_events WHERE action = 'archive'",
        "the trail names another seal, or none",
    ),
    (
        "UPDATE admin_events SET subject = 'other' WHERE action = 'archive'",
        "event 1 of the trail was changed",
    ),
    ("DELETE FROM entries WHERE position = 1", "cannot be read"),
    ("DELETE FROM entries WHERE position = 15", "the opening of account team-a"),
    ("DELETE FROM entries WHERE position = 14", "the seal of archive 1"),
    ("DELETE FROM entries WHERE position = 16", "the entry at position 16 is missing"),
    (
        "INSERT INTO entries SELECT 5, account_id, previous, entry_id, kind, credits, held,
           spent, available, answered, create_time, request_id, fingerprint, service,
           card_id, usage, grant_id, hold_id, hold_held, hold_settled, hold_expire_time,
           hold_status, refunded_id, labels, shares, price_values, price_time, account, key_id,
           chain, salts, erased FROM entries WHERE position = 18",
        "rows are kept of those up to 15",
    ),
    ("UPDATE grants SET source = 'gift' WHERE grant_id = 1", "the seal of archive 1"),
    ("DELETE FROM grants WHERE account_id = 2", "table grants has 3 rows"),
    ("DELETE FROM revocations", "the seal of archive 1"),
    ("UPDATE revocations SET entry_id = 9", "the seal of archive 1"),
    ("UPDATE revocations SET entry_id = 99", "table revocations"),
    ("DELETE FROM holds WHERE hold_id = 3", "the opening of account team-a: it cannot be read"),
    ("INSERT INTO holds VALUES (1, 1, 6, 8)", "table holds (closed by"),
    ("INSERT INTO refunds VALUES (1, 4, 9, 248000000)", "table refunds has 1 rows"),
    ("UPDATE accounts SET name = 'team-z' WHERE account_id = 2", "the seal of archive 1"),
    (
        "INSERT INTO snapshots SELECT account_id, entry_id, position, create_time, state
           FROM openings WHERE account_id = 1",
        "which is none of its",
    ),
    (
        "UPDATE openings SET state = replace(state, 'Ada', 'Eda') WHERE account_id = 1",
        "its labels are not those of its newest update",
    ),
];

#[tokio::test]
async fn edits_of_a_cut_file_are_found() {
    let directory = tempfile::tempdir().unwrap();
    let sound = cut(directory.path()).await;
    let path = directory.path().join("edited.db");
    let mut missed = Vec::new();
    for (edit, finding) in EDITS {
        std::fs::copy(&sound, &path).unwrap();
        sql(&path, edit);
        let findings = audit(&path).findings;
        if !findings.iter().any(|found| found.contains(finding)) {
            missed.push(format!("{edit}: {findings:#?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Edits of the archive, and words of what an audit of both says.
const ARCHIVE_EDITS: &[(&str, &str)] = &[
    (
        "DELETE FROM entries WHERE position = 9",
        "archive-1.db: the entry at position 9 is missing",
    ),
    (
        "UPDATE entries SET credits = credits - 1, spent = spent + 1 WHERE position = 9",
        "archive-1.db: entry 2 of team-b, at position 9: it does not follow",
    ),
    (
        "UPDATE accounts SET name = 'team-z' WHERE account_id = 2",
        "archive-1.db: its rows up to 15 make openings with the seal",
    ),
    (
        "DELETE FROM revocations",
        "archive-1.db: its rows up to 15 make openings with the seal",
    ),
    // Both files have it.
    (
        "UPDATE entries SET key_id = 'x' WHERE position = 18",
        "archive-1.db: entry 14 of team-a, at position 18: it is not as it was written",
    ),
];

#[tokio::test]
async fn edits_of_an_archive_are_found() {
    let directory = tempfile::tempdir().unwrap();
    let sound = cut(directory.path()).await;
    let archive = archive_path(&sound, 1);
    let whole = std::fs::read(&archive).unwrap();
    let mut missed = Vec::new();
    for (edit, finding) in ARCHIVE_EDITS {
        std::fs::write(&archive, &whole).unwrap();
        sql(&archive, edit);
        let report = audit_all(&sound, &[1], None).unwrap();
        if !report.findings.iter().any(|found| found.contains(finding)) {
            missed.push(format!("{edit}: {:#?}", report.findings));
        }
        assert!(report.damage > 0 && report.proofs[0].damage > 0);
        // By itself the data file is sound.
        assert!(audit(&sound).is_sound());
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Somebody removes a row of the archive and computes all that is derived of it again: it is a
/// sound file, and not the archive.
#[tokio::test]
async fn another_history_is_not_the_archive() {
    let directory = tempfile::tempdir().unwrap();
    let file = small(directory.path()).await;
    let other = copy(&directory.path().join("other"), &file);
    // Another charge in the place of the newest one: by the same key of the file.
    sql(
        &other,
        "DELETE FROM entries WHERE position = 19; UPDATE accounts SET head = 9, steps = 2,
        last_time = (SELECT create_time FROM entries WHERE position = 9),
        state = replace(state, '\"last\":[3', '\"last\":[2') WHERE account_id = 2;",
    );
    sql(
        &other,
        "UPDATE accounts SET state = replace(state, 'remaining\":5000000000', 'remaining\":6000000000') WHERE account_id = 2; UPDATE file SET flushed = 18",
    );
    assert_sound(&other, &[], None);
    let clock = Hand::new();
    clock.step(4);
    let store = open(&other, &clock);
    crate::store::charge(&store, "team-b", "another")
        .await
        .unwrap();
    drop(store);
    cut_at(&file, 1, 15);
    // A backup of before is no archive of a file that was not cut.
    let refused = audit_all(&other, &[], None);
    assert!(refused.is_ok());
    std::fs::copy(archive_path(&file, 1), archive_path(&other, 1)).unwrap();
    let refused = audit_all(&other, &[1], None).unwrap_err();
    assert!(
        refused.contains("so it is no archive but a backup"),
        "{refused}"
    );
    // The other file's past is the same up to the cut, and its newest row is another one.
    std::fs::remove_file(archive_path(&other, 1)).unwrap();
    std::fs::remove_file(archive_path(&file, 1)).unwrap();
    std::fs::copy(&other, archive_path(&file, 1)).unwrap();
    let report = audit_all(&file, &[1], None).unwrap();
    let finding = "it does not go on from the head 19-";
    assert!(
        report.findings.iter().any(|found| found.contains(finding)),
        "{:?}",
        report.findings
    );
    // A file with another key is of another ledger.
    let third = tempfile::tempdir().unwrap();
    let third = small(third.path()).await;
    std::fs::copy(&third, archive_path(&file, 1)).unwrap();
    let refused = audit_all(&file, &[1], None).unwrap_err();
    assert!(
        refused.contains("it is of another data file than"),
        "{refused}"
    );
    assert!(head(&file).starts_with("19-"));
}
