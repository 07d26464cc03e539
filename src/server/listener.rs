//! The listener: bound once, it hands connections to the threads that serve. A listener a
//! thread with SO_REUSEPORT was considered: it spreads few connections badly, and a second
//! server on the same port would not be refused.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};

use super::StartError;
use super::lines::Kind;
use super::live::Live;
use super::stream::StdStream;
use super::tls::Tls;
use super::unix::Listening;
use super::worker::Workers;
use crate::rpc::peer::PeerAddress;

/// Connections that the system queues until they are accepted.
pub(super) const BACKLOG: u32 = 4_096;
/// How long to wait where a connection cannot be accepted, such as for want of file descriptors.
pub(super) const NO_ROOM_PAUSE: Duration = Duration::from_millis(20);

/// Takes the address, without listening yet: a port in use is found before any
/// file is made.
pub(super) fn reserve(address: SocketAddr, option: &str) -> Result<TcpSocket, StartError> {
    let take = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        // So that a restart finds its port; a port in use is still refused.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    };
    take().map_err(|error| refused(address, option, &error))
}

/// Listens: from now on there are connections, of which so many wait until they are accepted.
pub(super) fn listen(
    socket: TcpSocket,
    address: SocketAddr,
    option: &str,
    backlog: u32,
) -> Result<TcpListener, StartError> {
    socket
        .listen(backlog)
        .map_err(|error| refused(address, option, &error))
}

fn refused(address: SocketAddr, option: &str, error: &std::io::Error) -> StartError {
    StartError::Listen(match error.kind() {
        std::io::ErrorKind::AddrInUse => format!(
            "cannot listen on {address}: another program does; stop it, or choose another port by {option}"
        ),
        std::io::ErrorKind::PermissionDenied => format!(
            "cannot listen on {address}: this user may not; choose a port above 1023 by {option}"
        ),
        std::io::ErrorKind::AddrNotAvailable => format!(
            "cannot listen on {address}: this machine has no such address; choose one that it has by {option}"
        ),
        _ => format!("cannot listen on {address}: {error}; choose another by {option}"),
    })
}

/// Accepts connections, for ever, and hands them to the threads.
pub(super) async fn accept(
    (listener, tls): (&TcpListener, Option<&Arc<Tls>>),
    unix: Option<&Listening>,
    workers: &Workers,
    limits: &Live,
) -> Infallible {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted.and_then(|(stream, peer)| {
                // Replies are small: they must not wait for more bytes.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "no TCP_NODELAY");
                }
                Ok((StdStream::Tcp(stream.into_std()?), PeerAddress::Tcp(peer)))
            }),
            accepted = accept_unix(unix) => accepted,
        };
        match accepted {
            Ok((stream, peer)) => hand_out(stream, peer, tls, workers, limits.connections_max()),
            Err(error) => {
                // Without a pause a lack of file descriptors would be a busy loop.
                if workers.lines.permit(Kind::Failed) {
                    tracing::warn!(%error, "a connection could not be accepted");
                }
                tokio::time::sleep(NO_ROOM_PAUSE).await;
            }
        }
    }
}

/// The next connection by way of the file system, where there is one.
async fn accept_unix(listener: Option<&Listening>) -> std::io::Result<(StdStream, PeerAddress)> {
    match listener {
        Some(listener) => Ok((listener.accept().await?, PeerAddress::Unix)),
        None => std::future::pending().await,
    }
}

fn hand_out(
    stream: StdStream,
    peer: PeerAddress,
    tls: Option<&Arc<Tls>>,
    workers: &Workers,
    connections_max: usize,
) {
    if workers.connections() >= connections_max {
        if workers.lines.permit(Kind::Refused) {
            tracing::warn!(
                limit = connections_max,
                "a connection was refused: --connections-max"
            );
        }
        return;
    }
    // Who may open the socket in the file system is on this machine.
    let tls = match stream {
        StdStream::Tcp(_) => tls.cloned(),
        StdStream::Unix(_) => None,
    };
    workers.serve(stream, peer, tls);
}
