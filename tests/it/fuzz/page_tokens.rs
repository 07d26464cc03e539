//! Page tokens: only the text that was given out for this list is accepted.

use creditd::domain::ledger::AccountId as _;
use creditd::domain::{AccountName, FieldViolations};
use creditd::rpc::convert::admin::cards_query_from_pb;
use creditd::rpc::convert::keys::{events_query_from_pb, keys_query_from_pb};
use creditd::rpc::convert::page::{
    accounts_query_from_pb, entries_query_from_pb, holds_query_from_pb,
};
use creditd::rpc::pb::creditd::v1 as pb;

const ACCOUNTS: [&str; 2] = ["team-a", "team-b"];

pub fn run(bytes: &[u8]) {
    let Ok(token) = std::str::from_utf8(bytes) else {
        return;
    };
    if token.is_empty() {
        return;
    }
    let lists: [fn(&str, &str) -> Option<String>; 6] =
        [entries, holds, accounts, cards, keys, events];
    let mut accepted = Vec::new();
    for (number, list) in lists.into_iter().enumerate() {
        for filter in ACCOUNTS {
            if let Some(given_out) = list(token, filter) {
                assert_eq!(token, given_out);
                accepted.push((number, filter));
            }
        }
    }
    assert!(
        accepted.len() <= 1,
        "{token:?} of one list is accepted by {accepted:?}"
    );
}

fn entries(token: &str, account: &str) -> Option<String> {
    let request = pb::ListEntriesRequest {
        account: account.to_owned(),
        page_token: token.to_owned(),
        ..Default::default()
    };
    let mut violations = FieldViolations::new();
    let list = entries_query_from_pb(&request, &mut violations);
    violations.or(()).ok()?;
    Some(list.key.token(list.query.before.unwrap().number()))
}

fn holds(token: &str, account: &str) -> Option<String> {
    let request = pb::ListHoldsRequest {
        account: account.to_owned(),
        page_token: token.to_owned(),
        ..Default::default()
    };
    let mut violations = FieldViolations::new();
    let list = holds_query_from_pb(&request, &mut violations);
    violations.or(()).ok()?;
    Some(list.key.token(list.query.after.unwrap().number()))
}

fn accounts(token: &str, prefix: &str) -> Option<String> {
    let request = pb::ListAccountsRequest {
        prefix: prefix.to_owned(),
        page_token: token.to_owned(),
        ..Default::default()
    };
    let list = accounts_query_from_pb(&request).ok()?;
    let after: AccountName = list.query.after.unwrap();
    Some(list.key.token_of_name(&after))
}

fn cards(token: &str, name: &str) -> Option<String> {
    let request = pb::ListRateCardsRequest {
        rate_card: name.to_owned(),
        page_token: token.to_owned(),
        ..Default::default()
    };
    let list = cards_query_from_pb(&request).ok()?;
    Some(list.key.token(list.after.unwrap()))
}

fn keys(token: &str, filter: &str) -> Option<String> {
    let request = pb::ListKeysRequest {
        show_revoked: filter == ACCOUNTS[1],
        page_token: token.to_owned(),
        ..Default::default()
    };
    let (query, key) = keys_query_from_pb(&request).ok()?;
    Some(key.token(query.after.unwrap()))
}

fn events(token: &str, key_id: &str) -> Option<String> {
    let request = pb::ListAdminEventsRequest {
        key_id: key_id.to_owned(),
        page_token: token.to_owned(),
        ..Default::default()
    };
    let (query, key) = events_query_from_pb(&request).ok()?;
    Some(key.token(query.before.unwrap()))
}
