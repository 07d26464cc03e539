//! Hosts and ports as people type them: either may be left out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};

/// The port where none is named.
pub const PORT_DEFAULT: u16 = 50_051;
/// The same for metrics and probes.
pub const ADMIN_PORT_DEFAULT: u16 = 9_464;
/// Where a server listens by default: this machine only.
pub const LISTEN_DEFAULT: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT_DEFAULT);

const EXAMPLE: &str = "write it like 127.0.0.1:50051";

/// Host and port of a text that has both, or one of them. IPv6 addresses stand in brackets
/// where a port follows. No host is this machine alone.
///
/// # Errors
/// What to write instead.
pub fn host_and_port(
    text: &str,
    port_min: u16,
    port_default: u16,
) -> Result<(String, u16), String> {
    let number = |port: &str| {
        let digits = port.bytes().all(|b| b.is_ascii_digit());
        port.parse()
            .ok()
            .filter(|port| digits && *port >= port_min)
            .ok_or_else(|| {
                format!("\"{port}\" is no port: it is a number from {port_min} to 65535")
            })
    };
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let wrong = || format!("\"{text}\" is no IPv6 address; write it like [::1]:50051");
        let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
        host.parse::<Ipv6Addr>().map_err(|_| wrong())?;
        match (rest, rest.strip_prefix(':')) {
            ("", _) => (host, port_default),
            (_, Some(port)) => (host, number(port)?),
            (_, None) => return Err(wrong()),
        }
    } else if text.parse::<Ipv6Addr>().is_ok() {
        (text, port_default)
    } else {
        match text.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => {
                return Err(format!("\"{text}\" has more than one port; {EXAMPLE}"));
            }
            Some((host, port)) => (host, number(port)?),
            None if text.is_empty() => return Err(format!("it is empty; {EXAMPLE}")),
            None if text.bytes().all(|b| b.is_ascii_digit()) => ("", number(text)?),
            None => (text, port_default),
        }
    };
    let known = |c: char| c.is_alphanumeric() || ".-_:".contains(c);
    if !host.chars().all(known) {
        return Err(format!("\"{host}\" is no host; {EXAMPLE}"));
    }
    let host = match host {
        "" => LISTEN_DEFAULT.ip().to_string(),
        host => host.to_owned(),
    };
    Ok((host, port))
}

/// The address to listen on that `--listen` names.
pub(super) fn resolve(text: &str) -> Result<SocketAddr, String> {
    resolve_option("--listen", text, PORT_DEFAULT)
}

/// The same of `--admin-listen`.
pub(super) fn resolve_admin(text: &str) -> Result<SocketAddr, String> {
    resolve_option("--admin-listen", text, ADMIN_PORT_DEFAULT)
}

/// Of a name with several addresses the first of IPv4 is taken, so that "localhost" is 127.0.0.1
/// everywhere.
fn resolve_option(option: &str, text: &str, port_default: u16) -> Result<SocketAddr, String> {
    let refused = |problem: String| format!("{option} {text}: {problem}");
    if text.starts_with("unix:") || text.starts_with('/') {
        return Err(refused(
            "a Unix socket is listened on for calls alone, by --listen-unix FILE".to_owned(),
        ));
    }
    let (host, port) = host_and_port(text, 0, port_default).map_err(refused)?;
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, port));
    }
    let found: Vec<SocketAddr> = (host.as_str(), port)
        .to_socket_addrs()
        .map_or_else(|_| Vec::new(), Iterator::collect);
    let first = found.iter().find(|address| address.is_ipv4());
    first.or(found.first()).copied().ok_or_else(|| {
        refused(format!(
            "no machine is known by the name of {host}; name this one's, or one of its addresses"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn listen_takes_what_people_type() {
        for (text, expected) in [
            ("127.0.0.1:6000", "127.0.0.1:6000"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("localhost:6000", "127.0.0.1:6000"),
            ("localhost", "127.0.0.1:50051"),
            ("6000", "127.0.0.1:6000"),
            (":6000", "127.0.0.1:6000"),
            ("0.0.0.0", "0.0.0.0:50051"),
            ("[::1]:6000", "[::1]:6000"),
            ("::1", "[::1]:50051"),
        ] {
            let address = resolve(text).map(|address| address.to_string());
            assert_eq!(address.as_deref(), Ok(expected), "{text}");
        }
        for (text, expected) in [
            ("", "--listen : it is empty; write it like 127.0.0.1:50051"),
            (
                "http://localhost",
                "--listen http://localhost: \"//localhost\" is no port: it is a number from 0 to 65535",
            ),
            (
                "unix:/run/s",
                "--listen unix:/run/s: a Unix socket is listened on for calls alone, by --listen-unix FILE",
            ),
            (
                "localhost:99999",
                "--listen localhost:99999: \"99999\" is no port: it is a number from 0 to 65535",
            ),
            (
                "*:6000",
                "--listen *:6000: \"*\" is no host; write it like 127.0.0.1:50051",
            ),
            (
                "nobody.invalid:1",
                "--listen nobody.invalid:1: no machine is known by the name of nobody.invalid; name this one's, or one of its addresses",
            ),
        ] {
            assert_eq!(resolve(text), Err(expected.to_owned()), "{text}");
        }
    }
}
