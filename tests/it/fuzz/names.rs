//! Names, ids, hosts and patterns of accounts: what is accepted is what was given out, or what
//! the grammar says.

use std::collections::BTreeMap;
use std::fmt::Debug;

use creditd::domain::keys::{AccountPattern, AccountPatterns, KeyId};
use creditd::domain::ledger::{AccountId, EntryId, GrantId, HoldId, Named};
use creditd::domain::names::is_service_key;
use creditd::domain::{AccountName, Labels, RequestId};
use creditd::server::{PORT_DEFAULT, host_and_port};

/// The first line is an account, and each other line any kind of name.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut lines = text.split('\n');
    let account = lines.next().unwrap_or_default();
    let graphic = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let is_name =
        (1..=128).contains(&account.len()) && graphic(account) && !account.contains(['"', '\\']);
    let name = AccountName::new(account).ok();
    assert_eq!(name.is_some(), is_name, "{account:?}");
    let lines: Vec<&str> = lines.collect();
    for line in &lines {
        if let Some(name) = &name {
            id::<EntryId>(line, name);
            id::<GrantId>(line, name);
            id::<HoldId>(line, name);
        }
        let printable = line.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let is_request_id = (1..=256).contains(&line.len()) && printable;
        assert_eq!(RequestId::new(line).is_ok(), is_request_id, "{line:?}");
        let is_key_id = (1..=64).contains(&line.len()) && graphic(line);
        assert_eq!(KeyId::new(line).is_some(), is_key_id, "{line:?}");
        if is_service_key(line) {
            assert!(is_key_id || line.len() > 64, "{line:?}");
        }
        host(line);
    }
    labels(&lines);
    patterns(&lines, account);
}

/// An id is read only as it is written.
fn id<T: AccountId + Debug>(text: &str, account: &AccountName) {
    let named = Named::<T>::read(text, Some(account));
    assert!(text.starts_with(&*named.text()), "{text:?}");
    if let Some(id) = named.id() {
        assert_eq!(id.text(account), text);
        assert!(id.number() > 0, "{text}");
    }
    assert!(Named::<T>::read(text, None).id().is_none());
}

/// A host and a port are read again from what they are written as.
fn host(text: &str) {
    let Ok((host, port)) = host_and_port(text, 1, PORT_DEFAULT) else {
        return;
    };
    let written = match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    assert_eq!(
        host_and_port(&written, 1, PORT_DEFAULT),
        Ok((host, port)),
        "{text:?}"
    );
}

/// Each line is a label, "key=value".
fn labels(lines: &[&str]) {
    let pairs = lines.iter().filter_map(|line| line.split_once('='));
    let pairs: BTreeMap<String, String> = pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let fits = pairs.len() <= 16
        && (pairs.iter()).all(|(key, value)| (1..=64).contains(&key.len()) && value.len() <= 256);
    let labels = Labels::new(pairs.iter());
    assert_eq!(labels.is_ok(), fits, "{pairs:?}");
    if let Ok(labels) = labels {
        let same = labels
            .iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(same.collect::<BTreeMap<_, _>>(), pairs);
    }
}

/// Many patterns allow a name where one of them matches it.
fn patterns(lines: &[&str], account: &str) {
    let patterns: Vec<_> = lines
        .iter()
        .filter_map(|line| AccountPattern::parse(line))
        .collect();
    for pattern in &patterns {
        assert_eq!(
            AccountPattern::parse(&pattern.to_string()).as_ref(),
            Some(pattern)
        );
    }
    let expected = patterns.is_empty() || patterns.iter().any(|one| one.matches(account));
    let all = AccountPatterns::new(patterns.clone());
    assert_eq!(all.allow(account), expected, "{patterns:?}: {account:?}");
    // What is left of them within a prefix is neither more nor less.
    for prefix in ["", "a", "team-", account] {
        let left: Vec<_> = all.within(prefix).collect();
        let allowed = left.iter().any(|one| one.matches(account));
        let expected = !all.is_all() && expected && account.starts_with(prefix);
        assert_eq!(
            allowed, expected,
            "{patterns:?} within {prefix:?}: {account:?}"
        );
    }
}
