//! `creditd health`.

use serde::Serialize;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;

use super::failure::{Failure, Kind};
use super::output::{Format, print_own};
use super::refusal::Words;
use super::remote::Remote;
use crate::rpc::client;

const EXAMPLES: &str = "Examples:
  creditd health
  creditd health --service creditd.v1.LedgerService --timeout 1s
  creditd health --addr unix:/run/creditd.sock --json";

/// Ask a server whether it serves, for probes
///
/// The exit status is 0 where it does, and 5 where it does not or where nobody answers. Without
/// --service it is about the server as a whole, which does not serve while its ledger cannot
/// write; prices are served on.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The service, such as creditd.v1.PricingService [default: the server as a whole]
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    service: String,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    format: Format,
}

/// As protobuf's JSON has the answer.
#[derive(Serialize)]
struct Printed {
    status: &'static str,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let request = HealthCheckRequest {
        service: args.service.clone(),
    };
    let reply = args.remote.read(Words::of(""), async |connection| {
        client::health(connection)
            .check(request)
            .await
            .or_else(|status| match status.code() {
                Code::NotFound => Ok(tonic_health::pb::HealthCheckResponse {
                    status: ServingStatus::ServiceUnknown.into(),
                }
                .into()),
                _ => Err(status),
            })
    })?;
    let status = reply.status();
    if status == ServingStatus::Serving {
        let status = status.as_str_name();
        return print_own(args.format, &Printed { status }, || status.to_owned());
    }
    let here = &args.remote.addr;
    let problem = match (status, args.service.as_str()) {
        (ServingStatus::ServiceUnknown, service) => format!(
            "{here} has no service \"{service}\"; leave --service out to ask for the server as a whole"
        ),
        (status, "") => format!("{here} is {}; its log says why", status.as_str_name()),
        (status, service) => {
            let status = status.as_str_name();
            format!("{service} of {here} is {status}; the server's log says why")
        }
    };
    Err(Failure::new(Kind::Unavailable, problem))
}
