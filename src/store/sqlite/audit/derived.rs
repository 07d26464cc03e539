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
        "closed_holds",
        "SELECT count(*) FROM closed_holds",
        "SELECT count(*) FROM entries WHERE hold_status <> 'open'",
    ),
    (
        "revocations",
        "SELECT count(*) FROM revocations",
        "SELECT count(DISTINCT grant_id) FROM entries WHERE kind = 'revoke'",
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
            "SELECT r.refunded_id, sum(r.credits), e.spent, e.kind, e.account_id,
                    count(*) FILTER (WHERE back.account_id IS NOT e.account_id)
               FROM refunds r
               LEFT JOIN entries e ON e.entry_id = r.refunded_id
               LEFT JOIN entries back ON back.entry_id = r.entry_id
              GROUP BY r.refunded_id",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let refunded: i64 = row.get(0)?;
            let (sum, spent): (i64, Option<i64>) = (row.get(1)?, row.get(2)?);
            let kind: Option<String> = row.get(3)?;
            let elsewhere: i64 = row.get(5)?;
            let paid = matches!(kind.as_deref(), Some("charge" | "settle"));
            if !paid || elsewhere != 0 || spent.is_none_or(|spent| sum > spent) {
                self.report.add(format!(
                    "entry {refunded} was refunded by more than it paid, or paid nothing"
                ));
            }
        }
        Ok(())
    }

    /// Every account's row stands at an entry of its own, and none is older than the
    /// file says.
    fn check_folds(&mut self) -> Result<(), BadRow> {
        let folded = self.count("SELECT folded FROM file")?;
        let last = self.count("SELECT coalesce(max(entry_id), 0) FROM entries")?;
        if folded > last {
            self.report.add(format!(
                "entries up to {folded} were written, and the journal ends at {last}"
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
            let newest = account.last_entry();
            if newest.is_none() {
                wrong.push(format!("account {} has no entries", fold.name));
            }
            if newest.is_some_and(|id| id.0 <= folded) && fold.row_head != newest {
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
