//! AdminService over the wire: what it answers, what it refuses, and what outlives a kill.

use creditd::app::card_file::{FILE_BYTES_MAX, PUBLISHED_BYTES_MAX};
use creditd::domain::schedule::{PUBLICATIONS_MAX, SCHEDULED_MAX};
use creditd::rpc::MESSAGE_BYTES_MAX;
use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::pb::creditd::v1::admin_service_client::AdminServiceClient;
use prost::Message as _;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::text;
use crate::support::estimate;
use crate::support::refusal::{Refusal, refused};
use crate::support::server::{Program, Running, Server};

const LATER: &str = "2099-01-01T00:00:00Z";

struct Admin(AdminServiceClient<Channel>);

impl Admin {
    async fn of(server: &Running) -> Self {
        let channel = server.channel().await;
        Self(AdminServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX))
    }

    async fn publish(&mut self, toml: &str) -> Result<pb::RateCard, Status> {
        let reply = self.request(toml, false).await?;
        Ok(reply.rate_card.unwrap())
    }

    async fn request(
        &mut self,
        toml: &str,
        validate_only: bool,
    ) -> Result<pb::PublishRateCardResponse, Status> {
        let toml = toml.to_owned();
        let request = pb::PublishRateCardRequest {
            toml,
            validate_only,
        };
        Ok(self.0.publish_rate_card(request).await?.into_inner())
    }

    async fn withdraw(&mut self, revision: &str) -> Result<pb::RateCard, Status> {
        let revision = revision.to_owned();
        let request = pb::WithdrawRateCardRequest { revision };
        let reply = self.0.withdraw_rate_card(request).await?.into_inner();
        Ok(reply.rate_card.unwrap())
    }

    async fn page(
        &mut self,
        request: &pb::ListRateCardsRequest,
    ) -> Result<pb::ListRateCardsResponse, Status> {
        let reply = self.0.list_rate_cards(request.clone()).await?;
        Ok(reply.into_inner())
    }

    /// All pages of a list.
    async fn list(&mut self, mut request: pb::ListRateCardsRequest) -> Vec<pb::RateCard> {
        let mut cards = Vec::new();
        loop {
            let page = self.page(&request).await.unwrap();
            assert!(page.encoded_len() <= MESSAGE_BYTES_MAX);
            cards.extend(page.rate_cards);
            if page.next_page_token.is_empty() {
                return cards;
            }
            request.page_token = page.next_page_token;
        }
    }
}

fn named(name: &str) -> pb::ListRateCardsRequest {
    pb::ListRateCardsRequest {
        rate_card: name.to_owned(),
        ..Default::default()
    }
}

/// The text with a comment at its end, so many bytes in all.
fn filled(text: &str, bytes: usize) -> String {
    format!("{text}{}", "#".repeat(bytes - text.len()))
}

async fn price(server: &Running, name: &str) -> String {
    let request = pb::EstimateRequest {
        prices: Some(pb::PriceSelector {
            rate_card: name.to_owned(),
            ..Default::default()
        }),
        ..estimate("work", "x1")
    };
    match server.pricing().await.estimate(request).await {
        Ok(reply) => reply.into_inner().estimate.unwrap().credits,
        Err(status) => Refusal::of(&status).reason,
    }
}

#[tokio::test]
async fn a_card_is_published_listed_and_withdrawn() {
    let server = Server::start();
    let mut admin = Admin::of(&server).await;
    let plan = text("plan", "1", None);
    let checked = admin.request(&plan, true).await.unwrap();
    assert_eq!(price(&server, "plan").await, "RATE_CARD_NOT_FOUND");
    let published = admin.publish(&plan).await.unwrap();
    let (mut of_check, mut of_publish) = (checked.rate_card.unwrap(), published.clone());
    // They were a moment apart.
    assert!(of_check.effective_time.take().is_some());
    of_publish.effective_time = None;
    assert_eq!(of_check, of_publish);
    assert_eq!(
        published,
        pb::RateCard {
            rate_card: "plan".to_owned(),
            revision: published.revision.clone(),
            title: "Plan".to_owned(),
            effective_time: published.effective_time,
            state: pb::RateCardState::InForce.into(),
            origin: "published".to_owned(),
            toml: plan.clone(),
        }
    );
    assert_eq!(price(&server, "plan").await, "1");
    assert_eq!(admin.publish(&plan).await.unwrap(), published);

    let later = admin.publish(&text("plan", "2", Some(LATER))).await;
    let later = later.unwrap();
    assert_eq!(later.state(), pb::RateCardState::Scheduled);
    let third = admin.publish(&text("plan", "3", None)).await.unwrap();
    let listed = admin.list(named("plan")).await;
    let short = |card: &pb::RateCard| (card.revision.clone(), card.state(), card.toml.clone());
    let expected = [
        (&published, pb::RateCardState::Replaced),
        (&third, pb::RateCardState::InForce),
        (&later, pb::RateCardState::Scheduled),
    ];
    let expected = expected.map(|(card, state)| (card.revision.clone(), state, String::new()));
    assert_eq!(listed.iter().map(short).collect::<Vec<_>>(), expected);

    let withdrawn = admin.withdraw(&later.revision).await.unwrap();
    assert_eq!(withdrawn.state(), pb::RateCardState::Withdrawn);
    assert_eq!(withdrawn.toml, text("plan", "2", Some(LATER)));
    assert_eq!(admin.withdraw(&later.revision).await.unwrap(), withdrawn);
    assert_eq!(admin.list(named("plan")).await.len(), 2);
    assert_eq!(admin.list(named("nothing")).await, vec![]);

    // Texts of every origin; the built-in card counts as a file.
    let with_toml = pb::ListRateCardsRequest {
        with_toml: true,
        page_size: 1,
        ..Default::default()
    };
    let all = admin.list(with_toml).await;
    let built_in = std::fs::read_to_string(crate::support::root("rate-cards/jogg-api-v2.toml"));
    let expected = [
        ("built-in", built_in.unwrap()),
        ("published", plan),
        ("published", text("plan", "3", None)),
    ];
    let all: Vec<_> = all
        .into_iter()
        .map(|card| (card.origin, card.toml))
        .collect();
    assert_eq!(all, expected.map(|(o, toml)| (o.to_owned(), toml)));

    // All of it is there after a restart.
    let before = admin.list(named("")).await;
    let server = server.restart(&[]);
    let mut admin = Admin::of(&server).await;
    assert_eq!(admin.list(named("")).await, before);
    assert_eq!(price(&server, "plan").await, "3");
}

#[tokio::test]
async fn what_is_wrong_with_a_publication_is_said() {
    let server = Server::start();
    let mut admin = Admin::of(&server).await;
    let before = admin.list(named("")).await;
    let bad = text("plan", "1", None).replace("credits = \"1\"", "credits = 1");
    for validate_only in [true, false] {
        let refusal = refused(admin.request(&bad, validate_only).await);
        assert_eq!(refusal.reason, "RATE_CARD_INVALID");
        assert_eq!(refusal.code, Code::InvalidArgument);
        assert_eq!(refusal.metadata["line"], "11");
        assert_eq!(refusal.paths(), ["toml"]);
        let expected = "toml:11: invalid type: integer `1`, expected a string; write amounts and quantities as text";
        assert!(refusal.message.starts_with(expected), "{}", refusal.message);
        let refusal = refused(admin.request("", validate_only).await);
        assert_eq!(refusal.reason, "FIELD_REQUIRED");
        let long = "#".repeat(PUBLISHED_BYTES_MAX + 1);
        let refusal = refused(admin.request(&long, validate_only).await);
        assert_eq!(refusal.reason, "INVALID_LENGTH");
        let taken = text("jogg-api-v2", "1", None);
        let refusal = refused(admin.request(&taken, validate_only).await);
        assert_eq!(refusal.reason, "RATE_CARD_NAME_TAKEN");
        assert_eq!(refusal.code, Code::AlreadyExists);
        assert_eq!(refusal.metadata["origin"], "built-in");
    }
    // What an error repeats of a card has room in the metadata of a reply.
    let wordy = text("plan", "1", None).replace("meter =", &format!("{} =", "m".repeat(100_000)));
    let refusal = refused(admin.request(&wordy, false).await);
    assert!(refusal.message.len() < 2_000, "{}", refusal.message.len());
    assert_eq!(admin.list(named("")).await, before);
    // Up to the limit it is read.
    let filled = filled(&text("plan", "1", None), PUBLISHED_BYTES_MAX);
    assert_eq!(admin.publish(&filled).await.unwrap().toml, filled);

    // A time that has come is taken.
    let past = |credits: &str| text("more", credits, Some("2020-01-01T00:00:00Z"));
    let reply = admin.request(&past("1"), false).await.unwrap();
    assert_eq!(reply.warnings.len(), 1, "{:?}", reply.warnings);
    let revision = reply.rate_card.unwrap().revision;
    let refusal = refused(admin.publish(&past("2")).await);
    assert_eq!(refusal.reason, "RATE_CARD_NAME_TAKEN");
    assert_eq!(refusal.metadata["revision"], revision);
    assert_eq!(refusal.metadata["effective_time"], "2020-01-01T00:00:00Z");
    assert_eq!(price(&server, "more").await, "1");

    let built_in = before[0].revision.clone();
    for (revision, code, reason) in [
        ("", Code::InvalidArgument, "FIELD_REQUIRED"),
        ("nothing", Code::NotFound, "REVISION_NOT_FOUND"),
        (
            &*built_in,
            Code::FailedPrecondition,
            "RATE_CARD_NOT_SCHEDULED",
        ),
        (
            &*revision,
            Code::FailedPrecondition,
            "RATE_CARD_NOT_SCHEDULED",
        ),
    ] {
        let refusal = refused(admin.withdraw(revision).await);
        assert_eq!((refusal.code, refusal.reason.as_str()), (code, reason));
    }
    for (request, reason) in [
        (named(&"x".repeat(65)), "INVALID_LENGTH"),
        (
            pb::ListRateCardsRequest {
                page_size: -1,
                ..named("")
            },
            "INVALID_PAGE_SIZE",
        ),
        (
            pb::ListRateCardsRequest {
                page_token: "x".to_owned(),
                ..named("")
            },
            "INVALID_PAGE_TOKEN",
        ),
    ] {
        assert_eq!(refused(admin.page(&request).await).reason, reason);
    }
    // A token is for its own list.
    let first = pb::ListRateCardsRequest {
        page_size: 1,
        ..named("")
    };
    let page_token = admin.page(&first).await.unwrap().next_page_token;
    let other = pb::ListRateCardsRequest {
        page_token,
        with_toml: true,
        ..first
    };
    assert_eq!(
        refused(admin.page(&other).await).reason,
        "INVALID_PAGE_TOKEN"
    );
}

/// A reply never passes the limit of a message, whatever the texts are.
#[tokio::test]
async fn pages_of_texts_are_bounded_by_their_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("large.toml");
    let bytes = usize::try_from(FILE_BYTES_MAX).unwrap();
    std::fs::write(&file, filled(&text("large", "1", None), bytes)).unwrap();
    let server = Server::start_with(&["--rate-card-file", file.to_str().unwrap()]);
    let mut admin = Admin::of(&server).await;
    for number in 0..5 {
        let card = text("plan", &(number + 1).to_string(), None);
        let card = filled(&card, PUBLISHED_BYTES_MAX - number);
        admin.publish(&card).await.unwrap();
    }
    let cards = admin
        .list(pb::ListRateCardsRequest {
            with_toml: true,
            ..Default::default()
        })
        .await;
    let lengths: Vec<_> = cards.iter().map(|card| card.toml.len()).collect();
    let published = (0..5).map(|number| PUBLISHED_BYTES_MAX - number);
    // The file's fits into no reply.
    let expected: Vec<_> = std::iter::once(0).chain(published).collect();
    assert_eq!(lengths, expected);
}

#[tokio::test]
async fn publications_are_limited_in_number() {
    let server = Server::start();
    let mut admin = Admin::of(&server).await;
    let at = |minute: usize, credits: usize| {
        let (hour, minute) = (minute / 60, minute % 60);
        let time = format!("2099-01-01T{hour:02}:{minute:02}:00Z");
        text("plan", &credits.to_string(), Some(&time))
    };
    for number in 0..SCHEDULED_MAX {
        admin.publish(&at(number, 1)).await.unwrap();
    }
    let refusal = refused(admin.publish(&at(SCHEDULED_MAX, 1)).await);
    assert_eq!(refusal.reason, "TOO_MANY_RATE_CARDS");
    assert_eq!(refusal.metadata["limit"], SCHEDULED_MAX.to_string());
    // One in the place of another has room, and so has one that is in force at once.
    let replaced = admin.publish(&at(5, 2)).await.unwrap();
    admin.publish(&text("plan", "1", None)).await.unwrap();
    admin.withdraw(&replaced.revision).await.unwrap();
    admin.publish(&at(SCHEDULED_MAX, 1)).await.unwrap();

    let directory = server.stop();
    let file = rusqlite::Connection::open(directory.path().join("creditd.db")).unwrap();
    file.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO publications (card_id, published, since, removed, withdrawn)
         SELECT max(card_id), 0, 0, 0, 1 FROM rate_cards, n GROUP BY i
         LIMIT ?1 - (SELECT count(*) FROM publications)",
        [i64::try_from(PUBLICATIONS_MAX).unwrap()],
    )
    .unwrap();
    drop(file);
    let server = Server::start_in(directory, &[]);
    let mut admin = Admin::of(&server).await;
    let refusal = refused(admin.publish(&text("more", "1", None)).await);
    assert_eq!(refusal.reason, "TOO_MANY_RATE_CARDS");
    assert_eq!(refusal.metadata["limit"], PUBLICATIONS_MAX.to_string());
    // What is there already has its answer.
    admin.publish(&text("plan", "1", None)).await.unwrap();
}

/// What was answered is on disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_publication_outlives_a_kill() {
    let mut server = Program::start();
    for round in 1..=3 {
        let credits = round.to_string();
        let mut admin = Admin::of(&server).await;
        let published = admin.publish(&text("plan", &credits, None)).await.unwrap();
        let later = text(
            "plan",
            &credits,
            Some(&format!("209{round}-01-01T00:00:00Z")),
        );
        admin.publish(&later).await.unwrap();
        let before = admin.list(named("")).await;
        let directory = server.kill();
        server = Program::start_settings(crate::support::server::Settings {
            directory: Some(directory),
            ..Default::default()
        });
        assert_eq!(Admin::of(&server).await.list(named("")).await, before);
        assert_eq!(price(&server, "plan").await, credits);
        let in_force = before
            .iter()
            .filter(|card| card.state() == pb::RateCardState::InForce);
        assert!(
            in_force
                .map(|card| &card.revision)
                .any(|r| *r == published.revision)
        );
    }
}
