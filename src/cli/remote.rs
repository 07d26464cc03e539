//! What the subcommands that call a running server share.

use tonic::transport::Channel;
use tonic::{Response, Status};

use super::output::More;
use crate::rpc::client::{self, root_cause};
use crate::rpc::pb::creditd::v1::ErrorReason;
use crate::rpc::pb::creditd::v1::ledger_service_client::LedgerServiceClient;
use crate::rpc::refused::{error_info, reason_name};

/// A client of the ledger.
pub(super) type Ledger = LedgerServiceClient<Channel>;

/// Which server to call.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Remote {
    /// Server to call: host and port, or unix: and the path of a socket
    #[arg(
        long,
        env = "CREDITD_ADDR",
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:50051"
    )]
    pub(super) addr: String,
}

impl Remote {
    /// One call that reads; the account is for the words of a refusal.
    pub(super) fn read<R>(
        &self,
        account: &str,
        call: impl AsyncFnOnce(&mut Ledger) -> Result<Response<R>, Status>,
    ) -> Result<R, String> {
        block_on(async {
            let mut ledger = client::ledger(&self.addr).await?;
            let reply = call(&mut ledger).await;
            reply
                .map(Response::into_inner)
                .map_err(|status| in_words(account, &status))
        })
    }

    /// One call that writes. Where it fails, its request_id is told, so that it can
    /// be sent again.
    pub(super) fn write<R>(
        &self,
        account: &str,
        request_id: &str,
        call: impl AsyncFnOnce(&mut Ledger) -> Result<Response<R>, Status>,
    ) -> Result<R, String> {
        block_on(async {
            let mut ledger = client::ledger(&self.addr).await?;
            let reply = call(&mut ledger).await;
            reply.map(Response::into_inner).map_err(|status| {
                let words = in_words(account, &status);
                if may_have_moved(&status) {
                    format!("{words}; it may have been done: run it again with --request-id {request_id}, and it is done once")
                } else {
                    format!("{words}; the request_id was {request_id}")
                }
            })
        })
    }

    /// Reads a list page by page, until it ends or `each` has enough. `fetch` is handed
    /// a page's token and answers its items and the token of the next.
    pub(super) fn pages<T>(
        &self,
        account: &str,
        mut fetch: impl AsyncFnMut(&mut Ledger, String) -> Result<(Vec<T>, String), Status>,
        mut each: impl FnMut(T) -> Result<More, String>,
    ) -> Result<(), String> {
        block_on(async {
            let mut ledger = client::ledger(&self.addr).await?;
            let mut token = String::new();
            loop {
                let page = fetch(&mut ledger, token).await;
                let (items, next) = page.map_err(|status| in_words(account, &status))?;
                for item in items {
                    if each(item)? == More::Enough {
                        return Ok(());
                    }
                }
                if next.is_empty() {
                    return Ok(());
                }
                token = next;
            }
        })
    }
}

/// Runs calls to a server to their end.
pub(super) fn block_on<T>(calls: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?
        .block_on(calls)
}

/// What a server refused, on one line: its words, the reason, and what to type next
/// where the API's words do not say it.
pub(super) fn in_words(account: &str, status: &Status) -> String {
    let Some(info) = error_info(status.details()) else {
        // No server of ours said this: the connection or what stands between did.
        let cause = match std::error::Error::source(status) {
            Some(_) => root_cause(status),
            None => status.message().to_owned(),
        };
        return format!("the call broke off: {cause} ({:?})", status.code());
    };
    let hint = hint(&info.reason, account).map_or_else(String::new, |hint| format!("; {hint}"));
    format!("{} ({}){hint}", status.message(), info.reason)
}

fn hint(reason: &str, account: &str) -> Option<String> {
    let is = |known: ErrorReason| reason == reason_name(known);
    if is(ErrorReason::HoldNotFound) {
        Some(format!(
            "\"creditd holds {account}\" lists those that are open"
        ))
    } else if is(ErrorReason::EntryNotFound) {
        Some(format!("\"creditd entries {account}\" lists them"))
    } else if is(ErrorReason::GrantNotFound) {
        Some(format!(
            "\"creditd balance {account}\" lists those that are live"
        ))
    } else if is(ErrorReason::HoldExceeded) {
        Some("here that is --overage from-available".to_owned())
    } else {
        None
    }
}

/// Whether a write that failed so may have moved credits all the same.
fn may_have_moved(status: &Status) -> bool {
    let unknown = [
        ErrorReason::DeadlineExceeded,
        ErrorReason::StoreUnavailable,
        ErrorReason::Internal,
    ];
    error_info(status.details()).is_none_or(|info| {
        unknown
            .iter()
            .any(|reason| info.reason == reason_name(*reason))
    })
}

/// A time of a reply, as people read it; "never" where there is none.
pub(super) fn time_text(time: Option<&prost_types::Timestamp>) -> String {
    time.and_then(|time| crate::rpc::convert::timestamp_from_pb(time).ok())
        .map_or_else(|| "never".to_owned(), crate::rfc3339::format)
}

/// A value of an enum of the API as people read it: without the prefix that all its
/// names have, or as a number where this program is older than the server.
pub(super) fn short(name: &str, prefix: &str, number: i32) -> String {
    name.strip_prefix(prefix)
        .map_or_else(|| number.to_string(), str::to_owned)
}
