//! Load on a server that may end at any moment, and the account of it: what was
//! sent, what was answered, and what the books must therefore say.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use creditd::rpc::pb::creditd::v1 as pb;
use tokio::task::JoinHandle;

use super::books::{Ledger, amount};
use super::call::{Call, Reply};
use super::implied;
use super::outcome::Outcome;
use super::random::Random;
use super::requests::{
    batch, charge, charge_usage, extend, hold, hold_for, refund, release, settle, update,
};
use super::server::Running;
use super::{grant, usage};

/// Accounts that all connections spend from.
const ACCOUNTS: [&str; 4] = ["team-a", "team-b", "team-c", "team-d"];
const CONNECTIONS: usize = 3;
/// Calls in flight on each connection.
const WORKERS: usize = 4;
/// What may be said to calls that race each other.
const REFUSALS: [&str; 4] = [
    "INSUFFICIENT_CREDITS",
    "HOLD_CLOSED",
    "HOLD_EXCEEDED",
    "REFUND_EXCEEDS_CHARGE",
];

/// A call that was sent, and for each of its request_ids what was answered.
pub struct Record {
    pub call: Call,
    /// Account and request_id of each write.
    pub keys: Vec<(String, String)>,
    pub answers: Vec<Option<Reply>>,
}

/// What was sent to one data file since it was made.
#[derive(Default)]
pub struct Journal {
    records: Vec<Record>,
    rounds: usize,
    pub counts: Counts,
}

/// What a run saw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub sent: usize,
    pub answered: usize,
    /// Sent, and the connection ended before the answer.
    pub lost: usize,
    /// STORE_UNAVAILABLE.
    pub not_kept: usize,
    /// Not answered, and found to have moved.
    pub found: usize,
}

/// Workers at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<(Vec<Record>, Counts)>>,
}

/// What workers tell each other of an account.
#[derive(Default)]
struct Pool {
    holds: Vec<String>,
    /// Charges and settlements.
    spent: Vec<String>,
}

type Pools = Arc<[Mutex<Pool>; ACCOUNTS.len()]>;

impl Record {
    fn new(call: Call) -> Self {
        let keys = call.keys();
        let answers = vec![None; keys.len()];
        Self {
            call,
            keys,
            answers,
        }
    }

    /// Takes what was answered. An answer that was given stays.
    fn note(&mut self, outcomes: Vec<Outcome>, first: bool, counts: &mut Counts) {
        for (known, outcome) in self.answers.iter_mut().zip(outcomes) {
            match (known.as_ref(), outcome) {
                (Some(known), Outcome::Done { answer, replayed }) => {
                    assert!(replayed, "moved twice: {known:?} and {answer:?}");
                    assert_eq!(*known, *answer, "another answer than before");
                }
                (None, Outcome::Done { answer, replayed }) => {
                    assert!(!(first && replayed), "replayed at first: {answer:?}");
                    counts.answered += 1;
                    counts.found += usize::from(replayed);
                    *known = Some(*answer);
                }
                (Some(known), Outcome::Refused(refusal)) => {
                    panic!("answered, then refused: {known:?}, {refusal:?}")
                }
                (None, Outcome::Refused(refusal)) => {
                    let expected = REFUSALS.contains(&refusal.reason.as_str());
                    assert!(expected, "{:?}: {refusal:?}", self.call);
                }
                (_, Outcome::NotKept(_)) => counts.not_kept += 1,
                (_, Outcome::Lost(status)) => {
                    use tonic::Code::{Cancelled, Internal, Unavailable, Unknown};
                    let gone = [Cancelled, Internal, Unavailable, Unknown].contains(&status.code());
                    assert!(gone, "{status:?}");
                    counts.lost += 1;
                }
            }
        }
    }
}

impl Load {
    /// No further calls; those in flight come to their end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Journal {
    /// Opens the accounts.
    pub async fn open(&mut self, server: &Running) {
        let mut ledger = server.ledger().await;
        for account in ACCOUNTS {
            let mut record = Record::new(Call::Grant(grant("open", account, "100")));
            let outcomes = record.call.outcomes(&mut ledger).await;
            record.note(outcomes, true, &mut self.counts);
            assert!(record.answers[0].is_some());
            self.records.push(record);
        }
    }

    pub async fn start(&mut self, server: &Running, random: &mut Random) -> Load {
        self.rounds += 1;
        let pools = self.pools();
        let stop = Arc::new(AtomicBool::new(false));
        let mut workers = Vec::new();
        for connection in 0..CONNECTIONS {
            let ledger = server.ledger().await;
            for worker in 0..WORKERS {
                let worker = Worker {
                    name: format!("{}-{}", self.rounds, connection * WORKERS + worker),
                    random: random.fork(),
                    pools: Arc::clone(&pools),
                    ledger: ledger.clone(),
                    stop: Arc::clone(&stop),
                };
                workers.push(tokio::spawn(worker.run()));
            }
        }
        Load { stop, workers }
    }

    /// Waits for the workers, and takes over what they did.
    pub async fn finish(&mut self, load: Load) {
        for worker in load.workers {
            let (records, counts) = worker.await.unwrap();
            self.records.extend(records);
            self.counts.sent += counts.sent;
            self.counts.answered += counts.answered;
            self.counts.lost += counts.lost;
            self.counts.not_kept += counts.not_kept;
        }
    }

    /// Sends again all that was ever sent. Now every call has to be answered or
    /// refused, and what was answered before is answered alike.
    pub async fn retry(&mut self, server: &Running) {
        let mut parts: Vec<Vec<Record>> = (0..CONNECTIONS * WORKERS).map(|_| vec![]).collect();
        let turns = parts.len();
        for (n, record) in std::mem::take(&mut self.records).into_iter().enumerate() {
            parts[n % turns].push(record);
        }
        let mut ledgers = Vec::new();
        for _ in 0..CONNECTIONS {
            ledgers.push(server.ledger().await);
        }
        let parts: Vec<_> = (parts.into_iter().zip(ledgers.iter().cycle().cloned()))
            .map(|(mut records, mut ledger)| {
                tokio::spawn(async move {
                    let mut counts = Counts::default();
                    for record in &mut records {
                        let outcomes = record.call.outcomes(&mut ledger).await;
                        record.note(outcomes, false, &mut counts);
                    }
                    (records, counts)
                })
            })
            .collect();
        for part in parts {
            let (records, counts) = part.await.unwrap();
            assert_eq!((counts.lost, counts.not_kept), (0, 0), "it serves again");
            self.records.extend(records);
            self.counts.answered += counts.answered;
            self.counts.found += counts.found;
        }
    }

    /// Every account's books add up, and say what the answers imply. All calls
    /// must have been answered or refused.
    pub async fn verify(&self, server: &Running) {
        implied::verify(&self.records, &mut server.ledger().await).await;
    }

    /// The newest holds and charges, those that are closed among them.
    fn pools(&self) -> Pools {
        let pools = ACCOUNTS.map(|_| Pool::default());
        let pools = Arc::new(pools.map(Mutex::new));
        for record in &self.records {
            share(&pools, record);
        }
        for pool in pools.iter() {
            let mut pool = pool.lock().unwrap();
            let old = pool.holds.len().saturating_sub(100);
            pool.holds.drain(..old);
            let old = pool.spent.len().saturating_sub(100);
            pool.spent.drain(..old);
        }
        pools
    }
}

/// Tells the others what can be settled and refunded.
fn share(pools: &Pools, record: &Record) {
    for ((account, _), answer) in record.keys.iter().zip(&record.answers) {
        let Some(place) = ACCOUNTS.iter().position(|name| name == account) else {
            continue;
        };
        let Some(answer) = answer else {
            continue;
        };
        let mut pool = pools[place].lock().unwrap();
        if let (Call::Hold(_), Some(hold)) = (&record.call, &answer.hold) {
            pool.holds.push(hold.hold_id.clone());
        }
        if let Some(entry) = &answer.entry
            && matches!(entry.kind(), pb::EntryKind::Charge | pb::EntryKind::Settle)
        {
            pool.spent.push(entry.entry_id.clone());
        }
    }
}

struct Worker {
    name: String,
    random: Random,
    pools: Pools,
    ledger: Ledger,
    stop: Arc<AtomicBool>,
}

impl Worker {
    /// Calls one after another, until it is told to stop or the server is gone.
    async fn run(mut self) -> (Vec<Record>, Counts) {
        let mut records = Vec::new();
        let mut counts = Counts::default();
        while !self.stop.load(Ordering::Relaxed) && counts.lost == 0 {
            let id = format!("{}-{}", self.name, records.len());
            let mut record = Record::new(self.next_call(&id));
            counts.sent += record.answers.len();
            let outcomes = record.call.outcomes(&mut self.ledger).await;
            record.note(outcomes, true, &mut counts);
            share(&self.pools, &record);
            records.push(record);
        }
        (records, counts)
    }

    fn next_call(&mut self, id: &str) -> Call {
        let place = self.random.between(0, 3) as usize;
        let account = ACCOUNTS[place];
        let (held, spent) = {
            let pool = self.pools[place].lock().unwrap();
            let held = self.random.pick(&pool.holds).cloned();
            (held, self.random.pick(&pool.spent).cloned())
        };
        let credits = self.credits(4_000_000_000);
        match (self.random.between(1, 100), held, spent) {
            (1..=12, ..) => {
                let credits = self.credits(40_000_000_000);
                Call::Grant(grant(id, account, &credits))
            }
            // An account of its own, so that accounts are opened at every moment.
            (13..=14, ..) => Call::Grant(grant(id, &format!("own-{id}"), &credits)),
            (15, ..) => Call::UpdateAccount(self.update(id, account)),
            (16..=22, ..) => {
                let items = (0..self.random.between(1, 8)).map(|item| {
                    let account = ACCOUNTS[self.random.between(0, 3) as usize];
                    self.charge(&format!("{id}-{item}"), account)
                });
                Call::BatchCharge(batch(items.collect()))
            }
            (23..=40, ..) => Call::Hold(match self.random.between(1, 4) {
                // It ends by itself, whether somebody looks or not.
                1 => hold_for(id, account, &credits, self.random.between(1, 400)),
                _ => hold(id, account, &credits),
            }),
            (41..=55, Some(held), _) => Call::SettleHold(pb::SettleHoldRequest {
                keep_open: self.random.between(1, 3) == 1,
                overage: self.random.between(0, 2) as i32,
                ..settle(id, account, &held, &credits)
            }),
            (56..=63, Some(held), _) => Call::ReleaseHold(release(id, account, &held)),
            (64..=67, Some(held), _) => Call::ExtendHold(extend(id, account, &held, 3_600_000)),
            (68..=80, _, Some(spent)) => {
                let part = self.credits(2_000_000_000);
                let part = (self.random.between(1, 3) > 1).then_some(part);
                Call::Refund(refund(id, account, &spent, part.as_deref()))
            }
            _ => Call::Charge(self.charge(id, account)),
        }
    }

    /// Of the account, or of one of its own. All are priced alike by the built-in card.
    fn update(&mut self, id: &str, account: &str) -> pb::UpdateAccountRequest {
        let rate_card = ["", "jogg-api-v2"][self.random.between(0, 1) as usize];
        match self.random.between(1, 3) {
            1 => update(id, &format!("own-{id}"), rate_card, ("by", id)),
            _ => update(id, account, rate_card, ("by", id)),
        }
    }

    fn charge(&mut self, id: &str, account: &str) -> pb::ChargeRequest {
        match self.random.between(1, 4) {
            1 => charge_usage(id, account, usage("lip_sync_video", "31s")),
            2 => charge_usage(id, account, usage("ai_scripts", "x3")),
            _ => charge(id, account, &self.credits(4_000_000_000)),
        }
    }

    /// More than 0, up to so many billionths; half of them in hundredths.
    fn credits(&mut self, billionths_max: u64) -> String {
        let billionths = self.random.between(1, billionths_max);
        amount(i128::from(match self.random.between(1, 2) {
            1 => billionths,
            _ => billionths.div_ceil(10_000_000) * 10_000_000,
        }))
    }
}
