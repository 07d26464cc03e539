//! Files that go on from a head, or do not.

use creditd::store::Store as _;

use super::{audit, findings_since, head, open, small, sql};
use crate::migration::{SETTINGS, version_3};
use crate::store::{Hand, charge, command, one_credit, open_with};
use crate::support::server::run;

#[tokio::test]
async fn a_file_that_goes_on_and_one_that_was_cut() {
    let directory = tempfile::tempdir().unwrap();
    let file = small(directory.path()).await;
    let older = directory.path().join("older.db");
    std::fs::copy(&file, &older).unwrap();
    let first = head(&file);
    assert_eq!(findings_since(&file, &first), Vec::<String>::new());
    let clock = Hand::new();
    clock.step(4);
    let store = open(&file, &clock);
    for number in 0..3 {
        charge(&store, "team-b", &format!("more-{number}"))
            .await
            .unwrap();
    }
    drop(store);
    let second = head(&file);
    assert_ne!(first, second);
    // A head without any rows is of every file.
    let empty = directory.path().join("empty.db");
    drop(open(&empty, &clock));
    for since in [&head(&empty), &first, &second] {
        assert_eq!(
            findings_since(&file, since),
            Vec::<String>::new(),
            "{since}"
        );
    }
    // Its newest rows were removed. By itself it is sound.
    assert!(audit(&older).is_sound());
    let findings = findings_since(&older, &second);
    let end = "so its newest ones were removed, or this is a copy of before then, or the head is of another file";
    assert!(findings[0].ends_with(end), "{findings:?}");
    // One that went on in another way has as many rows.
    let store = open(&older, &clock);
    for number in 0..3 {
        let other = command("team-b", &format!("other-{number}"), one_credit());
        store.write(other).await.unwrap();
    }
    drop(store);
    assert_eq!(findings_since(&older, &first), Vec::<String>::new());
    let findings = findings_since(&older, &second);
    assert!(
        findings[0].contains("or the head is of another file"),
        "{findings:?}"
    );
}

/// Somebody changes old entries and computes all hashes again, as the migration of an older file
/// does it.
#[tokio::test]
async fn a_chain_that_was_computed_again_does_not_go_on() {
    let edits = [
        "UPDATE entries SET fingerprint = randomblob(16) WHERE position = 9",
        "UPDATE grants SET source = 'gift' WHERE account_id = 1",
        "UPDATE grants SET priority = 9 WHERE account_id = 2",
        "UPDATE entries SET labels = '{\"a\":\"1\"}' WHERE position = 9",
        "UPDATE accounts SET name = 'team-z' WHERE account_id = 2",
    ];
    let directory = tempfile::tempdir().unwrap();
    let clock = Hand::new();
    let older = version_3(directory.path(), &clock).await;
    let (file, forged) = (
        directory.path().join("file.db"),
        directory.path().join("forged.db"),
    );
    std::fs::copy(&older, &file).unwrap();
    drop(open_with(&file, &clock, SETTINGS));
    let kept = head(&file);
    // The migration computes what the server that wrote the entries computed.
    assert_eq!(head(&directory.path().join("newer.db")), kept);
    for edit in edits {
        std::fs::copy(&older, &forged).unwrap();
        sql(&forged, edit);
        drop(open_with(&forged, &clock, SETTINGS));
        let by_itself = audit(&forged);
        assert_eq!(by_itself.findings, Vec::<String>::new(), "{edit}");
        let findings = findings_since(&forged, &kept);
        assert_eq!(findings.len(), 1, "{edit}: {findings:?}");
        let start = format!("it does not go on from the head {kept}: ");
        assert!(findings[0].starts_with(&start), "{findings:?}");
    }
    // What is older than chains can be proved as far as it goes, and has no head.
    let report = audit(&older);
    assert!(report.is_sound() && report.head.is_none());
    for option in [vec!["--head"], vec!["--since", &kept]] {
        let mut args = vec!["audit", "--data", "creditd.db"];
        args.extend(&option);
        let (status, _, err) = run(directory.path(), &args);
        assert_eq!(status, Some(1), "{err}");
        assert!(err.contains("its entries are not chained yet"), "{err}");
    }
}

#[tokio::test]
async fn heads_on_the_command_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = small(directory.path()).await;
    let kept = head(&file);
    let audit = |args: &[&str]| {
        let args: Vec<&str> = ["audit"].iter().chain(args).copied().collect();
        run(directory.path(), &args)
    };
    assert_eq!(
        audit(&["--head"]),
        (Some(0), format!("{kept}\n"), String::new())
    );
    let (_, out, _) = audit(&["--head", "--json"]);
    let printed: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(printed, serde_json::json!({ "head": kept }));
    let typed = kept.to_uppercase();
    let (status, out, _) = audit(&["--since", &typed]);
    assert_eq!(status, Some(0), "{out}");
    assert!(
        out.contains(&format!("\nit goes on from the head {kept}\nhead {kept}\n")),
        "{out}"
    );
    let (_, out, _) = audit(&["--since", &typed, "--json"]);
    let printed: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&printed["since"], &printed["sound"]),
        (&kept.clone().into(), &true.into())
    );
    // What is no head.
    let mut wrong = kept.clone();
    let other = if wrong.pop() == Some('0') { '1' } else { '0' };
    wrong.push(other);
    for (text, problem) in [
        ("", "a head is a number, a dash and 32 characters"),
        ("yesterday", "a head is a number, a dash and 32 characters"),
        ("17-abcd", "a head is a number, a dash and 32 characters"),
        (&wrong, "a character of it is wrong"),
    ] {
        let (status, _, err) = audit(&["--since", text]);
        assert_eq!(status, Some(2), "{text}: {err}");
        assert!(err.contains(problem), "{text}: {err}");
    }
    sql(&file, "UPDATE entries SET key_id = 'x' WHERE position = 5");
    let (status, out, _) = audit(&["--head"]);
    assert_eq!(status, Some(1));
    assert!(out.contains("entry 4 of team-a, at position 5"), "{out}");
}
