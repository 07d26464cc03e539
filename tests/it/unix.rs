//! A server on a Unix socket: who may open the file may call, and the file is the server's.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;

use creditd::rpc::pb::creditd::v1::pricing_service_client::PricingServiceClient;
use tonic::transport::Endpoint;

use crate::support::estimate;
use crate::support::server::{Program, Settings, run};

const OPTIONS: [&str; 2] = ["--listen-unix", "creditd.sock"];

async fn is_served(path: &Path) {
    let endpoint = Endpoint::from_shared(format!("unix:{}", path.display())).unwrap();
    let mut client = PricingServiceClient::new(endpoint.connect().await.unwrap());
    let reply = client.estimate(estimate("lip_sync_video", "31s")).await;
    let estimate = reply.unwrap().into_inner().estimate.unwrap();
    assert_eq!(estimate.credits, "0.248");
}

#[tokio::test]
async fn it_is_served_beside_tcp_and_for_one_user() {
    let server = Program::start_with(&OPTIONS);
    let path = server.directory.path().join("creditd.sock");
    let line = format!("             and on unix:{}", path.display());
    assert_eq!(server.banner.lines().nth(1), Some(line.as_str()));
    is_served(&path).await;
    let tcp = server
        .pricing()
        .await
        .estimate(estimate("lip_sync_video", "31s"))
        .await;
    assert!(tcp.is_ok());
    let found = std::fs::metadata(&path).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    // The command line takes it too.
    let address = format!("unix:{}", path.display());
    let directory = tempfile::tempdir().unwrap();
    let args = ["grant", "--addr", &address, "team-a", "100"];
    let (code, out, err) = run(directory.path(), &args);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let (code, out, _) = run(directory.path(), &["balance", "--addr", &address, "team-a"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("100"), "{out}");
    let directory = server.stop();
    assert!(
        !directory.path().join("creditd.sock").exists(),
        "it is removed"
    );
}

#[tokio::test]
async fn what_a_killed_server_left_is_cleared_and_nothing_else() {
    let server = Program::start_with(&OPTIONS);
    let directory = server.kill();
    let path = directory.path().join("creditd.sock");
    assert!(path.exists());
    // It lives until the end.
    let _server = Program::start_settings(Settings {
        args: OPTIONS.map(str::to_owned).to_vec(),
        directory: Some(directory),
        ..Settings::default()
    });
    is_served(&path).await;
    // One that serves keeps its path.
    let other = tempfile::tempdir().unwrap();
    let taken = path.display().to_string();
    let args = ["serve", "--listen", "127.0.0.1:0", "--listen-unix", &taken];
    let (code, _, err) = run(other.path(), &args);
    assert_eq!(code, Some(1));
    assert_eq!(
        err.trim_end(),
        format!(
            "creditd: cannot listen on {taken}: another program does; stop it, or choose another path by --listen-unix"
        )
    );
    is_served(&path).await;
    // So does a file that is none of ours.
    std::fs::write(other.path().join("notes"), "mine").unwrap();
    let args = ["serve", "--listen", "127.0.0.1:0", "--listen-unix", "notes"];
    let (code, _, err) = run(other.path(), &args);
    assert_eq!(code, Some(1));
    assert_eq!(
        err.trim_end(),
        "creditd: cannot listen on notes: there is a file that is no socket; choose another path by --listen-unix"
    );
    assert_eq!(
        std::fs::read_to_string(other.path().join("notes")).unwrap(),
        "mine"
    );
}
