//! Formulas: names, numbers, `+ - * ( )`, and `/` by a number. A formula is kept as the sum of
//! its products, so that one spelled otherwise is the same.

use std::collections::BTreeMap;
use std::fmt;

use super::ratio::Ratio;

/// Longest text of a formula.
const TEXT_BYTES_MAX: usize = 1_024;
/// Most brackets within each other.
const DEPTH_MAX: usize = 32;
/// Most products of a formula.
const TERMS_MAX: usize = 64;
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
    pub names: Vec<Box<str>>,
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

type Products = BTreeMap<Vec<Box<str>>, Ratio>;

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
        if text.len() > TEXT_BYTES_MAX {
            return Err(FormulaError::TooLarge);
        }
        let mut reader = Reader {
            tokens: tokens(text)?,
            depth: 0,
        };
        reader.tokens.reverse();
        let products = reader.sum()?;
        match reader.tokens.pop() {
            None => Ok(Self::of(products)),
            Some(token) => Err(FormulaError::Unexpected(token.into())),
        }
    }

    fn of(products: Products) -> Self {
        let mut terms: Vec<_> = products
            .into_iter()
            .filter(|(_, coefficient)| *coefficient != Ratio::ZERO)
            .map(|(names, coefficient)| Term { coefficient, names })
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
        let mut parts: Vec<String> = self.names.iter().map(|name| (**name).to_owned()).collect();
        if numerator != 1 || parts.is_empty() {
            parts.push(numerator.to_string());
        }
        f.write_str(&parts.join(" * "))?;
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

struct Reader<'a> {
    /// The next one is the last one.
    tokens: Vec<&'a str>,
    depth: usize,
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
            let more = self.product()?;
            for (names, coefficient) in more {
                let coefficient = match sign {
                    "-" => coefficient.negated(),
                    _ => Some(coefficient),
                };
                add(&mut sum, names, coefficient)?;
            }
        }
        Ok(sum)
    }

    fn product(&mut self) -> Result<Products, FormulaError> {
        let mut product = self.operand()?;
        while let Some(sign) = self.accept(&["*", "/"]) {
            let by = self.operand()?;
            product = match sign {
                "*" => multiply(&product, &by)?,
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
        let mut product = Products::new();
        if token.starts_with(|c: char| c.is_ascii_digit()) {
            let number = Ratio::parse(token);
            let number = number.ok_or_else(|| FormulaError::Number(token.into()))?;
            product.insert(Vec::new(), number);
        } else if token.contains('.') {
            return Err(FormulaError::Unexpected(token.into()));
        } else {
            product.insert(vec![token.into()], Ratio::ONE);
        }
        Ok(product)
    }

    fn unexpected(&self) -> FormulaError {
        let token = self.tokens.last().copied().unwrap_or("an end");
        FormulaError::Unexpected(token.into())
    }
}

fn add(
    sum: &mut Products,
    names: Vec<Box<str>>,
    coefficient: Option<Ratio>,
) -> Result<(), FormulaError> {
    let entry = sum.entry(names).or_insert(Ratio::ZERO);
    *entry = coefficient
        .and_then(|coefficient| entry.plus(coefficient))
        .ok_or(FormulaError::TooLarge)?;
    match sum.len() > TERMS_MAX {
        true => Err(FormulaError::TooLarge),
        false => Ok(()),
    }
}

fn multiply(left: &Products, right: &Products) -> Result<Products, FormulaError> {
    let mut product = Products::new();
    for (left_names, left) in left {
        for (right_names, right) in right {
            let mut names = [left_names.as_slice(), right_names.as_slice()].concat();
            names.sort();
            if names.len() > FACTORS_MAX {
                return Err(FormulaError::TooLarge);
            }
            add(&mut product, names, left.times(*right))?;
        }
    }
    Ok(product)
}

fn divide(product: Products, by: &Products) -> Result<Products, FormulaError> {
    let number = match by.first_key_value() {
        Some((names, number)) if names.is_empty() && by.len() == 1 => *number,
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
