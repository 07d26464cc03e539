//! Times and durations as people write them: what is read is read again from what is printed.

use creditd::app::card_file::parse_nanos;
use creditd::rfc3339;

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Some(time) = rfc3339::parse(text) {
        let printed = rfc3339::format(time);
        assert_eq!(rfc3339::parse(&printed), Some(time), "{text}: {printed}");
        let wide = rfc3339::format_nanos(time);
        assert_eq!(rfc3339::parse(&wide), Some(time), "{text}: {wide}");
        assert_eq!(wide.len(), "2026-11-22T12:00:00.000000000Z".len(), "{wide}");
        assert_eq!(
            wide.get(..19),
            printed.get(..19),
            "both say the same second"
        );
    }
    match parse_nanos(text) {
        Ok(nanos) => {
            let printed = format!("{nanos}ns");
            assert_eq!(parse_nanos(&printed), Ok(nanos), "{text}: {printed}");
            if let Some(positive) = text.strip_prefix('-') {
                assert_eq!(parse_nanos(positive), Ok(-nanos), "{text}");
            }
            assert!(text.len() <= 64, "{text}");
        }
        Err(sentence) => assert!(sentence.len() <= 200, "{sentence}"),
    }
}
