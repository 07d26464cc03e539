//! Links of calls to the groups that made them durable.

use std::collections::{BTreeMap, BTreeSet};

use super::collector::Does;
use super::{Traced, attributes, sampled};
use crate::support::grant;
use crate::support::requests::{batch, charge};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_charges_share_the_spans_of_their_groups() {
    const CHARGES: usize = 64;
    let traced = Traced::start(Does::Take, &[]);
    let mut ledger = traced.server.ledger().await;
    ledger.grant(grant("g1", "team-a", "100")).await.unwrap();
    let calls = (0..CHARGES).map(|number| {
        let mut ledger = ledger.clone();
        async move {
            let request = charge(&format!("c{number}"), "team-a", "1");
            ledger.charge(sampled(request)).await.unwrap();
        }
    });
    futures_util::future::join_all(calls).await;
    let spans = traced.spans();
    let groups = spans.iter().filter(|span| span.name == "ledger group");
    let mut commands = BTreeMap::new();
    for group in groups {
        let said = attributes(&group.attributes);
        let number: usize = said["creditd.group.commands"].parse().unwrap();
        let id = (group.trace_id.clone(), group.span_id.clone());
        assert!(
            commands.insert(id, number).is_none(),
            "sent twice: {group:#?}"
        );
    }
    let calls = spans.iter().filter(|span| span.name.ends_with("/Charge"));
    let mut linked: BTreeMap<_, usize> = BTreeMap::new();
    for call in calls {
        let [link] = call.links.as_slice() else {
            panic!("{call:#?}");
        };
        let id = (link.trace_id.clone(), link.span_id.clone());
        *linked.entry(id).or_default() += 1;
    }
    // Each group has as many commands as calls are linked to it.
    assert_eq!(linked, commands);
    assert_eq!(linked.values().sum::<usize>(), CHARGES);
    assert!(linked.len() < CHARGES, "no two shared a group");
}

/// A batch that takes several groups is linked to each, and where there are too many, says how
/// many are missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_linked_to_all_of_its_groups() {
    let traced = Traced::start(Does::Take, &[]);
    let mut ledger = traced.server.ledger().await;
    ledger.grant(grant("g1", "team-a", "10000")).await.unwrap();
    let charges = (0..3_000).map(|number| charge(&format!("b{number}"), "team-a", "1"));
    let request = batch(charges.collect());
    let reply = ledger.batch_charge(sampled(request)).await.unwrap();
    assert_eq!(reply.into_inner().failed_count, 0);
    let spans = traced.spans();
    let call = spans
        .iter()
        .find(|span| span.name.ends_with("/BatchCharge"));
    let call = call.unwrap();
    let links: BTreeSet<_> = call.links.iter().map(|link| link.span_id.clone()).collect();
    let groups = spans.iter().filter(|span| span.name == "ledger group");
    let mut commands = 0;
    let mut sent = BTreeSet::new();
    for group in groups {
        commands += attributes(&group.attributes)["creditd.group.commands"]
            .parse::<usize>()
            .unwrap();
        assert!(sent.insert(group.span_id.clone()));
    }
    assert_eq!(links, sent);
    assert!(links.len() >= 2, "{}", links.len());
    assert_eq!(call.dropped_links_count, 0);
    assert_eq!(commands, 3_000);
}
