//! The meaning of a write, hashed to 16 bytes: the one place that makes fingerprints.
//!
//! Two requests have the same fingerprint when they are the same verb with the same fields by
//! meaning: amounts as numbers, maps and sets in order, a field that is left out like its
//! default. A fingerprint is kept with its entry and compared after upgrades, so it is the hash
//! of a canonical form that is defined here, and not of bytes of the wire.
//!
//! A field that has its default is left out of the canonical form, so a field that is added
//! behind the others changes no fingerprint of requests without it.

use sha2::{Digest as _, Sha256};

use super::write::CostForm;
use crate::domain::Labels;
use crate::domain::canonical::{Canonical, CanonicalForm};
use crate::domain::ledger::{
    AccountId, Action, Fingerprint, GrantAction, Named, Overage, UpdateAction,
};
use crate::domain::pricing::{Given, Selector, Usage};

/// Labels stand behind the fields of all verbs.
const LABELS: u8 = 255;

/// The fingerprint of a write.
///
/// The numbers of verbs, and the order of the fields of each, never change; new ones come last.
pub(super) fn of(action: &Action<CostForm<'_>>, labels: &Labels) -> Fingerprint {
    // No pattern has "..": a field that is added and forgotten here does not compile.
    let (verb, fields): (u8, &[&dyn Canonical]) = match action {
        Action::Grant(GrantAction {
            credits,
            expire_time,
            priority,
            source,
            services,
            // Derived from the rate cards of the moment, not sent.
            violations: _,
        }) => (1, &[credits, expire_time, priority, source, services]),
        Action::Charge(cost) => (2, &[cost]),
        Action::Refund { entry, credits } => (3, &[entry, credits]),
        Action::Hold { cost, ttl_nanos } => (4, &[cost, ttl_nanos]),
        Action::ExtendHold { hold, ttl_nanos } => (5, &[hold, ttl_nanos]),
        Action::SettleHold {
            hold,
            cost,
            keep_open,
            overage,
        } => (6, &[hold, cost, keep_open, overage]),
        Action::ReleaseHold { hold } => (7, &[hold]),
        Action::RevokeGrant { grant } => (8, &[grant]),
        Action::UpdateAccount(update) => (9, &[&**update]),
    };
    let mut form = CanonicalForm::with_capacity(192);
    form.bytes(&[verb]);
    form.message(fields);
    form.field(LABELS, labels);
    let mut fingerprint = Fingerprint::default();
    for (to, from) in fingerprint.iter_mut().zip(Sha256::digest(form.as_bytes())) {
        *to = from;
    }
    fingerprint
}

impl<T: AccountId> Canonical for Named<T> {
    fn write(&self, form: &mut CanonicalForm) {
        self.text().write(form);
    }
}

impl Canonical for CostForm<'_> {
    fn write(&self, form: &mut CanonicalForm) {
        match self {
            Self::Usage { usage, prices } => form.message(&[usage, prices]),
            Self::Credits(credits) => form.field(3, credits),
        }
    }
}

impl Canonical for Usage<'_> {
    fn write(&self, form: &mut CanonicalForm) {
        let Self {
            service,
            quantity,
            attributes,
            meters,
        } = self;
        form.message(&[service, quantity, attributes, meters]);
    }
}

/// A quantity that is left out is one piece.
impl Canonical for Given {
    fn write(&self, form: &mut CanonicalForm) {
        match self {
            Self::Duration(nanos) => form.bytes(&nanos.to_be_bytes()),
            Self::Count(count) => form.bytes(&count.to_be_bytes()),
            Self::Nothing => form.bytes(&1_i64.to_be_bytes()),
            // A form with it is refused and has no fingerprint.
            Self::NoDuration { .. } => {}
        }
    }
}

/// The account is left out: it is the one that pays, whether it is named or not.
impl Canonical for Selector<'_> {
    fn write(&self, form: &mut CanonicalForm) {
        let Self {
            rate_card,
            revision,
            price_time,
        } = self;
        form.message(&[rate_card, revision, price_time]);
    }
}

impl Canonical for Overage {
    fn write(&self, form: &mut CanonicalForm) {
        (*self == Self::FromAvailable).write(form);
    }
}

/// A setting that is set to nothing is not one that stays: which are set stands before them.
impl Canonical for UpdateAction {
    fn write(&self, form: &mut CanonicalForm) {
        let Self {
            rate_card,
            attributes,
            labels,
            allow_missing,
            // Derived from the rate cards of the moment, not sent.
            refusal: _,
        } = self;
        let bit = |is_set: bool, bit: i64| if is_set { bit } else { 0 };
        let set =
            bit(rate_card.is_some(), 1) | bit(attributes.is_some(), 2) | bit(labels.is_some(), 4);
        form.message(&[&set, rate_card, attributes, labels, allow_missing]);
    }
}

#[cfg(test)]
#[path = "fingerprint_tests.rs"]
mod tests;
