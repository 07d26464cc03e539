//! Callers who are recognised by the certificate of their connection: which certificates the
//! configuration names, and what those who have them may do.
//!
//! A connection has the names of its certificate and finds its caller by them, anew where the
//! configuration has changed: a client whose rights change goes on over its connection.

mod distinguished_name;

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use super::access::{Access, Caller, NotValid, Principal, Rights};
use crate::domain::Timestamp;
use crate::domain::keys::KeyId;

pub use distinguished_name::{Attribute, DistinguishedName};

/// Most certificates that a configuration names.
pub const CLIENTS_MAX: usize = 1_000;

/// What a certificate that was verified says of who has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// Its subject; None where there is none, or one that cannot be written as text.
    pub subject: Option<DistinguishedName>,
    /// Its subject alternative names.
    pub names: Vec<AlternativeName>,
    /// From when on it is not valid any more; None: never.
    pub expire_time: Option<Timestamp>,
}

/// A subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlternativeName {
    /// The name of a host, in small letters.
    Dns(Box<str>),
    /// A URI, such as SPIFFE has.
    Uri(Box<str>),
    /// An address of e-mail.
    Email(Box<str>),
}

impl AlternativeName {
    /// The name of a host.
    #[must_use]
    pub fn dns(text: &str) -> Self {
        Self::Dns(text.to_ascii_lowercase().into())
    }

    /// Reads a text: what has a ":" is a URI, what has an "@" an address of e-mail, and anything
    /// else the name of a host. So a name of another kind with the same text is another one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "write a URI, the name of a host, or an address of e-mail, without spaces"
                    .to_owned(),
            );
        }
        if text.parse::<IpAddr>().is_ok() {
            return Err("an IP address is not who somebody is; name the certificate by a URI, the name of a host, an address of e-mail, or its subject".to_owned());
        }
        Ok(match text {
            _ if text.contains(':') => Self::Uri(text.into()),
            _ if text.contains('@') => Self::Email(text.into()),
            _ => Self::dns(text),
        })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Dns(text) | Self::Uri(text) | Self::Email(text) => text,
        }
    }
}

/// By what a certificate is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// Its whole subject.
    Subject(DistinguishedName),
    /// One of its subject alternative names.
    Alternative(AlternativeName),
}

impl Match {
    fn matches(&self, certificate: &Certificate) -> bool {
        match self {
            Self::Subject(subject) => certificate.subject.as_ref() == Some(subject),
            Self::Alternative(name) => certificate.names.contains(name),
        }
    }
}

/// An entry of the configuration: a certificate, and what whoever has it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientEntry {
    /// The id of those callers, as of a key.
    pub name: KeyId,
    /// Their certificate.
    pub matches: Match,
    /// What they may do.
    pub rights: Rights,
}

/// The entries that are in force.
#[derive(Debug, Default)]
pub struct Clients(Vec<(ClientEntry, Arc<Principal>)>);

impl Clients {
    /// Whoever has this certificate, by the first entry that matches it.
    #[must_use]
    pub fn caller_of(&self, certificate: &Certificate) -> Option<Caller> {
        let mut clients = self.0.iter();
        let (_, principal) = clients.find(|(entry, _)| entry.matches.matches(certificate))?;
        let caller = Caller::known(Arc::clone(principal));
        Some(caller.until(certificate.expire_time))
    }
}

impl Access {
    /// Takes up these entries in place of those before. Who is recognised by one that is not there
    /// any more, or is another now, is not let in from now on. How many those are.
    pub fn take_up_clients(&self, entries: Vec<ClientEntry>) -> usize {
        let _taking_up = self
            .taking_up
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = self.clients.load_full();
        let client = |entry: ClientEntry| {
            let known = before.0.iter().find(|(known, _)| *known == entry);
            let principal = known.map_or_else(
                || Principal::new(entry.name.clone(), entry.rights.clone()),
                |(_, principal)| Arc::clone(principal),
            );
            (entry, principal)
        };
        let clients: Vec<_> = entries.into_iter().map(client).collect();
        let ended: Vec<_> = (before.0.iter())
            .filter(|(entry, _)| !clients.iter().any(|(kept, _)| kept == entry))
            .map(|(_, principal)| Arc::clone(principal))
            .collect();
        self.clients.store(Arc::new(Clients(clients)));
        self.end(&ended);
        ended.len()
    }

    /// The entries that are in force.
    #[must_use]
    pub fn clients(&self) -> Arc<Clients> {
        self.clients.load_full()
    }

    fn are_in_force(&self, clients: &Arc<Clients>) -> bool {
        Arc::ptr_eq(&self.clients.load(), clients)
    }
}

/// Whoever has the certificate of a connection.
#[derive(Clone, Debug)]
pub struct ByCertificate {
    certificate: Arc<Certificate>,
    /// The entries by which the caller was found.
    clients: Arc<Clients>,
    caller: Option<Caller>,
}

impl ByCertificate {
    /// Whoever has this certificate.
    #[must_use]
    pub fn new(certificate: Arc<Certificate>, access: &Access) -> Self {
        let clients = access.clients();
        Self {
            caller: clients.caller_of(&certificate),
            certificate,
            clients,
        }
    }

    /// Who that is by the entries that are in force; None where none of them matches.
    ///
    /// # Errors
    /// The certificate has expired.
    pub fn caller(&mut self, access: &Access) -> Result<Option<Caller>, NotValid> {
        // First of all whether the caller has ended: what takes its place is in force by then.
        let mut is_valid = self.is_valid(access);
        if !access.are_in_force(&self.clients) {
            *self = Self::new(Arc::clone(&self.certificate), access);
            is_valid = self.is_valid(access);
        }
        match is_valid {
            true => Ok(self.caller.clone()),
            false => Err(NotValid),
        }
    }

    fn is_valid(&self, access: &Access) -> bool {
        let caller = self.caller.as_ref();
        caller.is_none_or(|caller| access.is_valid(caller))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::access::Authentication;
    use crate::domain::keys::{Scope, Scopes};
    use crate::store::Clock;

    /// Seconds since 1970.
    struct At(i64);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp::new(self.0, 0).unwrap()
        }
    }

    fn access(seconds: i64) -> Access {
        Access::new(Authentication::WhereKnown, Arc::new(At(seconds)), 0)
    }

    fn entry(name: &str, san: &str, scope: Scope) -> ClientEntry {
        ClientEntry {
            name: KeyId::new(name).unwrap(),
            matches: Match::Alternative(AlternativeName::parse(san).unwrap()),
            rights: Rights {
                scopes: Scopes::from_iter([scope]),
                calls_per_second_max: 1,
                ..Rights::default()
            },
        }
    }

    fn certificate(san: &str, expire_time: Option<Timestamp>) -> Arc<Certificate> {
        Arc::new(Certificate {
            names: vec![AlternativeName::parse(san).unwrap()],
            expire_time,
            ..Certificate::default()
        })
    }

    #[test]
    fn entries_that_are_as_they_were_keep_their_limit() {
        let access = access(0);
        let shown = ["a.x", "b.x"].map(|san| certificate(san, None));
        let [a, b] = ["a.x", "b.x"].map(|san| entry(&san[..1], san, Scope::Read));
        access.take_up_clients(vec![a.clone(), b.clone()]);
        let mut known = shown.map(|shown| ByCertificate::new(shown, &access));
        let mut before = Vec::new();
        for known in &mut known {
            let caller = known.caller(&access).unwrap().unwrap();
            assert!(access.count_call(&caller).is_ok());
            assert!(access.count_call(&caller).is_err());
            before.push(caller);
        }
        // One moves and is as it was, the other may do something else.
        let changed = entry("b", "b.x", Scope::Charge);
        assert_eq!(access.take_up_clients(vec![changed, a]), 1);
        let [a, b] = &mut known;
        let a = a.caller(&access).unwrap().unwrap();
        assert!(access.is_valid(&before[0]));
        assert!(access.count_call(&a).is_err(), "its limit is as it was");
        let b = b.caller(&access).unwrap().unwrap();
        assert!(!access.is_valid(&before[1]));
        assert!(b.check_scope(Scope::Charge).is_ok() && b.check_scope(Scope::Read).is_err());
        assert!(access.count_call(&b).is_ok());
        // None is left.
        assert_eq!(access.take_up_clients(Vec::new()), 2);
        assert!(!access.is_valid(&a) && !access.is_valid(&b));
        assert!(known[0].caller(&access).unwrap().is_none());
    }

    #[test]
    fn callers_end_with_their_certificates() {
        for (now, is_valid) in [(9, true), (10, false)] {
            let access = access(now);
            access.take_up_clients(vec![entry("a", "a.x", Scope::Read)]);
            let end = Timestamp::new(10, 0);
            let mut known = ByCertificate::new(certificate("a.x", end), &access);
            assert_eq!(known.caller(&access).is_ok(), is_valid);
            let mut lasting = ByCertificate::new(certificate("a.x", None), &access);
            assert!(lasting.caller(&access).unwrap().is_some());
        }
    }
}
