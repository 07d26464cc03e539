//! Updates of an account: its settings.

use std::sync::Arc;

use super::{Context, check_exists};
use crate::domain::ledger::account::Account;
use crate::domain::ledger::command::UpdateAction;
use crate::domain::ledger::entry::{Entry, EntryKind};
use crate::domain::ledger::settings::{AccountSettings, AccountUpdate};
use crate::domain::refusal::Refusal;

pub(super) fn update(
    account: &Account,
    action: &UpdateAction,
    context: Context<'_>,
) -> Result<Entry, Refusal> {
    if let Some(refusal) = &action.refusal {
        return Err(refusal.clone());
    }
    if !action.allow_missing {
        check_exists(account)?;
    }
    let before = account.settings();
    let mut settings = before.map_or_else(AccountSettings::default, |s| AccountSettings::clone(s));
    if let Some(name) = &action.rate_card {
        settings.rate_card = (!name.is_empty()).then(|| name.clone());
    }
    if let Some(attributes) = &action.attributes {
        settings.attributes.clone_from(attributes);
    }
    if let Some(labels) = &action.labels {
        settings.labels.clone_from(labels);
    }
    let update = AccountUpdate {
        settings,
        create_time: account.create_time().unwrap_or(context.now),
        held: account.held(),
    };
    Ok(account.next_entry(context.now, EntryKind::Update(Arc::new(update))))
}
