//! Keys that are bound to accounts, against every way of naming another one.

use std::collections::BTreeSet;

use creditd::rpc::method::{METHODS, Method};
use creditd::rpc::pb::DESCRIPTORS;
use creditd::rpc::pb::creditd::v1 as pb;
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value,
};

use super::{ADMIN_KEY, call, connect, create, key, ledger, serve_with};
use crate::support::refusal::Refusal;
use crate::support::requests::charge;
use crate::support::{balance, grant};

/// How deep fields are looked for.
const DEPTH: usize = 4;

/// The paths of fields that name accounts.
fn account_fields(message: &MessageDescriptor, depth: usize) -> Vec<Vec<FieldDescriptor>> {
    let mut paths = Vec::new();
    for field in message.fields() {
        match field.kind() {
            Kind::String if field.name() == "account" => paths.push(vec![field]),
            Kind::Message(inner) if depth > 0 && !field.is_map() => {
                // Balances in requests are ignored: they are of replies.
                if inner.name() == "Balance" {
                    continue;
                }
                for mut path in account_fields(&inner, depth - 1) {
                    path.insert(0, field.clone());
                    paths.push(path);
                }
            }
            _ => {}
        }
    }
    paths
}

/// A message with nothing but this account, at that path.
fn message_with(
    descriptor: MessageDescriptor,
    path: &[FieldDescriptor],
    name: &str,
) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor);
    let (field, rest) = path.split_first().unwrap();
    let value = match field.kind() {
        Kind::Message(inner) => Value::Message(message_with(inner, rest, name)),
        _ => Value::String(name.to_owned()),
    };
    let value = match field.is_list() {
        true => Value::List(vec![value]),
        false => value,
    };
    message.set_field(field, value);
    message
}

/// Every request of the API that names this account, in every place in which it can, by method
/// and path.
fn requests_with(name: &str) -> Vec<(&'static Method, String, DynamicMessage)> {
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    let mut requests = Vec::new();
    for method in METHODS {
        let (service, rpc) = method.path[1..].split_once('/').unwrap();
        let Some(service) = pool.get_service_by_name(service) else {
            continue;
        };
        let input = service
            .methods()
            .find(|other| other.name() == rpc)
            .unwrap()
            .input();
        for path in account_fields(&input, DEPTH) {
            let names: Vec<_> = path.iter().map(FieldDescriptor::name).collect();
            let message = message_with(input.clone(), &path, name);
            requests.push((method, format!("{rpc} {}", names.join(".")), message));
        }
    }
    requests
}

/// The refusal of a request, or of the item of its batch.
fn refusal_of(outcome: Result<prost::bytes::Bytes, tonic::Status>, rpc: &str) -> Option<Refusal> {
    let reply = match outcome {
        Ok(reply) => reply,
        Err(status) => return Some(Refusal::of(&status)),
    };
    if !rpc.starts_with("BatchCharge ") {
        return None;
    }
    let reply = pb::BatchChargeResponse::decode(reply).unwrap();
    match reply.results[0].result.clone().unwrap() {
        pb::batch_charge_result::Result::Error(error) => Some(Refusal::of_pb(&error)),
        pb::batch_charge_result::Result::Charge(_) => None,
    }
}

#[tokio::test]
async fn no_way_of_naming_another_account_is_open() {
    let server = serve_with(&[]);
    let mut all = ledger(&server, ADMIN_KEY).await;
    all.grant(grant("g1", "theirs", "10")).await.unwrap();
    all.grant(grant("g2", "ours", "10")).await.unwrap();
    let (_, secret) = create(&server, key("price read charge grant", "ours eu-*")).await;
    let connection = connect(&server.address, &secret).await;
    let mut tried = BTreeSet::new();
    for (method, rpc, theirs) in requests_with("theirs") {
        let theirs = call(&connection, method, theirs.encode_to_vec()).await;
        let theirs = refusal_of(theirs, &rpc).unwrap_or_else(|| panic!("{rpc} is let in"));
        assert_eq!(theirs.reason, "NOT_ALLOWED", "{rpc}: {theirs:?}");
        // It does not tell whether the account exists.
        let nobody = requests_with("nobody");
        let (_, _, nobody) = nobody
            .into_iter()
            .find(|(_, other, _)| *other == rpc)
            .unwrap();
        let nobody = call(&connection, method, nobody.encode_to_vec()).await;
        assert_eq!(refusal_of(nobody, &rpc).unwrap(), theirs, "{rpc}");
        for own in ["ours", "eu-west"] {
            let requests = requests_with(own);
            let (_, _, own) = requests
                .into_iter()
                .find(|(_, other, _)| *other == rpc)
                .unwrap();
            let own = call(&connection, method, own.encode_to_vec()).await;
            let refused = refusal_of(own, &rpc);
            assert!(
                refused
                    .as_ref()
                    .is_none_or(|refused| refused.reason != "NOT_ALLOWED"),
                "{rpc}: {refused:?}"
            );
        }
        tried.insert(rpc);
    }
    // All verbs of the ledger but ListAccounts, those that price, and prices.account of writes.
    assert_eq!(tried.len(), 23, "{tried:?}");
    assert_eq!(
        all.get_balance(balance("theirs"))
            .await
            .unwrap()
            .into_inner()
            .balance
            .unwrap()
            .available,
        "10"
    );
}

#[tokio::test]
async fn an_item_of_a_batch_is_refused_alone() {
    let server = serve_with(&[]);
    let mut all = ledger(&server, ADMIN_KEY).await;
    for account in ["ours", "theirs"] {
        all.grant(grant("g", account, "10")).await.unwrap();
    }
    let (_, secret) = create(&server, key("charge", "ours")).await;
    let charges = ["ours", "theirs", "nobody", "ours"].iter().zip(0..);
    let charges = charges.map(|(account, number)| charge(&format!("c{number}"), account, "1"));
    let batch = pb::BatchChargeRequest {
        charges: charges.collect(),
    };
    let reply = ledger(&server, &secret).await.batch_charge(batch).await;
    let reply = reply.unwrap().into_inner();
    let outcomes = reply
        .results
        .into_iter()
        .map(|result| match result.result.unwrap() {
            pb::batch_charge_result::Result::Charge(_) => "charged".to_owned(),
            pb::batch_charge_result::Result::Error(error) => Refusal::of_pb(&error).reason,
        });
    let outcomes: Vec<_> = outcomes.collect();
    assert_eq!(
        outcomes,
        ["charged", "NOT_ALLOWED", "NOT_ALLOWED", "charged"]
    );
    for (account, left) in [("ours", "8"), ("theirs", "10")] {
        let balance = all
            .get_balance(balance(account))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(balance.balance.unwrap().available, left, "{account}");
    }
}

/// Lists of accounts show what the key may name, page by page.
#[tokio::test]
async fn lists_show_only_what_the_key_may_see() {
    let server = serve_with(&[]);
    let mut all = ledger(&server, ADMIN_KEY).await;
    for account in ["a", "a-1", "b", "eu", "eu-1", "eu-2", "eu-3", "f", "us-1"] {
        all.grant(grant("g", account, "1")).await.unwrap();
    }
    for (accounts, prefix, expected) in [
        ("", "", "a a-1 b eu eu-1 eu-2 eu-3 f us-1"),
        ("*", "eu", "eu eu-1 eu-2 eu-3"),
        ("a", "", "a"),
        ("a zz", "", "a"),
        ("eu-* a", "", "a eu-1 eu-2 eu-3"),
        ("eu-* a", "eu", "eu-1 eu-2 eu-3"),
        ("eu-* a", "eu-2", "eu-2"),
        ("eu-* a", "b", ""),
        ("eu-2 eu-1 us-*", "", "eu-1 eu-2 us-1"),
        ("nobody", "", ""),
    ] {
        let (_, secret) = create(&server, key("read", accounts)).await;
        let mut ledger = ledger(&server, &secret).await;
        for page_size in [1, 2, 100] {
            let (mut names, mut page_token) = (Vec::new(), String::new());
            loop {
                let request = pb::ListAccountsRequest {
                    prefix: prefix.to_owned(),
                    page_size,
                    page_token,
                };
                let page = ledger.list_accounts(request).await.unwrap().into_inner();
                names.extend(page.accounts.into_iter().map(|account| account.account));
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
            assert_eq!(
                names.join(" "),
                expected,
                "{accounts:?} {prefix:?} {page_size}"
            );
        }
    }
}
