//! Grant and RevokeGrant.

use creditd::rpc::pb::creditd::v1 as pb;

use super::account::{Account, Grant};
use super::form::{self, Body};
use super::prices::{MAX, NoPrice, text};
use super::refusal::{FieldViolations, not_found, precondition};
use super::{GRANTS_MAX, Model, Write};
use crate::ledger::time::{Nanos, timestamp};
use crate::support::call::{Outcome, Reply};
use crate::support::refusal::Refusal;

impl Model {
    pub(super) fn grant(&mut self, request: &pb::GrantRequest, now: Nanos) -> Outcome {
        let mut form = form::of_write(&request.request_id, &request.account);
        let credits = form::credits(&mut form, &request.credits, false);
        let expire = form::time(&mut form, "expire_time", request.expire_time.as_ref());
        if request.source.len() > 256 {
            form.add("source", "INVALID_LENGTH");
        }
        if request.services.len() > 100 {
            form.add("services", "TOO_MANY_ITEMS");
        } else if request
            .services
            .iter()
            .any(|key| !(1..=128).contains(&key.len()))
        {
            form.add("services", "INVALID_LENGTH");
        }
        form.pairs("labels", &request.labels);
        let services = form::set(&request.services);

        let mut by_time = FieldViolations::default();
        if expire.is_some_and(|expire| expire <= now) {
            by_time.add("expire_time", "INVALID_TIME");
        }
        if !form.has("services") && services.iter().any(|key| !self.cards.has_service(key)) {
            by_time.add("services", "UNKNOWN_SERVICE");
        }
        let by_time = if by_time.is_empty() {
            Ok(())
        } else {
            Err(NoPrice::Fields(by_time))
        };

        let opens =
            form.is_empty() && by_time.is_ok() && !self.accounts.contains_key(&request.account);
        if opens {
            let account = Account::new(&request.account, now);
            self.accounts.insert(request.account.clone(), account);
        }
        let body = Body::from([
            ("verb", "Grant".to_owned()),
            ("credits", credits.to_string()),
            ("expire_time", format!("{expire:?}")),
            ("priority", request.priority.to_string()),
            ("source", request.source.clone()),
            ("services", format!("{services:?}")),
            ("labels", form::pairs_text(&request.labels)),
        ]);
        let write = Write::new(&request.request_id, &request.account, form, body);
        self.write(write, now, by_time, |account, numbers, _, ()| {
            if account.live_grants() >= GRANTS_MAX {
                let metadata = [
                    ("account", account.name.clone()),
                    ("limit", GRANTS_MAX.to_string()),
                ];
                return Err(precondition("TOO_MANY_GRANTS", &metadata));
            }
            check_balance(account, credits)?;
            account.grants.push(Grant {
                id: numbers.next('g'),
                granted: credits,
                remaining: 0,
                held: 0,
                priority: request.priority,
                expire,
                source: request.source.clone(),
                services: services.clone(),
                create: now,
                expired: false,
                revoked: false,
            });
            let at = account.grants.len() - 1;
            let entry = pb::Entry {
                kind: pb::EntryKind::Grant.into(),
                request_id: request.request_id.clone(),
                grant_id: account.grants[at].id.clone(),
                source: request.source.clone(),
                labels: request.labels.clone(),
                expire_time: expire.map(timestamp),
                priority: request.priority,
                services,
                ..pb::Entry::default()
            };
            let entry = account.write(numbers, now, vec![(at, credits, 0)], Vec::new(), entry);
            Ok(account.reply_with_entry(entry))
        })
    }

    pub(super) fn revoke_grant(&mut self, request: &pb::RevokeGrantRequest, now: Nanos) -> Outcome {
        let mut form = form::of_write(&request.request_id, &request.account);
        form::id(&mut form, "grant_id", &request.grant_id);
        form.pairs("labels", &request.labels);
        let body = Body::from([
            ("verb", "RevokeGrant".to_owned()),
            ("grant_id", request.grant_id.clone()),
            ("labels", form::pairs_text(&request.labels)),
        ]);
        let write = Write::new(&request.request_id, &request.account, form, body);
        self.write(write, now, Ok(()), |account, numbers, _, ()| {
            let mut grants = account.grants.iter();
            let Some(at) = grants.position(|grant| grant.id == request.grant_id) else {
                return Err(not_found("GRANT_NOT_FOUND", "grant_id", &request.grant_id));
            };
            account.grants[at].revoked = true;
            let entry = pb::Entry {
                request_id: request.request_id.clone(),
                labels: request.labels.clone(),
                ..pb::Entry::default()
            };
            let entry = account.take_rest(numbers, now, at, pb::EntryKind::Revoke, entry);
            Ok(Reply {
                entry,
                ..account.reply()
            })
        })
    }
}

/// Refuses what would make available and held together too large.
pub(super) fn check_balance(account: &Account, credits: i64) -> Result<(), Refusal> {
    let before = i128::from(account.available()) + i128::from(account.held());
    if before + i128::from(credits) > i128::from(MAX) {
        let metadata = [("account", account.name.clone()), ("limit", text(MAX))];
        return Err(precondition("BALANCE_TOO_LARGE", &metadata));
    }
    Ok(())
}
