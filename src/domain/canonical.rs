//! Canonical forms: bytes that stand for a value by its meaning, to be hashed.
//!
//! The canonical form of a message is its fields in order, each as its number (a byte), its
//! length (four bytes) and its value. A field that has its default is left out, so a field that
//! is added behind the others changes no form of messages without it. Numbers are big-endian.
//!
//! Hashes of such forms are kept for ever: fingerprints of requests, chains of entries. So what
//! stands here never changes.

use super::pricing::{Pairs, PairsRef};
use super::{Credits, Labels, Timestamp};

/// A value with a canonical form, which is empty for the default.
pub trait Canonical {
    /// Appends the form.
    fn write(&self, form: &mut CanonicalForm);
}

/// The bytes of a canonical form.
#[derive(Debug, Default)]
pub struct CanonicalForm(Vec<u8>);

impl CanonicalForm {
    /// An empty form, with room for so many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Removes all bytes and keeps their room.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// How much room it has.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Appends bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Appends a value behind its number and its length; nothing where it has its default.
    pub fn field(&mut self, number: u8, value: &(impl Canonical + ?Sized)) {
        let start = self.0.len();
        self.bytes(&[number, 0, 0, 0, 0]);
        let value_start = self.0.len();
        value.write(self);
        let length = self.0.len().saturating_sub(value_start);
        if length == 0 {
            self.0.truncate(start);
            return;
        }
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        let head = self.0.get_mut(start..value_start).unwrap_or_default();
        for (to, from) in head.iter_mut().skip(1).zip(length) {
            *to = from;
        }
    }

    /// Appends fields that are numbered from 1.
    pub fn message(&mut self, fields: &[&dyn Canonical]) {
        for (number, field) in (1..).zip(fields) {
            self.field(number, *field);
        }
    }
}

impl Canonical for str {
    fn write(&self, form: &mut CanonicalForm) {
        form.bytes(self.as_bytes());
    }
}

impl Canonical for &str {
    fn write(&self, form: &mut CanonicalForm) {
        form.bytes(self.as_bytes());
    }
}

impl Canonical for Box<str> {
    fn write(&self, form: &mut CanonicalForm) {
        form.bytes(self.as_bytes());
    }
}

impl Canonical for i64 {
    fn write(&self, form: &mut CanonicalForm) {
        if *self != 0 {
            form.bytes(&self.to_be_bytes());
        }
    }
}

impl Canonical for i32 {
    fn write(&self, form: &mut CanonicalForm) {
        i64::from(*self).write(form);
    }
}

impl Canonical for bool {
    fn write(&self, form: &mut CanonicalForm) {
        i64::from(*self).write(form);
    }
}

/// A hash.
impl<const LENGTH: usize> Canonical for [u8; LENGTH] {
    fn write(&self, form: &mut CanonicalForm) {
        form.bytes(self);
    }
}

impl<T: Canonical> Canonical for Option<T> {
    fn write(&self, form: &mut CanonicalForm) {
        if let Some(value) = self {
            value.write(form);
        }
    }
}

/// An amount has no default: 0 is not the same as none.
impl Canonical for Credits {
    fn write(&self, form: &mut CanonicalForm) {
        form.bytes(&self.nanos().to_be_bytes());
    }
}

impl Canonical for Timestamp {
    fn write(&self, form: &mut CanonicalForm) {
        form.bytes(&self.seconds().to_be_bytes());
        form.bytes(&self.nanos().to_be_bytes());
    }
}

/// A set, in order.
impl Canonical for Vec<Box<str>> {
    fn write(&self, form: &mut CanonicalForm) {
        for item in self {
            form.field(1, item);
        }
    }
}

impl Canonical for Labels {
    fn write(&self, form: &mut CanonicalForm) {
        for (key, value) in self.iter() {
            form.field(1, key);
            form.field(2, value);
        }
    }
}

impl Canonical for Pairs {
    fn write(&self, form: &mut CanonicalForm) {
        PairsRef::from(self).write(form);
    }
}

impl Canonical for PairsRef<'_> {
    fn write(&self, form: &mut CanonicalForm) {
        for (key, value) in self.iter() {
            form.field(1, key);
            form.field(2, value);
        }
    }
}
