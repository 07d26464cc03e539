//! Exact fractions, for what is worked out when a card is loaded.

use std::cmp::Ordering;
use std::fmt;

/// Longest number in a rate card, its point counted.
pub const NUMBER_BYTES_MAX: usize = 30;

/// A fraction in lowest terms; its denominator is more than 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ratio {
    numerator: i128,
    denominator: i128,
}

impl Ratio {
    /// 0.
    pub const ZERO: Self = Self::whole(0);
    /// 1.
    pub const ONE: Self = Self::whole(1);

    /// A whole number.
    #[must_use]
    pub const fn whole(number: i128) -> Self {
        Self {
            numerator: number,
            denominator: 1,
        }
    }

    /// The quotient. None for a denominator of 0 and where 128 bits do not hold it.
    #[must_use]
    pub fn new(numerator: i128, denominator: i128) -> Option<Self> {
        let divisor = match denominator {
            1 => 1,
            _ => gcd(numerator, denominator)?,
        };
        if divisor == 1 && denominator > 0 {
            return Some(Self {
                numerator,
                denominator,
            });
        }
        let sign = denominator.signum();
        Some(Self {
            numerator: numerator.checked_div(divisor)?.checked_mul(sign)?,
            denominator: denominator.checked_div(divisor)?.checked_mul(sign)?,
        })
        .filter(|ratio| ratio.denominator > 0)
    }

    /// A decimal number of zero or more: digits, and at most one point between digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) || text.len() > NUMBER_BYTES_MAX {
            return None;
        }
        let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let numerator = format!("{whole}{fraction}").parse().ok()?;
        Self::new(numerator, scale)
    }

    /// The numerator.
    #[must_use]
    pub const fn numerator(self) -> i128 {
        self.numerator
    }

    /// The denominator.
    #[must_use]
    pub const fn denominator(self) -> i128 {
        self.denominator
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        if self.is_whole() && other.is_whole() {
            let sum = self.numerator.checked_add(other.numerator)?;
            return Some(Self::whole(sum));
        }
        let left = self.numerator.checked_mul(other.denominator)?;
        let right = other.numerator.checked_mul(self.denominator)?;
        let denominator = self.denominator.checked_mul(other.denominator)?;
        Self::new(left.checked_add(right)?, denominator)
    }

    /// The number with the other sign.
    #[must_use]
    pub fn negated(self) -> Option<Self> {
        let numerator = self.numerator.checked_neg()?;
        Some(Self { numerator, ..self })
    }

    /// The product.
    #[inline]
    #[must_use]
    pub fn times(self, other: Self) -> Option<Self> {
        if other == Self::ONE {
            return Some(self);
        }
        if self.is_whole() && other.is_whole() {
            let product = self.numerator.checked_mul(other.numerator)?;
            return Some(Self::whole(product));
        }
        // Reduced first, so that less leaves 128 bits; then nothing is left to reduce.
        let left = Self::new(self.numerator, other.denominator)?;
        let right = Self::new(other.numerator, self.denominator)?;
        Some(Self {
            numerator: left.numerator.checked_mul(right.numerator)?,
            denominator: left.denominator.checked_mul(right.denominator)?,
        })
    }

    /// The quotient; None where `other` is 0.
    #[must_use]
    pub fn over(self, other: Self) -> Option<Self> {
        self.times(Self::new(other.denominator, other.numerator)?)
    }

    /// The largest number of which both are multiples.
    #[must_use]
    pub fn common(self, other: Self) -> Option<Self> {
        let left = self.numerator.checked_mul(other.denominator)?;
        let right = other.numerator.checked_mul(self.denominator)?;
        let denominator = self.denominator.checked_mul(other.denominator)?;
        Self::new(gcd(left, right)?, denominator)
    }

    /// The largest whole number that is not more.
    #[must_use]
    pub fn floor(self) -> i128 {
        self.numerator
            .checked_div_euclid(self.denominator)
            .unwrap_or_default()
    }

    /// The smallest whole number that is not less.
    #[must_use]
    pub fn ceil(self) -> i128 {
        let more = i128::from(!self.is_whole());
        self.floor().saturating_add(more)
    }

    /// Whether it is a whole number.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        self.denominator == 1
    }

    /// Whether it is less than 0.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.numerator < 0
    }
}

impl PartialOrd for Ratio {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ratio {
    fn cmp(&self, other: &Self) -> Ordering {
        let left = self.numerator.checked_mul(other.denominator);
        let right = other.numerator.checked_mul(self.denominator);
        if let (Some(left), Some(right)) = (left, right) {
            return left.cmp(&right);
        }
        // By whole parts, then by the inverses of what is left: nothing is multiplied.
        let (mut left, mut right) = (*self, *other);
        loop {
            let whole = left.floor().cmp(&right.floor());
            let rest = |ratio: Self| {
                let rest = ratio.numerator.checked_rem_euclid(ratio.denominator);
                (ratio.denominator, rest.unwrap_or_default())
            };
            let ((left_over, left_rest), (right_over, right_rest)) = (rest(left), rest(right));
            match (whole, left_rest, right_rest) {
                (Ordering::Equal, 0, 0) => return Ordering::Equal,
                (Ordering::Equal, 0, _) => return Ordering::Less,
                (Ordering::Equal, _, 0) => return Ordering::Greater,
                (Ordering::Equal, _, _) => {}
                _ => return whole,
            }
            // 1 / left is less where left is more: they change sides.
            (left, right) = (
                Self {
                    numerator: right_over,
                    denominator: right_rest,
                },
                Self {
                    numerator: left_over,
                    denominator: left_rest,
                },
            );
        }
    }
}

/// A decimal number without trailing zeros; "31/3" where it has no end.
impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction =
            |f: &mut fmt::Formatter<'_>| write!(f, "{}/{}", self.numerator, self.denominator);
        let mut scale = 1_i128;
        let mut decimals = 0_usize;
        while scale.checked_rem(self.denominator) != Some(0) {
            let Some(next) = scale.checked_mul(10) else {
                return fraction(f);
            };
            scale = next;
            decimals = decimals.saturating_add(1);
        }
        let digits = scale
            .checked_div(self.denominator)
            .and_then(|times| self.numerator.checked_mul(times));
        let Some(digits) = digits else {
            return fraction(f);
        };
        let sign = if digits < 0 { "-" } else { "" };
        let width = decimals.saturating_add(1);
        let text = format!("{:0width$}", digits.unsigned_abs());
        let (whole, rest) = text.split_at(text.len().saturating_sub(decimals));
        match rest {
            "" => write!(f, "{sign}{whole}"),
            _ => write!(f, "{sign}{whole}.{rest}"),
        }
    }
}

/// The greatest common divisor, more than 0.
fn gcd(a: i128, b: i128) -> Option<i128> {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        // A processor divides 64 bits, and a function 128.
        if let (Ok(small_a), Ok(small_b)) = (u64::try_from(a), u64::try_from(b)) {
            return gcd_of_small(small_a, small_b).map(i128::from);
        }
        (a, b) = (b, a.checked_rem(b)?);
    }
    i128::try_from(a.max(1)).ok()
}

fn gcd_of_small(mut a: u64, mut b: u64) -> Option<u64> {
    while b != 0 {
        (a, b) = (b, a.checked_rem(b)?);
    }
    Some(a.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(numerator: i128, denominator: i128) -> Ratio {
        Ratio::new(numerator, denominator).unwrap()
    }

    #[test]
    fn they_are_exact_and_ordered() {
        assert_eq!(ratio(2, -4), ratio(-1, 2));
        assert_eq!(Ratio::new(1, 0), None);
        assert_eq!(ratio(1, 2).plus(ratio(1, 3)), Some(ratio(5, 6)));
        assert_eq!(ratio(2, 3).times(ratio(3, 4)), Some(ratio(1, 2)));
        assert_eq!(ratio(1, 2).over(Ratio::ZERO), None);
        assert_eq!(ratio(1, 2).common(ratio(1, 3)), Some(ratio(1, 6)));
        assert_eq!(ratio(6, 1).common(ratio(4, 1)), Some(ratio(2, 1)));
        assert_eq!((ratio(-7, 2).floor(), ratio(-7, 2).ceil()), (-4, -3));
        let huge = ratio(i128::MAX, 3);
        for (left, right, order) in [
            (ratio(1, 3), ratio(1, 2), Ordering::Less),
            (ratio(-1, 3), ratio(-1, 2), Ordering::Greater),
            (ratio(7, 3), ratio(7, 3), Ordering::Equal),
            (ratio(-1, 2), ratio(1, 2), Ordering::Less),
            (huge, ratio(i128::MAX, 4), Ordering::Greater),
            (ratio(5, 2), Ratio::whole(2), Ordering::Greater),
        ] {
            assert_eq!(left.cmp(&right), order, "{left} {right}");
        }
    }

    #[test]
    fn decimal_numbers_are_read_and_written() {
        for (text, expected) in [
            ("1.50", Some("1.5")),
            ("0.003", Some("0.003")),
            ("200000", Some("200000")),
            ("00.10", Some("0.1")),
            ("1.", None),
            (".5", None),
            ("-1", None),
            ("1e3", None),
            ("", None),
            ("1.2.3", None),
            ("1234567890123456789012345678901", None),
        ] {
            let read = Ratio::parse(text).map(|ratio| ratio.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
        assert_eq!(ratio(31, 3).to_string(), "31/3");
        assert_eq!(ratio(-1, 1024).to_string(), "-0.0009765625");
    }
}
