//! Which certificates are let in, as whom, and what they may do.

use std::time::Duration;

use creditd::rpc::client;
use creditd::rpc::pb::creditd::v1 as pb;
use creditd::server::SystemClock;
use creditd::store::Clock as _;
use rcgen::string::Ia5String;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, SanType};
use time::OffsetDateTime;

use super::{ADMIN_KEY, CLOSED, CN, O, Site, ended, grant_to, watch, word};
use crate::support::authority::{Authority, self_signed};
use crate::support::requests::charge;

const ENTRIES: &str = r#"
[[client]]
name = "by-subject"
subject = "CN = billing, O = acme"
scopes = ["read"]
accounts = ["team-*"]

[[client]]
name = "by-dns"
san = "billing.acme.example"
scopes = ["price"]

[[client]]
name = "by-uri"
san = "spiffe://acme/billing"
scopes = ["price", "read"]

[[client]]
name = "by-email"
san = "billing@acme.example"
scopes = ["admin"]
"#;

fn ia5(text: &str) -> Ia5String {
    Ia5String::try_from(text).unwrap()
}

fn with(name: SanType) -> impl FnOnce(&mut CertificateParams) {
    move |params| params.subject_alt_names = vec![name]
}

fn usable_for(usage: ExtendedKeyUsagePurpose) -> impl FnOnce(&mut CertificateParams) {
    move |params| params.extended_key_usages = vec![usage]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_that_are_named_are_let_in_for_what_they_may() {
    let site = Site::new();
    let server = site.serve(ENTRIES);
    grant_to(&site.admin(&server).await, &["team-a", "other"]).await;
    let (issuer, other) = (&site.clients, Authority::new("clients"));
    let billing: &[(DnType, &str)] = &[(O, "acme"), (CN, "billing")];
    let uri = || SanType::URI(ia5("spiffe://acme/billing"));
    let year = |from, to| {
        move |params: &mut CertificateParams| {
            params.not_before = rcgen::date_time_ymd(from, 1, 1);
            params.not_after = rcgen::date_time_ymd(to, 1, 1);
        }
    };
    let below = issuer.below("a part of acme");
    let of_below = below.issue_to(billing, |_| {});
    let with_chain = (format!("{}{}", of_below.0, below.pem), of_below.1.clone());
    let let_in = "NOT_ALLOWED ok NOT_ALLOWED";
    let required = "KEY_REQUIRED KEY_REQUIRED KEY_REQUIRED";
    for (what, shown, expected) in [
        ("a subject", issuer.issue_to(billing, |_| {}), let_in),
        (
            "the name of a host",
            issuer.issue_to(&[], with(SanType::DnsName(ia5("Billing.acme.example")))),
            "ok NOT_ALLOWED NOT_ALLOWED",
        ),
        ("a URI", issuer.issue_to(&[], with(uri())), "ok ok ok"),
        (
            "an address of e-mail",
            issuer.issue_to(&[], with(SanType::Rfc822Name(ia5("billing@acme.example")))),
            "ok ok ok",
        ),
        (
            "two that are named: the first entry counts",
            issuer.issue_to(billing, with(uri())),
            let_in,
        ),
        ("one with its chain", with_chain, let_in),
        (
            "one for clients",
            issuer.issue_to(billing, usable_for(ExtendedKeyUsagePurpose::ClientAuth)),
            let_in,
        ),
        // Not named.
        ("another subject", site.client("billing"), required),
        (
            "the subject in another order",
            issuer.issue_to(&[(CN, "billing"), (O, "acme")], |_| {}),
            required,
        ),
        (
            "the subject and more",
            issuer.issue_to(
                &[
                    (O, "acme"),
                    (DnType::OrganizationalUnitName, "x"),
                    (CN, "billing"),
                ],
                |_| {},
            ),
            required,
        ),
        (
            "a host that is named like the URI",
            issuer.issue_to(
                &[(CN, "x")],
                with(SanType::Rfc822Name(ia5("spiffe://acme/billing"))),
            ),
            required,
        ),
        (
            "the name of a host as common name",
            site.client("billing.acme.example"),
            required,
        ),
        // Not verified.
        (
            "another issuer of the same name",
            other.issue_to(billing, |_| {}),
            CLOSED,
        ),
        ("no issuer", self_signed(billing), CLOSED),
        ("one without its chain", of_below, CLOSED),
        (
            "one of the past",
            issuer.issue_to(billing, year(2020, 2021)),
            CLOSED,
        ),
        (
            "one of the future",
            issuer.issue_to(billing, year(2090, 2091)),
            CLOSED,
        ),
        (
            "one for servers",
            issuer.issue_to(billing, usable_for(ExtendedKeyUsagePurpose::ServerAuth)),
            CLOSED,
        ),
    ] {
        let outcomes = site.outcomes(&server, Some(&shown), "").await;
        assert_eq!(outcomes, expected, "{what}");
        // With a key the key decides, but nobody shows a certificate that is not verified.
        let outcomes = site.outcomes(&server, Some(&shown), ADMIN_KEY).await;
        let with_key = if expected == CLOSED {
            CLOSED
        } else {
            "ok ok ok"
        };
        assert_eq!(outcomes, with_key, "{what}, with a key");
    }
    let known = issuer.issue_to(billing, |_| {});
    for (shown, key, expected) in [
        (None, "", required),
        (None, ADMIN_KEY, "ok ok ok"),
        (
            Some(&known),
            "not-a-key",
            "KEY_INVALID KEY_INVALID KEY_INVALID",
        ),
    ] {
        let outcomes = site.outcomes(&server, shown, key).await;
        assert_eq!(outcomes, expected, "{}, {key}", shown.is_some());
    }
    // Whoever runs the server reads what to name.
    let log = server.log();
    assert!(log.contains("a certificate matches no [[client]]"), "{log}");
    assert!(log.contains("subject = CN=billing,OU=x,O=acme"), "{log}");
    assert!(log.contains("invalid peer certificate: "), "{log}");
}

/// The name stands where the id of a key does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_have_the_name_of_the_client() {
    let site = Site::new();
    let server = site.serve(
        "[[client]]\nname = \"billing\"\nsubject = \"CN=billing\"\nscopes = [\"charge\"]\naccounts = [\"team-*\"]\n",
    );
    let admin = site.admin(&server).await;
    grant_to(&admin, &["team-a", "other"]).await;
    let shown = site.client("billing");
    let connection = site.connect(&server, Some(&shown), "").await.unwrap();
    let mut ledger = client::ledger(connection);
    let charged = ledger.charge(charge("c", "team-a", "1")).await;
    let entry = charged.unwrap().into_inner().entry.unwrap();
    assert_eq!(entry.key_id, "billing");
    for account in ["other", "missing"] {
        let charged = ledger.charge(charge("c", account, "1")).await;
        assert_eq!(word(charged), "NOT_ALLOWED", "{account}");
    }
    let mut reader = client::ledger(admin);
    let listed = reader.list_entries(pb::ListEntriesRequest {
        account: "team-a".to_owned(),
        ..pb::ListEntriesRequest::default()
    });
    let listed = listed.await.unwrap().into_inner().entries;
    let ids: Vec<_> = listed.iter().map(|entry| entry.key_id.as_str()).collect();
    assert_eq!(ids, ["billing", "admin"]);
}

/// A connection may be older than its certificate is valid.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_expires_ends_its_calls() {
    let site = Site::new();
    let server = site.serve(
        "[[client]]\nname = \"reader\"\nsubject = \"CN=reader\"\nscopes = [\"price\", \"read\"]\n",
    );
    grant_to(&site.admin(&server).await, &["team-a", "other"]).await;
    let end = SystemClock.now().plus(Duration::from_secs(8));
    let last_second = OffsetDateTime::from_unix_timestamp(end.seconds()).unwrap();
    let expires = |params: &mut CertificateParams| params.not_after = last_second;
    let shown = site.clients.issue_to(&[(CN, "reader")], expires);
    let lasting = site.client("reader");
    let connection = site.connect(&server, Some(&shown), "").await.unwrap();
    let other = site.connect(&server, Some(&lasting), "").await.unwrap();
    assert_eq!(super::outcomes(&connection).await, "ok ok ok");
    let watched = watch(&connection, "team-a").await;
    assert_eq!(ended(watched).await, "KEY_INVALID");
    let over = "KEY_INVALID KEY_INVALID KEY_INVALID";
    assert_eq!(super::outcomes(&connection).await, over);
    assert!(SystemClock.now() >= end);
    // It is over for that certificate alone.
    assert_eq!(super::outcomes(&other).await, "ok ok ok");
    assert_eq!(site.outcomes(&server, Some(&shown), "").await, CLOSED);
}
