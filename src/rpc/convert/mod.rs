//! Between messages and values. `…_from_pb` can fail and collects every fault by
//! its path; `…_to_pb` cannot.

pub mod ledger;
pub mod pricing;

use crate::domain::fault::{Fault, TimeRule};
use crate::domain::{AccountName, Timestamp};

/// A time, if it lies in the years 1 to 9999.
///
/// # Errors
/// That it does not.
pub fn timestamp_from_pb(time: &prost_types::Timestamp) -> Result<Timestamp, Fault> {
    u32::try_from(time.nanos)
        .ok()
        .and_then(|nanos| Timestamp::new(time.seconds, nanos))
        .ok_or(Fault::InvalidTime {
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

/// The name of an account that may be left out.
///
/// # Errors
/// That the text is no name.
pub fn optional_account_from_pb(text: &str) -> Result<Option<AccountName>, Fault> {
    match text {
        "" => Ok(None),
        text => AccountName::new(text).map(Some),
    }
}
