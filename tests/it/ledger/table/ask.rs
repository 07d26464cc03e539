//! From the words of a line to the call that they mean.

use std::collections::BTreeMap;

use creditd::rpc::pb::creditd::v1 as pb;

use super::super::call::{Call, Nanos, duration, timestamp};
use super::super::cards;
use super::time::{self, Named};

/// What the words of a line can refer to.
pub struct Context<'a> {
    pub names: &'a BTreeMap<String, Named>,
    pub now: Nanos,
    /// Where the last list ended.
    pub page_token: &'a str,
}

/// The words of a line that were not read yet.
pub struct Words<'a> {
    words: &'a [String],
    context: &'a Context<'a>,
}

impl<'a> Words<'a> {
    pub fn new(words: &'a [String], context: &'a Context<'a>) -> Self {
        Self { words, context }
    }

    fn next(&mut self) -> String {
        let (first, rest) = self.words.split_first().expect("one more word");
        self.words = rest;
        first.clone()
    }

    fn peek(&self) -> Option<&str> {
        self.words.first().map(String::as_str)
    }

    /// The next word, where it is that one.
    fn is(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(word);
        if found {
            self.next();
        }
        found
    }

    /// An id: that of a name, or the word itself.
    fn id(&mut self) -> String {
        let word = self.next();
        let named = self.context.names.get(&word);
        named.map_or(word, |named| named.id.clone())
    }

    fn time(&mut self) -> prost_types::Timestamp {
        // A moment that is none.
        if self.is("year-10000") {
            return prost_types::Timestamp {
                seconds: 253_402_300_800,
                nanos: 0,
            };
        }
        let (time, used) = time::read(self.words, self.context.names, self.context.now);
        self.words = &self.words[used..];
        timestamp(time)
    }

    fn ttl(&mut self) -> prost_types::Duration {
        duration(time::length(&self.next()))
    }

    fn pair(&mut self) -> (String, String) {
        let word = self.next();
        let (key, value) = word.split_once('=').expect("key=value");
        (key.to_owned(), value.to_owned())
    }

    /// An amount, or a service and a quantity with what belongs to it.
    fn what(&mut self) -> Option<Result<String, pb::Usage>> {
        let word = self.next();
        if word == "nothing" {
            return None;
        }
        let amount = word.is_empty() || word.starts_with(|c: char| "+-.0123456789".contains(c));
        if amount {
            return Some(Ok(word));
        }
        let service = if word == "no-service" {
            String::new()
        } else {
            word
        };
        let mut usage = crate::support::usage(&service, &self.next());
        loop {
            if self.is("attribute") {
                usage.attributes.extend([self.pair()]);
            } else if self.is("meter") {
                usage.meters.extend([self.pair()]);
            } else {
                return Some(Err(usage));
            }
        }
    }

    /// A part of the prices, where the next words are one.
    fn prices(&mut self, prices: &mut Option<pb::PriceSelector>) -> bool {
        let mut selector = prices.clone().unwrap_or_default();
        if self.is("revision") {
            let word = self.next();
            selector.revision = match word.as_str() {
                "studio-1" | "studio-2" | "partner" => cards::revision(&word),
                _ => word,
            };
        } else if self.is("card") {
            selector.rate_card = self.next();
        } else if self.is("at") {
            selector.price_time = Some(self.time());
        } else if self.is("prices-for") {
            selector.account = self.next();
        } else {
            return false;
        }
        *prices = Some(selector);
        true
    }

    /// Where the words end: nothing that was not understood may be left.
    fn unread(&self) -> ! {
        panic!("not understood: {:?}", self.words)
    }

    fn at_end(&self) -> bool {
        self.peek().is_none_or(|word| word == "as")
    }

    /// The names that the line gives.
    pub fn names(mut self) -> Vec<String> {
        let mut names = Vec::new();
        while !self.at_end() {
            self.next();
        }
        if self.is("as") {
            while self.peek().is_some() {
                names.push(self.next());
            }
        }
        names
    }

    /// The call.
    pub fn call(mut self) -> Call {
        match self.next().as_str() {
            "grant" => self.grant(),
            "charge" => Call::Charge(self.charge()),
            "refund" => self.refund(),
            "hold" => self.hold(),
            "extend" => self.extend(),
            "settle" => self.settle(),
            "release" => Call::ReleaseHold(pb::ReleaseHoldRequest {
                request_id: self.next(),
                account: self.next(),
                hold_id: self.id(),
            }),
            "revoke" => self.revoke(),
            "get-hold" => Call::GetHold(pb::GetHoldRequest {
                account: self.next(),
                hold_id: self.id(),
            }),
            "holds" => self.holds(),
            "entries" => self.entries(),
            "newest" => Call::ListEntries(pb::ListEntriesRequest {
                account: self.next(),
                page_size: 1,
                ..pb::ListEntriesRequest::default()
            }),
            "balance" => self.balance(),
            other => panic!("no verb: {other}"),
        }
    }

    fn grant(&mut self) -> Call {
        let mut request = pb::GrantRequest {
            request_id: self.next(),
            account: self.next(),
            credits: self.next(),
            ..pb::GrantRequest::default()
        };
        while !self.at_end() {
            if self.is("expires") {
                request.expire_time = Some(self.time());
            } else if self.is("priority") {
                request.priority = self.next().parse().unwrap();
            } else if self.is("source") {
                request.source = self.next();
            } else if self.is("for") {
                let services = self.next();
                request.services = services.split(',').map(str::to_owned).collect();
            } else if self.is("label") {
                request.labels.extend([self.pair()]);
            } else {
                self.unread();
            }
        }
        Call::Grant(request)
    }

    pub fn charge(&mut self) -> pb::ChargeRequest {
        use pb::charge_request::What;
        let mut request = pb::ChargeRequest {
            request_id: self.next(),
            account: self.next(),
            what: self.what().map(|what| match what {
                Ok(credits) => What::Credits(credits),
                Err(usage) => What::Usage(usage),
            }),
            ..pb::ChargeRequest::default()
        };
        while !self.at_end() {
            if self.is("label") {
                request.labels.extend([self.pair()]);
            } else if !self.prices(&mut request.prices) {
                self.unread();
            }
        }
        request
    }

    fn refund(&mut self) -> Call {
        let mut request = pb::RefundRequest {
            request_id: self.next(),
            account: self.next(),
            entry_id: self.id(),
            ..pb::RefundRequest::default()
        };
        while !self.at_end() {
            if self.is("label") {
                request.labels.extend([self.pair()]);
            } else {
                request.credits = Some(self.next());
            }
        }
        Call::Refund(request)
    }

    fn hold(&mut self) -> Call {
        use pb::hold_request::What;
        let mut request = pb::HoldRequest {
            request_id: self.next(),
            account: self.next(),
            what: self.what().map(|what| match what {
                Ok(credits) => What::Credits(credits),
                Err(usage) => What::Usage(usage),
            }),
            ..pb::HoldRequest::default()
        };
        while !self.at_end() {
            if self.is("ttl") {
                request.ttl = Some(self.ttl());
            } else if self.is("label") {
                request.labels.extend([self.pair()]);
            } else if !self.prices(&mut request.prices) {
                self.unread();
            }
        }
        Call::Hold(request)
    }

    fn extend(&mut self) -> Call {
        let mut request = pb::ExtendHoldRequest {
            request_id: self.next(),
            account: self.next(),
            hold_id: self.id(),
            ttl: None,
        };
        if !self.at_end() {
            request.ttl = Some(self.ttl());
        }
        Call::ExtendHold(request)
    }

    fn settle(&mut self) -> Call {
        use pb::settle_hold_request::What;
        let mut request = pb::SettleHoldRequest {
            request_id: self.next(),
            account: self.next(),
            hold_id: self.id(),
            what: self.what().map(|what| match what {
                Ok(credits) => What::Credits(credits),
                Err(usage) => What::Usage(usage),
            }),
            ..pb::SettleHoldRequest::default()
        };
        while !self.at_end() {
            if self.is("keep-open") {
                request.keep_open = true;
            } else if self.is("overage") {
                request.overage = match self.next().as_str() {
                    "reject" => pb::Overage::Reject.into(),
                    "from-available" => pb::Overage::FromAvailable.into(),
                    number => number.parse().unwrap(),
                };
            } else if self.is("label") {
                request.labels.extend([self.pair()]);
            } else if !self.prices(&mut request.prices) {
                self.unread();
            }
        }
        Call::SettleHold(request)
    }

    fn revoke(&mut self) -> Call {
        let mut request = pb::RevokeGrantRequest {
            request_id: self.next(),
            account: self.next(),
            grant_id: self.id(),
            ..pb::RevokeGrantRequest::default()
        };
        while !self.at_end() {
            if self.is("label") {
                request.labels.extend([self.pair()]);
            } else {
                self.unread();
            }
        }
        Call::RevokeGrant(request)
    }

    /// A token: `next` is the one that the last list gave.
    fn page_token(&mut self) -> String {
        match self.next().as_str() {
            "next" => self.context.page_token.to_owned(),
            other => other.to_owned(),
        }
    }

    fn holds(&mut self) -> Call {
        let mut request = pb::ListHoldsRequest {
            account: self.next(),
            ..pb::ListHoldsRequest::default()
        };
        while !self.at_end() {
            if self.is("page") {
                request.page_size = self.next().parse().unwrap();
            } else if self.is("token") {
                request.page_token = self.page_token();
            } else if self.is("request") {
                request.request_id = self.next();
            } else if self.is("label") {
                request.labels.extend([self.pair()]);
            } else if self.is("since") {
                request.start_time = Some(self.time());
            } else if self.is("before") {
                request.end_time = Some(self.time());
            } else if !self.is("first") {
                self.unread();
            }
        }
        Call::ListHolds(request)
    }

    fn entries(&mut self) -> Call {
        let mut request = pb::ListEntriesRequest {
            account: self.next(),
            ..pb::ListEntriesRequest::default()
        };
        while !self.at_end() {
            if self.is("page") {
                request.page_size = self.next().parse().unwrap();
            } else if self.is("token") {
                request.page_token = self.page_token();
            } else if self.is("since") {
                request.start_time = Some(self.time());
            } else if self.is("before") {
                request.end_time = Some(self.time());
            } else if self.is("kinds") {
                let kinds = self.next();
                request.kinds = kinds.split(',').map(kind).collect();
            } else if self.is("service") {
                request.service = self.next();
            } else if self.is("hold") {
                request.hold_id = self.id();
            } else if !self.is("first") {
                self.unread();
            }
        }
        Call::ListEntries(request)
    }

    fn balance(&mut self) -> Call {
        let mut request = pb::GetBalanceRequest {
            account: self.next(),
            as_of: None,
        };
        if self.is("as-of") {
            request.as_of = Some(self.time());
        }
        if !self.at_end() {
            self.unread();
        }
        Call::GetBalance(request)
    }
}

/// "charge", or a number.
fn kind(word: &str) -> i32 {
    let name = format!("ENTRY_KIND_{}", word.to_uppercase());
    match pb::EntryKind::from_str_name(&name) {
        Some(kind) => kind.into(),
        None => word.parse().unwrap(),
    }
}
