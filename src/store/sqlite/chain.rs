//! Chains of entries: each row of an account has a hash of the row before it and of all that it
//! says itself, so that no row can be changed, removed, added or exchanged without another hash.
//!
//! The hash is the SHA-256 of a version byte, the hash of the account's row before it (32 zero
//! bytes for its first row), and the canonical form of the row, which is defined here and never
//! changes: fields are added with new numbers.
//!
//! Texts of labels can be erased. So each of them stands in the form as a digest, made with random
//! bytes that are stored beside the text (its salt), and so does the fingerprint of a request
//! with labels, by which they could be guessed. An erased text leaves its digest.

pub(super) mod fill;
pub(super) mod head;
mod seals;

use sha2::{Digest as _, Sha256};

pub(super) use self::seals::{Salts, Seals, sealed_labels};
use super::journal::{Journal, Position, StorageError};
use crate::domain::canonical::{Canonical, CanonicalForm};
use crate::domain::keys::KeyId;
use crate::domain::ledger::{
    AccountUpdate, Entry, EntryKind, Fingerprint, GrantShare, GrantTerms, Hold,
};
use crate::domain::pricing::{Given, UsageRecord};
use crate::domain::{Credits, RequestId};

/// The first byte of what is hashed.
const VERSION: u8 = 1;
/// How much of the form's room is kept between two rows: one can have thousands of shares.
const FORM_BYTES_KEPT: usize = 1 << 16;

/// A hash of a row and of all rows of its account before it.
pub(super) type Chain = [u8; 32];

/// What stands before the first row of an account.
pub(super) const BEGINNING: Chain = [0; 32];

/// A row, as it enters the chain of its account.
pub(super) struct ChainRow<'a> {
    pub(super) position: Position,
    pub(super) entry: &'a Entry,
    pub(super) fingerprint: Option<&'a Fingerprint>,
    /// Available as the caller was told it, where that is not what the entry says.
    pub(super) answered: Option<Credits>,
    pub(super) seals: &'a Seals,
}

impl ChainRow<'_> {
    /// The hash of the row and of those before it. None: its salts are not those of its texts.
    pub(super) fn hash(&self, previous: &Chain, form: &mut CanonicalForm) -> Option<Chain> {
        form.clear();
        form.bytes(&[VERSION]);
        form.bytes(previous);
        self.write(form)?;
        let hash = Sha256::digest(form.as_bytes()).into();
        if form.capacity() > FORM_BYTES_KEPT {
            *form = CanonicalForm::default();
        }
        Some(hash)
    }

    /// The numbers of these fields never change; new ones come last.
    fn write(&self, form: &mut CanonicalForm) -> Option<()> {
        // No pattern has "..": a field that is added and forgotten here does not compile.
        let Entry {
            id,
            account,
            kind,
            credits,
            held,
            spent,
            available,
            create_time,
            request_id,
            key_id,
            labels: _,
            service,
            pricing,
            usage,
            hold,
            shares,
        } = self.entry;
        let seals = self.seals.of_row(self.entry, self.fingerprint)?;
        form.field(1, account.as_str());
        form.field(2, &self.position.0);
        form.field(3, &id.0);
        form.field(4, kind.name());
        form.field(5, &credits.nanos());
        form.field(6, &held.nanos());
        form.field(7, &spent.nanos());
        form.field(8, &available.nanos());
        form.field(9, &self.answered);
        form.field(10, create_time);
        form.field(11, request_id.as_ref().map_or("", RequestId::as_str));
        form.field(12, &seals.plain_fingerprint());
        form.field(13, &seals.fingerprint());
        form.field(14, service.as_deref().unwrap_or_default());
        let pricing = pricing.as_deref();
        form.field(15, pricing.map_or("", |pricing| &pricing.revision));
        if let Some(usage) = usage {
            form.field(16, &**usage);
        }
        // 17 to 20: what the entry is about.
        match kind {
            EntryKind::Grant { id, terms } => {
                form.field(17, &id.0);
                form.field(18, &**terms);
            }
            EntryKind::Expire(grant) | EntryKind::Revoke(grant) => form.field(17, &grant.0),
            EntryKind::Refund { of, grants: _ } => form.field(20, &of.0),
            EntryKind::Charge
            | EntryKind::Hold
            | EntryKind::Settle
            | EntryKind::Release
            | EntryKind::Extend
            | EntryKind::Update(_) => {}
        }
        if let Some(hold) = hold {
            form.field(19, &**hold);
        }
        form.field(21, &seals);
        form.field(22, &shares[..]);
        if let Some(pricing) = pricing {
            form.field(23, &pricing.values);
            form.field(24, &pricing.time);
        }
        if let EntryKind::Update(update) = kind {
            form.field(25, &**update);
        }
        form.field(26, key_id.as_ref().map_or("", KeyId::as_str));
        Some(())
    }
}

/// A usage as it is stored: that nothing was given is not the same as no usage.
impl Canonical for UsageRecord {
    fn write(&self, form: &mut CanonicalForm) {
        let Self {
            quantity,
            attributes,
            meters,
        } = self;
        match quantity {
            Given::Duration(nanos) => form.field(1, &nanos.to_be_bytes()),
            Given::Count(count) => form.field(2, &count.to_be_bytes()),
            // What is no duration was never priced.
            Given::Nothing | Given::NoDuration { .. } => form.field(3, &true),
        }
        form.field(4, attributes);
        form.field(5, meters);
    }
}

/// When it was made is the time of its entry.
impl Canonical for GrantTerms {
    fn write(&self, form: &mut CanonicalForm) {
        let Self {
            granted,
            priority,
            expire_time,
            source,
            services,
            create_time: _,
        } = self;
        form.message(&[granted, priority, expire_time, source, services]);
    }
}

/// The hold after the entry. Its terms stand in the entry that made it.
impl Canonical for Hold {
    fn write(&self, form: &mut CanonicalForm) {
        let Self {
            id,
            terms: _,
            held,
            settled,
            expire_time,
            status,
        } = self;
        form.message(&[&id.0, held, settled, expire_time, &status.name()]);
    }
}

impl Canonical for [GrantShare] {
    fn write(&self, form: &mut CanonicalForm) {
        for GrantShare {
            grant,
            credits,
            held,
        } in self
        {
            form.bytes(&grant.0.to_be_bytes());
            form.bytes(&credits.nanos().to_be_bytes());
            form.bytes(&held.nanos().to_be_bytes());
        }
    }
}

/// The account after an update, but for its labels, which are sealed.
impl Canonical for AccountUpdate {
    fn write(&self, form: &mut CanonicalForm) {
        let Self {
            settings,
            create_time,
            held,
        } = self;
        let rate_card = settings.rate_card.as_deref().unwrap_or_default();
        form.message(&[&rate_card, &settings.attributes, create_time, held]);
    }
}

impl Journal {
    /// The hash of the row at the head of an account.
    pub(super) fn chain_at(&self, head: Option<Position>) -> Result<Chain, StorageError> {
        let Some(head) = head else {
            return Ok(BEGINNING);
        };
        self.write_pending()?;
        let chain = self
            .connection
            .prepare_cached("SELECT chain FROM entries WHERE position = ?1")?
            .query_row([head.0], |row| row.get::<_, Option<Chain>>(0));
        let wrong = || StorageError(format!("the entry at {} has no hash", head.0));
        chain.ok().flatten().ok_or_else(wrong)
    }
}
