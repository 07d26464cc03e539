//! The cards that are compared: of files, or of revisions that a server has.

use std::path::{Path, PathBuf};

use crate::app::card_file::{self, KnownCards, LoadedCard, NoBases, is_revision};
use crate::cli::failure::{Failure, Kind};
use crate::cli::output::More;
use crate::cli::rates::files::{self, Problem};
use crate::cli::refusal::Words;
use crate::cli::remote::Remote;
use crate::domain::Timestamp;
use crate::rpc::client::{self, Admin};
use crate::rpc::convert::timestamp_from_pb;
use crate::rpc::pb::creditd::v1 as pb;
use crate::server::SystemClock;
use crate::store::Clock as _;

/// How many cards, each of which extends the next, are made anew.
const BASES_MAX: usize = 8;
/// Each has a text of up to 4 MiB.
const PAGE_SIZE: i32 = 10;

/// A card, from wherever its text came.
pub(super) struct Source {
    /// What the output calls it.
    pub(super) label: String,
    pub(super) text: String,
    pub(super) loaded: LoadedCard,
}

/// Where cards come from.
pub(super) struct Sources<'a> {
    /// Files of cards that others extend.
    pub(super) bases: &'a [PathBuf],
    pub(super) remote: &'a Remote,
}

impl Sources<'_> {
    /// The card of a file of that name, or else of a revision of the server.
    pub(super) fn card(&self, named: &Path) -> Result<Source, Failure> {
        let label = named.display().to_string();
        if named.exists() || !is_revision(&label) {
            let (loaded, text) = files::one(named, self.bases)?;
            return Ok(Source {
                label,
                text,
                loaded,
            });
        }
        self.of_server(&label)
    }

    fn of_server(&self, revision: &str) -> Result<Source, Failure> {
        let cards = self.texts()?;
        let failure = |what: String| Failure::new(Kind::Refused, what);
        let addr = &self.remote.addr;
        let Some(card) = cards.iter().find(|card| card.revision == revision) else {
            return Err(failure(format!(
                "there is no file {revision}, and the server at {addr} has no such revision; \"creditd rates list\" lists those that it has"
            )));
        };
        if card.toml.is_empty() {
            return Err(failure(format!(
                "the server at {addr} kept no text of revision {revision}; give its file"
            )));
        }
        let mut known = KnownCards::beside(&NoBases);
        known.add(&card_file::built_in().map_err(|error| error.to_string())?);
        let now = SystemClock.now();
        let given = card_file::load_files(self.bases, &card_file::Loading { bases: &known, now });
        let given = given.map_err(|error| files::refused(&[Problem::from(&error)]))?;
        let loaded = made_of(card, &cards, &given, BASES_MAX).ok_or_else(|| {
            let extends = card_file::extended(&card.toml).unwrap_or_default();
            failure(format!(
                "revision {revision} is not what its text makes now: it extends \"{extends}\", and the server has no text of what that was; give it by --base FILE"
            ))
        })?;
        Ok(Source {
            label: format!("server {addr}"),
            text: card.toml.clone(),
            loaded,
        })
    }

    /// All cards of the server, with their texts.
    fn texts(&self) -> Result<Vec<pb::RateCard>, Failure> {
        let fetch = async |admin: &mut Admin, page_token| {
            let request = pb::ListRateCardsRequest {
                rate_card: String::new(),
                with_toml: true,
                page_size: PAGE_SIZE,
                page_token,
            };
            let page = admin.list_rate_cards(request).await?.into_inner();
            Ok((page.rate_cards, page.next_page_token))
        };
        let mut cards = Vec::new();
        let each = |card| {
            cards.push(card);
            Ok(More::Wanted)
        };
        let remote = self.remote;
        remote.pages_of(Words::of(""), client::admin, fetch, each)?;
        Ok(cards)
    }
}

/// The card of that revision, made of its text: by itself or by what is given, or by one of the
/// server's cards that it extends.
fn made_of(
    card: &pb::RateCard,
    all: &[pb::RateCard],
    given: &[LoadedCard],
    depth: usize,
) -> Option<LoadedCard> {
    let deeper = depth.checked_sub(1)?;
    if let Some(loaded) = with_bases(card, given) {
        return Some(loaded);
    }
    let extends = card_file::extended(&card.toml)?;
    let bases = all
        .iter()
        .filter(|base| base.rate_card == extends && !base.toml.is_empty());
    bases
        .filter_map(|base| made_of(base, all, given, deeper))
        .find_map(|base| with_bases(card, &[base]))
}

/// The card that the text makes beside these, where it is the revision that it says.
fn with_bases(card: &pb::RateCard, bases: &[LoadedCard]) -> Option<LoadedCard> {
    let mut known = KnownCards::beside(&NoBases);
    if bases.iter().all(|base| base.card.name() != card.rate_card) {
        known.add(&card_file::built_in().ok()?);
    }
    bases.iter().for_each(|base| known.add(base));
    let since = card.effective_time.as_ref();
    let since = since.and_then(|time| timestamp_from_pb(time).ok());
    let effective = bases.iter().filter_map(|base| base.card.effective_time());
    let now = effective.chain(since).max().unwrap_or(Timestamp::MIN);
    let label = Path::new(&card.revision);
    let mut loaded = card_file::load_together(&[(label, &card.toml)], &mut known, now);
    let loaded = loaded.pop()?.ok()?;
    (loaded.card.revision().as_str() == card.revision).then_some(loaded)
}
