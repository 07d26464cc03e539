//! The trail of what administrators did, in the data file.
//!
//! Its rows form a chain, as the entries of an account do: each has the SHA-256 of a version
//! byte, the hash of the row before it, and its own canonical form. The creation of a key has
//! all of the key that never changes in its form.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use sha2::{Digest as _, Sha256};

use super::chain::{BEGINNING, Chain};
use super::times::At;
use crate::domain::Timestamp;
use crate::domain::canonical::CanonicalForm;
use crate::domain::keys::KeyId;
use crate::store::keys::{AdminAction, AdminEvent, EventQuery};

/// The first byte of what is hashed.
const VERSION: u8 = 1;
/// All columns but the chain.
const EVENTS: &str = "SELECT event_id, create_time, key_id, action, subject, title";

/// Adds what was done, in the transaction that did it.
pub(super) fn add(
    connection: &Connection,
    now: Timestamp,
    by: Option<&KeyId>,
    action: AdminAction,
    subject: &str,
    title: &str,
) -> rusqlite::Result<()> {
    let last = connection
        .prepare_cached(
            "SELECT event_id, create_time, chain FROM admin_events ORDER BY event_id DESC LIMIT 1",
        )?
        .query_row([], |row| {
            let At(time) = row.get(1)?;
            Ok((row.get::<_, i64>(0)?, time, row.get::<_, Chain>(2)?))
        })
        .optional()?;
    let (number, last, previous) = last.unwrap_or((0, now, BEGINNING));
    let event = AdminEvent {
        number: number.saturating_add(1),
        // Its times never go back, whatever the clock does.
        create_time: last.max(now),
        key_id: by.cloned(),
        action,
        subject: subject.into(),
        title: title.into(),
    };
    connection
        .prepare_cached("INSERT INTO admin_events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![
            event.number,
            At(event.create_time),
            by.map(KeyId::as_str),
            action.name(),
            subject,
            title,
            chain_of(connection, &previous, &event)?.as_slice(),
        ])?;
    Ok(())
}

/// The hash of an event and of those before it. The numbers of its fields never change; new
/// ones come last.
fn chain_of(
    connection: &Connection,
    previous: &Chain,
    event: &AdminEvent,
) -> rusqlite::Result<Chain> {
    let AdminEvent {
        number,
        create_time,
        key_id,
        action,
        subject,
        title,
    } = event;
    let mut form = CanonicalForm::default();
    form.bytes(&[VERSION]);
    form.bytes(previous);
    form.field(1, number);
    form.field(2, create_time);
    form.field(3, key_id.as_ref().map_or("", KeyId::as_str));
    form.field(4, action.name());
    form.field(5, subject);
    form.field(6, title);
    match action {
        AdminAction::CreateKey => add_key(connection, subject, &mut form)?,
        AdminAction::RevokeKey => {
            let time: Option<Option<At>> = connection
                .prepare_cached("SELECT revoke_time FROM keys WHERE key_id = ?1")?
                .query_row([subject], |row| row.get(0))
                .optional()?;
            form.field(14, &time.flatten().map(|At(time)| time));
        }
        AdminAction::PublishRateCard | AdminAction::WithdrawRateCard | AdminAction::Archive => {}
    }
    Ok(Sha256::digest(form.as_bytes()).into())
}

/// Adds what never changes of a key, as its row has it. One that is not there adds nothing.
fn add_key(
    connection: &Connection,
    key_id: &str,
    form: &mut CanonicalForm,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT key_number, scopes, accounts, secret_hash, create_time, expire_time,
                calls_per_second_max, title
           FROM keys WHERE key_id = ?1",
    )?;
    let mut rows = statement.query([key_id])?;
    let Some(row) = rows.next()? else {
        return Ok(());
    };
    let time = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<At>>(column)?.map(|At(t)| t));
    form.field(7, &row.get::<_, i64>(0)?);
    form.field(8, row.get::<_, String>(1)?.as_str());
    form.field(9, row.get::<_, String>(2)?.as_str());
    form.field(10, &row.get::<_, [u8; 32]>(3)?);
    form.field(11, &time(4)?);
    form.field(12, &time(5)?);
    form.field(13, &row.get::<_, i64>(6)?);
    form.field(15, row.get::<_, String>(7)?.as_str());
    Ok(())
}

/// Hands over each event, oldest first, and whether its chain is as it has to be. From an event
/// that has another one the check goes on with that.
pub(super) fn check(
    connection: &Connection,
    mut with: impl FnMut(AdminEvent, bool),
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!(
        "{EVENTS}, chain FROM admin_events ORDER BY event_id"
    ))?;
    let mut rows = statement.query([])?;
    let mut previous = BEGINNING;
    while let Some(row) = rows.next()? {
        let event = event(row)?;
        let chain: Chain = row.get(6)?;
        let expected = chain_of(connection, &previous, &event)?;
        with(event, chain == expected);
        previous = chain;
    }
    Ok(())
}

/// A page of the trail, newest first.
pub(super) fn page(
    connection: &Connection,
    query: &EventQuery,
) -> rusqlite::Result<Vec<AdminEvent>> {
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(&format!(
            "{EVENTS} FROM admin_events
             WHERE event_id < ?1 AND (?2 = '' OR key_id = ?2)
             ORDER BY event_id DESC LIMIT ?3"
        ))?
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
