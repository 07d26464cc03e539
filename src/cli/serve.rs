//! `creditd serve`: options, log, signals and banner around a [`Server`].

use std::io::{IsTerminal as _, Write};
use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::SignalStream;

use super::failure::Failure;
use crate::app::token::{ADMIN_TOKEN_BYTES_MIN, TOKEN_BYTES_MAX, Token};
use crate::server::{Config, LogFormat, Options, Server, Signal, telemetry};

const EXAMPLES: &str = "Examples:
  creditd serve
  creditd serve --listen 127.0.0.1:6000 --data /var/lib/creditd/creditd.db
  creditd serve --rate-card-file prices-2026.toml --rate-card-file prices-2027.toml
  CREDITD_LOG_FORMAT=json creditd serve --config /etc/creditd.toml

What is given on the command line or in the environment wins over --config, which wins
over the defaults. SIGTERM and SIGINT stop the server: health turns NOT_SERVING, calls in
flight finish within --drain-ms-max, and the data file is closed. SIGHUP reads the rate
cards again, and the [[client]] of --config.";

/// Serve prices and balances over gRPC
///
/// Without any option: the built-in JoggAI card, on 127.0.0.1:50051, with credits kept in
/// ./creditd.db. Only this machine can reach it, until --listen says otherwise. It asks who
/// calls as soon as there is a key: one that it is started with, or one that was created.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    options: Options,
    /// TOML file with these options as keys, _ for -; all but --accept-clock
    #[arg(long, env = "CREDITD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Serves until told to stop.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let usage = |error: crate::server::ConfigError| Failure::usage(error.to_string());
    let file = match &args.config {
        Some(path) => Options::from_file(path).map_err(usage)?,
        None => Options::default(),
    };
    let mut options = args.options;
    options.rate_cards = rate_card_files(options.rate_cards);
    let mut config = options.over(file).map_err(usage)?;
    config.admin_key = admin_key()?;
    let _log = telemetry::start(config.log_format, &config.log_level).map_err(Failure::usage)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .thread_name("server-blocking")
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime for the listener: {error}"))?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> Result<(), Failure> {
    let catch = |kind| {
        let caught = signal(kind).map(SignalStream::new);
        caught.map_err(|error| format!("signals cannot be caught: {error}"))
    };
    // First of all SIGHUP, by which the system would end the process: cards that change
    // while the server starts are read again as soon as it runs.
    let hangup = catch(SignalKind::hangup())?;
    let log_format = config.log_format;
    let server = Server::bind(config)
        .await
        .map_err(|error| error.to_string())?;
    // Caught before anybody is told that the server runs.
    let terminate = catch(SignalKind::terminate())?;
    let interrupt = catch(SignalKind::interrupt())?;
    let signals = hangup
        .map(|()| Signal::Reload)
        .merge(terminate.map(|()| Signal::Stop("SIGTERM")))
        .merge(interrupt.map(|()| Signal::Stop("SIGINT")));
    print(&server.banner(), log_format);
    let served = server.run(signals).await;
    served.map_err(|error| error.to_string())?;
    Ok(())
}

/// Prints the banner: on standard output where that is a terminal, and on standard error
/// where a program reads along, so that a pipe from standard output never fills up. Beside
/// a log in JSON it is a line of it. Where nobody can read it, that is no reason not to
/// serve.
fn print(banner: &str, log_format: LogFormat) {
    let put = |out: &mut dyn Write| out.write_all(banner.as_bytes()).and_then(|()| out.flush());
    let to_terminal = log_format == LogFormat::Human && std::io::stdout().is_terminal();
    let _ = match to_terminal {
        true => put(&mut std::io::stdout().lock()),
        false => put(&mut std::io::stderr().lock()),
    };
}

/// The key that is given by the environment: an option would be in every list of processes.
fn admin_key() -> Result<Option<Token>, Failure> {
    // One that is empty was meant to be one: without it anybody would be let in.
    let Some(text) = std::env::var_os("CREDITD_ADMIN_KEY") else {
        return Ok(None);
    };
    let key = text.to_str().and_then(Token::of_admin);
    let key = key.ok_or_else(|| {
        Failure::usage(format!(
            "CREDITD_ADMIN_KEY is set and is no key: leave it out, or give {ADMIN_TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} characters without spaces, such as \"openssl rand -hex 32\" prints"
        ))
    })?;
    Ok(Some(key))
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
