//! Asks the threads whether they go on, for the service manager's watchdog. A timer of its own would
//! only say that the timer does.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::supervisor::Supervisor;
use super::worker::Workers;
use crate::store::{Store, StoreError};

/// How soon the ledger's thread is asked again, where its queue was full.
const ASK_AGAIN_INTERVAL: Duration = Duration::from_millis(20);

/// Tells the service manager that the threads go on, for ever, each time that all have answered.
pub(super) async fn watch(
    supervisor: Supervisor,
    workers: &Workers,
    store: &Arc<dyn Store>,
) -> Infallible {
    let Some((interval, within)) = supervisor.watchdog() else {
        return std::future::pending().await;
    };
    let mut interval = tokio::time::interval(interval);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let Some(thread) = silent_thread(within, workers, store).await else {
            supervisor.alive();
            continue;
        };
        tracing::error!(
            thread,
            "a thread does not answer: the service manager is not told that all go on"
        );
    }
}

/// The name of a thread that does not answer within so long; None: all do.
async fn silent_thread(
    within: Duration,
    workers: &Workers,
    store: &Arc<dyn Store>,
) -> Option<String> {
    let writes = tokio::time::timeout(within, async {
        // A queue that is full says nothing of whoever empties it.
        while let Err(StoreError::Busy { .. }) = store.settings(Vec::new()).await {
            tokio::time::sleep(ASK_AGAIN_INTERVAL).await;
        }
    });
    let (writes, silent) = tokio::join!(writes, workers.silent(within));
    match writes {
        Err(_) => Some("ledger-writer".to_owned()),
        Ok(()) => silent.map(|number| format!("serve-{number}")),
    }
}
