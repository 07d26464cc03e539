//! Balances that are watched: the balance now, and the newest one after each change.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::convert::ledger::balance_to_pb;
use super::health::State;
use super::pb::creditd::v1 as pb;
use super::refused::{Refused, WireFault};
use crate::app::App;
use crate::domain::{AccountName, Faults};

/// What a watcher is sent.
type Item = Result<pb::WatchBalanceResponse, Status>;

/// Everybody who watches.
#[derive(Clone)]
pub(super) struct Watching {
    state: watch::Receiver<State>,
    count: Arc<AtomicUsize>,
    max: usize,
}

/// A place among those who watch; given back when it is dropped.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Watching {
    pub(super) fn new(state: watch::Receiver<State>, max: usize) -> Self {
        Self {
            state,
            count: Arc::new(AtomicUsize::new(0)),
            max,
        }
    }

    fn enter(&self) -> Result<Place, Refused> {
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(&self.count));
        match before < self.max {
            true => Ok(place),
            false => Err(WireFault::TooManyWatchers { limit: self.max }.into()),
        }
    }

    /// One more watcher.
    pub(super) async fn watch(
        &self,
        app: &Arc<App>,
        account: AccountName,
    ) -> Result<ReceiverStream<Item>, Refused> {
        let place = self.enter()?;
        let changes = app.watch(account.clone()).await.map_err(Refused::from)?;
        // A reader that is slow finds the newest one: what is sent is read only when
        // there is room for it.
        let (sender, receiver) = mpsc::channel(1);
        let watcher = Watcher {
            app: Arc::clone(app),
            account,
            sender,
            changes,
            state: self.state.clone(),
            _place: place,
        };
        tokio::spawn(watcher.run());
        Ok(ReceiverStream::new(receiver))
    }
}

struct Watcher {
    app: Arc<App>,
    account: AccountName,
    sender: mpsc::Sender<Item>,
    changes: watch::Receiver<()>,
    state: watch::Receiver<State>,
    _place: Place,
}

impl Watcher {
    /// Sends until the watcher has gone, the server stops or the account cannot be read.
    async fn run(mut self) {
        let mut told = None;
        loop {
            let room = tokio::select! {
                room = self.sender.reserve() => room,
                _ = self.state.wait_for(State::is_stopping) => return,
            };
            let Ok(room) = room else { return };
            self.changes.mark_unchanged();
            let name = Some(self.account.clone());
            match self.app.balance(name, None, Faults::new()).await {
                // A change that is no move has nothing to tell.
                Ok(balance) if told == Some(balance.version) => {}
                Ok(balance) => {
                    told = Some(balance.version);
                    room.send(Ok(pb::WatchBalanceResponse {
                        balance: Some(balance_to_pb(&balance)),
                    }));
                }
                Err(refusal) => {
                    room.send(Err(Refused::from(refusal).into_status()));
                    return;
                }
            }
            tokio::select! {
                changed = self.changes.changed() => if changed.is_err() { return },
                () = self.sender.closed() => return,
                _ = self.state.wait_for(State::is_stopping) => return,
            }
        }
    }
}
