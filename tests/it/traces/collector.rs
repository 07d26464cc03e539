//! A collector of the tests: it takes traces by OTLP over gRPC, or does not.

use std::sync::{Arc, Mutex};

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};
use tower::ServiceExt as _;

use crate::support::authority::Pair;

/// What it does with spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    Take,
    Refuse,
    Hang,
}

/// A collector that runs, until this is dropped.
pub struct Collector {
    pub url: String,
    /// All that was sent.
    pub requests: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    /// The metadata of the newest of them.
    pub metadata: Arc<Mutex<MetadataMap>>,
    /// It stops when this is dropped.
    _stop: oneshot::Sender<()>,
}

#[derive(Clone)]
struct Service {
    does: Does,
    taken: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    metadata: Arc<Mutex<MetadataMap>>,
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        *self.metadata.lock().unwrap() = request.metadata().clone();
        match self.does {
            Does::Take => {
                self.taken.lock().unwrap().push(request.into_inner());
                Ok(Response::new(ExportTraceServiceResponse::default()))
            }
            Does::Refuse => Err(Status::permission_denied("no traces of yours")),
            Does::Hang => std::future::pending().await,
        }
    }
}

async fn serve(
    listener: std::net::TcpListener,
    service: TraceServiceServer<Service>,
    tls: Option<TlsAcceptor>,
) {
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service.clone();
        let answer = service_fn(move |request| service.clone().oneshot(request));
        let connection = http2::Builder::new(TokioExecutor::new());
        let tls = tls.clone();
        tokio::spawn(async move {
            // A peer that ends the connection is no failure of the collector.
            let _ = match tls {
                None => {
                    connection
                        .serve_connection(TokioIo::new(stream), answer)
                        .await
                }
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => {
                        connection
                            .serve_connection(TokioIo::new(stream), answer)
                            .await
                    }
                    Err(_) => Ok(()),
                },
            };
        });
    }
}

/// TLS with this certificate.
fn acceptor((certificate, key): &Pair) -> TlsAcceptor {
    let certificates = CertificateDer::pem_slice_iter(certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates.map(Result::unwrap).collect(), key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

impl Collector {
    pub fn start(does: Does) -> Self {
        Self::start_with(does, None)
    }

    /// One that takes spans over TLS alone.
    pub fn start_tls(pair: &Pair) -> Self {
        Self::start_with(Does::Take, Some(acceptor(pair)))
    }

    fn start_with(does: Does, tls: Option<TlsAcceptor>) -> Self {
        let (taken, metadata) = (Arc::default(), Arc::default());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let service = TraceServiceServer::new(Service {
            does,
            taken: Arc::clone(&taken),
            metadata: Arc::clone(&metadata),
        });
        let (stop, stopped) = oneshot::channel();
        std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, service, tls) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            url,
            requests: taken,
            metadata,
            _stop: stop,
        }
    }

    /// All spans.
    pub fn spans(&self) -> Vec<Span> {
        let requests = self.requests.lock().unwrap().clone();
        let resources = requests.into_iter();
        let resources = resources.flat_map(|request| request.resource_spans);
        let scopes = resources.flat_map(|of_resource| of_resource.scope_spans);
        scopes.flat_map(|of_scope| of_scope.spans).collect()
    }
}
