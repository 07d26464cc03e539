//! Texts of labels that are erased: they are gone from the file, and the chain is what it was.

use std::collections::BTreeSet;
use std::path::Path;

use creditd::domain::Refusal;
use creditd::domain::ledger::EntryKind;
use creditd::rfc3339;
use creditd::server::files::{self, Erasure, ErasureReport};
use creditd::store::{EntryQuery, Store as _, StoreError};

use super::{PERSON, audit, findings_since, head, labelled, labels, open, small, update};
use crate::store::{Hand, batch, command, grant, name};
use crate::support::server::{Program, run};

fn erasure(keys: &[&str], before: Option<&str>, now: &str) -> Erasure {
    Erasure {
        account: name("team-a"),
        before: before.map(|time| rfc3339::parse(time).unwrap()),
        keys: keys
            .iter()
            .map(|key| (*key).into())
            .collect::<BTreeSet<_>>(),
        now: rfc3339::parse(now).unwrap(),
        request_hours: 72,
        request_days_credits: 90,
    }
}

fn erase(file: &Path, erasure: &Erasure) -> ErasureReport {
    files::erase(file, erasure, &mut |_, _| {}).unwrap()
}

/// How often a text stands in the file and in what SQLite has beside it.
fn occurrences(file: &Path, text: &str) -> usize {
    let mut count = 0;
    for more in ["", "-wal", "-shm"] {
        let mut path = file.as_os_str().to_owned();
        path.push(more);
        let bytes = std::fs::read(path).unwrap_or_default();
        let windows = bytes.windows(text.len());
        count += windows.filter(|window| *window == text.as_bytes()).count();
    }
    count
}

#[tokio::test]
async fn what_is_erased_is_gone_and_the_chain_stays() {
    let directory = tempfile::tempdir().unwrap();
    let file = small(directory.path()).await;
    let clock = Hand::new();
    clock.step(4);
    let store = open(&file, &clock);
    // Enough for snapshots of the account with its labels.
    for number in 0..4 {
        store.write_batch(batch(number, 20)).await.unwrap();
    }
    grant(&store, "team-a", "g9", "1000").await.unwrap();
    for number in 4..20 {
        store.write_batch(batch(number, 20)).await.unwrap();
    }
    drop(store);
    let kept = head(&file);
    let of_b = occurrences(&file, "\"g1\"");
    assert!(occurrences(&file, PERSON) > 10 && of_b > 0);

    // One key alone.
    let report = erase(&file, &erasure(&["customer"], None, "2026-06-01T00:00:00Z"));
    assert_eq!(
        (report.texts, report.rows, report.states, report.kept),
        (13, 13, 0, 0)
    );
    assert_eq!(findings_since(&file, &kept), Vec::<String>::new());
    // That of the account is another one.
    let report = erase(&file, &erasure(&["contact"], None, "2026-06-01T00:00:00Z"));
    assert_eq!((report.texts, report.rows, report.kept), (1, 1, 0));
    assert!(report.states >= 2, "{report:?}");
    assert_eq!(findings_since(&file, &kept), Vec::<String>::new());
    // What another account has is still there, and nothing else of the text.
    let store = open(&file, &clock);
    let query = || EntryQuery {
        limit: 1_000,
        ..EntryQuery::default()
    };
    let page = store.entries(name("team-a"), query()).await.unwrap();
    let charge = page
        .entries
        .iter()
        .rfind(|entry| matches!(entry.kind, EntryKind::Charge));
    assert_eq!(charge.unwrap().labels, labels(&[("job", "c1")]));
    let page = store.entries(name("team-b"), query()).await.unwrap();
    let others = page
        .entries
        .iter()
        .filter(|entry| !entry.labels.is_empty())
        .count();
    assert_eq!(others, 2);
    let account = store.account(name("team-a"), None).await.unwrap().account;
    assert_eq!(account.settings().unwrap().labels, labels(&[("crm", "42")]));
    // A request_id whose fingerprint is gone is refused, and charged by nobody twice.
    let again = labelled("team-a", "c1", &[("customer", PERSON), ("job", "c1")]);
    let refused = store.write(again).await.unwrap_err();
    let reused = matches!(
        refused,
        StoreError::Refused(Refusal::RequestIdReused { .. })
    );
    assert!(reused, "{refused:?}");
    drop(store);

    // All that is left, of both accounts.
    for account in ["team-a", "team-b"] {
        let mut all = erasure(&[], None, "2026-06-01T00:00:00Z");
        all.account = name(account);
        assert!(erase(&file, &all).texts > 0);
        assert_eq!(erase(&file, &all), ErasureReport::default());
    }
    assert_eq!(occurrences(&file, PERSON), 0);
    assert_eq!(occurrences(&file, "\"g1\""), 0);
    assert_eq!(findings_since(&file, &kept), Vec::<String>::new());
    // It goes on.
    let store = open(&file, &clock);
    store
        .write(command("team-a", "u9", update(&[("contact", "new")])))
        .await
        .unwrap();
    store
        .write(labelled("team-a", "c9", &[("customer", "new")]))
        .await
        .unwrap();
    drop(store);
    assert_eq!(findings_since(&file, &kept), Vec::<String>::new());
    assert_eq!(audit(&file).findings, Vec::<String>::new());
}

/// Only what is older than request_ids are known, and only what is asked for.
#[tokio::test]
async fn what_may_still_be_compared_is_kept() {
    // In the fixture: grants, a refund and a revocation with labels, and others, from midnight on.
    let cases = [
        (&[][..], None, "2026-01-03T23:00:00Z", (0, 14)),
        (&[], None, "2026-01-04T12:00:00Z", (17, 5)),
        (&[], None, "2026-04-02T00:00:00Z", (27, 0)),
        (&["job"], None, "2026-04-02T00:00:00Z", (13, 0)),
        (&["unknown"], None, "2026-04-02T00:00:00Z", (0, 0)),
        (
            &[],
            Some("2026-01-01T00:00:00Z"),
            "2026-04-02T00:00:00Z",
            (0, 0),
        ),
        (
            &[],
            Some("2026-02-01T00:00:00Z"),
            "2026-04-02T00:00:00Z",
            (27, 0),
        ),
    ];
    let directory = tempfile::tempdir().unwrap();
    let fixture = small(directory.path()).await;
    let kept = head(&fixture);
    let file = directory.path().join("case.db");
    for (keys, before, now, expected) in cases {
        std::fs::copy(&fixture, &file).unwrap();
        let report = erase(&file, &erasure(keys, before, now));
        assert_eq!(
            (report.texts, report.kept),
            expected,
            "{keys:?} {before:?} {now}"
        );
        assert_eq!(findings_since(&file, &kept), Vec::<String>::new());
    }
}

#[tokio::test]
async fn erasure_on_the_command_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = small(directory.path()).await;
    let erase = |args: &[&str]| {
        let args: Vec<&str> = ["erase", "--account"].iter().chain(args).copied().collect();
        run(directory.path(), &args)
    };
    let (status, _, err) = erase(&["team-c"]);
    assert_eq!(status, Some(1));
    assert!(
        err.contains("it has no account \"team-c\"; nothing was erased"),
        "{err}"
    );
    let (status, out, _) = erase(&["team-a", "--label", "contact", "--json"]);
    assert_eq!(status, Some(0));
    let printed: serde_json::Value = serde_json::from_str(&out).unwrap();
    let expected = serde_json::json!({
        "account": "team-a", "texts": 1, "rows": 1, "states": 1, "kept": 0
    });
    assert_eq!(printed, expected);
    let (status, out, err) = erase(&["team-a"]);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert_eq!(
        out,
        "erased 26 texts of team-a from 14 entries and 1 state\n"
    );
    let (_, out, _) = erase(&["team-a"]);
    assert_eq!(out, "nothing of team-a was erased\n");
    assert!(audit(&file).is_sound());
    for option in ["--request-id-hours=71", "--request-id-days-credits=4000"] {
        let (status, _, err) = erase(&["team-a", option]);
        assert_eq!(status, Some(2), "{err}");
    }
}

/// A server has the file to itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_in_use_is_not_erased() {
    let server = Program::start();
    let (status, _, err) = run(server.directory.path(), &["erase", "--account", "team-a"]);
    assert_eq!(status, Some(1));
    assert!(err.contains("another creditd is using it"), "{err}");
}
