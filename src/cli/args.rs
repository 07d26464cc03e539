//! Arguments that several subcommands take, each written once and flattened in.
//!
//! What the command line can see by itself is refused here: texts that are no
//! duration and no time, arguments that exclude each other. Everything else is
//! for the server to say.

use std::collections::BTreeMap;

use clap::ArgGroup;

use super::time_option;
use crate::app::card_file::parse_nanos;
use crate::domain::pricing::Given;
use crate::rpc::convert::timestamp_to_pb;
use crate::rpc::pb::creditd::v1 as pb;

const NANOS_PER_SECOND: i128 = 1_000_000_000;

// A flattened struct's documentation would replace that of the subcommand, so
// these have comments.

// How much of a service.
#[derive(clap::Args, Debug)]
pub(super) struct Quantity {
    /// Quantity of a service that is priced by time, such as 90s, 2m, 1h30m or 1.5s
    #[arg(
        long,
        value_name = "DURATION",
        requires = "service",
        conflicts_with = "count",
        allow_hyphen_values = true
    )]
    duration: Option<String>,
    /// Quantity of a service that is priced by the piece
    #[arg(
        long,
        value_name = "N",
        requires = "service",
        allow_negative_numbers = true
    )]
    count: Option<i64>,
}

impl Quantity {
    /// As prices take it.
    pub(super) fn given(&self) -> Result<Given, String> {
        Ok(match (&self.duration, self.count) {
            (Some(text), _) => {
                Given::Duration(parse_nanos(text).map_err(|e| format!("--duration: {e}"))?)
            }
            (None, Some(count)) => Given::Count(count),
            (None, None) => Given::Nothing,
        })
    }

    fn to_pb(&self) -> Result<Option<pb::usage::Quantity>, String> {
        use pb::usage::Quantity as Wire;
        Ok(match (&self.duration, self.count) {
            (Some(text), _) => Some(Wire::Duration(duration_to_pb("--duration", text)?)),
            (None, Some(count)) => Some(Wire::Count(count)),
            (None, None) => None,
        })
    }
}

// What is charged, set aside or settled: a usage to be priced, or an amount.
#[derive(clap::Args, Debug)]
#[group(skip)]
#[command(group = ArgGroup::new("what").args(["service", "credits"]).required(true))]
pub(super) struct What {
    /// Key of the service that was used; "creditd rates" lists them
    service: Option<String>,
    #[command(flatten)]
    quantity: Quantity,
    /// An amount of your own instead of a service, such as 3 or 0.25
    #[arg(
        long,
        value_name = "N",
        conflicts_with_all = ["duration", "count"],
        allow_hyphen_values = true
    )]
    credits: Option<String>,
}

impl What {
    /// What is asked for, in the form that the message at hand has for it.
    pub(super) fn to_pb<T>(
        &self,
        usage: impl FnOnce(pb::Usage) -> T,
        credits: impl FnOnce(String) -> T,
    ) -> Result<T, String> {
        if let Some(amount) = &self.credits {
            return Ok(credits(amount.clone()));
        }
        Ok(usage(pb::Usage {
            service: self.service.clone().unwrap_or_default(),
            quantity: self.quantity.to_pb()?,
            ..pb::Usage::default()
        }))
    }
}

// Which prices apply to a usage.
#[derive(clap::Args, Debug)]
pub(super) struct Prices {
    /// Price by exactly these prices, as an estimate named them
    #[arg(long, value_name = "REVISION", conflicts_with_all = ["credits", "price_time"])]
    revision: Option<String>,
    /// Price by the rate card of that name, of those that the server has
    #[arg(long, value_name = "NAME", conflicts_with = "credits")]
    rate_card: Option<String>,
    /// Price by what was or will be in force then
    #[arg(long, value_name = "TIME", conflicts_with = "credits")]
    price_time: Option<String>,
}

impl Prices {
    /// None where nothing was named: the server then decides.
    pub(super) fn to_pb(&self) -> Result<Option<pb::PriceSelector>, String> {
        let price_time = time_option(
            "--price-time",
            self.price_time.as_deref(),
            "2027-01-01T00:00:00Z",
        )?;
        let selector = pb::PriceSelector {
            account: String::new(),
            rate_card: self.rate_card.clone().unwrap_or_default(),
            revision: self.revision.clone().unwrap_or_default(),
            price_time: price_time.map(timestamp_to_pb),
        };
        Ok((selector != pb::PriceSelector::default()).then_some(selector))
    }
}

// What is kept with the entry.
#[derive(clap::Args, Debug)]
pub(super) struct Labels {
    /// Label to keep with the entry; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
}

fn label(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| "write it like campaign=autumn".to_owned())
}

impl Labels {
    /// As the wire has them.
    pub(super) fn to_pb(&self) -> Result<BTreeMap<String, String>, String> {
        let mut labels = BTreeMap::new();
        for (key, value) in &self.labels {
            if labels.insert(key.clone(), value.clone()).is_some() {
                return Err(format!(
                    "--label {key} is given twice; an entry keeps one value for a key"
                ));
            }
        }
        Ok(labels)
    }
}

// The name of a call that writes.
#[derive(clap::Args, Debug)]
pub(super) struct RequestId {
    /// Name of this call; the same one again, with the same contents, moves nothing twice
    /// [default: a new one]
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
}

impl RequestId {
    /// The one that was given, or one that nobody else uses.
    pub(super) fn or_new(&self) -> Result<String, String> {
        if let Some(given) = &self.request_id {
            return Ok(given.clone());
        }
        let high = getrandom::u64().map_err(|error| error.to_string())?;
        let low = getrandom::u64().map_err(|error| error.to_string())?;
        Ok(format!("cli-{high:016x}{low:016x}"))
    }
}

/// The duration that an option gives, or what is wrong with its text.
pub(super) fn duration_to_pb(option: &str, text: &str) -> Result<prost_types::Duration, String> {
    let nanos = parse_nanos(text).map_err(|error| format!("{option}: {error}"))?;
    let seconds = nanos.checked_div(NANOS_PER_SECOND).unwrap_or_default();
    let rest = nanos.checked_rem(NANOS_PER_SECOND).unwrap_or_default();
    Ok(prost_types::Duration {
        seconds: i64::try_from(seconds)
            .map_err(|_| format!("{option}: \"{text}\" is longer than can be sent"))?,
        nanos: i32::try_from(rest).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_reach_the_wire_exactly() {
        for (text, seconds, nanos) in [
            ("90s", 90, 0),
            ("1.5s", 1, 500_000_000),
            ("-1.5s", -1, -500_000_000),
            ("1ns", 0, 1),
            ("9223372036854775807s", i64::MAX, 0),
        ] {
            let duration = prost_types::Duration { seconds, nanos };
            assert_eq!(duration_to_pb("--ttl", text), Ok(duration), "{text}");
        }
        assert_eq!(
            duration_to_pb("--ttl", "9223372036854775808s"),
            Err("--ttl: \"9223372036854775808s\" is longer than can be sent".to_owned())
        );
    }
}
