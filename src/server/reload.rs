//! The rate cards are read again where that is asked for, and served without a restart.
//!
//! All of them or none: where one is wrong, or cannot be kept in the data file, those that
//! were served before serve on. Calls that have begun keep the prices that they began with.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use tokio::sync::{Mutex, Notify};

use super::config::Config;
use super::{StartError, prices};
use crate::app::App;
use crate::domain::Timestamp;
use crate::domain::pricing::Catalog;
use crate::rfc3339;
use crate::store::Store;

/// What is needed to read rate cards again.
#[derive(Clone)]
pub(super) struct Reload {
    config: Arc<Config>,
    store: Arc<dyn Store>,
    app: Arc<App>,
    /// Locked while they are read.
    reading: Arc<Mutex<()>>,
}

impl Reload {
    pub(super) fn new(config: Arc<Config>, store: Arc<dyn Store>, app: Arc<App>) -> Self {
        Self {
            config,
            store,
            app,
            reading: Arc::default(),
        }
    }

    /// Reads them each time that it is asked to, for ever.
    pub(super) async fn at_each(&self, asked: &Notify) -> Infallible {
        loop {
            asked.notified().await;
            let reload = self.clone();
            let reading = Arc::clone(&self.reading).lock_owned().await;
            // It reads files and waits for the disk: connections are accepted meanwhile.
            let done = tokio::task::spawn_blocking(move || {
                let done = reload.once();
                drop((reload, reading));
                done
            });
            match done.await {
                Ok(Ok(changes)) => {
                    let source = self.source();
                    tracing::info!(source, changes, "rate cards reloaded");
                }
                Ok(Err(problem)) => {
                    tracing::error!(problem, "rate cards not reloaded; the old ones serve on");
                }
                // The panic is in the log.
                Err(_) => tracing::error!("rate cards not reloaded: a defect"),
            }
        }
    }

    /// Waits until they are not being read.
    pub(super) async fn finish(self) {
        let _ = self.reading.lock().await;
    }

    /// Reads them, keeps them, serves them. What changed, or why nothing did.
    fn once(&self) -> Result<String, String> {
        let catalog = self.read().map_err(|error| match error {
            StartError::Store(unavailable) => format!("data file: {unavailable}"),
            other => other.to_string(),
        })?;
        let catalog = Arc::new(catalog);
        let before = self.app.replace_prices(Arc::clone(&catalog));
        Ok(changes(&before, &catalog))
    }

    fn read(&self) -> Result<Catalog, StartError> {
        let cards = prices::load(&self.config.rate_cards)?;
        // They are on disk before anybody sees their revision.
        let age = self.config.revision_age_days_max;
        prices::catalog(cards, self.store.as_ref(), age)
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

/// What is served now and was not before, and the other way round.
fn changes(before: &Catalog, after: &Catalog) -> String {
    let (old, new) = (revisions(before), revisions(after));
    let mut told = Vec::new();
    for ((name, time), revision) in &new {
        let card = describe(name, *time);
        match old.get(&(*name, *time)) {
            Some(was) if was == revision => {}
            Some(was) => told.push(format!("{card} is revision {revision}, before {was}")),
            None => told.push(format!("{card} is new, revision {revision}")),
        }
    }
    for (key @ (name, time), was) in &old {
        if !new.contains_key(key) {
            let card = describe(name, *time);
            told.push(format!("{card} is not served any more, revision {was}"));
        }
    }
    if before.default_name() != after.default_name() {
        told.push(format!("the default is \"{}\"", after.default_name()));
    }
    match told.is_empty() {
        true => "none".to_owned(),
        false => told.join("; "),
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

fn describe(name: &str, time: Option<Timestamp>) -> String {
    match time {
        None => format!("\"{name}\""),
        Some(time) => format!("\"{name}\" from {}", rfc3339::format(time)),
    }
}
