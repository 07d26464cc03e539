//! Checks of what stands about rate cards beside their content: where each comes from, and the
//! publications, which say when it is in force.

use rusqlite::Row;
use sha2::{Digest as _, Sha256};

use super::Audit;
use crate::domain::Timestamp;
use crate::rfc3339;
use crate::store::sqlite::journal::StorageError;
use crate::store::sqlite::times::At;

/// Rate cards with what is known of them.
const CARDS: &str = "rate_cards LEFT JOIN rate_card_sources USING (card_id)";
/// What is wrong with the cards of which a condition holds.
const WRONG: &[(&str, &str)] = &[
    ("origin IS NULL", "nothing says where it comes from"),
    (
        "origin NOT IN ('built-in', 'file', 'published')",
        "its origin is none",
    ),
    (
        "json_valid(content) AND name IS NOT json_extract(content, '$.name')",
        "its name is not that of its content",
    ),
    (
        "json_valid(content) AND origin IS NOT NULL
         AND title IS NOT json_extract(content, '$.title')",
        "its title is not that of its content",
    ),
    (
        "json_valid(content) AND origin IS NOT NULL
         AND effective_time IS NOT json_extract(content, '$.effective_time')",
        "its effective_time is not that of its content",
    ),
    (
        "origin = 'published' AND coalesce(toml, '') = ''",
        "it was published, and its text is not there",
    ),
    (
        "origin = 'published' AND card_id NOT IN (SELECT card_id FROM publications)",
        "it was published, and no publication of it is there",
    ),
    (
        "origin = 'published' AND replaced IS NOT NULL",
        "it was published, and is said to have left the files",
    ),
    (
        "origin <> 'published' AND card_id IN
           (SELECT card_id FROM publications WHERE removed IS NULL)",
        "a publication puts it in force, and its origin is another",
    ),
    (
        "origin <> 'published' AND replaced IS NULL AND name IN
           (SELECT name FROM publications JOIN rate_cards USING (card_id) WHERE removed IS NULL)",
        "its name comes from files and from publishing",
    ),
];

/// When a card was published and from when on it is in force.
struct Times {
    published: Timestamp,
    since: Timestamp,
    removed: Option<Timestamp>,
    /// As the card says it.
    effective: Option<Timestamp>,
}

impl Audit<'_> {
    pub(super) fn check_cards(&mut self) -> Result<(), StorageError> {
        let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'publications'";
        if self.count(tables)? == 0 {
            // A file from before cards were published.
            return Ok(());
        }
        for (condition, problem) in WRONG {
            let wrong = format!("SELECT revision FROM {CARDS} WHERE {condition} ORDER BY card_id");
            self.report_each(&wrong, |revision: String| {
                format!("rate card {revision}: {problem}")
            })?;
        }
        let sources = "SELECT card_id FROM rate_card_sources
             WHERE card_id NOT IN (SELECT card_id FROM rate_cards) ORDER BY card_id";
        self.report_each(sources, |card: i64| {
            format!("table rate_card_sources has rate card {card}, which is not there")
        })?;
        self.check_texts()?;
        self.check_publications()
    }

    /// Each text must have its digest, where that is known.
    fn check_texts(&mut self) -> Result<(), StorageError> {
        let column = "SELECT count(*) FROM pragma_table_info('rate_card_sources')
                       WHERE name = 'toml_sha256'";
        if self.count(column)? == 0 {
            // A file from before there were digests.
            return Ok(());
        }
        let mut statement = self.journal.connection.prepare(&format!(
            "SELECT revision, coalesce(toml, ''), toml_sha256 FROM {CARDS}
              WHERE toml_sha256 IS NOT NULL ORDER BY card_id"
        ))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (text, digest): (String, Vec<u8>) = (row.get(1)?, row.get(2)?);
            if Sha256::digest(&text).as_slice() != digest {
                let revision: String = row.get(0)?;
                self.report
                    .add(format!("rate card {revision}: its text was changed"));
            }
        }
        Ok(())
    }

    /// Adds a finding for each row, made of its only column.
    pub(super) fn report_each<T: rusqlite::types::FromSql>(
        &mut self,
        sql: &str,
        finding: impl Fn(T) -> String,
    ) -> Result<(), StorageError> {
        let mut statement = self.journal.connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            self.report.add(finding(row.get(0)?));
        }
        Ok(())
    }

    /// Each publication must be of a card, and its times must follow from the card's and from
    /// those of the publications before it.
    fn check_publications(&mut self) -> Result<(), StorageError> {
        let mut statement = self.journal.connection.prepare(&format!(
            "SELECT publication_id, publications.card_id, revision,
                    published, since, removed, effective_time, withdrawn
               FROM publications LEFT JOIN ({CARDS}) USING (card_id)
              ORDER BY publication_id"
        ))?;
        let mut rows = statement.query([])?;
        let mut before = None;
        while let Some(row) = rows.next()? {
            let (id, card): (i64, i64) = (row.get(0)?, row.get(1)?);
            let revision: Option<String> = row.get(2)?;
            let Some(revision) = revision else {
                self.report.add(format!(
                    "publication {id} is of rate card {card}, which is not there"
                ));
                continue;
            };
            let withdrawn: i64 = row.get(7)?;
            let problem = match times(row) {
                None => Some("its times cannot be read".to_owned()),
                Some(times) => {
                    let problem = wrong_times(&times, before, withdrawn);
                    before = before.max(Some(times.published));
                    problem
                }
            };
            if let Some(problem) = problem {
                self.report.add(format!(
                    "publication {id} of rate card {revision}: {problem}"
                ));
            }
        }
        Ok(())
    }
}

/// The times of a row of publications; None where one of them is no time.
fn times(row: &Row<'_>) -> Option<Times> {
    let (At(published), At(since)) = (row.get(3).ok()?, row.get(4).ok()?);
    let removed: Option<At> = row.get(5).ok()?;
    let effective: Option<String> = row.get(6).ok()?;
    let effective = match effective {
        Some(text) => Some(rfc3339::parse(&text)?),
        None => None,
    };
    Some(Times {
        published,
        since,
        removed: removed.map(|At(time)| time),
        effective,
    })
}

/// What is wrong with the times of a publication, with the newest publication before it.
fn wrong_times(times: &Times, before: Option<Timestamp>, withdrawn: i64) -> Option<String> {
    let Times {
        published, since, ..
    } = *times;
    let expected = times
        .effective
        .map_or(published, |time| time.max(published));
    if before.is_some_and(|before| published < before) {
        return Some("it is older than the one before it".to_owned());
    }
    if since != expected {
        return Some(format!(
            "it is in force from {} on, and its card says {}",
            rfc3339::format(since),
            rfc3339::format(expected)
        ));
    }
    match (times.removed, withdrawn) {
        (Some(removed), _) if removed >= since => {
            Some("it was taken out after its time had come".to_owned())
        }
        (None, 0) | (Some(_), 0 | 1) => None,
        _ => Some("it was withdrawn, and nothing says when".to_owned()),
    }
}
