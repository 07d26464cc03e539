//! Which key a caller may have meant.

use crate::domain::names::repeated;

/// How many keys are compared letter by letter; it bounds what a misspelled name
/// can cost on a large card.
const COMPARED_MAX: usize = 256;

/// The key that is spelled most like `text`, and whether it is close enough to
/// be offered as what was meant. The cost is bounded whatever the text is.
pub(super) fn nearest<'a>(
    text: &str,
    keys: impl Iterator<Item = &'a str> + Clone,
) -> Option<(&'a str, bool)> {
    let text = plain(&repeated(text));
    let part = |key: &str| {
        let key = plain(key);
        !text.is_empty() && (key.contains(&text) || text.contains(&key))
    };
    // Those that can be close at all, by their length.
    let alike = |key: &&str| key.len().abs_diff(text.len()) <= closeness(key);
    let closest = keys
        .clone()
        .filter(alike)
        .take(COMPARED_MAX)
        .map(|key| (strsim::osa_distance(&text, &plain(key)), key))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, key)| *distance <= closeness(key));
    if let Some((_, key)) = closest {
        return Some((key, true));
    }
    // One that has the text in it, the shortest; otherwise one that begins alike.
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
    // The first of several.
    keys.map(|key| (std::cmp::Reverse(beginning(key)), key))
        .min_by_key(|(alike, _)| *alike)
        .map(|(_, key)| (key, false))
}

/// How many letters may differ in a key that was meant.
fn closeness(key: &str) -> usize {
    key.len().checked_div(3).unwrap_or_default().max(1)
}

/// How a key looks to somebody who types it from memory.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            ' ' | '-' | '.' => '_',
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
            ("quarterly report", None),
        ] {
            let found = nearest(typed, keys.into_iter());
            let offered = found.filter(|(_, close)| *close).map(|(key, _)| key);
            assert_eq!(offered, expected, "{typed}");
        }
        assert!(nearest(&"x".repeat(1 << 20), keys.into_iter()).is_some());
    }
}
