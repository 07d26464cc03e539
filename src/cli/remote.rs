//! What the subcommands that call a running server share.

use tonic::Status;

use crate::rpc::refused::error_info;

/// Which server to call.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Remote {
    /// Server to call
    #[arg(
        long,
        env = "CREDITD_ADDR",
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:50051"
    )]
    pub(super) addr: String,
}

/// Runs calls to a server to their end.
pub(super) fn block_on<T>(calls: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?
        .block_on(calls)
}

/// What a server refused, on one line.
pub(super) fn in_words(status: &Status) -> String {
    let reason = error_info(status.details()).map(|info| info.reason);
    let reason = reason.unwrap_or_else(|| format!("{:?}", status.code()));
    format!("{} ({reason})", status.message())
}

/// A name for a write that nobody else uses.
pub(super) fn new_request_id() -> Result<String, String> {
    let high = getrandom::u64().map_err(|error| error.to_string())?;
    let low = getrandom::u64().map_err(|error| error.to_string())?;
    Ok(format!("cli-{high:016x}{low:016x}"))
}

/// A time of a reply, as people read it; "never" where there is none.
pub(super) fn time_text(time: Option<&prost_types::Timestamp>) -> String {
    time.and_then(|time| crate::rpc::convert::timestamp_from_pb(time).ok())
        .map_or_else(|| "never".to_owned(), crate::rfc3339::format)
}
