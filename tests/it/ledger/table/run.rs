//! Runs a section and compares what each line must answer.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use creditd::rpc::pb::creditd::v1 as pb;
use prost_reflect::{DynamicMessage, Value};

use super::super::subjects::Subject;
use super::super::time::{BEGINNING, MICROSECOND, Nanos, ledger_time, nanos_of, time_of};
use super::facts::{self, Fact, Facts};
use super::parse::{self, Context};
use super::read::{Line, Section};
use super::time::{self, Named};
use crate::support::call::{Call, Outcome, Reply};
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
        let items: Vec<Vec<String>> = line.items.iter().map(|item| item.words.clone()).collect();
        let call = context.call(&line.words, &items);
        let accounts = call.accounts();
        let outcome = self.ask(call, line)?;
        if outcome.is_err() {
            self.learn_time(&accounts);
        }
        if let Ok(reply) = &outcome {
            for name in parse::names(&line.words) {
                self.bind(name, reply);
            }
        }
        let expected = line.expected.as_ref().ok_or("the line expects nothing")?;
        self.compare(&outcome, expected)?;
        if let Ok(reply) = &outcome {
            assert_eq!(reply.results.0.len(), line.items.len());
            for (item, result) in line.items.iter().zip(&reply.results.0) {
                self.item(item, result)
                    .map_err(|problem| format!("line {}: {problem}", item.number))?;
            }
        }
        Ok(())
    }

    fn ask(&mut self, call: Call, line: &Line) -> Result<Outcome, String> {
        let outcome = match call {
            Call::ListEntries(_) | Call::ListHolds(_) | Call::ListAccounts(_)
                if line.words[0] != "newest" =>
            {
                self.list(call, line)?
            }
            call => self.call(&call),
        };
        if let Ok(Reply {
            entries: Some(entries),
            ..
        }) = &outcome
        {
            entries.iter().try_for_each(sound)?;
        }
        Ok(outcome)
    }

    /// Calls once, and takes the time from the reply.
    fn call(&mut self, call: &Call) -> Outcome {
        let outcome = self.subject.call(call.clone());
        if let Ok(reply) = &outcome {
            let predicted = ledger_time(self.clock, self.last);
            self.last = time_of(call, reply).unwrap_or(predicted);
        }
        outcome
    }

    /// A refusal does not say when it was, nor whether it took a time of its own: a
    /// read tells.
    fn learn_time(&mut self, accounts: &[String]) {
        for account in accounts {
            // The account may not exist.
            drop(self.call(&crate::support::balance(account).into()));
        }
    }

    /// All pages of a list, or as many as make one full page.
    fn list(&mut self, call: Call, line: &Line) -> Result<Outcome, String> {
        let one_page = |word: &String| ["first", "token"].contains(&word.as_str());
        let whole = !line.words.iter().any(one_page);
        let mut request = call.message();
        let size = |request: &DynamicMessage| {
            let size = request.get_field_by_name("page_size").unwrap();
            size.as_i32().unwrap()
        };
        let mut all = Reply::default();
        for _ in 0..PAGES_MAX {
            let page = match self.call(&call.with(&request)) {
                Ok(page) => page,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let (entries, holds) = (page.entries.as_ref(), page.holds.as_ref());
            let accounts = page.accounts.as_ref().map_or(0, Vec::len);
            let length = entries.map_or(0, Vec::len) + holds.map_or(0, Vec::len) + accounts;
            let left = size(&request) - i32::try_from(length).unwrap();
            if size(&request) > 0 && left < 0 {
                return Err(format!("{length} items on a page"));
            }
            extend(&mut all.entries, page.entries);
            extend(&mut all.holds, page.holds);
            extend(&mut all.accounts, page.accounts);
            self.page_token.clone_from(&page.next_page_token);
            // A page may have fewer items than were asked for.
            if page.next_page_token.is_empty() || (!whole && left <= 0) {
                return Ok(Ok(all));
            }
            if !whole {
                request.set_field_by_name("page_size", Value::I32(left));
            }
            request.set_field_by_name("page_token", Value::String(page.next_page_token));
        }
        Err("the list does not end".to_owned())
    }

    /// Gives a name to the grant, the hold or the entry of a reply, as its first
    /// letter says.
    fn bind(&mut self, name: &str, reply: &Reply) {
        let first = reply.entries.iter().flatten().next();
        let entry = reply.entry.as_ref().or(first);
        let named = match (name.chars().next(), &reply.hold, entry) {
            (Some('h'), Some(hold), _) => Named {
                id: hold.hold_id.clone(),
                time: hold.create_time.as_ref().map(nanos_of),
                ends: hold.expire_time.as_ref().map(nanos_of),
            },
            (Some('e'), _, Some(entry)) => Named {
                id: entry.entry_id.clone(),
                time: entry.create_time.as_ref().map(nanos_of),
                ends: None,
            },
            (Some('g'), _, Some(entry)) => Named {
                id: entry.grant_id.clone(),
                time: entry.create_time.as_ref().map(nanos_of),
                ends: self.grant_end(&entry.account, &entry.grant_id),
            },
            _ => panic!("the reply has nothing for the name {name}: {reply:?}"),
        };
        self.names.insert(name.to_owned(), named);
    }

    /// When a grant ends, as the balance says.
    fn grant_end(&mut self, account: &str, grant_id: &str) -> Option<Nanos> {
        let reply = self.call(&crate::support::balance(account).into());
        let balance = reply.unwrap().balance.unwrap();
        let mut grants = balance.grants.iter();
        let grant = grants.find(|grant| grant.grant_id == grant_id);
        grant.and_then(|grant| grant.expire_time.as_ref().map(nanos_of))
    }

    fn item(&self, item: &Line, result: &Outcome) -> Result<(), String> {
        let expected = item.expected.as_ref().ok_or("the item expects nothing")?;
        self.compare(result, expected)
    }

    fn compare(&self, outcome: &Outcome, expected: &str) -> Result<(), String> {
        let reply = match outcome {
            Ok(reply) => reply,
            Err(refusal) => return self.refusal(refusal, expected),
        };
        reply.entry.as_ref().map_or(Ok(()), sound)?;
        match facts::list(reply, &self.names) {
            Some(list) if list == expected => Ok(()),
            // The newest entry can be actual by its facts.
            Some(list) if !expected.contains(',') => Err(format!("is: {list}")),
            _ => self.facts(&Facts::of(reply, &self.names), expected),
        }
    }

    /// Whether all facts are so; `replayed` has to be said where it is so.
    fn facts(&self, facts: &Facts<'_>, expected: &str) -> Result<(), String> {
        let actual = || format!("is: {:?}", facts.all);
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
                return Err(format!("{key} is not {value}; {}", actual()));
            }
        }
        Ok(())
    }

    fn refusal(&self, refusal: &Refusal, expected: &str) -> Result<(), String> {
        let actual = || {
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
                let found = expected.iter().position(same).ok_or_else(actual)?;
                expected.remove(found);
            }
            let reasons = refusal.fields.iter().map(|(_, reason)| reason);
            let first = reasons.clone().any(|reason| *reason == refusal.reason);
            let right =
                expected.is_empty() && first && refusal.code == tonic::Code::InvalidArgument;
            return if right { Ok(()) } else { Err(actual()) };
        }
        let (reason, rest) = expected.split_once(' ').unwrap_or((expected, ""));
        let code = format!("{:?}", refusal.code);
        if refusal.reason != reason || code_of(reason) != code || !refusal.fields.is_empty() {
            return Err(actual());
        }
        if rest.is_empty() {
            return Ok(());
        }
        self.facts(&Facts::of_refusal(refusal, &self.names), rest)
    }
}

fn extend<T>(all: &mut Option<Vec<T>>, page: Option<Vec<T>>) {
    if let Some(page) = page {
        all.get_or_insert_default().extend(page);
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
