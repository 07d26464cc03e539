//! One refusal for each reason.

use crate::support::violations::violations;
use creditd::domain::keys::Scope;
use creditd::domain::ledger::HoldStatus;
use creditd::domain::refusal::{CardNamedBy, RateLimited};
use creditd::domain::schedule::{CardState, NameTaken, Origin};
use creditd::domain::{AccountName, Credits, FieldViolations, Refusal as Refused, RequestId};
use creditd::rfc3339;
use creditd::rpc::refused::{Load, Refused as OnTheWire, Resource, RpcRefusal};
use std::time::Duration;

/// One refusal for each reason, as it stands in the proto's example.
pub fn samples() -> Vec<OnTheWire> {
    let text = |text: &str| text.into();
    let account = || AccountName::new("team-a").unwrap();
    let time = |text: &str| rfc3339::parse(text).unwrap();
    let violations = violations();
    let refusals = [
        Refused::RateCardNotFound {
            rate_card: text("jogg-web"),
            at: time("2026-11-22T12:00:00Z"),
            named_by: CardNamedBy::Request,
        },
        Refused::RevisionNotFound {
            revision: text("0123abcd"),
        },
        Refused::RevisionTooOld {
            revision: text("0123abcd"),
            replaced: time("2026-01-01T00:00:00Z"),
            days_max: 30,
        },
        Refused::RateCardNameTaken {
            rate_card: text("studio"),
            taken_by: NameTaken::Origin(Origin::File),
        },
        Refused::RateCardNotScheduled {
            revision: text("0123abcd"),
            origin: Origin::Published,
            state: CardState::InForce,
        },
        Refused::TooManyRateCards {
            rate_card: text("studio"),
            limit: 64,
            scheduled: true,
        },
        Refused::AccountNotFound {
            account: AccountName::new("team-b").unwrap(),
        },
        Refused::RequestIdReused {
            account: account(),
            request_id: RequestId::new("order-17").unwrap(),
        },
        Refused::TooManyGrants {
            account: account(),
            limit: 10_000,
        },
        Refused::TooManyHolds {
            account: account(),
            limit: 10_000,
        },
        Refused::InsufficientCredits {
            account: account(),
            required: Credits::parse("3").unwrap(),
            available: Credits::parse("1.5").unwrap(),
            shortfall: Credits::parse("1.5").unwrap(),
        },
        Refused::HoldNotFound {
            hold: text("h99-egw6"),
        },
        Refused::HoldClosed {
            hold: text("h12-cn4t"),
            status: HoldStatus::Settled,
        },
        Refused::HoldExceeded {
            hold: text("h12-cn4t"),
            required: Credits::parse("5").unwrap(),
            held: Credits::parse("3").unwrap(),
        },
        Refused::HoldServiceMismatch {
            hold: text("h12-cn4t"),
            hold_service: "video_generation".into(),
            service: "ai_scripts".into(),
        },
        Refused::HistoryArchived {
            account: account(),
            archive: 1,
            oldest: time("2026-01-01T12:00:00Z"),
        },
        Refused::EntryNotFound {
            entry: text("e99-zxaf"),
        },
        Refused::EntryNotRefundable {
            entry: text("e1-sx1d"),
            kind: "grant",
        },
        Refused::RefundExceedsCharge {
            entry: text("e7-2p2n"),
            requested: Credits::parse("5").unwrap(),
            refundable: Credits::parse("2").unwrap(),
        },
        Refused::GrantNotFound {
            grant: text("g99-9bf9"),
        },
        Refused::NotAllowed {
            scope: Scope::Grant,
            with_account: false,
        },
        Refused::RateLimited {
            of: RateLimited::Key,
            limit: 100,
            wait: Duration::from_millis(80),
        },
        Refused::KeyNotFound {
            key_id: text("k7fq2m9xk4ab"),
        },
        Refused::TooManyKeys { limit: 10_000 },
        Refused::BalanceTooLarge {
            account: account(),
            limit: Credits::MAX,
        },
    ];
    let on_the_wire = [
        RpcRefusal::MalformedMessage {
            problem: "buffer underflow".to_owned(),
        },
        RpcRefusal::MessageTooLarge {
            limit_bytes: 4_194_304,
        },
        RpcRefusal::UnsupportedEncoding {
            problem: "deflate".to_owned(),
        },
        RpcRefusal::UnknownMethod {
            method: "/creditd.v1.PricingService/Price".to_owned(),
        },
        RpcRefusal::ConfigNotReloaded {
            problems: "configuration creditd.toml:3: unknown key \"calls_maxx\"; did you mean \"calls_max\"?".to_owned(),
        },
        RpcRefusal::KeyRequired,
        RpcRefusal::KeyInvalid,
        RpcRefusal::DeadlineExceeded { deadline_ms: 50 },
        RpcRefusal::Overloaded {
            limit: 8_192,
            resource: Resource::Calls,
            load: Load::default(),
        },
        RpcRefusal::MetadataTooLarge {
            limit_bytes: 16_384,
        },
        RpcRefusal::TooManyWatchers { limit: 1_024 },
        RpcRefusal::ClockNotBelieved {
            clock_time: time("2036-11-22T12:00:00Z"),
            believed_time: time("2026-11-22T12:00:00Z"),
        },
        RpcRefusal::StoreUnavailable { operation: "write" },
        RpcRefusal::Internal {
            x_request_id: "5f0c-1".to_owned(),
        },
    ];
    let violations = violations.into_iter().map(|(field, violation)| {
        OnTheWire::from(Refused::Invalid(FieldViolations::of(field, violation)))
    });
    let mut all: Vec<_> = violations.collect();
    all.extend(refusals.map(OnTheWire::from));
    all.extend(on_the_wire.map(OnTheWire::from));
    all
}
