//! What a request's body means, in 16 bytes.
//!
//! Two bodies have the same fingerprint when they are the same verb with the
//! same fields by meaning: amounts as numbers, maps and sets in order, a field
//! that is left out like its default. It is kept with each entry and compared
//! after upgrades, so it is built from a written form of our own and not from
//! the wire: fields go in by their number in the proto, only where they differ
//! from their default, so that a field which is added later changes nothing.

use sha2::{Digest, Sha256};

use crate::domain::ledger::Fingerprint;
use crate::domain::{Credits, Timestamp};

/// The verb.
#[derive(Clone, Copy, Debug)]
pub(super) enum Method {
    Grant,
}

/// Takes the fields of a body in the order of their numbers.
pub(super) struct FingerprintWriter(Sha256);

impl FingerprintWriter {
    pub(super) fn new(method: Method) -> Self {
        let mut hash = Sha256::new();
        // These numbers are part of what is kept: they never change.
        let number: u8 = match method {
            Method::Grant => 1,
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

    pub(super) fn amount(&mut self, number: u8, credits: Credits) {
        self.field(number, &credits.nanos().to_be_bytes());
    }

    pub(super) fn integer(&mut self, number: u8, value: i64) {
        if value != 0 {
            self.field(number, &value.to_be_bytes());
        }
    }

    pub(super) fn text(&mut self, number: u8, value: &str) {
        if !value.is_empty() {
            self.field(number, value.as_bytes());
        }
    }

    pub(super) fn pair(&mut self, number: u8, key: &str, value: &str) {
        self.field(number, key.as_bytes());
        self.field(number, value.as_bytes());
    }

    pub(super) fn time(&mut self, number: u8, time: Option<Timestamp>) {
        if let Some(time) = time {
            let mut bytes = time.seconds().to_be_bytes().to_vec();
            bytes.extend(time.nanos().to_be_bytes());
            self.field(number, &bytes);
        }
    }

    pub(super) fn finish(self) -> Fingerprint {
        let digest = self.0.finalize();
        let mut fingerprint = Fingerprint::default();
        for (to, from) in fingerprint.iter_mut().zip(digest.iter()) {
            *to = *from;
        }
        fingerprint
    }
}
