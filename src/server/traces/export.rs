//! The queue of calls that have ended, and the thread that sends their spans.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep_until, timeout_at};
use tonic::transport::{Channel, ClientTlsConfig};

use super::ids::{Ids, Of};
use super::limits::{
    EXPORT_INTERVAL, EXPORT_TIMEOUT, PER_MILLION_MAX, QUEUE_CALLS_MAX, SPANS_PER_EXPORT,
};
use super::spans::{Anchor, Server, Spans, count};
use super::{Endpoint, SpanCounts};
use crate::rpc::layer::{TraceId, TracedCall, Tracer};
use crate::server::config::Config;
use crate::server::start_error::{StartError, system};
use crate::server::system_clock::SystemClock;
use crate::store::Clock as _;

/// So much time is between two lines of the log about spans that were dropped.
const DROPPED_LINE_INTERVAL: Duration = Duration::from_secs(60);

/// Traces that are sent.
pub(in crate::server) struct Traces {
    tracer: Arc<Queue>,
    /// Until when what is queued can be sent, once nothing comes any more.
    end: watch::Sender<Option<tokio::time::Instant>>,
    thread: JoinHandle<()>,
}

/// The way in.
#[derive(Debug)]
struct Queue {
    ids: Arc<Ids>,
    calls: mpsc::Sender<TracedCall>,
    counts: Arc<SpanCounts>,
}

impl Tracer for Queue {
    fn begin(&self, calls_per_million: u32) -> Option<TraceId> {
        let id = self.ids.new_id(Of::Trace);
        // The high bits say whether it is traced, and all of them are the id.
        let drawn = (id >> 64).checked_rem(u128::from(PER_MILLION_MAX))?;
        (drawn < u128::from(calls_per_million)).then_some(TraceId(id))
    }

    fn ended(&self, call: TracedCall) {
        if let Err(
            mpsc::error::TrySendError::Full(call) | mpsc::error::TrySendError::Closed(call),
        ) = self.calls.try_send(call)
        {
            self.counts
                .dropped
                .fetch_add(count(&call), Ordering::Relaxed);
        }
    }
}

impl Traces {
    /// Starts the thread, where there is a collector.
    pub(in crate::server) fn start(
        config: &Config,
        address: Option<SocketAddr>,
    ) -> Result<Option<Self>, StartError> {
        let Some(endpoint) = &config.otlp_endpoint else {
            return Ok(None);
        };
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|error| system("traces need random numbers", &error))?;
        let ids = Arc::new(Ids::new(key));
        let server = Server {
            address,
            unix: (config.listen_unix.as_ref()).map(|path| path.display().to_string()),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| system("no runtime for traces", &error))?;
        let exporter = {
            let _within = runtime.enter();
            exporter(endpoint).map_err(|error| system("--otlp-endpoint cannot be used", &error))?
        };
        let (calls, queue) = mpsc::channel(QUEUE_CALLS_MAX);
        let (end, ends) = watch::channel(None);
        let counts: Arc<SpanCounts> = Arc::default();
        let sending = Sending {
            exporter,
            spans: Spans::new(Arc::clone(&ids), server),
            counts: Arc::clone(&counts),
            ends,
            logged: None,
            cause: String::new(),
        };
        let thread = std::thread::Builder::new()
            .name("otlp-export".to_owned())
            .spawn(move || {
                runtime.block_on(sending.run(queue));
                // A look-up of the collector's name that goes on is not waited for.
                runtime.shutdown_background();
            })
            .map_err(|error| system("no thread for traces", &error))?;
        tracing::info!(%endpoint, "sends traces");
        let tracer = Arc::new(Queue { ids, calls, counts });
        Ok(Some(Self {
            tracer,
            end,
            thread,
        }))
    }

    /// Takes calls.
    pub(in crate::server) fn tracer(&self) -> Arc<dyn Tracer> {
        Arc::<Queue>::clone(&self.tracer)
    }

    /// How many spans were sent.
    pub(in crate::server) fn counts(&self) -> Arc<SpanCounts> {
        Arc::clone(&self.tracer.counts)
    }

    /// Sends what is queued, for so long at most, and ends the thread.
    pub(in crate::server) async fn stop(self, bound: Duration) {
        let now = tokio::time::Instant::now();
        let end = now.checked_add(bound).unwrap_or(now);
        self.end.send_replace(Some(end));
        let thread = self.thread;
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the thread that sends traces ended by a panic");
        }
    }
}

/// Sends to the collector, to which it connects when there is something to send.
fn exporter(endpoint: &Endpoint) -> Result<SpanExporter, Box<dyn std::error::Error>> {
    let mut channel = Channel::builder(endpoint.0.clone())
        .connect_timeout(EXPORT_TIMEOUT)
        .timeout(EXPORT_TIMEOUT);
    if endpoint.0.scheme_str() == Some("https") {
        channel = channel.tls_config(ClientTlsConfig::new().with_native_roots())?;
    }
    let mut exporter = SpanExporter::builder()
        .with_tonic()
        .with_channel(channel.connect_lazy())
        .with_timeout(EXPORT_TIMEOUT)
        .build()?;
    let resource = Resource::builder()
        .with_service_name("creditd")
        .with_attribute(opentelemetry::KeyValue::new(
            "service.version",
            env!("CARGO_PKG_VERSION"),
        ))
        .build();
    exporter.set_resource(&resource);
    Ok(exporter)
}

/// The thread.
struct Sending {
    exporter: SpanExporter,
    spans: Spans,
    counts: Arc<SpanCounts>,
    ends: watch::Receiver<Option<tokio::time::Instant>>,
    /// When it was last logged that spans were dropped, and how many there were.
    logged: Option<(Instant, u64)>,
    /// Why the last ones were.
    cause: String,
}

impl Sending {
    async fn run(mut self, mut queue: mpsc::Receiver<TracedCall>) {
        let mut batch = Vec::new();
        while self.collect(&mut queue, &mut batch).await {
            if !self.export(std::mem::take(&mut batch)).await {
                self.wait(EXPORT_INTERVAL).await;
            }
            self.log_dropped();
        }
        // Nothing comes any more. What is queued is sent, unless the collector does not take it.
        queue.close();
        let mut takes = true;
        loop {
            while batch.len() < SPANS_PER_EXPORT
                && let Ok(call) = queue.try_recv()
            {
                self.take(call, &mut batch);
            }
            if batch.is_empty() {
                break;
            }
            let batch = std::mem::take(&mut batch);
            match takes {
                true => takes = self.export(batch).await,
                false => self.drop_spans(batch.len()),
            }
        }
        self.logged = None;
        self.log_dropped();
    }

    /// Collects spans until there are enough, or the first ones have waited. False: the end has
    /// come.
    async fn collect(
        &mut self,
        queue: &mut mpsc::Receiver<TracedCall>,
        batch: &mut Vec<SpanData>,
    ) -> bool {
        let mut due = None;
        loop {
            let is_due = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let call = tokio::select! {
                biased;
                _ = self.ends.wait_for(Option::is_some) => return false,
                () = is_due => return true,
                call = queue.recv() => call,
            };
            let Some(call) = call else { return false };
            self.take(call, batch);
            if batch.len() >= SPANS_PER_EXPORT {
                return true;
            }
            let now = tokio::time::Instant::now();
            due = due.or(now.checked_add(EXPORT_INTERVAL));
        }
    }

    fn take(&mut self, call: TracedCall, batch: &mut Vec<SpanData>) {
        let anchor = Anchor {
            instant: Instant::now(),
            time: SystemClock.now(),
        };
        self.spans.add(call, anchor, batch);
    }

    /// Sends spans, or counts them as dropped. Returns whether they were sent.
    async fn export(&mut self, batch: Vec<SpanData>) -> bool {
        let spans = batch.len();
        let mut ends = self.ends.clone();
        let exported = {
            // With its retries.
            let export = tokio::time::timeout(EXPORT_TIMEOUT, self.exporter.export(batch));
            let mut export = std::pin::pin!(export);
            tokio::select! {
                exported = &mut export => Ok(exported),
                end = until_end(&mut ends) => timeout_at(end, export).await,
            }
        };
        self.cause = match exported {
            Ok(Ok(Ok(()))) => {
                let spans = u64::try_from(spans).unwrap_or(u64::MAX);
                self.counts.sent.fetch_add(spans, Ordering::Relaxed);
                return true;
            }
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(_)) => "the collector does not answer in time".to_owned(),
            Err(_) => "the server stops".to_owned(),
        };
        self.drop_spans(spans);
        false
    }

    fn drop_spans(&self, spans: usize) {
        let spans = u64::try_from(spans).unwrap_or(u64::MAX);
        self.counts.dropped.fetch_add(spans, Ordering::Relaxed);
    }

    /// Waits, or until the end has come.
    async fn wait(&mut self, time: Duration) {
        let ends = self.ends.wait_for(Option::is_some);
        let _ = tokio::time::timeout(time, ends).await;
    }

    /// Logs how many spans were dropped, once in a while.
    fn log_dropped(&mut self) {
        let dropped = self.counts.dropped();
        let (was_logged, before) = match self.logged {
            Some((at, before)) => (at.elapsed() < DROPPED_LINE_INTERVAL, before),
            None => (false, 0),
        };
        if !was_logged && dropped > before {
            self.logged = Some((Instant::now(), dropped));
            let cause = &self.cause;
            tracing::warn!(dropped, cause, "spans of traces were dropped");
        }
    }
}

/// When the server stops, until when it may send.
async fn until_end(
    ends: &mut watch::Receiver<Option<tokio::time::Instant>>,
) -> tokio::time::Instant {
    let end = ends.wait_for(Option::is_some).await;
    let end = end.ok().and_then(|end| *end);
    end.unwrap_or_else(tokio::time::Instant::now)
}
