//! Concurrent callers: credits are spent once, and the books add up.

use std::collections::{BTreeMap, BTreeSet};

use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::pb::creditd::v1::EntryKind;

use crate::support::books::{Books, Ledger, amount, audit, audit_by, billionths};
use crate::support::call::{Call, Reply};
use crate::support::outcome::{Outcome, at_once, tally};
use crate::support::requests::{
    batch, charge, extend, get_hold, hold, hold_for, refund, release, settle,
};
use crate::support::server::Server;
use crate::support::{PATIENCE, grant};

/// A server and so many connections to it.
async fn server(connections: usize) -> (Server, Vec<Ledger>) {
    let server = Server::start();
    let mut ledgers = Vec::new();
    for _ in 0..connections {
        ledgers.push(server.ledger().await);
    }
    (server, ledgers)
}

async fn open(ledgers: &[Ledger], account: &str, credits: &str) {
    let granted = grant("open", account, credits);
    ledgers[0].clone().grant(granted).await.unwrap();
}

/// One outcome a call.
async fn race(ledgers: &[Ledger], calls: Vec<Call>) -> Vec<Outcome> {
    let outcomes = at_once(ledgers, calls).await;
    outcomes.into_iter().flatten().collect()
}

async fn one(ledgers: &[Ledger], call: Call) -> Reply {
    let mut outcomes = call.outcomes(&mut ledgers[0].clone()).await;
    outcomes.remove(0).done()
}

/// "OK 6, INSUFFICIENT_CREDITS 14" in the order of the alphabet.
fn reasons(outcomes: &[Outcome]) -> String {
    let counts = tally(outcomes);
    let parts: Vec<_> = counts.iter().map(|(k, n)| format!("{k} {n}")).collect();
    parts.join(", ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_at_once_set_aside_what_there_is() {
    let (_server, ledgers) = server(4).await;
    for round in 0..10 {
        let account = format!("team-{round}");
        open(&ledgers, &account, "500").await;
        let calls = (0..20).map(|n| Call::Hold(hold(&format!("h{n}"), &account, "75")));
        let outcomes = race(&ledgers, calls.collect()).await;
        assert_eq!(reasons(&outcomes), "INSUFFICIENT_CREDITS 14, OK 6");
        for outcome in &outcomes {
            let Outcome::Refused(refusal) = outcome else {
                continue;
            };
            let metadata = &refusal.metadata;
            assert_eq!(metadata["required"], "75");
            assert_eq!(metadata["available"], "50");
            assert_eq!(metadata["shortfall"], "25");
        }
        let books = audit(&mut ledgers[1].clone(), &account).await;
        assert_eq!(books.sums(), ("50", "450"));
        assert_eq!(books.holds.len(), 6);
        assert_eq!(books.entries.len(), 7);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn charges_at_once_spend_each_credit_once() {
    let (_server, ledgers) = server(8).await;
    open(&ledgers, "team-a", "1000").await;
    let calls = (0..3_000).map(|n| Call::Charge(charge(&format!("c{n}"), "team-a", "1")));
    let outcomes = race(&ledgers, calls.collect()).await;
    assert_eq!(reasons(&outcomes), "INSUFFICIENT_CREDITS 2000, OK 1000");
    let mut left = BTreeSet::new();
    for outcome in outcomes {
        match outcome {
            Outcome::Done { answer, .. } => {
                let available = answer.entry.unwrap().available;
                assert_eq!(answer.available.as_ref(), Some(&available));
                assert!(left.insert(billionths(&available) / 1_000_000_000));
            }
            Outcome::Refused(refusal) => assert_eq!(refusal.metadata["available"], "0"),
            other => panic!("{other:?}"),
        }
    }
    // Each was told another rest.
    assert_eq!(left, (0..1_000).collect());
    // In pages that do not come out even.
    let books = audit_by(&mut ledgers[0].clone(), "team-a", 37).await;
    assert_eq!(books.sums(), ("0", "0"));
    assert_eq!(books.entries.len(), 1_001);
}

/// 32 times the same call: one is done, and all get the same answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_id_moves_once_whatever_the_verb() {
    let (_server, ledgers) = server(4).await;
    open(&ledgers, "team-a", "1000").await;
    let paid = one(&ledgers, Call::Charge(charge("paid", "team-a", "40"))).await;
    let paid = &paid.entry.as_ref().unwrap().entry_id;
    let mut kept = Vec::new();
    for n in 0..3 {
        let held = one(&ledgers, Call::Hold(hold(&format!("k{n}"), "team-a", "30"))).await;
        kept.push(held.hold.as_ref().unwrap().hold_id.clone());
    }
    // Call; available and held after it.
    let table = [
        (Call::Grant(grant("g", "team-a", "5")), "875", "90"),
        (Call::Charge(charge("c", "team-a", "7.5")), "867.5", "90"),
        (Call::Hold(hold("h", "team-a", "20")), "847.5", "110"),
        (
            Call::Refund(refund("r1", "team-a", paid, Some("4.25"))),
            "851.75",
            "110",
        ),
        (
            Call::Refund(refund("r2", "team-a", paid, None)),
            "887.5",
            "110",
        ),
        (
            Call::ExtendHold(extend("x", "team-a", &kept[0], 7_200_000)),
            "887.5",
            "110",
        ),
        (
            Call::SettleHold(settle("s", "team-a", &kept[0], "12")),
            "905.5",
            "80",
        ),
        (
            Call::SettleHold(pb::SettleHoldRequest {
                keep_open: true,
                ..settle("p", "team-a", &kept[1], "12")
            }),
            "905.5",
            "68",
        ),
        (
            Call::ReleaseHold(release("l", "team-a", &kept[2])),
            "935.5",
            "38",
        ),
    ];
    for (call, available, held) in table {
        let outcomes = race(&ledgers, vec![call.clone(); 32]).await;
        assert_eq!(reasons(&outcomes), "OK 1, REPLAYED 31", "{call:?}");
        let answers: Vec<Reply> = outcomes.into_iter().map(Outcome::done).collect();
        for answer in &answers {
            assert_eq!(*answer, answers[0], "{call:?}");
        }
        let books = audit(&mut ledgers[0].clone(), "team-a").await;
        assert_eq!(books.sums(), (available, held), "{call:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refunds_at_once_never_exceed_the_charge() {
    let (_server, ledgers) = server(4).await;
    for (account, parts, expected, available) in [
        // 33 times 3 of 100, then 1 is left.
        (
            "part",
            vec![Some("3"); 60],
            "OK 33, REFUND_EXCEEDS_CHARGE 27",
            "199",
        ),
        (
            "whole",
            vec![None; 16],
            "OK 1, REFUND_EXCEEDS_CHARGE 15",
            "200",
        ),
        (
            "hair",
            vec![Some("99.999999999"); 16],
            "OK 1, REFUND_EXCEEDS_CHARGE 15",
            "199.999999999",
        ),
    ] {
        open(&ledgers, account, "200").await;
        let paid = one(&ledgers, Call::Charge(charge("paid", account, "100"))).await;
        let paid = &paid.entry.as_ref().unwrap().entry_id;
        let calls = (0..).zip(parts).map(|(n, part)| {
            let id = format!("r{n}");
            Call::Refund(refund(&id, account, paid, part))
        });
        let outcomes = race(&ledgers, calls.collect()).await;
        assert_eq!(reasons(&outcomes), expected, "{account}");
        let books = audit(&mut ledgers[0].clone(), account).await;
        assert_eq!(books.sums(), (available, "0"), "{account}");
    }

    // Parts and the whole: together they are the charge.
    open(&ledgers, "mixed", "200").await;
    let paid = one(&ledgers, Call::Charge(charge("paid", "mixed", "100"))).await;
    let paid = &paid.entry.as_ref().unwrap().entry_id;
    let calls = (0..40).map(|n| {
        let part = (n % 8 != 7).then_some("2.5");
        Call::Refund(refund(&format!("r{n}"), "mixed", paid, part))
    });
    race(&ledgers, calls.collect()).await;
    let books = audit(&mut ledgers[0].clone(), "mixed").await;
    assert_eq!(books.sums(), ("200", "0"));
    assert!(
        (books.of_kind(EntryKind::Refund).iter()).all(|entry| entry.refunded_entry_id == *paid)
    );
}

/// A charge is refunded in parts while a hold is settled in parts, and each
/// settlement is refunded as soon as it is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refunds_race_settlements() {
    let (_server, ledgers) = server(4).await;
    open(&ledgers, "team-a", "200").await;
    let paid = one(&ledgers, Call::Charge(charge("paid", "team-a", "100"))).await;
    let paid = paid.entry.as_ref().unwrap().entry_id.clone();
    let held = one(&ledgers, Call::Hold(hold("held", "team-a", "90"))).await;
    let held = held.hold.as_ref().unwrap().hold_id.clone();

    let settlements: Vec<_> = (0..30)
        .map(|n| {
            let (ledgers, held) = (ledgers.clone(), held.clone());
            tokio::spawn(async move {
                let part = pb::SettleHoldRequest {
                    keep_open: true,
                    ..settle(&format!("s{n}"), "team-a", &held, "2")
                };
                let mut outcomes = Call::SettleHold(part)
                    .outcomes(&mut ledgers[n % 4].clone())
                    .await;
                let settled = outcomes.remove(0).done();
                let entry = &settled.entry.as_ref().unwrap().entry_id;
                let calls = (0..3).map(|part| {
                    let id = format!("s{n}-r{part}");
                    Call::Refund(refund(&id, "team-a", entry, Some("1")))
                });
                race(&ledgers, calls.collect()).await
            })
        })
        .collect();
    let calls = (0..60).map(|n| {
        let id = format!("r{n}");
        Call::Refund(refund(&id, "team-a", &paid, Some("3")))
    });
    let refunds = race(&ledgers, calls.collect()).await;
    assert_eq!(reasons(&refunds), "OK 33, REFUND_EXCEEDS_CHARGE 27");
    for settlement in settlements {
        let outcomes = settlement.await.unwrap();
        assert_eq!(reasons(&outcomes), "OK 2, REFUND_EXCEEDS_CHARGE 1");
    }
    // 200 - 100 - 90, and 99 and 60 came back.
    let books = audit(&mut ledgers[0].clone(), "team-a").await;
    assert_eq!(books.sums(), ("169", "30"));
    assert_eq!(books.holds[0].settled, "60");
}

/// Whatever closes the hold first, closes it alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_is_closed_once() {
    let (_server, ledgers) = server(4).await;
    open(&ledgers, "team-a", "1000").await;
    let mut settled = 0;
    for round in 0..20 {
        let id = |verb: &str, n: usize| format!("{verb}{round}-{n}");
        let held = one(&ledgers, Call::Hold(hold(&id("h", 0), "team-a", "10"))).await;
        let held = &held.hold.as_ref().unwrap().hold_id;
        let mut calls = Vec::new();
        for n in 0..4 {
            let mut next = [
                Call::ExtendHold(extend(&id("x", n), "team-a", held, 60_000)),
                Call::SettleHold(settle(&id("s", n), "team-a", held, "4")),
                Call::ReleaseHold(release(&id("l", n), "team-a", held)),
            ];
            // Each kind comes first at times.
            next.rotate_left(round % 3);
            calls.extend(next);
        }
        let outcomes = race(&ledgers, calls.clone()).await;
        let mut winner = None;
        for (call, outcome) in calls.iter().zip(&outcomes) {
            match (call, outcome.reason()) {
                (Call::ExtendHold(_), "OK") | (_, "HOLD_CLOSED") => {}
                (_, "OK") => assert!(winner.replace(call).is_none(), "closed twice"),
                (_, other) => panic!("{call:?}: {other}"),
            }
        }
        let reply = (ledgers[1].clone().get_hold(get_hold("team-a", held))).await;
        let state = reply.unwrap().into_inner().hold.unwrap();
        let (status, cost) = match winner.expect("it was closed") {
            Call::SettleHold(_) => (pb::HoldStatus::Settled, 4),
            _ => (pb::HoldStatus::Released, 0),
        };
        settled += cost;
        assert_eq!(state.status(), status);
        assert_eq!(state.held, "0");
        assert_eq!(state.settled, cost.to_string());
        // Every other call on it is told how it ended.
        let late = race(&ledgers, vec![calls[0].clone(), calls[1].clone()]).await;
        for outcome in &late {
            let Outcome::Refused(refusal) = outcome else {
                assert_eq!(outcome.reason(), "REPLAYED");
                continue;
            };
            assert_eq!(refusal.reason, "HOLD_CLOSED");
            assert_eq!(refusal.metadata["hold_id"], *held);
        }
    }
    let books = audit(&mut ledgers[0].clone(), "team-a").await;
    assert_eq!(books.sums(), (format!("{}", 1000 - settled).as_str(), "0"));
    assert!(books.holds.is_empty());
}

/// Settlements in parts until the hold expires: what was answered was paid, the rest came
/// back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settlements_race_the_end_of_the_hold() {
    let (_server, ledgers) = server(4).await;
    open(&ledgers, "team-a", "1000").await;
    let tasks: Vec<_> = (0..8_usize)
        .map(|worker| {
            let mut ledger = ledgers[worker % 4].clone();
            tokio::spawn(async move {
                let millis = 20 + 15 * u64::try_from(worker).unwrap();
                let held = hold_for(&format!("h{worker}"), "team-a", "100", millis);
                let reply = ledger.hold(held).await.unwrap().into_inner();
                let held = reply.hold.unwrap().hold_id;
                for part in 0.. {
                    let request = pb::SettleHoldRequest {
                        keep_open: true,
                        ..settle(&format!("s{worker}-{part}"), "team-a", &held, "0.01")
                    };
                    let outcome = Call::SettleHold(request)
                        .outcomes(&mut ledger)
                        .await
                        .remove(0);
                    match outcome.reason() {
                        "OK" => {}
                        "HOLD_CLOSED" => return (held, part),
                        other => panic!("{other}"),
                    }
                }
                unreachable!()
            })
        })
        .collect();
    let mut spent = 0;
    for task in tasks {
        let (held, parts) = tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap();
        let cost = i128::from(parts) * 10_000_000;
        spent += cost;
        let reply = (ledgers[0].clone().get_hold(get_hold("team-a", &held))).await;
        let state = reply.unwrap().into_inner().hold.unwrap();
        assert_eq!(state.status(), pb::HoldStatus::Expired);
        assert_eq!(state.settled, amount(cost));
    }
    let books = audit(&mut ledgers[0].clone(), "team-a").await;
    assert_eq!(
        books.sums(),
        (amount(1_000_000_000_000 - spent).as_str(), "0")
    );
    // Each release is dated at the end of its hold.
    let releases = books.of_kind(EntryKind::Release);
    assert_eq!(releases.len(), 8);
}

/// Batches over the same accounts, each sent twice: all credits are spent, none twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_share_accounts() {
    let (_server, ledgers) = server(4).await;
    let accounts = ["team-a", "team-b", "team-c"];
    for account in accounts {
        open(&ledgers, account, "100").await;
    }
    let mut calls = Vec::new();
    for n in 0..8 {
        let items = (0..90).map(|item| {
            let account = accounts[(item + n) % 3];
            charge(&format!("b{n}-{item}"), account, "1")
        });
        let same = Call::BatchCharge(batch(items.collect()));
        calls.extend([same.clone(), same]);
    }
    let outcomes = at_once(&ledgers, calls.clone()).await;
    let mut answers: BTreeMap<(String, String), Reply> = BTreeMap::new();
    let mut moved = 0;
    for (call, outcomes) in calls.iter().zip(outcomes) {
        for (key, outcome) in call.keys().into_iter().zip(outcomes) {
            match outcome {
                Outcome::Done { answer, replayed } => {
                    moved += usize::from(!replayed);
                    let first = answers.entry(key).or_insert_with(|| (*answer).clone());
                    assert_eq!(*first, *answer);
                }
                Outcome::Refused(refusal) => {
                    assert_eq!(refusal.reason, "INSUFFICIENT_CREDITS");
                    assert_eq!(refusal.metadata["available"], "0");
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!((moved, answers.len()), (300, 300));
    for account in accounts {
        let books = audit(&mut ledgers[0].clone(), account).await;
        assert_eq!(books.sums(), ("0", "0"));
        assert_eq!(books.entries.len(), 101);
    }

    // Within one batch items count as sent one after another.
    open(&ledgers, "team-d", "2").await;
    let twice = charge("same", "team-d", "1.5");
    let items = vec![twice.clone(), charge("other", "team-d", "1"), twice];
    let outcomes = race(&ledgers, vec![Call::BatchCharge(batch(items))]).await;
    let in_order: Vec<&str> = outcomes.iter().map(Outcome::reason).collect();
    assert_eq!(in_order, ["OK", "INSUFFICIENT_CREDITS", "REPLAYED"]);
}

/// After the reply that an account is open anybody can spend from it, over any connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_race_to_open_an_account_and_the_first_spends() {
    let (_server, ledgers) = server(4).await;
    for round in 0..15 {
        let account = format!("new-{round}");
        // Some spend without having heard of anything.
        let eager = tokio::spawn({
            let (ledgers, account) = (ledgers.clone(), account.clone());
            async move {
                let calls =
                    (0..6).map(|n| Call::Charge(charge(&format!("e{n}"), &account, "0.01")));
                race(&ledgers, calls.collect()).await
            }
        });
        let heard: Vec<_> = (0..4)
            .map(|n| {
                let (mut granting, mut spending) =
                    (ledgers[n].clone(), ledgers[(n + 1) % 4].clone());
                let account = account.clone();
                tokio::spawn(async move {
                    let request = grant(&format!("g{n}"), &account, "5");
                    granting.grant(request).await.unwrap();
                    let request = charge(&format!("c{n}"), &account, "4.5");
                    spending.charge(request).await.unwrap();
                })
            })
            .collect();
        for task in heard {
            task.await.unwrap();
        }
        let outcomes = eager.await.unwrap();
        let counts = tally(&outcomes);
        for reason in counts.keys() {
            let expected = ["OK", "ACCOUNT_NOT_FOUND"].contains(&reason.as_str());
            assert!(expected, "{reason}");
        }
        let eager = i128::try_from(*counts.get("OK").unwrap_or(&0)).unwrap();
        let books: Books = audit(&mut ledgers[0].clone(), &account).await;
        let left = amount(2_000_000_000 - eager * 10_000_000);
        assert_eq!(books.sums(), (left.as_str(), "0"));
        assert_eq!(books.entries[0].kind(), EntryKind::Grant);
    }
}
