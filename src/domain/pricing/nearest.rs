//! Which key a caller may have meant.

use crate::domain::names::{SERVICE_BYTES_MAX, cut};

/// How many pairs of letters are compared; it bounds what a misspelled name can cost on
/// a large card: 256 keys of 64 letters, and fewer that are longer.
const COMPARED_MAX: usize = 256 * 64 * 64;

/// The key that is spelled most like `text`, and whether it is close enough to
/// be offered as what was meant. The cost is bounded whatever the text is.
#[must_use]
pub fn nearest<'a>(
    text: &str,
    keys: impl Iterator<Item = &'a str> + Clone,
) -> Option<(&'a str, bool)> {
    // No key is longer than that.
    let text = plain(cut(text, SERVICE_BYTES_MAX));
    let part = |key: &str| {
        let key = plain(key);
        !text.is_empty() && (key.contains(&text) || text.contains(&key))
    };
    // Only keys of a similar length can be close.
    let alike = |key: &&str| key.len().abs_diff(text.len()) <= closeness(key);
    let closest = keys
        .clone()
        .filter(alike)
        .scan(0_usize, |compared, key| {
            let letters = key.len().saturating_mul(text.len());
            *compared = compared.saturating_add(letters);
            (*compared <= COMPARED_MAX).then_some(key)
        })
        .map(|key| (strsim::osa_distance(&text, &plain(key)), key))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, key)| *distance <= closeness(key));
    if let Some((_, key)) = closest {
        return Some((key, true));
    }
    // Otherwise the shortest key that contains the text or lies in it, and at last the key
    // with the longest common prefix.
    if let Some(key) = keys
        .clone()
        .filter(|key| part(key))
        .min_by_key(|key| key.len())
    {
        return Some((key, true));
    }
    let beginning = |key: &str| {
        let letters = text.bytes().zip(key.bytes());
        letters.take_while(|(a, b)| a == b).count()
    };
    // `min_by_key` takes the first of several.
    keys.map(|key| (std::cmp::Reverse(beginning(key)), key))
        .min_by_key(|(alike, _)| *alike)
        .map(|(_, key)| (key, false))
}

/// How many letters may differ in a key that was meant.
fn closeness(key: &str) -> usize {
    key.len().checked_div(3).unwrap_or_default().max(1)
}

/// A key in lower case with one kind of separator, since people mix these up.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            ' ' | '-' | '.' | '/' | ':' => '_',
            other => other.to_ascii_lowercase(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_mistyped_key_is_found_and_nonsense_is_not_offered() {
        let keys = [
            "lip_sync_video",
            "ai_scripts",
            "motion_1_0",
            "motion_2_0_pro",
        ];
        for (typed, expected) in [
            ("lip_sink_video", Some("lip_sync_video")),
            ("Lip Sync Video", Some("lip_sync_video")),
            ("lip_sync", Some("lip_sync_video")),
            ("ai_script", Some("ai_scripts")),
            ("motion-2.0-pro", Some("motion_2_0_pro")),
            ("motion/2:0/pro", Some("motion_2_0_pro")),
            ("quarterly report", None),
        ] {
            let found = nearest(typed, keys.into_iter());
            let offered = found.filter(|(_, close)| *close).map(|(key, _)| key);
            assert_eq!(offered, expected, "{typed}");
        }
        assert!(nearest(&"x".repeat(1 << 20), keys.into_iter()).is_some());
    }

    #[test]
    fn a_key_of_the_largest_length_is_found_by_its_last_letters() {
        let key = |end: &str| format!("{}{end}", "k".repeat(126));
        let keys = [key("aa"), key("bb")];
        let found = nearest(&key("ba"), keys.iter().map(String::as_str));
        assert_eq!(found, Some((&*keys[0], true)));
        let found = nearest(&key("bbb"), keys.iter().map(String::as_str));
        assert_eq!(found, Some((&*keys[1], true)));
    }
}
