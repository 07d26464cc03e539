//! Callers, each of whom waits for the answer before the next call, and what they saw.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use creditd::domain::Credits;
use creditd::rpc::pb::creditd::v1 as pb;
use prost::Message as _;
use tokio::task::JoinSet;

use super::client::{Connection, Method};
use super::requests::{CHARGED, GRANTED, Template, all_charged};
use super::spread::Spread;

/// More callers share connections.
const CONNECTIONS_MAX: usize = 16;
/// How long after the end of a row the last answer may come.
const LAST_ANSWER_MAX: Duration = Duration::from_secs(30);
/// How many callers open the accounts and read them at the end.
const SETUP_CALLERS: usize = 128;
/// A number without a divisor in common with any number of accounts that is likely:
/// steps of it come by all accounts in no order that a cache would know.
const STEP: u64 = 7_368_787;

/// The server, and all that was charged there.
pub struct Bench {
    address: String,
    next_id: AtomicU64,
    next_account: AtomicU64,
    /// Charges that were answered, by account; the first is the busy one.
    charges: Vec<AtomicU64>,
}

/// One kind of load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub callers: usize,
    /// How many charges a call has; None: it is a Charge.
    pub batch: Option<usize>,
    /// Over all accounts but the first, or over the first alone.
    pub spread: bool,
    pub amount: bool,
}

/// What a load saw.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub connections: usize,
    /// Charges answered in the time that was measured.
    pub charges: u64,
    /// Calls that began in it.
    pub calls: Spread,
}

/// When a load is measured, and ends.
#[derive(Clone, Copy)]
struct Window {
    begin: Instant,
    end: Instant,
}

impl Bench {
    /// One busy account, and as many as the load is spread over.
    pub fn new(address: &str, accounts: u32) -> Self {
        Self {
            address: address.to_owned(),
            next_id: AtomicU64::new(1),
            next_account: AtomicU64::new(0),
            charges: (0..=accounts).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn ids(&self, length: usize) -> u64 {
        let length = u64::try_from(length).unwrap_or_default();
        self.next_id.fetch_add(length, Ordering::Relaxed)
    }

    fn account(&self, spread: bool) -> u32 {
        if !spread {
            return 0;
        }
        let others = u64::try_from(self.charges.len()).unwrap_or_default() - 1;
        let number = self.next_account.fetch_add(1, Ordering::Relaxed);
        let number = number.wrapping_mul(STEP) % others + 1;
        u32::try_from(number).unwrap_or_default()
    }

    async fn connections(&self, callers: usize) -> Result<Vec<Connection>, String> {
        let mut connections = Vec::new();
        for _ in 0..callers.min(CONNECTIONS_MAX) {
            connections.push(Connection::open(&self.address).await?);
        }
        Ok(connections)
    }

    /// Calls a method once for every account.
    async fn each_account(
        self: &Arc<Self>,
        name: &str,
        template: Template,
        check: fn(&Self, u32, &[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        let method = Method::new(&self.address, name);
        let connections = self.connections(SETUP_CALLERS).await?;
        let (next, template) = (Arc::new(AtomicU64::new(0)), Arc::new(template));
        let mut callers = JoinSet::new();
        for number in 0..SETUP_CALLERS {
            let mut connection = connections[number % connections.len()].clone();
            let (bench, method) = (Arc::clone(self), method.clone());
            let (next, template) = (Arc::clone(&next), Arc::clone(&template));
            callers.spawn(async move {
                let mut reply = Vec::new();
                loop {
                    let account = next.fetch_add(1, Ordering::Relaxed);
                    let account = u32::try_from(account).unwrap_or(u32::MAX);
                    if usize::try_from(account).unwrap_or(usize::MAX) >= bench.charges.len() {
                        return Ok(());
                    }
                    let frame = template.fill(bench.ids(1), || account);
                    connection.call(&method, frame, &mut reply).await?;
                    check(&bench, account, &reply)?;
                }
            });
        }
        joined(callers).await.map(|_: Vec<()>| ())
    }

    /// Opens all accounts.
    pub async fn open_accounts(self: &Arc<Self>) -> Result<(), String> {
        self.each_account("Grant", Template::grant(), |_, _, _| Ok(()))
            .await
    }

    /// Whether every account has what was granted less what was charged, and as many
    /// entries.
    pub async fn check_balances(self: &Arc<Self>) -> Result<u64, String> {
        self.each_account("GetBalance", Template::balance(), Self::check_balance)
            .await?;
        Ok(self.charges.iter().map(|n| n.load(Ordering::Relaxed)).sum())
    }

    fn check_balance(&self, account: u32, reply: &[u8]) -> Result<(), String> {
        let reply = pb::GetBalanceResponse::decode(reply).map_err(|error| error.to_string())?;
        let balance = reply.balance.ok_or("a reply without a balance")?;
        let charges =
            self.charges[usize::try_from(account).unwrap_or(usize::MAX)].load(Ordering::Relaxed);
        let nanos = |text: &str| {
            let credits = Credits::parse(text).map_err(|fault| format!("{text}: {fault:?}"))?;
            Ok::<i128, String>(i128::from(credits.nanos()))
        };
        let expected = nanos(GRANTED)? - nanos(CHARGED)? * i128::from(charges);
        let versions = i64::try_from(charges).unwrap_or_default() + 1;
        if nanos(&balance.available)? != expected || balance.version != versions {
            return Err(format!(
                "account {account}: {charges} charges of {CHARGED} were answered, and of {GRANTED} \
                 {} are available after {} entries",
                balance.available, balance.version
            ));
        }
        Ok(())
    }

    /// Runs a load: first to warm up, then measured. `at` is called when the measured
    /// time begins and when it ends.
    pub async fn run(
        self: &Arc<Self>,
        load: Load,
        warm_up: Duration,
        measured: Duration,
        mut at: impl FnMut(),
    ) -> Result<Seen, String> {
        let connections = self.connections(load.callers).await?;
        let begin = Instant::now() + warm_up;
        let end = begin + measured;
        let (method, template) = match load.batch {
            None => ("Charge", Template::charge(load.amount)),
            Some(length) => ("BatchCharge", Template::batch(length, load.amount)),
        };
        let method = Method::new(&self.address, method);
        let template = Arc::new(template);
        let mut callers = JoinSet::new();
        for number in 0..load.callers {
            let caller = Caller {
                bench: Arc::clone(self),
                load,
                connection: connections[number % connections.len()].clone(),
                method: method.clone(),
                template: Arc::clone(&template),
                window: Window { begin, end },
            };
            callers.spawn(caller.run());
        }
        tokio::time::sleep_until(begin.into()).await;
        at();
        tokio::time::sleep_until(end.into()).await;
        at();
        let seen = tokio::time::timeout(LAST_ANSWER_MAX, joined(callers)).await;
        let seen = seen.map_err(|_| "answers do not come".to_owned())??;
        let charges = seen.iter().map(|(charges, _)| charges).sum();
        let nanos = seen.into_iter().flat_map(|(_, nanos)| nanos).collect();
        Ok(Seen {
            connections: connections.len(),
            charges,
            calls: Spread::of(nanos),
        })
    }
}

/// One who calls again and again.
struct Caller {
    bench: Arc<Bench>,
    load: Load,
    connection: Connection,
    method: Method,
    template: Arc<Template>,
    window: Window,
}

impl Caller {
    /// Calls until the time is over. How many charges were answered within it, and how
    /// long the calls took that began in it.
    async fn run(mut self) -> Result<(u64, Vec<u64>), String> {
        let length = self.template.length();
        let (mut charges, mut nanos) = (0, Vec::new());
        let (mut accounts, mut reply) = (Vec::with_capacity(length), Vec::new());
        let mut start = Instant::now();
        while start < self.window.end {
            accounts.clear();
            let frame = self.template.fill(self.bench.ids(length), || {
                let account = self.bench.account(self.load.spread);
                accounts.push(account);
                account
            });
            self.connection
                .call(&self.method, frame, &mut reply)
                .await?;
            let answered = Instant::now();
            if self.load.batch.is_some() {
                all_charged(&reply, length)?;
            }
            for account in &accounts {
                let account = usize::try_from(*account).unwrap_or(usize::MAX);
                self.bench.charges[account].fetch_add(1, Ordering::Relaxed);
            }
            if answered >= self.window.begin && answered < self.window.end {
                charges += u64::try_from(length).unwrap_or_default();
            }
            if start >= self.window.begin {
                let took = answered.duration_since(start).as_nanos();
                nanos.push(u64::try_from(took).unwrap_or(u64::MAX));
            }
            start = answered;
        }
        Ok((charges, nanos))
    }
}

/// What all callers bring, or how many failed, and how the first of them.
async fn joined<T: 'static>(mut callers: JoinSet<Result<T, String>>) -> Result<Vec<T>, String> {
    let (mut done, mut failed, mut first) = (Vec::new(), 0_usize, None);
    while let Some(caller) = callers.join_next().await {
        match caller.map_err(|error| error.to_string()).flatten() {
            Ok(value) => done.push(value),
            Err(error) => {
                failed += 1;
                first.get_or_insert(error);
            }
        }
    }
    match first {
        None => Ok(done),
        Some(first) => Err(format!("{failed} callers failed; the first: {first}")),
    }
}
