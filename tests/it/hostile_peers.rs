//! Peers that keep to no rule. Each attack says what becomes of its connection; meanwhile an
//! honest client is served, and the server's memory stays as it was. `--nocapture` shows figures.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use creditd::rpc::pb::creditd::v1 as pb;
use prost::Message as _;
use tokio::task::JoinHandle;

use crate::support::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, INITIAL_WINDOW,
    PING, Peer, RESET, WINDOW_UPDATE, call, frame, head, header_block, headers, settings,
};
use crate::support::raw::{compressed, frame as message};
use crate::support::server::{Program, Running, Server};
use crate::support::{PATIENCE, estimate, usage};

const ESTIMATE: &str = "/creditd.v1.PricingService/Estimate";
const BATCH: &str = "/creditd.v1.PricingService/BatchEstimate";
const HEALTH_WATCH: &str = "/grpc.health.v1.Health/Watch";

/// What others take for a call while somebody attacks, in a debug build that shares its cores
/// with other tests.
const OTHERS_P99_MAX: Duration = Duration::from_millis(500);
/// What an attack may leave in memory.
const LEFT_MIB_MAX: u64 = 48;

fn estimate_message() -> Vec<u8> {
    message(0, &estimate("lip_sync_video", "31s").encode_to_vec())
}

/// A batch whose reply is about 100 KiB, and whose request is small.
async fn batch_message() -> Bytes {
    compressed(pb::BatchEstimateRequest {
        usages: vec![usage("lip_sync_video", "31s"); 1_000],
        ..pb::BatchEstimateRequest::default()
    })
    .await
}

/// A client that calls all the time, over a connection of its own.
struct Honest {
    stop: Arc<AtomicBool>,
    calls: JoinHandle<Vec<Duration>>,
}

impl Honest {
    async fn start(server: &Running) -> Self {
        let mut pricing = server.pricing().await;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let calls = tokio::spawn(async move {
            let mut times = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                pricing
                    .estimate(estimate("lip_sync_video", "31s"))
                    .await
                    .expect("an honest call is served");
                times.push(began.elapsed());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            times
        });
        Self { stop, calls }
    }

    /// How long its slowest calls took but for one in a hundred.
    async fn p99(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        let mut times = self.calls.await.unwrap();
        times.sort_unstable();
        times[times.len() * 99 / 100]
    }
}

/// What a process has of memory now.
fn resident_mib(server: &Program) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() >> 10
}

/// What becomes of a connection.
#[derive(Debug, PartialEq)]
enum Becomes {
    /// It is served as before.
    Served,
    /// It is told to go, with a code and a text, and closed.
    Ended(u32, &'static str),
}

/// One frame or some, sent again and again.
struct Flood {
    name: &'static str,
    first: Vec<u8>,
    /// The next frames, by the number of the round.
    round: fn(u32) -> Vec<u8>,
    rounds: u32,
    /// What may become of its connection.
    becomes: &'static [Becomes],
}

fn floods() -> Vec<Flood> {
    let beside_calls = |name, round, rounds| Flood {
        name,
        first: call(1, ESTIMATE, &estimate_message()),
        round,
        rounds,
        becomes: &[Becomes::Ended(0, "")],
    };
    vec![
        Flood {
            name: "calls that are reset at once",
            first: Vec::new(),
            round: |round| {
                let streams = (0..100).map(|number| 200 * round + 2 * number + 3);
                let both = streams.map(|stream| {
                    let mut bytes = headers(stream, ESTIMATE, &[]);
                    bytes.extend(frame(RESET, 0, stream, &[0, 0, 0, 8]));
                    bytes
                });
                both.flatten().collect()
            },
            rounds: 200,
            // By whether the server has taken them up before they are reset.
            becomes: &[
                Becomes::Served,
                Becomes::Ended(ENHANCE_YOUR_CALM, "too_many_resets"),
            ],
        },
        Flood {
            name: "headers without an end",
            first: frame(HEADERS, 0, 1, &header_block(ESTIMATE, &[])),
            round: |_| frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b").repeat(100),
            rounds: 2_000,
            becomes: &[Becomes::Ended(ENHANCE_YOUR_CALM, "too_many_continuations")],
        },
        Flood {
            name: "a message of empty frames",
            first: headers(1, ESTIMATE, &[]),
            round: |_| frame(DATA, 0, 1, &[]).repeat(100),
            rounds: 2_000,
            becomes: &[Becomes::Ended(ENHANCE_YOUR_CALM, "too_many_data_frames")],
        },
        beside_calls("settings", |_| settings(&[(3, 100)]).repeat(100), 2_000),
        beside_calls("pings", |_| frame(PING, 0, 0, &[1; 8]).repeat(100), 2_000),
        beside_calls(
            "acknowledgements of nothing",
            |_| frame(PING, ACK, 0, &[1; 8]).repeat(100),
            2_000,
        ),
        beside_calls(
            "windows that grow by a byte",
            |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(100),
            2_000,
        ),
        beside_calls(
            "priorities",
            |_| frame(2, 0, 1, &[0, 0, 0, 0, 1]).repeat(100),
            2_000,
        ),
        beside_calls(
            "resets of calls that have ended",
            |_| frame(RESET, 0, 1, &[0, 0, 0, 8]).repeat(100),
            2_000,
        ),
        beside_calls(
            "frames of no known type",
            |_| frame(0xfa, 0, 0, b"x").repeat(100),
            2_000,
        ),
    ]
}

impl Flood {
    async fn run(&self, server: &Running) -> (Becomes, usize) {
        let mut peer = Peer::connect(&server.address, &[]).await;
        assert!(peer.send(&self.first).await);
        let mut rounds = 0;
        while rounds < self.rounds && peer.flood(&(self.round)(rounds), 1).await == 1 {
            rounds += 1;
        }
        let last = 1_000_001;
        let served = peer.send(&call(last, ESTIMATE, &estimate_message())).await
            && peer
                .sees(|seen| seen.end.is_some() || seen.ended.get(&last).is_some_and(|b| *b > 0))
                .await
            && peer.seen().end.is_none();
        if served {
            return (Becomes::Served, rounds as usize);
        }
        assert!(peer.sees(|seen| seen.end.is_some()).await, "{}", self.name);
        let (code, text) = peer
            .seen()
            .go_away
            .clone()
            .unwrap_or((u32::MAX, String::new()));
        (Becomes::Ended(code, text.leak()), rounds as usize)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_end_their_own_connection_and_hurt_nobody() {
    let server = Program::start();
    let mut wrong = Vec::new();
    for flood in floods() {
        let before = resident_mib(&server);
        let honest = Honest::start(&server).await;
        let began = Instant::now();
        let (became, rounds) = flood.run(&server).await;
        let (took, during) = (began.elapsed(), resident_mib(&server));
        let p99 = honest.p99().await;
        let after = resident_mib(&server);
        let figures = format!(
            "{}: {became:?} after {rounds} rounds in {took:?}; MiB {before}, {during}, {after}; others' p99 {p99:?}",
            flood.name
        );
        eprintln!("{figures}");
        if !flood.becomes.contains(&became)
            || p99 > OTHERS_P99_MAX
            || during.max(after) > before + LEFT_MIB_MAX
        {
            wrong.push(figures);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let log = server.log();
    for frames in [
        "PING",
        "SETTINGS",
        "WINDOW_UPDATE",
        "PRIORITY",
        "RST_STREAM",
    ] {
        let said = format!("frames=\"{frames}\"");
        assert!(log.contains(&said), "{said}: {log}");
    }
}

/// Pings and settings as honest clients send them do not end a connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn pings_beside_calls_are_no_flood() {
    let server = Server::start();
    let mut peer = Peer::connect(&server.address, &[]).await;
    const CALLS: usize = 1_000;
    for number in 0..CALLS {
        let stream = u32::try_from(2 * number + 1).unwrap();
        let mut bytes = call(stream, ESTIMATE, &estimate_message());
        // A probe of the bandwidth, and room for what has come.
        bytes.extend(frame(PING, 0, 0, &[1; 8]).repeat(4));
        bytes.extend(frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0]).repeat(4));
        assert!(peer.send(&bytes).await, "call {number}");
        // No more at once than a connection may have.
        let answered = (number + 1).saturating_sub(200);
        assert!(peer.sees(|seen| seen.ended.len() >= answered).await);
    }
    assert!(peer.sees(|seen| seen.ended.len() == CALLS).await);
    assert!(peer.seen().end.is_none());
}

/// A message that is small as it comes and would be large in memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_become_too_large_are_refused_and_take_no_memory() {
    let server = Program::start();
    let large = pb::BatchEstimateRequest {
        usages: vec![usage("lip_sync_video", "31s"); 1_000_000],
        ..pb::BatchEstimateRequest::default()
    };
    let bomb = compressed(large).await;
    let before = resident_mib(&server);
    let honest = Honest::start(&server).await;
    let mut peer = Peer::connect(&server.address, &[]).await;
    for number in 0..20 {
        let stream = 2 * number + 1;
        let gzip = [("grpc-encoding", "gzip")];
        assert!(peer.send(&headers(stream, BATCH, &gzip)).await);
        for piece in bomb.chunks(16_384) {
            assert!(peer.send(&frame(DATA, 0, stream, piece)).await);
        }
        assert!(peer.send(&frame(DATA, END_STREAM, stream, &[])).await);
        assert!(peer.sees(|seen| seen.ended.contains_key(&stream)).await);
    }
    let during = resident_mib(&server);
    let p99 = honest.p99().await;
    eprintln!(
        "{} bytes of gzip; MiB {before}, {during}; others' p99 {p99:?}",
        bomb.len()
    );
    assert!(
        during <= before + LEFT_MIB_MAX,
        "{during} MiB after {before}"
    );
    assert!(p99 < OTHERS_P99_MAX, "{p99:?}");
    assert!(peer.send(&call(99, ESTIMATE, &estimate_message())).await);
    assert!(peer.sees(|seen| seen.ended.contains_key(&99)).await);
}

/// Headers that come byte by byte, and a peer that never reads what it has asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_go_on_is_cut() {
    let server = Program::start();
    let batch = batch_message().await;
    let before = resident_mib(&server);
    let honest = Honest::start(&server).await;
    let drip = async {
        let mut peer = Peer::connect(&server.address, &[]).await;
        let began = Instant::now();
        assert!(peer.send(&head(1_000, HEADERS, END_HEADERS, 1)).await);
        while peer.seen().end.is_none() && began.elapsed() < PATIENCE {
            peer.send(&[0]).await;
            peer.sees_within(Duration::from_millis(300), |seen| seen.end.is_some())
                .await;
        }
        began.elapsed()
    };
    let unread = async {
        let windows = [(INITIAL_WINDOW, (1 << 31) - 1)];
        let mut peer = Peer::silent(&server.address, &windows).await;
        let more = frame(WINDOW_UPDATE, 0, 0, &0x7f00_0000_u32.to_be_bytes());
        assert!(peer.send(&more).await);
        let began = Instant::now();
        for number in 0..150 {
            let stream = 2 * number + 1;
            let mut bytes = headers(stream, BATCH, &[("grpc-encoding", "gzip")]);
            bytes.extend(frame(DATA, END_STREAM, stream, &batch));
            if !peer.send(&bytes).await {
                break;
            }
        }
        while !server.log().contains("stall=Write") && began.elapsed() < 2 * PATIENCE {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        began.elapsed()
    };
    let (drip, unread) = tokio::join!(drip, unread);
    let p99 = honest.p99().await;
    let after = resident_mib(&server);
    eprintln!("cut: {drip:?}, {unread:?}; MiB {before}, {after}; others' p99 {p99:?}");
    assert!(
        drip > Duration::from_secs(9) && drip < Duration::from_secs(14),
        "{drip:?}"
    );
    assert!(
        unread > Duration::from_secs(19) && unread < Duration::from_secs(30),
        "{unread:?}"
    );
    assert!(p99 < OTHERS_P99_MAX, "{p99:?}");
    let log = server.log();
    assert!(
        log.contains("stall=Frame") && log.contains("stall=Write"),
        "{log}"
    );
}

/// A message that comes byte by byte, and replies for which there is no window.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_of_a_call_bounds_its_message_and_its_reply() {
    let server = Program::start_with(&["--deadline-ms-max", "500"]);
    let before = resident_mib(&server);
    let honest = Honest::start(&server).await;
    let mut drip = Peer::connect(&server.address, &[]).await;
    assert!(drip.send(&headers(1, ESTIMATE, &[])).await);
    let mut closed = Peer::connect(&server.address, &[(INITIAL_WINDOW, 0)]).await;
    for number in 0..100 {
        let bytes = call(2 * number + 1, ESTIMATE, &estimate_message());
        assert!(closed.send(&bytes).await);
    }
    let began = Instant::now();
    while !drip.seen().ended.contains_key(&1) {
        assert!(began.elapsed() < PATIENCE);
        drip.send(&frame(DATA, 0, 1, &[0])).await;
        drip.sees_within(Duration::from_millis(50), |seen| {
            seen.ended.contains_key(&1)
        })
        .await;
    }
    // Its connection goes on.
    assert!(drip.send(&call(3, ESTIMATE, &estimate_message())).await);
    assert!(
        drip.sees(|seen| seen.ended.get(&3).is_some_and(|b| *b > 0))
            .await
    );
    assert!(closed.sees(|seen| seen.end.is_some()).await);
    let p99 = honest.p99().await;
    let after = resident_mib(&server);
    eprintln!(
        "closed after {:?}; MiB {before}, {after}; others' p99 {p99:?}",
        began.elapsed()
    );
    assert!(after <= before + LEFT_MIB_MAX && p99 < OTHERS_P99_MAX);
}

/// Connections that called once and then only answer are closed; those that are used stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_are_told_to_go_and_used_ones_stay() {
    let server = Program::start_with(&["--connection-idle-seconds-max", "1"]);
    let before = resident_mib(&server);
    let honest = Honest::start(&server).await;
    let mut idle = Vec::new();
    for number in 0..300 {
        let mut peer = Peer::connect(&server.address, &[]).await;
        if number % 2 == 0 {
            assert!(peer.send(&call(1, ESTIMATE, &estimate_message())).await);
        }
        idle.push(peer);
    }
    let mut watcher = Peer::connect(&server.address, &[]).await;
    assert!(watcher.send(&call(1, HEALTH_WATCH, &message(0, &[]))).await);
    let began = Instant::now();
    let during = resident_mib(&server);
    for peer in &mut idle {
        assert!(peer.sees(|seen| seen.end.is_some()).await);
        assert_eq!(peer.seen().go_away, Some((0, String::new())));
    }
    let took = began.elapsed();
    let p99 = honest.p99().await;
    let after = resident_mib(&server);
    eprintln!("closed after {took:?}; MiB {before}, {during}, {after}; others' p99 {p99:?}");
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert!(during.max(after) <= before + LEFT_MIB_MAX && p99 < OTHERS_P99_MAX);
    assert!(watcher.seen().end.is_none() && watcher.seen().go_away.is_none());
}
