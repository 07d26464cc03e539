//! Calls made bad, in one field or in several. What a field can be spoiled with follows from
//! its name and type, whichever method has it.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _, Value};

use super::super::time::{HOUR, Nanos, timestamp};
use super::rng::Rng;
use crate::support::call::{Call, set_message};

const AMOUNTS: [&str; 10] = [
    "",
    "0",
    "0.0",
    "-1",
    "1e3",
    "+1",
    ".5",
    "1.0000000001",
    "9000000000.1",
    "1 ",
];

/// Seconds and nanoseconds.
const TTLS: [(i64, i32); 6] = [
    (0, 0),
    (-1, 0),
    (86_400, 1),
    (90_000, 0),
    (1, -1),
    (i64::MAX, 0),
];

/// Makes a call bad. Some that come out are good after all, which is fine.
pub fn spoil(rng: &mut Rng, call: &Call, now: Nanos) -> Call {
    let mut request = call.message();
    for _ in 0..*rng.pick(&[1, 1, 2]) {
        spoil_message(rng, &mut request, now);
    }
    call.with(&request)
}

/// Spoils one field of a message.
fn spoil_message(rng: &mut Rng, message: &mut DynamicMessage, now: Nanos) {
    let fields: Vec<FieldDescriptor> = message.descriptor().fields().collect();
    let field = rng.pick(&fields).clone();
    // Of alternatives the one that is set, or none of them.
    if let Some(oneof) = field.containing_oneof()
        && oneof.fields().len() > 1
    {
        let set = oneof.fields().find(|field| message.has_field(field));
        match set {
            Some(set) if rng.chance(200) => message.clear_field(&set),
            // The other kind of quantity.
            Some(_) if oneof.name() == "quantity" && rng.chance(300) => {
                spoil_field(rng, message, &field, now);
            }
            Some(set) => spoil_field(rng, message, &set, now),
            None => {}
        }
        return;
    }
    spoil_field(rng, message, &field, now);
}

fn spoil_field(rng: &mut Rng, message: &mut DynamicMessage, field: &FieldDescriptor, now: Nanos) {
    if field.is_map() {
        let pairs = if field.name() == "labels" || rng.chance(500) {
            bad_pairs(rng)
        } else {
            // Pairs that no price knows.
            vec![("size".to_owned(), "1".to_owned())]
        };
        let pair = |(key, value)| (MapKey::String(key), Value::String(value));
        message.set_field(field, Value::Map(pairs.into_iter().map(pair).collect()));
        return;
    }
    if field.is_list() {
        let list = message.get_field_mut(field).as_list_mut().unwrap();
        return spoil_list(rng, list, field, now);
    }
    match field.kind() {
        Kind::String => {
            let text = bad_text(rng, message, field);
            message.set_field(field, Value::String(text));
            // The time of a balance is compared with a clock that may be behind.
            if field.name() == "account" {
                message.clear_field_by_name("as_of");
            }
        }
        Kind::Int32 if field.name() == "page_size" => {
            message.set_field(field, Value::I32(*rng.pick(&[-1, i32::MIN])));
        }
        Kind::Int64 => {
            let count = *rng.pick(&[0, -1, i64::MIN, 1, i64::MAX]);
            message.set_field(field, Value::I64(count));
        }
        Kind::Enum(_) => message.set_field(field, Value::EnumNumber(*rng.pick(&[3, 7, -1]))),
        Kind::Message(kind) if kind.full_name() == "google.protobuf.Timestamp" => {
            let time = bad_time(rng, field.name(), now);
            set_message(message, field.name(), &time);
        }
        Kind::Message(kind) if kind.full_name() == "google.protobuf.Duration" => {
            let (seconds, nanos) = if field.name() == "ttl" {
                *rng.pick(&TTLS)
            } else {
                let most = 315_576_000_000;
                *rng.pick(&[
                    (0, 0),
                    (0, -1),
                    (1, 1),
                    (1, -1),
                    (most, 0),
                    (most, 999_999_999),
                ])
            };
            let length = prost_types::Duration { seconds, nanos };
            set_message(message, field.name(), &length);
            if rng.chance(100) {
                message.clear_field(field);
            }
        }
        Kind::Message(_) => {
            let inner = message.get_field_mut(field);
            if let Value::Message(inner) = inner {
                spoil_message(rng, inner, now);
            }
        }
        // Every value is good.
        _ => {}
    }
}

fn spoil_list(rng: &mut Rng, list: &mut Vec<Value>, field: &FieldDescriptor, now: Nanos) {
    match field.kind() {
        Kind::Enum(_) => list.push(Value::EnumNumber(99)),
        Kind::String => match rng.below(4) {
            0 => list.push(Value::String("images".to_owned())),
            1 => list.push(Value::String(String::new())),
            2 => list.push(Value::String("s".repeat(129))),
            _ => *list = vec![Value::String("image".to_owned()); 101],
        },
        _ if rng.chance(100) => list.clear(),
        _ => {
            let messages: Vec<_> = list.iter_mut().filter_map(Value::as_message_mut).collect();
            if let Some(message) = rng.pick_any(messages) {
                spoil_message(rng, message, now);
            }
        }
    }
}

/// A bad text for a field.
fn bad_text(rng: &mut Rng, message: &DynamicMessage, field: &FieldDescriptor) -> String {
    let in_prices = message.descriptor().name() == "PriceSelector";
    let long = |letter: &str, length| letter.repeat(length);
    match field.name() {
        "request_id" => match rng.below(3) {
            0 => String::new(),
            1 => long("r", 257),
            _ => "\u{fc}ber".to_owned(),
        },
        "account" if in_prices => (*rng.pick(&["somebody-else", "no name"])).to_owned(),
        "account" => match rng.below(3) {
            0 => String::new(),
            1 => long("a", 129),
            _ => (*rng.pick(&["team a", "team\"a", "team\\a", "team\u{7f}"])).to_owned(),
        },
        "credits" => (*rng.pick(&AMOUNTS)).to_owned(),
        "rate_card" => "unheard-of".to_owned(),
        "revision" => (*rng.pick(&["0123abcd", "0123abcd.plan=1"])).to_owned(),
        "source" => long("s", 257),
        "service" if message.descriptor().name() == "Usage" => {
            (*rng.pick(&["", "images"])).to_owned()
        }
        "service" => long("s", 129),
        "page_token" => {
            let tokens = ["nonsense", "AAAA", "0", "e1", "\u{fc}"];
            match rng.below(6) {
                0 => long("A", 32),
                _ => (*rng.pick(&tokens)).to_owned(),
            }
        }
        // Ids of grants, holds and entries.
        _ => String::new(),
    }
}

/// Pairs that are too many or too long.
fn bad_pairs(rng: &mut Rng) -> Vec<(String, String)> {
    match rng.below(4) {
        0 => (0..17).map(|n| (n.to_string(), String::new())).collect(),
        1 => vec![(String::new(), "v".to_owned())],
        2 => vec![("k".repeat(65), "v".to_owned())],
        _ => vec![("k".to_owned(), "v".repeat(257))],
    }
}

/// A time out of range; of an end one in the past, of a past moment one in the future.
fn bad_time(rng: &mut Rng, field: &str, now: Nanos) -> prost_types::Timestamp {
    match field {
        "expire_time" if rng.chance(500) => return timestamp(now - 100 * HOUR),
        "as_of" if rng.chance(500) => return timestamp(now + 100 * HOUR),
        _ => {}
    }
    let (seconds, nanos) = *rng.pick(&[
        (253_402_300_800, 0),
        (-62_135_596_801, 0),
        (0, -1),
        (0, 1_000_000_000),
        (i64::MIN, 0),
    ]);
    prost_types::Timestamp { seconds, nanos }
}
