//! What usage costs, as a table that a product manager could read.

use std::collections::HashMap;

use creditd::app::card_file;
use creditd::domain::pricing::Card;
use creditd::rpc::convert::pricing::usage_from_pb;

use crate::support::refusal::Refusal;
use crate::support::server::Server;
use crate::support::table::{self, Row};
use crate::support::{NO_ACCOUNT, estimate, root, usage};

/// service, quantity, credits or refusal, shown, note
const COLUMNS: usize = 5;

#[test]
fn the_table_holds_in_the_pricing_core() {
    let card = card_file::built_in().unwrap().card;
    let failures: Vec<String> = table::read("prices.txt", COLUMNS)
        .iter()
        .filter_map(|row| compare(row, &price(&card, row)))
        .collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn cards_of_our_own_hold_their_tables() {
    for name in ["rounding", "blocks-of-pieces", "models"] {
        let card = card_file::load(&root(&format!("tests/data/cards/{name}.toml")));
        let card = card.unwrap().card;
        let rows = table::read(&format!("cards/{name}.txt"), COLUMNS);
        let failures: Vec<String> = rows
            .iter()
            .filter_map(|row| compare(row, &price(&card, row)))
            .collect();
        assert!(failures.is_empty(), "{name}\n{}", failures.join("\n"));
    }
}

#[test]
fn every_row_of_the_price_list_is_in_the_table() {
    let card = card_file::built_in().unwrap().card;
    let mut cases: HashMap<String, usize> = HashMap::new();
    for row in table::read("prices.txt", COLUMNS) {
        *cases.entry(row.cells[0].clone()).or_default() += 1;
    }
    assert_eq!(card.services().len(), 11);
    for service in card.services() {
        let count = cases.get(&*service.key).copied().unwrap_or_default();
        assert!(count >= 8, "{} has {count} cases", service.key);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_table_holds_over_the_wire() {
    let server = Server::start();
    let mut client = server.pricing().await;
    let mut failures = Vec::new();
    for row in table::read("prices.txt", COLUMNS) {
        let request = estimate(&row.cells[0], &row.cells[1]);
        let actual = match client.estimate(request).await {
            Ok(reply) => {
                let estimate = reply.into_inner().estimate.unwrap();
                (estimate.credits, estimate.display_credits)
            }
            Err(status) => {
                let refusal = Refusal::of(&status);
                let text = format!("! {} {}", refusal.reason, refusal.paths()[0]);
                (text, "-".to_owned())
            }
        };
        failures.extend(compare(&row, &actual));
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn price(card: &Card, row: &Row) -> (String, String) {
    let usage = usage(&row.cells[0], &row.cells[1]);
    match card.price(&usage_from_pb(&usage), &NO_ACCOUNT) {
        Ok(quote) => (quote.credits().to_string(), quote.shown().to_string()),
        Err(violations) => {
            let first = &violations.as_slice()[0];
            let prose = creditd::rpc::prose::field::prose(&first.field, &first.violation);
            let reason = creditd::rpc::refused::reason_name(prose.reason);
            (format!("! {reason} usage.{}", first.field), "-".to_owned())
        }
    }
}

fn compare(row: &Row, actual: &(String, String)) -> Option<String> {
    let expected = (row.cells[2].clone(), row.cells[3].clone());
    (*actual != expected).then(|| {
        format!(
            "line {}: {} {}: expected {} ({}), got {} ({})",
            row.line, row.cells[0], row.cells[1], expected.0, expected.1, actual.0, actual.1
        )
    })
}
