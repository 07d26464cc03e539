//! Formulas: names, numbers, `+ - * ( )`, and `/` by a number. A formula is kept as the sum of
//! its products, so that one spelled otherwise is the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::ratio::Ratio;

/// Longest text of a formula.
pub const TEXT_BYTES_MAX: usize = 1_024;
/// Most brackets within each other.
pub const DEPTH_MAX: usize = 32;
/// Most products of a formula.
pub const TERMS_MAX: usize = 64;
/// Most names of a product.
pub const FACTORS_MAX: usize = 6;

/// A sum of products of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formula {
    /// Those that are added, then those that are taken off; each by name.
    terms: Vec<Term>,
}

/// One product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// By which it is multiplied; not 0.
    pub coefficient: Ratio,
    /// What is multiplied, by name; none: a number.
    pub names: Vec<Arc<str>>,
}

/// Why a text is no formula.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormulaError {
    /// Something that cannot stand where it stands.
    Unexpected(Box<str>),
    /// A division by something else than a number.
    Division,
    /// Too long, too deep or too many products.
    TooLarge,
    /// A number that cannot be kept.
    Number(Box<str>),
}

/// The names of a product by their numbers, sorted, 16 bits each from the 96th on down; behind them
/// stands 0, for none. So the order of names is that of numbers.
type Names = u128;

/// Where the first name stands, and how many places there are: one for each of [`FACTORS_MAX`].
const FIRST_AT: u32 = 80;
const PLACES: u32 = 6;

/// Products by their names, in order.
type Products = Vec<(Names, Ratio)>;

impl Formula {
    /// The formula that is this name.
    #[must_use]
    pub fn name(name: &str) -> Self {
        let term = Term {
            coefficient: Ratio::ONE,
            names: vec![name.into()],
        };
        Self { terms: vec![term] }
    }

    /// Reads a formula.
    ///
    /// # Errors
    /// Why the text is none.
    pub fn parse(text: &str) -> Result<Self, FormulaError> {
        match text.len() > TEXT_BYTES_MAX {
            true => Err(FormulaError::TooLarge),
            false => Self::read(text, false),
        }
    }

    /// Reads a formula that was written as the sum of its products, which may be longer than
    /// what was read first.
    ///
    /// # Errors
    /// Why the text is none.
    pub fn restore(text: &str) -> Result<Self, FormulaError> {
        Self::read(text, true)
    }

    fn read(text: &str, is_written: bool) -> Result<Self, FormulaError> {
        let mut tokens = tokens(text)?;
        let names = tokens.iter().copied().filter(|token| is_name(token));
        let names: BTreeSet<&str> = names.collect();
        tokens.reverse();
        let mut reader = Reader {
            tokens,
            names: names.into_iter().zip(1..=u16::MAX).collect(),
            depth: 0,
            is_written,
        };
        let products = reader.sum()?;
        match reader.tokens.pop() {
            None => Ok(Self::of(&products, &reader.names)),
            Some(token) => Err(FormulaError::Unexpected(token.into())),
        }
    }

    fn of(products: &Products, names: &BTreeMap<&str, u16>) -> Self {
        // In the order of their numbers.
        let names: Vec<Arc<str>> = names.keys().map(|name| (*name).into()).collect();
        let name = |number: u16| names.get(usize::from(number).checked_sub(1)?).cloned();
        let products = products.iter();
        let mut terms: Vec<_> = products
            .filter(|(_, coefficient)| *coefficient != Ratio::ZERO)
            .map(|(names, coefficient)| {
                let count = usize::try_from(count_of(*names)).unwrap_or_default();
                let mut of_term = Vec::with_capacity(count);
                of_term.extend(each_of(*names).filter_map(name));
                Term {
                    coefficient: *coefficient,
                    names: of_term,
                }
            })
            .collect();
        terms.sort_by_key(|term| term.coefficient.is_negative());
        Self { terms }
    }

    /// The products that are added up.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// Each name, as often as it stands in a product.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let terms = self.terms.iter();
        terms.flat_map(|term| term.names.iter().map(|name| &**name))
    }

    /// The name, where the formula is nothing else.
    #[must_use]
    pub fn as_name(&self) -> Option<&str> {
        match self.terms.as_slice() {
            [Term { coefficient, names }] if *coefficient == Ratio::ONE => match names.as_slice() {
                [name] => Some(name),
                _ => None,
            },
            _ => None,
        }
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.terms.is_empty() {
            return f.write_str("0");
        }
        for (position, term) in self.terms.iter().enumerate() {
            let is_negative = term.coefficient.is_negative();
            f.write_str(match (position, is_negative) {
                (0, false) => "",
                (0, true) => "0 - ",
                (_, false) => " + ",
                (_, true) => " - ",
            })?;
            write!(f, "{term}")?;
        }
        Ok(())
    }
}

/// Without its sign.
impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numerator = self.coefficient.numerator().unsigned_abs();
        let denominator = self.coefficient.denominator();
        let mut sign = "";
        for name in &self.names {
            write!(f, "{sign}{name}")?;
            sign = " * ";
        }
        if numerator != 1 || self.names.is_empty() {
            write!(f, "{sign}{numerator}")?;
        }
        match denominator {
            1 => Ok(()),
            _ => write!(f, " / {denominator}"),
        }
    }
}

/// Names, numbers and signs.
fn tokens(text: &str) -> Result<Vec<&str>, FormulaError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let length = match first {
            '+' | '-' | '*' | '/' | '(' | ')' => 1,
            _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            _ => return Err(FormulaError::Unexpected(first.to_string().into())),
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

/// Whether a token is a name, and no number or sign.
fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_alphabetic())
}

struct Reader<'a> {
    /// The next one is the last one.
    tokens: Vec<&'a str>,
    /// Names by their numbers, which begin with 1 and are in the order of the names.
    names: BTreeMap<&'a str, u16>,
    depth: usize,
    /// Whether the text is a sum that was written here: its numbers were worked out, and may have
    /// more digits than those of a card.
    is_written: bool,
}

impl Reader<'_> {
    /// The next token, where it is one of these.
    fn accept(&mut self, signs: &[&'static str]) -> Option<&'static str> {
        let next = self.tokens.last()?;
        let sign = signs.iter().find(|sign| *sign == next)?;
        self.tokens.pop();
        Some(sign)
    }

    fn sum(&mut self) -> Result<Products, FormulaError> {
        let mut sum = self.product()?;
        while let Some(sign) = self.accept(&["+", "-"]) {
            let mut more = self.product()?;
            if sign == "-" {
                for (_, coefficient) in &mut more {
                    *coefficient = coefficient.negated().ok_or(FormulaError::TooLarge)?;
                }
            }
            sum = self.summed(merged(sum, more))?;
        }
        Ok(sum)
    }

    fn product(&mut self) -> Result<Products, FormulaError> {
        let mut product = self.operand()?;
        while let Some(sign) = self.accept(&["*", "/"]) {
            let by = self.operand()?;
            product = match (sign, by.as_slice()) {
                ("*", [one]) => self.multiply_by_one(product, one)?,
                ("*", _) => self.multiply(&product, &by)?,
                _ => divide(product, &by)?,
            };
        }
        Ok(product)
    }

    fn operand(&mut self) -> Result<Products, FormulaError> {
        if self.accept(&["("]).is_some() {
            self.depth = self.depth.saturating_add(1);
            if self.depth > DEPTH_MAX {
                return Err(FormulaError::TooLarge);
            }
            let inner = self.sum()?;
            self.depth = self.depth.saturating_sub(1);
            return match self.accept(&[")"]) {
                Some(_) => Ok(inner),
                None => Err(self.unexpected()),
            };
        }
        let is_operand = |token: &str| token.starts_with(|c: char| c.is_ascii_alphanumeric());
        match self.tokens.last() {
            Some(token) if is_operand(token) => {}
            _ => return Err(self.unexpected()),
        }
        let token = self.tokens.pop().unwrap_or_default();
        let number = |number: Option<Ratio>| {
            let number = number.ok_or_else(|| FormulaError::Number(token.into()))?;
            Ok(vec![(0, number)])
        };
        match self.names.get(token) {
            Some(_) if token.contains('.') => Err(FormulaError::Unexpected(token.into())),
            Some(name) => Ok(vec![(Names::from(*name) << FIRST_AT, Ratio::ONE)]),
            None if self.is_written => number(token.parse().ok().map(Ratio::whole)),
            None => number(Ratio::parse(token)),
        }
    }

    fn multiply_by_one(
        &self,
        mut products: Products,
        (more, by): &(Names, Ratio),
    ) -> Result<Products, FormulaError> {
        for (names, coefficient) in &mut products {
            *names = names_of_both(*names, *more)?;
            *coefficient = coefficient.times(*by).ok_or(FormulaError::TooLarge)?;
        }
        self.summed(products)
    }

    fn multiply(&self, left: &Products, right: &Products) -> Result<Products, FormulaError> {
        let mut product = Products::with_capacity(left.len().saturating_mul(right.len()));
        for (left_names, left) in left {
            for (right_names, right) in right {
                let names = names_of_both(*left_names, *right_names)?;
                let coefficient = left.times(*right).ok_or(FormulaError::TooLarge)?;
                product.push((names, coefficient));
            }
        }
        self.summed(product)
    }

    /// Products of the same names added up, in order.
    fn summed(&self, mut all: Products) -> Result<Products, FormulaError> {
        let most = TERMS_MAX.saturating_add(usize::from(self.is_written));
        if all.len() <= most && all.is_sorted_by(|(one, _), (next, _)| one < next) {
            return Ok(all);
        }
        if !all.is_sorted_by_key(|(names, _)| *names) {
            all.sort_unstable_by_key(|(names, _)| *names);
        }
        let mut sum = Products::with_capacity(all.len());
        for (names, coefficient) in all {
            match sum.last_mut() {
                Some((last, before)) if *last == names => {
                    *before = before.plus(coefficient).ok_or(FormulaError::TooLarge)?;
                }
                _ => sum.push((names, coefficient)),
            }
        }
        // A sum whose products are all taken off is written with a 0 before them.
        match sum.len() > most {
            true => Err(FormulaError::TooLarge),
            false => Ok(sum),
        }
    }

    fn unexpected(&self) -> FormulaError {
        let token = self.tokens.last().copied().unwrap_or("an end");
        FormulaError::Unexpected(token.into())
    }
}

/// Two lists that are in order, as one in order.
fn merged(left: Products, right: Products) -> Products {
    let mut all = Products::with_capacity(left.len().saturating_add(right.len()));
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some((one, _)), Some((other, _))) = (left.peek(), right.peek()) {
        let next = if one <= other {
            left.next()
        } else {
            right.next()
        };
        all.extend(next);
    }
    all.extend(left);
    all.extend(right);
    all
}

/// The numbers of names.
fn each_of(names: Names) -> impl Iterator<Item = u16> {
    let bytes = names.to_be_bytes();
    let numbers = bytes.into_iter().skip(4).step_by(2);
    let rest = bytes.into_iter().skip(5).step_by(2);
    let numbers = numbers
        .zip(rest)
        .map(|pair| u16::from_be_bytes(pair.into()));
    numbers.take_while(|number| *number != 0)
}

/// How many names there are.
#[inline]
fn count_of(names: Names) -> u32 {
    let unused = names.trailing_zeros().div_euclid(16);
    PLACES.saturating_sub(unused)
}

#[inline]
fn names_of_both(left: Names, right: Names) -> Result<Names, FormulaError> {
    let (of_left, of_right) = (count_of(left), count_of(right));
    if of_left.saturating_add(of_right) > PLACES {
        return Err(FormulaError::TooLarge);
    }
    let behind = |count: u32| right.checked_shr(count.saturating_mul(16));
    // Mostly all of one come before all of the other.
    let last = PLACES.saturating_sub(of_left).saturating_mul(16);
    let last = left.checked_shr(last).unwrap_or_default() & 0xffff;
    let both = left | behind(of_left).unwrap_or_default();
    if last <= right >> FIRST_AT || of_right == 0 {
        return Ok(both);
    }
    let mut numbers: Vec<u16> = each_of(both).collect();
    numbers.sort_unstable();
    let places = (0..PLACES).rev().map(|place| place.saturating_mul(16));
    let sorted = numbers.into_iter().zip(places);
    Ok(sorted.fold(0, |all, (number, at)| {
        all | Names::from(number).checked_shl(at).unwrap_or_default()
    }))
}

fn divide(product: Products, by: &Products) -> Result<Products, FormulaError> {
    let number = match by.as_slice() {
        [(0, number)] => *number,
        _ => return Err(FormulaError::Division),
    };
    let divided = product.into_iter().map(|(names, coefficient)| {
        let coefficient = coefficient.over(number).ok_or(FormulaError::Division)?;
        Ok((names, coefficient))
    });
    divided.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_that_was_written_is_read_again() {
        let names: Vec<_> = (0..12)
            .map(|n| format!("name_{n}_{}", "x".repeat(40)))
            .collect();
        let pairs = names
            .chunks(2)
            .map(|pair| format!("({}+{})", pair[0], pair[1]));
        let product = pairs.collect::<Vec<_>>().join("*");
        let digits = "9".repeat(19);
        for text in [
            product.clone(),
            "0 - (a + b) * c".to_owned(),
            format!("a * {digits} * {digits}"),
            format!("a / {digits} / {digits}"),
            "0 - a".to_owned(),
            "a - a".to_owned(),
        ] {
            let formula = Formula::parse(&text).unwrap();
            assert_eq!(
                Formula::restore(&formula.to_string()),
                Ok(formula),
                "{text}"
            );
        }
    }

    #[test]
    fn a_formula_has_one_form() {
        for (text, form) in [
            ("duration", "duration"),
            ("(duration)", "duration"),
            ("a + b", "a + b"),
            ("b+a", "a + b"),
            ("b - a", "b - a"),
            ("-a + b", "!-"),
            ("w*h*fps/1024", "fps * h * w / 1024"),
            ("(in + out) * w / 2", "in * w / 2 + out * w / 2"),
            ("a * 4", "a * 4"),
            ("4 * a", "a * 4"),
            ("a * 0.5", "a / 2"),
            ("a - a", "0"),
            ("a + 3", "3 + a"),
            ("a * a", "a * a"),
            ("2 * (a - 1)", "a * 2 - 2"),
            ("a * b / c", "/"),
            ("a / 0", "/"),
            ("max(a, b)", "!,"),
            ("a ? b : c", "!?"),
            ("a >= b", "!>"),
            ("a +", "!an end"),
            ("a b", "!b"),
            ("(a", "!an end"),
            ("* a", "!*"),
            ("", "!an end"),
            ("a.b", "!a.b"),
            ("1e3", "#1e3"),
            ("a*b*c*d*e*f", "a * b * c * d * e * f"),
            ("a*b*c*d*e*f*g", "large"),
        ] {
            let read = match Formula::parse(text) {
                Ok(formula) => formula.to_string(),
                Err(FormulaError::Unexpected(token)) => format!("!{token}"),
                Err(FormulaError::Number(number)) => format!("#{number}"),
                Err(FormulaError::Division) => "/".to_owned(),
                Err(FormulaError::TooLarge) => "large".to_owned(),
            };
            assert_eq!(read, form, "{text}");
        }
        let deep = format!("{}a{}", "(".repeat(100), ")".repeat(100));
        assert_eq!(Formula::parse(&deep), Err(FormulaError::TooLarge));
    }
}
