//! The watched accounts, and the channels that notify their watchers.

use std::collections::HashMap;

use tokio::sync::watch;

use crate::domain::{AccountName, Timestamp};
use crate::store::Changes;

/// The watched accounts.
#[derive(Default)]
pub(super) struct Watchers(HashMap<AccountName, Watched>);

struct Watched {
    changes: watch::Sender<()>,
    /// When the next hold or grant of it expires.
    due: Option<Timestamp>,
}

impl Watchers {
    /// Adds a watcher of an account.
    pub(super) fn add(&mut self, name: AccountName, due: Option<Timestamp>) -> Changes {
        self.0.retain(|_, watched| !watched.changes.is_closed());
        let watched = self.0.entry(name).or_insert_with(|| Watched {
            changes: watch::Sender::new(()),
            due,
        });
        watched.due = due;
        watched.changes.subscribe()
    }

    /// Whether there are no watchers.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the account has watchers.
    pub(super) fn has(&self, name: &AccountName) -> bool {
        self.0.contains_key(name)
    }

    /// Notifies the watchers of an account, and sets when something of it expires next.
    pub(super) fn notify(&mut self, name: &AccountName, due: Option<Timestamp>) {
        let Some(watched) = self.0.get_mut(name) else {
            return;
        };
        watched.due = due;
        watched.changes.send_replace(());
        if watched.changes.is_closed() {
            self.0.remove(name);
        }
    }

    /// The earliest time at which something of a watched account expires.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.0.values().filter_map(|watched| watched.due).min()
    }

    /// The accounts of which something has expired by now.
    pub(super) fn due(&self, now: Timestamp) -> Vec<AccountName> {
        let due = |watched: &Watched| watched.due.is_some_and(|due| due <= now);
        self.0
            .iter()
            .filter(|(_, watched)| due(watched))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Makes all of them due at once.
    pub(super) fn make_all_due(&mut self) {
        for watched in self.0.values_mut() {
            watched.due = Some(Timestamp::MIN);
        }
    }
}
