//! What the books must contain, from the calls and their answers alone. The sums do not depend
//! on the order in which concurrent calls were done.

use std::collections::{BTreeMap, BTreeSet};

use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::pb::creditd::v1::EntryKind;

use super::books::{Books, Ledger, audit, billionths};
use super::call::{Call, Reply};
use super::load::Record;

/// What an account must have, by the answers.
#[derive(Default)]
struct Implied<'a> {
    /// Available and held together.
    total: i128,
    /// Every request_id that moved credits.
    moved: BTreeMap<&'a str, (EntryKind, &'a Reply)>,
    /// What each charge and settlement cost.
    costs: BTreeMap<&'a str, i128>,
    refunds: BTreeMap<&'a str, Refunds>,
    holds: BTreeMap<&'a str, Held>,
    /// What updates answered.
    updates: Vec<&'a pb::Account>,
}

#[derive(Default)]
struct Refunds {
    sum: i128,
    /// One of them asked for all that was left.
    whole: bool,
}

#[derive(Default)]
struct Held {
    at_first: i128,
    settled: i128,
    /// Settlements and releases that closed it.
    closed: usize,
    /// It may have ended by itself.
    brief: bool,
}

impl Held {
    fn left(&self) -> i128 {
        (self.at_first - self.settled).max(0)
    }
}

/// Compares the books of all accounts with what was answered.
pub async fn verify(records: &[Record], ledger: &mut Ledger) {
    let mut accounts: BTreeMap<&str, Implied> = BTreeMap::new();
    for record in records {
        for (place, answer) in record.answers.iter().enumerate() {
            let (account, request_id) = &record.keys[place];
            let Some(answer) = answer else {
                continue;
            };
            let implied = accounts.entry(account.as_str()).or_default();
            implied.add(&record.call, place, request_id, answer);
        }
    }
    for (account, implied) in &accounts {
        implied.compare(account, &audit(ledger, account).await);
        let request = pb::GetAccountRequest {
            account: (*account).to_owned(),
        };
        let reply = ledger.get_account(request).await.unwrap().into_inner();
        implied.compare_settings(&reply.account.unwrap());
    }
}

/// What an item of a call costs; the prices of the built-in card that the load uses.
fn cost(charge: &pb::ChargeRequest) -> i128 {
    match charge.what.as_ref().unwrap() {
        pb::charge_request::What::Credits(credits) => billionths(credits),
        pb::charge_request::What::Usage(usage) => match usage.service.as_str() {
            "lip_sync_video" => 248_000_000,
            "ai_scripts" => 600_000_000,
            other => panic!("{other}"),
        },
    }
}

impl<'a> Implied<'a> {
    fn add(&mut self, call: &'a Call, place: usize, request_id: &'a str, answer: &'a Reply) {
        let kind = match call {
            Call::Grant(request) => {
                self.total += billionths(&request.credits);
                EntryKind::Grant
            }
            Call::Charge(request) => self.charge(request, answer),
            Call::BatchCharge(request) => self.charge(&request.charges[place], answer),
            Call::Refund(request) => {
                let given = -billionths(&answer.entry.as_ref().unwrap().spent);
                if let Some(credits) = &request.credits {
                    assert_eq!(given, billionths(credits), "{answer:?}");
                }
                self.total += given;
                let refunds = self.refunds.entry(&request.entry_id).or_default();
                refunds.sum += given;
                refunds.whole |= request.credits.is_none();
                EntryKind::Refund
            }
            Call::Hold(request) => {
                let Some(pb::hold_request::What::Credits(credits)) = &request.what else {
                    panic!("the load holds amounts")
                };
                let state = answer.hold.as_ref().unwrap();
                assert_eq!(state.held, *credits, "{answer:?}");
                let held = self.holds.entry(&state.hold_id).or_default();
                held.at_first = billionths(credits);
                held.brief = request.ttl.is_some();
                EntryKind::Hold
            }
            Call::SettleHold(request) => {
                let Some(pb::settle_hold_request::What::Credits(credits)) = &request.what else {
                    panic!("the load settles amounts")
                };
                let cost = billionths(credits);
                self.spend(answer, cost);
                let held = self.holds.entry(&request.hold_id).or_default();
                held.settled += cost;
                held.closed += usize::from(!request.keep_open);
                EntryKind::Settle
            }
            Call::ReleaseHold(request) => {
                self.holds.entry(&request.hold_id).or_default().closed += 1;
                EntryKind::Release
            }
            // They move nothing.
            Call::ExtendHold(_) => return,
            Call::UpdateAccount(_) => return self.updates.push(answer.account.as_ref().unwrap()),
            other => panic!("not a call of the load: {other:?}"),
        };
        let before = self.moved.insert(request_id, (kind, answer));
        assert!(before.is_none(), "{request_id} was sent twice as another");
    }

    fn charge(&mut self, request: &'a pb::ChargeRequest, answer: &'a Reply) -> EntryKind {
        self.spend(answer, cost(request));
        EntryKind::Charge
    }

    fn spend(&mut self, answer: &'a Reply, cost: i128) {
        let entry = answer.entry.as_ref().unwrap();
        assert_eq!(billionths(&entry.spent), cost, "{entry:?}");
        self.total -= cost;
        self.costs.insert(&entry.entry_id, cost);
    }

    fn compare(&self, account: &str, books: &Books) {
        let total = billionths(&books.balance.available) + billionths(&books.balance.held);
        assert_eq!(total, self.total, "{account}: available and held");

        // Neither an entry too few nor one too many.
        let entries: BTreeMap<&str, &pb::Entry> = (books.entries.iter())
            .filter(|entry| !entry.request_id.is_empty())
            .map(|entry| (entry.request_id.as_str(), entry))
            .collect();
        let written: BTreeSet<_> = entries.keys().copied().collect();
        let answered: BTreeSet<_> = self.moved.keys().copied().collect();
        let lost: Vec<_> = answered.difference(&written).collect();
        let refused: Vec<_> = written.difference(&answered).collect();
        assert!(lost.is_empty(), "{account}: answered and lost: {lost:?}");
        assert!(
            refused.is_empty(),
            "{account}: refused and written: {refused:?}"
        );
        for (request_id, (kind, answer)) in &self.moved {
            let entry = entries[request_id];
            assert_eq!(entry.kind(), *kind);
            if let Some(answered) = &answer.entry {
                let mut entry = pb::Entry::clone(entry);
                if answered.grants.is_empty() {
                    // It was answered in a batch.
                    entry.grants.clear();
                }
                assert_eq!(entry, *answered, "{account}: not as answered");
            }
            if let Some(hold) = &answer.hold {
                assert_eq!(entry.hold_id, hold.hold_id);
            }
        }
        for (entry_id, refunds) in &self.refunds {
            let cost = self.costs[entry_id];
            let fits = refunds.sum == cost || (!refunds.whole && refunds.sum < cost);
            assert!(fits, "{account}: {entry_id} cost {cost}");
        }
        self.compare_holds(account, books);
    }

    /// One of the updates was the last, and each sets the same settings.
    fn compare_settings(&self, account: &pb::Account) {
        let settings = |account: &pb::Account| (account.rate_card.clone(), account.labels.clone());
        let mut answered = self.updates.iter().map(|answer| settings(answer));
        let found = match self.updates.is_empty() {
            true => settings(account) == settings(&pb::Account::default()),
            false => answered.any(|answered| answered == settings(account)),
        };
        assert!(found, "no update answered this: {account:?}");
    }

    fn compare_holds(&self, account: &str, books: &Books) {
        let mut open: BTreeMap<&str, &pb::HoldState> = (books.holds.iter())
            .map(|hold| (hold.hold_id.as_str(), hold))
            .collect();
        for (hold_id, held) in &self.holds {
            assert!(held.closed <= 1, "{account}: {hold_id} was closed twice");
            let Some(state) = open.remove(hold_id) else {
                assert!(held.closed == 1 || held.brief, "{account}: no {hold_id}");
                continue;
            };
            assert_eq!(held.closed, 0, "{account}: {state:?}");
            assert_eq!(billionths(&state.held), held.left(), "{account}: {state:?}");
            assert_eq!(billionths(&state.settled), held.settled, "{account}");
        }
        assert!(open.is_empty(), "{account}: nobody made {open:?}");
    }
}
