//! Who is at the other end of a connection.

use std::fmt;
use std::net::SocketAddr;

/// The address of a connection's peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAddress {
    /// Over TCP.
    Tcp(SocketAddr),
    /// By the socket in the file system, where peers have no addresses.
    Unix,
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix => formatter.write_str("unix"),
        }
    }
}
