//! The tables of rate cards and publications.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use sha2::{Digest as _, Sha256};

use crate::domain::Timestamp;
use crate::domain::keys::KeyId;
use crate::domain::schedule::{CardHead, Origin, Placed, Publication, Removed, Schedule};
use crate::rfc3339;
use crate::store::cards::{NewCard, PublishedCard, StoredCard};
use crate::store::keys::AdminAction;
use crate::store::sqlite::admin::Unchanged;
use crate::store::sqlite::times::At;
use crate::store::sqlite::trail;

/// Puts exactly these cards of files in force; whether that changes anything.
pub(super) fn publish_files(
    connection: &Connection,
    cards: &[NewCard],
    now: Timestamp,
) -> Result<bool, Unchanged> {
    let schedule = schedule(connection, None, now)?;
    let names = cards.iter().map(|new| new.card.name.as_str());
    schedule.check_files(names)?;
    replace_files(connection, &schedule, cards, now)
}

/// Publishes a card.
pub(super) fn publish_one(
    connection: &Connection,
    new: &NewCard,
    by: Option<&KeyId>,
    now: Timestamp,
) -> Result<Placed, Unchanged> {
    let placed = schedule(connection, None, now)?.publish(&new.publication(), now)?;
    if !placed.unchanged {
        put_publication(connection, new, &placed)?;
        let (action, card) = (AdminAction::PublishRateCard, &new.card);
        trail::add(connection, now, by, action, &card.revision, &card.name)?;
    }
    Ok(placed)
}

/// Takes a card out of the schedule; whether that changes anything.
pub(super) fn withdraw(
    connection: &Connection,
    revision: &str,
    by: Option<&KeyId>,
    now: Timestamp,
) -> Result<bool, Unchanged> {
    let schedule = schedule(connection, None, now)?;
    let scheduled = schedule.withdraw(revision, now)?;
    if scheduled {
        remove(connection, revision, now, true)?;
        let name = schedule.card(revision).map_or("", |card| &*card.name);
        let action = AdminAction::WithdrawRateCard;
        trail::add(connection, now, by, action, revision, name)?;
    }
    Ok(scheduled)
}

/// Puts exactly these cards of files in force; whether that changes what is.
fn replace_files(
    connection: &Connection,
    schedule: &Schedule,
    cards: &[NewCard],
    now: Timestamp,
) -> Result<bool, Unchanged> {
    let mut changed = false;
    for file in schedule.files() {
        if !cards.iter().any(|new| *new.card.revision == *file.revision) {
            connection
                .prepare_cached("UPDATE rate_cards SET replaced = ?2 WHERE revision = ?1")?
                .execute(params![file.revision, At(now)])?;
            changed = true;
        }
    }
    for new in cards {
        let known = schedule.card(&new.card.revision);
        let in_force =
            known.is_some_and(|card| card.origin != Origin::Published && card.replaced.is_none());
        put_card(connection, new, now)?;
        changed |= !in_force;
    }
    Ok(changed)
}

fn put_publication(
    connection: &Connection,
    new: &NewCard,
    placed: &Placed,
) -> Result<(), Unchanged> {
    if let Some(other) = &placed.replaces {
        remove(connection, other, placed.published, false)?;
    }
    let card_id = put_card(connection, new, placed.published)?;
    connection
        .prepare_cached(
            "INSERT INTO publications (card_id, published, since, withdrawn)
             VALUES (?1, ?2, ?3, 0)",
        )?
        .execute(params![card_id, At(placed.published), At(placed.since)])?;
    Ok(())
}

/// Writes a card down as one that is not replaced, and answers its number. A card that is
/// there gets the text and the origin of this one.
fn put_card(connection: &Connection, new: &NewCard, now: Timestamp) -> Result<i64, Unchanged> {
    let card = &new.card;
    let known = connection
        .prepare_cached(
            "SELECT card_id, content = ?2, replaced IS NULL FROM rate_cards WHERE revision = ?1",
        )?
        .query_row(params![card.revision, card.content], |row| {
            let (same, in_force) = (row.get::<_, bool>(1)?, row.get::<_, bool>(2)?);
            Ok((row.get::<_, i64>(0)?, same, in_force))
        })
        .optional()?;
    let card_id = match known {
        Some((_, false, _)) => {
            return Err(Unchanged::Failed(format!(
                "another rate card was published as revision {}",
                card.revision
            )));
        }
        Some((card_id, true, true)) => card_id,
        Some((card_id, true, false)) => {
            connection
                .prepare_cached("UPDATE rate_cards SET replaced = NULL WHERE card_id = ?1")?
                .execute([card_id])?;
            card_id
        }
        None => {
            connection
                .prepare_cached(
                    "INSERT INTO rate_cards (revision, name, first_published, content)
                     VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![card.revision, card.name, At(now), card.content])?;
            connection.last_insert_rowid()
        }
    };
    connection
        .prepare_cached(
            "INSERT INTO rate_card_sources
               (card_id, origin, title, effective_time, toml, toml_sha256)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET origin = excluded.origin, toml = excluded.toml,
                                       toml_sha256 = excluded.toml_sha256
             WHERE origin <> excluded.origin OR toml IS NOT excluded.toml
                OR toml_sha256 IS NOT excluded.toml_sha256",
        )?
        .execute(params![
            card_id,
            new.origin.name(),
            new.title,
            new.effective_time.map(rfc3339::format),
            new.toml,
            Sha256::digest(&new.toml).as_slice(),
        ])?;
    Ok(card_id)
}

/// Takes the publication of a card that is still to come out of the schedule.
fn remove(
    connection: &Connection,
    revision: &str,
    now: Timestamp,
    withdrawn: bool,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE publications SET removed = ?2, withdrawn = ?3
             WHERE removed IS NULL AND since > ?2
               AND card_id = (SELECT card_id FROM rate_cards WHERE revision = ?1)",
        )?
        .execute(params![revision, At(now), withdrawn])?;
    Ok(())
}

/// Every card of a file without its content, and all publications; of one name, where it is
/// given.
pub(super) fn schedule(
    connection: &Connection,
    name: Option<&str>,
    now: Timestamp,
) -> rusqlite::Result<Schedule> {
    let cards = connection
        .prepare_cached(
            "SELECT card_id, revision, name, title, effective_time, origin, replaced
             FROM rate_cards JOIN rate_card_sources USING (card_id)
             WHERE ?1 IS NULL OR name = ?1
             ORDER BY replaced IS NULL, replaced, card_id",
        )?
        .query_map([name], head)?
        .collect::<rusqlite::Result<_>>()?;
    let publications = connection
        .prepare_cached(
            "SELECT revision, name, effective_time, published, since, removed, withdrawn
             FROM publications
             JOIN rate_cards USING (card_id) JOIN rate_card_sources USING (card_id)
             WHERE ?1 IS NULL OR name = ?1
             ORDER BY since, publication_id",
        )?
        .query_map([name], publication)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Schedule {
        time: now,
        cards,
        publications,
    })
}

fn head(row: &Row<'_>) -> rusqlite::Result<CardHead> {
    let origin: String = row.get(5)?;
    Ok(CardHead {
        number: row.get(0)?,
        revision: row.get(1)?,
        name: row.get(2)?,
        title: row.get(3)?,
        effective_time: effective_time(row, 4)?,
        origin: Origin::of(&origin).ok_or_else(|| wrong(5))?,
        replaced: time(row, 6)?,
    })
}

fn publication(row: &Row<'_>) -> rusqlite::Result<Publication> {
    let (At(published), At(since)) = (row.get(3)?, row.get(4)?);
    let withdrawn: bool = row.get(6)?;
    Ok(Publication {
        revision: row.get(0)?,
        name: row.get(1)?,
        effective_time: effective_time(row, 2)?,
        published,
        since,
        removed: time(row, 5)?.map(|time| Removed { time, withdrawn }),
    })
}

fn wrong(column: usize) -> rusqlite::Error {
    let kind = rusqlite::types::Type::Text;
    rusqlite::Error::InvalidColumnType(column, "rate_card_sources".to_owned(), kind)
}

fn effective_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| rfc3339::parse(&text).ok_or_else(|| wrong(column)))
        .transpose()
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let time: Option<At> = row.get(column)?;
    Ok(time.map(|At(time)| time))
}

/// The cards of these revisions.
pub(super) fn find(
    connection: &Connection,
    revisions: &[Box<str>],
    now: Timestamp,
) -> rusqlite::Result<Vec<PublishedCard>> {
    let mut statement = connection.prepare_cached(
        "SELECT revision, name, content, origin, replaced
         FROM rate_cards JOIN rate_card_sources USING (card_id) WHERE revision = ?1",
    )?;
    let mut found = Vec::with_capacity(revisions.len());
    for revision in revisions {
        let card = statement.query_row([revision], |row| {
            let origin: String = row.get(3)?;
            Ok((stored(row)?, origin, time(row, 4)?))
        });
        let Some((card, origin, mut replaced)) = card.optional()? else {
            continue;
        };
        if origin == Origin::Published.name() {
            let schedule = schedule(connection, Some(&card.name), now)?;
            replaced = schedule.ends().get(&**revision).copied().flatten();
        }
        found.push(PublishedCard { card, replaced });
    }
    Ok(found)
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredCard> {
    Ok(StoredCard {
        revision: row.get(0)?,
        name: row.get(1)?,
        content: row.get(2)?,
    })
}

/// The text of a card as it was written.
pub(super) fn text(connection: &Connection, revision: &str) -> rusqlite::Result<Option<String>> {
    let text = connection
        .prepare_cached("SELECT toml FROM rate_cards JOIN rate_card_sources USING (card_id) WHERE revision = ?1")?
        .query_row([revision], |row| row.get(0))
        .optional()?;
    Ok(text.flatten())
}

/// Hands over every card of a file with its content, one after another.
pub(in crate::store::sqlite) fn each(
    connection: &Connection,
    mut with: impl FnMut(StoredCard),
) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare("SELECT revision, name, content FROM rate_cards ORDER BY card_id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        with(stored(row)?);
    }
    Ok(())
}
