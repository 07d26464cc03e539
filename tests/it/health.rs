//! Health by its protocol, and reflection as grpcurl reads it.

use std::path::PathBuf;
use std::process::Command;

use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::root;
use crate::support::server::Server;

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn check_answers_for_the_server_and_each_service() {
    let server = Server::start();
    let mut health = HealthClient::new(server.channel().await);
    for service in [
        "",
        "creditd.v1.PricingService",
        "creditd.v1.LedgerService",
        "creditd.v1.AdminService",
    ] {
        let reply = health.check(of(service)).await.unwrap().into_inner();
        assert_eq!(reply.status(), ServingStatus::Serving, "{service:?}");
    }
    let refusal = health.check(of("creditd.v1.Nothing")).await.unwrap_err();
    assert_eq!(refusal.code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn watch_tells_the_state_now_and_each_change_and_ends_with_the_server() {
    let mut server = Server::start();
    let mut health = HealthClient::new(server.channel().await);
    let mut known = health
        .watch(of("creditd.v1.LedgerService"))
        .await
        .unwrap()
        .into_inner();
    let mut unknown = health
        .watch(of("creditd.v1.Nothing"))
        .await
        .unwrap()
        .into_inner();
    let next = known.message().await.unwrap().unwrap();
    assert_eq!(next.status(), ServingStatus::Serving);
    // The protocol: an unknown service is told so, and the stream stays.
    let next = unknown.message().await.unwrap().unwrap();
    assert_eq!(next.status(), ServingStatus::ServiceUnknown);

    server.signal_stop();
    let next = known.message().await.unwrap().unwrap();
    assert_eq!(next.status(), ServingStatus::NotServing);
    assert_eq!(
        known.message().await.unwrap(),
        None,
        "the watcher was let go"
    );
    assert_eq!(unknown.message().await.unwrap(), None);
    server.wait();
}

/// grpcurl as `make setup` installs it.
fn grpcurl() -> PathBuf {
    let path =
        std::env::var_os("GRPCURL").map_or_else(|| root(".tools/bin/grpcurl"), PathBuf::from);
    assert!(
        path.exists(),
        "no grpcurl at {}: run \"make setup\"",
        path.display()
    );
    path
}

fn run_grpcurl(args: &[&str]) -> (bool, String, String) {
    let output = Command::new(grpcurl()).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.success(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn grpcurl_finds_its_way_by_reflection() {
    let server = Server::start();
    let address = server.address.as_str();
    let (ok, services, _) = run_grpcurl(&["-plaintext", address, "list"]);
    assert!(ok);
    assert_eq!(
        services,
        "creditd.v1.AdminService\ncreditd.v1.LedgerService\ncreditd.v1.PricingService\ngrpc.health.v1.Health\ngrpc.reflection.v1.ServerReflection\n"
    );
    let (ok, described, _) = run_grpcurl(&["-plaintext", address, "describe", "creditd.v1.Usage"]);
    assert!(
        ok && described.contains("string service = 1;"),
        "{described}"
    );

    let request = r#"{"usage": {"service": "lip_sync_video", "duration": "31s"}, "explain": true}"#;
    let method = "creditd.v1.PricingService/Estimate";
    let (ok, reply, err) = run_grpcurl(&["-plaintext", "-d", request, address, method]);
    assert!(ok, "{err}");
    let reply: serde_json::Value = serde_json::from_str(&reply).unwrap();
    assert_eq!(reply["estimate"]["credits"], "0.248");
    assert_eq!(reply["estimate"]["displayCredits"], "0.25");

    let request = r#"{"usage": {"service": "lip_sink_video"}}"#;
    let (ok, _, err) = run_grpcurl(&["-plaintext", "-d", request, address, method]);
    assert!(!ok);
    assert!(err.contains("did you mean \"lip_sync_video\"?"), "{err}");
    assert!(err.contains("\"reason\": \"UNKNOWN_SERVICE\""), "{err}");
}

/// Postman, evans and grpcui still ask v1alpha.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn reflection_answers_in_both_versions() {
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::{self, server_reflection_response::MessageResponse};
    use tonic_reflection::pb::v1alpha;
    use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient as AlphaClient;

    let server = Server::start();
    let request = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::FileContainingSymbol(
            "creditd.v1.PricingService".into(),
        )),
    };
    let mut client = ServerReflectionClient::new(server.channel().await);
    let stream = client
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap();
    let reply = stream.into_inner().message().await.unwrap().unwrap();
    assert!(matches!(
        reply.message_response,
        Some(MessageResponse::FileDescriptorResponse(_))
    ));

    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            v1alpha::server_reflection_request::MessageRequest::ListServices(String::new()),
        ),
    };
    let mut client = AlphaClient::new(server.channel().await);
    let stream = client
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap();
    let reply = stream.into_inner().message().await.unwrap().unwrap();
    let Some(v1alpha::server_reflection_response::MessageResponse::ListServicesResponse(list)) =
        reply.message_response
    else {
        panic!("{reply:?}");
    };
    assert!(
        list.service
            .iter()
            .any(|s| s.name == "creditd.v1.PricingService")
    );
}
