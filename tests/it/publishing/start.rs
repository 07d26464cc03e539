//! Files and published cards of one name, the default card, and files of before cards were
//! published.

use std::path::Path;

use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::pb::creditd::v1::admin_service_client::AdminServiceClient;
use rustix::process::Signal;

use super::text;
use crate::support::estimate;
use crate::support::server::{Program, Running, Server, program};

async fn publish(server: &Running, toml: &str) -> pb::RateCard {
    let mut admin = AdminServiceClient::new(server.channel().await);
    let request = pb::PublishRateCardRequest {
        toml: toml.to_owned(),
        validate_only: false,
    };
    let reply = admin.publish_rate_card(request).await.unwrap();
    reply.into_inner().rate_card.unwrap()
}

async fn list(server: &Running) -> Vec<pb::RateCard> {
    let mut admin = AdminServiceClient::new(server.channel().await);
    let request = pb::ListRateCardsRequest {
        with_toml: true,
        ..Default::default()
    };
    let reply = admin.list_rate_cards(request).await.unwrap();
    reply.into_inner().rate_cards
}

async fn default_price(server: &Running) -> String {
    let reply = server
        .pricing()
        .await
        .estimate(estimate("work", "x1"))
        .await;
    reply.unwrap().into_inner().estimate.unwrap().credits
}

/// What a server that does not start complains of.
fn complaint(directory: &Path, args: &[&str]) -> String {
    let mut command = program();
    command
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(args);
    let output = command.current_dir(directory).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_name_of_a_file_that_was_published_is_refused_at_the_start_and_at_sighup() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("own.toml");
    let write = |name: &str, credits: &str| {
        std::fs::write(&file, text(name, credits, None)).unwrap();
    };
    write("own", "1");
    let args = ["--rate-card-file", file.to_str().unwrap()];
    let server = Program::start_with(&args);
    publish(&server, &text("plan", "2", None)).await;
    let before = list(&server).await;
    write("plan", "3");
    server.signal(Signal::HUP);
    server.wait_for_log("not reloaded");
    let expected = "the name \\\"plan\\\" is taken by a rate card of origin \\\"published\\\"; take the file away and publish it, or give its card another name";
    assert!(server.log().contains(expected), "{}", server.log());
    assert_eq!(list(&server).await, before);
    assert_eq!(default_price(&server).await, "1");
    // A file of another name is served, beside what was published.
    write("other", "4");
    server.signal(Signal::HUP);
    server.wait_for_log("configuration reloaded");
    assert_eq!(default_price(&server).await, "4");
    let names = list(&server).await.into_iter();
    let names: Vec<_> = names
        .into_iter()
        .map(|c| (c.rate_card.clone(), c.state()))
        .collect();
    let expected = [
        ("other", pb::RateCardState::InForce),
        ("own", pb::RateCardState::Replaced),
        ("plan", pb::RateCardState::InForce),
    ];
    assert_eq!(
        names,
        expected.map(|(name, state)| (name.to_owned(), state))
    );

    write("plan", "3");
    let data = server.stop();
    let said = complaint(data.path(), &["--rate-card-file", file.to_str().unwrap()]);
    assert_eq!(said, format!("creditd: {}", expected_at_start()));
}

fn expected_at_start() -> &'static str {
    "the name \"plan\" is taken by a rate card of origin \"published\"; take the file away and publish it, or give its card another name"
}

/// A file that extends a published card which was made of it: neither could be made anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_and_a_published_card_that_extend_each_other_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("list.toml");
    let list = text("list", "8", None);
    std::fs::write(&file, &list).unwrap();
    let args = ["--rate-card-file", file.to_str().unwrap()];
    let server = Program::start_with(&args);
    let half = "factors = [{ times = \"0.5\" }]";
    let extending = |name: &str, base: &str| {
        format!(
            "format = 2\nname = \"{name}\"\ntitle = \"{name}\"\nextends = \"{base}\"\nrounding = \"up\"\n{half}\n"
        )
    };
    publish(&server, &extending("contract", "list")).await;
    std::fs::write(&file, extending("list", "contract")).unwrap();
    server.signal(Signal::HUP);
    server.wait_for_log("not reloaded");
    assert_eq!(default_price(&server).await, "8");
    let data = server.stop();
    let said = complaint(data.path(), &args);
    assert_eq!(
        said,
        "creditd: rate card \"list\": cards extend each other in a ring: \"list\" extends \"contract\", \"contract\" extends \"list\"; break the ring"
    );
    // The list as it was is served again.
    std::fs::write(&file, &list).unwrap();
    let server = Server::start_in(data, &args);
    assert_eq!(default_price(&server).await, "8");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_default_card_is_a_setting() {
    let directory = tempfile::tempdir().unwrap();
    let files: Vec<_> = [("one", "1"), ("two", "2")]
        .map(|(name, credits)| {
            let file = directory.path().join(format!("{name}.toml"));
            std::fs::write(&file, text(name, credits, None)).unwrap();
            file.to_str().unwrap().to_owned()
        })
        .to_vec();
    let both = ["--rate-card-file", &files[0], "--rate-card-file", &files[1]];
    let with_default = |name| [&both[..], &["--default-rate-card", name]].concat();
    let server = Program::start_with(&with_default("two"));
    assert_eq!(default_price(&server).await, "2");
    publish(&server, &text("plan", "3", None)).await;
    assert_eq!(default_price(&server).await, "2");
    server.signal(Signal::HUP);
    server.wait_for_log("configuration reloaded");
    assert_eq!(default_price(&server).await, "2");
    // One that the new files do not have: the old cards serve on.
    std::fs::write(&files[1], text("three", "4", None)).unwrap();
    server.signal(Signal::HUP);
    server.wait_for_log("not reloaded");
    assert_eq!(default_price(&server).await, "2");
    std::fs::write(&files[1], text("two", "2", None)).unwrap();

    let server = server.restart(&with_default("plan"));
    assert_eq!(default_price(&server).await, "3");
    let data = server.stop();
    let expected = "creditd: --default-rate-card \"four\" names no rate card; give the file of such a card by --rate-card-file, publish one first, or name another";
    assert_eq!(complaint(data.path(), &with_default("four")), expected);
    assert!(complaint(data.path(), &with_default("")).contains("--default-rate-card is empty"));
}

/// A file of the version before has its cards, their titles and times; their texts come with
/// the next start.
#[tokio::test]
async fn a_file_of_before_is_migrated() {
    let directory = tempfile::tempdir().unwrap();
    let [old, new] = [("1", None), ("2", Some("2027-01-01T00:00:00Z"))];
    let files: Vec<_> = [old, new]
        .map(|(credits, time)| {
            let file = directory.path().join(format!("{credits}.toml"));
            std::fs::write(&file, text("plan", credits, time)).unwrap();
            file.to_str().unwrap().to_owned()
        })
        .to_vec();
    let both = ["--rate-card-file", &files[0], "--rate-card-file", &files[1]];
    let data = Server::start_with(&both).stop();
    // As the version before had it, with the same cards.
    let path = data.path().join("creditd.db");
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch(
        "DROP TABLE rate_card_sources; DROP TABLE publications;
         DROP TABLE keys; DROP TABLE admin_events; DROP VIEW ledger;
         DROP TABLE archives; DROP TABLE openings;
         ALTER TABLE entries DROP COLUMN key_id; ALTER TABLE entries DROP COLUMN chain;
         ALTER TABLE entries DROP COLUMN salts; ALTER TABLE entries DROP COLUMN erased;
         CREATE VIEW ledger AS SELECT * FROM entries;
         PRAGMA user_version = 4;",
    )
    .unwrap();
    drop(file);
    // Only one of them is served now.
    let server = Server::start_in(data, &both[..2]);
    let cards = list(&server).await;
    let told: Vec<_> = cards
        .iter()
        .map(|card| (card.title.as_str(), card.state(), card.toml.as_str()))
        .collect();
    let text = text("plan", "1", None);
    let expected = [
        ("Plan", pb::RateCardState::InForce, text.as_str()),
        ("Plan", pb::RateCardState::Replaced, ""),
    ];
    assert_eq!(told, expected);
    assert_eq!(cards[0].effective_time, None);
    assert_eq!(cards[1].effective_time.unwrap().seconds, 1_798_761_600);
    assert_eq!(default_price(&server).await, "1");
    // Both still price.
    let request = pb::EstimateRequest {
        prices: Some(pb::PriceSelector {
            revision: cards[1].revision.clone(),
            ..Default::default()
        }),
        ..estimate("work", "x1")
    };
    let reply = server.pricing().await.estimate(request).await.unwrap();
    assert_eq!(reply.into_inner().estimate.unwrap().credits, "2");
}

/// A file and a publication may extend what was published, as it is when they are loaded.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_contract_extends_what_was_published() {
    let contract = |name: &str| {
        format!(
            "format = 2\nname = \"{name}\"\ntitle = \"Contract\"\nextends = \"list\"\n\
             factors = [{{ times = \"0.5\" }}]\n"
        )
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("acme.toml");
    std::fs::write(&file, contract("acme")).unwrap();
    let with_file = ["--rate-card-file", file.to_str().unwrap()];
    // Nothing was published: nothing is made.
    let said = complaint(directory.path(), &with_file);
    let expected = "acme.toml:4: it extends \"list\", and no card of that name is loaded; load that card too, such as by its file";
    assert!(said.ends_with(expected), "{said}");
    assert!(!directory.path().join("creditd.db").exists());

    let server = Program::start_with(&[]);
    publish(&server, &text("list", "8", None)).await;
    let server = server.restart(&with_file);
    assert_eq!(default_price(&server).await, "4");
    // Another list changes nothing until the contract is loaded again.
    publish(&server, &text("list", "6", None)).await;
    assert_eq!(default_price(&server).await, "4");
    server.signal(Signal::HUP);
    server.wait_for_log("configuration reloaded");
    assert_eq!(default_price(&server).await, "3");
    let published = publish(&server, &contract("other")).await;
    publish(&server, &text("list", "2", None)).await;
    assert_eq!(default_price(&server).await, "3");
    let again = publish(&server, &contract("other")).await;
    assert_ne!(again.revision, published.revision, "of the resolved card");
    let cards = list(&server).await;
    let other = cards.iter().find(|card| card.revision == again.revision);
    assert_eq!(other.unwrap().toml, contract("other"));
}
