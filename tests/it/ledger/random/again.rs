//! Calls that were answered before: sent again in other words of the same meaning, or with one
//! field changed. What can be done with a field follows from its name and type.

use creditd::rpc::pb::creditd::v1 as pb;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _, Value};

use super::super::time::{BEGINNING, HOUR, duration, timestamp};
use super::ids::kind_of_field;
use super::rng::Rng;
use crate::model::{MAX, amount, text as amount_text};
use crate::support::call::{Call, set_message, text};

/// A call that means the same.
pub fn reworded(rng: &mut Rng, call: &Call) -> Call {
    let mut request = call.message();
    let has = |name| request.descriptor().get_field_by_name(name).is_some();
    let (has_prices, has_services, has_overage) = (has("prices"), has("services"), has("overage"));
    if request.has_field_by_name("credits") {
        let credits = longer(&text(&request, "credits"));
        request.set_field_by_name("credits", Value::String(credits));
    }
    if has_services {
        let services = request.get_field_by_name_mut("services").unwrap();
        let services = services.as_list_mut().unwrap();
        services.reverse();
        services.extend_from_within(..services.len().min(1));
    }
    // A field that is left out has its default.
    if request.has_field_by_name("usage") {
        let usage = request.get_field_by_name_mut("usage").unwrap();
        let usage = usage.as_message_mut().unwrap();
        if !usage.has_field_by_name("count") && !usage.has_field_by_name("duration") {
            usage.set_field_by_name("count", Value::I64(1));
        }
    }
    if has_prices {
        let account = text(&request, "account");
        let prices = request.get_field_by_name_mut("prices").unwrap();
        let prices = prices.as_message_mut().unwrap();
        prices.set_field_by_name("account", Value::String(account));
    }
    if matches!(call, Call::Hold(_)) && !request.has_field_by_name("ttl") {
        set_message(&mut request, "ttl", &duration(HOUR));
    }
    if has_overage && !request.has_field_by_name("overage") {
        request.set_field_by_name("overage", Value::EnumNumber(pb::Overage::Reject.into()));
    }
    if let Call::UpdateAccount(update) = call {
        return reworded_update(update.clone());
    }
    let call = call.with(&request);
    // A charge alone and a charge in a batch are one method.
    match call {
        Call::Charge(charge) if rng.chance(300) => Call::BatchCharge(pb::BatchChargeRequest {
            charges: vec![charge.clone(), charge],
        }),
        call => call,
    }
}

/// A mask is a set, and fields outside of it are not read.
fn reworded_update(mut update: pb::UpdateAccountRequest) -> Call {
    let paths = &mut update.update_mask.as_mut().unwrap().paths;
    let account = update.account.as_mut().unwrap();
    account.create_time = Some(timestamp(BEGINNING));
    account.balance = Some(pb::Balance::default());
    if !paths.iter().any(|path| path == "labels") {
        account.labels.insert("x".repeat(100), String::new());
    }
    if !paths.iter().any(|path| path == "rate_card") {
        account.rate_card = "unheard-of".to_owned();
    }
    if !paths.iter().any(|path| path == "attributes") {
        account.attributes.insert("job".to_owned(), "1".to_owned());
    }
    paths.reverse();
    paths.extend_from_within(..1);
    Call::UpdateAccount(update)
}

/// A call with one field changed. Some come out the same, which is fine.
pub fn altered(rng: &mut Rng, call: &Call) -> Call {
    let mut request = call.message();
    let descriptor = request.descriptor();
    let fields: Vec<FieldDescriptor> = descriptor
        .fields()
        .filter(|field| field.name() != "request_id")
        .filter(|field| field.name() != "account" || matches!(field.kind(), Kind::Message(_)))
        // Of alternatives only the one that is set; prices of a usage only.
        .filter(|field| {
            let oneof = field
                .containing_oneof()
                .is_some_and(|oneof| oneof.fields().len() > 1);
            !oneof || request.has_field(field)
        })
        .filter(|field| field.name() != "prices" || request.has_field_by_name("usage"))
        .collect();
    let field = rng.pick(&fields).clone();
    alter(rng, &mut request, &field);
    call.with(&request)
}

fn alter(rng: &mut Rng, request: &mut DynamicMessage, field: &FieldDescriptor) {
    let name = field.name();
    if field.is_map() {
        let pairs = request.get_field_mut(field).as_map_mut().unwrap();
        let label = pairs.entry(MapKey::String("job".to_owned()));
        label
            .and_modify(|value| *value = Value::String(format!("{}x", value.as_str().unwrap())))
            .or_insert_with(|| Value::String("x".to_owned()));
        return;
    }
    if field.is_list() {
        let list = request.get_field_mut(field).as_list_mut().unwrap();
        return list.push(Value::String("image".to_owned()));
    }
    match field.kind() {
        Kind::String if name == "credits" => {
            // All that is left of an entry is another amount than 1, mostly.
            let credits = match request.has_field(field) {
                true => more(&text(request, name)),
                false => "1".to_owned(),
            };
            request.set_field(field, Value::String(credits));
        }
        Kind::String => {
            debug_assert!(name == "source" || kind_of_field(name).is_some());
            let longer = format!("{}x", text(request, name));
            request.set_field(field, Value::String(longer));
        }
        Kind::Int32 => {
            let number = request.get_field(field).as_i32().unwrap();
            request.set_field(field, Value::I32(number ^ 1));
        }
        Kind::Bool => {
            let flag = request.get_field(field).as_bool().unwrap();
            request.set_field(field, Value::Bool(!flag));
        }
        Kind::Enum(_) => {
            let number = request.get_field(field).as_enum_number().unwrap();
            request.set_field(field, Value::EnumNumber(2 - number));
        }
        Kind::Message(kind) => match kind.name() {
            "Duration" => set_message(request, name, &duration(HOUR + 1)),
            "Timestamp" if !request.has_field(field) => {
                set_message(request, name, &timestamp(BEGINNING))
            }
            "Timestamp" => flip_nanos(request, field),
            "Usage" => alter_usage(rng, request.get_field_mut(field)),
            "PriceSelector" => alter_prices(rng, request.get_field_mut(field)),
            // Of the account what has a part in it.
            "Account" => {
                let account = request.get_field_mut(field).as_message_mut().unwrap();
                let name = *rng.pick(&["attributes", "labels", "rate_card"]);
                match name {
                    "rate_card" => account.set_field_by_name(name, Value::String("studio".into())),
                    name => {
                        let field = account.descriptor().get_field_by_name(name).unwrap();
                        alter(rng, account, &field);
                    }
                }
            }
            "FieldMask" => {
                let mask = request.get_field_mut(field).as_message_mut().unwrap();
                let paths = mask.get_field_by_name_mut("paths").unwrap();
                let paths = paths.as_list_mut().unwrap();
                let labels = Value::String("labels".to_owned());
                match paths.len() > 1 && paths.contains(&labels) {
                    true => paths.retain(|path| *path != labels),
                    false => paths.push(labels),
                }
            }
            other => panic!("nothing is known of a {other}"),
        },
        kind => panic!("nothing is known of a {kind:?}"),
    }
}

/// Another time or length, by a nanosecond.
fn flip_nanos(message: &mut DynamicMessage, field: &FieldDescriptor) {
    let inner = message.get_field_mut(field).as_message_mut().unwrap();
    let nanos = inner.get_field_by_name("nanos").unwrap().as_i32().unwrap();
    inner.set_field_by_name("nanos", Value::I32(nanos ^ 1));
}

fn alter_usage(rng: &mut Rng, usage: &mut Value) {
    let usage = usage.as_message_mut().unwrap();
    if rng.chance(500) {
        usage.set_field_by_name("service", Value::String("motion".to_owned()));
    } else if usage.has_field_by_name("duration") {
        let field = usage.descriptor().get_field_by_name("duration").unwrap();
        flip_nanos(usage, &field);
    } else {
        let count = usage.get_field_by_name("count").unwrap().as_i64().unwrap();
        // Left out it is one.
        usage.set_field_by_name("count", Value::I64(count.max(1).saturating_add(1)));
    }
}

fn alter_prices(rng: &mut Rng, prices: &mut Value) {
    let prices = prices.as_message_mut().unwrap();
    if rng.chance(500) {
        prices.set_field_by_name("rate_card", Value::String("studio".to_owned()));
    } else if prices.has_field_by_name("revision") {
        prices.set_field_by_name("revision", Value::String("0123abcd".to_owned()));
    } else {
        set_message(prices, "price_time", &timestamp(BEGINNING));
    }
}

/// A billionth more.
fn more(credits: &str) -> String {
    amount_text((amount(credits).unwrap() + 1).min(MAX))
}

/// The same amount with zeros around it.
fn longer(credits: &str) -> String {
    let decimals = credits
        .split_once('.')
        .map_or(0, |(_, digits)| digits.len());
    match decimals {
        0 => format!("0{credits}.0"),
        1..9 => format!("{credits}0"),
        _ => format!("0{credits}"),
    }
}
