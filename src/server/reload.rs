//! Prices that change while the server runs: where it is asked to, it publishes the rate cards
//! of its files again, and it follows what other servers publish into the same store.
//!
//! All cards or none: where one is wrong, or cannot be published, the prices from before
//! stay. Calls that have begun keep the price snapshot that they began with.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::config::Config;
use super::tls::Tls;
use super::{StartError, clients, keys, prices};
use crate::app::App;
use crate::app::card_file::LoadedCard;
use crate::app::keys::Keys;
use crate::app::prices::PriceChange;
use crate::domain::Timestamp;
use crate::domain::pricing::Catalog;
use crate::rfc3339;

/// How often to try again to serve what is in force.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Keeps the prices of a running server up to date.
pub(super) struct Reload {
    config: Arc<Config>,
    app: Arc<App>,
    keys: Arc<Keys>,
    tls: Option<Arc<Tls>>,
}

impl Reload {
    pub(super) const fn new(
        config: Arc<Config>,
        app: Arc<App>,
        keys: Arc<Keys>,
        tls: Option<Arc<Tls>>,
    ) -> Self {
        Self {
            config,
            app,
            keys,
            tls,
        }
    }

    /// Publishes each time that it is asked to, and follows each change, for ever.
    pub(super) async fn run(&self, asked: &Notify) -> Infallible {
        let mut changes = self.app.price_changes();
        // Another server may have published since the start.
        let mut behind = !self.follow().await;
        loop {
            tokio::select! {
                () = asked.notified() => {
                    if let Some(tls) = &self.tls {
                        tls.reload().await;
                    }
                    keys::reload_admin_keys(&self.config, &self.keys).await;
                    clients::reload(&self.config, self.keys.access());
                    self.publish().await;
                }
                Ok(()) = changes.changed() => behind = !self.follow().await,
                () = tokio::time::sleep(RETRY_INTERVAL), if behind => behind = !self.follow().await,
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
        let bases = self.app.published_cards().await?;
        let loaded = tokio::task::spawn_blocking(move || prices::load(&config.rate_cards, &bases));
        // The panic is in the log.
        let defect = |_| Err(StartError::Prices("a defect".to_owned()));
        loaded.await.unwrap_or_else(defect)
    }

    /// Serves what is in force in the store; false where that failed.
    async fn follow(&self) -> bool {
        match self.app.follow_prices().await {
            Ok(change) => {
                let changes = describe(&change);
                if changes != UNCHANGED {
                    tracing::info!(changes, "other rate cards are in force");
                }
                true
            }
            Err(error) => {
                let problem = problem(error.into());
                tracing::error!(
                    problem,
                    "changed rate cards not served; the old ones serve on"
                );
                false
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
    let periods = catalog.periods().into_iter();
    periods
        .map(|(name, period)| ((name, period.since), &*period.revision))
        .collect()
}

fn card_text(name: &str, time: Option<Timestamp>) -> String {
    match time {
        None => format!("\"{name}\""),
        Some(time) => format!("\"{name}\" from {}", rfc3339::format(time)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::card_file;
    use crate::app::prices::publish;
    use crate::server::{Options, SystemClock};
    use crate::store::cards::RateCardStore as _;
    use crate::store::sqlite::{SqliteSettings, SqliteStore};

    /// A rate card of one service.
    fn card(directory: &std::path::Path, credits: &str) -> LoadedCard {
        let text = format!(
            "format = 1\nname = \"plan\"\ntitle = \"Plan\"\n[[service]]\nkey = \"work\"\n\
             title = \"Work\"\nrule = \"a piece\"\nmeter = \"count\"\npiece = \"piece\"\n\
             price = {{ model = \"per_piece\", credits = \"{credits}\" }}\n"
        );
        let file = directory.join("card.toml");
        std::fs::write(&file, text).unwrap();
        card_file::load(&file).unwrap()
    }

    /// What another server publishes into the store is served without a signal.
    #[tokio::test]
    async fn it_follows_what_others_publish() {
        let directory = tempfile::tempdir().unwrap();
        let [own, other] = ["1", "2"].map(|credits| card(directory.path(), credits));
        let file = directory.path().join("creditd.db");
        let clock = Arc::new(SystemClock);
        let store = SqliteStore::open(&file, clock.clone(), SqliteSettings::default());
        let store = Arc::new(store.unwrap());
        let catalog = publish(store.as_ref(), &[own], None).await.unwrap();
        let app = App::new(catalog, store.clone(), store.clone(), clock.clone());
        let app = Arc::new(app);
        let keys = Keys::new(store.clone(), Arc::clone(app.access()), clock);
        let config = Options::default().over(Options::default()).unwrap();
        let reload = Reload::new(Arc::new(config), Arc::clone(&app), Arc::new(keys), None);
        let served = async {
            store.publish(vec![other.to_store()]).await.unwrap();
            while app.prices().cards()[0].revision() != other.card.revision() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let asked = Notify::new();
        tokio::select! {
            never = reload.run(&asked) => match never {},
            () = served => {}
            () = tokio::time::sleep(Duration::from_secs(20)) => panic!("it does not follow"),
        }
    }
}
