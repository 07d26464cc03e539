//! Counts the holds that were open when the store was opened, beside all else: a file can have
//! millions of holds.
//!
//! The table of holds says at which positions a hold was made and closed, so the answer is the
//! same whatever is written meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::journal::Position;
use crate::store::metrics::StoreMetrics;

/// So many holds are looked at in one read, so that none delays a checkpoint.
const HOLDS_PER_READ: i64 = 50_000;

/// Starts to count the holds that were open after the entry at `position`.
pub(super) fn start(
    connection: Connection,
    position: Position,
    metrics: Arc<StoreMetrics>,
    closing: Arc<AtomicBool>,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("open-holds".to_owned())
        .spawn(move || match count(&connection, position, &closing) {
            Ok(Some(holds)) => metrics.open_holds.set_at_start(holds),
            // The store is closing.
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "open holds cannot be counted for the metrics"),
        })
}

fn count(
    connection: &Connection,
    position: Position,
    closing: &AtomicBool,
) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare(
        "SELECT count(*),
                coalesce(sum(made <= ?3 AND (closed IS NULL OR closed > ?3)), 0),
                coalesce(max(account_id), 0),
                coalesce(max(CASE WHEN account_id = last THEN hold_id END), 0)
           FROM (SELECT *, max(account_id) OVER () AS last
                   FROM (SELECT account_id, hold_id, made, closed FROM holds
                          WHERE (account_id, hold_id) > (?1, ?2)
                          ORDER BY account_id, hold_id LIMIT ?4))",
    )?;
    let (mut open, mut after) = (0_i64, (i64::MIN, i64::MIN));
    loop {
        if closing.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let (account, hold) = after;
        let parameters = [account, hold, position.0, HOLDS_PER_READ];
        let (read, more, account, hold): (i64, i64, i64, i64) = statement
            .query_row(parameters, |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?;
        open = open.saturating_add(more);
        if read < HOLDS_PER_READ {
            return Ok(Some(open));
        }
        after = (account, hold);
    }
}
