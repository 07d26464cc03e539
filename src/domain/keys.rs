//! Keys: who calls, and what callers may do.

use std::fmt;
use std::sync::Arc;

use super::names::AccountName;
use super::time::Timestamp;

/// Largest length of a key's id.
pub const KEY_ID_BYTES_MAX: usize = 64;

/// Names a key, or whoever else a caller is known as. Entries carry it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Arc<str>);

impl KeyId {
    /// None for a text that is no id: one has 1 to 64 printable ASCII characters but space.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let is_id = (1..=KEY_ID_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_id.then(|| Self(text.into()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Largest length of a key's title.
pub const KEY_TITLE_BYTES_MAX: usize = 128;
/// Most accounts and prefixes that a key can be bound to.
pub const KEY_ACCOUNTS_MAX: usize = 100;
/// Largest limit of a key's calls a second.
pub const KEY_CALLS_PER_SECOND_MAX: u32 = 1_000_000;

/// A thing that callers do, for which they need to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Ask for prices.
    Price,
    /// Read accounts.
    Read,
    /// Spend what accounts have, and give it back.
    Charge,
    /// Give accounts credits, take them away, and set how they are priced.
    Grant,
    /// All of that, and administer the server.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Price,
        Self::Read,
        Self::Charge,
        Self::Grant,
        Self::Admin,
    ];

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Price => "price",
            Self::Read => "read",
            Self::Charge => "charge",
            Self::Grant => "grant",
            Self::Admin => "admin",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Price => 1,
            Self::Read => 2,
            Self::Charge => 4,
            Self::Grant => 8,
            Self::Admin => 16,
        }
    }
}

/// A set of scopes. Admin includes all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Whether they allow that.
    #[must_use]
    pub const fn allow(self, scope: Scope) -> bool {
        self.0 & (scope.bit() | Scope::Admin.bit()) != 0
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that were given, in order.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        let mut all = Scope::ALL.into_iter();
        std::iter::from_fn(move || all.find(|scope| self.0 & scope.bit() != 0))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |all, scope| all | scope.bit()))
    }
}

/// Accounts that a caller may name: exact names, and prefixes, which end with "*". None of them
/// is empty or covered by another, and they are sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountPatterns(Vec<AccountPattern>);

/// An account, or all that begin alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountPattern {
    /// The name, or its beginning.
    pub text: Box<str>,
    /// Whether it is a beginning.
    pub is_prefix: bool,
}

impl AccountPattern {
    /// Reads a pattern; None where no account can be meant.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, is_prefix) = match text.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (text, false),
        };
        // Whatever begins a name is one, and a "*" alone means all.
        let is_all = is_prefix && name.is_empty();
        (is_all || AccountName::new(name).is_ok()).then(|| Self {
            text: name.into(),
            is_prefix,
        })
    }

    /// Whether it means this name.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self.is_prefix {
            true => name.starts_with(&*self.text),
            false => *name == *self.text,
        }
    }

    /// What is left of it where names have to begin so.
    fn within(&self, prefix: &str) -> Option<Self> {
        if self.text.starts_with(prefix) {
            return Some(self.clone());
        }
        (self.is_prefix && prefix.starts_with(&*self.text)).then(|| Self {
            text: prefix.into(),
            is_prefix: true,
        })
    }
}

impl fmt::Display for AccountPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)?;
        formatter.write_str(if self.is_prefix { "*" } else { "" })
    }
}

impl AccountPatterns {
    /// These without those that others cover. None: all accounts.
    #[must_use]
    pub fn new(mut patterns: Vec<AccountPattern>) -> Self {
        // A prefix stands before the name that is spelled alike.
        patterns.sort_unstable_by(|a, b| a.text.cmp(&b.text).then(b.is_prefix.cmp(&a.is_prefix)));
        let mut kept: Vec<AccountPattern> = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            // Whatever a prefix covers stands behind it.
            if !kept.last().is_some_and(|last| last.matches(&pattern.text)) {
                kept.push(pattern);
            }
        }
        match kept.first() {
            Some(first) if first.is_prefix && first.text.is_empty() => Self::default(),
            _ => Self(kept),
        }
    }

    /// Whether the account may be named.
    #[must_use]
    pub fn allow(&self, account: &str) -> bool {
        if self.0.is_empty() {
            return true;
        }
        // Only the last one that is not behind the name can cover it.
        let next = self.0.partition_point(|pattern| &*pattern.text <= account);
        let last = next.checked_sub(1).and_then(|last| self.0.get(last));
        last.is_some_and(|last| last.matches(account))
    }

    /// Whether they mean all accounts.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// What is left of them where names have to begin so, in ascending order.
    pub fn within<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = AccountPattern> + 'a {
        self.0.iter().filter_map(|pattern| pattern.within(prefix))
    }

    /// The patterns.
    pub fn iter(&self) -> impl Iterator<Item = &AccountPattern> {
        self.0.iter()
    }
}

/// What a key is for, which never changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyTerms {
    /// For people.
    pub title: Box<str>,
    /// What it may do.
    pub scopes: Scopes,
    /// With which accounts.
    pub accounts: AccountPatterns,
    /// From when on it is refused; None: never.
    pub expire_time: Option<Timestamp>,
    /// How many calls it may make a second; 0: no limit.
    pub calls_per_second_max: u32,
}

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// What it is for.
    pub terms: KeyTerms,
    /// When it was created.
    pub create_time: Timestamp,
    /// When it was last used, to the minute.
    pub last_use_time: Option<Timestamp>,
    /// When it was revoked.
    pub revoke_time: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &str) -> AccountPatterns {
        let parsed = texts.split_whitespace().map(AccountPattern::parse);
        AccountPatterns::new(parsed.collect::<Option<_>>().unwrap())
    }

    #[test]
    fn patterns_allow_exact_names_and_prefixes() {
        for (texts, allowed, others) in [
            ("", "a team-a *", ""),
            ("*", "a team-a", ""),
            ("team-a", "team-a", "team-b team- team-a1 TEAM-A"),
            ("team-*", "team-a team- team-**", "tea team teal"),
            ("team-* team-a a", "a team-a team-b", "b aa team"),
            ("b* a* ab* c", "a ab abc b bz c", "c1 d"),
            ("a a", "a", "b"),
            ("a** b", "a* a*b b", "a b1"),
        ] {
            let patterns = patterns(texts);
            for name in allowed.split_whitespace() {
                assert!(patterns.allow(name), "{texts}: {name}");
            }
            for name in others.split_whitespace() {
                assert!(!patterns.allow(name), "{texts}: {name}");
            }
        }
    }

    #[test]
    fn what_others_cover_is_left_out() {
        for (texts, kept) in [
            ("b a", "a b"),
            ("a* a ab ab* b", "a* b"),
            ("a b *", ""),
            ("a a*", "a*"),
        ] {
            let kept_texts: Vec<_> = patterns(texts).iter().map(ToString::to_string).collect();
            assert_eq!(kept_texts.join(" "), kept, "{texts}");
        }
    }

    #[test]
    fn a_list_by_prefix_sees_what_is_left() {
        for (texts, prefix, left) in [
            ("a* b", "", "a* b"),
            ("a* b", "a", "a*"),
            ("a* b", "ab", "ab*"),
            ("a* b", "b", "b"),
            ("a* b", "bc", ""),
            ("ab ac*", "a", "ab ac*"),
        ] {
            let patterns = patterns(texts);
            let within: Vec<_> = patterns.within(prefix).map(|p| p.to_string()).collect();
            assert_eq!(within.join(" "), left, "{texts} within {prefix}");
        }
    }

    #[test]
    fn admin_includes_all_scopes_and_none_other_includes_another() {
        for given in Scope::ALL {
            let scopes = Scopes::from_iter([given]);
            for asked in Scope::ALL {
                let expected = given == asked || given == Scope::Admin;
                assert_eq!(scopes.allow(asked), expected, "{given:?} {asked:?}");
            }
            assert_eq!(scopes.iter().collect::<Vec<_>>(), [given]);
            assert_eq!(Scope::named(given.name()), Some(given));
        }
        assert!(Scopes::default().is_empty());
    }
}
