//! Times of the tests, and when a ledger does a call.

use creditd::rpc::pb::creditd::v1 as pb;

use crate::support::call::{Call, Reply, text};

/// Nanoseconds since 1970 began. The years 1 to 9999 fit.
pub type Nanos = i128;

pub const MICROSECOND: Nanos = 1_000;
pub const MILLISECOND: Nanos = 1_000_000;
pub const SECOND: Nanos = 1_000_000_000;
pub const HOUR: Nanos = 3_600 * SECOND;

/// Where every test begins: 2026-01-01T00:00:00Z.
pub const BEGINNING: Nanos = 1_767_225_600 * SECOND;

/// The time of a ledger's write or read: whole microseconds of its clock, and later
/// than any before it.
pub fn ledger_time(clock: Nanos, last: Nanos) -> Nanos {
    let whole = clock - clock.rem_euclid(MICROSECOND);
    whole.max(last + MICROSECOND)
}

pub fn nanos_of(time: &prost_types::Timestamp) -> Nanos {
    Nanos::from(time.seconds) * SECOND + Nanos::from(time.nanos)
}

pub fn timestamp(time: Nanos) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: i64::try_from(time.div_euclid(SECOND)).unwrap(),
        nanos: i32::try_from(time.rem_euclid(SECOND)).unwrap(),
    }
}

pub fn duration(length: Nanos) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(length / SECOND).unwrap(),
        nanos: i32::try_from(length % SECOND).unwrap(),
    }
}

/// The length of a duration; None where it is none: out of range, or with mixed
/// signs.
pub fn length_of(duration: &prost_types::Duration) -> Option<Nanos> {
    let in_range = duration.seconds.unsigned_abs() <= 315_576_000_000
        && duration.nanos.unsigned_abs() < 1_000_000_000;
    let one_sign = duration.seconds.signum() * i64::from(duration.nanos.signum()) >= 0;
    let length = Nanos::from(duration.seconds) * SECOND + Nanos::from(duration.nanos);
    (in_range && one_sign).then_some(length)
}

/// How much of its time a ledger needs before it does a call: a settlement whose price
/// depends on the hold reads the hold first.
pub fn time_before(call: &Call) -> Nanos {
    use pb::settle_hold_request::What;
    let Call::SettleHold(request) = call else {
        return 0;
    };
    let named = request.prices.as_ref().is_some_and(|prices| {
        let by_name = !prices.rate_card.is_empty() || !prices.revision.is_empty();
        by_name || prices.price_time.is_some()
    });
    match request.what {
        Some(What::Usage(_)) if !named => MICROSECOND,
        _ => 0,
    }
}

/// When the ledger did a call, as its reply says. None where the reply does not say so: it
/// repeats an earlier one, or is about an earlier time.
pub fn time_of(call: &Call, reply: &Reply) -> Option<Nanos> {
    if reply.replayed {
        return None;
    }
    if let Call::GetBalance(request) = call
        && request.as_of.is_some()
    {
        return None;
    }
    let made = |hold: &&pb::HoldState| hold.request_id == text(&call.message(), "request_id");
    let time = match reply {
        Reply {
            entry: Some(entry), ..
        } => entry.create_time,
        Reply {
            balance: Some(balance),
            ..
        } => balance.read_time,
        Reply {
            account: Some(account),
            ..
        } => account
            .balance
            .as_ref()
            .and_then(|balance| balance.read_time),
        Reply {
            accounts: Some(accounts),
            ..
        } => accounts
            .last()
            .and_then(|account| account.balance.as_ref()?.read_time),
        Reply { hold, .. } => hold.as_ref().filter(made).and_then(|hold| hold.create_time),
    };
    let items = reply.results.0.iter().flatten();
    let of_items = items
        .filter(|item| !item.replayed)
        .find_map(|item| item.entry.as_ref()?.create_time);
    time.or(of_items).as_ref().map(nanos_of)
}
