//! Which key a caller may have meant.

use crate::domain::names::repeated;

/// The key that is spelled most like `text`, and whether it is close enough to
/// be offered as what was meant. The cost is bounded whatever the text is.
pub(super) fn nearest<'a>(
    text: &str,
    keys: impl Iterator<Item = &'a str>,
) -> Option<(&'a str, bool)> {
    let text = plain(&repeated(text));
    keys.map(|key| {
        let other = plain(key);
        let part = !text.is_empty() && (other.contains(&text) || text.contains(&other));
        (strsim::damerau_levenshtein(&text, &other), part, key)
    })
    .min_by_key(|(distance, part, _)| (*distance, !part))
    .map(|(distance, part, key)| {
        let close = distance <= (key.len().checked_div(3).unwrap_or_default()).max(1);
        (key, part || close)
    })
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
