//! Calls of a server that may fail or end meanwhile, and what became of them.

use tonic::{Code, Status};

use super::PATIENCE;
use super::books::Ledger;
use super::call::{Call, Reply};
use super::refusal::Refusal;

/// What a caller knows of one request_id after a call.
#[derive(Clone, Debug)]
pub enum Outcome {
    Done {
        /// With `replayed` taken off.
        answer: Box<Reply>,
        replayed: bool,
    },
    Refused(Refusal),
    /// STORE_UNAVAILABLE: it may have moved.
    NotKept(Refusal),
    /// The connection ended: it may have moved.
    Lost(Status),
}

impl Outcome {
    fn of_reply(mut reply: Reply) -> Self {
        let replayed = std::mem::take(&mut reply.replayed);
        let answer = Box::new(reply);
        Self::Done { answer, replayed }
    }

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
    pub fn done(self) -> Reply {
        match self {
            Self::Done { answer, .. } => *answer,
            other => panic!("{other:?}"),
        }
    }
}

impl Call {
    /// Sends it, and says what became of each of its request_ids.
    pub async fn outcomes(&self, ledger: &mut Ledger) -> Vec<Outcome> {
        let sent = tokio::time::timeout(PATIENCE, self.clone().send(ledger));
        match sent.await.expect("answered within a bound") {
            Ok(reply) if self.is_write() => vec![Outcome::of_reply(reply)],
            Ok(reply) => of_batch(reply, self.keys().len()),
            Err(status) => {
                let whole = Outcome::of_status(status);
                let refused = matches!(whole, Outcome::Refused(_));
                assert!(self.is_write() || !refused, "{whole:?}");
                vec![whole; self.keys().len()]
            }
        }
    }
}

fn of_batch(reply: Reply, items: usize) -> Vec<Outcome> {
    let results = reply.results.0;
    assert_eq!(results.len(), items);
    let failed = results.iter().filter(|item| item.is_err()).count();
    assert_eq!(i32::try_from(failed).ok(), reply.failed_count);
    let outcomes = results.into_iter().map(|item| match item {
        Ok(reply) => Outcome::of_reply(reply),
        Err(refusal) => Outcome::of_refusal(refusal),
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
                call.outcomes(&mut ledger).await
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
