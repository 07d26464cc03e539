//! Connections are told to have fewer calls at once while their thread cannot keep up, and more
//! again when it can.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use creditd::rpc::pb::creditd::v1 as pb;
use prost::Message as _;

use crate::support::frames::{ACK, Peer, SETTINGS, WINDOW_UPDATE, call, frame};
use crate::support::raw::frame as message_of;
use crate::support::server::Program;
use crate::support::{PATIENCE, estimate, usage};

const ESTIMATE: &str = "/creditd.v1.PricingService/Estimate";
const BATCH_ESTIMATE: &str = "/creditd.v1.PricingService/BatchEstimate";
const WATCH_HEALTH: &str = "/grpc.health.v1.Health/Watch";
/// What every connection is told at first.
const STREAMS_MAX: u32 = 400;

/// A client that has as many calls under way as it may.
struct Client {
    peer: Peer,
    streams: u32,
    open: HashSet<u32>,
    acknowledged: usize,
}

impl Client {
    async fn connect(server: &Program) -> Self {
        let mut peer = Peer::connect(&server.address, &[]).await;
        let window = frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes());
        assert!(peer.send(&window).await);
        // It may not send much before.
        assert!(peer.sees(|seen| seen.count(WINDOW_UPDATE) > 0).await);
        Self {
            peer,
            streams: 0,
            open: HashSet::new(),
            acknowledged: 0,
        }
    }

    fn told(&self) -> Option<u32> {
        self.peer.seen().streams_max.last().copied()
    }

    /// Acknowledges what it was told. Where reads end differs: the acknowledgement comes in parts.
    async fn acknowledge(&mut self) {
        let settings = self.peer.seen().settings;
        while self.acknowledged < settings {
            self.acknowledged += 1;
            for part in frame(SETTINGS, ACK, 0, &[]).chunks(1 + self.acknowledged % 9) {
                assert!(self.peer.send(part).await);
                tokio::task::yield_now().await;
            }
        }
    }

    async fn begin(&mut self, path: &str, message: &[u8]) {
        let stream = 2 * self.streams + 1;
        self.streams += 1;
        self.open.insert(stream);
        assert!(self.peer.send(&call(stream, path, message)).await);
    }

    /// Goes on until `is_enough` of what it was told, or the time is over; whether it was.
    async fn run(
        &mut self,
        at_once: u32,
        message: &(&str, Vec<u8>),
        is_enough: impl Fn(&[u32]) -> bool,
    ) -> bool {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            self.acknowledge().await;
            let enough = {
                let seen = self.peer.seen();
                assert_eq!(seen.go_away, None);
                self.open.retain(|stream| !seen.ended.contains_key(stream));
                is_enough(&seen.streams_max)
            };
            if enough {
                return true;
            }
            let most = at_once.min(self.told().unwrap_or(STREAMS_MAX)) as usize;
            while self.open.len() < most {
                self.begin(message.0, &message.1).await;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        false
    }
}

fn one() -> (&'static str, Vec<u8>) {
    let message = estimate("lip_sync_video", "31s").encode_to_vec();
    (ESTIMATE, message_of(0, &message))
}

fn some() -> (&'static str, Vec<u8>) {
    let batch = pb::BatchEstimateRequest {
        usages: vec![usage("lip_sync_video", "31s"); 20],
        ..pb::BatchEstimateRequest::default()
    };
    (BATCH_ESTIMATE, message_of(0, &batch.encode_to_vec()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_connections_have_fewer_calls_at_once_while_there_is_too_much() {
    let server = Program::start_with(&["--threads", "1"]);
    let mut busy = Vec::new();
    for _ in 0..8 {
        busy.push(Client::connect(&server).await);
    }
    let mut quiet = Client::connect(&server).await;
    let (one, some) = (one(), some());
    let is_low = |told: &[u32]| told.last().is_some_and(|last| *last < 100);
    let is_high = |told: &[u32]| told.len() > 1 && told.last() == Some(&STREAMS_MAX);

    let floods = futures_util::future::join_all(
        (busy.iter_mut()).map(|client| client.run(STREAMS_MAX, &some, is_low)),
    );
    let beside = quiet.run(1, &one, |_| false);
    let lowered = tokio::select! {
        lowered = floods => lowered,
        _ = beside => panic!("the calls were not too many"),
    };
    assert!(lowered.iter().all(|lowered| *lowered), "{lowered:?}");
    // One call at a time is not what there is too much of.
    assert_eq!(quiet.peer.seen().streams_max, [STREAMS_MAX]);

    // It calms down: they make no further calls, and may have as many as before.
    let raised = futures_util::future::join_all(
        (busy.iter_mut()).map(|client| client.run(0, &some, is_high)),
    );
    let raised = raised.await;
    assert!(raised.iter().all(|raised| *raised), "{raised:?}");
    for client in &mut busy {
        client.acknowledge().await;
        client.begin(one.0, &one.1).await;
        let last = 2 * client.streams - 1;
        let answered = |seen: &crate::support::frames::Seen| seen.ended.contains_key(&last);
        assert!(client.peer.sees(answered).await);
        assert_eq!(client.peer.seen().go_away, None);
    }
}

/// Watches are no load: a connection that has many can make calls beside them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_do_not_count() {
    const WATCHES: u32 = 100;
    let server = Program::start_with(&["--threads", "1"]);
    let mut busy = Vec::new();
    for _ in 0..8 {
        busy.push(Client::connect(&server).await);
    }
    for _ in 0..WATCHES {
        busy[0].begin(WATCH_HEALTH, &message_of(0, &[])).await;
    }
    let some = some();
    let runs = busy.iter_mut().enumerate().map(|(number, client)| {
        let watches = if number == 0 { WATCHES } else { 0 };
        client.run(STREAMS_MAX, &some, move |told| {
            told.last().is_some_and(|last| *last < 100 + watches)
        })
    });
    let lowered = futures_util::future::join_all(runs).await;
    assert!(lowered.iter().all(|lowered| *lowered), "{lowered:?}");
    let told = busy[0].told();
    assert!(told.is_some_and(|told| told >= WATCHES + 16), "{told:?}");
}
