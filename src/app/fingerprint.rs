//! What a request's body means, in 16 bytes.
//!
//! Two bodies have the same fingerprint when they are the same verb with the
//! same fields by meaning: amounts as numbers, maps and sets in order, a field
//! that is left out like its default. It is kept with each entry and compared
//! after upgrades, so it is built from a written form of our own and not from
//! the wire: fields go in by their number in the proto, only where they differ
//! from their default, so that a field which is added later changes nothing.

use sha2::{Digest, Sha256};

use crate::domain::ledger::{Fingerprint, GrantAction, Overage};
use crate::domain::pricing::{Given, Pairs, Selector, Usage};
use crate::domain::{Credits, Labels, Timestamp};

use super::form::What;

/// The verb.
#[derive(Clone, Copy, Debug)]
pub(super) enum Method {
    Grant,
    Charge,
    Refund,
    Hold,
    ExtendHold,
    SettleHold,
    ReleaseHold,
    RevokeGrant,
}

/// Takes the fields of a body in the order of their numbers.
pub(super) struct FingerprintWriter(Sha256);

/// Stands around the fields of a message within a message.
const BEGIN: u8 = 0xfe;
const END: u8 = 0xff;

impl FingerprintWriter {
    pub(super) fn new(method: Method) -> Self {
        let mut hash = Sha256::new();
        // These numbers are part of what is kept: they never change.
        let number: u8 = match method {
            Method::Grant => 1,
            Method::Charge => 2,
            Method::Refund => 3,
            Method::Hold => 4,
            Method::ExtendHold => 5,
            Method::SettleHold => 6,
            Method::ReleaseHold => 7,
            Method::RevokeGrant => 8,
        };
        hash.update([number]);
        Self(hash)
    }

    fn field(&mut self, number: u8, bytes: &[u8]) {
        self.0.update([number]);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.0.update(length.to_be_bytes());
        self.0.update(bytes);
    }

    pub(super) fn amount(&mut self, number: u8, credits: Credits) -> &mut Self {
        self.field(number, &credits.nanos().to_be_bytes());
        self
    }

    pub(super) fn integer(&mut self, number: u8, value: i64) -> &mut Self {
        if value != 0 {
            self.field(number, &value.to_be_bytes());
        }
        self
    }

    pub(super) fn text(&mut self, number: u8, value: &str) -> &mut Self {
        if !value.is_empty() {
            self.field(number, value.as_bytes());
        }
        self
    }

    pub(super) fn time(&mut self, number: u8, time: Option<Timestamp>) -> &mut Self {
        if let Some(time) = time {
            let mut bytes = time.seconds().to_be_bytes().to_vec();
            bytes.extend(time.nanos().to_be_bytes());
            self.field(number, &bytes);
        }
        self
    }

    fn pair(&mut self, number: u8, key: &str, value: &str) {
        self.field(number, key.as_bytes());
        self.field(number, value.as_bytes());
    }

    pub(super) fn labels(&mut self, number: u8, labels: &Labels) -> &mut Self {
        for (key, value) in labels.iter() {
            self.pair(number, key, value);
        }
        self
    }

    fn pairs(&mut self, number: u8, pairs: &Pairs) {
        let mut pairs: Vec<_> = pairs.iter().collect();
        pairs.sort_unstable();
        for (key, value) in pairs {
            self.pair(number, key, value);
        }
    }

    /// What is to be paid for: a usage or an amount.
    pub(super) fn what(&mut self, usage: u8, credits: u8, what: &What<'_>) -> &mut Self {
        match what {
            What::Usage(given) => self.usage(usage, given),
            What::Credits(amount) => self.amount(credits, *amount),
        }
    }

    fn usage(&mut self, number: u8, usage: &Usage<'_>) -> &mut Self {
        self.0.update([BEGIN, number]);
        self.text(1, usage.service);
        match usage.quantity {
            Given::Duration(nanos) => self.field(2, &nanos.to_be_bytes()),
            Given::Count(count) => self.field(3, &count.to_be_bytes()),
            // A quantity that is left out is one piece.
            Given::Nothing => self.field(3, &1_i64.to_be_bytes()),
            // Refused before anybody asks what it means.
            Given::NoDuration { .. } => {}
        }
        self.pairs(4, usage.attributes);
        self.pairs(5, usage.meters);
        self.0.update([END]);
        self
    }

    /// Which prices. The account is the one that pays, whether it is named or not.
    pub(super) fn prices(&mut self, number: u8, prices: &Selector<'_>) -> &mut Self {
        if !prices.is_default() {
            self.0.update([BEGIN, number]);
            self.text(2, prices.rate_card)
                .text(3, prices.revision)
                .time(4, prices.price_time);
            self.0.update([END]);
        }
        self
    }

    pub(super) fn overage(&mut self, number: u8, overage: Overage) -> &mut Self {
        self.integer(number, i64::from(overage == Overage::FromAvailable))
    }

    pub(super) fn finish(&mut self) -> Fingerprint {
        let digest = std::mem::take(&mut self.0).finalize();
        let mut fingerprint = Fingerprint::default();
        for (to, from) in fingerprint.iter_mut().zip(digest.iter()) {
            *to = *from;
        }
        fingerprint
    }
}

/// What a grant means. The numbers are those of the fields in the proto.
pub(super) fn of_grant(action: &GrantAction, labels: &Labels) -> Fingerprint {
    let mut writer = FingerprintWriter::new(Method::Grant);
    writer
        .amount(3, action.credits)
        .time(4, action.expire_time)
        .integer(5, i64::from(action.priority))
        .text(6, &action.source);
    for service in &action.services {
        writer.text(7, service);
    }
    writer.labels(8, labels).finish()
}

#[cfg(test)]
#[path = "fingerprint_tests.rs"]
mod tests;
