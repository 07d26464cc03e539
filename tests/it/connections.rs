//! How connections end, and how they do not: at their age, where what a client watches goes on
//! over the next one; soon after GOAWAY; and not for calls that were refused early.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::pb::creditd::v1::ledger_service_client::LedgerServiceClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use prost::Message as _;

use crate::support::books::Ledger;
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, Peer, RESET, Seen, call, frame,
    head, header_block, headers,
};
use crate::support::raw::frame as message;
use crate::support::server::Server;
use crate::support::{PATIENCE, balance, estimate, grant};

const ESTIMATE: &str = "/creditd.v1.PricingService/Estimate";
const HEALTH_WATCH: &str = "/grpc.health.v1.Health/Watch";

fn estimate_message() -> Vec<u8> {
    message(0, &estimate("lip_sync_video", "31s").encode_to_vec())
}

/// A network in which bytes are under way for so long, in each direction.
const LATENCY: Duration = Duration::from_millis(40);

/// A relay over which each byte comes late, on a thread of its own.
fn slow_network(to: String) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let relay = async move {
        let listener = TcpListener::from_std(listener).unwrap();
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let far = TcpStream::connect(&to).await.unwrap();
            near.set_nodelay(true).unwrap();
            far.set_nodelay(true).unwrap();
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            tokio::spawn(carry(near_in, far_out));
            tokio::spawn(carry(far_in, near_out));
        }
    };
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        // It ends with the process.
        runtime.block_on(relay);
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
            // Timers have a grain of a millisecond: what was sent together arrives together.
            if arrives > Instant::now() + Duration::from_millis(2) {
                tokio::time::sleep_until(arrives.into()).await;
            }
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
#[tokio::test]
async fn a_watch_goes_on_over_the_next_connection() {
    let server = Server::start_with(&["--connection-age-seconds-max", "1"]);
    let address = slow_network(server.address.clone());
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
    assert!(
        took > Duration::from_secs(2) && took < Duration::from_secs(8),
        "{took:?}"
    );
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
                        // It was never sent, or crossed GOAWAY.
                        let by_client = ["GoAway", "connection closed", "hyper::Error(Canceled"];
                        let is_by_client = by_client.iter().any(|part| text.contains(part));
                        assert!(is_by_client, "{text}");
                        failed += 1;
                    }
                }
            }
            (answered, failed)
        });
    }
    for (answered, failed) in callers.join_all().await {
        assert!(answered > 100 && failed <= 6, "{answered} {failed}");
    }
}

/// After GOAWAY a connection without a call is cut soon, whatever its peer sends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_outlives_its_goaway() {
    let server = Server::start_with(&["--connection-age-seconds-max", "1"]);
    type Next = fn(u32) -> Vec<u8>;
    let rows: [(&str, Next); 4] = [
        ("nothing", |_| Vec::new()),
        ("a byte of a header", |number| match number {
            0 => head(16_000, HEADERS, 0, 5),
            _ => vec![0],
        }),
        ("pings", |_| frame(PING, 0, 0, &[1; 8])),
        ("messages of a call that has ended", |_| {
            frame(DATA, 0, 1, &[0; 16_384]).repeat(20)
        }),
    ];
    for (name, next) in rows {
        let mut peer = Peer::connect(&server.address, &[]).await;
        // A watch is ended in order, and does not keep its connection; a call does.
        assert!(peer.send(&call(1, HEALTH_WATCH, &message(0, &[]))).await);
        assert!(peer.send(&headers(3, ESTIMATE, &[])).await);
        assert!(peer.sees(|seen| seen.told.is_some()).await, "{name}");
        assert!(peer.send(&frame(RESET, 0, 3, &[0, 0, 0, 8])).await);
        for number in 0.. {
            if peer.seen().end.is_some() {
                break;
            }
            assert!(number < 200, "{name} goes on");
            peer.send(&next(number)).await;
            peer.sees_within(Duration::from_millis(100), |seen| seen.end.is_some())
                .await;
        }
        let seen = peer.seen();
        let took = seen.end.unwrap() - seen.told.unwrap();
        eprintln!("{name}: {took:?} after GOAWAY");
        let least = Duration::from_millis(400);
        assert!(
            took > least && took < Duration::from_secs(6),
            "{name}: {took:?}"
        );
        assert!(
            seen.ended.contains_key(&1),
            "{name}: the watch has ended in order"
        );
    }
}

/// Calls that are refused before their messages have come do not end their connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_messages_of_refused_calls_are_thrown_away() {
    let server = Server::start();
    let long = "x".repeat(20_000);
    type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);
    let rows: [Row<'_>; 2] = [
        ("no such method", "/creditd.v1.Nothing/Nothing", &[]),
        ("metadata", ESTIMATE, &[("note", &long)]),
    ];
    for (name, path, more) in rows {
        let mut peer = Peer::connect(&server.address, &[]).await;
        let streams: Vec<u32> = (0..300).map(|number| 2 * number + 1).collect();
        for stream in &streams {
            let block = header_block(path, more);
            let mut bytes = Vec::new();
            let pieces: Vec<_> = block.chunks(16_384).collect();
            for (number, piece) in pieces.iter().enumerate() {
                let kind = if number == 0 { HEADERS } else { CONTINUATION };
                let last = number + 1 == pieces.len();
                let flags = if last { END_HEADERS } else { 0 };
                bytes.extend(frame(kind, flags, *stream, piece));
            }
            assert!(peer.send(&bytes).await, "{name}");
        }
        assert!(peer.sees(|seen| seen.ended.len() == 300).await, "{name}");
        // The messages were under way meanwhile.
        for _ in 0..10 {
            for stream in &streams {
                assert!(
                    peer.send(&frame(DATA, 0, *stream, &[0; 1_000])).await,
                    "{name}"
                );
            }
        }
        for stream in &streams {
            assert!(
                peer.send(&frame(DATA, END_STREAM, *stream, &[0])).await,
                "{name}"
            );
        }
        assert!(peer.send(&call(9_999, ESTIMATE, &estimate_message())).await);
        let served = |seen: &Seen| seen.end.is_some() || seen.ended.contains_key(&9_999);
        assert!(peer.sees(served).await, "{name}");
        let seen = peer.seen();
        assert!(
            seen.ended.get(&9_999).is_some_and(|b| *b > 0),
            "{name}: {:?}",
            seen.go_away
        );
        assert_eq!(seen.count(RESET), 0, "{name}");
    }
}
