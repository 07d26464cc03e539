//! WatchBalance: sends the balance now, and the newest balance after each change.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::convert::ledger::balance_to_pb;
use super::health::State;
use super::pb::creditd::v1 as pb;
use super::refused::{Refused, RpcRefusal};
use crate::app::App;
use crate::domain::{AccountName, FieldViolations};

type Item = Result<pb::WatchBalanceResponse, Status>;

/// Starts watches, up to a limit for the whole process.
#[derive(Clone)]
pub(super) struct Watching {
    state: watch::Receiver<State>,
    permits: Arc<Semaphore>,
    limit: usize,
}

impl Watching {
    pub(super) fn new(state: watch::Receiver<State>, limit: usize) -> Self {
        Self {
            state,
            permits: Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS))),
            limit,
        }
    }

    /// Starts a watch. It ends when the stream is dropped or the server drains.
    pub(super) async fn watch(
        &self,
        app: &Arc<App>,
        account: AccountName,
    ) -> Result<ReceiverStream<Item>, Refused> {
        let limit = self.limit;
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        let permit = permit.map_err(|_| RpcRefusal::TooManyWatchers { limit })?;
        let changes = app.watch(account.clone()).await.map_err(Refused::from)?;
        // One balance at a time: a slow reader skips those between, because the balance is read
        // only when there is room to send it.
        let (sender, receiver) = mpsc::channel(1);
        let watcher = Watcher {
            app: Arc::clone(app),
            account,
            sender,
            changes,
            state: self.state.clone(),
            _permit: permit,
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
    _permit: OwnedSemaphorePermit,
}

impl Watcher {
    /// Sends balances until the caller is gone, the server drains or the account cannot be read.
    async fn run(mut self) {
        let mut sent_version = None;
        loop {
            let room = tokio::select! {
                room = self.sender.reserve() => room,
                _ = self.state.wait_for(State::is_stopping) => return,
            };
            let Ok(room) = room else { return };
            self.changes.mark_unchanged();
            let account = Some(self.account.clone());
            match self
                .app
                .balance(account, None, FieldViolations::new())
                .await
            {
                // The change moved no credits: a hold was extended, or settings were set.
                Ok(balance) if sent_version == Some(balance.version) => {}
                Ok(balance) => {
                    sent_version = Some(balance.version);
                    room.send(Ok(pb::WatchBalanceResponse {
                        balance: Some(balance_to_pb(&balance)),
                    }));
                }
                Err(error) => {
                    room.send(Err(Refused::from(error).into_status()));
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
