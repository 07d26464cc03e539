//! The trail of what administrators did, in the data file.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::times::At;
use crate::domain::Timestamp;
use crate::domain::keys::KeyId;
use crate::store::keys::{AdminAction, AdminEvent, EventQuery};

/// Adds what was done, in the transaction that did it.
pub(super) fn add(
    connection: &Connection,
    now: Timestamp,
    by: Option<&KeyId>,
    action: AdminAction,
    subject: &str,
    title: &str,
) -> rusqlite::Result<()> {
    // Its times never go back, whatever the clock does.
    let last: Option<At> = connection
        .prepare_cached("SELECT create_time FROM admin_events ORDER BY event_id DESC LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let time = last.map_or(now, |At(last)| last.max(now));
    connection
        .prepare_cached(
            "INSERT INTO admin_events (create_time, key_id, action, subject, title)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            At(time),
            by.map(KeyId::as_str),
            action.name(),
            subject,
            title
        ])?;
    Ok(())
}

/// A page of the trail, newest first.
pub(super) fn page(
    connection: &Connection,
    query: &EventQuery,
) -> rusqlite::Result<Vec<AdminEvent>> {
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "SELECT event_id, create_time, key_id, action, subject, title FROM admin_events
             WHERE event_id < ?1 AND (?2 = '' OR key_id = ?2)
             ORDER BY event_id DESC LIMIT ?3",
        )?
        .query_map(
            params![query.before.unwrap_or(i64::MAX), query.key_id, limit],
            event,
        )?
        .collect()
}

fn event(row: &Row<'_>) -> rusqlite::Result<AdminEvent> {
    let key_id: Option<String> = row.get(2)?;
    let action: String = row.get(3)?;
    let At(create_time) = row.get(1)?;
    Ok(AdminEvent {
        number: row.get(0)?,
        create_time,
        key_id: key_id
            .map(|text| KeyId::new(&text).ok_or_else(|| wrong(2)))
            .transpose()?,
        action: AdminAction::named(&action).ok_or_else(|| wrong(3))?,
        subject: row.get(4)?,
        title: row.get(5)?,
    })
}

fn wrong(column: usize) -> rusqlite::Error {
    let kind = rusqlite::types::Type::Text;
    rusqlite::Error::InvalidColumnType(column, "admin_events".to_owned(), kind)
}
