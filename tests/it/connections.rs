//! Connections that are told to go at their age: what a client watches goes on over the next one,
//! and no call beside it fails.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::pb::creditd::v1::ledger_service_client::LedgerServiceClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::support::books::Ledger;
use crate::support::server::Server;
use crate::support::{PATIENCE, balance, grant};

/// A network in which bytes are under way for so long, in each direction.
const LATENCY: Duration = Duration::from_millis(40);

/// A relay over which each byte comes late.
async fn slow_network(to: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let far = TcpStream::connect(&to).await.unwrap();
            near.set_nodelay(true).unwrap();
            far.set_nodelay(true).unwrap();
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            tokio::spawn(carry(near_in, far_out));
            tokio::spawn(carry(far_in, near_out));
        }
    });
    address
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let (sender, mut under_way) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let read = async move {
        let mut bytes = vec![0; 16_384];
        loop {
            let count = from.read(&mut bytes).await.unwrap_or_default();
            let arrives = Instant::now() + LATENCY;
            // The end is under way as long.
            let _ = sender.send((arrives, bytes[..count].to_vec()));
            if count == 0 {
                return;
            }
        }
    };
    let write = async move {
        while let Some((arrives, bytes)) = under_way.recv().await {
            tokio::time::sleep_until(arrives.into()).await;
            let sent = match bytes.is_empty() {
                true => to.shutdown().await,
                false => to.write_all(&bytes).await,
            };
            if sent.is_err() {
                return;
            }
        }
    };
    tokio::join!(read, write);
}

/// Watches a balance until that ends in order; how many balances came. The first one is the one
/// that the account has.
async fn watch(ledger: &mut Ledger, available: &str) -> usize {
    let account = "team-a".to_owned();
    let stream = ledger.watch_balance(pb::WatchBalanceRequest { account });
    let mut stream = stream.await.expect("a watch begins").into_inner();
    let mut count = 0;
    loop {
        let next = tokio::time::timeout(PATIENCE, stream.message());
        let Some(next) = next.await.unwrap().expect("no watch breaks") else {
            return count;
        };
        if count == 0 {
            assert_eq!(next.balance.unwrap().available, available);
        }
        count += 1;
    }
}

/// A tonic client fails a call that it begins on a connection that is told to go and not closed:
/// the end of the watch and of its connection must come together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_goes_on_over_the_next_connection() {
    let server = Server::start_with(&["--connection-age-seconds-max", "1"]);
    let address = slow_network(server.address.clone()).await;
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut ledger = LedgerServiceClient::new(endpoint.connect().await.unwrap());
    ledger.grant(grant("g0", "team-a", "1")).await.unwrap();
    let began = Instant::now();
    for number in 1..=3 {
        let balances = watch(&mut ledger, &number.to_string()).await;
        assert!(balances >= 1, "watch {number}");
        // At once, as any client does.
        let now = ledger.get_balance(balance("team-a")).await;
        now.expect("a call after the end of a watch");
        let next = grant(&format!("g{number}"), "team-a", "1");
        ledger.grant(next).await.expect("a charge after it");
    }
    let took = began.elapsed();
    assert!(took > Duration::from_secs(2) && took < Duration::from_secs(8), "{took:?}");
}

/// One call after the other, without a pause: each is answered by the server, and at most the
/// one that crosses GOAWAY is failed by its client.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_connection_is_told_to_go_too() {
    let server = Server::start_with(&["--connection-age-seconds-max", "1"]);
    let ledger = server.ledger().await;
    let mut first = ledger.clone();
    first.grant(grant("g0", "team-a", "1")).await.unwrap();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let mut ledger = ledger.clone();
        callers.spawn(async move {
            let (began, mut answered, mut failed) = (Instant::now(), 0, 0);
            while began.elapsed() < Duration::from_secs(3) {
                match ledger.get_balance(balance("team-a")).await {
                    Ok(_) => answered += 1,
                    Err(status) => {
                        let text = format!("{status:?}");
                        let by_client = text.contains("GoAway") || text.contains("connection closed");
                        assert!(by_client, "{text}");
                        failed += 1;
                    }
                }
            }
            (answered, failed)
        });
    }
    for (answered, failed) in callers.join_all().await {
        assert!(answered > 100 && failed <= 3, "{answered} {failed}");
    }
}
