//! What is asked for, and what is refused.

use std::path::Path;

use super::cuts::{compare, copy, told};
use super::{NOW, archive, archive_path, assert_sound, number, order, time};
use crate::chain::{head, small, sql};
use crate::support::server::{Server, run};

/// In the fixture grants, a refund and a revocation are from midnight on, and others until 3:00.
#[tokio::test]
async fn request_ids_that_still_have_to_be_known_are_not_archived() {
    let directory = tempfile::tempdir().unwrap();
    let whole = small(directory.path()).await;
    let allowed = |now: &str, hours: u32, days: u32, before: &str| {
        let file = copy(&directory.path().join("case"), &whole);
        let _ = std::fs::remove_file(archive_path(&file, 1));
        let mut order = order(&file, 1, time(before));
        (order.request_hours, order.request_days_credits) = (hours, days);
        let clock = super::At(time(now));
        let done = creditd::server::files::archive(&file, &order, &clock, &mut |_, _, _| {});
        if done.is_err() {
            assert!(!archive_path(&file, 1).exists());
            assert_eq!(number(&file, "SELECT count(*) FROM archives"), Some(0));
            assert_sound(&file, &[], None);
        }
        done
    };
    // All of it is old enough.
    let report = allowed(NOW, 72, 90, "2026-02-01T00:00:00Z").unwrap();
    assert_eq!((report.position, report.rows), (19, 19));
    // Grants of 89 days ago are known.
    let refused = allowed("2026-03-31T00:00:00Z", 72, 90, "2026-02-01T00:00:00Z").unwrap_err();
    assert!(refused.contains("nothing can be archived yet"), "{refused}");
    assert!(refused.contains("for 72 hours, those of grants, refunds and revocations for 90 days"));
    // As a server with longer options knows them.
    for (hours, days, told) in [
        (
            8_760,
            90,
            "--before may be 2026-01-01T00:00:00.000004Z at most",
        ),
        (72, 3_650, "nothing can be archived yet"),
    ] {
        let refused = allowed(NOW, hours, days, "2026-02-01T00:00:00Z").unwrap_err();
        assert!(refused.contains(told), "{refused}");
    }
    // Between midnight and 3:00: the newest time that is allowed is told, and is allowed.
    let now = "2026-04-01T01:00:00Z";
    let refused = allowed(now, 24 * 90, 90, "2026-02-01T00:00:00Z").unwrap_err();
    let (_, rest) = refused.split_once("--before may be ").unwrap();
    let (newest, _) = rest.split_once(" at most").unwrap();
    let report = allowed(now, 24 * 90, 90, newest).unwrap();
    assert!(report.position >= 15, "{report:?}");
    let later = time(newest).plus_nanos(1);
    let later = creditd::rfc3339::format(later);
    assert!(allowed(now, 24 * 90, 90, &later).is_err());
}

#[tokio::test]
async fn what_cannot_be_archived_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let file = small(directory.path()).await;
    let before = std::fs::read(&file).unwrap();
    let on = |args: &[&str]| {
        let args: Vec<&str> = ["archive"].iter().chain(args).copied().collect();
        run(directory.path(), &args)
    };
    let refused = |args: &[&str], words: &str| {
        let (status, out, err) = on(args);
        assert_eq!((status, out.as_str()), (Some(1), ""), "{args:?}");
        assert!(err.contains(words), "{args:?}: {err}");
    };
    let to = ["--to", "a.db", "--before"];
    let with = |more: &[&'static str]| to.iter().chain(more).copied().collect::<Vec<_>>();
    refused(
        &with(&["2025-12-31"]),
        "nothing in it is from before 2025-12-31",
    );
    refused(
        &with(&["2026-01-02", "--data", "none.db"]),
        "there is no such file",
    );
    refused(
        &["--to", "creditd.db", "--before", "2026-01-02"],
        "archive creditd.db: creditd.db is the data file itself",
    );
    std::fs::hard_link(&file, directory.path().join("link.db")).unwrap();
    refused(
        &["--to", "link.db", "--before", "2026-01-02"],
        "archive link.db: link.db is the data file itself",
    );
    std::fs::hard_link(&file, directory.path().join("new.db.partial")).unwrap();
    refused(
        &["--to", "new.db", "--before", "2026-01-02"],
        "archive new.db: new.db.partial is the data file itself",
    );
    std::fs::write(directory.path().join("other.db"), "other").unwrap();
    refused(
        &["--to", "other.db", "--before", "2026-01-02"],
        "archive other.db: there is such a file already",
    );
    refused(
        &["--to", "none/a.db", "--before", "2026-01-02"],
        "archive none/a.db: ",
    );
    // The configuration of the server says for how long request_ids are known.
    let config = directory.path().join("creditd.toml");
    std::fs::write(&config, "request_id_hours = 8760\ndata = \"creditd.db\"\n").unwrap();
    refused(
        &with(&["2026-01-02", "--config", "creditd.toml"]),
        "request_ids from before 2026-01-02T00:00:00Z still have to be known, for 8760 hours",
    );
    std::fs::write(&config, "request_id_hour = 8760\n").unwrap();
    let (status, _, err) = on(&with(&["2026-01-02", "--config", "creditd.toml"]));
    assert_eq!(status, Some(2), "{err}");
    assert!(err.contains("did you mean \"request_id_hours\"?"), "{err}");
    let (status, _, _) = on(&with(&["2026-01-02", "--request-id-hours", "71"]));
    assert_eq!(status, Some(2));
    // Nothing was changed, nor by a dry run.
    let (status, out, err) = on(&with(&["2026-01-01T00:30:00Z", "--dry-run"]));
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert_eq!(
        out,
        "creditd.db: 15 rows, up to position 15, would go to archive 1; nothing was changed\n"
    );
    assert_eq!(number(&file, "SELECT count(*) FROM entries"), Some(19));
    assert!(!directory.path().join("a.db").exists());
    // A file that is not sound is left alone.
    std::fs::write(&file, &before).unwrap();
    sql(
        &file,
        "UPDATE entries SET spent = spent + 1, credits = credits - 1 WHERE position = 9",
    );
    refused(
        &with(&["2026-01-02"]),
        "is not sound, as \"creditd audit\" shows (entry 2 of team-b",
    );
    assert!(!directory.path().join("a.db").exists());
    assert!(!directory.path().join("a.db.partial").exists());
}

#[tokio::test]
async fn the_command_says_what_it_did() {
    let directory = tempfile::tempdir().unwrap();
    small(directory.path()).await;
    let on = |args: &[&str]| run(directory.path(), args);
    let before = ["--before", "2026-01-01T00:30:00Z", "--to"];
    let args: Vec<&str> = ["archive"].iter().chain(&before).copied().collect();
    let (status, out, err) = on(&[&args[..], &["a.db", "--json"]].concat());
    assert_eq!((status, err.as_str()), (Some(0), ""));
    let printed: serde_json::Value = serde_json::from_str(&out).unwrap();
    for (name, value) in [
        ("archive", 1.into()),
        ("file", "a.db".into()),
        ("data", "creditd.db".into()),
        ("position", 15.into()),
        ("rows", 15.into()),
        ("kept", 7.into()),
        ("dry_run", false.into()),
        ("went_on", false.into()),
    ] {
        let value: serde_json::Value = value;
        assert_eq!(printed[name], value, "{name}");
    }
    // The head at the cut is that which an audit proves.
    let head = printed["head"].as_str().unwrap();
    let (status, out, _) = on(&["audit", "--since", head, "--archive", "a.db"]);
    assert_eq!(status, Some(0), "{out}");
    assert!(out.contains("rows up to position 15 are archived"), "{out}");
    assert!(
        out.contains("archive 1, a.db, is sound, and makes those opening balances: 19 rows"),
        "{out}"
    );
    let (_, out, _) = on(&["audit", "--archive", "a.db", "--json"]);
    let audited: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(audited["archived"], 15);
    let archive = &audited["archives"][0];
    assert_eq!(
        (&archive["archive"], &archive["sound"]),
        (&1.into(), &true.into())
    );
    // Nothing older is left.
    let (status, _, err) = on(&[&args[..], &["b.db"]].concat());
    assert_eq!(status, Some(1));
    assert!(err.contains("and not archived already"), "{err}");
    // The trail has the seal.
    let seal = printed["seal"].as_str().unwrap();
    let events = "SELECT count(*) FROM admin_events WHERE action = 'archive' AND subject = '";
    let file = directory.path().join("creditd.db");
    assert_eq!(number(&file, &format!("{events}{seal}'")), Some(1));
    // People see the opening in the view, and its rows sum to the balance.
    let view = "SELECT count(*) FROM ledger WHERE kind = 'opening'";
    assert_eq!(number(&file, view), Some(2));
    let rows = "SELECT count(*) FROM ledger";
    assert_eq!(number(&file, rows), Some(6));
}

/// A server has the file to itself; a dry run only reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_in_use_is_not_cut() {
    let server = Server::start();
    let (status, _, err) = run(
        server.directory.path(),
        &["archive", "--before", "1d", "--to", "a.db"],
    );
    assert_eq!(status, Some(1));
    assert!(err.contains("another creditd is using it"), "{err}");
    let args = ["archive", "--before", "1d", "--to", "a.db", "--dry-run"];
    let (status, _, err) = run(server.directory.path(), &args);
    assert_eq!(status, Some(1));
    assert!(err.contains("nothing in it is from before"), "{err}");
}

/// By a clock that jumped, request_ids would go that still have to be known.
#[tokio::test]
async fn a_clock_that_jumped_archives_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = small(directory.path()).await;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    // As a server of this boot wrote it a second after that boot.
    sql(
        &file,
        &format!(
            "INSERT OR REPLACE INTO clock VALUES (1, '{}', 1000000, 1767225600000000000)",
            boot.trim()
        ),
    );
    let args = ["archive", "--before", "2026-01-02", "--to", "a.db"];
    for more in [&[][..], &["--dry-run"]] {
        let (status, _, err) = run(directory.path(), &[&args[..], more].concat());
        assert_eq!(status, Some(1), "{err}");
        assert!(err.contains("is believed; set it right"), "{err}");
    }
    assert_eq!(number(&file, "SELECT count(*) FROM archives"), Some(0));
}

/// A file of the version before archives is migrated, and cut.
#[tokio::test]
async fn an_older_file_is_migrated_and_cut() {
    let directory = tempfile::tempdir().unwrap();
    let whole = small(directory.path()).await;
    let told = told(&whole).await;
    let heads = head(&whole);
    let file = copy(&directory.path().join("older"), &whole);
    let chain = std::fs::read_to_string(crate::support::root("src/store/sqlite/chain.sql"));
    let chain = chain.unwrap();
    let view = &chain[chain.find("CREATE VIEW").unwrap()..];
    sql(
        &file,
        &format!(
            "DROP VIEW ledger; DROP TABLE archives; DROP TABLE openings; {view}; PRAGMA user_version = 7;"
        ),
    );
    // It is proved, and planned over, as it is.
    assert_sound(&file, &[], Some(&heads));
    let order = order(&file, 1, time("2026-01-01T00:30:00Z"));
    let clock = super::At(time(NOW));
    let plan = creditd::server::files::plan_archive(&file, &order, &clock).unwrap();
    assert_eq!((plan.archive, plan.position, plan.rows), (1, 15, 15));
    assert_eq!(number(&file, "PRAGMA user_version"), Some(7));
    archive(&order, &file).unwrap();
    assert_eq!(number(&file, "PRAGMA user_version"), Some(8));
    assert_sound(&file, &[1], Some(&heads));
    compare(&file, 15, &told).await;
    let _: &Path = &file;
}
