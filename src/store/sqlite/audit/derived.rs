//! Checks of whole tables beside the journal: they have nothing that the journal does not have.

use super::Audit;
use crate::store::sqlite::journal::StorageError;

/// Names of tables, queries of the number of their rows, and queries of the number of entries
/// that have one. Of rows up to {floor}, which are archived, there are those of grants, and what
/// the seal covers.
const COUNTS: &[(&str, &str, &str)] = &[
    (
        "grants",
        "SELECT count(*) FROM grants",
        "SELECT count(*) FROM entries WHERE kind = 'grant'",
    ),
    (
        "refunds",
        "SELECT count(*) FROM refunds",
        "SELECT count(*) FROM entries WHERE kind = 'refund' AND position > {floor}",
    ),
    (
        "holds",
        "SELECT count(*) FROM holds WHERE made > {floor}",
        "SELECT count(*) FROM entries WHERE kind = 'hold' AND position > {floor}",
    ),
    (
        "holds (closed)",
        "SELECT count(*) FROM holds WHERE closed > {floor}",
        "SELECT count(*) FROM entries WHERE hold_status <> 'open' AND position > {floor}",
    ),
    (
        "holds (open at the cut)",
        "SELECT count(*) FROM holds WHERE made <= {floor} AND (closed IS NULL OR closed > {floor})",
        "SELECT coalesce(sum(json_array_length(state, '$.holds')), 0) FROM openings WHERE json_valid(state)",
    ),
    (
        "holds (closed by an account's newest archived row)",
        "SELECT count(*) FROM holds WHERE closed <= {floor}",
        "SELECT count(*) FROM entries JOIN openings USING (position) WHERE hold_status <> 'open'",
    ),
    (
        "revocations",
        "SELECT count(*) FROM revocations LEFT JOIN openings o USING (account_id)
          WHERE revocations.entry_id > coalesce(o.entry_id, 0)",
        "SELECT count(*) FROM (
           SELECT account_id, grant_id FROM entries WHERE kind = 'revoke' AND position > {floor}
           EXCEPT
           SELECT account_id, grant_id FROM revocations JOIN openings o USING (account_id)
            WHERE revocations.entry_id <= o.entry_id)",
    ),
];

impl Audit<'_> {
    pub(super) fn check_derived(&mut self) -> Result<(), StorageError> {
        self.check_counts()?;
        self.check_revocations()?;
        self.check_refunds()?;
        self.check_file_row()?;
        self.check_account_rows()
    }

    pub(super) fn count(&self, sql: &str) -> Result<i64, StorageError> {
        Ok(self
            .journal
            .connection
            .query_row(sql, [], |row| row.get(0))?)
    }

    /// The same of a query about the rows that are not archived.
    fn count_above(&self, sql: &str) -> Result<i64, StorageError> {
        self.count(&sql.replace("{floor}", &self.floor.to_string()))
    }

    fn check_counts(&mut self) -> Result<(), StorageError> {
        for (table, stored, expected) in COUNTS {
            let (stored, expected) = (self.count_above(stored)?, self.count_above(expected)?);
            if stored != expected {
                self.report.add(format!(
                    "table {table} has {stored} rows, and the journal says {expected}"
                ));
            }
        }
        Ok(())
    }

    /// The table of revocations must name the first one of each grant.
    fn check_revocations(&mut self) -> Result<(), StorageError> {
        let sql = "SELECT 'entry ' || entry_id || ' revoked grant ' || grant_id || ' of account ' || account_id
                     FROM (SELECT account_id, grant_id, revocations.entry_id
                             FROM revocations LEFT JOIN openings o USING (account_id)
                            WHERE revocations.entry_id > coalesce(o.entry_id, 0)
                           EXCEPT
                           SELECT account_id, grant_id, min(entry_id) FROM entries
                            WHERE kind = 'revoke' AND position > {floor}
                            GROUP BY account_id, grant_id)";
        let sql = sql.replace("{floor}", &self.floor.to_string());
        self.report_each(&sql, |row: String| {
            format!("table revocations says that {row}, and the journal does not")
        })
    }

    /// The row about the file must agree with the journal and with the newest run of request_ids.
    fn check_file_row(&mut self) -> Result<(), StorageError> {
        let last = self.last_position;
        let indexed = self.count("SELECT indexed FROM file")?;
        let in_runs = self
            .count("SELECT coalesce(max(last_position), 0) FROM request_runs WHERE credits = 0")?;
        if in_runs != indexed && in_runs != 0 || indexed > last || indexed < 0 {
            self.report.add(format!(
                "request_ids up to {indexed} are said to be in runs, and the runs go up to {in_runs}"
            ));
        }
        let odd = "SELECT count(*) FROM file WHERE length(key) <> 16 OR in_use NOT IN (0, 1)
             OR probes < 0 OR checkpointed < 0";
        if self.count(odd)? != 0 {
            self.report
                .add("the row about the file is not as creditd writes it");
        }
        if self.count("SELECT count(*) FROM file")? != 1 {
            self.report.add("there is not one row about the file");
        }
        Ok(())
    }

    /// Refunds must be of charges and settlements, and not exceed them. Those of archived ones are
    /// compared in the archive.
    fn check_refunds(&mut self) -> Result<(), StorageError> {
        let mut statement = self.journal.connection.prepare(
            // The subquery is a hash table of entries, which are not indexed by entry_id.
            "SELECT r.account_id, r.refunded_id, r.credits, e.spent, e.kind
               FROM (SELECT account_id, refunded_id, sum(credits) AS credits
                       FROM refunds
                      WHERE refunded_id > coalesce((SELECT entry_id FROM openings o
                                                     WHERE o.account_id = refunds.account_id), 0)
                      GROUP BY account_id, refunded_id) r
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
        if self.count("SELECT count(*) FROM file WHERE file_id = 1")? != 1 {
            let finding = "the row of the table file does not have the number 1";
            self.report.add(finding.to_owned());
        }
        let flushed = self.count("SELECT flushed FROM file")?;
        let last = self.count("SELECT coalesce(max(position), 0) FROM entries")?;
        // A lower number is no damage: the next start reads more of the journal.
        if !(0..=last).contains(&flushed) {
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
