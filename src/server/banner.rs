//! The first lines of a server: where it listens, what it serves, what to try.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::config::Config;
use super::system_clock::SystemClock;
use super::telemetry::LogFormat;
use crate::app::App;
use crate::app::access::{Access, Authentication};
use crate::domain::pricing::{Card, Selector};
use crate::rfc3339;
use crate::store::Clock as _;

/// The lines; beside a log in JSON one of it.
pub(super) fn banner(address: SocketAddr, config: &Config, app: &App) -> String {
    match config.log_format {
        LogFormat::Human => text(&address.to_string(), config, app),
        LogFormat::Json => log_line(address.to_string(), config, app),
    }
}

/// Logs the start.
pub(super) fn log(address: SocketAddr, config: &Config, access: &Access) {
    tracing::info!(%address, data = %config.data.display(), threads = config.threads, "serving");
    let (tls, authentication) = (config.tls.is_some(), access.is_required());
    let is_protected = tls && authentication;
    if !is_protected && !address.ip().is_loopback() {
        tracing::warn!(%address, tls, authentication, "other machines can reach this server, as --insecure says");
    }
    if config.authentication == Authentication::Off {
        tracing::warn!(
            "anybody who reaches this server may do everything, as --no-authentication says"
        );
    }
}

/// Logs where metrics and probes are.
pub(super) fn log_admin(address: SocketAddr) {
    tracing::info!("serving http://{address}/metrics, /livez and /readyz");
}

/// The same facts as a line of the log.
#[derive(Serialize)]
struct LogLine {
    timestamp: String,
    level: &'static str,
    message: String,
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unix: Option<PathBuf>,
    rate_card: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    data: PathBuf,
}

fn log_line(address: String, config: &Config, app: &App) -> String {
    let card = app.rate_card(&Selector::default()).ok();
    let line = LogLine {
        timestamp: rfc3339::format(SystemClock.now()),
        level: "INFO",
        message: format!("creditd {} listens on {address}", env!("CARGO_PKG_VERSION")),
        address,
        unix: config.listen_unix.as_deref().map(absolute),
        rate_card: app.prices().default_name().to_owned(),
        revision: card.map(|card| card.revision().to_string()),
        data: absolute(&config.data),
    };
    // A path that is no text has no form; the rest then stands in the log as ever.
    serde_json::to_string(&line).map_or_else(|_| String::new(), |line| format!("{line}\n"))
}

fn text(address: &str, config: &Config, app: &App) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let card = app.rate_card(&Selector::default()).map_or_else(
        |_| {
            format!(
                "{} is not in force yet; until it is, calls name another by prices.rate_card",
                app.prices().default_name()
            )
        },
        |card| describe(&card),
    );
    let data = absolute(&config.data);
    let example = app
        .rate_card(&Selector::default())
        .ok()
        .and_then(|card| example(&card))
        .unwrap_or_else(|| "{\"usage\": {\"service\": \"SERVICE\"}}".to_owned());
    let unix = config
        .listen_unix
        .as_deref()
        .map_or_else(String::new, |path| {
            format!("             and on unix:{}\n", absolute(path).display())
        });
    let (plaintext, scheme, tls) = match &config.tls {
        None => ("-plaintext ", "", String::new()),
        Some(tls) => {
            let cert = absolute(&tls.cert);
            (
                "",
                "https://",
                format!("TLS          by {}\n", cert.display()),
            )
        }
    };
    let (callers, header) = match app.access().is_required() {
        false => ("", ""),
        true => (
            "callers      need a key: CREDITD_KEY or --key-file\n",
            "-H \"authorization: Bearer $CREDITD_KEY\" ",
        ),
    };
    format!(
        "creditd {version} listens on {address}\n\
         {unix}\
         {tls}\
         {callers}\
         rate card    {card}\n\
         data file    {}\n\
         \n\
         Try it from another terminal:\n\
         \n  grpcurl {plaintext}{header}-d '{example}' {address} creditd.v1.PricingService/Estimate\
         \n  creditd grant --addr {scheme}{address} team-a 100\
         \n  creditd balance --addr {scheme}{address} team-a\
         \n\n\
         Ctrl-C stops it.\n",
        data.display(),
    )
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn describe(card: &Card) -> String {
    let services = card.services().len();
    let plural = if services == 1 { "" } else { "s" };
    format!(
        "{} ({}), {services} service{plural}, revision {}",
        card.name(),
        card.title(),
        card.revision()
    )
}

/// A usage of the card to try: one that is priced by time, where there is one.
fn example(card: &Card) -> Option<String> {
    use crate::domain::pricing::{Meter, OnePrice, Price, Service, ServicePrice};
    let by_rank = |(_, one): &(&Service, &OnePrice)| match (&one.meter, &one.price) {
        (Meter::Duration, Price::ProRata(_)) => 0,
        (Meter::Duration, _) => 1,
        (Meter::Count { .. }, _) => 2,
    };
    let services = card.services().iter();
    let services = services.filter_map(|service| match &service.price {
        ServicePrice::One(one) => Some((service, one)),
        ServicePrice::Lines(_) => None,
    });
    let (service, one) = services.min_by_key(by_rank)?;
    let quantity = match one.meter {
        Meter::Duration => ", \"duration\": \"31s\"",
        Meter::Count { .. } => ", \"count\": 2",
    };
    Some(format!(
        "{{\"usage\": {{\"service\": \"{}\"{quantity}}}}}",
        service.key
    ))
}
