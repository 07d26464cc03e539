//! Usages as they are typed: the words of `creditd estimate`.

use clap::Parser;

use crate::cli::args::{Quantity, once, pair};
use crate::cli::failure::Failure;
use crate::cli::times;
use crate::domain::pricing::{Card, Given, Pairs, PriceContext, Quote, UsageRecord};
use crate::domain::{FieldViolations, Refusal, Timestamp};
use crate::rpc::pb::creditd::v1 as pb;
use crate::rpc::refused::{Refused, error_info};

/// A usage in one argument: a service, and what estimate takes with it.
#[derive(Parser)]
#[command(name = "--usage", no_binary_name = true, disable_help_flag = true)]
struct Words {
    service: String,
    #[command(flatten)]
    quantity: Quantity,
    #[arg(long = "account-attribute", value_parser = pair)]
    account_attributes: Vec<(String, String)>,
}

/// Reads a usage of one argument, such as `lip_sync_video --duration 90s`, and what the account
/// says.
pub(super) fn parse(text: &str) -> Result<(pb::Usage, Pairs), Failure> {
    let words = Words::try_parse_from(text.split_whitespace()).map_err(|error| {
        let message = error.render().to_string();
        let message = message.trim().trim_start_matches("error: ");
        let first = message.lines().next().unwrap_or_default();
        Failure::usage(format!(
            "--usage \"{text}\": {first}; write it as behind \"creditd estimate\", such as 'dub --duration 90s'"
        ))
    })?;
    let given = once("--account-attribute", &words.account_attributes)?;
    Ok((words.quantity.usage(&words.service)?, given))
}

/// A usage in the words that [`parse`] reads, without its service.
pub(super) fn words(usage: &UsageRecord) -> String {
    let mut words = Vec::new();
    match usage.quantity {
        Given::Duration(nanos) => {
            let seconds = rust_decimal::Decimal::try_from_i128_with_scale(nanos, 9);
            let seconds = seconds.map(|seconds| seconds.normalize().to_string());
            words.push(format!("--duration {}s", seconds.unwrap_or_default()));
        }
        Given::Count(count) => words.push(format!("--count {count}")),
        Given::Nothing | Given::NoDuration { .. } => {}
    }
    for (flag, pairs) in [
        ("--meter", &usage.meters),
        ("--attribute", &usage.attributes),
    ] {
        words.extend(
            pairs
                .iter()
                .map(|(name, value)| format!("{flag} {name}={value}")),
        );
    }
    words.join(" ")
}

/// The same with what the account and the clock say.
pub(super) fn words_with(usage: &UsageRecord, given: &Pairs) -> String {
    let given = given.iter();
    let given = given.map(|(name, value)| format!("({name} {value})"));
    let words = std::iter::once(words(usage)).chain(given);
    let words: Vec<String> = words.filter(|words| !words.is_empty()).collect();
    words.join(" ")
}

/// The reason why a card does not price a usage, as the API names it.
pub(super) fn reason(card: &Card, service: &str, usage: &UsageRecord, given: &Pairs) -> String {
    let Err(violations) = price(card, service, usage, given) else {
        return String::new();
    };
    let status = Refused::from(Refusal::Invalid(violations)).into_status();
    error_info(status.details()).map_or_else(String::new, |info| info.reason)
}

/// What a usage costs with these values of the account and the clock; one that is not given
/// has its default.
pub(super) fn price<'card>(
    card: &'card Card,
    service: &str,
    usage: &UsageRecord,
    given: &Pairs,
) -> Result<Quote<'card>, FieldViolations> {
    let values = match card.service(service) {
        Some(service) => card.with_defaults(service, given.clone()),
        None => given.clone(),
    };
    let context = PriceContext::at(Timestamp::MIN).with_quoted(&values);
    card.price(&usage.of(service), &context)
}

/// As the API has it.
pub(super) fn to_pb(service: &str, usage: &UsageRecord) -> pb::Usage {
    use pb::usage::Quantity as Wire;
    pb::Usage {
        service: service.to_owned(),
        quantity: match usage.quantity {
            Given::Duration(nanos) => times::to_pb(nanos).map(Wire::Duration),
            Given::Count(count) => Some(Wire::Count(count)),
            Given::Nothing | Given::NoDuration { .. } => None,
        },
        meters: usage.meters.clone(),
        attributes: usage.attributes.clone(),
    }
}
