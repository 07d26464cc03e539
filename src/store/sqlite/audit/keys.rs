//! Checks of the trail and of keys: the trail is whole, and keys are as it says.

use std::collections::{HashMap, HashSet};

use super::Audit;
use crate::store::keys::AdminAction;
use crate::store::sqlite::journal::StorageError;
use crate::store::sqlite::{keys, trail};

impl Audit<'_> {
    pub(super) fn check_keys(&mut self) -> Result<(), StorageError> {
        let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'admin_events'";
        if self.count(tables)? == 0 {
            // A file from before there were keys.
            return Ok(());
        }
        let (mut created, mut revoked) = (HashSet::new(), HashMap::new());
        let mut seals = Vec::new();
        let (report, connection) = (&mut self.report, &self.journal.connection);
        let (mut number, mut last) = (0_i64, None);
        let checked = trail::check(connection, |event, is_right| {
            number = number.saturating_add(1);
            if !is_right || event.number != number || last > Some(event.create_time) {
                report.add(format!(
                    "event {} of the trail was changed, or an event before it was removed or added",
                    event.number
                ));
            }
            (number, last) = (event.number, Some(event.create_time));
            match event.action {
                AdminAction::CreateKey => {
                    created.insert(event.subject);
                }
                AdminAction::RevokeKey => {
                    revoked.insert(event.subject, event.create_time);
                }
                AdminAction::Archive => seals.push(event.subject),
                AdminAction::PublishRateCard | AdminAction::WithdrawRateCard => {}
            }
        });
        if let Err(error) = checked {
            report.add(format!("the trail cannot be read: {error}"));
            return Ok(());
        }
        self.named_seals = seals;
        let keys = match keys::all(connection) {
            Ok(keys) => keys,
            Err(error) => {
                report.add(format!("keys cannot be read: {error}"));
                return Ok(());
            }
        };
        for stored in &keys {
            let id = stored.key.id.as_str();
            if !created.remove(id) {
                report.add(format!("key {id} was not created, as the trail says"));
            }
            if revoked.remove(id).is_some() != stored.key.revoke_time.is_some() {
                report.add(format!(
                    "key {id}: the trail and its row differ on whether it was revoked"
                ));
            }
            // To the minute, and written by the clock of the server.
            let used = stored.key.last_use_time;
            if used.is_some_and(|used| used.seconds().rem_euclid(60) != 0 || used.nanos() != 0) {
                report.add(format!("key {id}: its last use is at no minute"));
            }
        }
        for id in created.into_iter().chain(revoked.into_keys()) {
            report.add(format!("key {id} is not there, and the trail names it"));
        }
        Ok(())
    }
}
