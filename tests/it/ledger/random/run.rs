//! Random operations on a ledger and on the model, compared one by one.

use std::collections::{BTreeMap, VecDeque};

use creditd::rpc::pb::creditd::v1 as pb;
use prost_reflect::Value;

use super::super::cards;
use super::super::subjects::{Factory, Subject};
use super::super::time::{
    BEGINNING, HOUR, MICROSECOND, MILLISECOND, Nanos, SECOND, ledger_time, nanos_of, time_before,
    time_of,
};
use super::compare::compare;
use super::generate::{ACCOUNTS, Generator, ends};
use super::ids::Ids;
use super::pages::{AccountWalk, HoldWalk, Walk};
use super::rng::Rng;
use super::{again, spoil};
use crate::model::Model;
use crate::support::call::{Call, Outcome, Reply};

/// How many operations are shown before one that went wrong.
const SHOWN: usize = 30;
/// How often all accounts are looked at, and not only those that were touched.
const ALL_BALANCES_EVERY: u64 = 25;
/// For how long a request_id is known; what is older may count as new. What brings
/// credits in or back is known for longer.
const KNOWN_FOR: Nanos = 71 * HOUR;
const CREDITS_KNOWN_FOR: Nanos = 89 * 24 * HOUR;
/// The same where what is older than an hour may be archived, and the clock goes back by minutes.
const ARCHIVES_KNOWN_FOR: Nanos = 49 * 60 * SECOND;
/// How much later than predicted a ledger may say that it did something. Its thread takes a
/// microsecond whenever it wakes, which it does twice a second without a call: on a busy machine
/// seconds may be between two calls.
const LATE_MAX: Nanos = 50 * MICROSECOND;
/// When other prices come into force: the clock does not go back over it.
const PRICES_CHANGE: [Nanos; 2] = [BEGINNING + 24 * HOUR, BEGINNING + 72 * HOUR];
/// How often what was answered.
pub type Counts = BTreeMap<String, u64>;

/// Something that was done, to be shown where a later thing goes wrong.
enum Shown {
    Clock(Nanos),
    Restart,
    /// What is older than that was archived.
    Archive(Nanos),
    /// A call, when it was done, and what the model says.
    Call(Box<Call>, Nanos, String),
}

pub(super) struct Run {
    rng: Rng,
    pub(super) model: Model,
    subject: Box<dyn Subject>,
    ids: Ids,
    clock: Nanos,
    /// The latest time that the ledger is known to have used.
    pub(super) last: Nanos,
    /// Whether it is the last one that it used: not every reply tells its time.
    last_is_sure: bool,
    /// The latest time that a call which told none may have used.
    maybe: Nanos,
    /// Of the next request_id.
    number: u64,
    /// Writes that were done, and when.
    past: Vec<(Call, Nanos)>,
    pub(super) walks: Vec<Walk>,
    pub(super) hold_walks: Vec<HoldWalk>,
    pub(super) account_walks: Vec<AccountWalk>,
    shown: VecDeque<Shown>,
    counts: Counts,
    /// Whether old entries are archived now and then: request_ids are then known for an hour.
    archives: bool,
}

/// Runs so many operations, each part of them in a new ledger and by the next seed;
/// what went wrong, with the seed of its part, or how often what was answered.
pub fn run_all(
    (factory, archives): (Factory, bool),
    mut seed: u64,
    operations: u64,
    in_one: u64,
) -> Result<Counts, String> {
    let mut counts = Counts::new();
    let mut left = operations;
    while left > 0 {
        let part = left.min(in_one);
        let outcome = run((factory(), archives), seed, part);
        for (answer, count) in
            outcome.map_err(|wrong| format!("CREDITD_MODEL_SEED={seed}\n{wrong}"))?
        {
            *counts.entry(answer).or_default() += count;
        }
        left -= part;
        seed = seed.wrapping_add(1);
    }
    Ok(counts)
}

/// Runs so many operations; what went wrong, with those before it.
pub fn run(
    (subject, archives): (Box<dyn Subject>, bool),
    seed: u64,
    operations: u64,
) -> Result<Counts, String> {
    let mut run = Run {
        rng: Rng::new(seed),
        model: Model::new(cards::for_model()),
        subject,
        ids: Ids::default(),
        clock: BEGINNING,
        last: 0,
        last_is_sure: true,
        maybe: 0,
        number: 0,
        past: Vec::new(),
        walks: Vec::new(),
        hold_walks: Vec::new(),
        account_walks: Vec::new(),
        shown: VecDeque::new(),
        counts: Counts::new(),
        archives,
    };
    for operation in 0..operations {
        run.operation(operation).map_err(|problem| {
            let before: Vec<String> = run.shown.iter().map(Shown::text).collect();
            format!("operation {operation}\n{}\n{problem}", before.join("\n"))
        })?;
    }
    Ok(run.counts)
}

impl Run {
    fn operation(&mut self, operation: u64) -> Result<(), String> {
        self.learn_time()?;
        self.move_clock();
        if self.rng.chance(3) {
            self.restart();
        }
        if self.archives && self.rng.chance(8) {
            self.archive();
        }
        if !self.walks.is_empty() && self.rng.chance(50) {
            let last = i64::try_from(self.walks.len()).unwrap() - 1;
            let at = usize::try_from(self.rng.between(0, last)).unwrap();
            let walk = self.walks.swap_remove(at);
            return self.page(walk);
        }
        if !self.hold_walks.is_empty() && self.rng.chance(50) {
            let walk = self.hold_walks.remove(0);
            return self.hold_page(walk);
        }
        if !self.account_walks.is_empty() && self.rng.chance(50) {
            let walk = self.account_walks.remove(0);
            return self.account_page(walk);
        }
        let call = self.next_call();
        let accounts = call.accounts();
        let good = |request: &pb::ListEntriesRequest| {
            request.page_size >= 0 && request.page_token.is_empty()
        };
        match call {
            Call::ListEntries(request) if good(&request) => self.begin_walk(request)?,
            Call::ListHolds(request) if request.page_token.is_empty() => {
                self.hold_page(HoldWalk {
                    model: request.clone(),
                    real: request,
                })?;
            }
            Call::ListAccounts(request) if request.page_token.is_empty() => {
                self.account_page(AccountWalk {
                    model: request.clone(),
                    real: request,
                })?;
            }
            call => self.step(call)?,
        }
        let all = operation.is_multiple_of(ALL_BALANCES_EVERY);
        for account in ACCOUNTS {
            let touched = all || accounts.iter().any(|name| name == account);
            if touched && self.model.accounts.contains_key(account) {
                self.step(crate::support::balance(account).into())?;
            }
        }
        Ok(())
    }

    fn next_call(&mut self) -> Call {
        let now = self.clock.max(self.last);
        let archives = self.archives;
        let known = |past: &&(Call, Nanos)| past.1 > now - known_for(&past.0, archives);
        if self.rng.chance(75) {
            let past = self.past.iter().filter(known).collect();
            if let Some((call, _)) = self.rng.pick_any(past) {
                let call = call.clone();
                return match self.rng.below(3) {
                    0 => call,
                    1 => again::reworded(&mut self.rng, &call),
                    _ => again::altered(&mut self.rng, &call),
                };
            }
        }
        let mut call = Generator {
            rng: &mut self.rng,
            model: &self.model,
            ids: &self.ids,
            now,
            number: &mut self.number,
        }
        .call();
        if self.rng.chance(60) {
            call = spoil::spoil(&mut self.rng, &call, now);
        }
        if self.rng.chance(25) && call.is_write() {
            // The request_id of another write to the account.
            let accounts = call.accounts();
            let past = self.past.iter().filter(known);
            let past = past.filter(|past| past.0.accounts() == accounts);
            if let Some((past, _)) = self.rng.pick_any(past.collect()) {
                let (_, request_id) = past.keys().remove(0);
                call = call.set("request_id", Value::String(request_id));
            }
        }
        call
    }

    /// Has the ledger tell its time, where it is not known. What is predicted from it,
    /// such as when a hold was released, is then exact.
    fn learn_time(&mut self) -> Result<(), String> {
        match self.model.accounts.keys().next() {
            Some(account) if !self.last_is_sure => {
                let balance = crate::support::balance(account);
                self.step(balance.into())
            }
            _ => Ok(()),
        }
    }

    /// Moves the clock: mostly on, now and then to the very end of something, seldom
    /// back.
    fn move_clock(&mut self) {
        let now = self.clock.max(self.last);
        let step = |rng: &mut Rng, unit: Nanos, most: i64| unit * Nanos::from(rng.between(1, most));
        let clock = match self.rng.below(1_000) {
            0..350 => return,
            350..860 => self.clock + step(&mut self.rng, MILLISECOND, 20),
            860..950 => self.clock + step(&mut self.rng, SECOND, 20),
            // All that ends has ended, and every plain request_id may be forgotten.
            950 => self.clock + step(&mut self.rng, 24 * HOUR, 40),
            951..958 => self.clock + step(&mut self.rng, 60 * SECOND, 30),
            958..960 => self.clock + step(&mut self.rng, HOUR, 8),
            960..994 => {
                let accounts = self.model.accounts.values();
                let soon = accounts
                    .flat_map(ends)
                    .filter(|end| (now..now + 2 * HOUR).contains(end));
                match self.rng.pick_any(soon.collect()) {
                    Some(end) => end + *self.rng.pick(&[0, 0, 0, -MICROSECOND, MICROSECOND]),
                    None => return,
                }
            }
            _ => {
                let back = self.clock - step(&mut self.rng, SECOND, 600);
                let over = |change: &Nanos| self.clock >= *change && back < *change;
                let changes = PRICES_CHANGE.into_iter();
                let over = changes.filter(over).max();
                over.unwrap_or_else(|| back.max(BEGINNING))
            }
        };
        self.set_clock(clock);
    }

    fn set_clock(&mut self, clock: Nanos) {
        if clock != self.clock {
            self.note(Shown::Clock(clock));
            self.clock = clock;
            self.subject.set_clock(clock);
        }
    }

    fn restart(&mut self) {
        // What was only read is forgotten, the time of it too.
        self.set_clock(self.clock.max(self.last) + MILLISECOND);
        self.note(Shown::Restart);
        self.subject.restart();
        *self.counts.entry("restart".to_owned()).or_default() += 1;
    }

    /// Archives what is older than an hour at least.
    fn archive(&mut self) {
        self.set_clock(self.clock.max(self.last) + MILLISECOND);
        let older = 60 * SECOND * Nanos::from(self.rng.between(61, 300));
        let before = self.clock - older;
        self.note(Shown::Archive(before));
        let archived = self.subject.archive(before, self.clock);
        if archived.is_empty() {
            return;
        }
        // What is still to come of them may be archived.
        self.walks.clear();
        for (account, archived) in archived {
            let account = self.model.accounts.get_mut(&account);
            account.unwrap().archived = Some(archived);
        }
        *self.counts.entry("archive".to_owned()).or_default() += 1;
    }

    fn note(&mut self, event: Shown) {
        if self.shown.len() == SHOWN {
            self.shown.pop_front();
        }
        self.shown.push_back(event);
    }

    /// Asks both and compares.
    fn step(&mut self, call: Call) -> Result<(), String> {
        let (model, real) = self.ask(&call, &call)?;
        self.judge(&call, model, real)
    }

    /// Asks the ledger, then the model at the time at which the ledger says it did it.
    pub(super) fn ask(&mut self, model: &Call, real: &Call) -> Result<(Outcome, Outcome), String> {
        let answer = self.subject.call(self.ids.call_to_real(real.clone()));
        let earliest = ledger_time(self.clock, self.last);
        let stated = answer.as_ref().ok().and_then(|reply| time_of(model, reply));
        let mut time = stated.unwrap_or(earliest + time_before(model));
        // A refusal does not say when it was decided: what was available then, and whether
        // something had ended. Neither does a batch of refusals.
        let tells_nothing = stated.is_none()
            && match &answer {
                Ok(reply) => !reply.results.0.is_empty(),
                Err(refusal) => refusal.fields.is_empty(),
            };
        let before = tells_nothing.then(|| self.model.before(model.accounts()));
        let mut expected = self.model.call(model, time);
        let latest = earliest.max(self.maybe) + LATE_MAX;
        while let Some(before) = &before
            && time < latest
            && self.differs(&expected, &answer)
        {
            self.model.restore(before);
            time += MICROSECOND;
            expected = self.model.call(model, time);
        }
        let outcome = match &expected {
            Ok(_) => "ok".to_owned(),
            Err(refusal) => refusal.reason.clone(),
        };
        self.note(Shown::Call(Box::new(model.clone()), time, outcome));
        if !(earliest..=latest).contains(&time) || time % MICROSECOND != 0 {
            return Err(format!(
                "done at {}, should be {}: {answer:?}",
                shown_time(time),
                shown_time(earliest)
            ));
        }
        // Whether a refused call took a time of its own cannot be seen.
        let refused = match &expected {
            Ok(reply) if !reply.results.0.is_empty() => stated.is_none(),
            outcome => outcome.is_err(),
        };
        if refused {
            self.maybe = self.maybe.max(time);
        } else {
            self.last = stated.unwrap_or(earliest);
        }
        self.last_is_sure = stated.is_some();
        Ok((expected, answer))
    }

    /// Whether an answer that learns no ids is not what was expected.
    fn differs(&self, expected: &Outcome, answer: &Outcome) -> bool {
        let mut answer = answer.clone();
        match &mut answer {
            Ok(reply) => *reply = self.ids.reply_to_model(reply.clone()),
            Err(refusal) => self.ids.refusal_to_model(refusal),
        }
        compare(expected, &answer).is_err()
    }

    /// Asks for accounts: each of a page is read at a time of its own, which its balance tells.
    pub(super) fn ask_accounts(
        &mut self,
        model: &pb::ListAccountsRequest,
        real: pb::ListAccountsRequest,
    ) -> Result<(Outcome, Outcome), String> {
        let answer = self.subject.call(Call::ListAccounts(real));
        let earliest = ledger_time(self.clock, self.last);
        let mut times = BTreeMap::new();
        let mut last = earliest;
        let accounts = answer
            .as_ref()
            .ok()
            .and_then(|reply| reply.accounts.as_ref());
        for account in accounts.into_iter().flatten() {
            let read = account.balance.as_ref().and_then(|b| b.read_time.as_ref());
            let time = nanos_of(read.ok_or("an account without a read_time")?);
            let latest = last.max(self.maybe) + LATE_MAX;
            if !(last..=latest).contains(&time) || time % MICROSECOND != 0 {
                let (time, last) = (shown_time(time), shown_time(last));
                return Err(format!("read at {time}, after {last}: {answer:?}"));
            }
            last = time;
            times.insert(account.account.clone(), time);
        }
        let time_of = |name: &str| times.get(name).copied().unwrap_or(last);
        let expected = self.model.list_accounts(model, time_of);
        let call = Box::new(Call::ListAccounts(model.clone()));
        let outcome = match &expected {
            Ok(_) => "ok".to_owned(),
            Err(refusal) => refusal.reason.clone(),
        };
        self.note(Shown::Call(call, last, outcome));
        // Whether one without accounts took a time of its own cannot be seen.
        self.last_is_sure = !times.is_empty();
        match self.last_is_sure {
            true => self.last = last,
            false => self.maybe = self.maybe.max(earliest),
        }
        Ok((expected, answer))
    }

    /// Compares what both said.
    pub(super) fn judge(
        &mut self,
        call: &Call,
        model: Outcome,
        real: Outcome,
    ) -> Result<(), String> {
        let real = match (&model, real) {
            (Ok(model), Ok(real)) => {
                let learnt = self.ids.learn(model, &real);
                learnt.map_err(|problem| format!("{problem}: {model:#?}\nbut got {real:#?}"))?;
                Ok(self.ids.reply_to_model(real))
            }
            (_, Ok(real)) => Ok(self.ids.reply_to_model(real)),
            (_, Err(mut refusal)) => {
                self.ids.refusal_to_model(&mut refusal);
                Err(refusal)
            }
        };
        compare(&model, &real)?;
        self.count(call, &model);
        let is_new = model.as_ref().is_ok_and(|reply| !reply.replayed);
        if is_new && call.is_write() {
            self.past.push((call.clone(), self.last));
        }
        Ok(())
    }

    fn count(&mut self, call: &Call, outcome: &Outcome) {
        let items = match outcome {
            Ok(Reply { results, .. }) if !results.0.is_empty() => results.0.as_slice(),
            whole => std::slice::from_ref(whole),
        };
        for outcome in items {
            let answers: Vec<&str> = match outcome {
                Ok(reply) if reply.replayed => vec!["replayed"],
                Ok(_) => vec!["ok"],
                Err(refusal) if refusal.fields.is_empty() => vec![&refusal.reason],
                Err(refusal) => refusal
                    .fields
                    .iter()
                    .map(|(_, reason)| reason.as_str())
                    .collect(),
            };
            for answer in answers {
                let key = format!("{} {answer}", call.method());
                *self.counts.entry(key).or_default() += 1;
            }
        }
    }
}

impl Shown {
    fn text(&self) -> String {
        match self {
            Self::Clock(time) => format!("clock {}", shown_time(*time)),
            Self::Restart => "restart".to_owned(),
            Self::Archive(before) => format!("archive before {}", shown_time(*before)),
            Self::Call(call, time, outcome) => {
                format!("{call:?}\n    at {}: {outcome}", shown_time(*time))
            }
        }
    }
}

/// For how long the request_id of a call is known at least.
const fn known_for(call: &Call, archives: bool) -> Nanos {
    match call {
        _ if archives => ARCHIVES_KNOWN_FOR,
        Call::Grant(_) | Call::Refund(_) | Call::RevokeGrant(_) => CREDITS_KNOWN_FOR,
        _ => KNOWN_FOR,
    }
}

/// A time as people read it, from the beginning on.
fn shown_time(time: Nanos) -> String {
    let since = time - BEGINNING;
    let sign = if since < 0 { "-" } else { "+" };
    let since = since.abs();
    format!("{sign}{}.{:09}s", since / SECOND, since % SECOND)
}
