//! Whether the comparison finds a mistake: ledgers with one wrong reply.

use super::super::subjects::{Modelled, Subject};
use super::super::time::Nanos;
use super::{OPERATIONS_IN_ONE, run};
use crate::support::call::{Call, Outcome, Reply};

/// A ledger of which one reply is changed.
struct Wrong {
    right: Box<dyn Subject>,
    calls: u64,
    method: &'static str,
    mistake: fn(&mut Reply) -> bool,
    is_made: bool,
}

impl Subject for Wrong {
    fn call(&mut self, call: Call) -> Outcome {
        let method = call.method();
        let mut outcome = self.right.call(call);
        self.calls += 1;
        if self.calls > 500
            && !self.is_made
            && method == self.method
            && let Ok(reply) = &mut outcome
        {
            self.is_made = (self.mistake)(reply);
        }
        outcome
    }

    fn set_clock(&mut self, now: Nanos) {
        self.right.set_clock(now);
    }

    fn restart(&mut self) {
        self.right.restart();
    }
}

/// A method, and what alters one of its replies. It says whether it did.
type Mistake = (&'static str, fn(&mut Reply) -> bool);

/// A mistake in one field of one reply is found.
#[test]
fn one_wrong_answer_is_found() {
    const MISTAKES: [Mistake; 17] = [
        ("Charge", |reply| change(reply.available.as_mut().unwrap())),
        ("Charge", |reply| {
            reply.replayed = !reply.replayed;
            true
        }),
        ("SettleHold", |reply| {
            change(&mut reply.hold.as_mut().unwrap().settled)
        }),
        ("SettleHold", |reply| {
            change(&mut reply.entry.as_mut().unwrap().service)
        }),
        ("GetBalance", |reply| {
            let grant = reply.balance.as_mut().unwrap().grants.last_mut();
            grant.is_some_and(|grant| change(&mut grant.held))
        }),
        ("GetBalance", |reply| {
            let grants = &mut reply.balance.as_mut().unwrap().grants;
            grants.reverse();
            grants.len() > 1
        }),
        ("ListEntries", |reply| {
            reply.entries.as_mut().unwrap().pop().is_some()
        }),
        ("Hold", |reply| {
            let hold = reply.hold.as_mut().unwrap();
            hold.expire_time.as_mut().unwrap().nanos ^= 1;
            true
        }),
        ("GetHold", |reply| {
            change(&mut reply.hold.as_mut().unwrap().request_id)
        }),
        ("ListHolds", |reply| {
            let first = reply.holds.as_mut().unwrap().first_mut();
            first.is_some_and(|hold| hold.labels.insert("x".to_owned(), String::new()).is_none())
        }),
        ("GetAccount", |reply| {
            let created = &mut reply.account.as_mut().unwrap().create_time;
            created.as_mut().unwrap().nanos ^= 1;
            true
        }),
        ("ListAccounts", |reply| {
            reply.accounts.as_mut().unwrap().pop().is_some()
        }),
        ("UpdateAccount", |reply| {
            change(&mut reply.account.as_mut().unwrap().rate_card)
        }),
        ("UpdateAccount", |reply| {
            let balance = reply.account.as_mut().unwrap().balance.as_mut();
            change(&mut balance.unwrap().held)
        }),
        ("Charge", |reply| {
            let entry = reply.entry.as_mut().unwrap();
            entry.price_values.pop_first().is_some()
        }),
        ("GetHold", |reply| {
            let hold = reply.hold.as_mut().unwrap();
            hold.price_values.pop_last().is_some()
        }),
        ("Grant", |reply| {
            reply.entry.as_mut().unwrap().priority ^= 1;
            true
        }),
    ];
    for (number, (method, mistake)) in MISTAKES.into_iter().enumerate() {
        let wrong = Wrong {
            right: Modelled::factory(),
            calls: 0,
            method,
            mistake,
            is_made: false,
        };
        let outcome = run::run((Box::new(wrong), false), 1, OPERATIONS_IN_ONE);
        assert!(outcome.is_err(), "mistake {number} was not found");
    }
}

fn change(text: &mut String) -> bool {
    text.push('1');
    true
}
