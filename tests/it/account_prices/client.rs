//! What these tests share: a server with cards that ask accounts, and its callers.

use std::collections::BTreeMap;

use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::pb::creditd::v1::ledger_service_client::LedgerServiceClient;
use creditd::rpc::pb::creditd::v1::pricing_service_client::PricingServiceClient;
use tonic::transport::Channel;

use crate::support::refusal::Refusal;
use crate::support::requests::charge_usage;
use crate::support::server::Server;
use crate::support::{grant, root, usage};

/// A Friday, in the hours that the card calls peak, off peak and night.
pub(super) const PEAK: &str = "2026-11-27T12:00:00Z";
pub(super) const OFF_PEAK: &str = "2026-11-27T23:00:00Z";

pub(super) fn cards() -> Vec<String> {
    let file = |name: &str| {
        root(&format!("tests/data/cards/{name}.toml"))
            .display()
            .to_string()
    };
    vec![
        "--rate-card-file".to_owned(),
        file("plans"),
        "--rate-card-file".to_owned(),
        file("acme"),
    ]
}

pub(super) fn start() -> Server {
    let cards = cards();
    Server::start_with(&cards.iter().map(String::as_str).collect::<Vec<_>>())
}

pub(super) fn pairs(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

pub(super) fn time(text: &str) -> Option<prost_types::Timestamp> {
    let time = creditd::rfc3339::parse(text)?;
    Some(creditd::rpc::convert::timestamp_to_pb(time))
}

/// A million tokens of the small model.
pub(super) fn chat() -> pb::Usage {
    pb::Usage {
        meters: pairs("tokens=1000000"),
        ..usage("chat", "-")
    }
}

pub(super) struct Client {
    pub(super) pricing: PricingServiceClient<Channel>,
    pub(super) ledger: LedgerServiceClient<Channel>,
    pub(super) updates: usize,
}

impl Client {
    pub(super) async fn of(server: &Server) -> Self {
        Self {
            pricing: server.pricing().await,
            ledger: server.ledger().await,
            updates: 0,
        }
    }

    /// Grants an account 1,000 credits.
    pub(super) async fn grant(&mut self, account: &str) {
        let granted = self
            .ledger
            .grant(grant(&format!("g-{account}"), account, "1000"));
        granted.await.unwrap();
    }

    /// Sets card and attributes of an account, and opens it where it is not.
    pub(super) async fn update(&mut self, account: &str, rate_card: &str, attributes: &str) {
        self.updates += 1;
        let request = pb::UpdateAccountRequest {
            request_id: format!("u{}", self.updates),
            account: Some(pb::Account {
                account: account.to_owned(),
                rate_card: rate_card.to_owned(),
                attributes: pairs(attributes),
                ..pb::Account::default()
            }),
            update_mask: Some(prost_types::FieldMask {
                paths: vec!["rate_card".to_owned(), "attributes".to_owned()],
            }),
            allow_missing: true,
        };
        self.ledger.update_account(request).await.unwrap();
    }

    pub(super) async fn estimate(
        &mut self,
        usage: pb::Usage,
        prices: pb::PriceSelector,
    ) -> Result<pb::Estimate, Refusal> {
        let request = pb::EstimateRequest {
            usage: Some(usage),
            prices: Some(prices),
            explain: true,
            check_balance: false,
        };
        match self.pricing.estimate(request).await {
            Ok(reply) => Ok(reply.into_inner().estimate.unwrap()),
            Err(status) => Err(Refusal::of(&status)),
        }
    }

    pub(super) async fn charge(
        &mut self,
        request_id: &str,
        account: &str,
        usage: pb::Usage,
        prices: pb::PriceSelector,
    ) -> Result<pb::Entry, Refusal> {
        let request = pb::ChargeRequest {
            prices: Some(prices),
            ..charge_usage(request_id, account, usage)
        };
        match self.ledger.charge(request).await {
            Ok(reply) => Ok(reply.into_inner().entry.unwrap()),
            Err(status) => Err(Refusal::of(&status)),
        }
    }
}

pub(super) fn of(account: &str) -> pb::PriceSelector {
    pb::PriceSelector {
        account: account.to_owned(),
        ..pb::PriceSelector::default()
    }
}

pub(super) fn at(account: &str, text: &str) -> pb::PriceSelector {
    pb::PriceSelector {
        price_time: time(text),
        ..of(account)
    }
}
