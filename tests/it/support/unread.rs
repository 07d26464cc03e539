//! A peer that reads no replies.

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};

use super::raw::frame;
use super::server::Running;

/// A connection whose window for replies is closed.
pub struct Unread {
    sender: SendRequest<Bytes>,
    address: String,
}

impl Unread {
    pub async fn connect(server: &Running) -> Self {
        let stream = tokio::net::TcpStream::connect(&server.address).await;
        let mut builder = h2::client::Builder::new();
        builder
            .initial_window_size(0)
            .initial_max_send_streams(1_000);
        let (sender, connection) = builder.handshake(stream.unwrap()).await.unwrap();
        tokio::spawn(connection);
        Self {
            sender,
            address: server.address.clone(),
        }
    }

    pub async fn call(&self, path: &str, message: &impl prost::Message) -> ResponseFuture {
        let post = http::Request::post(format!("http://{}{path}", self.address))
            .header("content-type", "application/grpc")
            .body(())
            .unwrap();
        let mut sender = self.sender.clone().ready().await.unwrap();
        let (response, mut out) = sender.send_request(post, false).unwrap();
        let body = frame(0, &message.encode_to_vec());
        out.send_data(body.into(), true).unwrap();
        response
    }
}
