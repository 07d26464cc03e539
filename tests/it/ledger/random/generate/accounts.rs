//! Lists of accounts, and updates of their settings.

use std::collections::BTreeMap;

use creditd::rpc::pb::creditd::v1 as pb;

use super::Generator;

/// What can be set, and what cannot.
const PATHS: [&str; 3] = ["rate_card", "attributes", "labels"];
const BAD_PATHS: [&str; 5] = ["*", "balance", "labels.job", "account", ""];

impl Generator<'_> {
    pub fn list_accounts(&mut self, account: &str) -> pb::ListAccountsRequest {
        let length = *self.rng.pick(&[0, 0, 1, 3, account.len()]);
        pb::ListAccountsRequest {
            prefix: account[..length].to_owned(),
            page_size: *self.rng.pick(&[0, 1, 1, 2, 3, 5_000]),
            page_token: String::new(),
        }
    }

    /// Attributes of an account, rarely such that no card has.
    fn attributes(&mut self) -> BTreeMap<String, String> {
        let mut attributes = BTreeMap::new();
        for (name, values) in [
            ("plan", &["0", "1", "1", "2"]),
            ("region", &["home", "far away", "far away", "moon"]),
        ] {
            if self.rng.chance(600) {
                let value = match self.rng.chance(20) {
                    true => "nowhere",
                    false => self.rng.pick(values),
                };
                attributes.insert(name.to_owned(), value.to_owned());
            }
        }
        if self.rng.chance(25) {
            let jobs = 0..*self.rng.pick(&[1, 1, 17]);
            attributes.extend(jobs.map(|job| (format!("job{job}"), "1".to_owned())));
        }
        attributes
    }

    pub fn update(&mut self, account: String) -> pb::UpdateAccountRequest {
        let mut paths: Vec<String> = Vec::new();
        for path in PATHS {
            if self.rng.chance(500) {
                paths.push(path.to_owned());
            }
        }
        if paths.is_empty() && self.rng.chance(900) {
            paths.push((*self.rng.pick(&PATHS)).to_owned());
        }
        if self.rng.chance(30) {
            paths.push((*self.rng.pick(&BAD_PATHS)).to_owned());
        }
        let attributes = self.attributes();
        let cards = ["", "", "studio", "partner", "maker", "maker"];
        let rate_card = match self.rng.chance(60) {
            true => "unheard-of",
            false => self.rng.pick(&cards),
        };
        let name = match self.rng.chance(15) {
            true => "no name".to_owned(),
            false => account.clone(),
        };
        pb::UpdateAccountRequest {
            request_id: self.request_id(),
            allow_missing: account != "nobody" && self.rng.chance(500),
            account: Some(pb::Account {
                account: name,
                rate_card: rate_card.to_owned(),
                attributes,
                labels: self.labels(),
                ..pb::Account::default()
            }),
            update_mask: Some(prost_types::FieldMask { paths }),
        }
    }
}
