//! The tower layers of every call, around services that misbehave.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use creditd::app::Queued;
use creditd::app::access::{Access, Authentication};
use creditd::rpc::layer::{
    Admission, Call, CallLimits, CallLines, Counters, LiveLimits, MeteredBody, Observer, Settings,
    Totals, stack,
};
use creditd::rpc::method::Method;
use creditd::rpc::pb::creditd::v1::ErrorReason;
use creditd::rpc::refused::{Load, Resource, RpcRefusal, retry_delay};
use http::{Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use tokio::sync::Semaphore;
use tokio_stream::Stream;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Service, ServiceExt as _, service_fn};

use creditd::server::SystemClock;

use crate::support::PATIENCE;
use crate::support::refusal::Refusal;

/// A ledger that can always write.
struct Admits;

impl Admission for Admits {
    fn refuses_writes(&self) -> Option<RpcRefusal> {
        None
    }
}

const LIMITS: CallLimits = CallLimits {
    slow_call_min: None,
    calls_max: 2,
    call_memory_bytes_max: 64 << 20,
    watchers_max: 2,
    deadline_max: Duration::from_millis(80),
    log_calls: false,
    trace_calls_per_million: 0,
};

fn settings(observer: Arc<dyn Observer>) -> Settings {
    Settings {
        limits: LiveLimits::new(&LIMITS),
        access: Arc::new(Access::new(Authentication::Off, Arc::new(SystemClock), 0)),
        admission: Arc::new(Admits),
        observer,
        lines: Arc::new(CallLines::new(Instant::now())),
        tracer: None,
    }
}

fn request(path: &str, timeout: Option<&str>) -> Request<Body> {
    let mut request = Request::post(format!("http://x{path}"));
    if let Some(timeout) = timeout {
        request = request.header("grpc-timeout", timeout);
    }
    request.body(Body::empty()).unwrap()
}

const PATH: &str = "/creditd.v1.PricingService/Estimate";

fn refusal_of<B>(response: &Response<B>) -> Refusal {
    assert!(!response.headers()["x-request-id"].is_empty());
    Refusal::of(&Status::from_header_map(response.headers()).unwrap())
}

/// When another try is worth it.
fn delay_of<B>(response: &Response<B>) -> Duration {
    let status = Status::from_header_map(response.headers()).unwrap();
    let delay = retry_delay(status.details()).unwrap();
    delay.try_into().unwrap()
}

fn good() -> Response<Body> {
    Response::new(Body::empty())
}

#[tokio::test]
async fn a_panic_is_internal_for_its_call_alone() {
    let counters = Arc::new(Counters::new(2));
    let mut service = stack(&settings(counters.clone())).service(service_fn(
        |request: Request<MeteredBody<Body>>| {
            assert!(
                !request.uri().path().ends_with("early"),
                "a defect before the call"
            );
            async move {
                assert!(
                    !request.uri().path().ends_with("late"),
                    "a defect in the call"
                );
                Ok::<_, Infallible>(good())
            }
        },
    ));
    for path in ["/x/early", "/x/late"] {
        let response = service
            .ready()
            .await
            .unwrap()
            .call(request(path, None))
            .await
            .unwrap();
        let refusal = refusal_of(&response);
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::Internal, "INTERNAL")
        );
        let id = response.headers()["x-request-id"].to_str().unwrap();
        assert_eq!(
            refusal.metadata["x_request_id"], id,
            "by which the log is found"
        );
        assert!(
            !refusal.message.contains("a defect in the call"),
            "what happened stays in the log"
        );
    }
    let response = service
        .ready()
        .await
        .unwrap()
        .call(request(PATH, None))
        .await
        .unwrap();
    assert!(!response.headers().contains_key("grpc-status"));
    let expected = Totals {
        started: 3,
        handled: 3,
        refused: 2,
        cancelled: 0,
    };
    assert_eq!(counters.totals(), expected);
}

/// A reply of one message: data, then trailers, each when it is asked for.
fn reply_of(status: Status) -> Response<Body> {
    let mut trailers = http::HeaderMap::new();
    status.add_header(&mut trailers).unwrap();
    let frames = [
        Frame::data(Bytes::from_static(b"message")),
        Frame::trailers(trailers),
    ];
    let frames = tokio_stream::iter(frames.map(Ok::<_, Status>));
    Response::new(Body::new(StreamBody(frames)))
}

/// A body of frames that come from a stream.
struct StreamBody<S>(S);

impl<S> http_body::Body for StreamBody<S>
where
    S: Stream<Item = Result<Frame<Bytes>, Status>> + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.0).poll_next(context)
    }
}

/// A call ends with the last frame of its reply, and not with its headers. One that the client
/// gives up before is cancelled, at whatever point.
#[tokio::test]
async fn a_call_ends_when_its_trailers_are_taken() {
    let counters = Arc::new(Counters::new(2));
    let settings = Settings {
        limits: LiveLimits::new(&CallLimits {
            calls_max: 8,
            ..LIMITS
        }),
        ..settings(counters.clone())
    };
    let mut service =
        stack(&settings).service(service_fn(|request: Request<MeteredBody<Body>>| {
            let path = request.uri().path().to_owned();
            async move {
                if path == "/x/waits" {
                    pending::<()>().await;
                }
                let status = match path.as_str() {
                    "/x/fails" => Status::data_loss("in the middle"),
                    _ => Status::ok(""),
                };
                Ok::<_, Infallible>(reply_of(status))
            }
        }));
    let ended = |totals: [u64; 4]| {
        let [started, handled, refused, cancelled] = totals;
        let expected = Totals {
            started,
            handled,
            refused,
            cancelled,
        };
        assert_eq!(counters.totals(), expected);
    };
    let mut call = |path| service.call(request(path, None));
    let mut reply = call("/x/good").await.unwrap().into_body();
    ended([1, 0, 0, 0]);
    let mut reply = Pin::new(&mut reply);
    let mut next = async || poll_fn(|context| reply.as_mut().poll_frame(context)).await;
    assert!(next().await.unwrap().unwrap().is_data());
    ended([1, 0, 0, 0]);
    assert!(next().await.unwrap().unwrap().is_trailers());
    ended([1, 1, 0, 0]);
    // Trailers that tell of a refusal.
    let mut reply = call("/x/fails").await.unwrap().into_body();
    let mut reply = Pin::new(&mut reply);
    while let Some(frame) = poll_fn(|context| reply.as_mut().poll_frame(context)).await {
        frame.unwrap();
    }
    ended([2, 2, 1, 0]);
    // Given up while it waits, and while its reply is read.
    let waiting = tokio::time::timeout(Duration::from_millis(1), call("/x/waits"));
    assert!(waiting.await.is_err());
    ended([3, 3, 1, 1]);
    drop(call("/x/good").await.unwrap());
    ended([4, 4, 1, 2]);
}

#[tokio::test]
async fn the_smaller_deadline_holds() {
    let counters = Arc::new(Counters::new(2));
    let mut service =
        stack(&settings(counters)).service(service_fn(|_: Request<MeteredBody<Body>>| async {
            pending::<()>().await;
            Ok::<_, Infallible>(good())
        }));
    for (timeout, expected) in [
        (Some("20m"), "20"),
        (Some("1500u"), "1"),
        (Some("10S"), "80"),
        (Some("rubbish"), "80"),
        (None, "80"),
    ] {
        let response = service
            .ready()
            .await
            .unwrap()
            .call(request(PATH, timeout))
            .await
            .unwrap();
        let refusal = refusal_of(&response);
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::DeadlineExceeded, "DEADLINE_EXCEEDED")
        );
        assert_eq!(refusal.metadata["deadline_ms"], expected, "{timeout:?}");
    }
}

/// Limits that change hold for the next call.
#[tokio::test]
async fn limits_change_between_calls() {
    let settings = settings(Arc::new(Counters::new(2)));
    let mut service =
        stack(&settings).service(service_fn(|request: Request<MeteredBody<Body>>| async {
            // A call takes its permit when its message has come.
            drop(request.into_body().collect().await);
            pending::<()>().await;
            Ok::<_, Infallible>(good())
        }));
    for (calls_max, deadline_ms, expected) in [
        (2, 80, "DEADLINE_EXCEEDED 80"),
        (2, 20, "DEADLINE_EXCEEDED 20"),
        (0, 20, "SERVER_OVERLOADED 0"),
        (2, 30, "DEADLINE_EXCEEDED 30"),
    ] {
        settings.limits.set(&CallLimits {
            calls_max,
            deadline_max: Duration::from_millis(deadline_ms),
            ..LIMITS
        });
        let response = service.ready().await.unwrap().call(request(PATH, None));
        let refusal = refusal_of(&response.await.unwrap());
        let figure = refusal.metadata.get("deadline_ms");
        let figure = figure.or_else(|| refusal.metadata.get("limit")).unwrap();
        assert_eq!(format!("{} {figure}", refusal.reason), expected);
    }
}

#[tokio::test]
async fn what_is_over_the_limit_is_shed_at_once_and_health_is_let_through() {
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    let counters = Arc::new(Counters::new(2));
    let settings = Settings {
        limits: LiveLimits::new(&CallLimits {
            deadline_max: Duration::from_secs(60),
            ..LIMITS
        }),
        ..settings(counters)
    };
    let entered = Arc::new(AtomicUsize::new(0));
    let entering = entered.clone();
    let service =
        stack(&settings).service(service_fn(move |request: Request<MeteredBody<Body>>| {
            let gate = waiting.clone();
            entering.fetch_add(1, Ordering::SeqCst);
            async move {
                let is_health = request.uri().path().starts_with("/grpc.health");
                // A call takes its permit when its message has come.
                if request.into_body().collect().await.is_err() {
                    return Ok(Status::unavailable("").into_http());
                }
                if !is_health {
                    gate.acquire().await.unwrap().forget();
                }
                Ok::<_, Infallible>(good())
            }
        }));
    let call = |path: &'static str| service.clone().oneshot(request(path, None));
    let first = tokio::spawn(call(PATH));
    let second = tokio::spawn(call(PATH));
    // Both are in, and wait.
    let start = Instant::now();
    while entered.load(Ordering::SeqCst) < 2 {
        assert!(start.elapsed() < PATIENCE);
        tokio::task::yield_now().await;
    }
    let refusal = refusal_of(&call(PATH).await.unwrap());
    let soon = delay_of(&call(PATH).await.unwrap());
    assert!((62..=150).contains(&soon.as_millis()), "{soon:?}");
    // The more is refused, the later is another try.
    let start = Instant::now();
    while delay_of(&call(PATH).await.unwrap()) < Duration::from_secs(4) {
        assert!(start.elapsed() < PATIENCE);
        tokio::task::yield_now().await;
    }
    assert_eq!(
        (refusal.code, refusal.reason.as_str()),
        (Code::Unavailable, "SERVER_OVERLOADED")
    );
    assert_eq!(refusal.metadata["limit"], "2");
    assert_eq!(refusal.metadata["resource"], "calls in flight");
    let health = call("/grpc.health.v1.Health/Check").await.unwrap();
    assert!(!health.headers().contains_key("grpc-status"));
    // A place is given back when its call is done, and when its caller goes away.
    gate.add_permits(1);
    first.await.unwrap().unwrap();
    second.abort();
    let _ = second.await;
    gate.add_permits(2);
    for _ in 0..2 {
        assert!(
            !call(PATH)
                .await
                .unwrap()
                .headers()
                .contains_key("grpc-status")
        );
    }
}

/// What tonic refuses by itself gets a reason; what has one keeps it.
#[tokio::test]
async fn refusals_without_a_reason_are_completed() {
    let counters = Arc::new(Counters::new(2));
    let mut service =
        stack(&settings(counters)).service(service_fn(|request: Request<MeteredBody<Body>>| {
            let status = match request.uri().path() {
                "/gone" => Status::cancelled("stream no longer needed"),
                "/flagged" => Status::internal(
                    "protocol error: received message with compressed-flag but no grpc-encoding was specified",
                ),
                "/large" => Status::out_of_range("decoded message length too large"),
                "/broken" => Status::internal("Unexpected EOF decoding stream."),
                "/squeezed" => Status::unimplemented("Content is compressed with `snappy`"),
                _ => Status::not_found("of health"),
            };
            async move { Ok::<_, Infallible>(status.into_http()) }
        }));
    for (path, code, reason) in [
        ("/large", Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
        ("/broken", Code::InvalidArgument, "MALFORMED_MESSAGE"),
        ("/squeezed", Code::Unimplemented, "UNSUPPORTED_ENCODING"),
        ("/flagged", Code::Unimplemented, "UNSUPPORTED_ENCODING"),
    ] {
        let response = service
            .ready()
            .await
            .unwrap()
            .call(request(path, None))
            .await
            .unwrap();
        let refusal = refusal_of(&response);
        assert_eq!((refusal.code, refusal.reason.as_str()), (code, reason));
    }
    for (path, code) in [("/gone", Code::Cancelled), ("/other", Code::NotFound)] {
        let service = service.ready().await.unwrap();
        let response = service.call(request(path, None)).await.unwrap();
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), code);
    }
}

fn path_of(method: Option<&'static Method>) -> &'static str {
    method.map_or("", |method| method.path)
}

#[tokio::test]
async fn the_observer_hears_of_every_call() {
    #[derive(Default)]
    struct Notes(std::sync::Mutex<Vec<String>>);
    impl Observer for Notes {
        fn started(&self, method: Option<&'static Method>) {
            self.note(format!("started {}", path_of(method)));
        }
        fn reloaded(&self, _was_taken: bool) {}
        fn items_refused(&self, reason: ErrorReason, items: u64) {
            self.note(format!("{items} {reason:?}"));
        }
        fn handled(&self, call: &Call) {
            self.note(format!("{} {:?}", path_of(call.method), call.code));
        }
    }
    impl Notes {
        fn note(&self, text: String) {
            self.0.lock().unwrap().push(text);
        }
    }
    let notes = Arc::new(Notes::default());
    let mut service = stack(&settings(notes.clone())).service(service_fn(
        |request: Request<MeteredBody<Body>>| {
            let known = request.uri().path() == PATH;
            async move {
                Ok::<_, Infallible>(if known {
                    good()
                } else {
                    Status::not_found("").into_http()
                })
            }
        },
    ));
    for path in [PATH, "/made/up"] {
        let service = service.ready().await.unwrap();
        service.call(request(path, None)).await.unwrap();
    }
    let notes = notes.0.lock().unwrap().clone();
    // A name that a caller makes up is no label of a metric.
    assert_eq!(
        notes,
        [
            &format!("started {PATH}"),
            &format!("{PATH} Ok"),
            "started ",
            " NotFound"
        ]
    );
}

/// A ledger that has more to write than it can.
struct Overloaded;

impl Admission for Overloaded {
    fn refuses_writes(&self) -> Option<RpcRefusal> {
        Some(RpcRefusal::Overloaded {
            limit: 9,
            resource: Resource::Queued(Queued::Commands),
            load: Load::default(),
        })
    }
}

/// Single writes are refused before they are read; a batch asks the ledger by itself.
#[tokio::test]
async fn what_an_overloaded_ledger_would_refuse_is_not_read() {
    let settings = Settings {
        admission: Arc::new(Overloaded),
        ..settings(Arc::new(Counters::new(2)))
    };
    let called = Arc::new(AtomicUsize::new(0));
    let calls = called.clone();
    let mut service = stack(&settings).service(service_fn(move |_: Request<MeteredBody<Body>>| {
        calls.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, Infallible>(good()) }
    }));
    for (method, is_called) in [
        ("LedgerService/Charge", false),
        ("LedgerService/Grant", false),
        ("LedgerService/SettleHold", false),
        ("LedgerService/UpdateAccount", false),
        ("LedgerService/BatchCharge", true),
        ("LedgerService/GetBalance", true),
        ("LedgerService/ListEntries", true),
        ("PricingService/Estimate", true),
        ("AdminService/PublishRateCard", true),
    ] {
        let before = called.load(Ordering::Relaxed);
        let path = format!("/creditd.v1.{method}");
        let ready = service.ready().await.unwrap();
        let response = ready.call(request(&path, None)).await.unwrap();
        let was_called = called.load(Ordering::Relaxed) > before;
        assert_eq!(was_called, is_called, "{method}");
        if !is_called {
            let refusal = refusal_of(&response);
            assert_eq!(refusal.reason, "SERVER_OVERLOADED", "{method}");
            let resource = "writes and reads waiting for the ledger";
            assert_eq!(refusal.metadata["resource"], resource);
        }
    }
}
