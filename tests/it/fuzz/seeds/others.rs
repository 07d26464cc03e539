//! Stories of keys and rate cards, of the server itself, and of how requests are sent.

use std::io::Write as _;

use creditd::app::card_file::{Loading, load_text};
use creditd::rpc::pb::creditd::v1 as pb;
use flate2::Compression;
use flate2::write::GzEncoder;
use tonic_health::pb::HealthCheckRequest;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

use super::ledger::{TEAM, charge};
use super::step::{Step, call};
use crate::fuzz::requests::call::{AT_MESSAGE, BYTEWISE, Framing, IN_HALVES, PATHS, WHOLE};
use crate::fuzz::requests::service::WithKey;
use crate::support::rate_cards::card_text;
use crate::support::{estimate, grant};

pub fn administration() -> Vec<Step> {
    let card = format!(
        "effective_time = 2030-01-01T00:00:00Z\n{}",
        card_text("plan", "1.5")
    );
    let revision = load_text(&card, &Loading::ALONE).unwrap().stored.revision;
    let admin = WithKey::Admin;
    vec![
        call(
            "PublishRateCard",
            &pb::PublishRateCardRequest {
                toml: card,
                validate_only: false,
            },
        )
        .with(admin),
        call(
            "ListRateCards",
            &pb::ListRateCardsRequest {
                with_toml: true,
                ..Default::default()
            },
        )
        .with(admin),
        call(
            "WithdrawRateCard",
            &pb::WithdrawRateCardRequest { revision },
        )
        .with(admin),
        call(
            "CreateKey",
            &pb::CreateKeyRequest {
                key: Some(pb::Key {
                    title: "billing".to_owned(),
                    scopes: vec!["charge".to_owned(), "read".to_owned()],
                    accounts: vec!["team-a".to_owned(), "user-*".to_owned()],
                    ..Default::default()
                }),
            },
        )
        .with(admin),
        call(
            "ListKeys",
            &pb::ListKeysRequest {
                page_size: 1,
                ..Default::default()
            },
        )
        .with(admin),
        call(
            "RevokeKey",
            &pb::RevokeKeyRequest {
                key_id: "reads".to_owned(),
            },
        )
        .with(admin),
        call("ListAdminEvents", &pb::ListAdminEventsRequest::default()).with(admin),
        call("ReloadConfig", &pb::ReloadConfigRequest {}).with(admin),
        call("GetBalance", &crate::support::balance(TEAM))
            .with(WithKey::ReadsOnly)
            .refused("KEY_INVALID"),
    ]
}

pub fn keys() -> Vec<Step> {
    let of_others = pb::EstimateRequest {
        prices: Some(pb::PriceSelector {
            account: "user-1".to_owned(),
            ..Default::default()
        }),
        ..estimate("ai_scripts", "x1")
    };
    let amount = pb::charge_request::What::Credits("1".to_owned());
    vec![
        call("Grant", &grant("g1", "user-1", "5")).with(WithKey::Admin),
        call("Grant", &grant("g1", TEAM, "5")).with(WithKey::OfTeams),
        call("Grant", &grant("g2", "user-1", "5"))
            .with(WithKey::OfTeams)
            .refused("NOT_ALLOWED"),
        call("GetBalance", &crate::support::balance("user-1")).with(WithKey::ReadsOnly),
        call("Grant", &grant("g2", TEAM, "5"))
            .with(WithKey::ReadsOnly)
            .refused("NOT_ALLOWED"),
        call("Grant", &grant("g2", TEAM, "5")).refused("KEY_REQUIRED"),
        call("Grant", &grant("g2", TEAM, "5"))
            .with(WithKey::Unknown)
            .refused("KEY_INVALID"),
        call("Estimate", &of_others)
            .with(WithKey::OfTeams)
            .refused("NOT_ALLOWED"),
        call(
            "BatchCharge",
            &pb::BatchChargeRequest {
                charges: vec![
                    charge("b1", amount.clone()),
                    pb::ChargeRequest {
                        account: "user-1".to_owned(),
                        ..charge("b2", amount)
                    },
                ],
            },
        )
        .with(WithKey::OfTeams),
        call("ListAccounts", &pb::ListAccountsRequest::default()).with(WithKey::OfTeams),
    ]
}

pub fn server() -> Vec<Step> {
    let asked = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let v1alpha = "reflection.v1alpha.ServerReflection/ServerReflectionInfo";
    let mut reflection = call("ServerReflectionInfo", &asked);
    reflection.path = PATHS.iter().find(|path| path.ends_with(v1alpha)).unwrap();
    vec![
        call(
            "Check",
            &HealthCheckRequest {
                service: "creditd.v1.LedgerService".to_owned(),
            },
        ),
        call(
            "Check",
            &HealthCheckRequest {
                service: "nothing".to_owned(),
            },
        )
        .refused(""),
        call("Watch", &HealthCheckRequest::default()),
        call("ServerReflectionInfo", &asked),
        reflection,
    ]
}

/// One request in every framing, cut everywhere, and with the metadata that is read.
pub fn framings() -> Vec<Step> {
    let ask = || call("Estimate", &estimate("lip_sync_video", "31s"));
    let mut garbage = ask()
        .framed(Framing::SaysGzip, WHOLE)
        .refused("MALFORMED_MESSAGE");
    garbage.message = vec![0x1f, 0x8b, 8, 0, 0, 0];
    let mut bomb = ask()
        .framed(Framing::SaysGzip, AT_MESSAGE)
        .refused("MESSAGE_TOO_LARGE");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![0; 5 << 20]).unwrap();
    bomb.message = encoder.finish().unwrap();
    let mut gzip = ask().framed(Framing::Gzip, BYTEWISE);
    gzip.accepts_gzip = true;
    vec![
        ask().framed(Framing::Plain, AT_MESSAGE),
        ask().framed(Framing::Plain, IN_HALVES),
        ask().framed(Framing::Plain, BYTEWISE),
        ask().framed(Framing::Gzip, WHOLE),
        gzip,
        garbage,
        bomb,
        ask()
            .framed(Framing::Twice, WHOLE)
            .refused("MALFORMED_MESSAGE"),
        ask()
            .framed(Framing::Short, IN_HALVES)
            .refused("MALFORMED_MESSAGE"),
        ask()
            .framed(Framing::Empty, WHOLE)
            .refused("MALFORMED_MESSAGE"),
        ask()
            .framed(Framing::FlagAlone, WHOLE)
            .refused("UNSUPPORTED_ENCODING"),
        ask()
            .with_header("grpc-timeout", b"10S")
            .with_header("x-request-id", b"id-1"),
        ask()
            .with_header("grpc-encoding", b"br")
            .refused("UNSUPPORTED_ENCODING"),
        ask().with_header("grpc-accept-encoding", b"br,gzip"),
    ]
}
