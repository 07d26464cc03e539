//! What a key costs a call, and TLS: the same program beside itself without them, in turn.

use std::path::Path;

use rcgen::{CertificateParams, KeyPair};

use super::calls::WIDE;
use super::row::{Goal, Row};
use super::{Figure, Goals, Side};
use crate::h2load::{self, H2load, Scheme};
use crate::load::requests::{SERVICE, Template};
use crate::server::Server;
use crate::setup::at;

const KEY: &str = "a-key-of-this-benchmark-alone";
/// A call with a key may cost a twentieth more.
const WITH_A_KEY: Goal = Goal::TimesAtLeast(0.95);

pub fn rows(goals: &mut Goals<'_>, add: &mut dyn FnMut(Row)) -> Result<(), String> {
    let directory = goals.setup.directory()?;
    let (file, cert, key) = files(directory.path())?;
    let start = |name: &str, more: &[&str]| {
        let directory = directory.path().join(name);
        std::fs::create_dir(&directory).map_err(|error| at(&directory, error))?;
        let more = [&["--admin-key-file", file.as_str()], more].concat();
        Server::start_with(&goals.setup.program, &directory, &more)
    };
    let with_key = start("key", &[])?;
    let with_tls = start("tls", &["--tls-cert", &cert, "--tls-key", &key])?;
    let template = Template::estimate(Some(SERVICE));
    for (name, server, scheme, goal) in [
        (
            "Estimate with a key, 16 x 32",
            &with_key,
            Scheme::Http,
            WITH_A_KEY,
        ),
        (
            "Estimate with a key over TLS, 16 x 32",
            &with_tls,
            Scheme::Https,
            Goal::Nothing,
        ),
    ] {
        if h2load::is_missing() {
            add(Row::missing(name, "calls/s", goal, h2load::MISSING));
            continue;
        }
        let load = H2load {
            scheme,
            key: Some(KEY),
            ..WIDE
        };
        goals.compare(
            (name, "calls/s", goal),
            add,
            |goals, side| -> Result<Figure, String> {
                // The other one is the same program without a key.
                let (server, load) = match side {
                    Side::Creditd => (server, load),
                    Side::Yardstick => (&goals.creditd, WIDE),
                };
                load.run(server, &template, 1, goals.options, goals.directory.path())
            },
        )?;
    }
    with_key.stop()?;
    with_tls.stop()
}

/// The files of a key and of a certificate.
fn files(directory: &Path) -> Result<(String, String, String), String> {
    let pair = KeyPair::generate().map_err(|error| error.to_string())?;
    let params = CertificateParams::new(vec!["localhost".to_owned()]);
    let cert = params.and_then(|params| params.self_signed(&pair));
    let cert = cert.map_err(|error| error.to_string())?;
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        std::fs::write(&path, text).map_err(|error| at(&path, error))?;
        Ok::<_, String>(path.display().to_string())
    };
    Ok((
        write("admin.key", KEY)?,
        write("cert.pem", &cert.pem())?,
        write("key.pem", &pair.serialize_pem())?,
    ))
}
