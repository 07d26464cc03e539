//! The verbs as values, so that tables, the model and a real ledger are asked the
//! same thing and answer in the same form.

use creditd::rpc::pb::creditd::v1 as pb;

use crate::support::refusal::Refusal;

/// Nanoseconds since 1970 began. The years 1 to 9999 fit.
pub type Nanos = i128;

pub const MICROSECOND: Nanos = 1_000;
pub const MILLISECOND: Nanos = 1_000_000;
pub const SECOND: Nanos = 1_000_000_000;
pub const HOUR: Nanos = 3_600 * SECOND;

/// Where every test begins: 2026-01-01T00:00:00Z.
pub const BEGINNING: Nanos = 1_767_225_600 * SECOND;

/// A question.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    Grant(pb::GrantRequest),
    Charge(pb::ChargeRequest),
    BatchCharge(pb::BatchChargeRequest),
    Refund(pb::RefundRequest),
    Hold(pb::HoldRequest),
    ExtendHold(pb::ExtendHoldRequest),
    SettleHold(pb::SettleHoldRequest),
    ReleaseHold(pb::ReleaseHoldRequest),
    RevokeGrant(pb::RevokeGrantRequest),
    GetHold(pb::GetHoldRequest),
    ListHolds(pb::ListHoldsRequest),
    ListEntries(pb::ListEntriesRequest),
    GetBalance(pb::GetBalanceRequest),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a test keeps one at a time")]
pub enum Reply {
    Grant(pb::GrantResponse),
    Charge(pb::ChargeResponse),
    BatchCharge(Vec<Result<pb::ChargeResponse, Refusal>>),
    Refund(pb::RefundResponse),
    Hold(pb::HoldResponse),
    ExtendHold(pb::ExtendHoldResponse),
    SettleHold(pb::SettleHoldResponse),
    ReleaseHold(pb::ReleaseHoldResponse),
    RevokeGrant(pb::RevokeGrantResponse),
    GetHold(pb::GetHoldResponse),
    ListHolds(pb::ListHoldsResponse),
    ListEntries(pb::ListEntriesResponse),
    GetBalance(pb::GetBalanceResponse),
}

pub type Outcome = Result<Reply, Refusal>;

/// Something that keeps a ledger.
pub trait Subject {
    /// Asks it.
    fn call(&mut self, call: Call) -> Outcome;

    /// What its clock says from now on.
    fn set_clock(&mut self, now: Nanos);

    /// Stops it, and starts it again over what it kept.
    fn restart(&mut self);
}

impl Reply {
    /// When the ledger says that it did this; None where the reply does not say so,
    /// or repeats an earlier one.
    pub fn time(&self) -> Option<Nanos> {
        let entry = |entry: &Option<pb::Entry>, replayed: bool| {
            let time = entry.as_ref().and_then(|entry| entry.create_time);
            time.filter(|_| !replayed).as_ref().map(nanos_of)
        };
        match self {
            Self::Grant(reply) => entry(&reply.entry, reply.replayed),
            Self::Charge(reply) => entry(&reply.entry, reply.replayed),
            Self::Refund(reply) => entry(&reply.entry, reply.replayed),
            Self::SettleHold(reply) => entry(&reply.entry, reply.replayed),
            Self::RevokeGrant(reply) => entry(&reply.entry, reply.replayed),
            Self::BatchCharge(items) => items
                .iter()
                .flatten()
                .find_map(|reply| entry(&reply.entry, reply.replayed)),
            Self::Hold(reply) => {
                let time = reply.hold.as_ref().and_then(|hold| hold.create_time);
                time.filter(|_| !reply.replayed).as_ref().map(nanos_of)
            }
            Self::GetBalance(reply) => {
                let time = reply.balance.as_ref().and_then(|b| b.read_time);
                time.as_ref().map(nanos_of)
            }
            Self::ExtendHold(_)
            | Self::ReleaseHold(_)
            | Self::GetHold(_)
            | Self::ListHolds(_)
            | Self::ListEntries(_) => None,
        }
    }
}

impl Reply {
    /// Whether it was given before.
    pub const fn is_replayed(&self) -> bool {
        match self {
            Self::Grant(reply) => reply.replayed,
            Self::Charge(reply) => reply.replayed,
            Self::Refund(reply) => reply.replayed,
            Self::Hold(reply) => reply.replayed,
            Self::ExtendHold(reply) => reply.replayed,
            Self::SettleHold(reply) => reply.replayed,
            Self::ReleaseHold(reply) => reply.replayed,
            Self::RevokeGrant(reply) => reply.replayed,
            Self::BatchCharge(_)
            | Self::GetHold(_)
            | Self::ListHolds(_)
            | Self::ListEntries(_)
            | Self::GetBalance(_) => false,
        }
    }
}

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

impl Call {
    /// The method.
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Grant(_) => "Grant",
            Self::Charge(_) => "Charge",
            Self::BatchCharge(_) => "BatchCharge",
            Self::Refund(_) => "Refund",
            Self::Hold(_) => "Hold",
            Self::ExtendHold(_) => "ExtendHold",
            Self::SettleHold(_) => "SettleHold",
            Self::ReleaseHold(_) => "ReleaseHold",
            Self::RevokeGrant(_) => "RevokeGrant",
            Self::GetHold(_) => "GetHold",
            Self::ListHolds(_) => "ListHolds",
            Self::ListEntries(_) => "ListEntries",
            Self::GetBalance(_) => "GetBalance",
        }
    }

    /// The account that it is about; a batch may be about several.
    pub fn accounts(&self) -> Vec<&str> {
        let account = match self {
            Self::Grant(request) => &request.account,
            Self::Charge(request) => &request.account,
            Self::BatchCharge(request) => {
                let items = request.charges.iter();
                return items.map(|item| item.account.as_str()).collect();
            }
            Self::Refund(request) => &request.account,
            Self::Hold(request) => &request.account,
            Self::ExtendHold(request) => &request.account,
            Self::SettleHold(request) => &request.account,
            Self::ReleaseHold(request) => &request.account,
            Self::RevokeGrant(request) => &request.account,
            Self::GetHold(request) => &request.account,
            Self::ListHolds(request) => &request.account,
            Self::ListEntries(request) => &request.account,
            Self::GetBalance(request) => &request.account,
        };
        vec![account]
    }

    /// How much of its time a ledger needs before it does the call: a settlement whose
    /// price depends on the hold looks the hold up first.
    pub fn time_before(&self) -> Nanos {
        use pb::settle_hold_request::What;
        let Self::SettleHold(request) = self else {
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

    /// Where its request_id stands; None for reads and batches.
    pub fn request_id(&mut self) -> Option<&mut String> {
        match self {
            Self::Grant(request) => Some(&mut request.request_id),
            Self::Charge(request) => Some(&mut request.request_id),
            Self::Refund(request) => Some(&mut request.request_id),
            Self::Hold(request) => Some(&mut request.request_id),
            Self::ExtendHold(request) => Some(&mut request.request_id),
            Self::SettleHold(request) => Some(&mut request.request_id),
            Self::ReleaseHold(request) => Some(&mut request.request_id),
            Self::RevokeGrant(request) => Some(&mut request.request_id),
            Self::BatchCharge(_)
            | Self::GetHold(_)
            | Self::ListHolds(_)
            | Self::ListEntries(_)
            | Self::GetBalance(_) => None,
        }
    }
}
