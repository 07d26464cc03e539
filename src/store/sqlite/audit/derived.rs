//! Checks of whole tables beside the journal: they have nothing that the journal does not have.

use super::Audit;
use crate::store::sqlite::journal::StorageError;

/// Names of tables, queries of the number of their rows, and queries of the number of entries
/// that have one.
const COUNTS: &[(&str, &str, &str)] = &[
    (
        "grants",
        "SELECT count(*) FROM grants",
        "SELECT count(*) FROM entries WHERE kind = 'grant'",
    ),
    (
        "refunds",
        "SELECT count(*) FROM refunds",
        "SELECT count(*) FROM entries WHERE kind = 'refund'",
    ),
    (
        "holds",
        "SELECT count(*) FROM holds",
        "SELECT count(*) FROM entries WHERE kind = 'hold'",
    ),
    (
        "holds (closed)",
        "SELECT count(closed) FROM holds",
        "SELECT count(*) FROM entries WHERE hold_status <> 'open'",
    ),
    (
        "revocations",
        "SELECT count(*) FROM revocations",
        "SELECT count(*) FROM (SELECT DISTINCT account_id, grant_id FROM entries WHERE kind = 'revoke')",
    ),
];

impl Audit<'_> {
    pub(super) fn check_derived(&mut self) -> Result<(), StorageError> {
        self.check_counts()?;
        self.check_refunds()?;
        self.check_account_rows()
    }

    pub(super) fn count(&self, sql: &str) -> Result<i64, StorageError> {
        Ok(self
            .journal
            .connection
            .query_row(sql, [], |row| row.get(0))?)
    }

    fn check_counts(&mut self) -> Result<(), StorageError> {
        for (table, stored, expected) in COUNTS {
            let (stored, expected) = (self.count(stored)?, self.count(expected)?);
            if stored != expected {
                self.report.add(format!(
                    "table {table} has {stored} rows, and the journal says {expected}"
                ));
            }
        }
        Ok(())
    }

    /// Refunds must be of charges and settlements, and not exceed them.
    fn check_refunds(&mut self) -> Result<(), StorageError> {
        let mut statement = self.journal.connection.prepare(
            // The subquery is a hash table of entries, which are not indexed by entry_id.
            "SELECT r.account_id, r.refunded_id, r.credits, e.spent, e.kind
               FROM (SELECT account_id, refunded_id, sum(credits) AS credits
                       FROM refunds GROUP BY account_id, refunded_id) r
               LEFT JOIN (SELECT account_id, entry_id, spent, kind FROM entries
                           WHERE kind IN ('charge', 'settle')) e
                 ON e.account_id = r.account_id AND e.entry_id = r.refunded_id",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (account, refunded): (i64, i64) = (row.get(0)?, row.get(1)?);
            let (sum, spent): (i64, Option<i64>) = (row.get(2)?, row.get(3)?);
            if spent.is_none_or(|spent| sum > spent) {
                self.report.add(format!(
                    "entry {refunded} of account {account} was refunded by more than it paid, or paid nothing"
                ));
            }
        }
        Ok(())
    }

    /// The row of an account must end at an entry of that account, and have all its entries up to
    /// `flushed`.
    fn check_account_rows(&mut self) -> Result<(), StorageError> {
        let flushed = self.count("SELECT flushed FROM file")?;
        let last = self.count("SELECT coalesce(max(position), 0) FROM entries")?;
        if flushed > last {
            self.report.add(format!(
                "entries up to {flushed} were written, and the journal ends at {last}"
            ));
        }
        let mut wrong = Vec::new();
        for account_audit in self.accounts.values() {
            if let Some(head) = account_audit.row_head
                && !account_audit.row_was_checked
            {
                wrong.push(format!(
                    "account {}: its row stands at entry {}, which is none of its",
                    account_audit.name, head.0
                ));
            }
            let Some(account) = &account_audit.account else {
                continue;
            };
            let newest = account_audit.head;
            if account.is_unopened() {
                wrong.push(format!("account {} has no entries", account_audit.name));
            }
            if newest.is_some_and(|head| head.0 <= flushed) && account_audit.row_head != newest {
                wrong.push(format!(
                    "account {}: its row is too far behind",
                    account_audit.name
                ));
            }
        }
        wrong.sort_unstable();
        wrong
            .into_iter()
            .for_each(|finding| self.report.add(finding));
        Ok(())
    }
}
