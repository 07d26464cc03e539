//! Formulas: names, numbers, `+ - *`, brackets, and `/` by a number.
//!
//! ```text
//! sum     = product { ("+" | "-") product }
//! product = factor { ("*" | "/") factor }
//! factor  = "(" sum ")" | name | number
//! ```

use super::number::{Number, number};

/// The value of a formula, with the values of its names from `value`.
///
/// # Errors
/// The first error of `value`.
pub fn evaluate<E>(formula: &str, value: &dyn Fn(&str) -> Result<Number, E>) -> Result<Number, E> {
    let mut reader = Reader {
        rest: formula,
        value,
    };
    let result = reader.sum()?;
    assert!(reader.rest.trim().is_empty(), "{formula:?} is no formula");
    Ok(result)
}

/// Reads a formula from the left.
struct Reader<'a, E> {
    rest: &'a str,
    value: &'a dyn Fn(&str) -> Result<Number, E>,
}

impl<E> Reader<'_, E> {
    /// Takes the character if it comes next.
    fn takes(&mut self, character: char) -> bool {
        let rest = self.rest.trim_start();
        self.rest = rest.strip_prefix(character).unwrap_or(rest);
        self.rest.len() < rest.len()
    }

    fn sum(&mut self) -> Result<Number, E> {
        let mut sum = self.product()?;
        loop {
            if self.takes('+') {
                sum += self.product()?;
            } else if self.takes('-') {
                sum -= self.product()?;
            } else {
                return Ok(sum);
            }
        }
    }

    fn product(&mut self) -> Result<Number, E> {
        let mut product = self.factor()?;
        loop {
            if self.takes('*') {
                product *= self.factor()?;
            } else if self.takes('/') {
                product /= self.factor()?;
            } else {
                return Ok(product);
            }
        }
    }

    fn factor(&mut self) -> Result<Number, E> {
        if self.takes('(') {
            let sum = self.sum()?;
            assert!(self.takes(')'), "a bracket is not closed");
            return Ok(sum);
        }
        let rest = self.rest;
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'));
        let (word, rest) = rest.split_at(end.unwrap_or(rest.len()));
        self.rest = rest;
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            Ok(number(word))
        } else {
            (self.value)(word)
        }
    }
}
