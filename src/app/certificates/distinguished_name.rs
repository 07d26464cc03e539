//! The subject of a certificate, as text: the form of RFC 4514, `CN=billing,O=acme`, which
//! `openssl x509 -noout -subject -nameopt RFC2253` prints.

use std::fmt;

/// Types of attributes that have a name. The first name of a type is the one that is written.
const TYPES: [(&str, &str); 17] = [
    ("CN", "2.5.4.3"),
    ("SN", "2.5.4.4"),
    ("serialNumber", "2.5.4.5"),
    ("C", "2.5.4.6"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("street", "2.5.4.9"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("title", "2.5.4.12"),
    ("GN", "2.5.4.42"),
    ("initials", "2.5.4.43"),
    ("dnQualifier", "2.5.4.46"),
    ("organizationIdentifier", "2.5.4.97"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("emailAddress", "1.2.840.113549.1.9.1"),
];
/// What stands for something else unless a `\` is before it.
const SPECIAL: &str = ",+\"\\<>;";

/// An attribute: the object identifier of its type, and its value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attribute {
    /// With dots.
    pub oid: Box<str>,
    /// The text.
    pub value: Box<str>,
}

/// A subject: its parts, the most specific one first as in the text. Most parts have one
/// attribute; where one has more, their order does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistinguishedName(Vec<Vec<Attribute>>);

impl DistinguishedName {
    /// The name of these parts, the most specific one first.
    #[must_use]
    pub fn new(mut parts: Vec<Vec<Attribute>>) -> Self {
        for part in &mut parts {
            part.sort_unstable();
        }
        Self(parts)
    }

    /// Reads a text. Spaces around `=`, `,` and `+` do not count.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut part, mut rest) = (Vec::new(), Vec::new(), text);
        loop {
            let (name, after) = rest
                .split_once('=')
                .ok_or("its attributes are written like \"CN=billing,O=acme\"")?;
            let oid = oid_named(name.trim())?;
            let (value, separator, after) = read_value(after)?;
            part.push(Attribute {
                oid: oid.into(),
                value: value.into(),
            });
            if separator != Some('+') {
                parts.push(std::mem::take(&mut part));
            }
            if separator.is_none() {
                return Ok(Self::new(parts));
            }
            rest = after;
        }
    }
}

/// The object identifier of a type that is named, or written with dots.
fn oid_named(name: &str) -> Result<&str, String> {
    let known = TYPES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    if let Some((_, oid)) = known {
        return Ok(oid);
    }
    let is_oid = name.contains('.')
        && name
            .split('.')
            .all(|arc| !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit()));
    is_oid.then_some(name).ok_or_else(|| {
        let names: Vec<_> = TYPES.iter().map(|(known, _)| *known).collect();
        format!(
            "\"{}\" is no type of attribute; there are {}, and numbers such as 2.5.4.3",
            name.escape_debug(),
            names.join(", ")
        )
    })
}

/// The value at the beginning of a text, the separator behind it, and what follows.
fn read_value(text: &str) -> Result<(String, Option<char>, &str), String> {
    let text = text.trim_start_matches(' ');
    if text.starts_with('#') {
        return Err(
            "a value is written as text, not as # and hexadecimal digits; write \\# for a value that begins so"
                .to_owned(),
        );
    }
    let mut value = Vec::new();
    // Spaces at the end do not count, but for those with a \ before them.
    let mut length = 0;
    let (mut characters, mut separator, mut rest) = (text.char_indices(), None, "");
    while let Some((at, character)) = characters.next() {
        match character {
            ',' | '+' => {
                separator = Some(character);
                rest = text
                    .get(at..)
                    .unwrap_or_default()
                    .get(1..)
                    .unwrap_or_default();
                break;
            }
            '\\' => value.push(escaped(&mut characters)?),
            _ if SPECIAL.contains(character) => {
                return Err(format!("write \\{character} for {character}"));
            }
            _ => value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        if character != ' ' {
            length = value.len();
        }
    }
    value.truncate(length);
    let value = String::from_utf8(value).map_err(|_| "what follows a \\ is no UTF-8")?;
    match value.is_empty() {
        true => Err("an attribute has no value".to_owned()),
        false => Ok((value, separator, rest)),
    }
}

/// The byte that stands behind a `\`.
fn escaped(characters: &mut std::str::CharIndices<'_>) -> Result<u8, String> {
    let wrong =
        || format!("behind a \\ stands one of {SPECIAL} # = or space, or two hexadecimal digits");
    let (_, first) = characters.next().ok_or_else(wrong)?;
    if SPECIAL.contains(first) || "#= ".contains(first) {
        return u8::try_from(first).map_err(|_| wrong());
    }
    let (_, second) = characters.next().ok_or_else(wrong)?;
    let digit = |character: char| {
        character
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let digits = digit(first).zip(digit(second)).ok_or_else(wrong)?;
    Ok((digits.0 << 4) | digits.1)
}

impl fmt::Display for DistinguishedName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.0.iter().enumerate() {
            formatter.write_str(if at == 0 { "" } else { "," })?;
            for (at, Attribute { oid, value }) in part.iter().enumerate() {
                formatter.write_str(if at == 0 { "" } else { "+" })?;
                let name = TYPES.iter().find(|(_, known)| *known == &**oid);
                formatter.write_str(name.map_or(oid, |(name, _)| name))?;
                formatter.write_str("=")?;
                write_value(value, formatter)?;
            }
        }
        Ok(())
    }
}

/// Writes a value so that it is one line of ASCII.
fn write_value(value: &str, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.bytes().enumerate() {
        let character = char::from(byte);
        let at_an_end = (at == 0 && " #".contains(character)) || (at == last && byte == b' ');
        match byte {
            _ if at_an_end || SPECIAL.contains(character) => write!(formatter, "\\{character}")?,
            b' '..=b'~' => write!(formatter, "{character}")?,
            _ => write!(formatter, "\\{byte:02X}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_read_and_written() {
        for (text, expected) in [
            ("CN=billing,O=acme", "CN=billing,O=acme"),
            (" cn = billing , o = acme ", "CN=billing,O=acme"),
            ("2.5.4.3=billing", "CN=billing"),
            ("1.2.3.4=x", "1.2.3.4=x"),
            (
                "UID=7+CN=a b+OU=c,DC=acme,DC=example",
                "UID=7+OU=c+CN=a b,DC=acme,DC=example",
            ),
            (r"CN=a\, b\+c\=d", r"CN=a\, b\+c=d"),
            (r"CN=\ a\ ", r"CN=\ a\ "),
            (r"CN=a\20 ", r"CN=a\ "),
            (r"CN=\#1", r"CN=\#1"),
            ("CN=Jürgen", r"CN=J\C3\BCrgen"),
            (r"CN=J\C3\BCrgen", r"CN=J\C3\BCrgen"),
            (r"CN=a\00b\0Ac", r"CN=a\00b\0Ac"),
            ("CN=a=b", "CN=a=b"),
            // As openssl 3.0 prints it.
            (
                r"CN=\ x#y\ ,serialNumber=12,emailAddress=a@b.c,UID=7+OU=J\C3\BCrgen,O=acme\, inc,C=DE",
                r"CN=\ x#y\ ,serialNumber=12,emailAddress=a@b.c,UID=7+OU=J\C3\BCrgen,O=acme\, inc,C=DE",
            ),
        ] {
            let name = DistinguishedName::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(name.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn names_are_alike_attribute_by_attribute_in_their_order() {
        let read = |text| DistinguishedName::parse(text).unwrap();
        for (one, other, are_same) in [
            ("CN=a,O=b", "cn=a, O = b", true),
            ("CN=a+UID=1,O=b", "UID=1+CN=a,O=b", true),
            ("CN=a,O=b", "O=b,CN=a", false),
            ("CN=a,O=b", "CN=a", false),
            ("CN=a", "CN=A", false),
            ("CN=a", r"CN=a\ ", false),
            ("CN=a", r"CN=a\00", false),
            ("CN=a+O=b", "CN=a,O=b", false),
            (r"CN=a\,O=b", "CN=a,O=b", false),
        ] {
            assert_eq!(read(one) == read(other), are_same, "{one} and {other}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for (text, why) in [
            ("", "written like"),
            ("billing", "written like"),
            ("CN=a,", "written like"),
            ("CN=a,,O=b", "is no type"),
            ("CN=", "no value"),
            ("CN= ,O=b", "no value"),
            ("XY=a", "\"XY\" is no type of attribute; there are CN, "),
            ("2.5.=a", "is no type"),
            ("=a", "is no type"),
            ("CN=\"a\"", "write \\\" for \""),
            ("CN=a;O=b", "write \\; for ;"),
            ("CN=#0C0161", "not as #"),
            ("CN=a\\", "behind a \\"),
            ("CN=a\\xyz", "behind a \\"),
            ("CN=a\\é1", "behind a \\"),
            ("CN=a\\FF", "no UTF-8"),
        ] {
            let refused = DistinguishedName::parse(text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }

    proptest! {
        /// Whatever a certificate says: its text names the same subject again.
        #[test]
        fn what_is_written_is_read_again(values in prop::collection::vec(any::<String>(), 1..4)) {
            let attribute = |value: String| vec![Attribute {
                oid: "2.5.4.3".into(),
                // A value that is empty cannot be named.
                value: format!("{value}.").into(),
            }];
            let name = DistinguishedName::new(values.into_iter().map(attribute).collect());
            prop_assert_eq!(DistinguishedName::parse(&name.to_string()), Ok(name));
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>(), like in "[A-Za-z=,+ \\\\#\"é0-9]{0,40}") {
            let _ = DistinguishedName::parse(&text);
            let _ = DistinguishedName::parse(&like);
        }
    }
}
