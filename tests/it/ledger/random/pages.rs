//! Lists that are read page by page, while others write.

use std::collections::VecDeque;

use creditd::rpc::pb::creditd::v1 as pb;

use super::run::Run;
use crate::support::call::{Call, Outcome, Reply};

/// Lists that are read while others write.
const WALKS_MAX: usize = 4;

/// A list of entries that is read page by page.
pub(super) struct Walk {
    request: pb::ListEntriesRequest,
    /// What is still to come, as it was when the list was begun.
    rest: VecDeque<pb::Entry>,
}

/// A list of holds that is read page by page, by either one's tokens.
pub(super) struct HoldWalk {
    pub(super) model: pb::ListHoldsRequest,
    pub(super) real: pb::ListHoldsRequest,
}

/// A list of accounts that is read page by page, by either one's tokens.
pub(super) struct AccountWalk {
    pub(super) model: pb::ListAccountsRequest,
    pub(super) real: pb::ListAccountsRequest,
}

impl Run {
    /// Begins a list of entries: what has to be on all its pages is known from now on.
    pub(super) fn begin_walk(&mut self, request: pb::ListEntriesRequest) -> Result<(), String> {
        // The first page, by which the lapses are written and compared as well.
        let call = Call::ListEntries(request.clone());
        let (model, real) = self.ask(&call, &call)?;
        let mut rest = VecDeque::new();
        let mut page = match model {
            Ok(page) => page,
            refused => return self.judge(&call, refused, real),
        };
        loop {
            rest.extend(page.entries.unwrap());
            if page.next_page_token.is_empty() {
                break;
            }
            let next = Call::ListEntries(pb::ListEntriesRequest {
                page_token: page.next_page_token,
                ..request.clone()
            });
            page = self.model.call(&next, self.last).unwrap();
        }
        self.check_page(Walk { request, rest }, real)
    }

    pub(super) fn page(&mut self, walk: Walk) -> Result<(), String> {
        // The model is asked for anything, so that its time goes on.
        let model = Call::ListEntries(pb::ListEntriesRequest {
            page_token: String::new(),
            ..walk.request.clone()
        });
        let real = Call::ListEntries(walk.request.clone());
        let (_, answer) = self.ask(&model, &real)?;
        self.check_page(walk, answer)
    }

    /// The page must be what comes next, and may be shorter than was asked for.
    fn check_page(&mut self, mut walk: Walk, real: Outcome) -> Result<(), String> {
        let Ok(Reply {
            entries: Some(entries),
            next_page_token: token,
            opening_balance: opening,
            ..
        }) = real
        else {
            return Err(format!("expected a page, but got {real:#?}"));
        };
        let size = match walk.request.page_size {
            0 => 50,
            size => usize::try_from(size).unwrap().min(1_000),
        };
        let length = entries.len();
        if length > size || length > walk.rest.len() {
            return Err(format!(
                "{length} entries, where {} were to come: {entries:#?}",
                walk.rest.len()
            ));
        }
        let page = |entries, opening| Reply {
            entries: Some(entries),
            opening_balance: opening,
            ..Reply::default()
        };
        let account = self.model.accounts.get(&walk.request.account);
        let ends_with = account.filter(|_| token.is_empty());
        let ends_with = ends_with.and_then(|account| account.opening(&walk.request));
        let expected = page(walk.rest.drain(..length).collect(), ends_with);
        let call = Call::ListEntries(walk.request.clone());
        self.judge(&call, Ok(expected), Ok(page(entries, opening)))?;
        if token.is_empty() {
            return match walk.rest.len() {
                0 => Ok(()),
                more => Err(format!("the list ended, and {more} were to come")),
            };
        }
        walk.request.page_token = token;
        if self.walks.len() < WALKS_MAX {
            self.walks.push(walk);
        }
        Ok(())
    }

    /// A page of holds; the list is gone on with later.
    pub(super) fn hold_page(&mut self, walk: HoldWalk) -> Result<(), String> {
        let (model, real) = (
            Call::ListHolds(walk.model.clone()),
            Call::ListHolds(walk.real),
        );
        let (mut expected, mut answer) = self.ask(&model, &real)?;
        let next = (take_token(&mut expected), take_token(&mut answer));
        self.judge(&model, expected, answer)?;
        match next {
            (None, None) => Ok(()),
            (Some(token), Some(real_token)) => {
                if self.hold_walks.len() < WALKS_MAX {
                    let page = |page_token| pb::ListHoldsRequest {
                        page_token,
                        ..walk.model.clone()
                    };
                    self.hold_walks.push(HoldWalk {
                        model: page(token),
                        real: page(real_token),
                    });
                }
                Ok(())
            }
            // That there is a next page may turn out to be wrong.
            (None, Some(_)) => Ok(()),
            (Some(_), None) => Err("the list ended, and more were to come".to_owned()),
        }
    }

    /// A page of accounts; the list is gone on with later.
    pub(super) fn account_page(&mut self, walk: AccountWalk) -> Result<(), String> {
        let (mut expected, mut answer) = self.ask_accounts(&walk.model, walk.real)?;
        let next = (take_token(&mut expected), take_token(&mut answer));
        self.judge(&Call::ListAccounts(walk.model.clone()), expected, answer)?;
        match next {
            (None, None) => Ok(()),
            (Some(token), Some(real_token)) => {
                if self.account_walks.len() < WALKS_MAX {
                    let page = |page_token| pb::ListAccountsRequest {
                        page_token,
                        ..walk.model.clone()
                    };
                    self.account_walks.push(AccountWalk {
                        model: page(token),
                        real: page(real_token),
                    });
                }
                Ok(())
            }
            (one, other) => Err(format!("one list goes on: {one:?}, {other:?}")),
        }
    }
}

/// The token of a page, taken out of it.
fn take_token(outcome: &mut Outcome) -> Option<String> {
    let reply = outcome.as_mut().ok()?;
    let token = std::mem::take(&mut reply.next_page_token);
    (!token.is_empty()).then_some(token)
}
