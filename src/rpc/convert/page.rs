//! Pages of lists: their sizes, filters and page tokens.
//!
//! A token has the last item of its page and a hash of its list: the account and the filters. A
//! token of another list is refused.

use sha2::{Digest as _, Sha256};

use super::ledger::kind_from_pb;
use super::write::id_from_pb;
use super::{optional_account_from_pb, timestamp_from_pb};
use crate::app::{EntryQuery, HoldQuery, NameQuery};
use crate::domain::keys::KEY_ID_BYTES_MAX;
use crate::domain::ledger::{EntryId, HoldId};
use crate::domain::names::{SERVICE_BYTES_MAX, check_length};
use crate::domain::{AccountName, FieldViolations, Labels, RequestId, Timestamp, Violation};
use crate::rpc::pb::creditd::v1 as pb;

/// Length of a page where the request does not say.
pub const PAGE_SIZE_DEFAULT: usize = 50;
/// Largest length of a page.
pub const PAGE_SIZE_MAX: usize = 1_000;
/// Most kinds that a filter may list; there are fewer.
pub const KINDS_MAX: usize = 64;

/// A hash of the account and the filters of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListKey([u8; 4]);

impl ListKey {
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        let mut key = [0_u8; 4];
        for (to, from) in key.iter_mut().zip(digest.iter()) {
            *to = *from;
        }
        Self(key)
    }

    /// The token by which a list goes on after this one.
    #[must_use]
    pub fn token(self, last: i64) -> String {
        format!("{:08x}{:016x}", u32::from_be_bytes(self.0), last)
    }

    /// The same, of a list by name.
    #[must_use]
    pub fn token_of_name(self, last: &AccountName) -> String {
        let mut token = format!("{:08x}", u32::from_be_bytes(self.0));
        for byte in last.as_str().bytes() {
            token.push_str(&format!("{byte:02x}"));
        }
        token
    }

    /// The last name of the page before; None at the beginning of the list.
    fn last_name(self, token: &str) -> Result<Option<AccountName>, Violation> {
        if token.is_empty() {
            return Ok(None);
        }
        let name = name_of_token(token).ok_or(Violation::InvalidPageToken)?;
        // Only the text that was given out.
        match self.token_of_name(&name) == token {
            true => Ok(Some(name)),
            false => Err(Violation::InvalidPageToken),
        }
    }

    /// The last item of the page before; None at the beginning of the list.
    pub(super) fn last(self, token: &str) -> Result<Option<i64>, Violation> {
        if token.is_empty() {
            return Ok(None);
        }
        let (key, last) = token
            .split_at_checked(8)
            .ok_or(Violation::InvalidPageToken)?;
        let last = i64::from_str_radix(last, 16).map_err(|_| Violation::InvalidPageToken)?;
        // Only the text that was given out.
        match key.len() == 8 && self.token(last) == token {
            true => Ok(Some(last)),
            false => Err(Violation::InvalidPageToken),
        }
    }
}

/// The name in a token. It may be of another list.
fn name_of_token(token: &str) -> Option<AccountName> {
    let (_, name) = token.split_at_checked(8)?;
    let pairs = name.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    let bytes = bytes.collect::<Option<Vec<u8>>>()?;
    AccountName::new(std::str::from_utf8(&bytes).ok()?).ok()
}

pub(super) fn size_from_pb(size: i32) -> Result<usize, Violation> {
    match usize::try_from(size) {
        Ok(0) => Ok(PAGE_SIZE_DEFAULT),
        Ok(size) => Ok(size.min(PAGE_SIZE_MAX)),
        Err(_) => Err(Violation::InvalidPageSize { value: size }),
    }
}

/// The length of a page; None, where the request does not say: all that fit.
pub(super) fn page_size_or_all(size: i32) -> Result<Option<usize>, Violation> {
    match size {
        0 => Ok(None),
        size => size_from_pb(size).map(Some),
    }
}

/// A request for a page.
pub struct ListQuery<T> {
    /// The account; None where it was bad.
    pub account: Option<AccountName>,
    /// The filters and the page.
    pub query: T,
    /// The list, for the token of the next page.
    pub key: ListKey,
}

/// A `ListHoldsRequest`; what is wrong with it is added to `violations`.
pub fn holds_query_from_pb(
    request: &pb::ListHoldsRequest,
    violations: &mut FieldViolations,
) -> ListQuery<HoldQuery> {
    let key = holds_key(request);
    let account = violations.check("account", AccountName::new(&request.account));
    let limit = violations.check("page_size", size_from_pb(request.page_size));
    let after = violations.check("page_token", key.last(&request.page_token));
    let request_id = match request.request_id.as_str() {
        "" => None,
        text => violations.check("request_id", RequestId::new(text)),
    };
    let labels = violations.check("labels", Labels::new(request.labels.iter()));
    let start_time = time_from_pb("start_time", request.start_time.as_ref(), violations);
    let end_time = time_from_pb("end_time", request.end_time.as_ref(), violations);
    ListQuery {
        account,
        query: HoldQuery {
            after: after.flatten().map(HoldId),
            limit: limit.unwrap_or_default(),
            request_id,
            labels: labels.unwrap_or_default(),
            start_time,
            end_time,
        },
        key,
    }
}

/// The hash of the account and the filters.
fn holds_key(request: &pb::ListHoldsRequest) -> ListKey {
    let start = time_part(request.start_time.as_ref());
    let end = time_part(request.end_time.as_ref());
    let mut labels: Vec<_> = request.labels.iter().collect();
    labels.sort_unstable();
    let mut parts: Vec<&[u8]> = vec![
        b"holds",
        request.account.as_bytes(),
        request.request_id.as_bytes(),
        start.as_bytes(),
        end.as_bytes(),
    ];
    let pairs = labels.iter();
    parts.extend(pairs.flat_map(|(key, value)| [key.as_bytes(), value.as_bytes()]));
    ListKey::of(&parts)
}

/// The time of a filter.
fn time_from_pb(
    field: &'static str,
    time: Option<&prost_types::Timestamp>,
    violations: &mut FieldViolations,
) -> Option<Timestamp> {
    time.and_then(|time| violations.check(field, timestamp_from_pb(time)))
}

/// The same as a part of the hash.
fn time_part(time: Option<&prost_types::Timestamp>) -> String {
    time.map_or_else(String::new, |t| format!("{}.{}", t.seconds, t.nanos))
}

/// A request for a page of accounts.
pub struct AccountsQuery {
    /// The prefix and the page.
    pub query: NameQuery,
    /// The list, for the token of the next page.
    pub key: ListKey,
}

/// A `ListAccountsRequest`.
///
/// # Errors
/// All that is wrong with it.
pub fn accounts_query_from_pb(
    request: &pb::ListAccountsRequest,
) -> Result<AccountsQuery, FieldViolations> {
    let mut violations = FieldViolations::new();
    let key = ListKey::of(&[b"accounts", request.prefix.as_bytes()]);
    // Whatever begins a name is one.
    violations.check("prefix", optional_account_from_pb(&request.prefix));
    let limit = violations.check("page_size", size_from_pb(request.page_size));
    let after = violations.check("page_token", key.last_name(&request.page_token));
    let query = NameQuery {
        prefix: request.prefix.as_str().into(),
        after: after.flatten(),
        limit: limit.unwrap_or_default(),
    };
    violations.or(AccountsQuery { query, key })
}

/// A `ListEntriesRequest`; what is wrong with it is added to `violations`.
pub fn entries_query_from_pb(
    request: &pb::ListEntriesRequest,
    violations: &mut FieldViolations,
) -> ListQuery<EntryQuery> {
    let key = entries_key(request);
    let account = violations.check("account", AccountName::new(&request.account));
    let limit = violations.check("page_size", size_from_pb(request.page_size));
    let before = violations.check("page_token", key.last(&request.page_token));
    let start_time = time_from_pb("start_time", request.start_time.as_ref(), violations);
    let end_time = time_from_pb("end_time", request.end_time.as_ref(), violations);
    violations.check(
        "service",
        check_length(&request.service, 0, SERVICE_BYTES_MAX),
    );
    violations.check("key_id", check_length(&request.key_id, 0, KEY_ID_BYTES_MAX));
    let kinds = violations.check("kinds", kinds_from_pb(&request.kinds));
    let hold = match request.hold_id.as_str() {
        "" => None,
        text => id_from_pb("hold_id", text, account.as_ref(), violations),
    };
    ListQuery {
        account,
        query: EntryQuery {
            before: before.flatten().map(EntryId),
            limit: limit.unwrap_or_default(),
            start_time,
            end_time,
            kinds: kinds.unwrap_or_default(),
            service: request.service.as_str().into(),
            hold,
            key_id: request.key_id.as_str().into(),
        },
        key,
    }
}

/// The hash of the account and the filters. Kinds are a set.
fn entries_key(request: &pb::ListEntriesRequest) -> ListKey {
    let mut kinds = request.kinds.clone();
    kinds.sort_unstable();
    kinds.dedup();
    let kinds: Vec<u8> = kinds.iter().flat_map(|kind| kind.to_be_bytes()).collect();
    ListKey::of(&[
        b"entries",
        request.account.as_bytes(),
        time_part(request.start_time.as_ref()).as_bytes(),
        time_part(request.end_time.as_ref()).as_bytes(),
        &kinds,
        request.service.as_bytes(),
        request.hold_id.as_bytes(),
        request.key_id.as_bytes(),
    ])
}

fn kinds_from_pb(kinds: &[i32]) -> Result<Vec<&'static str>, Violation> {
    if kinds.len() > KINDS_MAX {
        return Err(Violation::TooManyItems {
            size: kinds.len(),
            limit: KINDS_MAX,
        });
    }
    kinds.iter().map(|kind| kind_from_pb(*kind)).collect()
}
