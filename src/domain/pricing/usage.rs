//! One billable thing, as a caller measured it.

use super::pairs::{Pairs, PairsRef};
use crate::domain::names::check_pairs;
use crate::domain::violation::{FieldViolations, Violation};

/// A usage; it borrows what the caller sent.
#[derive(Clone, Copy, Debug)]
pub struct Usage<'a> {
    /// Key of a row of the rate card.
    pub service: &'a str,
    /// The quantity of a service with one meter.
    pub quantity: Given,
    /// Facts that the price may depend on.
    pub attributes: PairsRef<'a>,
    /// Further meters.
    pub meters: PairsRef<'a>,
}

/// A usage that owns its texts, to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRecord {
    /// The quantity of a service with one meter.
    pub quantity: Given,
    /// Facts that the price may depend on.
    pub attributes: Pairs,
    /// Further meters.
    pub meters: Pairs,
}

impl UsageRecord {
    /// The usage of that service, to be priced again.
    #[must_use]
    pub fn of<'a>(&'a self, service: &'a str) -> Usage<'a> {
        Usage {
            service,
            quantity: self.quantity,
            attributes: (&self.attributes).into(),
            meters: (&self.meters).into(),
        }
    }
}

impl From<&Usage<'_>> for UsageRecord {
    fn from(usage: &Usage<'_>) -> Self {
        Self {
            quantity: usage.quantity,
            attributes: usage.attributes.to_pairs(),
            meters: usage.meters.to_pairs(),
        }
    }
}

/// A quantity as the caller sent it, valid or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// None.
    Nothing,
    /// A duration in nanoseconds.
    Duration(i128),
    /// An invalid duration: out of range, or with mixed signs.
    NoDuration {
        /// Seconds, as sent.
        seconds: i64,
        /// Nanoseconds, as sent.
        nanos: i32,
    },
    /// A number of pieces.
    Count(i64),
}

impl Given {
    /// The field that carries it.
    pub(super) const fn field(self) -> &'static str {
        match self {
            Self::Duration(_) | Self::NoDuration { .. } => "duration",
            Self::Nothing | Self::Count(_) => "count",
        }
    }

    /// The violation that it has for every service.
    pub(super) fn violation(self) -> Option<Violation> {
        let value: Box<str> = match self {
            Self::NoDuration { seconds, nanos } => {
                return Some(Violation::QuantityOutOfRange {
                    value: format!("{seconds} s and {nanos} ns").into(),
                });
            }
            Self::Duration(nanos) if nanos <= 0 => {
                format!("{}s", super::price::decimal_text(nanos, 9)).into()
            }
            Self::Count(count) if count <= 0 => count.to_string().into(),
            Self::Nothing | Self::Duration(_) | Self::Count(_) => return None,
        };
        Some(Violation::InvalidQuantity { value })
    }
}

impl Usage<'_> {
    /// That it costs more than the largest amount.
    pub(super) fn too_expensive(&self) -> FieldViolations {
        let field = match self.quantity {
            Given::Nothing if !self.meters.is_empty() => "meters",
            quantity => quantity.field(),
        };
        FieldViolations::of(field, Violation::CostTooLarge)
    }

    /// The violations of the usage that do not depend on the service.
    #[must_use]
    pub fn own_violations(&self) -> FieldViolations {
        let mut violations = FieldViolations::new();
        if self.service.is_empty() {
            violations.add("service", Violation::Required);
        }
        if let Some(violation) = self.quantity.violation() {
            violations.add(self.quantity.field(), violation);
        }
        for (field, pairs) in [("attributes", self.attributes), ("meters", self.meters)] {
            if !pairs.is_empty()
                && let Err(violation) = check_pairs(pairs.iter())
            {
                violations.add(field, violation);
            }
        }
        violations
    }
}
