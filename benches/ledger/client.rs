//! gRPC over HTTP/2 with as little as it takes: the load shares the machine with the
//! server.

use bytes::Bytes;
use h2::client::SendRequest;
use http::HeaderMap;
use tokio::net::TcpStream;

/// Replies are read as they come and never wait for room.
const WINDOW_BYTES: u32 = 64 << 20;
/// Compressed or not, and the length of the message.
pub const PREFIX_BYTES: usize = 5;

/// A method of the server, as the head of its calls.
#[derive(Clone)]
pub struct Method {
    uri: http::Uri,
    headers: HeaderMap,
}

impl Method {
    pub fn new(address: &str, name: &str) -> Self {
        let uri = format!("http://{address}/creditd.v1.LedgerService/{name}");
        let mut headers = HeaderMap::new();
        let value = http::HeaderValue::from_static;
        headers.insert("content-type", value("application/grpc"));
        headers.insert("te", value("trailers"));
        Self {
            uri: uri.parse().expect("it is a URI"),
            headers,
        }
    }

    fn head(&self) -> http::Request<()> {
        let mut head = http::Request::new(());
        *head.method_mut() = http::Method::POST;
        *head.version_mut() = http::Version::HTTP_2;
        *head.uri_mut() = self.uri.clone();
        *head.headers_mut() = self.headers.clone();
        head
    }
}

/// One connection, for many calls at once.
#[derive(Clone)]
pub struct Connection(SendRequest<Bytes>);

impl Connection {
    pub async fn open(address: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(address).await.map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        let handshake = h2::client::Builder::new()
            .initial_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .handshake(stream);
        let (sender, connection) = handshake.await.map_err(text)?;
        tokio::spawn(async move {
            // Calls say what became of them.
            let _ = connection.await;
        });
        Ok(Self(sender))
    }

    /// Sends a frame and reads the message of the reply. Err: anything but success.
    pub async fn call(
        &mut self,
        method: &Method,
        frame: Bytes,
        reply: &mut Vec<u8>,
    ) -> Result<(), String> {
        std::future::poll_fn(|context| self.0.poll_ready(context))
            .await
            .map_err(text)?;
        let (response, mut body) = self.0.send_request(method.head(), false).map_err(text)?;
        body.send_data(frame, true).map_err(text)?;
        let response = response.await.map_err(text)?;
        let (head, mut body) = response.into_parts();
        if head.status != 200 {
            return Err(format!("HTTP status {}", head.status));
        }
        reply.clear();
        while let Some(chunk) = body.data().await {
            let chunk = chunk.map_err(text)?;
            body.flow_control()
                .release_capacity(chunk.len())
                .map_err(text)?;
            reply.extend_from_slice(&chunk);
        }
        match body.trailers().await.map_err(text)? {
            Some(trailers) => succeeded(&trailers)?,
            None => succeeded(&head.headers)?,
        }
        message(reply)
    }
}

fn succeeded(trailers: &HeaderMap) -> Result<(), String> {
    match trailers.get("grpc-status").map(http::HeaderValue::as_bytes) {
        Some(b"0") => Ok(()),
        Some(_) => Err(tonic::Status::from_header_map(trailers).map_or_else(String::new, text)),
        None => Err("a reply without a status".to_owned()),
    }
}

/// Takes the prefix off a reply that is one whole frame.
fn message(reply: &mut Vec<u8>) -> Result<(), String> {
    let prefix = reply.first_chunk::<PREFIX_BYTES>();
    let Some([0, length @ ..]) = prefix else {
        return Err("a reply without a message".to_owned());
    };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if reply.len() != PREFIX_BYTES + length {
        return Err("a reply that is not one whole message".to_owned());
    }
    reply.drain(..PREFIX_BYTES);
    Ok(())
}

/// A frame around a message.
pub fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a message is small");
    let mut frame = Vec::with_capacity(PREFIX_BYTES + message.len());
    frame.push(0);
    frame.extend(length.to_be_bytes());
    frame.extend(message);
    frame
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
