//! Who wants to hear of which account.

use std::collections::HashMap;

use tokio::sync::watch;

use crate::domain::{AccountName, Timestamp};
use crate::store::Changes;

/// The accounts that are watched.
#[derive(Default)]
pub(super) struct Watchers(HashMap<AccountName, Watched>);

struct Watched {
    told: watch::Sender<()>,
    /// When something of it ends by itself.
    due: Option<Timestamp>,
}

impl Watchers {
    /// One more watcher of an account.
    pub(super) fn add(&mut self, name: AccountName, due: Option<Timestamp>) -> Changes {
        self.0.retain(|_, watched| !watched.told.is_closed());
        let watched = self.0.entry(name).or_insert_with(|| Watched {
            told: watch::Sender::new(()),
            due,
        });
        watched.due = due;
        watched.told.subscribe()
    }

    /// Whether nobody watches anything.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether anybody watches the account.
    pub(super) fn has(&self, name: &AccountName) -> bool {
        self.0.contains_key(name)
    }

    /// Tells those who watch an account, and notes when it changes by itself next.
    pub(super) fn tell(&mut self, name: &AccountName, due: Option<Timestamp>) {
        let Some(watched) = self.0.get_mut(name) else {
            return;
        };
        watched.due = due;
        watched.told.send_replace(());
        if watched.told.is_closed() {
            self.0.remove(name);
        }
    }

    /// When the first of them changes by itself.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.0.values().filter_map(|watched| watched.due).min()
    }

    /// Those that have changed by themselves by now.
    pub(super) fn due(&self, now: Timestamp) -> Vec<AccountName> {
        let due = |watched: &Watched| watched.due.is_some_and(|due| due <= now);
        self.0
            .iter()
            .filter(|(_, watched)| due(watched))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Has all of them checked at again at once.
    pub(super) fn look_again(&mut self) {
        for watched in self.0.values_mut() {
            watched.due = Some(Timestamp::MIN);
        }
    }
}
