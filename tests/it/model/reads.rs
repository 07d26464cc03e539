//! GetBalance, GetHold, ListHolds and ListEntries.

use std::collections::BTreeSet;

use creditd::rpc::pb::creditd::v1 as pb;

use super::Model;
use super::account::{Account, Hold, Written};
use super::form;
use super::prices::text;
use super::refusal::{FieldViolations, not_found};
use crate::ledger::time::{Nanos, timestamp};
use crate::support::call::{Outcome, Reply};

/// Most grants that a balance lists.
const GRANTS_SHOWN_MAX: usize = 1_000;

impl Model {
    pub(super) fn get_balance(&mut self, request: &pb::GetBalanceRequest, now: Nanos) -> Outcome {
        let mut violations = FieldViolations::default();
        form::account_name(&mut violations, "account", &request.account);
        let as_of = form::time(&mut violations, "as_of", request.as_of.as_ref());
        if as_of.is_some_and(|time| time > now) {
            violations.add("as_of", "INVALID_TIME");
        }
        if !violations.is_empty() {
            return Err(violations.refusal());
        }
        let account = self.read(&request.account, now)?;
        let archived = account.archived.as_ref();
        if archived.is_some_and(|archived| as_of.is_some_and(|as_of| as_of < archived.time)) {
            return Err(account.in_archive());
        }
        Ok(Reply {
            balance: Some(balance(account, as_of.unwrap_or(now))),
            ..Reply::default()
        })
    }

    pub(super) fn get_hold(&mut self, request: &pb::GetHoldRequest, now: Nanos) -> Outcome {
        let mut violations = FieldViolations::default();
        form::account_name(&mut violations, "account", &request.account);
        form::id(&mut violations, "hold_id", &request.hold_id);
        if !violations.is_empty() {
            return Err(violations.refusal());
        }
        let account = self.read(&request.account, now)?;
        let mut holds = account.holds.iter();
        let Some(at) = holds.position(|hold| hold.id == request.hold_id) else {
            return Err(not_found("HOLD_NOT_FOUND", "hold_id", &request.hold_id));
        };
        if account.is_hold_archived(at) {
            return Err(account.in_archive());
        }
        Ok(Reply {
            hold: Some(account.hold_to_pb(at)),
            ..Reply::default()
        })
    }

    pub(super) fn list_holds(&mut self, request: &pb::ListHoldsRequest, now: Nanos) -> Outcome {
        let mut violations = FieldViolations::default();
        form::account_name(&mut violations, "account", &request.account);
        let size = form::page_size(&mut violations, request.page_size);
        let list = format!(
            "holds of {} {:?} {} {:?} {:?}",
            request.account,
            request.request_id,
            form::pairs_text(&request.labels),
            request.start_time,
            request.end_time
        );
        let begin = page(&mut violations, &list, &request.page_token).unwrap_or(0);
        if !request.request_id.is_empty() {
            form::request_id(&mut violations, &request.request_id);
        }
        violations.pairs("labels", &request.labels);
        let start = form::time(&mut violations, "start_time", request.start_time.as_ref());
        let end = form::time(&mut violations, "end_time", request.end_time.as_ref());
        if !violations.is_empty() {
            return Err(violations.refusal());
        }
        let account = self.read(&request.account, now)?;
        let open: Vec<usize> = (begin..account.holds.len())
            .filter(|&at| {
                let hold = &account.holds[at];
                let mut labels = request.labels.iter();
                hold.is_open()
                    && (request.request_id.is_empty() || hold.request_id == request.request_id)
                    && labels.all(|(key, value)| hold.labels.get(key) == Some(value))
                    && start.is_none_or(|start| hold.create >= start)
                    && end.is_none_or(|end| hold.create < end)
            })
            .collect();
        let next_page_token = match open.get(size) {
            Some(next) => token(&list, *next),
            None => String::new(),
        };
        let shown = open.iter().take(size);
        Ok(Reply {
            holds: Some(shown.map(|&at| account.hold_to_pb(at)).collect()),
            next_page_token,
            ..Reply::default()
        })
    }

    pub(super) fn list_entries(&mut self, request: &pb::ListEntriesRequest, now: Nanos) -> Outcome {
        let mut violations = FieldViolations::default();
        form::account_name(&mut violations, "account", &request.account);
        let size = form::page_size(&mut violations, request.page_size);
        form::time(&mut violations, "start_time", request.start_time.as_ref());
        form::time(&mut violations, "end_time", request.end_time.as_ref());
        if request.service.len() > 128 {
            violations.add("service", "INVALID_LENGTH");
        }
        if request.key_id.len() > 64 {
            violations.add("key_id", "INVALID_LENGTH");
        }
        let mut kinds = request.kinds.iter();
        if kinds.any(|kind| pb::EntryKind::try_from(*kind).is_err() || *kind == 0) {
            violations.add("kinds", "UNKNOWN_VALUE");
        }
        let kinds: BTreeSet<i32> = request.kinds.iter().copied().collect();
        let list = format!(
            "entries of {} {:?} {:?} {:?} {} {} {}",
            request.account,
            request.start_time,
            request.end_time,
            kinds,
            request.service,
            request.hold_id,
            request.key_id
        );
        let end = page(&mut violations, &list, &request.page_token);
        if !violations.is_empty() {
            return Err(violations.refusal());
        }
        let account = self.read(&request.account, now)?;
        let named = |hold: &Hold| hold.id == request.hold_id;
        match account.holds.iter().position(named) {
            Some(at) if account.is_hold_archived(at) => return Err(account.in_archive()),
            None if !request.hold_id.is_empty() => {
                return Err(not_found("HOLD_NOT_FOUND", "hold_id", &request.hold_id));
            }
            _ => {}
        }
        // Positions below `end`, from the newest back.
        let end = end.unwrap_or(account.entries.len());
        let found: Vec<usize> = (account.archived_entries()..end)
            .rev()
            .filter(|&at| passes(request, &account.entries[at]))
            .collect();
        let next_page_token = match found.get(size) {
            Some(next) => token(&list, next + 1),
            None => String::new(),
        };
        let shown = found.iter().take(size);
        let entries = shown.map(|&at| account.entries[at].entry.clone());
        let opening_balance = match next_page_token.is_empty() {
            true => account.opening(request),
            false => None,
        };
        Ok(Reply {
            entries: Some(entries.collect()),
            next_page_token,
            opening_balance,
            ..Reply::default()
        })
    }
}

/// Whether an entry passes all filters.
fn passes(request: &pb::ListEntriesRequest, written: &Written) -> bool {
    let entry = &written.entry;
    let start = form::time(
        &mut FieldViolations::default(),
        "",
        request.start_time.as_ref(),
    );
    let end = form::time(
        &mut FieldViolations::default(),
        "",
        request.end_time.as_ref(),
    );
    start.is_none_or(|start| written.time >= start)
        && end.is_none_or(|end| written.time < end)
        && (request.kinds.is_empty() || request.kinds.contains(&entry.kind))
        && (request.service.is_empty() || request.service == entry.service)
        && (request.hold_id.is_empty() || request.hold_id == entry.hold_id)
        && (request.key_id.is_empty() || request.key_id == entry.key_id)
}

/// Where a list goes on.
pub(super) fn token(list: &str, at: impl std::fmt::Display) -> String {
    format!("{list}|{at}")
}

/// Where to go on by a token; it must be of this list.
pub(super) fn page<T: std::str::FromStr>(
    violations: &mut FieldViolations,
    list: &str,
    token: &str,
) -> Option<T> {
    if token.is_empty() {
        return None;
    }
    let of_this_list = token
        .strip_prefix(list)
        .and_then(|rest| rest.strip_prefix('|'));
    let at = of_this_list.and_then(|at| at.parse().ok());
    if at.is_none() {
        violations.add("page_token", "INVALID_PAGE_TOKEN");
    }
    at
}

/// The balance then: what the entries up to that moment sum to.
pub(super) fn balance(account: &Account, time: Nanos) -> pb::Balance {
    let mut version = 0;
    let mut grants = vec![(0, 0); account.grants.len()];
    for written in account
        .entries
        .iter()
        .take_while(|written| written.time <= time)
    {
        version += 1;
        for (position, credits, held) in &written.shares {
            grants[*position].0 += credits;
            grants[*position].1 += held;
        }
    }
    let live = account
        .in_burn_order()
        .into_iter()
        .filter(|&at| grants[at] != (0, 0))
        .take(GRANTS_SHOWN_MAX)
        .map(|at| {
            let grant = &account.grants[at];
            pb::GrantBalance {
                grant_id: grant.id.clone(),
                granted: text(grant.granted),
                remaining: text(grants[at].0),
                priority: grant.priority,
                expire_time: grant.expire.map(timestamp),
                source: grant.source.clone(),
                held: text(grants[at].1),
                services: grant.services.clone(),
                create_time: Some(timestamp(grant.create)),
            }
        });
    pb::Balance {
        account: account.name.clone(),
        available: text(grants.iter().map(|grant| grant.0).sum()),
        held: text(grants.iter().map(|grant| grant.1).sum()),
        grants: live.collect(),
        read_time: Some(timestamp(time)),
        version,
    }
}
