//! Where a server is, as people type it.
//!
//! A host and a port, either of which may be left out, a scheme before them, or `unix:` and
//! the path of a socket.

use std::fmt;

use crate::server::{PORT_DEFAULT, host_and_port};

const EXAMPLE: &str = "write it like 127.0.0.1:50051";

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// By TCP.
    Tcp {
        /// A name, or an IP address without brackets.
        host: String,
        port: u16,
        /// Whether https:// stands before it.
        tls: bool,
    },
    /// The path of a Unix socket.
    Unix(String),
}

impl Address {
    /// The form in which a connection takes it.
    pub(super) fn uri(&self, tls: bool) -> String {
        match self {
            Self::Tcp { .. } if tls => format!("https://{self}"),
            Self::Tcp { .. } => format!("http://{self}"),
            Self::Unix(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, .. } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

/// Reads an address, or says what to write instead.
pub(super) fn parse(text: &str) -> Result<Address, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return match path {
            "" => Err("unix: is followed by the path of a socket".to_owned()),
            path => Ok(Address::Unix(path.to_owned())),
        };
    }
    if text.starts_with('/') || text.starts_with("./") {
        return Err(format!(
            "the path of a Unix socket stands behind unix: as in unix:{text}"
        ));
    }
    let (tls, rest) = match text.split_once("://") {
        None => (false, text),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
        Some((scheme, _)) => return Err(format!("no scheme {scheme}:// is known; {EXAMPLE}")),
    };
    let rest = match rest.split_once('/') {
        None | Some((_, "")) => rest.trim_end_matches('/'),
        Some((before, _)) => {
            return Err(format!(
                "it has a path, which gRPC has no use for; write {before}"
            ));
        }
    };
    let (host, port) = host_and_port(rest, 1, PORT_DEFAULT)?;
    Ok(Address::Tcp { host, port, tls })
}

#[cfg(test)]
mod tests {
    use super::{Address, parse};

    #[test]
    fn addresses_are_read_as_people_type_them() {
        for (text, expected) in [
            ("127.0.0.1:50051", "127.0.0.1:50051"),
            ("localhost:6000", "localhost:6000"),
            ("localhost", "localhost:50051"),
            ("10.0.0.5", "10.0.0.5:50051"),
            ("6000", "127.0.0.1:6000"),
            (":6000", "127.0.0.1:6000"),
            ("[::1]:6000", "[::1]:6000"),
            ("[::1]", "[::1]:50051"),
            ("::1", "[::1]:50051"),
            ("http://localhost:6000", "localhost:6000"),
            ("HTTP://credits.example/", "credits.example:50051"),
            ("unix:/run/creditd.sock", "unix:/run/creditd.sock"),
            ("unix:///run/creditd.sock", "unix:/run/creditd.sock"),
            ("unix:creditd.sock", "unix:creditd.sock"),
        ] {
            let address = parse(text).map(|address| address.to_string());
            assert_eq!(address.as_deref(), Ok(expected), "{text}");
            // The shown form parses to the same address.
            assert_eq!(parse(expected), parse(text), "{text}");
        }
        assert_eq!(
            parse("http://[::1]:6000").unwrap().uri(false),
            "http://[::1]:6000"
        );
        let tls = parse("https://credits.example").unwrap();
        assert!(matches!(tls, Address::Tcp { tls: true, .. }));
        assert_eq!(tls.uri(true), "https://credits.example:50051");
        for (text, expected) in [
            ("", "it is empty; write it like 127.0.0.1:50051"),
            (
                "dns:///credits",
                "no scheme dns:// is known; write it like 127.0.0.1:50051",
            ),
            (
                "http://localhost:6000/v1",
                "it has a path, which gRPC has no use for; write localhost:6000",
            ),
            (
                "/run/creditd.sock",
                "the path of a Unix socket stands behind unix: as in unix:/run",
            ),
            ("unix:", "unix: is followed by the path of a socket"),
            (
                "localhost:http",
                "\"http\" is no port: it is a number from 1 to 65535",
            ),
            (
                "localhost:",
                "\"\" is no port: it is a number from 1 to 65535",
            ),
            (
                "localhost:0",
                "\"0\" is no port: it is a number from 1 to 65535",
            ),
            (
                "localhost:+80",
                "\"+80\" is no port: it is a number from 1 to 65535",
            ),
            (
                "99999",
                "\"99999\" is no port: it is a number from 1 to 65535",
            ),
            (
                "a:1:2",
                "\"a:1:2\" has more than one port; write it like 127.0.0.1:50051",
            ),
            (
                "no address",
                "\"no address\" is no host; write it like 127.0.0.1:50051",
            ),
            (
                "user@host",
                "\"user@host\" is no host; write it like 127.0.0.1:50051",
            ),
            (
                "[::1",
                "\"[::1\" is no IPv6 address; write it like [::1]:50051",
            ),
            (
                "[::1]x",
                "\"[::1]x\" is no IPv6 address; write it like [::1]:50051",
            ),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.starts_with(expected), "{text}: {problem}");
        }
    }
}
