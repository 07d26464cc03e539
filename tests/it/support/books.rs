//! An account's books, and whether they add up. The arithmetic is the test's own.

use std::collections::{BTreeMap, BTreeSet};

use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::pb::creditd::v1::ledger_service_client::LedgerServiceClient;
use tonic::transport::Channel;

use super::balance;

pub type Ledger = LedgerServiceClient<Channel>;

/// An amount in billionths. It must be written as the contract says: no more
/// digits than needed.
#[track_caller]
pub fn billionths(text: &str) -> i128 {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = !whole.is_empty()
        && plain(whole)
        && plain(fraction)
        && (whole == "0" || !whole.starts_with('0'))
        && !fraction.ends_with('0')
        && !digits.ends_with('.')
        && fraction.len() <= 9
        && text != "-0";
    assert!(canonical, "{text:?} is not written as an amount");
    let value: i128 = format!("{whole}{fraction:0<9}").parse().unwrap();
    sign * value
}

/// The amount as it is written.
pub fn amount(billionths: i128) -> String {
    let sign = if billionths < 0 { "-" } else { "" };
    let (whole, fraction) = (
        billionths.unsigned_abs() / 1_000_000_000,
        billionths.unsigned_abs() % 1_000_000_000,
    );
    let text = format!("{sign}{whole}.{fraction:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Everything of an account, at one moment.
#[derive(Debug)]
pub struct Books {
    pub balance: pb::Balance,
    /// Oldest first.
    pub entries: Vec<pb::Entry>,
    pub holds: Vec<pb::HoldState>,
}

impl Books {
    /// Available, held.
    pub fn sums(&self) -> (&str, &str) {
        (&self.balance.available, &self.balance.held)
    }

    pub fn of_kind(&self, kind: pb::EntryKind) -> Vec<&pb::Entry> {
        let of_kind = self.entries.iter().filter(|entry| entry.kind() == kind);
        of_kind.collect()
    }
}

/// Reads an account and checks that its books add up. What expires on the way is
/// read again.
pub async fn audit(ledger: &mut Ledger, account: &str) -> Books {
    audit_by(ledger, account, 1_000).await
}

/// The same, with pages of so many entries.
pub async fn audit_by(ledger: &mut Ledger, account: &str, page_size: i32) -> Books {
    for _ in 0..20 {
        let balance = read(ledger, account).await;
        let books = Books {
            balance,
            entries: entries(ledger, account, page_size).await,
            holds: holds(ledger, account).await,
        };
        if read(ledger, account).await.version == books.balance.version {
            check(account, &books);
            return books;
        }
    }
    panic!("{account} does not come to rest");
}

pub async fn read(ledger: &mut Ledger, account: &str) -> pb::Balance {
    let reply = ledger.get_balance(balance(account)).await.unwrap();
    reply.into_inner().balance.unwrap()
}

/// All entries, oldest first.
pub async fn entries(ledger: &mut Ledger, account: &str, page_size: i32) -> Vec<pb::Entry> {
    let mut request = pb::ListEntriesRequest {
        account: account.to_owned(),
        page_size,
        ..pb::ListEntriesRequest::default()
    };
    let mut all = Vec::new();
    loop {
        let reply = ledger.list_entries(request.clone()).await.unwrap();
        let reply = reply.into_inner();
        assert!(reply.entries.len() <= page_size.unsigned_abs() as usize);
        all.extend(reply.entries);
        if reply.next_page_token.is_empty() {
            all.reverse();
            return all;
        }
        assert_ne!(reply.next_page_token, request.page_token, "no end of pages");
        request.page_token = reply.next_page_token;
    }
}

/// All open holds, oldest first.
pub async fn holds(ledger: &mut Ledger, account: &str) -> Vec<pb::HoldState> {
    let mut request = pb::ListHoldsRequest {
        account: account.to_owned(),
        page_size: 1_000,
        page_token: String::new(),
        ..pb::ListHoldsRequest::default()
    };
    let mut all = Vec::new();
    loop {
        let reply = ledger.list_holds(request.clone()).await.unwrap();
        let reply = reply.into_inner();
        all.extend(reply.holds);
        if reply.next_page_token.is_empty() {
            return all;
        }
        assert_ne!(reply.next_page_token, request.page_token, "no end of pages");
        request.page_token = reply.next_page_token;
    }
}

fn check(account: &str, books: &Books) {
    let (mut available, mut held) = (0, 0);
    let mut ids = BTreeSet::new();
    let mut requests = BTreeSet::new();
    let mut grants: BTreeMap<&str, (i128, i128)> = BTreeMap::new();
    let mut time = (i64::MIN, 0);
    for (version, entry) in (1..).zip(&books.entries) {
        let (credits, of_held, spent) = parts(entry);
        available += credits;
        held += of_held;
        assert_eq!(entry.account, account);
        assert_eq!(entry.version, version, "a gap before {entry:?}");
        assert_eq!(billionths(&entry.available), available, "{entry:?}");
        assert!(available >= 0 && held >= 0, "overdrawn by {entry:?}");
        assert!(ids.insert(&entry.entry_id), "twice: {entry:?}");
        let once = entry.request_id.is_empty() || requests.insert(&entry.request_id);
        assert!(once, "its request_id moved twice: {entry:?}");
        let created = entry.create_time.as_ref().unwrap();
        let created = (created.seconds, created.nanos);
        assert!(created >= time, "older than the one before it: {entry:?}");
        time = created;

        let balanced = match entry.kind() {
            pb::EntryKind::Grant => credits > 0 && of_held == 0 && spent == 0,
            pb::EntryKind::Expire | pb::EntryKind::Revoke => {
                credits <= 0 && of_held == 0 && spent == 0
            }
            _ => credits + of_held + spent == 0,
        };
        assert!(balanced, "{entry:?}");
        let (mut of_shares, mut held_of_shares) = (0, 0);
        for share in &entry.grants {
            let (credits, of_held) = (billionths(&share.credits), billionths(&share.held));
            of_shares += credits;
            held_of_shares += of_held;
            let left = grants.entry(&share.grant_id).or_default();
            left.0 += credits;
            left.1 += of_held;
            assert!(left.0 >= 0 && left.1 >= 0, "overdrawn grant: {entry:?}");
        }
        assert_eq!((of_shares, held_of_shares), (credits, of_held), "{entry:?}");
    }
    let balance = &books.balance;
    assert_eq!(billionths(&balance.available), available, "{account}");
    assert_eq!(billionths(&balance.held), held, "{account}");
    let newest = books.entries.last().map_or(0, |entry| entry.version);
    assert_eq!(balance.version, newest, "{account}");
    if balance.grants.len() < 1_000 {
        grants.retain(|_, left| *left != (0, 0));
        let told = balance.grants.iter().map(|grant| {
            let left = (billionths(&grant.remaining), billionths(&grant.held));
            (grant.grant_id.as_str(), left)
        });
        assert_eq!(told.collect::<BTreeMap<_, _>>(), grants, "{account}");
    }
    let in_holds: i128 = books.holds.iter().map(|hold| billionths(&hold.held)).sum();
    assert_eq!(in_holds, held, "{account}: what its open holds have");
    for hold in &books.holds {
        assert_eq!(hold.status(), pb::HoldStatus::Open, "{hold:?}");
        assert_eq!(hold.account, account);
    }
}

/// Credits, held, spent.
pub fn parts(entry: &pb::Entry) -> (i128, i128, i128) {
    (
        billionths(&entry.credits),
        billionths(&entry.held),
        billionths(&entry.spent),
    )
}
