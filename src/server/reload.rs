//! Prices that change while the server runs: at SIGHUP it publishes the rate cards of its
//! files again, and it follows what other servers publish into the same store.
//!
//! All cards or none: where one is wrong, or cannot be published, the prices from before
//! stay. Calls that have begun keep the price snapshot that they began with.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::config::Config;
use super::{StartError, prices};
use crate::app::App;
use crate::app::card_file::LoadedCard;
use crate::app::prices::PriceChange;
use crate::domain::Timestamp;
use crate::domain::pricing::Catalog;
use crate::rfc3339;

/// Catches the signal from now on. One that comes while the server starts waits until it
/// runs.
pub(super) fn catch(runtime: &Handle) -> std::io::Result<Signal> {
    let _within = runtime.enter();
    signal(SignalKind::hangup())
}

/// Keeps the prices of a running server up to date.
pub(super) struct Reload {
    pub(super) config: Arc<Config>,
    pub(super) app: Arc<App>,
}

impl Reload {
    /// Publishes at each signal and follows each change, for ever.
    pub(super) async fn run(self, mut hangup: Signal) -> Infallible {
        let mut changes = self.app.price_changes();
        // What was published between the start's snapshot and now.
        self.follow().await;
        loop {
            tokio::select! {
                Some(()) = hangup.recv() => self.publish().await,
                Ok(()) = changes.changed() => self.follow().await,
                else => std::future::pending().await,
            }
        }
    }

    async fn publish(&self) {
        let published = match self.load().await {
            Ok(cards) => self.app.publish_prices(&cards).await.map_err(Into::into),
            Err(error) => Err(error),
        };
        match published {
            Ok(change) => {
                let (source, changes) = (self.source(), describe(&change));
                tracing::info!(source, changes, "rate cards reloaded");
            }
            Err(error) => {
                let problem = problem(error);
                tracing::error!(problem, "rate cards not reloaded; the old ones serve on");
            }
        }
    }

    /// Reads the files. Connections are accepted meanwhile.
    async fn load(&self) -> Result<Vec<LoadedCard>, StartError> {
        let config = Arc::clone(&self.config);
        let loaded = tokio::task::spawn_blocking(move || prices::load(&config.rate_cards));
        // The panic is in the log.
        let defect = |_| Err(StartError::Prices("a defect".to_owned()));
        loaded.await.unwrap_or_else(defect)
    }

    async fn follow(&self) {
        match self.app.follow_prices().await {
            Ok(change) => {
                let changes = describe(&change);
                if changes != UNCHANGED {
                    tracing::info!(changes, "rate cards changed by another server");
                }
            }
            Err(error) => {
                let problem = problem(error.into());
                tracing::error!(
                    problem,
                    "changed rate cards not served; the old ones serve on"
                );
            }
        }
    }

    /// Where they come from.
    fn source(&self) -> String {
        let files = &self.config.rate_cards;
        if files.is_empty() {
            return "the built-in card, since no rate-card file is given".to_owned();
        }
        let files: Vec<_> = files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        files.join(", ")
    }
}

/// Says that prices are as they were.
const UNCHANGED: &str = "none";

fn problem(error: StartError) -> String {
    match error {
        StartError::Store(unavailable) => format!("data file: {unavailable}"),
        other => other.to_string(),
    }
}

/// Which cards came into force, and which are in force no longer.
fn describe(PriceChange { before, after }: &PriceChange) -> String {
    let (old, new) = (revisions(before), revisions(after));
    let mut changes = Vec::new();
    for ((name, time), revision) in &new {
        let card = card_text(name, *time);
        match old.get(&(*name, *time)) {
            Some(was) if was == revision => {}
            Some(was) => changes.push(format!("{card} is revision {revision}, before {was}")),
            None => changes.push(format!("{card} is new, revision {revision}")),
        }
    }
    for (key @ (name, time), was) in &old {
        if !new.contains_key(key) {
            let card = card_text(name, *time);
            changes.push(format!("{card} is not served any more, revision {was}"));
        }
    }
    if before.default_name() != after.default_name() {
        changes.push(format!("the default is \"{}\"", after.default_name()));
    }
    match changes.is_empty() {
        true => UNCHANGED.to_owned(),
        false => changes.join("; "),
    }
}

/// Revisions of the cards in force, by name and the time from which they are.
fn revisions(catalog: &Catalog) -> BTreeMap<(&str, Option<Timestamp>), &str> {
    let cards = catalog.cards().into_iter();
    cards
        .map(|card| {
            let key = (card.name(), card.effective_time());
            (key, card.revision().as_str())
        })
        .collect()
}

fn card_text(name: &str, time: Option<Timestamp>) -> String {
    match time {
        None => format!("\"{name}\""),
        Some(time) => format!("\"{name}\" from {}", rfc3339::format(time)),
    }
}
