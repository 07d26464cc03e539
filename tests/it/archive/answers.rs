//! What callers see of an account whose older entries are archived, over the wire.

use std::path::PathBuf;

use creditd::domain::ledger::{AccountId as _, EntryId, GrantId, HoldId};
use creditd::rfc3339;
use creditd::rpc::convert::timestamp_to_pb;
use creditd::rpc::pb::creditd::v1 as pb;

use creditd::server::SystemClock;
use creditd::store::Clock as _;

use super::{cut_at, number, time};
use crate::chain::small;
use crate::cli_ledger::on;
use crate::store::name;
use crate::support::books::Ledger;
use crate::support::refusal::{Refusal, refused};
use crate::support::requests::{charge, extend, get_hold, refund, release, settle};
use crate::support::server::Server;

/// A server over a file with rows of every kind, cut behind that row.
async fn cut_server(position: i64) -> (Server, Ledger) {
    let directory = tempfile::tempdir().unwrap();
    let file: PathBuf = small(directory.path()).await;
    cut_at(&file, 1, position);
    let server = serve(directory);
    let ledger = server.ledger().await;
    (server, ledger)
}

/// However long ago the file was written.
fn serve(directory: tempfile::TempDir) -> Server {
    let now = rfc3339::format(SystemClock.now());
    Server::start_in(directory, &["--accept-clock", &now])
}

fn assert_archived(refusal: &Refusal) {
    assert_eq!(refusal.reason, "HISTORY_ARCHIVED", "{refusal:?}");
    assert_eq!(refusal.code, tonic::Code::FailedPrecondition);
    assert_eq!(refusal.metadata["account"], "team-a");
    assert_eq!(refusal.metadata["archive"], "1");
    assert!(rfc3339::parse(&refusal.metadata["oldest_time"]).is_some());
}

fn entry_id(number: i64) -> String {
    EntryId(number).text(&name("team-a"))
}

fn hold_id(number: i64) -> String {
    HoldId(number).text(&name("team-a"))
}

/// Of team-a entry 4 is a charge at position 5, hold 1 was settled at 8, hold 2 released at 11, and
/// hold 3 is open at the cut and expires later.
#[tokio::test(flavor = "multi_thread")]
async fn what_needs_archived_entries_is_refused_as_that() {
    let (_server, mut ledger) = cut_server(15).await;
    let refusal = refused(
        ledger
            .refund(refund("r", "team-a", &entry_id(4), None))
            .await,
    );
    assert_archived(&refusal);
    let closed = hold_id(2);
    assert_archived(&refused(ledger.get_hold(get_hold("team-a", &closed)).await));
    let calls = [
        refused(
            ledger
                .settle_hold(settle("s", "team-a", &closed, "1"))
                .await,
        ),
        refused(ledger.release_hold(release("l", "team-a", &closed)).await),
        refused(
            ledger
                .extend_hold(extend("x", "team-a", &closed, 7_200_000))
                .await,
        ),
        refused(
            ledger
                .list_entries(pb::ListEntriesRequest {
                    account: "team-a".to_owned(),
                    hold_id: closed.clone(),
                    ..pb::ListEntriesRequest::default()
                })
                .await,
        ),
        refused(
            ledger
                .get_balance(pb::GetBalanceRequest {
                    account: "team-a".to_owned(),
                    as_of: Some(timestamp_to_pb(time("2026-01-01T00:00:00Z"))),
                })
                .await,
        ),
    ];
    calls.iter().for_each(assert_archived);
    // What never was is not in an archive.
    for (call, reason) in [
        (
            refused(
                ledger
                    .refund(refund("r", "team-a", &entry_id(99), None))
                    .await,
            ),
            "ENTRY_NOT_FOUND",
        ),
        (
            refused(ledger.refund(refund("r", "team-a", "e4-0000", None)).await),
            "ENTRY_NOT_FOUND",
        ),
        (
            refused(ledger.get_hold(get_hold("team-a", &hold_id(9))).await),
            "HOLD_NOT_FOUND",
        ),
    ] {
        assert_eq!(call.reason, reason, "{call:?}");
    }
    // A hold that was open at the cut is known with its terms, also once it has expired.
    let held = ledger.get_hold(get_hold("team-a", &hold_id(3))).await;
    let held = held.unwrap().into_inner().hold.unwrap();
    assert_eq!(held.request_id, "h3");
    assert_eq!(held.status(), pb::HoldStatus::Expired);
    // So is every grant: one that was revoked long ago is revoked again.
    let revoke = pb::RevokeGrantRequest {
        request_id: "again".to_owned(),
        account: "team-a".to_owned(),
        grant_id: GrantId(3).text(&name("team-a")),
        ..pb::RevokeGrantRequest::default()
    };
    let entry = ledger.revoke_grant(revoke).await.unwrap().into_inner();
    assert_eq!(entry.entry.unwrap().credits, "0");
    // A request_id that was archived may count as new, and is none that is damaged.
    let again = ledger.charge(charge("c1", "team-a", "1")).await.unwrap();
    assert!(!again.into_inner().replayed);
}

/// Lists end at the opening, and say so where entries before it could match.
#[tokio::test(flavor = "multi_thread")]
async fn lists_end_at_the_opening_balance() {
    let (server, mut ledger) = cut_server(15).await;
    let oldest = number(
        &server.data(),
        "SELECT create_time FROM openings WHERE account_id = 1",
    );
    let oldest = creditd::domain::Timestamp::from_unix_nanos(oldest.unwrap());
    let request = || pb::ListEntriesRequest {
        account: "team-a".to_owned(),
        page_size: 2,
        ..pb::ListEntriesRequest::default()
    };
    let after = |nanos| Some(timestamp_to_pb(oldest.plus_nanos(nanos)));
    let kinds = |kind: pb::EntryKind| vec![kind.into()];
    for (request, entries, ends_there) in [
        (request(), 3, true),
        (
            pb::ListEntriesRequest {
                kinds: kinds(pb::EntryKind::Charge),
                ..request()
            },
            1,
            true,
        ),
        (
            pb::ListEntriesRequest {
                kinds: kinds(pb::EntryKind::Grant),
                ..request()
            },
            0,
            true,
        ),
        (
            pb::ListEntriesRequest {
                service: "lip_sync_video".to_owned(),
                ..request()
            },
            1,
            true,
        ),
        (
            pb::ListEntriesRequest {
                key_id: "app".to_owned(),
                ..request()
            },
            0,
            true,
        ),
        (
            pb::ListEntriesRequest {
                start_time: after(0),
                ..request()
            },
            3,
            true,
        ),
        (
            pb::ListEntriesRequest {
                start_time: after(1),
                ..request()
            },
            3,
            false,
        ),
        (
            pb::ListEntriesRequest {
                end_time: after(0),
                ..request()
            },
            0,
            true,
        ),
        (
            pb::ListEntriesRequest {
                end_time: after(1),
                start_time: after(1),
                ..request()
            },
            0,
            false,
        ),
        // Open at the cut, and made before it.
        (
            pb::ListEntriesRequest {
                hold_id: hold_id(3),
                ..request()
            },
            1,
            true,
        ),
    ] {
        let (mut page_request, mut found) = (request.clone(), 0);
        let opening = loop {
            let page = ledger
                .list_entries(page_request.clone())
                .await
                .unwrap()
                .into_inner();
            found += page.entries.len();
            if page.next_page_token.is_empty() {
                break page.opening_balance;
            }
            assert_eq!(page.opening_balance, None, "{request:?}");
            page_request.page_token = page.next_page_token;
        };
        assert_eq!(found, entries, "{request:?}");
        assert_eq!(opening.is_some(), ends_there, "{request:?}");
        let Some(opening) = opening else { continue };
        // 100, 5 and 4 granted, 4 revoked, 0.248 settled and 0.248 held; a charge was refunded.
        assert_eq!(opening.available, "104.504", "{request:?}");
        assert_eq!((&*opening.held, opening.archive), ("0.248", 1));
        assert_eq!(opening.entry_id, entry_id(11));
        assert_eq!(opening.create_time, Some(timestamp_to_pb(oldest)));
    }
    // A token of before the cut, whose page is archived.
    let (_, out, _) = on(&server, "entries team-a --all");
    let last = out.lines().last().unwrap();
    let (id, at) = (entry_id(11), rfc3339::format(oldest));
    assert_eq!(
        last,
        format!(
            "opening balance 104.504, held 0.248, after {id} at {at}; older entries are in archive 1"
        )
    );
    let (_, out, _) = on(&server, "entries team-a --json");
    let lines: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[3]["opening_balance"]["available"], "104.504");
    // What is not listed stands between.
    for line in [
        "entries team-a --limit 2",
        "entries team-a --limit 2 --json",
    ] {
        let (_, out, _) = on(&server, line);
        assert!(!out.contains("opening"), "{out}");
    }
}

/// An archive is a data file: a server over a copy of it answers what the other refuses.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_answers_what_was() {
    let (server, _) = cut_server(15).await;
    let past = tempfile::tempdir().unwrap();
    let archive = server.directory.path().join("archive-1.db");
    std::fs::copy(archive, past.path().join("creditd.db")).unwrap();
    let past = serve(past);
    let mut ledger = past.ledger().await;
    let held = ledger.get_hold(get_hold("team-a", &hold_id(2))).await;
    let held = held.unwrap().into_inner().hold.unwrap();
    assert_eq!(held.status(), pb::HoldStatus::Released);
    let (_, out, _) = on(&past, "entries team-a --all");
    assert!(
        out.contains(&entry_id(4)) && !out.contains("opening"),
        "{out}"
    );
}

/// UPDATE=1 writes down what the program says; what it should say is still for people to decide.
#[tokio::test(flavor = "multi_thread")]
async fn commands_answer_as_written() {
    let (server, _) = cut_server(15).await;
    tokio::task::spawn_blocking(move || {
        crate::cli_ledger::story("tests/data/command-line-archive.txt", &server, 9);
    })
    .await
    .unwrap();
}
