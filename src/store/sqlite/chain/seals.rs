//! Seals: the salts of a row's texts, and the digests of those that were erased.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

use crate::domain::Labels;
use crate::domain::canonical::{Canonical, CanonicalForm};
use crate::domain::ledger::{Entry, EntryKind, Fingerprint};
use crate::store::sqlite::journal::StorageError;

/// Random bytes for each text.
pub(in crate::store::sqlite) const SALT_BYTES: usize = 16;
/// How many random bytes are got at once.
const POOL_BYTES: usize = 4_096;

/// The SHA-256 of a salt and its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::sqlite) struct Digest([u8; 32]);

impl Digest {
    pub(in crate::store::sqlite) fn of(salt: &[u8], text: &[u8]) -> Self {
        Self(
            Sha256::new()
                .chain_update(salt)
                .chain_update(text)
                .finalize()
                .into(),
        )
    }
}

impl Canonical for Digest {
    fn write(&self, form: &mut CanonicalForm) {
        form.bytes(&self.0);
    }
}

/// As hexadecimal digits.
impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
        serializer.collect_str(&digits.collect::<String>())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes: Option<Vec<u8>> = (text.as_bytes().chunks(2))
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        let digest = bytes.and_then(|bytes| bytes.try_into().ok()).map(Self);
        digest.ok_or_else(|| de::Error::custom("a text that is no digest"))
    }
}

/// Digests of texts that were erased.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::store::sqlite) struct Erased {
    /// That of the request's fingerprint; None where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::store::sqlite) fingerprint: Option<Digest>,
    /// Those of labels, by key.
    pub(in crate::store::sqlite) labels: BTreeMap<Box<str>, Digest>,
}

/// What a row has beside the texts of its labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::store::sqlite) struct Seals {
    /// First that of the fingerprint, where it is there, then those of the labels in their order.
    /// Empty for a row without labels.
    pub(in crate::store::sqlite) salts: Vec<u8>,
    pub(in crate::store::sqlite) erased: Option<Box<Erased>>,
}

/// The labels of a row that can be erased: the entry's, and of an update the account's.
pub(in crate::store::sqlite) fn sealed_labels(entry: &Entry) -> &Labels {
    match &entry.kind {
        EntryKind::Update(update) => &update.settings.labels,
        _ => &entry.labels,
    }
}

impl Seals {
    /// The seals of a stored row; None where they cannot be read.
    pub(in crate::store::sqlite) fn read(
        salts: Option<&[u8]>,
        erased: Option<&str>,
    ) -> Option<Self> {
        let erased = match erased {
            Some(text) => Some(serde_json::from_str(text).ok()?),
            None => None,
        };
        Some(Self {
            salts: salts.unwrap_or_default().to_vec(),
            erased,
        })
    }

    /// The seals after the texts of these keys are erased, and with them the fingerprint; and the
    /// labels that are left. None: there are not as many salts as texts.
    pub(in crate::store::sqlite) fn without(
        &self,
        entry: &Entry,
        fingerprint: Option<&Fingerprint>,
        keys: &BTreeSet<Box<str>>,
    ) -> Option<(Self, Labels)> {
        let row = self.of_row(entry, fingerprint)?;
        let mut erased = self.erased.as_deref().cloned().unwrap_or_default();
        erased.fingerprint = row.fingerprint();
        let (mut salts, mut left) = (Vec::new(), Vec::new());
        let texts = self.salts.chunks_exact(SALT_BYTES);
        let texts = texts.skip(usize::from(fingerprint.is_some()));
        for ((key, value), salt) in row.labels.iter().zip(texts) {
            if keys.contains(key) {
                let digest = Digest::of(salt, value.as_bytes());
                erased.labels.insert(key.into(), digest);
            } else {
                salts.extend_from_slice(salt);
                left.push((key.to_owned(), value.to_owned()));
            }
        }
        let labels = Labels::new(left.iter().map(|(key, value)| (key, value))).ok()?;
        let erased = Some(Box::new(erased));
        Some((Self { salts, erased }, labels))
    }

    /// As they are stored.
    pub(in crate::store::sqlite) fn salts(&self) -> Option<&[u8]> {
        (!self.salts.is_empty()).then_some(&*self.salts)
    }

    /// The same of what was erased.
    pub(in crate::store::sqlite) fn erased_text(&self) -> Option<String> {
        // Serialising texts cannot fail.
        let erased = self.erased.as_ref()?;
        serde_json::to_string(erased).ok()
    }

    /// The seals beside their texts. None: there are not as many salts as texts.
    pub(super) fn of_row<'a>(
        &'a self,
        entry: &'a Entry,
        fingerprint: Option<&'a Fingerprint>,
    ) -> Option<RowSeals<'a>> {
        let labels = sealed_labels(entry);
        let is_sealed = !labels.is_empty() || self.erased.is_some();
        let texts = labels
            .iter()
            .len()
            .saturating_add(usize::from(fingerprint.is_some()));
        let salts = if is_sealed {
            texts.saturating_mul(SALT_BYTES)
        } else {
            0
        };
        // What was erased is not there any more.
        let fingerprint_twice = fingerprint.is_some()
            && (self.erased.as_ref()).is_some_and(|erased| erased.fingerprint.is_some());
        (self.salts.len() == salts && !fingerprint_twice).then_some(RowSeals {
            labels,
            fingerprint,
            salts: &self.salts,
            erased: self.erased.as_deref(),
            is_sealed,
        })
    }
}

/// The texts of a row, with their salts.
pub(super) struct RowSeals<'a> {
    labels: &'a Labels,
    fingerprint: Option<&'a Fingerprint>,
    salts: &'a [u8],
    erased: Option<&'a Erased>,
    is_sealed: bool,
}

impl RowSeals<'_> {
    /// The fingerprint of a row without labels.
    pub(super) fn plain_fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint.copied().filter(|_| !self.is_sealed)
    }

    /// The digest of the fingerprint of a row with labels.
    pub(super) fn fingerprint(&self) -> Option<Digest> {
        let salt = || self.salts.get(..SALT_BYTES).unwrap_or_default();
        match self.fingerprint {
            Some(fingerprint) => self.is_sealed.then(|| Digest::of(salt(), fingerprint)),
            None => self.erased?.fingerprint,
        }
    }
}

/// The digests of all labels, in the order of their keys.
impl Canonical for RowSeals<'_> {
    fn write(&self, form: &mut CanonicalForm) {
        if !self.is_sealed {
            return;
        }
        let salts = self.salts.chunks_exact(SALT_BYTES);
        let salts = salts.skip(usize::from(self.fingerprint.is_some()));
        let there = self.labels.iter().zip(salts);
        let mut there = there
            .map(|((key, value), salt)| (key, Digest::of(salt, value.as_bytes())))
            .peekable();
        let erased = self.erased.iter().flat_map(|erased| &erased.labels);
        let mut erased = erased.map(|(key, digest)| (&**key, *digest)).peekable();
        loop {
            let next = match (there.peek(), erased.peek()) {
                (Some((one, _)), Some((other, _))) if other < one => erased.next(),
                (None, _) => erased.next(),
                (Some(_), _) => there.next(),
            };
            let Some((key, digest)) = next else { break };
            form.field(1, key);
            form.field(2, &digest);
        }
    }
}

/// Random bytes, got many at once.
pub(in crate::store::sqlite) struct Salts {
    pool: Box<[u8; POOL_BYTES]>,
    used: usize,
}

impl Default for Salts {
    fn default() -> Self {
        Self {
            pool: Box::new([0; POOL_BYTES]),
            used: POOL_BYTES,
        }
    }
}

impl Salts {
    /// Seals for a new row.
    pub(in crate::store::sqlite) fn seal(
        &mut self,
        entry: &Entry,
        fingerprint: Option<&Fingerprint>,
    ) -> Result<Seals, StorageError> {
        let labels = sealed_labels(entry);
        if labels.is_empty() {
            return Ok(Seals::default());
        }
        let texts = labels
            .iter()
            .len()
            .saturating_add(usize::from(fingerprint.is_some()));
        let mut salts = Vec::with_capacity(texts.saturating_mul(SALT_BYTES));
        for _ in 0..texts {
            salts.extend_from_slice(self.next()?);
        }
        Ok(Seals {
            salts,
            erased: None,
        })
    }

    fn next(&mut self) -> Result<&[u8], StorageError> {
        if self.used >= POOL_BYTES {
            getrandom::fill(&mut *self.pool)
                .map_err(|error| StorageError(format!("no random bytes: {error}")))?;
            self.used = 0;
        }
        let start = self.used;
        self.used = start.saturating_add(SALT_BYTES);
        Ok(self.pool.get(start..self.used).unwrap_or_default())
    }
}
