//! Bearer tokens: `creditd_`, the id of a key, `_`, and its secret of 256 random bits.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::domain::base32;
use crate::domain::keys::KeyId;
use crate::store::keys::SecretHash;

/// How every token begins.
const PREFIX: &str = "creditd_";
/// Longest token that is read.
pub const TOKEN_BYTES_MAX: usize = 256;
/// Shortest token that a server can be started with.
pub const ADMIN_TOKEN_BYTES_MIN: usize = 24;
/// Characters of an id.
const ID_CHARACTERS: usize = 13;
/// Random bytes of an id. There are few keys, and the store refuses one that is there already.
const ID_BYTES: usize = 8;
/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// A secret. Nothing prints it by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<str>);

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

impl Token {
    /// A token that a server is started with; None where it is too short, too long, or cannot
    /// be sent.
    #[must_use]
    pub fn of_admin(text: &str) -> Option<Self> {
        let is_token = (ADMIN_TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_token.then(|| Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A new key's id, its token, and the hash of its secret.
///
/// # Errors
/// The system has no random bytes.
pub fn generate() -> Result<(KeyId, Token, SecretHash), getrandom::Error> {
    let id = random_text::<ID_BYTES>()?;
    let secret = random_text::<SECRET_BYTES>()?;
    let token = format!("{PREFIX}{id}_{secret}");
    let id = KeyId::new(&id).ok_or(getrandom::Error::UNEXPECTED)?;
    Ok((id, Token(token.into()), hash_of(&secret)))
}

fn random_text<const N: usize>() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes)?;
    Ok(base32::characters(&bytes).map(char::from).collect())
}

/// The id and the secret of a token of a key; None for any other text.
#[must_use]
pub fn parts(token: &str) -> Option<(&str, &str)> {
    token.strip_prefix(PREFIX)?.split_once('_')
}

/// Whether a text may be the id of a key.
#[must_use]
pub fn is_generated_id(text: &str) -> bool {
    text.len() == ID_CHARACTERS && text.bytes().all(|byte| base32::ALPHABET.contains(&byte))
}

/// The hash by which a secret is known.
#[must_use]
pub fn hash_of(secret: &str) -> SecretHash {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn tokens_are_random_and_read_again() {
        let mut seen = BTreeSet::new();
        for _ in 0..100 {
            let (id, token, hash) = generate().unwrap();
            let (read, secret) = parts(token.as_str()).unwrap();
            assert_eq!(read, id.as_str());
            // 256 bits, five a character.
            assert_eq!((read.len(), secret.len()), (13, 52));
            assert!(is_generated_id(read) && !is_generated_id(secret));
            assert_eq!(hash_of(secret), hash);
            assert!(token.as_str().len() <= TOKEN_BYTES_MAX);
            assert_eq!(format!("{token:?}"), "Token(…)");
            assert!(seen.insert(secret.to_owned()));
        }
    }

    #[test]
    fn every_character_carries_five_bits() {
        let mut counts = [0_u32; 32];
        for _ in 0..400 {
            for byte in random_text::<40>().unwrap().bytes() {
                let index = base32::ALPHABET
                    .iter()
                    .position(|known| *known == byte)
                    .unwrap();
                counts[index] += 1;
            }
        }
        // 800 of each are expected, give or take 28.
        assert!(
            counts.iter().all(|count| (600..1_000).contains(count)),
            "{counts:?}"
        );
    }
}
