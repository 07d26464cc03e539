//! Whether the comparing finds anything: ledgers with one mistake.

use super::super::call::{Call, Nanos, Outcome, Reply, Subject};
use super::super::subjects::Modelled;
use super::{OPERATIONS_IN_ONE, run};

/// A right ledger, but for one reply that says something else.
struct Wrong {
    right: Box<dyn Subject>,
    calls: u64,
    mistake: fn(&mut Reply) -> bool,
    made: bool,
}

impl Subject for Wrong {
    fn call(&mut self, call: Call) -> Outcome {
        let mut outcome = self.right.call(call);
        self.calls += 1;
        if self.calls > 500
            && !self.made
            && let Ok(reply) = &mut outcome
        {
            self.made = (self.mistake)(reply);
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

/// A mistake in one field of one reply is found.
#[test]
fn one_wrong_answer_is_found() {
    const MISTAKES: [fn(&mut Reply) -> bool; 11] = [
        |reply| match reply {
            Reply::Charge(reply) => change(&mut reply.available),
            _ => false,
        },
        |reply| match reply {
            Reply::Charge(reply) => {
                reply.replayed = !reply.replayed;
                true
            }
            _ => false,
        },
        |reply| match reply {
            Reply::SettleHold(reply) => change(&mut reply.hold.as_mut().unwrap().settled),
            _ => false,
        },
        |reply| match reply {
            Reply::SettleHold(reply) => change(&mut reply.entry.as_mut().unwrap().service),
            _ => false,
        },
        |reply| match reply {
            Reply::GetBalance(reply) => {
                let grants = &mut reply.balance.as_mut().unwrap().grants;
                grants
                    .last_mut()
                    .is_some_and(|grant| change(&mut grant.held))
            }
            _ => false,
        },
        |reply| match reply {
            Reply::GetBalance(reply) => {
                let grants = &mut reply.balance.as_mut().unwrap().grants;
                let enough = grants.len() > 1;
                grants.reverse();
                enough
            }
            _ => false,
        },
        |reply| match reply {
            Reply::ListEntries(reply) => reply.entries.pop().is_some(),
            _ => false,
        },
        |reply| match reply {
            Reply::Hold(reply) => {
                let hold = reply.hold.as_mut().unwrap();
                hold.expire_time.as_mut().unwrap().nanos ^= 1;
                true
            }
            _ => false,
        },
        |reply| match reply {
            Reply::GetHold(reply) => change(&mut reply.hold.as_mut().unwrap().request_id),
            _ => false,
        },
        |reply| match reply {
            Reply::ListHolds(reply) => reply
                .holds
                .first_mut()
                .is_some_and(|hold| hold.labels.insert("x".to_owned(), String::new()).is_none()),
            _ => false,
        },
        |reply| match reply {
            Reply::Grant(reply) => {
                reply.entry.as_mut().unwrap().priority ^= 1;
                true
            }
            _ => false,
        },
    ];
    for (number, mistake) in MISTAKES.into_iter().enumerate() {
        let wrong = Wrong {
            right: Modelled::factory(),
            calls: 0,
            mistake,
            made: false,
        };
        let outcome = run::run(Box::new(wrong), 1, OPERATIONS_IN_ONE);
        assert!(outcome.is_err(), "mistake {number} was not found");
    }
}

fn change(text: &mut String) -> bool {
    text.push('1');
    true
}
