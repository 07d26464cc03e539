//! Five bits a character, as Crockford's base 32 has them: ids, tokens and heads.

/// Digits and letters that are not mistaken for each other.
pub const ALPHABET: [u8; 32] = *b"0123456789abcdefghjkmnpqrstvwxyz";

/// The character of the lowest five bits.
#[must_use]
pub fn character(bits: u32) -> u8 {
    let index = usize::try_from(bits & 31).unwrap_or_default();
    ALPHABET.get(index).copied().unwrap_or_default()
}

/// Bytes as characters, the first bits first. What is missing of the last one counts as zeros.
pub fn characters(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let (mut bytes, mut bits, mut count) = (bytes.iter(), 0_u32, 0_u32);
    std::iter::from_fn(move || {
        if count < 5 {
            match bytes.next() {
                Some(byte) => {
                    bits = (bits << 8) | u32::from(*byte);
                    count = count.saturating_add(8);
                }
                None if count == 0 => return None,
                None => {
                    bits <<= 5_u32.saturating_sub(count);
                    count = 5;
                }
            }
        }
        count = count.saturating_sub(5);
        Some(character(bits >> count))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_characters() {
        for (bytes, expected) in [
            (&[][..], ""),
            (&[0], "00"),
            (&[0xff], "zw"),
            (&[0x08, 0x42, 0x10, 0x84, 0x21], "11111111"),
            (&[0xde, 0xad, 0xbe, 0xef], "vtpvxvr"),
        ] {
            let text: Vec<u8> = characters(bytes).collect();
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }
}
