//! What stands beside the journal, as a whole: nothing in it that the journal does not
//! say.

use super::Audit;
use crate::store::sqlite::journal::BadRow;

/// Tables that have one row for each entry of a kind, and how many that is.
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
    pub(super) fn check_derived(&mut self) -> Result<(), BadRow> {
        self.check_counts()?;
        self.check_refunds()?;
        self.check_folds()
    }

    fn count(&self, sql: &str) -> Result<i64, BadRow> {
        Ok(self
            .journal
            .connection
            .query_row(sql, [], |row| row.get(0))?)
    }

    fn check_counts(&mut self) -> Result<(), BadRow> {
        for (table, kept, said) in COUNTS {
            let (kept, said) = (self.count(kept)?, self.count(said)?);
            if kept != said {
                self.report.add(format!(
                    "table {table} has {kept} rows, and the journal says {said}"
                ));
            }
        }
        Ok(())
    }

    /// Never more than was paid, and only of what was paid.
    fn check_refunds(&mut self) -> Result<(), BadRow> {
        let mut statement = self.journal.connection.prepare(
            // A table of refunded entries, since entries are not indexed by their ids.
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

    /// Every account's row stands at an entry of its own, and none is older than the
    /// file says.
    fn check_folds(&mut self) -> Result<(), BadRow> {
        let flushed = self.count("SELECT flushed FROM file")?;
        let last = self.count("SELECT coalesce(max(position), 0) FROM entries")?;
        if flushed > last {
            self.report.add(format!(
                "entries up to {flushed} were written, and the journal ends at {last}"
            ));
        }
        let mut wrong = Vec::new();
        for fold in self.folds.values() {
            if let Some(head) = fold.row_head
                && !fold.row_seen
            {
                wrong.push(format!(
                    "account {}: its row stands at entry {}, which is none of its",
                    fold.name, head.0
                ));
            }
            let Some(account) = &fold.account else {
                continue;
            };
            let newest = fold.head;
            if account.is_unopened() {
                wrong.push(format!("account {} has no entries", fold.name));
            }
            if newest.is_some_and(|head| head.0 <= flushed) && fold.row_head != newest {
                wrong.push(format!("account {}: its row is too far behind", fold.name));
            }
        }
        wrong.sort_unstable();
        wrong
            .into_iter()
            .for_each(|finding| self.report.add(finding));
        Ok(())
    }
}
