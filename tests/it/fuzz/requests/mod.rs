//! Requests through the whole service: calls of every method, framed and cut in every way, with
//! any metadata. Each has one status and a reason for its refusal, none is a defect, what was
//! answered is answered again, a key that is bound to accounts sees no other, and the ledger adds
//! up afterwards.

pub mod answer;
mod body;
pub mod call;
mod invariants;
pub mod service;

use std::sync::Arc;
use std::time::Duration;

use creditd::app::access::Authentication;
use creditd::rpc::method::{self, Kind, Repeat};
use creditd::server::files::audit;
use creditd::store::Clock;
use creditd::store::sqlite::{SqliteSettings, SqliteStore};
use prost_reflect::DynamicMessage;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use self::answer::{Answer, accounts, flag, request_of, without_times};
use self::call::{Call, Framing};
use self::service::{FixedClock, Service, Stores, WithKey, beginning};
use super::input::Input;
use crate::support::keys::MemoryKeys;
use crate::support::memory::MemoryStore;
use crate::support::rate_cards::MemoryRateCards;
use crate::support::refusal::Refusal;

/// Longest that a call may take: nothing here waits.
const CALL_TIME_MAX: Duration = Duration::from_secs(20);
/// Calls of one input that are made.
const CALLS_MAX: usize = 24;

/// The first byte of an input: callers need keys.
pub const WITH_KEYS: u8 = 1;
/// Callers may ask for the schema, where all of these are set. To build what answers them takes
/// longer than many calls, so most inputs of a fuzzer are without.
pub const WITH_REFLECTION: u8 = 0b1110;

/// How a call ended.
pub type Outcome = Result<Option<DynamicMessage>, Refusal>;

/// Over a ledger in memory.
pub fn run(bytes: &[u8]) {
    outcomes(bytes);
}

/// The same; how each call ended.
pub fn outcomes(bytes: &[u8]) -> Vec<(&'static str, Outcome)> {
    let clock = Arc::new(FixedClock::at(beginning()));
    let stores = Stores {
        ledger: Arc::new(MemoryStore::new(clock.clone())),
        cards: Arc::new(MemoryRateCards::default()),
        keys: Arc::new(MemoryKeys::default()),
    };
    runtime().block_on(async { calls(Input::new(bytes), stores, clock).await })
}

/// Over a data file, which is sound afterwards and answers as the ledger in memory does.
pub fn run_on_disk(bytes: &[u8]) {
    let directory = TempDir::new_in("/dev/shm").unwrap_or_else(|_| TempDir::new().unwrap());
    let data = directory.path().join("creditd.db");
    let clock = Arc::new(FixedClock::at(beginning()));
    let times: Arc<dyn Clock> = clock.clone();
    let store = Arc::new(SqliteStore::open(&data, times, SqliteSettings::default()).unwrap());
    let stores = Stores {
        ledger: store.clone(),
        cards: store.clone(),
        keys: store,
    };
    let on_disk = runtime().block_on(async { calls(Input::new(bytes), stores, clock).await });
    compare(&on_disk, &outcomes(bytes));
    let report = audit(&data, &mut |_, _| {}).unwrap();
    assert!(report.is_sound(), "{:#?}", report.findings);
}

/// Answers about the ledger and about prices are alike over both stores, until prices change: each
/// store has a time of its own for that.
fn compare(on_disk: &[(&str, Outcome)], in_memory: &[(&str, Outcome)]) {
    assert_eq!(on_disk.len(), in_memory.len());
    for ((path, on_disk), (_, in_memory)) in on_disk.iter().zip(in_memory) {
        if path.ends_with("RateCard") && path.contains("Admin") {
            return;
        }
        if !path.contains(".LedgerService/") && !path.contains(".PricingService/") {
            continue;
        }
        match (on_disk, in_memory) {
            (Ok(one), Ok(other)) => {
                let plain = |reply: &Option<DynamicMessage>| reply.clone().map(without_times);
                assert_eq!(plain(one), plain(other), "{path}");
            }
            (Err(one), Err(other)) => {
                assert_eq!(
                    (one.code, &one.reason),
                    (other.code, &other.reason),
                    "{path}"
                );
            }
            _ => panic!("{path}: {on_disk:?} on disk, {in_memory:?} in memory"),
        }
    }
}

fn runtime() -> Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().build().unwrap()
}

async fn calls(
    mut input: Input<'_>,
    stores: Stores,
    clock: Arc<FixedClock>,
) -> Vec<(&'static str, Outcome)> {
    let options = input.byte();
    let with_keys = options & WITH_KEYS != 0;
    let authentication = match with_keys {
        true => Authentication::WhereKnown,
        false => Authentication::Off,
    };
    let with_reflection = options & WITH_REFLECTION == WITH_REFLECTION;
    let service = Service::new(stores, clock, authentication, with_reflection).await;
    let mut outcomes = Vec::new();
    while !input.is_empty() && outcomes.len() < CALLS_MAX {
        let call = Call::read(&mut input);
        service.clock.pass(call.pause);
        let Some((answer, outcome)) = send(&service, &call).await else {
            continue;
        };
        if with_keys {
            check_key(&call, &outcome);
        }
        check_repeated(&service, &call, &answer, &outcome).await;
        outcomes.push((call.path, outcome));
    }
    invariants::check(&service.ledger).await;
    outcomes
}

/// Makes a call; None where HTTP has no such request.
async fn send(service: &Service, call: &Call<'_>) -> Option<(Answer, Outcome)> {
    let request = call.request()?;
    let kind = method::find(call.path).map(|method| method.kind);
    let is_watch = matches!(kind, Some(Kind::BalanceWatch | Kind::HealthWatch));
    let answer = async {
        let response = service.layered.clone().oneshot(request).await.unwrap();
        Answer::read(response, is_watch).await
    };
    let answer = tokio::time::timeout(CALL_TIME_MAX, answer).await;
    let answer = answer.unwrap_or_else(|_| panic!("no answer: {call:?}"));
    let outcome = answer.outcome(call.path);
    Some((answer, outcome))
}

/// Who has no key is let in nowhere, and who is bound to accounts sees no other.
fn check_key(call: &Call<'_>, outcome: &Outcome) {
    let needs_key = method::find(call.path).is_some_and(|method| method.scope.is_some());
    let Ok(Some(reply)) = outcome else {
        return;
    };
    // What the fuzzer itself says in metadata may be another key.
    if !needs_key
        || call
            .headers
            .iter()
            .any(|(name, _)| *name == "authorization")
    {
        return;
    }
    assert!(
        !matches!(call.key, WithKey::Nothing | WithKey::Unknown),
        "{call:?}: {reply:?}"
    );
    if call.key != WithKey::OfTeams {
        return;
    }
    let asked = match call.framing {
        // Items of a batch are refused one by one.
        Framing::Plain | Framing::Gzip if !call.path.contains("Batch") => {
            request_of(call.path, call.message)
        }
        _ => None,
    };
    let named = asked.iter().chain([reply]).flat_map(accounts);
    for account in named {
        assert!(account.starts_with("team-"), "{call:?}: {reply:?}");
    }
}

/// A write that was answered is answered again as a repetition, and prices do not depend on how
/// a request is framed.
async fn check_repeated(service: &Service, call: &Call<'_>, answer: &Answer, outcome: &Outcome) {
    let Some(method) = method::find(call.path) else {
        return;
    };
    if !call.is_repeated || !call.is_ordinary() {
        return;
    }
    let mut again = call.clone();
    if method.service == method::Service::Pricing {
        again.framing = match call.framing {
            Framing::Plain => Framing::Gzip,
            _ => Framing::Plain,
        };
        again.cut = (call.cut + 1) % 4;
    }
    let (second, repeated) = send(service, &again).await.unwrap();
    if method.service == method::Service::Pricing {
        assert_eq!(second.to_compare(), answer.to_compare(), "{call:?}");
    }
    if method.repeat == Repeat::RequestId
        && method.kind == Kind::Unary
        && let Ok(Some(_)) = outcome
    {
        let repeated = repeated.unwrap_or_else(|refusal| panic!("{call:?}: {refusal:?}"));
        assert!(flag(&repeated.unwrap(), "replayed"), "{call:?}");
    }
}
