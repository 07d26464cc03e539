//! Every reason is documented, with the message and the metadata that it really has.
//!
//! `error_reason.proto` is the source: code, metadata and an example of each. This
//! makes each refusal and compares, and keeps docs/errors.md in step
//! (`UPDATE=1 cargo test --test it reasons` writes it).

mod samples;

use std::collections::BTreeMap;
use std::time::Duration;

use creditd::app::Queued;
use creditd::domain::refusal::CardNamedBy;
use creditd::domain::schedule::{NameTaken, Origin};
use creditd::domain::{FieldViolations, Refusal as Refused, Violation};
use creditd::rfc3339;
use creditd::rpc::pb::creditd::v1::ErrorReason;
use creditd::rpc::pb::google::rpc;
use creditd::rpc::refused::{Load, Refused as OnTheWire, Resource, RpcRefusal};

use prost::Message as _;

use self::samples::samples;
use crate::support::refusal::Refusal;
use crate::support::root;
use crate::support::violations::with_other_sentences;

/// What the proto says of a reason.
#[derive(Debug)]
struct Documented {
    number: i32,
    meaning: String,
    code: String,
    metadata: Vec<String>,
    example: String,
}

fn documented() -> BTreeMap<String, Documented> {
    let text = std::fs::read_to_string(root("proto/creditd/v1/error_reason.proto")).unwrap();
    let mut reasons = BTreeMap::new();
    let mut comment: Vec<String> = Vec::new();
    for line in text.lines().skip_while(|line| !line.starts_with("enum")) {
        let line = line.trim();
        if let Some(words) = line.strip_prefix("//") {
            comment.push(words.trim().to_owned());
        } else if let Some((name, number)) = line.trim_end_matches(';').split_once(" = ") {
            let name = name.strip_prefix("ERROR_REASON_").unwrap();
            let lines = std::mem::take(&mut comment);
            if name == "UNSPECIFIED" {
                continue;
            }
            let tagged = |tag: &str| {
                let line = lines.iter().find_map(|line| line.strip_prefix(tag));
                line.unwrap_or_else(|| panic!("{name} has no {tag}"))
                    .trim()
                    .to_owned()
            };
            let meaning = lines.iter().take_while(|line| !line.starts_with("Code:"));
            let metadata = tagged("Metadata:");
            reasons.insert(
                name.to_owned(),
                Documented {
                    number: number.parse().unwrap(),
                    meaning: meaning.cloned().collect::<Vec<_>>().join(" "),
                    code: tagged("Code:"),
                    metadata: metadata
                        .split(", ")
                        .filter(|key| !key.is_empty())
                        .map(str::to_owned)
                        .collect(),
                    example: tagged("Example:"),
                },
            );
        }
    }
    reasons
}

/// "INVALID_ARGUMENT" for InvalidArgument.
fn code_name(code: tonic::Code) -> String {
    format!("{code:?}")
        .chars()
        .enumerate()
        .flat_map(|(at, c)| {
            let gap = (at > 0 && c.is_uppercase()).then_some('_');
            gap.into_iter().chain(c.to_uppercase())
        })
        .collect()
}

#[test]
fn each_reason_has_the_code_the_metadata_and_the_words_that_the_proto_shows() {
    let mut documented = documented();
    for sample in samples() {
        let refusal = Refusal::of(&sample.into_status());
        let name = refusal.reason.as_str();
        let says = documented
            .remove(name)
            .unwrap_or_else(|| panic!("{name} is made twice, or not in the proto"));
        assert_eq!(refusal.message, says.example, "{name}");
        assert_eq!(code_name(refusal.code), says.code, "{name}");
        let mut keys: Vec<_> = refusal.metadata.keys().cloned().collect();
        let mut expected = says.metadata.clone();
        keys.sort();
        expected.sort();
        assert_eq!(keys, expected, "{name}");
        // Every variable of the message is in the metadata, and the other way round.
        for (key, value) in &refusal.metadata {
            assert!(
                refusal.message.contains(value.as_str()),
                "{name}: {key} is not in the message"
            );
        }
        let is_field = says.metadata.iter().any(|key| key == "field");
        assert_eq!(refusal.fields.len(), usize::from(is_field), "{name}");
        if is_field {
            assert_eq!(
                refusal.fields[0],
                (refusal.metadata["field"].clone(), name.to_owned())
            );
        }
    }
    let left: Vec<_> = documented.keys().collect();
    assert!(left.is_empty(), "never made: {left:?}");
}

#[test]
fn a_reason_can_have_another_sentence() {
    let documented = documented();
    for (field, violation, sentence) in with_other_sentences() {
        let refused = Refused::Invalid(FieldViolations::of(field, violation));
        let refusal = Refusal::of(&OnTheWire::from(refused).into_status());
        assert_eq!(refusal.message, sentence);
        let says = &documented[&refusal.reason];
        for (key, value) in &refusal.metadata {
            assert!(says.metadata.contains(key), "{sentence}: {key}");
            assert!(sentence.contains(value.as_str()), "{sentence}: {key}");
        }
    }
}

/// The same of refusals that are about no field.
#[test]
fn a_refusal_can_have_another_sentence() {
    let text = |text: &str| text.into();
    let not_found = |named_by| Refused::RateCardNotFound {
        rate_card: text("studio"),
        at: rfc3339::parse("2026-11-22T12:00:00Z").unwrap(),
        named_by,
    };
    let documented = documented();
    for (refused, sentence) in [
        (
            not_found(CardNamedBy::Account),
            "rate card \"studio\", which the account has, is not in force at 2026-11-22T12:00:00Z; publish it, or give the account another with UpdateAccount",
        ),
        (
            not_found(CardNamedBy::Update),
            "no rate card \"studio\" is there at 2026-11-22T12:00:00Z; publish it first, or name one that ListRateCards has",
        ),
        (
            Refused::RevisionOfAnother {
                revision: text("0123abcd"),
                rate_card: text("studio"),
            },
            "revision \"0123abcd\" is none of rate card \"studio\"; leave out rate_card or revision",
        ),
        (
            Refused::RevisionNotPublished {
                revision: text("0123abcd"),
            },
            "revision \"0123abcd\" was never published here; ListRateCards has all revisions",
        ),
        (
            Refused::RateCardNameTaken {
                rate_card: text("studio"),
                taken_by: NameTaken::Origin(Origin::BuiltIn),
            },
            "the name \"studio\" is taken by the rate card of origin \"built-in\"; publish it under another name, or start the server with files of its own, by --rate-card-file",
        ),
        (
            Refused::TooManyRateCards {
                rate_card: text("studio"),
                limit: 10_000,
                scheduled: false,
            },
            "rate card \"studio\" is one too many: rate cards were published 10000 times, the most that this server keeps, and to withdraw one frees none; serve further cards from files, under names that were not published",
        ),
    ] {
        let refusal = Refusal::of(&OnTheWire::from(refused).into_status());
        assert_eq!(refusal.message, sentence);
        let says = &documented[&refusal.reason];
        assert_eq!(code_name(refusal.code), says.code, "{sentence}");
        for name in &says.metadata {
            let value = &refusal.metadata[name];
            assert!(sentence.contains(value.as_str()), "{sentence}: {name}");
        }
    }
}

/// A status travels as metadata, of which clients take 8 KiB together with the rest.
#[test]
fn a_refusal_of_many_bad_fields_has_room_in_metadata() {
    let long = vec!["w".repeat(64); 1_024].join(", ");
    // A header takes three bytes for each byte of what is no letter or digit of ASCII.
    let (of_letters, zhe) = ("ж".repeat(32), "ж".repeat(2_048));
    let smiles = "😀".repeat(16);
    for (count, attribute, value, values, told) in [
        (1, "plan", "gold", "payg, growth", 1),
        (2, "plan", "gold", "payg, growth", 2),
        (16, "plan", "gold", "payg, growth", 16),
        (1, "plan", "gold", &long, 1),
        (16, "plan", "gold", &long, 6),
        (16, "plan", &smiles, &zhe, 3),
        (16, &of_letters, &smiles, &zhe, 3),
    ] {
        let mut violations = FieldViolations::new();
        for _ in 0..count {
            let violation = Violation::NoAccountValue {
                attribute: attribute.into(),
                value: value.into(),
                values: values.into(),
            };
            violations.add("account.attributes", violation);
        }
        let status = OnTheWire::from(Refused::from(violations)).into_status();
        let mut metadata = http::HeaderMap::new();
        status.add_header(&mut metadata).unwrap();
        let bytes = metadata
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 32);
        let bytes: usize = bytes.sum();
        assert!(bytes < 7_900, "{count}: {bytes}");
        let refusal = Refusal::of(&status);
        assert_eq!(refusal.fields.len(), told, "{count} of {}", values.len());
        let more = match count {
            1 => "",
            2 => " (and 1 more bad field)",
            _ => " (and 15 more bad fields)",
        };
        assert!(refusal.message.ends_with(more), "{}", refusal.message);
        assert!(refusal.metadata["values"].len() <= 520, "{count}");
    }
}

/// What is worth the same call again, a little later. DEADLINE_EXCEEDED is not among them: a
/// caller whose time is over decides by itself whether there is more.
const WORTH_A_LATER_TRY: [&str; 5] = [
    "CLOCK_NOT_BELIEVED",
    "RATE_LIMITED",
    "SERVER_OVERLOADED",
    "STORE_UNAVAILABLE",
    "TOO_MANY_WATCHERS",
];

#[test]
fn each_reason_says_when_to_try_again_or_that_it_makes_no_sense() {
    let mut told = Vec::new();
    for sample in samples() {
        let status = sample.into_status();
        let reason = Refusal::of(&status).reason;
        let details = rpc::Status::decode(status.details()).unwrap().details;
        let retry = details
            .iter()
            .find(|any| any.type_url == "type.googleapis.com/google.rpc.RetryInfo");
        let Some(retry) = retry else {
            assert_ne!(status.code(), tonic::Code::Unavailable, "{reason}");
            continue;
        };
        let code = match reason.as_str() {
            // The server could do it, and this caller has had enough.
            "RATE_LIMITED" => tonic::Code::ResourceExhausted,
            _ => tonic::Code::Unavailable,
        };
        assert_eq!(status.code(), code, "{reason}");
        let delay = rpc::RetryInfo::decode(retry.value.as_slice()).unwrap();
        let delay = Duration::try_from(delay.retry_delay.unwrap()).unwrap();
        let sensible = Duration::from_millis(50)..=Duration::from_secs(5);
        assert!(sensible.contains(&delay), "{reason}: {delay:?}");
        told.push(reason);
    }
    told.sort();
    assert_eq!(told, WORTH_A_LATER_TRY);
}

/// Each names the limit that was met, and what it is a limit of.
#[test]
fn an_overload_says_of_what_there_is_too_much() {
    for (resource, expected) in [
        (Resource::Calls, "9 calls in flight"),
        (Resource::Reflections, "9 streams of reflection"),
        (Resource::HealthWatchers, "9 watches of health"),
        (Resource::Publications, "9 rate cards being published"),
        (
            Resource::Queued(Queued::Commands),
            "9 writes and reads waiting for the ledger",
        ),
        (
            Resource::Queued(Queued::Jobs),
            "9 calls waiting for the ledger",
        ),
        (
            Resource::Queued(Queued::Past),
            "9 reads of the past waiting",
        ),
    ] {
        let violation = RpcRefusal::Overloaded {
            limit: 9,
            resource,
            load: Load::default(),
        };
        let refusal = Refusal::of(&OnTheWire::from(violation).into_status());
        let expected = format!("the server is at its limit of {expected}; try again shortly");
        assert_eq!(refusal.message, expected);
    }
}

#[test]
fn what_the_data_file_cannot_do_reads_naturally() {
    for (operation, expected) in [
        (
            "read",
            "the data file cannot be read now; try the read again shortly, the server's log says why",
        ),
        (
            "write",
            "the data file cannot be written now; try the write again with the same request_id, the server's log says why",
        ),
    ] {
        let violation = RpcRefusal::StoreUnavailable { operation };
        let refusal = Refusal::of(&OnTheWire::from(violation).into_status());
        assert_eq!(refusal.message, expected);
        assert_eq!(refusal.metadata["operation"], operation);
    }
}

#[test]
fn the_documents_list_every_reason_as_it_is() {
    let documented = documented();
    let mut by_number: Vec<_> = documented.iter().collect();
    by_number.sort_by_key(|(_, says)| says.number);
    let mut text = String::from(
        "# Refusals\n\n\
         <!-- Written by `UPDATE=1 cargo test --test it reasons` from proto/creditd/v1/error_reason.proto. -->\n\n\
         Every refusal carries one `google.rpc.ErrorInfo` with domain `creditd`. Its `reason` is one of\n\
         these, its `metadata` holds every variable of the message. Where fields are bad,\n\
         `google.rpc.BadRequest` names all of them, each with its own reason, and `ErrorInfo` speaks of\n\
         the first. Write code against reason and metadata; messages may improve.\n\n\
         A refusal changes nothing and does not use its `request_id` up. Two say that it is not known\n\
         whether something moved, `DEADLINE_EXCEEDED` and `STORE_UNAVAILABLE`: send the same call with\n\
         the same `request_id` again. `UNAVAILABLE` is the only code that is worth a retry by itself:\n\
         each such refusal carries a `google.rpc.RetryInfo`, which says when, and no other does.\n\n\
         `request_id` is always the caller's own, by which a write can be sent again. The id of the call,\n\
         under which the log has it, is `x_request_id`: the header `x-request-id` of the reply.\n",
    );
    for (name, says) in by_number {
        let metadata = match says.metadata.as_slice() {
            [] => "none".to_owned(),
            keys => keys
                .iter()
                .map(|key| format!("`{key}`"))
                .collect::<Vec<_>>()
                .join(", "),
        };
        text.push_str(&format!(
            "\n## {name}\n\n{}\n\n- code: `{}`\n- metadata: {metadata}\n",
            says.meaning, says.code
        ));
        if WORTH_A_LATER_TRY.contains(&name.as_str()) {
            text.push_str("- try again: when `RetryInfo` says\n");
        }
        text.push_str(&format!("- example: {}\n", says.example));
    }
    let path = root("docs/errors.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(root("docs")).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "docs/errors.md is not what the proto says: run UPDATE=1 cargo test --test it reasons"
    );
}

#[test]
fn the_enum_and_the_proto_have_the_same_names() {
    for (name, says) in documented() {
        let reason = ErrorReason::try_from(says.number).unwrap();
        assert_eq!(reason.as_str_name(), format!("ERROR_REASON_{name}"));
    }
}
