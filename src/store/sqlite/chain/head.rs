//! The head of a journal: a hash of all chains, short enough to be written on paper. Whoever keeps
//! it can prove later that nothing that was there then was changed, removed, added or exchanged.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use super::Chain;
use crate::domain::base32;
use crate::domain::canonical::CanonicalForm;

/// The first byte of what is hashed.
const VERSION: u8 = 1;
/// How many of them are of the hash; the others are check digits.
const HASH_DIGITS: usize = 30;
const CHECK_DIGITS: usize = 2;
const GROUP: usize = 4;

/// The head of a journal after so many rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalHead {
    rows: i64,
    digits: [u8; HASH_DIGITS + CHECK_DIGITS],
}

/// A text that is no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHead {
    /// It is not in the form of one.
    Form,
    /// A character of it is wrong.
    Check,
}

impl fmt::Display for NoHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => {
                "a head is a number, a dash and 32 characters, as \"creditd audit --head\" prints it"
            }
            Self::Check => "a character of it is wrong; compare it with what was written down",
        })
    }
}

impl std::error::Error for NoHead {}

impl JournalHead {
    /// The head after so many rows: of the accounts by then, in the order of their names, and the
    /// hash of the newest row of each.
    pub(in crate::store::sqlite) fn of<'a>(
        rows: i64,
        accounts: impl Iterator<Item = (&'a str, &'a Chain)>,
    ) -> Self {
        let mut hash = Sha256::new();
        hash.update([VERSION]);
        hash.update(rows.to_be_bytes());
        let mut form = CanonicalForm::default();
        for (name, chain) in accounts {
            form.clear();
            form.field(1, name);
            form.field(2, chain);
            hash.update(form.as_bytes());
        }
        let hash = hash.finalize();
        let mut digits = [0; HASH_DIGITS + CHECK_DIGITS];
        for (place, digit) in digits
            .iter_mut()
            .take(HASH_DIGITS)
            .zip(base32::characters(&hash))
        {
            *place = digit;
        }
        let mut head = Self { rows, digits };
        head.digits = head.checked();
        head
    }

    /// How many rows the journal had.
    #[must_use]
    pub const fn rows(&self) -> i64 {
        self.rows
    }

    /// Its digits, with the check digits that belong to them.
    fn checked(&self) -> [u8; HASH_DIGITS + CHECK_DIGITS] {
        let mut digits = self.digits;
        let (hash, check) = digits.split_at_mut(HASH_DIGITS);
        let sum = Sha256::new()
            .chain_update(self.rows.to_be_bytes())
            .chain_update(&*hash)
            .finalize();
        for (place, digit) in check.iter_mut().zip(base32::characters(&sum)) {
            *place = digit;
        }
        digits
    }
}

/// "609-7k2m-…": the number of rows, and the digits in groups.
impl fmt::Display for JournalHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.rows)?;
        for group in self.digits.chunks(GROUP) {
            f.write_str("-")?;
            for digit in group {
                write!(f, "{}", char::from(*digit))?;
            }
        }
        Ok(())
    }
}

/// Capitals, spaces and other groups are read as well.
impl FromStr for JournalHead {
    type Err = NoHead;

    fn from_str(text: &str) -> Result<Self, NoHead> {
        let (rows, digits) = text.trim().split_once('-').ok_or(NoHead::Form)?;
        let is_number = !rows.is_empty() && rows.bytes().all(|byte| byte.is_ascii_digit());
        let rows = rows
            .parse()
            .ok()
            .filter(|_| is_number)
            .ok_or(NoHead::Form)?;
        let digits: Vec<u8> = digits
            .bytes()
            .filter(|byte| !b"- ".contains(byte))
            .map(|byte| byte.to_ascii_lowercase())
            .collect();
        let digits: [u8; HASH_DIGITS + CHECK_DIGITS] =
            digits.try_into().map_err(|_| NoHead::Form)?;
        let head = Self { rows, digits };
        let is_right =
            digits.iter().all(|digit| base32::ALPHABET.contains(digit)) && head.checked() == digits;
        is_right.then_some(head).ok_or(NoHead::Check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> JournalHead {
        JournalHead::of(
            609,
            [("team-a", &[7; 32]), ("team-b", &[8; 32])].into_iter(),
        )
    }

    /// Auditors keep heads.
    #[test]
    fn a_head_is_the_same_for_ever() {
        assert_eq!(
            head().to_string(),
            "609-vs9b-anjv-r78d-qjwj-2pwh-na3j-mczw-5pwt"
        );
    }

    #[test]
    fn a_head_is_read_as_people_type_it_and_no_wrong_character_passes() {
        let text = head().to_string();
        let typed = [
            text.clone(),
            text.to_uppercase(),
            format!(" {} ", text.replace('-', " ").replacen(' ', "-", 1)),
            text.replace('-', "").replacen("609", "609-", 1),
        ];
        for typed in typed {
            assert_eq!(typed.parse(), Ok(head()), "{typed}");
        }
        for (text, problem) in [
            ("", NoHead::Form),
            ("609", NoHead::Form),
            ("609-", NoHead::Form),
            ("-7k2m", NoHead::Form),
            ("+609-7k2m", NoHead::Form),
        ] {
            assert_eq!(text.parse::<JournalHead>(), Err(problem), "{text}");
        }
        // Every other character in every place: of 1,024 one passes by chance.
        let (mut wrong, mut passed) = (0, 0);
        for at in (0..text.len()).filter(|at| text.as_bytes()[*at] != b'-') {
            for other in "0123456789abcdefghjkmnpqrstvwxyz".chars() {
                let mut changed: Vec<char> = text.chars().collect();
                if changed[at] == other {
                    continue;
                }
                changed[at] = other;
                let changed: String = changed.into_iter().collect();
                wrong += 1;
                passed += i32::from(changed.parse::<JournalHead>().is_ok());
            }
        }
        assert!(passed <= wrong / 200, "{passed} of {wrong}");
    }

    #[test]
    fn each_name_chain_and_count_makes_another_head() {
        let heads = [
            JournalHead::of(0, [].into_iter()),
            head(),
            JournalHead::of(
                608,
                [("team-a", &[7; 32]), ("team-b", &[8; 32])].into_iter(),
            ),
            JournalHead::of(
                609,
                [("team-a", &[8; 32]), ("team-b", &[7; 32])].into_iter(),
            ),
            JournalHead::of(609, [("team-", &[7; 32]), ("team-b", &[8; 32])].into_iter()),
            JournalHead::of(609, [("team-a", &[7; 32])].into_iter()),
        ];
        for (at, one) in heads.iter().enumerate() {
            for other in &heads[at + 1..] {
                assert_ne!(one, other);
            }
        }
    }
}
