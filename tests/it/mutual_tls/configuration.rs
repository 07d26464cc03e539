//! What a server says of options and entries that cannot be used.

use super::Site;
use crate::support::server::{Program, Settings, program, run};

const TLS: &str = "--tls-cert cert.pem --tls-key key.pem";

/// An entry, and what stands behind its name.
fn entry(rest: &str) -> String {
    format!("[[client]]\nname = \"a\"\n{rest}\n")
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let site = Site::new();
    let path = site.directory("");
    let path = path.path();
    std::fs::write(path.join("empty.pem"), "nothing\n").unwrap();
    let named = entry("subject = \"CN=a\"\nscopes = [\"read\"]");
    std::fs::write(path.join("clients.toml"), named).unwrap();
    for (options, expected) in [
        (
            "--tls-client-ca client-ca.pem".to_owned(),
            "creditd: --tls-client-ca is given without --tls-cert and --tls-key; TLS needs both",
        ),
        (
            format!("{TLS} --tls-client-ca missing.pem"),
            "creditd: --tls-client-ca missing.pem: No such file or directory (os error 2); give the path of a PEM file that this user can read",
        ),
        (
            format!("{TLS} --tls-client-ca empty.pem"),
            "creditd: --tls-client-ca empty.pem: no certificate is in it; give a PEM file that begins with \"-----BEGIN CERTIFICATE-----\"",
        ),
        (
            format!("{TLS} --tls-client-ca key.pem"),
            "creditd: --tls-client-ca key.pem: no certificate is in it; ",
        ),
        (
            format!("{TLS} --config clients.toml"),
            "creditd: [[client]] is given without --tls-client-ca; give the file with the certificates of those who issue clients' certificates",
        ),
        (
            "--config clients.toml".to_owned(),
            "creditd: [[client]] is given without --tls-client-ca; ",
        ),
        (
            format!("--listen 0.0.0.0:0 {TLS} --tls-client-ca client-ca.pem --no-authentication"),
            "creditd: --listen 0.0.0.0:0: other machines could reach a server that does not ask who calls; ",
        ),
    ] {
        let line = format!("serve --data creditd.db {options}");
        let args: Vec<_> = line.split(' ').collect();
        let (code, out, err) = run(path, &args);
        assert!(matches!(code, Some(1 | 2)), "{options}: {code:?} {err}");
        assert_eq!(out, "", "{options}");
        // Before it the log may stand.
        let last = err.lines().last().unwrap();
        assert!(last.starts_with(expected), "{options}: {err}");
        assert!(!path.join("creditd.db").exists() || options.contains("0.0.0.0"));
    }
}

/// Each is refused with its line.
#[test]
fn entries_that_cannot_be_used_are_refused() {
    let site = Site::new();
    let path = site.directory("");
    let path = path.path();
    let by_subject = "subject = \"CN=a\"\nscopes = [\"read\"]";
    let named = |name: &str| format!("[[client]]\nname = \"{name}\"\n{by_subject}\n");
    let many = "\"a\", ".repeat(101);
    let too_many: String = (0..1_001)
        .map(|n| format!("[[client]]\nname = \"c-{n}\"\nsan = \"c{n}\"\nscopes = [\"read\"]\n"))
        .collect();
    for (text, line, expected) in [
        (
            named("admin"),
            2,
            "\"admin\" is the name of the keys of --admin-key-file",
        ),
        (
            named("0123456789abc"),
            2,
            "\"0123456789abc\" looks like the id of a key; put a - into it",
        ),
        (
            named("a b"),
            2,
            "a name has 1 to 64 printable ASCII characters but space",
        ),
        (named(""), 2, "a name has 1 to 64 "),
        (
            "[[client]]\nscopes = []\n".to_owned(),
            1,
            "missing field `name`",
        ),
        (entry("subject = \"CN=a\""), 1, "missing field `scopes`"),
        (
            entry("scopes = [\"read\"]"),
            1,
            "\"a\" needs either subject or san",
        ),
        (
            entry("subject = \"CN=a\"\nsan = \"a\"\nscopes = [\"read\"]"),
            1,
            "\"a\" needs either subject or san",
        ),
        (
            entry("subject = \"a\"\nscopes = [\"read\"]"),
            3,
            "subject: its attributes are written like \"CN=billing,O=acme\"",
        ),
        (
            entry("subject = \"XY=a\"\nscopes = [\"read\"]"),
            3,
            "subject: \"XY\" is no type of attribute; there are CN, ",
        ),
        (
            entry("san = \"10.0.0.1\"\nscopes = [\"read\"]"),
            3,
            "san: an IP address is not who somebody is; ",
        ),
        (
            entry("san = \"a b\"\nscopes = [\"read\"]"),
            3,
            "san: write a URI, the name of a host, or an address of e-mail, without spaces",
        ),
        (
            entry("san = \"a\"\nscopes = [\"read\",\n\"all\"]"),
            5,
            "\"all\" is no scope; there are price, read, charge, grant, admin",
        ),
        (
            entry("san = \"a\"\nscopes = []"),
            4,
            "scopes has none of price, read, charge, grant, admin",
        ),
        (
            entry("san = \"a\"\nscopes = [\"read\"]\naccounts = []"),
            5,
            "accounts has 1 to 100 names, ",
        ),
        (
            entry(&format!(
                "san = \"a\"\nscopes = [\"read\"]\naccounts = [{many}]"
            )),
            5,
            "accounts has 1 to 100 names, ",
        ),
        (
            entry("san = \"a\"\nscopes = [\"read\"]\naccounts = [\"a b\"]"),
            5,
            "\"a b\" can be no account",
        ),
        (
            entry("san = \"a\"\nscopes = [\"read\"]\ncalls_per_second_max = 1000001"),
            5,
            "calls_per_second_max is at most 1000000",
        ),
        (
            entry("san = \"a\"\nscopes = [\"read\"]\ncalls_per_second_max = -1"),
            5,
            "invalid value: ",
        ),
        (
            entry("san = \"a\"\nscope = [\"read\"]"),
            4,
            "unknown key \"scope\" in [[client]]; did you mean \"scopes\"?",
        ),
        (
            entry("san = \"a\"\nscopes = [\"admin\"]\naccounts = [\"a\"]"),
            5,
            "a client with scope admin cannot be bound to accounts; leave accounts out",
        ),
        (
            format!("{0}{0}", named("a")),
            6,
            "another [[client]] has the name \"a\"; give each its own",
        ),
        (
            format!("{}{}", named("a"), named("b").replace("CN=a", "cn = a")),
            5,
            "\"b\" matches the same certificates as \"a\"; leave one of them out",
        ),
        (too_many, 4_001, "there are more than 1000 [[client]]"),
        (
            "client = 1\n".to_owned(),
            1,
            "client is a list of tables: write [[client]]",
        ),
    ] {
        std::fs::write(path.join("creditd.toml"), &text).unwrap();
        let line_of_options = format!(
            "serve --listen 127.0.0.1:0 {TLS} --tls-client-ca client-ca.pem --config creditd.toml"
        );
        let args: Vec<_> = line_of_options.split(' ').collect();
        let (code, out, err) = run(path, &args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{text}: {err}");
        let expected = format!("creditd: configuration creditd.toml:{line}: {expected}");
        assert!(
            err.starts_with(&expected) && err.lines().count() == 1,
            "{text}: {err}"
        );
    }
}

/// They say who calls: other machines may reach the server.
#[test]
fn client_certificates_are_authentication() {
    let site = Site::new();
    let args = format!("{TLS} --tls-client-ca client-ca.pem --config creditd.toml");
    let named = entry("subject = \"CN=a\"\nscopes = [\"read\"]");
    let server = Program::start_settings(Settings {
        args: args.split(' ').map(str::to_owned).collect(),
        listen: Some("0.0.0.0:0"),
        directory: Some(site.directory(&named)),
        ..Settings::default()
    });
    let log = server.log();
    assert!(log.contains("authentication is on"), "{log}");
    assert!(
        !log.contains("other machines can reach this server"),
        "{log}"
    );
    // The variable says it too.
    let output = program()
        .args(["serve", "--data", "x.db"])
        .env("CREDITD_TLS_CLIENT_CA", "client-ca.pem")
        .current_dir(server.directory.path())
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("--tls-client-ca is given without"), "{err}");
}
