//! Calls that move credits, as values: sent, sent again, and compared.

use creditd::rpc::pb::creditd::v1 as pb;
use tonic::{Code, Response, Status};

use super::PATIENCE;
use super::books::Ledger;
use super::refusal::Refusal;

/// A call with a request_id, or a batch of them.
#[derive(Clone, Debug)]
pub enum Call {
    Grant(pb::GrantRequest),
    Revoke(pb::RevokeGrantRequest),
    Charge(pb::ChargeRequest),
    Batch(pb::BatchChargeRequest),
    Refund(pb::RefundRequest),
    Hold(pb::HoldRequest),
    Extend(pb::ExtendHoldRequest),
    Settle(pb::SettleHoldRequest),
    Release(pb::ReleaseHoldRequest),
}

/// What is answered to one request_id, with `replayed` taken off.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a test keeps one at a time")]
pub enum Answer {
    Grant(pb::GrantResponse),
    Revoke(pb::RevokeGrantResponse),
    Charge(pb::ChargeResponse),
    Refund(pb::RefundResponse),
    Hold(pb::HoldResponse),
    Extend(pb::ExtendHoldResponse),
    Settle(pb::SettleHoldResponse),
    Release(pb::ReleaseHoldResponse),
}

/// What a caller knows of one request_id after a call.
#[derive(Clone, Debug)]
pub enum Outcome {
    Done {
        answer: Box<Answer>,
        replayed: bool,
    },
    Refused(Refusal),
    /// STORE_UNAVAILABLE: it may have moved.
    NotKept(Refusal),
    /// The connection ended: it may have moved.
    Lost(Status),
}

impl Answer {
    /// The entry, where the answer has one.
    pub fn entry(&self) -> Option<&pb::Entry> {
        match self {
            Self::Grant(reply) => reply.entry.as_ref(),
            Self::Revoke(reply) => reply.entry.as_ref(),
            Self::Charge(reply) => reply.entry.as_ref(),
            Self::Refund(reply) => reply.entry.as_ref(),
            Self::Settle(reply) => reply.entry.as_ref(),
            Self::Hold(_) | Self::Extend(_) | Self::Release(_) => None,
        }
    }

    /// The hold, where the answer has one.
    pub fn hold(&self) -> Option<&pb::HoldState> {
        match self {
            Self::Hold(reply) => reply.hold.as_ref(),
            Self::Extend(reply) => reply.hold.as_ref(),
            Self::Settle(reply) => reply.hold.as_ref(),
            Self::Release(reply) => reply.hold.as_ref(),
            _ => None,
        }
    }
}

impl Outcome {
    fn of_status(status: Status) -> Self {
        // What no server said has no details.
        if status.details().is_empty() {
            return Self::Lost(status);
        }
        Self::of_refusal(Refusal::of(&status))
    }

    fn of_refusal(refusal: Refusal) -> Self {
        if refusal.reason == "STORE_UNAVAILABLE" {
            assert_eq!(refusal.code, Code::Unavailable, "{refusal:?}");
            return Self::NotKept(refusal);
        }
        Self::Refused(refusal)
    }

    /// The reason, for tables.
    pub fn reason(&self) -> &str {
        match self {
            Self::Done { replayed: true, .. } => "REPLAYED",
            Self::Done { .. } => "OK",
            Self::Refused(refusal) | Self::NotKept(refusal) => &refusal.reason,
            Self::Lost(_) => "LOST",
        }
    }

    /// The answer of a call that must have been answered.
    #[track_caller]
    pub fn done(self) -> Answer {
        match self {
            Self::Done { answer, .. } => *answer,
            other => panic!("{other:?}"),
        }
    }
}

/// What an answer says, `replayed` apart.
macro_rules! done {
    ($reply:expr, $verb:ident) => {{
        let mut reply = $reply;
        let replayed = std::mem::take(&mut reply.replayed);
        let answer = Box::new(Answer::$verb(reply));
        Outcome::Done { answer, replayed }
    }};
}
/// One outcome of a call with one request_id.
macro_rules! single {
    ($ledger:expr, $method:ident, $request:expr, $verb:ident) => {
        vec![match $ledger.$method($request.clone()).await {
            Ok(reply) => done!(reply.into_inner(), $verb),
            Err(status) => Outcome::of_status(status),
        }]
    };
}

impl Call {
    /// Sends it, and says what became of each of its request_ids.
    pub async fn send(&self, ledger: &mut Ledger) -> Vec<Outcome> {
        let sent = tokio::time::timeout(PATIENCE, self.send_unbounded(ledger));
        sent.await.expect("answered within a bound")
    }

    async fn send_unbounded(&self, ledger: &mut Ledger) -> Vec<Outcome> {
        match self {
            Self::Grant(request) => single!(ledger, grant, request, Grant),
            Self::Revoke(request) => single!(ledger, revoke_grant, request, Revoke),
            Self::Charge(request) => single!(ledger, charge, request, Charge),
            Self::Refund(request) => single!(ledger, refund, request, Refund),
            Self::Hold(request) => single!(ledger, hold, request, Hold),
            Self::Extend(request) => single!(ledger, extend_hold, request, Extend),
            Self::Settle(request) => single!(ledger, settle_hold, request, Settle),
            Self::Release(request) => single!(ledger, release_hold, request, Release),
            Self::Batch(request) => {
                let items = request.charges.len();
                of_batch(items, ledger.batch_charge(request.clone()).await)
            }
        }
    }

    /// Account and request_id of each move that it asks for.
    pub fn requests(&self) -> Vec<(&str, &str)> {
        let (account, request_id) = match self {
            Self::Grant(call) => (&call.account, &call.request_id),
            Self::Revoke(call) => (&call.account, &call.request_id),
            Self::Charge(call) => (&call.account, &call.request_id),
            Self::Refund(call) => (&call.account, &call.request_id),
            Self::Hold(call) => (&call.account, &call.request_id),
            Self::Extend(call) => (&call.account, &call.request_id),
            Self::Settle(call) => (&call.account, &call.request_id),
            Self::Release(call) => (&call.account, &call.request_id),
            Self::Batch(call) => {
                let items = call.charges.iter();
                return items
                    .map(|item| (item.account.as_str(), item.request_id.as_str()))
                    .collect();
            }
        };
        vec![(account, request_id)]
    }
}

fn of_batch(
    items: usize,
    outcome: Result<Response<pb::BatchChargeResponse>, Status>,
) -> Vec<Outcome> {
    use pb::batch_charge_result::Result as Item;
    let reply = match outcome {
        Ok(reply) => reply.into_inner(),
        Err(status) => {
            let whole = Outcome::of_status(status);
            assert!(!matches!(whole, Outcome::Refused(_)), "{whole:?}");
            return vec![whole; items];
        }
    };
    assert_eq!(reply.results.len(), items);
    let failed = i32::try_from(
        (reply.results.iter())
            .filter(|item| matches!(item.result, Some(Item::Error(_))))
            .count(),
    );
    assert_eq!(failed, Ok(reply.failed_count));
    let outcomes = reply.results.into_iter().map(|item| match item.result {
        Some(Item::Charge(reply)) => done!(reply, Charge),
        Some(Item::Error(status)) => Outcome::of_refusal(Refusal::of_pb(&status)),
        None => panic!("an item without a result"),
    });
    outcomes.collect()
}

/// Sends calls at the same time, call N over connection N modulo their number;
/// the outcomes are in the order of the calls.
pub async fn at_once(connections: &[Ledger], calls: Vec<Call>) -> Vec<Vec<Outcome>> {
    let start = std::sync::Arc::new(tokio::sync::Barrier::new(calls.len()));
    let tasks: Vec<_> = (calls.into_iter().zip(connections.iter().cycle().cloned()))
        .map(|(call, mut ledger)| {
            let start = std::sync::Arc::clone(&start);
            tokio::spawn(async move {
                start.wait().await;
                call.send(&mut ledger).await
            })
        })
        .collect();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}

/// How often each reason is among the outcomes: "OK" 6, "INSUFFICIENT_CREDITS" 14.
pub fn tally<'a>(
    outcomes: impl IntoIterator<Item = &'a Outcome>,
) -> std::collections::BTreeMap<String, usize> {
    let mut tally = std::collections::BTreeMap::new();
    for outcome in outcomes {
        *tally.entry(outcome.reason().to_owned()).or_default() += 1;
    }
    tally
}
