//! `creditd serve`.

use std::path::PathBuf;

use super::failure::Failure;
use crate::domain::Timestamp;
use crate::rfc3339;
use crate::server::{self, LogFormat, Options, telemetry};

const EXAMPLES: &str = "Examples:
  creditd serve
  creditd serve --listen 127.0.0.1:6000 --data /var/lib/creditd/creditd.db
  creditd serve --rate-card-file prices-2026.toml --rate-card-file prices-2027.toml
  CREDITD_LOG_FORMAT=json creditd serve --config /etc/creditd.toml

What is given on the command line or in the environment wins over --config, which wins
over the defaults. SIGTERM and SIGINT stop the server: health turns NOT_SERVING, calls in
flight finish within --drain-ms-max, and the data file is closed. SIGHUP reads the rate
cards again.";

/// Serve prices and balances over gRPC
///
/// Without any option: the built-in JoggAI card, on 127.0.0.1:50051, with credits kept in
/// ./creditd.db. Only this machine can reach it, until --listen says otherwise; it does not
/// ask who calls, so keep it off networks that you do not trust.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Address or name to listen on; port 0 takes a free one [default: 127.0.0.1:50051]
    #[arg(long, env = "CREDITD_LISTEN", value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Unix socket to listen on too; made for this user alone, and removed at the end
    #[arg(long, env = "CREDITD_LISTEN_UNIX", value_name = "FILE")]
    listen_unix: Option<PathBuf>,
    /// File in which credits are kept; made where there is none [default: creditd.db]
    #[arg(long, env = "CREDITD_DATA", value_name = "FILE")]
    data: Option<PathBuf>,
    /// File with a rate card to serve instead of the built-in one; may be repeated, and the
    /// first one's name is the default (in the environment: separated by commas, and as
    /// CREDITD_RATE_CARD too)
    #[arg(
        long = "rate-card-file",
        visible_alias = "rate-card",
        env = "CREDITD_RATE_CARD_FILE",
        value_name = "FILE",
        value_delimiter = ','
    )]
    rate_card_files: Vec<PathBuf>,
    /// Honour a revision for so many days after other prices took its place [default: for ever]
    #[arg(long, env = "CREDITD_REVISION_AGE_DAYS_MAX", value_name = "DAYS")]
    revision_age_days_max: Option<u32>,
    /// TOML file with these options as keys, _ for -; all but --accept-clock
    #[arg(long, env = "CREDITD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Know a request_id for at least so many hours, 72 to 8760 [default: 72]
    #[arg(long, env = "CREDITD_REQUEST_ID_HOURS", value_name = "HOURS")]
    request_id_hours: Option<u32>,
    /// Know the request_id of a Grant, Refund or RevokeGrant for at least so many days,
    /// 90 to 3650 [default: 90]
    #[arg(long, env = "CREDITD_REQUEST_ID_DAYS_CREDITS", value_name = "DAYS")]
    request_id_days_credits: Option<u32>,
    /// Memory for finding request_ids, 2 bytes each; beyond it the oldest ones are looked up
    /// in the file, which is slower [default: 256]
    #[arg(long, env = "CREDITD_REQUEST_ID_MEMORY_MIB_MAX", value_name = "MIB")]
    request_id_memory_mib_max: Option<usize>,
    /// Most accounts in memory, a large one counting as several; the others are read from
    /// the file when they are needed [default: 200000]
    #[arg(long, env = "CREDITD_ACCOUNTS_IN_MEMORY_MAX", value_name = "N")]
    accounts_in_memory_max: Option<usize>,
    /// Believe a clock that jumped, where it is within a day of TIME, such as
    /// 2027-01-31T12:00:00Z; for one start, see docs/clock.md
    #[arg(long, env = "CREDITD_ACCEPT_CLOCK", value_name = "TIME", value_parser = accept_clock)]
    accept_clock: Option<Timestamp>,
    /// Most balances that are watched; more are refused with UNAVAILABLE [default: 1024]
    #[arg(long, env = "CREDITD_WATCHERS_MAX", value_name = "N")]
    watchers_max: Option<usize>,
    /// Threads that serve [default: one a core]
    #[arg(long, env = "CREDITD_THREADS", value_name = "N")]
    threads: Option<usize>,
    /// Most calls in flight; more are refused with UNAVAILABLE [default: 8192]
    #[arg(long, env = "CREDITD_CALLS_MAX", value_name = "N")]
    calls_max: Option<usize>,
    /// Most connections; more are closed [default: 4096]
    #[arg(long, env = "CREDITD_CONNECTIONS_MAX", value_name = "N")]
    connections_max: Option<usize>,
    /// Longest that a call may take, whatever deadline it brings [default: 30000]
    #[arg(long, env = "CREDITD_DEADLINE_MS_MAX", value_name = "MS")]
    deadline_ms_max: Option<u64>,
    /// How long calls in flight may go on after the signal to stop [default: 10000]
    #[arg(long, env = "CREDITD_DRAIN_MS_MAX", value_name = "MS")]
    drain_ms_max: Option<u64>,
    /// Log successful calls too; refusals are always logged
    #[arg(long, env = "CREDITD_LOG_CALLS", num_args = 0..=1, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new(), value_name = "BOOL")]
    log_calls: Option<bool>,
    /// How the log is written to standard error [default: human]
    #[arg(long, env = "CREDITD_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// What is logged: error, warn, info, debug, trace [default: info]
    #[arg(long, env = "CREDITD_LOG_LEVEL", value_name = "LEVEL")]
    log_level: Option<String>,
}

fn accept_clock(text: &str) -> Result<Timestamp, String> {
    rfc3339::parse(text).ok_or_else(|| "write it like 2027-01-31T12:00:00Z".to_owned())
}

/// Serves until told to stop.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let file = match &args.config {
        Some(path) => {
            Options::from_file(path).map_err(|error| Failure::usage(error.to_string()))?
        }
        None => Options::default(),
    };
    let options = Options {
        listen: args.listen,
        listen_unix: args.listen_unix,
        data: args.data,
        rate_cards: rate_card_files(args.rate_card_files),
        revision_age_days_max: args.revision_age_days_max,
        accept_clock: args.accept_clock,
        request_id_hours: args.request_id_hours,
        request_id_days_credits: args.request_id_days_credits,
        request_id_memory_mib_max: args.request_id_memory_mib_max,
        accounts_in_memory_max: args.accounts_in_memory_max,
        watchers_max: args.watchers_max,
        threads: args.threads,
        calls_max: args.calls_max,
        connections_max: args.connections_max,
        deadline_ms_max: args.deadline_ms_max,
        drain_ms_max: args.drain_ms_max,
        log_calls: args.log_calls,
        log_format: args.log_format,
        log_level: args.log_level,
    };
    let config = options
        .over(file)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let _log = telemetry::start(config.log_format, &config.log_level).map_err(Failure::usage)?;
    server::run(&config).map_err(|error| error.to_string().into())
}

/// Files of rate cards: those that are named, or those of the variable's older name.
fn rate_card_files(named: Vec<PathBuf>) -> Vec<PathBuf> {
    if !named.is_empty() {
        return named;
    }
    let text = std::env::var("CREDITD_RATE_CARD").unwrap_or_default();
    let files = text.split(',').filter(|file| !file.is_empty());
    files.map(PathBuf::from).collect()
}
