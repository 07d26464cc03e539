//! Ids of entries, grants and holds. Each kind counts within its account, from 1.
//!
//! On the wire an id is a letter for the kind, the number, a dash and four check characters
//! that are made from account, kind and number: `e7-k3fq`. Callers treat it as opaque. An id
//! of another account, like every text that was not given out, names nothing.

use crate::domain::base32;
use crate::domain::names::{AccountName, repeated};

/// An entry. Its number is the account's version after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub i64);

/// A grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId(pub i64);

/// A hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldId(pub i64);

/// A kind of id that counts within an account.
pub trait AccountId: Copy {
    /// The letter before the numbers of this kind.
    const LETTER: u8;

    /// The id of that number.
    fn of(number: i64) -> Self;

    /// The number, from 1.
    fn number(self) -> i64;

    /// The id after this one.
    #[must_use]
    fn next(self) -> Self {
        Self::of(self.number().saturating_add(1))
    }

    /// The check characters of this account's id.
    fn check(self, account: &AccountName) -> [u8; CHECK_LENGTH] {
        check(Self::LETTER, self.number(), account)
    }

    /// This account's id as callers see it.
    fn text(self, account: &AccountName) -> String {
        self.write(account, &mut [0; _]).to_owned()
    }

    /// The same, written into a buffer without `fmt`: there are ids in every reply.
    fn write<'a>(self, account: &AccountName, buffer: &'a mut [u8; ID_BYTES_MAX]) -> &'a str {
        // From its end.
        let mut start = ID_BYTES_MAX;
        let mut put = |byte: u8| {
            start = start.saturating_sub(1);
            if let Some(place) = buffer.get_mut(start) {
                *place = byte;
            }
        };
        self.check(account).into_iter().rev().for_each(&mut put);
        put(b'-');
        let mut rest = self.number().unsigned_abs();
        loop {
            let digit = u8::try_from(rest % 10).unwrap_or_default();
            put(digit.saturating_add(b'0'));
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        put(Self::LETTER);
        let text = buffer.get(start..).unwrap_or_default();
        // ASCII only.
        std::str::from_utf8(text).unwrap_or_default()
    }
}

/// What the longest id takes: a letter, 20 digits, a dash and the check characters.
pub const ID_BYTES_MAX: usize = 22 + CHECK_LENGTH;

impl AccountId for EntryId {
    const LETTER: u8 = b'e';

    fn of(number: i64) -> Self {
        Self(number)
    }

    fn number(self) -> i64 {
        self.0
    }
}

impl AccountId for GrantId {
    const LETTER: u8 = b'g';

    fn of(number: i64) -> Self {
        Self(number)
    }

    fn number(self) -> i64 {
        self.0
    }
}

impl AccountId for HoldId {
    const LETTER: u8 = b'h';

    fn of(number: i64) -> Self {
        Self(number)
    }

    fn number(self) -> i64 {
        self.0
    }
}

/// How many check characters an id has.
pub const CHECK_LENGTH: usize = 4;

/// FNV-1a over kind, number and account, its bits mixed as MurmurHash3 does at its end. It is
/// the same in every store and every version of the program.
fn check(letter: u8, number: i64, account: &AccountName) -> [u8; CHECK_LENGTH] {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    u32::from(letter)
        .to_le_bytes()
        .into_iter()
        .for_each(&mut add);
    number.to_le_bytes().into_iter().for_each(&mut add);
    account.as_str().bytes().for_each(&mut add);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^= hash >> 33;
    [59, 54, 49, 44].map(|shift: u32| {
        let [bits, ..] = (hash >> shift).to_le_bytes();
        base32::character(bits.into())
    })
}

/// An id in a request: its text, and the id that it is on an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<T> {
    text: Box<str>,
    id: Option<T>,
}

impl<T: AccountId> Named<T> {
    /// Reads the text as an id of this account. There is no id without an account, or if the
    /// text was not given out for it.
    #[must_use]
    pub fn read(text: &str, account: Option<&AccountName>) -> Self {
        Self {
            text: repeated(text),
            id: account.and_then(|account| read(text, account)),
        }
    }

    /// An id of this account, as a request names it.
    #[must_use]
    pub fn of(id: T, account: &AccountName) -> Self {
        Self {
            text: id.text(account).into(),
            id: Some(id),
        }
    }

    /// The id, if the text can be one. Nothing of that id need exist.
    #[must_use]
    pub const fn id(&self) -> Option<T> {
        self.id
    }

    /// The text as a refusal repeats it: its beginning.
    #[must_use]
    pub fn text(&self) -> Box<str> {
        self.text.clone()
    }
}

fn read<T: AccountId>(text: &str, account: &AccountName) -> Option<T> {
    let (number, _) = text.strip_prefix(char::from(T::LETTER))?.split_once('-')?;
    let id = T::of(number.parse().ok()?);
    // The text must be the canonical one, without leading zeros or a sign.
    (id.number() > 0 && id.text(account) == text).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> AccountName {
        AccountName::new(name).unwrap()
    }

    /// Ids stay what they are: callers keep them.
    #[test]
    fn ids_are_the_same_for_ever() {
        let account = account("team-a");
        assert_eq!(EntryId(7).text(&account), "e7-2p2n");
        assert_eq!(GrantId(7).text(&account), "g7-j2xf");
        assert_eq!(HoldId(i64::MAX).text(&account), "h9223372036854775807-na3p");
    }

    #[test]
    fn only_what_was_given_out_is_an_id() {
        let account = account("team-a");
        let good = HoldId(12).text(&account);
        let read = |text: &str| Named::<HoldId>::read(text, Some(&account)).id();
        assert_eq!(read(&good), Some(HoldId(12)));
        assert_eq!(Named::<HoldId>::read(&good, None).id(), None);
        let check = good.strip_prefix("h12").unwrap();
        for text in [
            "",
            "h",
            "12",
            "h12",
            "h12-",
            "h12-0000",
            &format!("e12{check}"),
            &format!("h012{check}"),
            &format!("h+12{check}"),
            &format!("h12{check} "),
            &format!("H12{check}"),
            &format!("h13{check}"),
            &HoldId(0).text(&account),
            &HoldId(-1).text(&account),
            "h9999999999999999999-0000",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    /// An id of one account names nothing on another: of a million pairs one passes by
    /// chance.
    #[test]
    fn an_id_of_another_account_names_nothing() {
        let names = ["team-a", "team-b", "team-c", "a", "b"].map(account);
        let mut passed = 0;
        for number in 1..=20_000 {
            for one in &names {
                let text = EntryId(number).text(one);
                for other in names.iter().filter(|other| *other != one) {
                    let id = Named::<EntryId>::read(&text, Some(other)).id();
                    passed += i32::from(id.is_some());
                }
            }
        }
        assert!(passed <= 4, "{passed} of 400,000");
    }
}
