//! Edits by SQL: each column of each kind of row, and rows that are removed, added, exchanged or
//! moved.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value;

use super::{audit, small, sql};

/// Columns about which nothing in the file says what they must be, each with the reason. They
/// say nothing about credits.
pub const UNPROVED: &[(&str, &str, &str)] = &[
    ("clock", "boot_id", "what the machine's clock said last"),
    ("clock", "boot_time", "the same"),
    ("clock", "wall_time", "the same"),
    ("file", "probes", "a counter of attempts to write"),
    ("file", "in_use", "whether a server uses the file"),
    ("file", "checkpointed", "about the -wal that was begun last"),
    (
        "file",
        "key",
        "hashes request_ids, of which no run is there",
    ),
    (
        "rate_cards",
        "first_published",
        "the card's revision is proved, not its days",
    ),
    ("rate_cards", "replaced", "the same"),
    ("rate_card_sources", "origin", "where a card came from"),
];

pub fn is_unproved(table: &str, column: &str) -> bool {
    UNPROVED.iter().any(|row| (row.0, row.1) == (table, column))
}

fn columns(connection: &Connection, table: &str) -> Vec<(String, String)> {
    let mut statement = connection
        .prepare(&format!(
            "SELECT name, type FROM pragma_table_info('{table}')"
        ))
        .unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

/// Another value than this one.
fn changed(value: Value, kind: &str) -> Value {
    match (value, kind) {
        (Value::Integer(number), _) => Value::Integer(number + 1_000),
        (Value::Text(text), _) => {
            let mut text = text;
            // Within quotes and brackets, where it has any.
            let at = text.rfind(|c: char| c.is_ascii_alphanumeric()).unwrap_or(0);
            let other = if &text[at..=at] == "1" { "2" } else { "1" };
            text.replace_range(at..(at + 1).min(text.len()), other);
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

/// Changes one column of one row, and returns whether the file took it.
fn change(file: &Path, table: &str, (column, kind): (&str, &str), condition: &str) -> bool {
    let connection = Connection::open(file).unwrap();
    let value: Value = connection
        .query_row(
            &format!("SELECT {column} FROM {table} WHERE {condition}"),
            [],
            |row| row.get(0),
        )
        .unwrap();
    let changed = changed(value, kind);
    let sql = format!("UPDATE {table} SET {column} = ?1 WHERE {condition}");
    let done = connection.execute(&sql, [changed]);
    connection.close().unwrap();
    done.is_ok_and(|rows| rows == 1)
}

#[tokio::test]
async fn each_column_of_each_kind_of_row_is_proved_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let sound = small(directory.path()).await;
    let path = directory.path().join("edited.db");
    let connection = Connection::open(&sound).unwrap();
    let mut statement = connection
        .prepare(
            "SELECT kind, min(position), a.name FROM entries JOIN accounts a USING (account_id)
              GROUP BY kind",
        )
        .unwrap();
    let kinds: Vec<(String, i64, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(kinds.len(), 10, "{kinds:?}");
    let columns = columns(&connection, "entries");
    assert_eq!(columns.len(), 32);
    let mut missed = Vec::new();
    for (kind, position, account) in &kinds {
        for (column, of) in &columns {
            std::fs::copy(&sound, &path).unwrap();
            let condition = format!("position = {position}");
            if !change(&path, "entries", (column, of), &condition) {
                continue;
            }
            let findings = audit(&path).findings;
            let at = [format!("position {position}"), format!("at {position} ")];
            let is_placed = |finding: &String| at.iter().any(|at| finding.contains(at));
            let is_of = |finding: &String| match column.as_str() {
                "account_id" | "position" => true,
                _ => finding.contains(account.as_str()),
            };
            if !findings
                .iter()
                .any(|finding| is_placed(finding) && is_of(finding))
            {
                missed.push(format!("{column} of a {kind} at {position}: {findings:?}"));
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[tokio::test]
async fn each_column_of_the_other_tables_is_proved_or_stands_in_a_list() {
    let directory = tempfile::tempdir().unwrap();
    let sound = small(directory.path()).await;
    let path = directory.path().join("edited.db");
    let connection = Connection::open(&sound).unwrap();
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'entries'
                   AND name NOT LIKE 'sqlite%' ORDER BY name";
    let tables: Vec<String> = connection
        .prepare(tables)
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut missed = Vec::new();
    for table in [
        "grants",
        "revocations",
        "holds",
        "refunds",
        "accounts",
        "file",
        "rate_cards",
    ] {
        assert!(tables.iter().any(|name| name == table), "{table}");
    }
    for table in tables {
        let count = format!("SELECT count(*) FROM {table}");
        let rows: i64 = connection.query_row(&count, [], |row| row.get(0)).unwrap();
        let of_table = columns(&connection, &table);
        // In the order of the key, whatever it is.
        let keys =
            format!("SELECT name FROM pragma_table_info('{table}') WHERE pk > 0 ORDER BY pk");
        let keys: Vec<String> = connection
            .prepare(&keys)
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        for row in 0..rows {
            let values = keys.iter().map(|key| {
                let sql = format!(
                    "SELECT {key} FROM {table} ORDER BY {} LIMIT 1 OFFSET {row}",
                    keys.join(", ")
                );
                let value: i64 = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
                format!("{key} = {value}")
            });
            let condition = values.collect::<Vec<_>>().join(" AND ");
            for (column, of) in &of_table {
                if is_unproved(&table, column) {
                    continue;
                }
                std::fs::copy(&sound, &path).unwrap();
                if !change(&path, &table, (column, of), &condition) {
                    continue;
                }
                if audit(&path).is_sound() {
                    missed.push(format!("{column} of {table} where {condition}"));
                }
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Edits of whole rows, and words of a finding.
const ROWS: &[(&str, &str)] = &[
    (
        "DELETE FROM entries WHERE position = 9",
        "the entry at position 9 is missing",
    ),
    (
        "DELETE FROM entries WHERE position IN (8, 9)",
        "the entries at positions 8 to 9 are missing",
    ),
    (
        "DELETE FROM entries WHERE position = 1",
        "the entry at position 1 is missing",
    ),
    (
        "INSERT INTO entries SELECT 1000, account_id, previous, entry_id, kind, credits, held,
           spent, available, answered, create_time, request_id || 'x', fingerprint, service,
           card_id, usage, grant_id, hold_id, hold_held, hold_settled, hold_expire_time,
           hold_status, refunded_id, labels, shares, price_values, price_time, account, key_id,
           chain, salts, erased FROM entries WHERE position = 9",
        "of team-b, at position 1000: it is not as it was written",
    ),
    // Rows of two accounts are exchanged.
    (
        "UPDATE entries SET position = -1 WHERE position = 5;
         UPDATE entries SET position = 5 WHERE position = 9;
         UPDATE entries SET position = 9 WHERE position = -1;",
        "of team-b, at position 5: it is not as it was written",
    ),
    // A row becomes another account's.
    (
        "UPDATE entries SET account_id = 1 WHERE position = 9",
        "of team-a, at position 9: it is not as it was written",
    ),
    (
        "UPDATE accounts SET name = 'team-z' WHERE account_id = 2",
        "of team-z, at position 2",
    ),
    // Two accounts exchange their names.
    (
        "UPDATE accounts SET name = 'x' WHERE account_id = 1;
         UPDATE accounts SET name = 'team-a' WHERE account_id = 2;
         UPDATE accounts SET name = 'team-b' WHERE account_id = 1;",
        "of team-b, at position 1: it is not as it was written",
    ),
    (
        "UPDATE entries SET chain = (SELECT chain FROM entries WHERE position = 2) WHERE position = 9",
        "entry 2 of team-b, at position 9: it is not as it was written",
    ),
    (
        "UPDATE entries SET chain = NULL WHERE position = 9",
        "of team-b, at position 9",
    ),
    (
        "UPDATE entries SET chain = x'00' WHERE position = 9",
        "the entry at 9 cannot be read",
    ),
    (
        "UPDATE grants SET source = 'gift' WHERE account_id = 1 AND grant_id = 1",
        "entry 1 of team-a, at position 1: it is not as it was written",
    ),
    (
        "UPDATE grants SET expire_time = '2027-01-01T00:00:00Z' WHERE account_id = 1 AND grant_id = 1",
        "entry 1 of team-a, at position 1: it is not as it was written",
    ),
    (
        "UPDATE grants SET expire_time = replace(expire_time, 'T', 't') WHERE grant_id = 2",
        "entry 2 of team-a, at position 3: its grant's expire_time is not as creditd writes it",
    ),
    (
        "UPDATE entries SET create_time = create_time + 1 WHERE position = 17",
        "of team-a, at position 17: it is not as it was written",
    ),
    (
        "UPDATE entries SET labels = replace(labels, 'Ada', 'Eda') WHERE position = 5",
        "entry 4 of team-a, at position 5: it is not as it was written",
    ),
    (
        "UPDATE entries SET labels = replace(labels, ',', ', ') WHERE position = 5",
        "entry 4 of team-a, at position 5: its labels is not as creditd writes it",
    ),
    (
        "UPDATE entries SET labels = NULL, salts = NULL WHERE position = 5",
        "entry 4 of team-a, at position 5: it is not as it was written",
    ),
    (
        "UPDATE entries SET account = replace(account, '42', '43') WHERE kind = 'update'",
        "the row after entry 10 of team-a, at position 14: it is not as it was written",
    ),
    (
        "UPDATE entries SET key_id = 'admin' WHERE position = 5",
        "entry 4 of team-a, at position 5: it is not as it was written",
    ),
    (
        "UPDATE file SET flushed = -109",
        "entries up to -109 were written, and the journal ends at 19",
    ),
    (
        "PRAGMA ignore_check_constraints = ON; UPDATE file SET file_id = 65",
        "the row of the table file does not have the number 1",
    ),
];

#[tokio::test]
async fn rows_that_are_removed_added_exchanged_or_moved_are_found_with_their_place() {
    let directory = tempfile::tempdir().unwrap();
    let sound = small(directory.path()).await;
    let path = directory.path().join("edited.db");
    let mut missed = Vec::new();
    for (edit, finding) in ROWS {
        std::fs::copy(&sound, &path).unwrap();
        sql(&path, edit);
        let findings = audit(&path).findings;
        if !findings.iter().any(|found| found.contains(finding)) {
            missed.push(format!("{edit}: {findings:#?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
