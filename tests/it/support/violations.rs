//! One violation of each kind, as it stands in the proto's example of its reason.

use creditd::domain::Violation;
use creditd::domain::amount::AmountError;
use creditd::domain::violation::{PairPart, TimeRule};
use creditd::rfc3339;

/// The field and what is wrong with it.
pub fn violations() -> Vec<(&'static str, Violation)> {
    let text = |text: &str| text.into();
    let time = |text: &str| rfc3339::parse(text).unwrap();
    vec![
        (
            "usage.service",
            Violation::UnknownService {
                service: text("lip_sink_video"),
                rate_card: text("jogg-api-v2"),
                nearest: Some((text("lip_sync_video"), true)),
            },
        ),
        ("usage.service", Violation::Required),
        (
            "key.scopes",
            Violation::InvalidKey {
                problem: text("\"write\" is no scope; give price, read, charge, grant or admin"),
            },
        ),
        (
            "credits",
            Violation::InvalidAmount {
                value: text("1e3"),
                error: AmountError::Grammar,
            },
        ),
        (
            "usage.duration",
            Violation::InvalidQuantity { value: text("-1s") },
        ),
        (
            "usage.count",
            Violation::WrongQuantity {
                service: text("lip_sync_video"),
                meter: text("duration"),
            },
        ),
        (
            "usage.duration",
            Violation::QuantityTooLarge {
                service: text("lip_sync_video"),
                value: text("3601 s"),
                limit: text("3600 s"),
            },
        ),
        (
            "usage.attributes.region",
            Violation::UnknownAttributeValue {
                attribute: text("region"),
                value: text("eu"),
                values: text("global, us"),
                service: text("messages"),
            },
        ),
        (
            "usage.service",
            Violation::NotOffered {
                service: text("ray_3_2"),
                why: text("clips are 5 s or 10 s"),
            },
        ),
        (
            "usage.meters",
            Violation::MetersDisagree {
                service: text("gpt"),
                formula: text("prompt_tokens - cached_tokens"),
                value: text("-1"),
                meter: text("cached_tokens"),
            },
        ),
        (
            "usage.duration",
            Violation::QuantityTooSmall {
                service: text("q2_text_to_video"),
                value: text("0.5 s"),
                limit: text("1 s"),
            },
        ),
        (
            "usage.meters",
            Violation::UnknownMeter {
                meter: text("tokens"),
                service: text("messages"),
                known: text("input_tokens, output_tokens"),
            },
        ),
        (
            "usage.attributes",
            Violation::UnknownAttribute {
                attribute: text("modle"),
                service: text("messages"),
                known: text("model, region, tier"),
            },
        ),
        (
            "toml",
            Violation::RateCardInvalid {
                line: 12,
                problem: text(
                    "credits \"free\" is no amount: only digits and one point are allowed; write it like \"0.2\"",
                ),
            },
        ),
        ("usage.count", Violation::CostTooLarge),
        ("usages", Violation::BatchEmpty { limit: 10_000 }),
        (
            "usages",
            Violation::TooManyItems {
                size: 10_001,
                limit: 10_000,
            },
        ),
        (
            "usages",
            Violation::ReplyTooLarge {
                limit_bytes: 4_194_304,
                items_that_fit: 8_000,
            },
        ),
        (
            "expire_time",
            Violation::InvalidTime {
                value: Some(time("2020-01-01T00:00:00Z")),
                rule: TimeRule::Future,
            },
        ),
        (
            "prices.price_time",
            Violation::ConflictingFields {
                other: "prices.revision",
            },
        ),
        (
            "account",
            Violation::InvalidAccount {
                value: text("team a"),
                length: 6,
            },
        ),
        (
            "request_id",
            Violation::InvalidRequestId {
                value: text("über"),
                length: 5,
            },
        ),
        ("overage", Violation::UnknownValue { value: 7 }),
        (
            "ttl",
            Violation::InvalidTtl {
                value: text("90000 s"),
                limit_seconds: 86_400,
            },
        ),
        ("page_size", Violation::InvalidPageSize { value: -1 }),
        ("page_token", Violation::InvalidPageToken),
        (
            "update_mask",
            Violation::InvalidMask {
                paths: text("balance"),
            },
        ),
        (
            "labels",
            Violation::InvalidPair {
                key: text("job"),
                part: PairPart::Value,
                length: 300,
                min: 0,
                max: 256,
            },
        ),
    ]
}

/// Violations whose reason has another sentence too, each with its own.
pub fn with_other_sentences() -> Vec<(&'static str, Violation, &'static str)> {
    let text = |text: &str| text.into();
    vec![
        (
            "usage.meters",
            Violation::UnknownMeter {
                meter: text("tokens"),
                service: text("ai_scripts"),
                known: text(""),
            },
            "usage.meters has \"tokens\", which does not price service \"ai_scripts\"",
        ),
        (
            "usage.attributes",
            Violation::UnknownAttribute {
                attribute: text("resolution"),
                service: text("ai_scripts"),
                known: text(""),
            },
            "usage.attributes has \"resolution\", which does not price service \"ai_scripts\"",
        ),
        (
            "usage.attributes",
            Violation::AttributeNotSent {
                attribute: text("plan"),
                service: text("messages"),
            },
            "usage.attributes has \"plan\", which callers cannot send: service \"messages\" takes it from the account or the clock",
        ),
        (
            "usage.attributes.plan",
            Violation::UnknownAccountValue {
                attribute: text("plan"),
                value: text("gold"),
                values: text("payg, growth"),
                service: text("messages"),
            },
            "usage.attributes.plan of the account is \"gold\"; service \"messages\" has payg, growth",
        ),
        (
            "account.attributes",
            Violation::NoAccountAttribute {
                attribute: text("plam"),
            },
            "account.attributes has \"plam\", which no rate card in force asks of an account; GetRateCard lists attributes and where they come from",
        ),
        (
            "account.attributes",
            Violation::NoAccountValue {
                attribute: text("plan"),
                value: text("gold"),
                values: text("payg, growth"),
            },
            "account.attributes has plan \"gold\"; the rate cards in force know payg, growth",
        ),
    ]
}
