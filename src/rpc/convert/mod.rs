//! Between messages and values. `…_from_pb` can fail and collects everything that is wrong by the
//! path of its field; `…_to_pb` cannot.

pub mod account;
pub mod admin;
pub mod keys;
pub mod ledger;
pub mod page;
pub mod pricing;
pub mod rate_card;
pub mod write;

use crate::domain::pricing::Given;
use crate::domain::violation::{TimeRule, Violation};
use crate::domain::{AccountName, Credits, Timestamp};

/// An amount as text, without the cost of formatting.
fn credits_to_pb(credits: Credits) -> String {
    credits.write_canonical(&mut [0; 24]).to_owned()
}

/// A time, if it lies in the years 1 to 9999.
///
/// # Errors
/// That it does not.
pub fn timestamp_from_pb(time: &prost_types::Timestamp) -> Result<Timestamp, Violation> {
    u32::try_from(time.nanos)
        .ok()
        .and_then(|nanos| Timestamp::new(time.seconds, nanos))
        .ok_or(Violation::InvalidTime {
            value: None,
            rule: TimeRule::InRange,
        })
}

/// A time as the wire has it.
#[must_use]
pub fn timestamp_to_pb(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.seconds(),
        // Less than 10^9.
        nanos: i32::try_from(time.nanos()).unwrap_or_default(),
    }
}

/// The largest number of seconds of a protobuf Duration, on either side of 0.
pub const DURATION_SECONDS_MAX: i64 = 315_576_000_000;
const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// A duration in nanoseconds. None where it is out of protobuf's range or has mixed signs.
#[must_use]
pub fn duration_nanos(duration: &prost_types::Duration) -> Option<i128> {
    nanos_of(duration.seconds, duration.nanos)
}

fn nanos_of(seconds: i64, nanos: i32) -> Option<i128> {
    let in_range = (-DURATION_SECONDS_MAX..=DURATION_SECONDS_MAX).contains(&seconds)
        && (-999_999_999..=999_999_999).contains(&nanos);
    let one_sign = seconds.signum().saturating_mul(i64::from(nanos.signum())) >= 0;
    i128::from(seconds)
        .checked_mul(NANOS_PER_SECOND)
        .and_then(|total| total.checked_add(i128::from(nanos)))
        .filter(|_| in_range && one_sign)
}

/// A quantity of time. It may be out of protobuf's range.
#[must_use]
pub fn given_from_parts(seconds: i64, nanos: i32) -> Given {
    match nanos_of(seconds, nanos) {
        Some(nanos) => Given::Duration(nanos),
        None => Given::NoDuration { seconds, nanos },
    }
}

/// A duration as the wire has it.
#[must_use]
pub fn duration_to_pb(nanos: i128) -> prost_types::Duration {
    let seconds = nanos.checked_div(NANOS_PER_SECOND).unwrap_or_default();
    let rest = nanos.checked_rem(NANOS_PER_SECOND).unwrap_or_default();
    prost_types::Duration {
        // It was read from one.
        seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
        nanos: i32::try_from(rest).unwrap_or_default(),
    }
}

/// The name of an account that may be left out.
///
/// # Errors
/// That the text is no name.
pub fn optional_account_from_pb(text: &str) -> Result<Option<AccountName>, Violation> {
    match text {
        "" => Ok(None),
        text => AccountName::new(text).map(Some),
    }
}
