//! The terms by which a usage is priced: a card, and what it takes from the account and the
//! clock. An estimate's revision names them, so that a charge can be priced by the same.

use std::borrow::Cow;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::card::Card;
use super::catalog::{Catalog, Selector};
use super::context::{NO_PAIRS, PriceContext};
use super::lines::Source;
use super::pairs::Pairs;
use super::quote::{Line, Quote};
use super::usage::Usage;
use crate::domain::names::repeated;
use crate::domain::refusal::{CardNamedBy, Refusal};
use crate::domain::time::Timestamp;
use crate::domain::violation::{FieldViolations, Violation};

/// What stands as it is in a revision; all else is percent-encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'.')
    .remove(b'_')
    .remove(b'-')
    .remove(b'~');

/// The rate card by which a usage was priced, as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pricing {
    /// The name of the card.
    pub rate_card: Arc<str>,
    /// The revision of the card.
    pub revision: Arc<str>,
    /// Attributes that came from the account or the clock, as they were then.
    pub values: Pairs,
    /// The time for which it was priced, where that decided an attribute or the caller named it.
    pub time: Option<Timestamp>,
}

/// The terms by which a usage is priced.
#[derive(Clone, Debug)]
pub struct PriceTerms<'a> {
    card: &'a Card,
    account: &'a Pairs,
    /// Values of an estimate whose revision the request names.
    quoted: Pairs,
    time: Timestamp,
    /// Whether the request names the time.
    names_time: bool,
}

/// What an account says of its prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountTerms<'a> {
    /// The card by which it is priced where a request names none; "" for the default.
    pub rate_card: &'a str,
    /// What cards may ask of it.
    pub attributes: &'a Pairs,
}

impl AccountTerms<'static> {
    /// Those of no account, or of one that says nothing.
    pub const NONE: Self = Self {
        rate_card: "",
        attributes: &NO_PAIRS,
    };
}

impl Catalog {
    /// The terms that a request means for an account.
    ///
    /// # Errors
    /// As [`Catalog::select`].
    pub fn terms<'a>(
        &'a self,
        selector: &Selector<'_>,
        account: AccountTerms<'a>,
        now: Timestamp,
    ) -> Result<PriceTerms<'a>, Refusal> {
        let mut by = *selector;
        if !by.names_card() {
            by.rate_card = account.rate_card;
        }
        let card = self.select(&by, now).map_err(|refusal| match refusal {
            Refusal::RateCardNotFound { rate_card, at, .. }
                if !selector.names_card() && !account.rate_card.is_empty() =>
            {
                let named_by = CardNamedBy::Account;
                Refusal::RateCardNotFound {
                    rate_card,
                    at,
                    named_by,
                }
            }
            other => other,
        })?;
        let quoted = match selector.quoted() {
            None => Pairs::new(),
            Some(text) => read_values(text)
                .filter(|values| {
                    values
                        .iter()
                        .all(|(name, value)| card.has_value(name, value))
                })
                .ok_or_else(|| Refusal::RevisionNotFound {
                    revision: repeated(selector.revision),
                })?,
        };
        Ok(PriceTerms {
            card,
            account: account.attributes,
            quoted,
            time: selector.price_time.unwrap_or(now),
            names_time: selector.price_time.is_some(),
        })
    }
}

impl<'a> PriceTerms<'a> {
    /// The card.
    #[must_use]
    pub const fn card(&self) -> &'a Card {
        self.card
    }

    /// The terms of an earlier price: the card, the values that it took from the account and
    /// the clock, and the account for those that it did not take.
    #[must_use]
    pub const fn again(card: &'a Card, values: Pairs, account: &'a Pairs, time: Timestamp) -> Self {
        Self {
            card,
            account,
            quoted: values,
            time,
            names_time: false,
        }
    }

    fn context(&self) -> PriceContext<'_> {
        PriceContext::at(self.time)
            .of_account(self.account)
            .with_quoted(&self.quoted)
    }

    /// What the usage costs.
    ///
    /// # Errors
    /// Everything that is wrong with the usage, by paths relative to it.
    pub fn price(&self, usage: &Usage<'_>) -> Result<Quote<'a>, FieldViolations> {
        self.card.price(usage, &self.context())
    }

    /// The same; `unknown` says what is wrong with a service that is not on the card.
    ///
    /// # Errors
    /// Everything that is wrong with the usage, by paths relative to it.
    pub fn price_or(
        &self,
        usage: &Usage<'_>,
        unknown: impl FnOnce(&str) -> Violation,
    ) -> Result<Quote<'a>, FieldViolations> {
        self.card.price_or(usage, &self.context(), unknown)
    }

    /// How the cost of this usage, which was priced by these terms, adds up.
    #[must_use]
    pub fn lines(&self, quote: &Quote<'_>, usage: &Usage<'_>) -> Vec<Line> {
        quote.lines(usage, &self.context())
    }

    /// The values that a quote took from the account and the clock. Empty for most services.
    #[must_use]
    pub fn values(&self, quote: &Quote<'_>) -> Pairs {
        self.card.values(quote.service(), &self.context())
    }

    /// Whether callers send all by which the service of a quote is priced. Its revision is then
    /// that of the card.
    #[inline]
    #[must_use]
    pub fn all_are_sent(&self, quote: &Quote<'_>) -> bool {
        self.card.all_are_sent(quote.service())
    }

    /// The revision that names these terms for the service of a quote: that of the card and,
    /// where the account or the clock had a part, their values.
    #[must_use]
    pub fn revision(&self, quote: &Quote<'_>) -> Cow<'a, str> {
        let revision = self.card.revision().as_str();
        if self.all_are_sent(quote) {
            return revision.into();
        }
        let values = self.values(quote);
        match values.is_empty() {
            true => revision.into(),
            false => format!("{revision}.{}", write_values(&values)).into(),
        }
    }

    /// The time for which a quote was priced, where the request named it or it decided an
    /// attribute.
    #[must_use]
    pub fn price_time(&self, quote: &Quote<'_>) -> Option<Timestamp> {
        if self.names_time || self.all_are_sent(quote) {
            return self.names_time.then_some(self.time);
        }
        let mut attributes = self.card.attributes_not_sent(quote.service());
        let decided = attributes.any(|(name, attribute)| {
            matches!(attribute.source, Source::Clock(_)) && !self.quoted.contains_key(name)
        });
        decided.then_some(self.time)
    }

    /// By what a quote was priced, for the ledger.
    #[must_use]
    pub fn pricing(&self, quote: &Quote<'_>) -> Arc<Pricing> {
        let of_card = self.card.pricing();
        if self.all_are_sent(quote) && !self.names_time {
            return Arc::clone(of_card);
        }
        Arc::new(Pricing {
            values: self.values(quote),
            time: self.price_time(quote),
            ..Pricing::clone(of_card)
        })
    }

    /// Whether attributes of the account had a part in the price of a service.
    #[must_use]
    pub fn asks_account(&self, service: &str) -> bool {
        let Some(service) = self.card.service(service) else {
            return false;
        };
        let mut attributes = self.card.attributes_not_sent(service);
        attributes.any(|(name, attribute)| {
            attribute.source == Source::Account && !self.quoted.contains_key(name)
        })
    }
}

/// "hours=peak,plan=growth".
fn write_values(values: &Pairs) -> String {
    let encode = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
    let values = values
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    let values: Vec<String> = values.collect();
    values.join(",")
}

/// Reads what [`write_values`] writes, and nothing else.
fn read_values(text: &str) -> Option<Pairs> {
    let decode = |text: &str| {
        let text = percent_decode_str(text).decode_utf8().ok()?;
        Some(text.into_owned())
    };
    let mut values = Pairs::new();
    for pair in text.split(',') {
        let (name, value) = pair.split_once('=')?;
        values.insert(decode(name)?, decode(value)?);
    }
    (write_values(&values) == text).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_one_spelling() {
        let values: Pairs = [("hours", "off peak, late"), ("plan", "größe.1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let text = "hours=off%20peak%2C%20late,plan=gr%C3%B6%C3%9Fe.1";
        assert_eq!(write_values(&values), text);
        assert_eq!(read_values(text), Some(values));
        for other in [
            "",
            "plan",
            "plan=a,hours=b",
            "plan=a,plan=a",
            "plan=a,",
            "plan=%61",
            "plan=%ff",
            "plan=a b",
            "plan=a=b",
            "plan=%c3%B6",
        ] {
            assert_eq!(read_values(other), None, "{other}");
        }
    }
}
