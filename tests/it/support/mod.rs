//! What the tests share.

pub mod authority;
pub mod books;
pub mod call;
pub mod clocks;
pub mod disk;
pub mod frames;
pub mod health;
/// HTTP/1, as Prometheus and probes speak it.
pub mod http;
pub mod ids;
pub mod implied;
pub mod keys;
pub mod large_cards;
pub mod load;
pub mod memory;
pub mod outcome;
pub mod random;
pub mod rate_cards;
pub mod raw;
pub mod refusal;
pub mod requests;
pub mod server;
pub mod shim;
pub mod table;
pub mod unread;
pub mod violations;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use creditd::domain::Timestamp;
use creditd::domain::pricing::PriceContext;
use creditd::rpc::pb::creditd::v1 as pb;

/// The longest that anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A path below the project's root.
pub fn root(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Asks again until the answer is yes, for as long as patience lasts.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// "31s" or "x4" or "-".
pub fn quantity(text: &str) -> Option<pb::usage::Quantity> {
    if text == "-" {
        return None;
    }
    if let Some(count) = text.strip_prefix('x') {
        return Some(pb::usage::Quantity::Count(count.parse().unwrap()));
    }
    let seconds = text.strip_suffix('s').unwrap();
    let negative = seconds.starts_with('-');
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let sign = if negative { -1 } else { 1 };
    let nanos: i32 = format!("{fraction:0<9}").parse().unwrap();
    Some(pb::usage::Quantity::Duration(prost_types::Duration {
        seconds: whole.parse().unwrap(),
        nanos: sign * nanos,
    }))
}

/// A usage of a service, the quantity as in the tables.
pub fn usage(service: &str, text: &str) -> pb::Usage {
    pb::Usage {
        service: service.to_owned(),
        quantity: quantity(text),
        ..pb::Usage::default()
    }
}

/// A request to price it.
pub fn estimate(service: &str, text: &str) -> pb::EstimateRequest {
    pb::EstimateRequest {
        usage: Some(usage(service, text)),
        ..pb::EstimateRequest::default()
    }
}

/// A request for credits.
pub fn grant(request_id: &str, account: &str, credits: &str) -> pb::GrantRequest {
    pb::GrantRequest {
        request_id: request_id.to_owned(),
        account: account.to_owned(),
        credits: credits.to_owned(),
        ..pb::GrantRequest::default()
    }
}

/// A request for a balance.
pub fn balance(account: &str) -> pb::GetBalanceRequest {
    pb::GetBalanceRequest {
        account: account.to_owned(),
        as_of: None,
    }
}

/// Prices for no account, where no attribute depends on the time.
pub const NO_ACCOUNT: PriceContext<'static> = PriceContext::at(Timestamp::MIN);
