//! Conversions of `admin.proto`: keys and the trail.

use super::page::{ListKey, size_from_pb};
use super::{timestamp_from_pb, timestamp_to_pb};
use crate::app::{AdminEvent, EventQuery, KeyQuery};
use crate::domain::keys::{
    AccountPattern, AccountPatterns, KEY_ACCOUNTS_MAX, KEY_CALLS_PER_SECOND_MAX, KEY_ID_BYTES_MAX,
    KEY_TITLE_BYTES_MAX, Key, KeyTerms, Scope, Scopes,
};
use crate::domain::names::{check_length, repeated};
use crate::domain::{FieldViolations, Violation};
use crate::rpc::pb::creditd::v1 as pb;

/// What a key that is to be created is for; what is wrong with it is added to `violations`.
#[must_use]
pub fn terms_from_pb(key: Option<&pb::Key>, violations: &mut FieldViolations) -> KeyTerms {
    let Some(key) = key else {
        violations.add("key", Violation::Required);
        return KeyTerms::default();
    };
    for (field, is_set) in [
        ("key.key_id", !key.key_id.is_empty()),
        ("key.create_time", key.create_time.is_some()),
        ("key.last_use_time", key.last_use_time.is_some()),
        ("key.revoke_time", key.revoke_time.is_some()),
    ] {
        if is_set {
            violations.add(
                field,
                unusable("the server sets it; leave it out".to_owned()),
            );
        }
    }
    let title = check_length(&key.title, 0, KEY_TITLE_BYTES_MAX);
    violations.check("key.title", title);
    let scopes = violations.check("key.scopes", scopes_from_pb(&key.scopes));
    let accounts = violations.check("key.accounts", accounts_from_pb(&key.accounts));
    let is_admin = scopes.is_some_and(|scopes| scopes.allow(Scope::Admin));
    if is_admin && accounts.as_ref().is_some_and(|accounts| !accounts.is_all()) {
        // It could create another key, for any account.
        let problem = "a key with scope admin is bound to no accounts; leave one of them out";
        violations.add("key.accounts", unusable(problem.to_owned()));
    }
    let expire_time = key.expire_time.as_ref();
    let expire_time =
        expire_time.and_then(|time| violations.check("key.expire_time", timestamp_from_pb(time)));
    let calls = calls_from_pb(key.calls_per_second_max);
    let calls = violations.check("key.calls_per_second_max", calls);
    KeyTerms {
        title: key.title.as_str().into(),
        scopes: scopes.unwrap_or_default(),
        accounts: accounts.unwrap_or_default(),
        expire_time,
        calls_per_second_max: calls.unwrap_or_default(),
    }
}

fn unusable(problem: String) -> Violation {
    Violation::InvalidKey {
        problem: problem.into(),
    }
}

fn scopes_from_pb(names: &[String]) -> Result<Scopes, Violation> {
    if names.is_empty() {
        return Err(Violation::Required);
    }
    let scope = |name: &String| {
        Scope::named(name).ok_or_else(|| {
            let name = repeated(name);
            unusable(format!(
                "\"{name}\" is no scope; give price, read, charge, grant or admin"
            ))
        })
    };
    names.iter().map(scope).collect()
}

fn accounts_from_pb(texts: &[String]) -> Result<AccountPatterns, Violation> {
    if texts.len() > KEY_ACCOUNTS_MAX {
        return Err(Violation::TooManyItems {
            size: texts.len(),
            limit: KEY_ACCOUNTS_MAX,
        });
    }
    let pattern = |text: &String| {
        AccountPattern::parse(text).ok_or_else(|| {
            let text = repeated(text);
            unusable(format!(
                "\"{text}\" is no account; give a name, or the beginning of names with * behind it"
            ))
        })
    };
    let patterns = texts.iter().map(pattern).collect::<Result<Vec<_>, _>>()?;
    Ok(AccountPatterns::new(patterns))
}

fn calls_from_pb(calls: i32) -> Result<u32, Violation> {
    let calls = u32::try_from(calls).ok();
    calls
        .filter(|calls| *calls <= KEY_CALLS_PER_SECOND_MAX)
        .ok_or_else(|| {
            unusable(format!(
                "give 0 for no limit, or 1 to {KEY_CALLS_PER_SECOND_MAX} calls"
            ))
        })
}

/// A key as administrators see it.
#[must_use]
pub fn key_to_pb(key: &Key) -> pb::Key {
    let terms = &key.terms;
    pb::Key {
        key_id: key.id.as_str().to_owned(),
        title: terms.title.to_string(),
        scopes: (terms.scopes.iter())
            .map(|scope| scope.name().to_owned())
            .collect(),
        accounts: terms.accounts.iter().map(ToString::to_string).collect(),
        create_time: Some(timestamp_to_pb(key.create_time)),
        expire_time: terms.expire_time.map(timestamp_to_pb),
        last_use_time: key.last_use_time.map(timestamp_to_pb),
        // At most a million.
        calls_per_second_max: i32::try_from(terms.calls_per_second_max).unwrap_or(i32::MAX),
        revoke_time: key.revoke_time.map(timestamp_to_pb),
    }
}

/// A `ListKeysRequest`, and the list for the token of the next page.
///
/// # Errors
/// What is wrong with it.
pub fn keys_query_from_pb(
    request: &pb::ListKeysRequest,
) -> Result<(KeyQuery, ListKey), FieldViolations> {
    let key = ListKey::of(&[b"keys", &[u8::from(request.show_revoked)]]);
    let mut violations = FieldViolations::new();
    let limit = violations.check("page_size", size_from_pb(request.page_size));
    let after = violations.check("page_token", key.last(&request.page_token));
    let query = KeyQuery {
        after: after.flatten(),
        show_revoked: request.show_revoked,
        limit: limit.unwrap_or_default(),
    };
    violations.or((query, key))
}

/// A `ListAdminEventsRequest`, and the list for the token of the next page.
///
/// # Errors
/// What is wrong with it.
pub fn events_query_from_pb(
    request: &pb::ListAdminEventsRequest,
) -> Result<(EventQuery, ListKey), FieldViolations> {
    let key = ListKey::of(&[b"admin_events", request.key_id.as_bytes()]);
    let mut violations = FieldViolations::new();
    let limit = violations.check("page_size", size_from_pb(request.page_size));
    let before = violations.check("page_token", key.last(&request.page_token));
    violations.check("key_id", check_length(&request.key_id, 0, KEY_ID_BYTES_MAX));
    let query = EventQuery {
        before: before.flatten(),
        key_id: request.key_id.as_str().into(),
        limit: limit.unwrap_or_default(),
    };
    violations.or((query, key))
}

/// An event of the trail.
#[must_use]
pub fn event_to_pb(event: &AdminEvent) -> pb::AdminEvent {
    pb::AdminEvent {
        create_time: Some(timestamp_to_pb(event.create_time)),
        key_id: event
            .key_id
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        action: event.action.name().to_owned(),
        subject: event.subject.to_string(),
        title: event.title.to_string(),
    }
}
