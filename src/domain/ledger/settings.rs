//! The settings of an account: by which card it is priced, and what callers keep with it.

use crate::domain::amount::Credits;
use crate::domain::names::Labels;
use crate::domain::pricing::{AccountTerms, Pairs};
use crate::domain::time::Timestamp;

/// The settings of an account. An account to which nothing was set has none of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountSettings {
    /// The name of the rate card by which it is priced; None: the default.
    pub rate_card: Option<Box<str>>,
    /// What rate cards declare as known of the account.
    pub attributes: Pairs,
    /// The caller's labels.
    pub labels: Labels,
}

impl AccountSettings {
    /// Whether nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rate_card.is_none() && self.attributes.is_empty() && self.labels.is_empty()
    }

    /// What they say of prices.
    #[must_use]
    pub fn terms(&self) -> AccountTerms<'_> {
        AccountTerms {
            rate_card: self.rate_card.as_deref().unwrap_or_default(),
            attributes: &self.attributes,
        }
    }

    /// The same of an account that may have none.
    #[must_use]
    pub fn terms_of(settings: Option<&Self>) -> AccountTerms<'_> {
        settings.map_or(AccountTerms::NONE, Self::terms)
    }

    /// The length of its texts.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let attributes = self.attributes.iter();
        let attributes = attributes.map(|(key, value)| key.len().saturating_add(value.len()));
        let labels = self.labels.iter();
        let labels = labels.map(|(key, value)| key.len().saturating_add(value.len()));
        let rate_card = self.rate_card.as_ref().map_or(0, |name| name.len());
        attributes
            .chain(labels)
            .fold(rate_card, usize::saturating_add)
    }
}

/// The account after an update, as the caller is told it. The rest of the answer stands in the
/// entry: available credits, version and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountUpdate {
    /// All of its settings.
    pub settings: AccountSettings,
    /// When the account was opened.
    pub create_time: Timestamp,
    /// What its open holds set aside.
    pub held: Credits,
}
