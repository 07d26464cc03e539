//! Between rows and entries: the one place that knows the columns.

use std::sync::Arc;

use rusqlite::{Connection, Row, Transaction, params};
use serde_json::{Map, Value};

use crate::domain::ledger::{
    Entry, EntryId, EntryKind, Fingerprint, GrantId, GrantShare, GrantTerms,
};
use crate::domain::{AccountName, Credits, Labels, RequestId, Timestamp};
use crate::rfc3339;

/// Columns of [`read_entry`], in its order.
pub(super) const ENTRY: &str = "SELECT e.entry_id, a.name, e.previous, e.version, e.kind,
    e.credits, e.held, e.spent, e.available, e.create_time, e.request_id, e.fingerprint,
    e.grant_id, e.labels, e.shares, g.granted, g.priority, g.expire_time, g.source, g.services
    FROM entries e JOIN accounts a USING (account_id) JOIN grants g USING (grant_id)";

/// A row, and what it says about the request that it answers.
pub(super) struct StoredEntry {
    pub(super) entry: Entry,
    pub(super) fingerprint: Option<Fingerprint>,
}

/// Something in a row that no creditd wrote there.
#[derive(Debug)]
pub(super) struct BadRow(pub(super) String);

impl From<rusqlite::Error> for BadRow {
    fn from(error: rusqlite::Error) -> Self {
        Self(error.to_string())
    }
}

/// Reads a row of [`ENTRY`].
pub(super) fn read_entry(row: &Row<'_>) -> Result<StoredEntry, BadRow> {
    let id = row.get::<_, i64>(0)?;
    read_columns(row, EntryId(id))?.ok_or_else(|| BadRow(format!("entry {id} cannot be read")))
}

/// None where a column has a value that it cannot have.
fn read_columns(row: &Row<'_>, id: EntryId) -> Result<Option<StoredEntry>, BadRow> {
    let credits = |column: usize| -> rusqlite::Result<Option<Credits>> {
        Ok(Credits::from_nanos(row.get(column)?).ok())
    };
    let create_time = Timestamp::from_unix_nanos(row.get(9)?);
    let kind: String = row.get(4)?;
    let grant = GrantId(EntryId(row.get(12)?));
    let request_id: Option<String> = row.get(10)?;
    let labels: Option<String> = row.get(13)?;
    let shares: String = row.get(14)?;
    let account: String = row.get(1)?;
    let expire_time: Option<String> = row.get(17)?;
    let services: Option<String> = row.get(19)?;
    let parts = (
        AccountName::new(&account).ok(),
        request_id.map(|id| RequestId::new(&id)).transpose().ok(),
        labels_from_json(labels.as_deref()),
        shares_from_json(&shares),
        expire_time.map_or(Some(None), |text| rfc3339::parse(&text).map(Some)),
        services.map_or(Some(Vec::new()), |text| serde_json::from_str(&text).ok()),
    );
    let (
        Some(account),
        Some(request_id),
        Some(labels),
        Some(shares),
        Some(expire_time),
        Some(services),
    ) = parts
    else {
        return Ok(None);
    };
    let amounts = (
        credits(5)?,
        credits(6)?,
        credits(7)?,
        credits(8)?,
        credits(15)?,
    );
    let (Some(change), Some(held), Some(spent), Some(available), Some(granted)) = amounts else {
        return Ok(None);
    };
    let kind = match kind.as_str() {
        "grant" => EntryKind::Grant(Arc::new(GrantTerms {
            granted,
            priority: row.get(16)?,
            expire_time,
            source: row.get::<_, String>(18)?.into(),
            services,
            create_time,
        })),
        "expire" => EntryKind::Expire,
        _ => return Ok(None),
    };
    Ok(Some(StoredEntry {
        entry: Entry {
            id,
            previous: row.get::<_, Option<i64>>(2)?.map(EntryId),
            account,
            kind,
            credits: change,
            held,
            spent,
            available,
            create_time,
            version: row.get(3)?,
            request_id,
            labels,
            grant,
            shares,
        },
        fingerprint: row.get(11)?,
    }))
}

/// The entry of that id.
pub(super) fn entry_by_id(connection: &Connection, id: EntryId) -> Result<StoredEntry, BadRow> {
    let mut statement = connection.prepare_cached(&format!("{ENTRY} WHERE e.entry_id = ?1"))?;
    let mut rows = statement.query([id.0])?;
    match rows.next()? {
        Some(row) => read_entry(row),
        None => Err(BadRow(format!("entry {} is missing", id.0))),
    }
}

/// Adds an account.
pub(super) fn write_account(
    transaction: &Transaction<'_>,
    id: i64,
    name: &AccountName,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT INTO accounts (account_id, name) VALUES (?1, ?2)")?
        .execute(params![id, name.as_str()])
        .map(|_| ())
}

/// Adds an entry, and its grant's terms where it makes one.
pub(super) fn write_entry(
    transaction: &Transaction<'_>,
    account_id: i64,
    entry: &Entry,
    fingerprint: Option<&Fingerprint>,
) -> rusqlite::Result<()> {
    let kind = match &entry.kind {
        EntryKind::Grant(terms) => {
            let services = (!terms.services.is_empty())
                .then(|| Value::from_iter(terms.services.iter().map(|s| &**s)).to_string());
            transaction
                .prepare_cached("INSERT INTO grants VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
                .execute(params![
                    entry.id.0,
                    account_id,
                    terms.granted.nanos(),
                    terms.priority,
                    terms.expire_time.map(rfc3339::format),
                    &*terms.source,
                    services,
                ])?;
            "grant"
        }
        EntryKind::Expire => "expire",
    };
    transaction
        .prepare_cached(
            "INSERT INTO entries VALUES
             (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            entry.id.0,
            account_id,
            entry.previous.map(|id| id.0),
            entry.version,
            kind,
            entry.credits.nanos(),
            entry.held.nanos(),
            entry.spent.nanos(),
            entry.available.nanos(),
            entry.create_time.unix_nanos().unwrap_or(i64::MAX),
            entry.request_id.as_ref().map(RequestId::as_str),
            fingerprint.map(|f| f.as_slice()),
            entry.grant.0.0,
            labels_to_json(&entry.labels),
            shares_to_json(&entry.shares),
        ])
        .map(|_| ())
}

fn labels_to_json(labels: &Labels) -> Option<String> {
    let map: Map<String, Value> = labels
        .iter()
        .map(|(k, v)| (k.to_owned(), v.into()))
        .collect();
    (!map.is_empty()).then(|| Value::Object(map).to_string())
}

fn labels_from_json(text: Option<&str>) -> Option<Labels> {
    let Some(text) = text else {
        return Some(Labels::default());
    };
    let map: std::collections::HashMap<String, String> = serde_json::from_str(text).ok()?;
    Labels::new(map.iter()).ok()
}

fn shares_to_json(shares: &[GrantShare]) -> String {
    let rows = shares
        .iter()
        .map(|s| Value::from_iter([s.grant.0.0, s.credits.nanos(), s.held.nanos()]));
    Value::from_iter(rows).to_string()
}

fn shares_from_json(text: &str) -> Option<Vec<GrantShare>> {
    let rows: Vec<(i64, i64, i64)> = serde_json::from_str(text).ok()?;
    rows.into_iter()
        .map(|(grant, credits, held)| {
            Some(GrantShare {
                grant: GrantId(EntryId(grant)),
                credits: Credits::from_nanos(credits).ok()?,
                held: Credits::from_nanos(held).ok()?,
            })
        })
        .collect()
}
