//! Calls, by gRPC's usual names, and refusals by reason.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use tonic::Code;

use super::{Writer, float};
use crate::rpc::layer::{Counters, DURATION_BOUNDS_US, MethodTotals};
use crate::rpc::method::{METHODS, Method};
use crate::rpc::refused::reason_name;

/// What a method that the server does not have is called.
const UNKNOWN: &str = "unknown";

/// Collects what calls there were.
#[derive(Debug)]
pub(super) struct Calls(pub(super) Arc<Counters>);

type Labels = [(&'static str, String); 3];

fn labels(method: Option<&'static Method>) -> Labels {
    let (service, name) = method.map_or((UNKNOWN, UNKNOWN), Method::names);
    let streams = method.is_some_and(|method| method.kind.streams());
    let kind = if streams { "server_stream" } else { "unary" };
    [
        ("grpc_type", kind.to_owned()),
        ("grpc_service", service.to_owned()),
        ("grpc_method", name.to_owned()),
    ]
}

impl Collector for Calls {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let methods: Vec<_> = (METHODS.iter().map(Some).chain([None]))
            .map(|method| (labels(method), self.0.of_method(method)))
            .collect();
        let mut writer = Writer(encoder);
        let started = methods
            .iter()
            .map(|(labels, totals)| (labels.clone(), float(totals.started)));
        writer.counters("grpc_server_started", "Calls that came in.", started)?;
        let handled = methods.iter().flat_map(handled);
        writer.counters("grpc_server_handled", "Calls that ended, by code.", handled)?;
        let refusals = self.0.refusals();
        let refusals = refusals.map(|(reason, times)| {
            let reason = ("reason", reason_name(reason).to_owned());
            ([reason], float(times))
        });
        writer.counters(
            "creditd_refusals",
            "Calls and items of batches that were refused, by reason.",
            refusals,
        )?;
        let reloads = self.0.reloads().into_iter();
        writer.counters(
            "creditd_reloads",
            "How often the configuration was read again, and taken or refused.",
            reloads.map(|(outcome, times)| ([("outcome", outcome.to_owned())], float(times))),
        )?;
        durations(&mut writer, &methods)
    }
}

/// The counts of a method by code: of OK, and of each that there was.
fn handled(
    (labels, totals): &(Labels, MethodTotals),
) -> impl Iterator<Item = ([(&'static str, String); 4], f64)> {
    let [kind, service, method] = labels.clone();
    let codes = (0..).zip(totals.handled);
    codes
        .filter(|(number, calls)| *number == 0 || *calls > 0)
        .map(move |(number, calls)| {
            let code = match Code::from(number) {
                Code::Ok => "OK".to_owned(),
                code => format!("{code:?}"),
            };
            let code = ("grpc_code", code);
            let labels = [kind.clone(), service.clone(), method.clone(), code];
            (labels, float(calls))
        })
}

fn durations(writer: &mut Writer<'_>, methods: &[(Labels, MethodTotals)]) -> fmt::Result {
    let mut described = writer.0.encode_descriptor(
        "grpc_server_handling_seconds",
        "From a call's headers to the end of its reply.",
        None,
        MetricType::Histogram,
    )?;
    for (labels, totals) in methods {
        let bounds = DURATION_BOUNDS_US.map(|us| Duration::from_micros(us).as_secs_f64());
        let bounds = bounds.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(totals.buckets).collect();
        let calls = totals
            .buckets
            .iter()
            .fold(0_u64, |all, calls| all.wrapping_add(*calls));
        described
            .encode_family(labels)?
            .encode_histogram::<NoLabelSet>(totals.elapsed.as_secs_f64(), calls, &buckets, None)?;
    }
    Ok(())
}
