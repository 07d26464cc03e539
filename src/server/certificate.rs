//! What a client's certificate says of who has it. It was verified before, by rustls: whoever may
//! issue certificates has signed these bytes.

use std::fmt::Write as _;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::X509Name;

use crate::app::certificates::{AlternativeName, Attribute, Certificate, DistinguishedName};
use crate::domain::Timestamp;

/// Longest description of a certificate in the log.
const DESCRIPTION_BYTES_MAX: usize = 256;

/// Reads a certificate.
///
/// # Errors
/// It is none, or has one of its extensions twice.
pub(super) fn read(der: &[u8]) -> Result<Certificate, String> {
    let (_, read) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
    let names = read
        .subject_alternative_name()
        .map_err(|error| error.to_string())?;
    let names = names.map(|names| names.value.general_names.as_slice());
    let names = names.unwrap_or_default().iter().filter_map(|name| {
        Some(match name {
            GeneralName::DNSName(text) => AlternativeName::dns(text),
            GeneralName::URI(text) => AlternativeName::Uri((*text).into()),
            GeneralName::RFC822Name(text) => AlternativeName::Email((*text).into()),
            _ => return None,
        })
    });
    // It is valid for the whole of its last second.
    let last_second = read.validity().not_after.timestamp();
    Ok(Certificate {
        subject: subject(read.subject()),
        names: names.collect(),
        expire_time: Timestamp::new(last_second.saturating_add(1), 0),
    })
}

/// The subject, where each of its values is a text.
fn subject(name: &X509Name<'_>) -> Option<DistinguishedName> {
    let parts = name.iter_rdn().map(|part| {
        let attributes = part.iter().map(|attribute| {
            Some(Attribute {
                oid: attribute.attr_type().to_id_string().into(),
                value: attribute.as_str().ok()?.into(),
            })
        });
        attributes.collect::<Option<Vec<_>>>()
    });
    // A certificate has the most general part first.
    let mut parts = parts.collect::<Option<Vec<_>>>()?;
    parts.reverse();
    (!parts.is_empty()).then(|| DistinguishedName::new(parts))
}

/// Its names, as `[[client]]` has them: one line, and not too long.
pub(super) fn describe(certificate: &Certificate) -> String {
    let mut text = String::new();
    // Nothing is written that fails.
    if let Some(subject) = &certificate.subject {
        let _ = write!(text, "subject = {subject}");
    }
    for name in &certificate.names {
        let between = if text.is_empty() { "" } else { "; " };
        let name = name.as_str().escape_default();
        let _ = write!(text, "{between}san = {name}");
        if text.len() > DESCRIPTION_BYTES_MAX {
            break;
        }
    }
    // It is ASCII.
    text.truncate(DESCRIPTION_BYTES_MAX);
    text
}

#[cfg(test)]
mod tests {
    use rcgen::string::Ia5String;
    use rcgen::{CertificateParams, CustomExtension, DnType, DnValue, KeyPair, SanType};

    use super::*;

    fn issue(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    fn ia5(text: &str) -> Ia5String {
        Ia5String::try_from(text).unwrap()
    }

    fn full(params: &mut CertificateParams) {
        let subject = &mut params.distinguished_name;
        subject.push(DnType::CountryName, "DE");
        subject.push(DnType::OrganizationName, "acme, inc");
        subject.push(DnType::CommonName, "billing");
        params.subject_alt_names = vec![
            SanType::DnsName(ia5("Billing.acme.example")),
            SanType::URI(ia5("spiffe://acme/Billing")),
            SanType::Rfc822Name(ia5("Billing@acme.example")),
            SanType::IpAddress([127, 0, 0, 1].into()),
        ];
        params.not_after = rcgen::date_time_ymd(2031, 2, 3);
    }

    #[test]
    fn names_and_end_are_read() {
        let certificate = read(&issue(full)).unwrap();
        let description = describe(&certificate);
        assert_eq!(
            description,
            r"subject = CN=billing,O=acme\, inc,C=DE; san = billing.acme.example; san = spiffe://acme/Billing; san = Billing@acme.example"
        );
        let end = crate::rfc3339::parse("2031-02-03T00:00:01Z");
        assert_eq!(certificate.expire_time, end);
        for text in [
            "BILLING.acme.example",
            "spiffe://acme/Billing",
            "Billing@acme.example",
        ] {
            let name = AlternativeName::parse(text).unwrap();
            assert!(certificate.names.contains(&name), "{text}");
        }
        for text in [
            "spiffe://acme/billing",
            "billing@acme.example",
            "acme.example",
        ] {
            let name = AlternativeName::parse(text).unwrap();
            assert!(!certificate.names.contains(&name), "{text}");
        }
    }

    /// The kind of a name counts: a host that is named like a URI is none.
    #[test]
    fn names_of_another_kind_are_others() {
        let der = issue(|params| {
            params.subject_alt_names = vec![
                SanType::DnsName(ia5("spiffe://acme/billing")),
                SanType::Rfc822Name(ia5("billing.acme.example")),
                SanType::URI(ia5("billing@acme.example")),
            ];
        });
        let certificate = read(&der).unwrap();
        for text in [
            "spiffe://acme/billing",
            "billing.acme.example",
            "billing@acme.example",
        ] {
            let name = AlternativeName::parse(text).unwrap();
            assert!(!certificate.names.contains(&name), "{text}");
        }
    }

    #[test]
    fn a_subject_that_is_no_text_is_none() {
        let teletex = rcgen::string::TeletexString::try_from("billing").unwrap();
        for (value, is_read) in [
            (DnValue::Utf8String("billing".to_owned()), true),
            (DnValue::TeletexString(teletex), false),
        ] {
            let der = issue(|params| {
                params.distinguished_name.push(DnType::CommonName, value);
            });
            assert_eq!(read(&der).unwrap().subject.is_some(), is_read);
        }
        let empty = read(&issue(|_| {})).unwrap();
        assert_eq!(
            empty,
            Certificate {
                expire_time: empty.expire_time,
                ..Certificate::default()
            }
        );
    }

    #[test]
    fn two_lists_of_names_are_refused() {
        let der = issue(|params| {
            full(params);
            let names = CustomExtension::from_oid_content(&[2, 5, 29, 17], vec![0x30, 0]);
            params.custom_extensions = vec![names];
        });
        assert!(read(&der).is_err());
    }

    /// Whatever bytes they are: each of them replaced, and each length.
    #[test]
    fn damaged_certificates_are_read_or_refused() {
        let der = issue(full);
        for at in 0..der.len() {
            for mask in [0x01, 0x1f, 0x20, 0x80, 0xff] {
                let mut damaged = der.clone();
                damaged[at] ^= mask;
                if let Ok(read) = read(&damaged) {
                    assert!(describe(&read).len() <= DESCRIPTION_BYTES_MAX);
                }
            }
            assert!(read(&der[..at]).is_err(), "{at}");
        }
    }
}
