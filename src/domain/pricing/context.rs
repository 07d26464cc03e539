//! What a price depends on beside the usage: the account that is priced, and the time.

use super::lines::{AttributeSpec, Source};
use super::pairs::Pairs;
use crate::domain::time::Timestamp;

/// No attributes.
pub(super) static NO_PAIRS: Pairs = Pairs::new();

/// Where attributes come from that callers cannot send.
#[derive(Clone, Copy, Debug)]
pub struct PriceContext<'a> {
    /// Attributes of the account.
    pub account: &'a Pairs,
    /// Values of an earlier quote: they hold, whatever the account and the clock say.
    pub quoted: &'a Pairs,
    /// The time for which it is priced.
    pub time: Timestamp,
}

impl PriceContext<'static> {
    /// At a time, for no account.
    #[must_use]
    pub const fn at(time: Timestamp) -> Self {
        Self {
            account: &NO_PAIRS,
            quoted: &NO_PAIRS,
            time,
        }
    }
}

impl<'a> PriceContext<'a> {
    /// The same with the attributes of an account.
    #[must_use]
    pub const fn of_account(self, account: &'a Pairs) -> Self {
        Self { account, ..self }
    }

    /// The same with the values of a quote.
    #[must_use]
    pub const fn with_quoted(self, quoted: &'a Pairs) -> Self {
        Self { quoted, ..self }
    }

    /// The value of an attribute that callers cannot send. It may be none of those that the
    /// card lists: accounts are priced by other cards too.
    #[must_use]
    pub fn value(&self, name: &str, attribute: &'a AttributeSpec) -> Option<&'a str> {
        if let Some(quoted) = self.quoted.get(name) {
            return Some(quoted);
        }
        let default = attribute.default.as_deref();
        match &attribute.source {
            Source::Caller => default,
            Source::Account => self.account.get(name).map(String::as_str).or(default),
            Source::Clock(hours) => attribute.values.get(hours.value(self.time)).map(|v| &**v),
        }
    }
}
