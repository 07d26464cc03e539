//! Arguments that several subcommands take, each written once and flattened in.
//!
//! What the command line can see by itself is refused here: texts that are no
//! duration and no time, arguments that exclude each other. Everything else is
//! for the server to say.

use std::collections::BTreeMap;

use clap::ArgGroup;

use clap::builder::NonEmptyStringValueParser;

use super::failure::Failure;
use super::times::{self, Moment};
use crate::app::card_file::parse_nanos;
use crate::domain::pricing::Given;
use crate::rfc3339;
use crate::rpc::convert::timestamp_to_pb;
use crate::rpc::pb::creditd::v1 as pb;

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
        allow_hyphen_values = true,
        value_parser = quantity
    )]
    duration: Option<i128>,
    /// Quantity of a service that is priced by the piece
    #[arg(
        long,
        value_name = "N",
        requires = "service",
        allow_negative_numbers = true
    )]
    count: Option<i64>,
    /// Further meter of the service, such as input_tokens=2000; may be repeated. Time in seconds
    #[arg(long = "meter", value_name = "NAME=VALUE", requires = "service", value_parser = pair)]
    meters: Vec<(String, String)>,
    /// Fact that the price depends on, such as model=opus-5; may be repeated
    #[arg(long = "attribute", value_name = "NAME=VALUE", requires = "service", value_parser = pair)]
    attributes: Vec<(String, String)>,
}

/// A name and its value as they are typed.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "write it like input_tokens=2000".to_owned())
}

/// A duration that is priced, in nanoseconds.
fn quantity(text: &str) -> Result<i128, String> {
    let nanos = parse_nanos(text)?;
    times::to_pb(nanos)
        .map(|_| nanos)
        .ok_or_else(|| format!("\"{text}\" is longer than can be sent"))
}

impl Quantity {
    /// As prices take it.
    pub(super) const fn given(&self) -> Given {
        match (self.duration, self.count) {
            (Some(nanos), _) => Given::Duration(nanos),
            (None, Some(count)) => Given::Count(count),
            (None, None) => Given::Nothing,
        }
    }

    pub(super) fn meters(&self) -> Result<BTreeMap<String, String>, Failure> {
        once("--meter", &self.meters)
    }

    pub(super) fn attributes(&self) -> Result<BTreeMap<String, String>, Failure> {
        once("--attribute", &self.attributes)
    }

    /// The usage of that service.
    pub(super) fn usage(&self, service: &str) -> Result<pb::Usage, Failure> {
        use pb::usage::Quantity as Wire;
        Ok(pb::Usage {
            service: service.to_owned(),
            quantity: match (self.duration, self.count) {
                (Some(nanos), _) => times::to_pb(nanos).map(Wire::Duration),
                (None, Some(count)) => Some(Wire::Count(count)),
                (None, None) => None,
            },
            meters: self.meters()?,
            attributes: self.attributes()?,
        })
    }
}

// What is charged, set aside or settled: a usage to be priced, or an amount.
#[derive(clap::Args, Debug)]
#[group(skip)]
#[command(group = ArgGroup::new("cost").args(["service", "credits"]).required(true))]
pub(super) struct CostArgs {
    /// Key of the service that was used; "creditd rates" lists them
    service: Option<String>,
    #[command(flatten)]
    quantity: Quantity,
    /// An amount of your own instead of a service, such as 3 or 0.25
    #[arg(
        long,
        value_name = "N",
        conflicts_with_all = ["duration", "count", "meters", "attributes"],
        allow_hyphen_values = true
    )]
    credits: Option<String>,
}

impl CostArgs {
    /// As the message at hand has it.
    pub(super) fn to_pb<T>(
        &self,
        usage: impl FnOnce(pb::Usage) -> T,
        credits: impl FnOnce(String) -> T,
    ) -> Result<T, Failure> {
        if let Some(amount) = &self.credits {
            return Ok(credits(amount.clone()));
        }
        let service = self.service.as_deref().unwrap_or_default();
        Ok(usage(self.quantity.usage(service)?))
    }
}

// Which prices apply to a usage.
#[derive(clap::Args, Debug)]
pub(super) struct Prices {
    /// Price by exactly these prices, as an estimate named them
    #[arg(
        long,
        value_name = "REVISION",
        value_parser = NonEmptyStringValueParser::new(),
        conflicts_with_all = ["credits", "price_time"]
    )]
    revision: Option<String>,
    /// Price by the rate card of that name, of those that the server has
    #[arg(
        long,
        value_name = "NAME",
        value_parser = NonEmptyStringValueParser::new(),
        conflicts_with = "credits"
    )]
    rate_card: Option<String>,
    /// Price by what was or will be in force then
    #[arg(long, value_name = "TIME", conflicts_with = "credits", value_parser = times::either)]
    price_time: Option<Moment>,
}

impl Prices {
    /// None where nothing was named: the server then decides.
    pub(super) fn to_pb(&self) -> Option<pb::PriceSelector> {
        let selector = pb::PriceSelector {
            account: String::new(),
            rate_card: self.rate_card.clone().unwrap_or_default(),
            revision: self.revision.clone().unwrap_or_default(),
            price_time: self.price_time.map(|moment| timestamp_to_pb(moment.time)),
        };
        (selector != pb::PriceSelector::default()).then_some(selector)
    }

    /// The options that make the same command ask for the same again.
    pub(super) fn again(&self) -> String {
        again("--price-time", self.price_time)
    }
}

/// An option whose text means another time later, as it means the same time.
pub(super) fn again(option: &str, moment: Option<Moment>) -> String {
    moment
        .filter(|moment| moment.relative)
        .map_or_else(String::new, |moment| {
            format!(" {option} {}", rfc3339::format(moment.time))
        })
}

// Labels of the entry.
#[derive(clap::Args, Debug)]
pub(super) struct Labels {
    /// Label to keep with the entry; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
}

/// A label as it is typed.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| "write it like campaign=autumn".to_owned())
}

/// Labels as the wire has them.
pub(super) fn labels_to_pb<M: FromIterator<(String, String)>>(
    labels: &[(String, String)],
) -> Result<M, Failure> {
    Ok(once("--label", labels)?.into_iter().collect())
}

/// Pairs whose keys stand once.
pub(super) fn once(
    option: &str,
    pairs: &[(String, String)],
) -> Result<BTreeMap<String, String>, Failure> {
    let mut wire = BTreeMap::new();
    for (key, value) in pairs {
        if wire.insert(key.clone(), value.clone()).is_some() {
            return Err(Failure::usage(format!(
                "{option} {key} is given twice; there is one value for a key"
            )));
        }
    }
    Ok(wire)
}

impl Labels {
    /// As the wire has them.
    pub(super) fn to_pb<M: FromIterator<(String, String)>>(&self) -> Result<M, Failure> {
        labels_to_pb(&self.labels)
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
    /// Whether one was given.
    pub(super) const fn is_given(&self) -> bool {
        self.request_id.is_some()
    }

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
