//! What can be wrong with a request's fields, as data.
//!
//! A [`Violation`] says what is wrong with a value, a [`FieldViolation`] adds the field, and
//! [`FieldViolations`] are all of a request, so that one answer names every bad field.
//! `rpc::prose` puts them into words.

use std::borrow::Cow;

use super::amount::AmountError;
use super::time::Timestamp;

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Missing or empty.
    Required,
    /// No amount of credits.
    InvalidAmount {
        /// The text, cut.
        value: Box<str>,
        /// What is wrong with it.
        error: AmountError,
    },
    /// A quantity of zero or less.
    InvalidQuantity {
        /// The quantity as text, cut.
        value: Box<str>,
    },
    /// A duration out of protobuf's range, or with mixed signs.
    QuantityOutOfRange {
        /// The duration's seconds and nanos.
        value: Box<str>,
    },
    /// No number that the meter can be.
    InvalidMeter {
        /// The text, cut.
        value: Box<str>,
    },
    /// A quantity of a kind that does not price the service.
    WrongQuantity {
        /// The service.
        service: Box<str>,
        /// What prices it: "duration" or "count".
        meter: Box<str>,
    },
    /// A quantity over the rate card's limit.
    QuantityTooLarge {
        /// The service.
        service: Box<str>,
        /// The quantity with its unit.
        value: Box<str>,
        /// The limit with its unit.
        limit: Box<str>,
    },
    /// A field of a key that cannot be so.
    InvalidKey {
        /// What is wrong, and what to do.
        problem: Box<str>,
    },
    /// A service that is not on the card.
    UnknownService {
        /// The key, cut.
        service: Box<str>,
        /// The card.
        rate_card: Box<str>,
        /// The key that is spelled most like it, and whether it is close enough
        /// to be what was meant.
        nearest: Option<(Box<str>, bool)>,
    },
    /// A meter that the service does not have.
    UnknownMeter {
        /// The meter, cut.
        meter: Box<str>,
        /// The service.
        service: Box<str>,
        /// The meters that it has in `meters`.
        known: Box<str>,
    },
    /// An attribute that the service's price does not depend on.
    UnknownAttribute {
        /// The attribute, cut.
        attribute: Box<str>,
        /// The service.
        service: Box<str>,
        /// The attributes that callers can send for it.
        known: Box<str>,
    },
    /// A word that an attribute of the service cannot be.
    UnknownAttributeValue {
        /// The attribute.
        attribute: Box<str>,
        /// The word, cut.
        value: Box<str>,
        /// The words that it can be, with commas between.
        values: Box<str>,
        /// The service.
        service: Box<str>,
    },
    /// An attribute that callers cannot send: the account has it, or the clock decides it.
    AttributeNotSent {
        /// The attribute.
        attribute: Box<str>,
        /// The service.
        service: Box<str>,
    },
    /// A word that the account has for an attribute and the service does not know.
    UnknownAccountValue {
        /// The attribute.
        attribute: Box<str>,
        /// The word, cut.
        value: Box<str>,
        /// The words that it can be, with commas between.
        values: Box<str>,
        /// The service.
        service: Box<str>,
    },
    /// An attribute that no rate card in force asks of an account.
    NoAccountAttribute {
        /// The attribute, cut.
        attribute: Box<str>,
    },
    /// A word that an attribute of an account has on no rate card in force.
    NoAccountValue {
        /// The attribute.
        attribute: Box<str>,
        /// The word, cut.
        value: Box<str>,
        /// The words that it can be, with commas between.
        values: Box<str>,
    },
    /// What the rate card says is not sold.
    NotOffered {
        /// The service.
        service: Box<str>,
        /// Why, in the card's words.
        why: Box<str>,
    },
    /// Meters of which one must be a part of another, and is more.
    MetersDisagree {
        /// The service.
        service: Box<str>,
        /// The formula.
        formula: Box<str>,
        /// What it comes to.
        value: Box<str>,
        /// What is taken off in it.
        meter: Box<str>,
    },
    /// A quantity under the rate card's limit.
    QuantityTooSmall {
        /// The service.
        service: Box<str>,
        /// The quantity with its unit.
        value: Box<str>,
        /// The limit with its unit.
        limit: Box<str>,
    },
    /// A text that is no rate card.
    RateCardInvalid {
        /// The line of the text.
        line: usize,
        /// What is wrong there and what to do, cut.
        problem: Box<str>,
    },
    /// A cost or total over the largest amount.
    CostTooLarge,
    /// A batch without items.
    BatchEmpty {
        /// Most items.
        limit: usize,
    },
    /// More items than the limit.
    TooManyItems {
        /// How many there are.
        size: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A reply over what clients take.
    ReplyTooLarge {
        /// The limit.
        limit_bytes: usize,
        /// How many items would fit.
        items_that_fit: usize,
    },
    /// A time on the wrong side of now or out of range.
    InvalidTime {
        /// The time; None where it is out of range.
        value: Option<Timestamp>,
        /// The rule that it breaks.
        rule: TimeRule,
    },
    /// Two fields that exclude each other.
    ConflictingFields {
        /// Path of the other field.
        other: &'static str,
    },
    /// No name of an account.
    InvalidAccount {
        /// The text, cut.
        value: Box<str>,
        /// Its whole length in bytes.
        length: usize,
    },
    /// No request_id.
    InvalidRequestId {
        /// The text, cut.
        value: Box<str>,
        /// Its whole length in bytes.
        length: usize,
    },
    /// A number that is no value of its enum.
    UnknownValue {
        /// The number.
        value: i32,
    },
    /// A time to live that is not above 0, over the limit, or no duration.
    InvalidTtl {
        /// The time to live, with its unit.
        value: Box<str>,
        /// The longest, in seconds.
        limit_seconds: i64,
    },
    /// A negative page size.
    InvalidPageSize {
        /// The page size.
        value: i32,
    },
    /// A page token that was not given for this list.
    InvalidPageToken,
    /// A mask without paths, or with others than those that can be set.
    InvalidMask {
        /// Its paths, with commas between, cut.
        paths: Box<str>,
    },
    /// A label, attribute or meter whose key or value is too short or too long.
    InvalidPair {
        /// The key, cut.
        key: Box<str>,
        /// Which of the two it is.
        part: PairPart,
        /// Its length in bytes.
        length: usize,
        /// The smallest length.
        min: usize,
        /// The largest length.
        max: usize,
    },
    /// A text that is too short or too long.
    InvalidLength {
        /// Its length in bytes.
        length: usize,
        /// The smallest length.
        min: usize,
        /// The largest length.
        max: usize,
    },
}

/// Key or value of a label, attribute or meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairPart {
    /// The key.
    Key,
    /// The value.
    Value,
}

/// What a time has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeRule {
    /// Later than now.
    Future,
    /// Not later than now.
    NotFuture,
    /// In the years 1 to 9999, with less than 10^9 nanoseconds.
    InRange,
}

impl TimeRule {
    /// What is wrong with a time, where it breaks this rule.
    #[must_use]
    pub fn violation(self, time: Timestamp, now: Timestamp) -> Option<Violation> {
        let holds = match self {
            Self::Future => time > now,
            Self::NotFuture => time <= now,
            // Every Timestamp is in range.
            Self::InRange => true,
        };
        (!holds).then_some(Violation::InvalidTime {
            value: Some(time),
            rule: self,
        })
    }
}

/// One bad field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field, "usage.duration".
    pub field: Cow<'static, str>,
    /// What is wrong with it.
    pub violation: Violation,
}

/// All bad fields of one request, in the order in which they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldViolations(Vec<FieldViolation>);

impl FieldViolations {
    /// Nothing wrong yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// One bad field.
    #[must_use]
    pub fn of(field: impl Into<Cow<'static, str>>, violation: Violation) -> Self {
        let mut violations = Self::new();
        violations.add(field, violation);
        violations
    }

    /// Adds a bad field.
    pub fn add(&mut self, field: impl Into<Cow<'static, str>>, violation: Violation) {
        self.0.push(FieldViolation {
            field: field.into(),
            violation,
        });
    }

    /// Adds those of another part of the request.
    pub fn merge(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// The value of a field; None if it has a violation, which is added.
    pub fn check<T>(&mut self, field: &'static str, result: Result<T, Violation>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(violation) => {
                self.add(field, violation);
                None
            }
        }
    }

    /// Whether that field has a violation.
    #[must_use]
    pub fn has(&self, field: &str) -> bool {
        self.0.iter().any(|violation| violation.field == field)
    }

    /// Whether there are no violations.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bad fields.
    #[must_use]
    pub fn as_slice(&self) -> &[FieldViolation] {
        &self.0
    }

    /// The same violations, with a prefix before each path.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        for violation in &mut self.0 {
            violation.field = format!("{prefix}{}", violation.field).into();
        }
        self
    }

    /// `value`, if there are no violations.
    ///
    /// # Errors
    /// The violations, if there are any.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }
}
