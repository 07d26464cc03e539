//! LiteLLM's price maps of any bytes: what is converted is a card that loads, and entries that are
//! left out have a reason.

use std::sync::LazyLock;

use clap::Parser as _;

use super::{Args, convert, map, whole};
use crate::app::card_file;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

static ARGS: LazyLock<Args> =
    LazyLock::new(|| Line::parse_from(["convert", "litellm", "map.json"]).args);

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(entries) = map::entries(text) else {
        return;
    };
    let Ok((report, services)) = convert(&ARGS, &entries) else {
        return;
    };
    assert_eq!(report.converted, services.len());
    let left_out = report.priced.checked_sub(report.converted);
    assert_eq!(left_out, Some(report.left_out.len()));
    assert!(report.left_out.iter().all(|about| !about.text.is_empty()));
    if let Ok(card) = whole(&ARGS, &services) {
        let loaded = card_file::read(&ARGS.file, &card);
        let services = loaded.map(|loaded| loaded.card.services().len());
        assert_eq!(services, Ok(report.converted), "{card}");
    }
}
