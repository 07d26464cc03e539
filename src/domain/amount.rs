//! Credits: the amounts, their grammar, and the only place that rounds.
//!
//! A [`Credits`] is a whole number of billionths of a credit. The largest amount
//! that the contract knows, 9,000,000,000, is 9 * 10^18 billionths, so that every
//! amount fits an `i64`. What does not fit is an error at the operation that would
//! have made it, never a wrong figure.

use std::fmt;

use rust_decimal::Decimal;

/// Billionths of a credit in one credit.
const NANOS_PER_CREDIT: i64 = 1_000_000_000;
/// Fractional digits that an amount can have.
pub const DECIMALS_MAX: u32 = 9;
/// The longest text that can be an amount.
const TEXT_BYTES_MAX: usize = 64;

/// An exact amount of credits, or a change of one; at most 9,000,000,000 and at
/// most 9 decimals, on either side of zero.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Credits(i64);

/// Why a text is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmountError {
    /// There is no text.
    Empty,
    /// A character other than digits and one point, or a point without digits
    /// on both sides.
    Grammar,
    /// A leading minus where only zero or more makes sense.
    Negative,
    /// Zero where something has to move.
    Zero,
    /// More than 9 digits after the point.
    Decimals,
    /// More than 9,000,000,000.
    TooLarge,
    /// More than 64 characters.
    TooLong,
}

/// The amount would pass the largest that can be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// In which direction a figure with too many digits goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Away from zero.
    Up,
    /// Towards zero.
    Down,
    /// To the nearest; the middle goes away from zero.
    HalfUp,
    /// To the nearest; the middle goes to the even neighbour.
    HalfEven,
}

/// A quotient and whether digits were lost on the way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounded {
    /// The amount, to 9 decimals.
    pub credits: Credits,
    /// Whether the exact figure has more digits.
    pub was_rounded: bool,
}

impl Credits {
    /// No credits.
    pub const ZERO: Self = Self(0);
    /// The largest amount.
    pub const MAX: Self = Self(9_000_000_000_000_000_000);
    /// One credit.
    pub const ONE: Self = Self(NANOS_PER_CREDIT);

    /// The amount of that many billionths.
    ///
    /// # Errors
    /// [`TooLarge`] beyond 9,000,000,000 credits on either side of zero.
    pub const fn from_nanos(nanos: i64) -> Result<Self, TooLarge> {
        if nanos > Self::MAX.0 || nanos < -Self::MAX.0 {
            return Err(TooLarge);
        }
        Ok(Self(nanos))
    }

    /// Billionths of a credit.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Reads an amount of zero or more, by the grammar of the contract: digits,
    /// at most one point with digits on both sides, at most 9 decimals.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        if text.is_empty() {
            return Err(AmountError::Empty);
        }
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = match unsigned.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (unsigned, None),
        };
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !fraction.is_none_or(digits) {
            return Err(AmountError::Grammar);
        }
        if negative {
            return Err(AmountError::Negative);
        }
        if text.len() > TEXT_BYTES_MAX {
            return Err(AmountError::TooLong);
        }
        let fraction = fraction.unwrap_or_default();
        let decimals = u32::try_from(fraction.len()).unwrap_or(u32::MAX);
        let padding = DECIMALS_MAX
            .checked_sub(decimals)
            .ok_or(AmountError::Decimals)?;
        let fold = |start: i64, part: &str| {
            part.bytes().try_fold(start, |sum, b| {
                sum.checked_mul(10)?
                    .checked_add(i64::from(b.checked_sub(b'0')?))
            })
        };
        fold(0, whole)
            .and_then(|sum| fold(sum, fraction))
            .and_then(|sum| sum.checked_mul(10_i64.checked_pow(padding)?))
            .and_then(|nanos| Self::from_nanos(nanos).ok())
            .ok_or(AmountError::TooLarge)
    }

    /// Reads an amount of more than zero.
    ///
    /// # Errors
    /// As [`Credits::parse`]; [`AmountError::Zero`] for zero.
    pub fn parse_positive(text: &str) -> Result<Self, AmountError> {
        match Self::parse(text)? {
            Self::ZERO => Err(AmountError::Zero),
            credits => Ok(credits),
        }
    }

    /// The sum, if it can be kept.
    ///
    /// # Errors
    /// [`TooLarge`] where it cannot.
    pub fn checked_add(self, other: Self) -> Result<Self, TooLarge> {
        self.0
            .checked_add(other.0)
            .ok_or(TooLarge)
            .and_then(Self::from_nanos)
    }

    /// The difference, if it can be kept.
    ///
    /// # Errors
    /// [`TooLarge`] where it cannot.
    pub fn checked_sub(self, other: Self) -> Result<Self, TooLarge> {
        self.checked_add(other.negated())
    }

    /// That many times the amount.
    ///
    /// # Errors
    /// [`TooLarge`] where it cannot be kept.
    pub fn checked_times(self, times: i128) -> Result<Self, TooLarge> {
        i128::from(self.0)
            .checked_mul(times)
            .and_then(|nanos| i64::try_from(nanos).ok())
            .ok_or(TooLarge)
            .and_then(Self::from_nanos)
    }

    /// `self * quantity / per`, rounded once to 9 decimals.
    ///
    /// # Errors
    /// [`TooLarge`] where the result, or for a `per` of over 10^18 the way to
    /// it, does not fit; also for a `per` that is not positive.
    pub fn pro_rata(
        self,
        quantity: i128,
        per: i128,
        rounding: Rounding,
    ) -> Result<Rounded, TooLarge> {
        let product = i128::from(self.0).checked_mul(quantity).ok_or(TooLarge)?;
        let (nanos, was_rounded) = divide(product, per, rounding).ok_or(TooLarge)?;
        let nanos = i64::try_from(nanos).map_err(|_| TooLarge)?;
        Ok(Rounded {
            credits: Self::from_nanos(nanos)?,
            was_rounded,
        })
    }

    /// The amount with at most `decimals` decimals.
    ///
    /// # Errors
    /// [`TooLarge`] where rounding away from zero leaves the range.
    pub fn rounded_to(self, decimals: u32, rounding: Rounding) -> Result<Self, TooLarge> {
        let Some(step) = DECIMALS_MAX
            .checked_sub(decimals)
            .and_then(|places| 10_i128.checked_pow(places))
        else {
            return Ok(self);
        };
        let (steps, _) = divide(i128::from(self.0), step, rounding).ok_or(TooLarge)?;
        let nanos = steps.checked_mul(step).ok_or(TooLarge)?;
        Self::from_nanos(i64::try_from(nanos).map_err(|_| TooLarge)?)
    }

    /// The change with the other sign.
    #[must_use]
    pub const fn negated(self) -> Self {
        // The range is symmetric and far from i64::MIN.
        Self(self.0.wrapping_neg())
    }

    /// The amount as a decimal number.
    #[must_use]
    pub fn to_decimal(self) -> Decimal {
        Decimal::new(self.0, DECIMALS_MAX).normalize()
    }

    /// Whether the amount is zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

/// The rounded quotient, and whether it is inexact. None for a divisor that is not positive, or
/// on overflow. Every rounding of creditd goes through it.
pub fn divide(dividend: i128, divisor: i128, rounding: Rounding) -> Option<(i128, bool)> {
    if divisor <= 0 {
        return None;
    }
    let quotient = dividend.checked_div(divisor)?;
    let rest = dividend.checked_rem(divisor)?;
    if rest == 0 {
        return Some((quotient, false));
    }
    let doubled = rest.unsigned_abs().checked_mul(2)?;
    let half = doubled.cmp(&divisor.unsigned_abs());
    let away = match rounding {
        Rounding::Up => true,
        Rounding::Down => false,
        Rounding::HalfUp => half.is_ge(),
        Rounding::HalfEven => {
            half.is_gt() || (half.is_eq() && quotient.checked_rem(2).is_some_and(|r| r != 0))
        }
    };
    let step = if away { dividend.signum() } else { 0 };
    Some((quotient.checked_add(step)?, true))
}

/// The canonical form: no exponent, no trailing zeros, "0.248".
impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0_u8; 24];
        f.pad_integral(true, "", self.write_canonical(&mut buffer))
    }
}

impl Credits {
    /// Writes the canonical form into `buffer` and returns it.
    pub fn write_canonical(self, buffer: &mut [u8; 24]) -> &str {
        let magnitude = self.0.unsigned_abs();
        let unit = NANOS_PER_CREDIT.unsigned_abs();
        let whole = magnitude.checked_div(unit).unwrap_or_default();
        let fraction = magnitude.checked_rem(unit).unwrap_or_default();
        let mut at = buffer.len();
        if fraction != 0 {
            at = write_fraction(fraction, buffer);
        }
        at = write_whole(whole, buffer, at);
        if self.0 < 0 {
            at = put(b'-', buffer, at);
        }
        // Only ASCII was written.
        std::str::from_utf8(buffer.get(at..).unwrap_or_default()).unwrap_or_default()
    }
}

/// Writes a byte before position `at`; returns its position.
fn put(byte: u8, buffer: &mut [u8; 24], at: usize) -> usize {
    let at = at.saturating_sub(1);
    if let Some(place) = buffer.get_mut(at) {
        *place = byte;
    }
    at
}

/// The last digit of a number, and the number without it.
fn pop(number: u64) -> (u8, u64) {
    let digit = number.checked_rem(10).unwrap_or_default();
    let digit = b'0'.saturating_add(u8::try_from(digit).unwrap_or_default());
    (digit, number.checked_div(10).unwrap_or_default())
}

/// Writes a whole number before position `at`; returns where it begins.
fn write_whole(mut whole: u64, buffer: &mut [u8; 24], mut at: usize) -> usize {
    loop {
        let (digit, rest) = pop(whole);
        at = put(digit, buffer, at);
        whole = rest;
        if whole == 0 {
            return at;
        }
    }
}

/// Writes a fraction of more than zero billionths at the end of the buffer, with a point and
/// without trailing zeros; returns where it begins.
fn write_fraction(mut fraction: u64, buffer: &mut [u8; 24]) -> usize {
    let mut decimals = DECIMALS_MAX;
    // Fewer divisions for the many amounts of at most three decimals.
    while let Some(0) = fraction.checked_rem(1_000) {
        fraction = fraction.checked_div(1_000).unwrap_or_default();
        decimals = decimals.saturating_sub(3);
    }
    while let (b'0', rest) = pop(fraction) {
        fraction = rest;
        decimals = decimals.saturating_sub(1);
    }
    let mut at = buffer.len();
    for _ in 0..decimals {
        let (digit, rest) = pop(fraction);
        at = put(digit, buffer, at);
        fraction = rest;
    }
    put(b'.', buffer, at)
}

impl fmt::Debug for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credits({self})")
    }
}

#[cfg(test)]
#[path = "amount_tests.rs"]
mod tests;
