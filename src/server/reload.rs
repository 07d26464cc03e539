//! What changes while the server runs. Where it is asked to, it reads its configuration again, and
//! all that this names: options, rate cards, certificate, keys, clients. It follows what other
//! servers publish into the same store.
//!
//! All or nothing: all is read and checked before anything is taken, and where something is wrong,
//! nothing changes. Calls that have begun keep the price snapshot that they began with.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tracing::Level;
use tracing_subscriber::EnvFilter;

use super::config::{Config, ConfigError};
use super::inputs::{self, Inputs, one_line};
use super::live::Live;
use super::option_table::Taken;
use super::options::{OPTIONS, Options};
use super::supervisor::Supervisor;
use super::telemetry::{self, LogLevel};
use super::tls::Tls;
use super::{StartError, clients, price_changes};
use crate::app::App;
use crate::app::certificates::ClientEntry;
use crate::app::reload::{Change, NotReloaded, ReloadOutcome, ReloadRequest, Reloaded};
use crate::domain::pricing::Catalog;
use crate::rpc::layer::Observer;

/// How often to try again to serve what is in force.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Reads the configuration of a running server again.
pub(super) struct Reload {
    /// What is in force.
    pub(super) config: Config,
    pub(super) limits: Arc<Live>,
    pub(super) app: Arc<App>,
    pub(super) tls: Option<Arc<Tls>>,
    /// None: the log is another one's.
    pub(super) level: Option<LogLevel>,
    /// Whoever started the process, and how the server is.
    pub(super) supervisor: (Supervisor, String),
    /// Is told of each reload.
    pub(super) observer: Arc<dyn Observer>,
}

/// All that was read, and can be taken.
struct Ready {
    config: Config,
    need_restart: Vec<Change>,
    inputs: Inputs,
    filter: EnvFilter,
}

impl Reload {
    /// Reloads each time that it is asked to, by a signal or a call, and follows each change of
    /// prices, for ever.
    pub(super) async fn run(
        mut self,
        signals: &Notify,
        mut requests: mpsc::Receiver<ReloadRequest>,
    ) -> Infallible {
        let mut changes = self.app.price_changes();
        // Another server may have published since the start.
        let mut behind = !self.follow().await;
        loop {
            tokio::select! {
                () = signals.notified() => drop(self.reload().await),
                Some(request) = requests.recv() => {
                    let outcome = self.reload().await;
                    // Its caller may have gone.
                    let _ = request.send(outcome);
                }
                Ok(()) = changes.changed() => behind = !self.follow().await,
                () = tokio::time::sleep(RETRY_INTERVAL), if behind => behind = !self.follow().await,
            }
        }
    }

    async fn reload(&mut self) -> ReloadOutcome {
        self.supervisor.0.reloading();
        let outcome = match self.read().await {
            Ok(ready) => self.take(ready).await,
            Err(problems) => Err(problems),
        };
        let (supervisor, status) = &self.supervisor;
        supervisor.ready(status);
        self.observer.reloaded(outcome.is_ok());
        outcome.map_err(|problems| {
            let all = problems.join("; ");
            tracing::error!(
                problems = all,
                "configuration not reloaded; the old one serves on"
            );
            NotReloaded { problems }
        })
    }

    /// Reads everything. Connections are accepted meanwhile.
    async fn read(&self) -> Result<Ready, Vec<String>> {
        let bases = self.app.published_cards().await;
        let bases = bases.map_err(|error| vec![problem(error.into())])?;
        let config = self.config.clone();
        let read = tokio::task::spawn_blocking(move || read(&config, &bases));
        // The panic is in the log.
        let defect = |_| Err(vec!["a defect".to_owned()]);
        read.await.unwrap_or_else(defect)
    }

    /// Takes what was read. Only to publish rate cards can fail, so that is first.
    async fn take(&mut self, ready: Ready) -> Result<Reloaded, Vec<String>> {
        let Ready {
            config,
            need_restart,
            inputs,
            filter,
        } = ready;
        let default = config.default_rate_card.as_deref();
        let published = self.app.publish_prices_with(&inputs.cards, default).await;
        let published = published.map_err(|error| vec![problem(error.into())])?;
        let mut changes = changed_options(&self.config.options, &config.options, Taken::Reload);
        changes.extend(price_changes::changes(&published));
        self.limits.set(&config);
        let access = self.app.access();
        access.limit_accounts(config.account_calls_per_second_max);
        let certificates = match (&self.tls, inputs.tls) {
            (Some(tls), Some(loaded)) => tls.take_up(loaded),
            _ => None,
        };
        changes.extend(certificates.map(|(before, after)| changed_certificate(before, after)));
        let (new, ended) = access.take_up_admin_keys(&inputs.admin_keys);
        if (new, ended) != (0, 0) {
            changes.push(Change {
                what: "admin keys".to_owned(),
                before: format!("{ended} ended"),
                after: format!("{new} new"),
            });
        }
        changes.extend(changed_clients(&self.config.clients, &config.clients));
        if config.asks_for_certificates() {
            access.take_up_clients(config.clients.clone());
        }
        let reloaded = Reloaded {
            changes,
            need_restart,
        };
        // Whichever level it is by now, or was.
        let told_before = tracing::enabled!(Level::INFO);
        if told_before {
            log(&reloaded);
        }
        if let Some(level) = &self.level {
            level.set(filter);
        }
        if !told_before {
            log(&reloaded);
        }
        self.config = config;
        Ok(reloaded)
    }

    /// Serves what is in force in the store; false where that failed.
    async fn follow(&self) -> bool {
        match self.app.follow_prices().await {
            Ok(change) => {
                let changes = price_changes::changes(&change);
                if !changes.is_empty() {
                    let changes = list(&changes);
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
}

/// Reads the file of this configuration again, and all that it names.
fn read(before: &Config, bases: &Catalog) -> Result<Ready, Vec<String>> {
    let mut problems = Vec::new();
    let read_again = read_again(before);
    let (config, need_restart) = read_again.unwrap_or_else(|ConfigError(of_options)| {
        // Whether the files are right that were named before is told, too.
        problems.extend(of_options);
        (before.clone(), Vec::new())
    });
    let inputs = inputs::read(&config, bases);
    let filter = telemetry::filter(&config.log_level);
    match (inputs, filter) {
        (Ok(inputs), Ok(filter)) if problems.is_empty() => Ok(Ready {
            config,
            need_restart,
            inputs,
            filter,
        }),
        (inputs, _) => {
            problems.extend(inputs.err().unwrap_or_default());
            Err(problems)
        }
    }
}

/// What is to be in force, and which options of the file only a start takes.
fn read_again(before: &Config) -> Result<(Config, Vec<Change>), ConfigError> {
    let file = match &before.options.file {
        Some(path) => {
            let problem = |problem: &str| {
                ConfigError(vec![format!("configuration {}: {problem}", path.display())])
            };
            // Whatever else it is may have no end.
            if path.exists() && !path.is_file() {
                return Err(problem("it is no regular file any more"));
            }
            // It was cut, or is being written: what it said about keys is not given up for that.
            let is_empty = std::fs::metadata(path).is_ok_and(|found| found.len() == 0);
            if is_empty && !before.options.lines.is_empty() {
                return Err(problem(
                    "it is empty; write a comment into it if no option is meant",
                ));
            }
            Options::from_file(path)?
        }
        None => Options::default(),
    };
    let given = before.given.clone();
    // A start must take the file, too.
    let next = given.clone().over(file)?;
    let need_restart = changed_options(&before.options, &next.options, Taken::Restart);
    let in_force = next.options.kept_from(&before.options);
    let in_force = Config::of(in_force, given).map_err(|ConfigError(mut problems)| {
        problems.push(format!(
            "these options of the file would be taken by a restart alone: {}",
            list(&need_restart)
        ));
        ConfigError(problems)
    })?;
    let in_force = Config {
        admin_key: before.admin_key.clone(),
        ..in_force
    };
    Ok((in_force, need_restart))
}

fn changed_options(before: &Options, after: &Options, taken: Taken) -> Vec<Change> {
    let rows = OPTIONS.iter().filter(|row| row.taken == taken);
    let rows = rows.map(|row| (row.key, (row.value)(before), (row.value)(after)));
    let changed = rows.filter(|(_, before, after)| before != after);
    let changed = changed.map(|(key, before, after)| Change {
        what: key.to_owned(),
        before: text(&before),
        after: text(&after),
    });
    changed.collect()
}

fn text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn changed_certificate(before: String, after: String) -> Change {
    let is_same = before == after;
    Change {
        what: "certificate".to_owned(),
        before,
        after: match is_same {
            true => format!("{after}, with another key, chain or issuers of clients"),
            false => after,
        },
    }
}

fn changed_clients(before: &[ClientEntry], after: &[ClientEntry]) -> Vec<Change> {
    let named = |entries: &[ClientEntry], entry: &ClientEntry| {
        let mut entries = entries.iter();
        entries.find(|other| other.name == entry.name).cloned()
    };
    let gone = before.iter().filter(|entry| named(after, entry).is_none());
    let others = after
        .iter()
        .map(|entry| (named(before, entry), Some(entry)));
    let all = others.chain(gone.map(|entry| (Some(entry.clone()), None)));
    let changed = all.filter(|(before, after)| before.as_ref() != *after);
    let changed = changed.filter_map(|(before, after)| {
        let client = after.or(before.as_ref())?.name.clone();
        let shown = |entry: Option<&ClientEntry>| entry.map_or_else(String::new, clients::describe);
        let (before, mut after) = (shown(before.as_ref()), shown(after));
        if before == after {
            after.push_str(", for other accounts or by another certificate");
        }
        Some(Change {
            what: format!("client \"{client}\""),
            before,
            after,
        })
    });
    changed.collect()
}

fn list(changes: &[Change]) -> String {
    let changes: Vec<_> = changes.iter().map(Change::to_string).collect();
    changes.join("; ")
}

fn log(reloaded: &Reloaded) {
    let changes = match reloaded.changes.is_empty() {
        true => "nothing changed".to_owned(),
        false => list(&reloaded.changes),
    };
    tracing::info!(changes, "configuration reloaded");
    if !reloaded.need_restart.is_empty() {
        let options = list(&reloaded.need_restart);
        tracing::warn!(
            options,
            "these changed options are taken by a restart alone"
        );
    }
}

fn problem(error: StartError) -> String {
    match error {
        StartError::Store(unavailable) => format!("data file: {unavailable}"),
        other => one_line(&other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::card_file::{self, LoadedCard};
    use crate::app::prices::publish;
    use crate::rpc::layer::Counters;
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
        let config = Options::default().over(Options::default()).unwrap();
        let reload = Reload {
            limits: Live::new(&config),
            config,
            app: Arc::clone(&app),
            tls: None,
            level: None,
            supervisor: Default::default(),
            observer: Arc::new(Counters::new(1)),
        };
        let (_requests, asked) = mpsc::channel(1);
        let served = async {
            store.publish(vec![other.to_store()]).await.unwrap();
            while app.prices().cards()[0].revision() != other.card.revision() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let signals = Notify::new();
        tokio::select! {
            never = reload.run(&signals, asked) => match never {},
            () = served => {}
            () = tokio::time::sleep(Duration::from_secs(20)) => panic!("it does not follow"),
        }
    }
}
