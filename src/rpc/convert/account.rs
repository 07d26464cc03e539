//! Conversions of `ledger.proto`: accounts.

use super::ledger::{balance_to_pb, labels_to_pb};
use super::{credits_to_pb, timestamp_to_pb};
use crate::app::{AccountState, Written};
use crate::domain::ledger::{AccountSettings, EntryKind};
use crate::rpc::pb::creditd::v1 as pb;

/// An account.
#[must_use]
pub fn account_to_pb(state: &AccountState) -> pb::Account {
    pb::Account {
        create_time: state.create_time.map(timestamp_to_pb),
        balance: Some(balance_to_pb(&state.balance)),
        ..settings_to_pb(state.balance.account.as_str(), state.settings.as_deref())
    }
}

/// The account after an update, as its row in the journal says; None for another entry.
#[must_use]
pub fn updated_account_to_pb(written: &Written) -> Option<pb::Account> {
    let entry = &written.entry;
    let EntryKind::Update(update) = &entry.kind else {
        return None;
    };
    let account = entry.account.as_str();
    Some(pb::Account {
        create_time: Some(timestamp_to_pb(update.create_time)),
        balance: Some(pb::Balance {
            account: account.to_owned(),
            available: credits_to_pb(written.available),
            held: credits_to_pb(update.held),
            grants: Vec::new(),
            read_time: Some(timestamp_to_pb(entry.create_time)),
            version: entry.id.0,
        }),
        ..settings_to_pb(account, Some(&update.settings))
    })
}

fn settings_to_pb(account: &str, settings: Option<&AccountSettings>) -> pb::Account {
    let mut message = pb::Account {
        account: account.to_owned(),
        ..pb::Account::default()
    };
    if let Some(settings) = settings {
        message.rate_card = settings.rate_card.as_deref().unwrap_or_default().to_owned();
        message.attributes.clone_from(&settings.attributes);
        message.labels = labels_to_pb(&settings.labels);
    }
    message
}
