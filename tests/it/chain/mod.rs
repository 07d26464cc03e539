//! Chains of entries: every edit and every changed byte is found with its place, a file goes on
//! from a head or not, and texts are erased without a trace in the chain.

mod bytes;
mod edits;
mod erasure;
mod since;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use creditd::app::card_file;
use creditd::domain::keys::KeyId;
use creditd::domain::ledger::{
    Action, Command, Cost, Entry, GrantAction, HoldId, Named, Overage, UpdateAction,
};
use creditd::domain::pricing::{Given, Pricing, UsageRecord};
use creditd::domain::{Credits, FieldViolations, Labels};
use creditd::server::files::{AuditReport, audit_with_archives};
use creditd::store::Store as _;
use creditd::store::cards::RateCardStore as _;
use creditd::store::sqlite::{SqliteSettings, SqliteStore};
use rusqlite::Connection;

use crate::store::{Hand, command, name, one_credit, open_with};

/// A text that stands in labels only.
pub const PERSON: &str = "Ada Lovelace";

pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    let pairs = pairs.iter();
    let pairs: BTreeMap<_, _> = pairs
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    Labels::new(pairs.iter()).unwrap()
}

/// A charge of 1 credit with labels.
pub fn labelled(account: &str, id: &str, pairs: &[(&str, &str)]) -> Command {
    Command {
        labels: labels(pairs),
        ..command(account, id, one_credit())
    }
}

/// Sets labels of an account.
pub fn update(pairs: &[(&str, &str)]) -> Action {
    Action::UpdateAccount(Box::new(UpdateAction {
        labels: Some(labels(pairs)),
        attributes: Some([("plan".to_owned(), "growth".to_owned())].into()),
        allow_missing: true,
        ..UpdateAction::default()
    }))
}

fn grant(credits: &str, clock: &Hand, hours: Option<i64>) -> Action {
    use creditd::store::Clock as _;
    Action::Grant(GrantAction {
        credits: Credits::parse(credits).unwrap(),
        expire_time: hours.map(|hours| clock.now().plus_nanos(hours * 3_600_000_000_000)),
        priority: 3,
        source: "purchase".into(),
        services: match hours {
            Some(_) => vec!["ai_scripts".into(), "lip_sync_video".into()],
            None => Vec::new(),
        },
        violations: FieldViolations::new(),
    })
}

/// A cost of 0.248 by the built-in card.
fn priced(revision: &str) -> Box<Cost> {
    Box::new(Cost {
        credits: Credits::parse("0.248").unwrap(),
        service: Some("lip_sync_video".into()),
        pricing: Some(Arc::new(Pricing {
            rate_card: "jogg-api-v2".into(),
            revision: revision.into(),
            values: BTreeMap::new(),
            time: None,
        })),
        usage: Some(Arc::new(UsageRecord {
            quantity: Given::Duration(31_000_000_000),
            attributes: BTreeMap::new(),
            meters: BTreeMap::new(),
        })),
        assumed: None,
    })
}

/// A file with rows of every kind and of two accounts, with labels and keys.
pub async fn small(directory: &Path) -> PathBuf {
    let file = directory.join("creditd.db");
    let clock = Hand::new();
    let store = open(&file, &clock);
    let card = card_file::built_in().unwrap();
    store.publish(vec![card.to_store()]).await.unwrap();
    let revision = card.stored.revision.as_str();
    let write = async |key_id: &str, account: &str, id: &str, action: Action| {
        let command = Command {
            key_id: KeyId::new(key_id),
            labels: labels(&[("customer", PERSON), ("job", id)]),
            ..command(account, id, action)
        };
        store.write(command).await.unwrap().entry
    };
    let named =
        |entry: &Entry| Named::<HoldId>::of(entry.hold.as_ref().unwrap().id, &name("team-a"));
    write("admin", "team-a", "g1", grant("100", &clock, None)).await;
    write("admin", "team-b", "g1", grant("7", &clock, None)).await;
    write("admin", "team-a", "g2", grant("5", &clock, Some(2))).await;
    let last = write("admin", "team-a", "g3", grant("4", &clock, None)).await;
    let charged = write("app", "team-a", "c1", Action::Charge(Ok(priced(revision)))).await;
    let hold = |cost| Action::Hold {
        cost: Ok(cost),
        ttl_nanos: 3_600_000_000_000,
    };
    let first = write("app", "team-a", "h1", hold(priced(revision))).await;
    let extend = Action::ExtendHold {
        hold: named(&first),
        ttl_nanos: 7_200_000_000_000,
    };
    write("app", "team-a", "x1", extend).await;
    let settle = Action::SettleHold {
        hold: named(&first),
        cost: Ok(priced(revision)),
        keep_open: false,
        overage: Overage::Reject,
    };
    write("app", "team-a", "s1", settle).await;
    write("app", "team-b", "c1", one_credit()).await;
    let second = write("app", "team-a", "h2", hold(priced(revision))).await;
    let release = Action::ReleaseHold {
        hold: named(&second),
    };
    write("app", "team-a", "l1", release).await;
    let refund = Action::Refund {
        entry: Named::of(charged.id, &name("team-a")),
        credits: None,
    };
    write("app", "team-a", "r1", refund).await;
    let grant_id = match last.kind {
        creditd::domain::ledger::EntryKind::Grant { id, .. } => id,
        kind => panic!("{kind:?}"),
    };
    let revoke = Action::RevokeGrant {
        grant: Named::of(grant_id, &name("team-a")),
    };
    write("admin", "team-a", "v1", revoke).await;
    let updated = command(
        "team-a",
        "u1",
        update(&[("contact", PERSON), ("crm", "42")]),
    );
    store.write(updated).await.unwrap();
    write("app", "team-a", "h3", hold(priced(revision))).await;
    clock.step(3);
    // The hold and the second grant lapse.
    store
        .write(command("team-a", "c2", one_credit()))
        .await
        .unwrap();
    store
        .write(command("team-b", "c2", one_credit()))
        .await
        .unwrap();
    drop(store);
    file
}

pub fn open(file: &Path, clock: &Arc<Hand>) -> SqliteStore {
    open_with(file, clock, SqliteSettings::default())
}

pub fn audit(file: &Path) -> AuditReport {
    creditd::server::files::audit(file, &mut |_, _| {}).unwrap()
}

/// The head of a sound file.
pub fn head(file: &Path) -> String {
    let report = audit(file);
    assert_eq!(report.findings, Vec::<String>::new());
    report.head.unwrap().to_string()
}

/// What an audit from a head finds.
pub fn findings_since(file: &Path, head: &str) -> Vec<String> {
    let head = head.parse().unwrap();
    let report = audit_with_archives(file, &[], Some(&head), &mut |_, _| {});
    report.unwrap().findings
}

/// Runs SQL over a file that nobody uses.
pub fn sql(file: &Path, sql: &str) {
    let connection = Connection::open(file).unwrap();
    connection.execute_batch(sql).unwrap();
    connection.close().unwrap();
}
