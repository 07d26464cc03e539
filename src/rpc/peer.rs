//! Who is at the other end of a connection.

use std::fmt;
use std::net::SocketAddr;

use crate::app::access::Caller;

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where.
    pub address: PeerAddress,
    /// Whoever its certificate is for, where that is known.
    pub by_certificate: Option<Caller>,
}

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
