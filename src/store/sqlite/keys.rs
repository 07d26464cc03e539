//! Keys in the data file.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use super::admin::{Changed, Dated, Unchanged};
use super::times::At;
use super::{SqliteStore, trail};
use crate::domain::keys::{AccountPattern, AccountPatterns, Key, KeyId, KeyTerms, Scope, Scopes};
use crate::domain::names::repeated;
use crate::domain::{Refusal, Timestamp};
use crate::store::keys::{
    AdminAction, AdminEvent, EventQuery, KEYS_MAX, KeyQuery, KeyStore, KeysAnswer, KeysChange,
    NewKey, SecretHash, StoredKey, ValidKeys,
};
use crate::store::{Changes, StoreError, Unavailable};

/// All columns of a key.
const KEYS: &str = "SELECT key_number, key_id, title, scopes, accounts, secret_hash, create_time,
        expire_time, calls_per_second_max, revoke_time, last_use_time FROM keys";

impl KeyStore for SqliteStore {
    fn create_key(&self, new: NewKey, by: Option<KeyId>) -> KeysChange<'_, Key> {
        let create = move |transaction: &Transaction<'_>, now| {
            Ok(Changed {
                answer: create(transaction, &new, by.as_ref(), now)?,
                is_new: true,
            })
        };
        Box::pin(self.administer(Dated::ByClock, &self.key_changes, create))
    }

    fn revoke_key(&self, id: KeyId, by: Option<KeyId>) -> KeysChange<'_, Key> {
        let revoke =
            move |transaction: &Transaction<'_>, now| revoke(transaction, &id, by.as_ref(), now);
        // A key that was stolen is revoked whatever the clock says.
        Box::pin(self.administer(Dated::Anyway, &self.key_changes, revoke))
    }

    fn valid_keys(&self) -> KeysAnswer<'_, ValidKeys> {
        let now = self.clock.now();
        Box::pin(self.read_admin(move |connection| valid(connection, now)))
    }

    fn keys(&self, query: KeyQuery) -> KeysAnswer<'_, Vec<StoredKey>> {
        Box::pin(self.read_admin(move |connection| page(connection, &query)))
    }

    fn note_key_uses(&self, uses: Vec<(KeyId, Timestamp)>) -> KeysAnswer<'_, ()> {
        let note = move |transaction: &Transaction<'_>, _| {
            let mut statement = transaction
                .prepare_cached("UPDATE keys SET last_use_time = ?2 WHERE key_id = ?1")?;
            for (id, time) in &uses {
                statement.execute(params![id.as_str(), At(*time)])?;
            }
            Ok(Changed {
                answer: (),
                is_new: false,
            })
        };
        Box::pin(async move {
            let noted = self.administer(Dated::Anyway, &self.key_changes, note);
            match noted.await {
                Err(StoreError::Unavailable(unavailable)) => Err(unavailable),
                Err(_) => Err(Unavailable {
                    operation: "write",
                    cause: "uses of keys were not noted".to_owned(),
                }),
                Ok(()) => Ok(()),
            }
        })
    }

    fn admin_events(&self, query: EventQuery) -> KeysAnswer<'_, Vec<AdminEvent>> {
        Box::pin(self.read_admin(move |connection| trail::page(connection, &query)))
    }

    fn key_changes(&self) -> Changes {
        self.key_changes.subscribe()
    }
}

fn valid(connection: &Connection, now: Timestamp) -> rusqlite::Result<ValidKeys> {
    let had_any = "SELECT EXISTS (SELECT 1 FROM keys)";
    let keys = connection
        .prepare_cached(&format!(
            "{KEYS} WHERE revoke_time IS NULL AND (expire_time IS NULL OR expire_time > ?1)
             ORDER BY key_number"
        ))?
        .query_map([At(now)], stored)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(ValidKeys {
        keys,
        had_any: connection.query_row(had_any, [], |row| row.get(0))?,
    })
}

fn page(connection: &Connection, query: &KeyQuery) -> rusqlite::Result<Vec<StoredKey>> {
    connection
        .prepare_cached(&format!(
            "{KEYS} WHERE key_number > ?1 AND (?2 OR revoke_time IS NULL)
             ORDER BY key_number LIMIT ?3"
        ))?
        .query_map(
            params![
                query.after.unwrap_or(i64::MIN),
                query.show_revoked,
                i64::try_from(query.limit).unwrap_or(i64::MAX),
            ],
            stored,
        )?
        .collect()
}

/// All keys, in the order of their creation.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<StoredKey>> {
    connection
        .prepare_cached(&format!("{KEYS} ORDER BY key_number"))?
        .query_map([], stored)?
        .collect()
}

fn create(
    connection: &Connection,
    new: &NewKey,
    by: Option<&KeyId>,
    now: Timestamp,
) -> Result<Key, Unchanged> {
    let valid: i64 = connection
        .prepare_cached(
            "SELECT count(*) FROM keys
             WHERE revoke_time IS NULL AND (expire_time IS NULL OR expire_time > ?1)",
        )?
        .query_row([At(now)], |row| row.get(0))?;
    if usize::try_from(valid).unwrap_or(usize::MAX) >= KEYS_MAX {
        return Err(Refusal::TooManyKeys { limit: KEYS_MAX }.into());
    }
    let terms = &new.terms;
    let scopes: Vec<_> = terms.scopes.iter().map(Scope::name).collect();
    let accounts: Vec<_> = terms.accounts.iter().map(ToString::to_string).collect();
    connection
        .prepare_cached(
            "INSERT INTO keys (key_id, title, scopes, accounts, secret_hash, create_time,
                               expire_time, calls_per_second_max)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            new.id.as_str(),
            terms.title,
            serde_json::Value::from(scopes).to_string(),
            serde_json::Value::from(accounts).to_string(),
            new.hash.as_slice(),
            At(now),
            terms.expire_time.map(At),
            terms.calls_per_second_max,
        ])?;
    let (action, id) = (AdminAction::CreateKey, new.id.as_str());
    trail::add(connection, now, by, action, id, &terms.title)?;
    Ok(Key {
        id: new.id.clone(),
        terms: terms.clone(),
        create_time: now,
        last_use_time: None,
        revoke_time: None,
    })
}

fn revoke(
    connection: &Connection,
    id: &KeyId,
    by: Option<&KeyId>,
    now: Timestamp,
) -> Result<Changed<Key>, Unchanged> {
    let found = connection
        .prepare_cached(&format!("{KEYS} WHERE key_id = ?1"))?
        .query_row([id.as_str()], stored)
        .optional()?;
    let Some(StoredKey { mut key, .. }) = found else {
        let key_id = repeated(id.as_str());
        return Err(Refusal::KeyNotFound { key_id }.into());
    };
    if key.revoke_time.is_some() {
        return Ok(Changed {
            answer: key,
            is_new: false,
        });
    }
    let now = now.max(key.create_time);
    connection
        .prepare_cached("UPDATE keys SET revoke_time = ?2 WHERE key_id = ?1")?
        .execute(params![id.as_str(), At(now)])?;
    let (action, title) = (AdminAction::RevokeKey, &key.terms.title);
    trail::add(connection, now, by, action, id.as_str(), title)?;
    key.revoke_time = Some(now);
    Ok(Changed {
        answer: key,
        is_new: true,
    })
}

/// Reads a row of [`KEYS`].
fn stored(row: &Row<'_>) -> rusqlite::Result<StoredKey> {
    let id: String = row.get(1)?;
    let At(create_time) = row.get(6)?;
    let time = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<At>>(column)?.map(|At(t)| t));
    let texts = |column| {
        let text: String = row.get(column)?;
        serde_json::from_str::<Vec<String>>(&text).map_err(|_| wrong(column))
    };
    let scopes = texts(3)?.into_iter().map(|name| Scope::named(&name));
    let scopes: Option<Scopes> = scopes.collect();
    let accounts = texts(4)?.into_iter();
    let accounts: Option<Vec<_>> = accounts.map(|text| AccountPattern::parse(&text)).collect();
    Ok(StoredKey {
        number: row.get(0)?,
        hash: row.get::<_, SecretHash>(5)?,
        key: Key {
            id: KeyId::new(&id).ok_or_else(|| wrong(1))?,
            terms: KeyTerms {
                title: row.get(2)?,
                scopes: scopes.ok_or_else(|| wrong(3))?,
                accounts: AccountPatterns::new(accounts.ok_or_else(|| wrong(4))?),
                expire_time: time(7)?,
                calls_per_second_max: row.get(8)?,
            },
            create_time,
            last_use_time: time(10)?,
            revoke_time: time(9)?,
        },
    })
}

fn wrong(column: usize) -> rusqlite::Error {
    let kind = rusqlite::types::Type::Text;
    rusqlite::Error::InvalidColumnType(column, "keys".to_owned(), kind)
}
