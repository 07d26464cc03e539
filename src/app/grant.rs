//! Adding credits.

use super::fingerprint::{FingerprintWriter, Method};
use super::{App, AppError};
use crate::domain::ledger::{Action, Command, Fingerprint, GrantAction, RequestKey};
use crate::domain::{AccountName, Faults, RequestId};
use crate::store::Written;

/// A request to add credits, its form checked.
#[derive(Clone, Debug)]
pub struct GrantRequest {
    /// The caller's name of it.
    pub request_id: RequestId,
    /// Whose credits.
    pub account: AccountName,
    /// Under which terms.
    pub action: GrantAction,
}

impl App {
    /// Adds credits, and answers once that is durable.
    ///
    /// # Errors
    /// What is refused by the rules, or that the store cannot write.
    pub async fn grant(&self, request: GrantRequest) -> Result<Written, AppError> {
        // Cards can change while a request_id is kept: this counts only if it is new.
        let mut faults = Faults::new();
        let services = &request.action.services;
        let unknown = |service: &Box<str>| self.catalog.unknown_service(service);
        if let Some(fault) = services.iter().find_map(unknown) {
            faults.add("services", fault);
        }
        let fingerprint = fingerprint(&request.action);
        let command = Command {
            account: request.account,
            request: RequestKey {
                id: request.request_id,
                fingerprint,
            },
            faults,
            action: Action::Grant(request.action),
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
    use crate::domain::{Credits, Labels};

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
        assert_eq!(hex(&action()), "PENDING_A");
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
        assert_eq!(hex(&full), "PENDING_B");
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
