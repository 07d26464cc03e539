//! Messages as ProtoJSON, with the field names of the proto.
//!
//! 64-bit numbers are strings, times RFC 3339, durations "1.5s", enums the names of their
//! values, or numbers where this program's schema does not have the value. A field that is not
//! set is written with its default, so that no reader has to know the default; a field with
//! presence (a message, a oneof, an optional field) is left out. Keys are in alphabetical order.

use std::fmt::Display;
use std::sync::LazyLock;

use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};

use super::pb::DESCRIPTORS;

static POOL: LazyLock<Result<DescriptorPool, String>> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).map_err(|error| error.to_string()));

/// A message of its JSON, in which fields may have their names of the proto or of JSON.
///
/// # Errors
/// What is wrong with it.
pub fn from_text<M: Message + Name + Default>(text: &str) -> Result<M, String> {
    let pool = POOL.as_ref().map_err(Clone::clone)?;
    let name = M::full_name();
    let descriptor = pool.get_message_by_name(&name).ok_or(name)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let dynamic = DynamicMessage::deserialize(descriptor, &mut deserializer);
    let dynamic = dynamic.map_err(|error| error.to_string())?;
    deserializer.end().map_err(|error| error.to_string())?;
    dynamic.transcode_to().map_err(|error| error.to_string())
}

/// A message as JSON.
///
/// # Errors
/// A time or a duration that has no text: out of protobuf's range.
pub fn to_value<M: Message + Name>(message: &M) -> Result<serde_json::Value, String> {
    let failure = |error: &dyn Display| format!("the answer cannot be written as JSON: {error}");
    let pool = POOL.as_ref().map_err(|error| failure(error))?;
    let name = M::full_name();
    let descriptor = pool
        .get_message_by_name(&name)
        .ok_or_else(|| failure(&name))?;
    let mut dynamic = DynamicMessage::new(descriptor);
    dynamic
        .transcode_from(message)
        .map_err(|error| failure(&error))?;
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .skip_default_fields(false);
    dynamic
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|error| failure(&error))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::to_value;
    use crate::rpc::pb::creditd::v1 as pb;

    #[test]
    fn messages_are_written_as_proto_json_maps_them() {
        let duration = |seconds, nanos| {
            pb::usage::Quantity::Duration(prost_types::Duration { seconds, nanos })
        };
        let usage = |quantity| pb::Usage {
            service: "dub".to_owned(),
            quantity,
            attributes: [("b", "2"), ("a", "1"), ("c", "3")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..pb::Usage::default()
        };
        let text = |quantity| to_value(&usage(quantity)).unwrap().to_string();
        assert_eq!(
            text(None),
            r#"{"attributes":{"a":"1","b":"2","c":"3"},"meters":{},"service":"dub"}"#
        );
        for (seconds, nanos, expected) in [
            (31, 0, "31s"),
            (0, 500_000_000, "0.500s"),
            (31, 123_456_789, "31.123456789s"),
        ] {
            let value = to_value(&usage(Some(duration(seconds, nanos)))).unwrap();
            assert_eq!(value["duration"], expected);
        }
        let counted = to_value(&usage(Some(pb::usage::Quantity::Count(4)))).unwrap();
        assert_eq!(counted["count"], "4");
        let entry = |kind| pb::Entry {
            kind,
            version: i64::MAX,
            ..pb::Entry::default()
        };
        let value = to_value(&entry(2)).unwrap();
        assert_eq!(value["kind"], "ENTRY_KIND_CHARGE");
        assert_eq!(value["version"], "9223372036854775807");
        assert_eq!(value["priority"], 0);
        assert_eq!(value.get("expire_time"), None);
        assert_eq!(value.get("usage"), None);
        // A kind that is newer than this program.
        assert_eq!(to_value(&entry(99)).unwrap()["kind"], json!(99));
    }

    #[test]
    fn a_time_out_of_range_is_an_error() {
        let message = pb::WatchBalanceResponse {
            balance: Some(pb::Balance {
                read_time: Some(prost_types::Timestamp {
                    seconds: i64::MAX,
                    nanos: 0,
                }),
                ..pb::Balance::default()
            }),
        };
        assert!(to_value(&message).is_err());
    }
}
