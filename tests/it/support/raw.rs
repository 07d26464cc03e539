//! HTTP/2 by hand, for what no gRPC client would send.

use bytes::Bytes;
use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::pb::creditd::v1::pricing_service_client::PricingServiceClient;
use h2::client::{ResponseFuture, SendRequest};
use tonic::codec::CompressionEncoding;

use super::refusal::Refusal;
use super::server::Running;

/// A connection that sends what it is told to, and not what gRPC says.
pub struct Raw {
    sender: SendRequest<Bytes>,
    address: String,
}

/// What came back: HTTP's status and, where there is one, gRPC's.
pub struct Answer {
    pub http: u16,
    pub status: Option<tonic::Status>,
    pub headers: http::HeaderMap,
    pub body: Vec<u8>,
}

impl Raw {
    pub async fn connect(server: &Running) -> Self {
        Self::connect_to(&server.address).await
    }

    pub async fn connect_to(address: &str) -> Self {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let mut builder = h2::client::Builder::new();
        // Replies come also while others are not read.
        builder
            .initial_window_size(1 << 24)
            .initial_connection_window_size(1 << 30);
        let (sender, connection) = builder.handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self {
            sender,
            address: address.to_owned(),
        }
    }

    pub async fn send(&mut self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        self.send_in_pieces(path, headers, vec![body]).await
    }

    /// Sends a body by one frame of HTTP/2 for each of its pieces.
    pub async fn send_in_pieces(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        pieces: Vec<Vec<u8>>,
    ) -> Answer {
        let mut request = http::Request::post(format!("http://{}{path}", self.address));
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/grpc");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut sender = self.sender.clone().ready().await.unwrap();
        let (response, mut out) = sender
            .send_request(request.body(()).unwrap(), false)
            .unwrap();
        let count = pieces.len();
        for (number, piece) in pieces.into_iter().enumerate() {
            // The server may answer before it has read everything.
            let _ = out.send_data(piece.into(), number + 1 == count);
        }
        Self::answer(response).await
    }

    /// The whole answer to a call.
    pub async fn answer(response: ResponseFuture) -> Answer {
        let response = response.await.unwrap();
        let http = response.status().as_u16();
        let headers = response.headers().clone();
        let mut incoming = response.into_body();
        let mut body = Vec::new();
        while let Some(chunk) = incoming.data().await {
            let chunk = chunk.unwrap();
            incoming
                .flow_control()
                .release_capacity(chunk.len())
                .unwrap();
            body.extend_from_slice(&chunk);
        }
        let trailers = incoming.trailers().await.unwrap().unwrap_or_default();
        let status = tonic::Status::from_header_map(&headers)
            .or_else(|| tonic::Status::from_header_map(&trailers));
        Answer {
            http,
            status,
            headers,
            body,
        }
    }

    pub async fn refusal(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Refusal {
        let answer = self.send(path, headers, body).await;
        assert_eq!(answer.http, 200);
        Refusal::of(&answer.status.unwrap())
    }

    /// Begins a call whose body never comes; what the server says in the end.
    pub async fn begin(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (ResponseFuture, h2::SendStream<Bytes>) {
        let mut request = http::Request::post(format!("http://{}{path}", self.address))
            .header("content-type", "application/grpc");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut sender = self.sender.clone().ready().await.unwrap();
        let (response, body) = sender
            .send_request(request.body(()).unwrap(), false)
            .unwrap();
        // Dropping the body resets the call.
        (response, body)
    }
}

/// What a client sends that compresses its requests.
pub async fn compressed(request: pb::BatchEstimateRequest) -> Bytes {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let client = tokio::spawn(async move {
        let endpoint = tonic::transport::Endpoint::from_shared(address).unwrap();
        let channel = endpoint.connect().await.unwrap();
        let gzip = CompressionEncoding::Gzip;
        let mut client = PricingServiceClient::new(channel).send_compressed(gzip);
        client.batch_estimate(request).await
    });
    let (stream, _) = listener.accept().await.unwrap();
    let mut connection = h2::server::handshake(stream).await.unwrap();
    let (call, _respond) = connection.accept().await.unwrap().unwrap();
    let collect = async {
        let mut bytes = Vec::new();
        let mut body = call.into_body();
        while let Some(chunk) = body.data().await {
            bytes.extend_from_slice(&chunk.unwrap());
        }
        bytes
    };
    let bytes = tokio::select! {
        bytes = collect => bytes,
        _ = connection.accept() => panic!("there is one call"),
    };
    client.abort();
    assert_eq!(bytes[0], 1, "it is compressed");
    bytes.into()
}

/// A gRPC frame.
pub fn frame(compressed: u8, message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![compressed];
    bytes.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    bytes.extend(message);
    bytes
}
