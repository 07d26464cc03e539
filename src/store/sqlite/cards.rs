//! Rate cards that were ever served.

use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, TransactionBehavior, params};

use super::group::is_busy;
use super::times::At;
use crate::domain::Timestamp;
use crate::store::{ServedCard, Unavailable};

pub(super) fn served(connection: &Mutex<Connection>) -> Result<Vec<ServedCard>, Unavailable> {
    let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
    read(&connection).map_err(|error| failed("read", &error))
}

/// Every card of a file, oldest first.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Vec<ServedCard>> {
    connection
        .prepare("SELECT revision, name, content, replaced FROM rate_cards ORDER BY first_served, card_id")?
        .query_map([], |row| {
            Ok(ServedCard {
                revision: row.get(0)?,
                name: row.get(1)?,
                content: row.get(2)?,
                replaced: row.get::<_, Option<At>>(3)?.map(|At(time)| time),
            })
        })?
        .collect()
}

/// What came of keeping the cards that are served.
pub(super) enum CardsKept {
    /// They are in the file, or cannot be.
    Done(Result<(), Unavailable>),
    /// Another program is writing to the file: it is worth another try.
    Locked,
}

/// Keeps those that are served from now on, in a transaction of its own.
pub(super) fn serve(
    connection: &mut Connection,
    cards: &[ServedCard],
    now: Timestamp,
) -> CardsKept {
    let now = At(now);
    let mut write = || -> rusqlite::Result<Option<String>> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(
            "UPDATE rate_cards SET replaced = ?1 WHERE replaced IS NULL",
            [now],
        )?;
        for card in cards {
            transaction.execute(
                "INSERT INTO rate_cards (revision, name, content, first_served)
                 VALUES (?1, ?2, ?3, ?4) ON CONFLICT (revision) DO UPDATE SET replaced = NULL",
                params![card.revision, card.name, card.content, now],
            )?;
            let kept: String = transaction.query_row(
                "SELECT content FROM rate_cards WHERE revision = ?1",
                [&card.revision],
                |row| row.get(0),
            )?;
            if kept != card.content {
                return Ok(Some(card.revision.clone()));
            }
        }
        transaction.commit().map(|()| None)
    };
    CardsKept::Done(match write() {
        Ok(None) => Ok(()),
        Ok(Some(revision)) => Err(Unavailable {
            operation: "write",
            cause: format!("another rate card is kept under revision {revision}"),
        }),
        Err(error) if is_busy(&error) => return CardsKept::Locked,
        Err(error) => Err(failed("write", &error)),
    })
}

fn failed(operation: &'static str, error: &rusqlite::Error) -> Unavailable {
    Unavailable {
        operation,
        cause: error.to_string(),
    }
}
