//! Runs a section and compares what each line must answer.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use creditd::rpc::pb::creditd::v1 as pb;

use super::super::call::{
    BEGINNING, Call, MICROSECOND, Nanos, Outcome, Reply, Subject, ledger_time, nanos_of,
};
use super::ask::{Context, Words};
use super::facts::{self, Fact, Facts};
use super::read::{Line, Section};
use super::time::{self, Named};
use crate::support::refusal::Refusal;
use crate::support::root;

/// More pages than any table has.
const PAGES_MAX: usize = 1_000;

struct Runner {
    subject: Box<dyn Subject>,
    names: BTreeMap<String, Named>,
    clock: Nanos,
    /// The time of the last call.
    last: Nanos,
    page_token: String,
}

/// Runs a section; what is wrong with its first line that fails.
pub fn run(subject: Box<dyn Subject>, section: &Section) -> Result<(), String> {
    let mut runner = Runner {
        subject,
        names: BTreeMap::new(),
        clock: BEGINNING,
        last: BEGINNING - MICROSECOND,
        page_token: String::new(),
    };
    for line in &section.lines {
        runner.line(line).map_err(|problem| {
            format!(
                "{}:{}: {}\n    {}\n    {problem}",
                section.file, line.number, section.title, line.text
            )
        })?;
    }
    Ok(())
}

impl Runner {
    /// What a line's times are relative to.
    fn now(&self) -> Nanos {
        self.clock.max(self.last)
    }

    fn line(&mut self, line: &Line) -> Result<(), String> {
        match line.words[0].as_str() {
            "clock" => {
                let (time, used) = time::read(&line.words[1..], &self.names, self.now());
                assert_eq!(used + 1, line.words.len(), "{}", line.text);
                self.clock = time;
                self.subject.set_clock(time);
                return Ok(());
            }
            "restart" => {
                self.subject.restart();
                return Ok(());
            }
            _ => {}
        }
        let context = Context {
            names: &self.names,
            now: self.now(),
            page_token: &self.page_token,
        };
        let call = if line.words[0] == "batch" {
            let items = line.items.iter();
            let charges = items.map(|item| Words::new(&item.words[1..], &context).charge());
            Call::BatchCharge(pb::BatchChargeRequest {
                charges: charges.collect(),
            })
        } else {
            assert!(line.items.is_empty(), "only a batch has items");
            Words::new(&line.words, &context).call()
        };
        let names = Words::new(&line.words, &context).names();
        let accounts: Vec<String> = call.accounts().into_iter().map(str::to_owned).collect();
        let outcome = self.ask(call, line)?;
        if outcome.is_err() {
            self.learn_time(&accounts);
        }
        if let Ok(reply) = &outcome {
            for name in names {
                self.bind(&name, reply);
            }
        }
        let expected = line.expected.as_ref().ok_or("the line expects nothing")?;
        self.compare(&outcome, expected)?;
        if let Ok(Reply::BatchCharge(results)) = &outcome {
            for (item, result) in line.items.iter().zip(results) {
                self.item(item, result)
                    .map_err(|problem| format!("line {}: {problem}", item.number))?;
            }
        }
        Ok(())
    }

    fn ask(&mut self, call: Call, line: &Line) -> Result<Outcome, String> {
        let one_page = |word: &String| ["first", "token"].contains(&word.as_str());
        let whole = !line.words.iter().any(one_page);
        let outcome = match &call {
            Call::ListEntries(request) if line.words[0] == "entries" => {
                self.entries(request.clone(), whole)?
            }
            Call::ListHolds(request) => self.holds(request.clone(), whole)?,
            _ => self.once(call),
        };
        if let Ok(Reply::ListEntries(reply)) = &outcome {
            reply.entries.iter().try_for_each(sound)?;
        }
        Ok(outcome)
    }

    /// Asks once, and takes the time from the reply.
    fn once(&mut self, call: Call) -> Outcome {
        let outcome = self.subject.call(call.clone());
        // A balance of an earlier time says that time.
        let past = matches!(&call, Call::GetBalance(request) if request.as_of.is_some());
        let said = outcome.as_ref().ok().and_then(Reply::time);
        let predicted = ledger_time(self.clock, self.last);
        if outcome.is_ok() {
            self.last = said.filter(|_| !past).unwrap_or(predicted);
        }
        outcome
    }

    /// A refusal does not say when it was, nor whether it took a time of its own: a
    /// read tells.
    fn learn_time(&mut self, accounts: &[String]) {
        for account in accounts {
            let call = Call::GetBalance(crate::support::balance(account));
            // The account may not exist.
            drop(self.once(call));
        }
    }

    /// All pages of a list, or as many as make one full page.
    fn entries(
        &mut self,
        mut request: pb::ListEntriesRequest,
        whole: bool,
    ) -> Result<Outcome, String> {
        let size = request.page_size;
        let mut all = pb::ListEntriesResponse::default();
        for _ in 0..PAGES_MAX {
            let reply = match self.once(Call::ListEntries(request.clone())) {
                Ok(Reply::ListEntries(reply)) => reply,
                Ok(other) => panic!("{other:?}"),
                Err(refusal) => return Ok(Err(refusal)),
            };
            let length = i32::try_from(reply.entries.len()).unwrap();
            if size > 0 && length > request.page_size {
                return Err(format!("{length} entries on a page"));
            }
            all.entries.extend(reply.entries);
            self.page_token.clone_from(&reply.next_page_token);
            // A page may hold less than was asked for.
            if !whole {
                request.page_size -= length;
            }
            if reply.next_page_token.is_empty() || (!whole && request.page_size == 0) {
                return Ok(Ok(Reply::ListEntries(all)));
            }
            request.page_token = reply.next_page_token;
        }
        Err("the list does not end".to_owned())
    }

    fn holds(&mut self, mut request: pb::ListHoldsRequest, whole: bool) -> Result<Outcome, String> {
        let mut all = pb::ListHoldsResponse::default();
        for _ in 0..PAGES_MAX {
            let reply = match self.once(Call::ListHolds(request.clone())) {
                Ok(Reply::ListHolds(reply)) => reply,
                Ok(other) => panic!("{other:?}"),
                Err(refusal) => return Ok(Err(refusal)),
            };
            let length = i32::try_from(reply.holds.len()).unwrap();
            if request.page_size > 0 && length > request.page_size {
                return Err(format!("{length} holds on a page"));
            }
            all.holds.extend(reply.holds);
            self.page_token.clone_from(&reply.next_page_token);
            if reply.next_page_token.is_empty() || !whole {
                return Ok(Ok(Reply::ListHolds(all)));
            }
            request.page_token = reply.next_page_token;
        }
        Err("the list does not end".to_owned())
    }

    /// Gives a name to the grant, the hold or the entry of a reply, as its first
    /// letter says.
    fn bind(&mut self, name: &str, reply: &Reply) {
        let entry = match reply {
            Reply::Grant(reply) => reply.entry.as_ref(),
            Reply::Charge(reply) => reply.entry.as_ref(),
            Reply::Refund(reply) => reply.entry.as_ref(),
            Reply::SettleHold(reply) => reply.entry.as_ref(),
            Reply::RevokeGrant(reply) => reply.entry.as_ref(),
            Reply::ListEntries(reply) => reply.entries.first(),
            _ => None,
        };
        let named = match (name.chars().next(), reply) {
            (Some('h'), Reply::Hold(pb::HoldResponse { hold, .. })) => {
                let hold = hold.as_ref().unwrap();
                Named {
                    id: hold.hold_id.clone(),
                    time: hold.create_time.as_ref().map(nanos_of),
                    ends: hold.expire_time.as_ref().map(nanos_of),
                }
            }
            (Some('h'), Reply::ExtendHold(pb::ExtendHoldResponse { hold, .. })) => {
                let hold = hold.as_ref().unwrap();
                Named {
                    id: hold.hold_id.clone(),
                    time: hold.create_time.as_ref().map(nanos_of),
                    ends: hold.expire_time.as_ref().map(nanos_of),
                }
            }
            (Some('e'), _) => Named {
                id: entry.unwrap().entry_id.clone(),
                time: entry.unwrap().create_time.as_ref().map(nanos_of),
                ends: None,
            },
            (Some('g'), _) => {
                let entry = entry.unwrap();
                Named {
                    id: entry.grant_id.clone(),
                    time: entry.create_time.as_ref().map(nanos_of),
                    ends: self.grant_end(&entry.account, &entry.grant_id),
                }
            }
            _ => panic!("a name begins with g, h or e: {name}"),
        };
        self.names.insert(name.to_owned(), named);
    }

    /// When a grant ends, as the balance says.
    fn grant_end(&mut self, account: &str, grant_id: &str) -> Option<Nanos> {
        let call = Call::GetBalance(crate::support::balance(account));
        let Ok(Reply::GetBalance(reply)) = self.once(call) else {
            panic!("no balance of {account}");
        };
        let balance = reply.balance.unwrap();
        let mut grants = balance.grants.iter();
        let grant = grants.find(|grant| grant.grant_id == grant_id);
        grant.and_then(|grant| grant.expire_time.as_ref().map(nanos_of))
    }

    fn item(
        &self,
        item: &Line,
        result: &Result<pb::ChargeResponse, Refusal>,
    ) -> Result<(), String> {
        let expected = item.expected.as_ref().ok_or("the item expects nothing")?;
        match result {
            Ok(reply) => {
                sound(reply.entry.as_ref().unwrap())?;
                self.facts(&Facts::of_charge(reply, &self.names), expected)
            }
            Err(refusal) => self.refusal(refusal, expected),
        }
    }

    fn compare(&self, outcome: &Outcome, expected: &str) -> Result<(), String> {
        let reply = match outcome {
            Ok(reply) => reply,
            Err(refusal) => return self.refusal(refusal, expected),
        };
        let entry = match reply {
            Reply::Grant(reply) => reply.entry.as_ref(),
            Reply::Charge(reply) => reply.entry.as_ref(),
            Reply::Refund(reply) => reply.entry.as_ref(),
            Reply::SettleHold(reply) => reply.entry.as_ref(),
            Reply::RevokeGrant(reply) => reply.entry.as_ref(),
            _ => None,
        };
        entry.map_or(Ok(()), sound)?;
        match facts::list(reply, &self.names) {
            Some(list) if list == expected => Ok(()),
            // The newest entry can be told by its facts.
            Some(list) if !expected.contains(',') => Err(format!("is: {list}")),
            _ => self.facts(&Facts::of(reply, &self.names), expected),
        }
    }

    /// Whether all facts are so; `replayed` has to be said where it is so.
    fn facts(&self, facts: &Facts<'_>, expected: &str) -> Result<(), String> {
        let told = || format!("is: {:?}", facts.all);
        let mut wanted: Vec<(&str, &str)> = expected
            .split(',')
            .map(|fact| fact.trim().split_once(' ').unwrap_or((fact.trim(), "true")))
            .collect();
        if facts.all.contains_key("replayed") && !wanted.iter().any(|(key, _)| *key == "replayed") {
            wanted.push(("replayed", "false"));
        }
        for (key, value) in wanted {
            let equal = match facts.all.get(key) {
                Some(Fact::Text(text)) => text == value,
                Some(Fact::Time(time)) => {
                    let words: Vec<String> = value.split(' ').map(str::to_owned).collect();
                    value != "never" && time::read(&words, &self.names, self.last).0 == *time
                }
                None => false,
            };
            if !equal {
                return Err(format!("{key} is not {value}; {}", told()));
            }
        }
        Ok(())
    }

    fn refusal(&self, refusal: &Refusal, expected: &str) -> Result<(), String> {
        let told = || {
            format!(
                "is: {:?} {} {:?} {:?}",
                refusal.code, refusal.reason, refusal.metadata, refusal.fields
            )
        };
        if let Some(fields) = expected.strip_prefix("bad ") {
            let mut expected: Vec<(&str, &str)> = fields
                .split(',')
                .map(|field| field.trim().split_once(' ').expect("path and reason"))
                .collect();
            for (path, reason) in &refusal.fields {
                let same = |(other, expected): &(&str, &str)| {
                    expected == reason && path.split('|').any(|path| path == *other)
                };
                let found = expected.iter().position(same).ok_or_else(told)?;
                expected.remove(found);
            }
            let reasons = refusal.fields.iter().map(|(_, reason)| reason);
            let first = reasons.clone().any(|reason| *reason == refusal.reason);
            let right =
                expected.is_empty() && first && refusal.code == tonic::Code::InvalidArgument;
            return if right { Ok(()) } else { Err(told()) };
        }
        let (reason, rest) = expected.split_once(' ').unwrap_or((expected, ""));
        let code = format!("{:?}", refusal.code);
        if refusal.reason != reason || code_of(reason) != code || !refusal.fields.is_empty() {
            return Err(told());
        }
        if rest.is_empty() {
            return Ok(());
        }
        self.facts(&facts::refusal(refusal, &self.names), rest)
    }
}

/// What holds for every entry.
fn sound(entry: &pb::Entry) -> Result<(), String> {
    use pb::EntryKind as Kind;
    let amount = |text: &str| -> i128 {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, text),
        };
        sign * i128::from(crate::model::amount(digits).unwrap())
    };
    let (credits, held) = (amount(&entry.credits), amount(&entry.held));
    let crosses = matches!(entry.kind(), Kind::Grant | Kind::Expire | Kind::Revoke);
    if !crosses && credits + held + amount(&entry.spent) != 0 {
        return Err(format!("does not sum to 0: {entry:?}"));
    }
    let shares = entry.grants.iter();
    let sums = shares.fold((0, 0), |sums, share| {
        (
            sums.0 + amount(&share.credits),
            sums.1 + amount(&share.held),
        )
    });
    // The entries of a batch's answers are without grants.
    let in_batch = entry.kind() == Kind::Charge && entry.grants.is_empty();
    if !in_batch && sums != (credits, held) {
        return Err(format!("is not the sum of its shares: {entry:?}"));
    }
    Ok(())
}

/// The code of a reason, as the schema documents it.
fn code_of(reason: &str) -> String {
    static SCHEMA: OnceLock<String> = OnceLock::new();
    let schema = SCHEMA.get_or_init(|| {
        std::fs::read_to_string(root("proto/creditd/v1/error_reason.proto")).unwrap()
    });
    let end = schema.find(&format!("ERROR_REASON_{reason} ="));
    let before = &schema[..end.unwrap_or_else(|| panic!("no reason: {reason}"))];
    let (_, code) = before.rsplit_once("// Code: ").unwrap();
    let code = code.lines().next().unwrap();
    // NOT_FOUND is NotFound here.
    code.split('_')
        .map(|word| format!("{}{}", &word[..1], word[1..].to_lowercase()))
        .collect()
}
