//! Times in columns: nanoseconds since 1970 until April 2262, as far as 64 bits reach, and RFC
//! 3339 texts of one width after it. SQLite sorts every number before every text, so both
//! together are in order of time.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, Value, ValueRef};
use rusqlite::{Result, ToSql};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::domain::Timestamp;
use crate::rfc3339;

/// A time as it is stored in a column or in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At(pub(super) Timestamp);

/// The two stored forms.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Nanos(i64),
    Text(String),
}

impl At {
    fn stored(self) -> Stored {
        match self.0.unix_nanos() {
            Some(nanos) => Stored::Nanos(nanos),
            // Only a read can be of a time before 1677, which is before all stored times.
            None if self.0 < Timestamp::from_unix_nanos(0) => Stored::Nanos(i64::MIN),
            None => Stored::Text(rfc3339::format_nanos(self.0)),
        }
    }

    fn of_text(text: &str) -> Option<Self> {
        rfc3339::parse(text).map(Self)
    }
}

impl ToSql for At {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(match self.stored() {
            Stored::Nanos(nanos) => Value::Integer(nanos),
            Stored::Text(text) => Value::Text(text),
        }))
    }
}

impl FromSql for At {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Text(_) => Self::of_text(value.as_str()?).ok_or(FromSqlError::InvalidType),
            _ => Ok(Self(Timestamp::from_unix_nanos(value.as_i64()?))),
        }
    }
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.stored().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        match Stored::deserialize(deserializer)? {
            Stored::Nanos(nanos) => Ok(Self(Timestamp::from_unix_nanos(nanos))),
            Stored::Text(text) => {
                Self::of_text(&text).ok_or_else(|| de::Error::custom("a text that is no time"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn times_come_back_exactly_and_in_order_over_all_years_that_are_stored() {
        let texts = [
            "1969-12-31T23:59:59.999999999Z",
            "2026-11-26T12:00:00Z",
            "2026-11-26T12:00:00.000000001Z",
            "2262-04-11T23:47:16.854775807Z",
            "2262-04-11T23:47:16.854775808Z",
            "2262-04-11T23:47:17Z",
            "2262-04-11T23:47:17.000000001Z",
            "2262-04-11T23:47:17.1Z",
            "2400-02-29T00:00:00Z",
            "9999-12-31T23:59:59.999999999Z",
        ];
        let times = texts.map(|text| At(rfc3339::parse(text).unwrap()));
        let file = Connection::open_in_memory().unwrap();
        file.execute_batch("CREATE TABLE t (time ANY NOT NULL) STRICT")
            .unwrap();
        for time in times.iter().rev() {
            file.execute("INSERT INTO t VALUES (?1)", [time]).unwrap();
            let text = serde_json::to_string(time).unwrap();
            assert_eq!(serde_json::from_str::<At>(&text).unwrap(), *time, "{text}");
        }
        let sorted: Vec<At> = file
            .prepare("SELECT time FROM t ORDER BY time")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(sorted, times);
        for (place, time) in times.iter().enumerate() {
            let sql = "SELECT count(*) FROM t WHERE time < ?1";
            let before: i64 = file.query_row(sql, [time], |row| row.get(0)).unwrap();
            assert_eq!(before, i64::try_from(place).unwrap(), "{}", texts[place]);
        }
        let first = At(Timestamp::MIN);
        let sql = "SELECT count(*) FROM t WHERE time > ?1";
        let after: i64 = file.query_row(sql, [first], |row| row.get(0)).unwrap();
        assert_eq!(after, i64::try_from(times.len()).unwrap());
    }
}
