//! Adding credits.

use super::fingerprint::{FingerprintWriter, Method};
use super::{App, AppError};
use crate::domain::fault::TimeRule;
use crate::domain::ledger::{Action, Command, Fingerprint, GrantAction, RequestKey};
use crate::domain::{AccountName, Credits, Faults, Labels, Refusal, RequestId, Timestamp};
use crate::store::Written;

/// A request to add credits. A field that was bad is None or empty, and stands
/// among the faults that come with the form.
#[derive(Clone, Debug)]
pub struct GrantForm {
    /// The caller's name of it.
    pub request_id: Option<RequestId>,
    /// Whose credits.
    pub account: Option<AccountName>,
    /// How much; more than 0.
    pub credits: Option<Credits>,
    /// When what is left is gone; None: never.
    pub expire_time: Option<Timestamp>,
    /// Lower burns first.
    pub priority: i32,
    /// Where the credits come from.
    pub source: Box<str>,
    /// Services that they may pay for, in order, each once; empty: all.
    pub services: Vec<Box<str>>,
    /// Kept with the entry.
    pub labels: Labels,
}

impl App {
    /// Adds credits, and answers once that is durable. `faults` is what is wrong
    /// with the request's form.
    ///
    /// # Errors
    /// What is refused by the rules, or that the store cannot write.
    pub async fn grant(&self, form: GrantForm, mut faults: Faults) -> Result<Written, AppError> {
        let mut by_prices = Faults::new();
        if let Some(fault) = form
            .services
            .iter()
            .find_map(|key| self.catalog.unknown_service(key))
        {
            by_prices.add("services", fault);
        }
        let (true, Some(request_id), Some(account), Some(credits)) = (
            faults.is_empty(),
            form.request_id,
            form.account,
            form.credits,
        ) else {
            // No earlier answer can belong to it: everything that is wrong is
            // told at once.
            let now = self.now();
            let in_past = |time| TimeRule::Future.fault(time, now);
            if let Some(fault) = form.expire_time.and_then(in_past) {
                faults.add("expire_time", fault);
            }
            faults.merge(by_prices);
            return Err(Refusal::Invalid(faults).into());
        };
        let action = GrantAction {
            credits,
            expire_time: form.expire_time,
            priority: form.priority,
            source: form.source,
            services: form.services,
            labels: form.labels,
        };
        let command = Command {
            account,
            request: RequestKey {
                id: request_id,
                fingerprint: fingerprint(&action),
            },
            // Cards can change while a request_id is kept: this counts only if
            // it is new. So does the time, which the ledger looks at.
            faults: by_prices,
            action: Action::Grant(action),
        };
        self.store.write(command).await
    }
}

/// What a grant means. The numbers are those of the fields in the proto.
fn fingerprint(action: &GrantAction) -> Fingerprint {
    let mut writer = FingerprintWriter::new(Method::Grant);
    writer.amount(3, action.credits);
    writer.time(4, action.expire_time);
    writer.integer(5, i64::from(action.priority));
    writer.text(6, &action.source);
    for service in &action.services {
        writer.text(7, service);
    }
    for (key, value) in action.labels.iter() {
        writer.pair(8, key, value);
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action() -> GrantAction {
        GrantAction {
            credits: Credits::ONE,
            expire_time: None,
            priority: 0,
            source: "".into(),
            services: Vec::new(),
            labels: Labels::default(),
        }
    }

    /// A kept request_id must mean the same after an upgrade: these never change.
    #[test]
    fn fingerprints_stay_what_they_are() {
        let hex = |action: &GrantAction| {
            fingerprint(action)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        assert_eq!(hex(&action()), "623d70c661db7beb30edfcd33b9c9481");
        let full = GrantAction {
            credits: Credits::parse("12.5").unwrap(),
            expire_time: crate::rfc3339::parse("2030-01-01T00:00:00.5Z"),
            priority: -3,
            source: "purchase".into(),
            services: vec!["ai_scripts".into(), "motion_1_0".into()],
            labels: Labels::new(
                [("k".to_owned(), "v".to_owned())]
                    .iter()
                    .map(|(k, v)| (k, v)),
            )
            .unwrap(),
        };
        assert_eq!(hex(&full), "819eac2f8a5361c3ee7545e3b4c24db8");
    }

    #[test]
    fn every_field_counts() {
        let base = fingerprint(&action());
        let changes: [fn(&mut GrantAction); 5] = [
            |a| a.credits = Credits::MAX,
            |a| a.expire_time = crate::rfc3339::parse("2030-01-01T00:00:00Z"),
            |a| a.priority = 1,
            |a| a.source = "x".into(),
            |a| a.services = vec!["x".into()],
        ];
        for change in changes {
            let mut other = action();
            change(&mut other);
            assert_ne!(fingerprint(&other), base);
        }
    }
}
