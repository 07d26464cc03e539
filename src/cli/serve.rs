//! `creditd serve`: options, log, signals and banner around a [`Server`].

use std::io::{IsTerminal as _, Write};
use std::sync::mpsc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::SignalStream;

use super::config::{ConfigArgs, load};
use super::failure::Failure;
use crate::server::{
    self, Config, LogFormat, LogLevel, Server, Signal, StartError, Supervisor, telemetry,
};

const EXAMPLES: &str = "Examples:
  creditd serve
  creditd serve --listen 127.0.0.1:6000 --data /var/lib/creditd/creditd.db
  creditd serve --rate-card-file prices-2026.toml --rate-card-file prices-2027.toml
  CREDITD_LOG_FORMAT=json creditd serve --config /etc/creditd.toml

What is given on the command line or in the environment wins over --config, which wins
over the defaults. SIGTERM and SIGINT stop the server: health turns NOT_SERVING, calls in
flight finish within --drain-ms-max, and the data file is closed. SIGHUP, like \"creditd
reload\", reads --config again, and the rate cards, certificates and keys that it names:
all of that is taken, or nothing. \"creditd config print\" shows what a server would take.";

/// How long the start waits for whoever reads the banner.
const BANNER_WAIT_MAX: Duration = Duration::from_secs(1);

/// Serve prices and balances over gRPC
///
/// Without any option: the built-in JoggAI card, on 127.0.0.1:50051, with credits kept in
/// ./creditd.db. Only this machine can reach it, until --listen says otherwise. It asks who
/// calls as soon as there is a key: one that it is started with, or one that was created.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Serves until told to stop.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let config = load(args.config)?;
    let (_log, level) =
        telemetry::start(config.log_format, &config.log_level).map_err(Failure::usage)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .thread_name("server-blocking")
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime for the listener: {error}"))?;
    runtime.block_on(serve(config, level))
}

async fn serve(config: Config, level: LogLevel) -> Result<(), Failure> {
    let catch = |kind| {
        let caught = signal(kind).map(SignalStream::new);
        caught.map_err(|error| format!("signals cannot be caught: {error}"))
    };
    // First of all SIGHUP, by which the system would end the process: cards that change
    // while the server starts are read again as soon as it runs.
    let hangup = catch(SignalKind::hangup())?;
    let (log_format, again) = (config.log_format, config.clone());
    let supervisor = Supervisor::of_process();
    let bound = tokio::select! {
        bound = Server::bind(config) => bound,
        // A migration takes as long as it takes.
        never = supervisor.extend() => match never {},
    };
    let server = bound.map_err(|error| all_problems(&error, &again))?;
    let server = server.with_log_level(level).with_supervisor(supervisor);
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

/// Why a server did not start, and what else is wrong with what its configuration names.
fn all_problems(error: &StartError, config: &Config) -> String {
    let first = error.to_string();
    if !error.is_of_inputs() {
        return first;
    }
    let named = server::one_line(&first);
    let others = server::check(config).problems.into_iter();
    let others = others.filter(|problem| *problem != named);
    std::iter::once(first)
        .chain(others)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Prints the banner: on standard output where that is a terminal, and on standard error
/// where a program reads along, so that a pipe from standard output never fills up. Beside
/// a log in JSON it is a line of it. Where nobody can read it, that is no reason not to
/// serve.
fn print(banner: &str, log_format: LogFormat) {
    // systemd sets it: in its journal nobody types what there is to try.
    let banner = match std::env::var_os("INVOCATION_ID") {
        Some(_) => banner
            .split_inclusive("\n\n")
            .next()
            .unwrap_or_default()
            .trim_end(),
        None => banner.trim_end(),
    };
    let banner = format!("{banner}\n");
    let to_terminal = log_format == LogFormat::Human && std::io::stdout().is_terminal();
    let (done, written) = mpsc::channel();
    let put = move || {
        let put = |out: &mut dyn Write| out.write_all(banner.as_bytes()).and_then(|()| out.flush());
        let _ = done.send(match to_terminal {
            true => put(&mut std::io::stdout().lock()),
            false => put(&mut std::io::stderr().lock()),
        });
    };
    // Where nobody reads, the thread waits for ever, and the server serves.
    if std::thread::Builder::new().spawn(put).is_ok() {
        let _ = written.recv_timeout(BANNER_WAIT_MAX);
    }
}
