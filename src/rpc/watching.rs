//! WatchBalance: sends the balance now, and the newest balance after each change.
//!
//! A balance is made when the one before has left, so that at most one of each watch waits in
//! memory: a slow reader misses those between.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_stream::Stream;
use tonic::Status;
use tonic::body::Body;

use super::convert::ledger::balance_to_pb;
use super::health::State;
use super::layer::{GRPC_STATUS, Reservation};
use super::pb::creditd::v1 as pb;
use super::refused::{Refused, RpcRefusal};
use super::wire::EncodedReply;
use crate::app::App;
use crate::app::access::{Access, Caller};
use crate::domain::{AccountName, FieldViolations};

/// The longest that a caller whose key expires is not looked at.
const EXPIRY_CHECK_INTERVAL: Duration = Duration::from_secs(60);

type Item = Result<pb::WatchBalanceResponse, Status>;

/// Starts watches.
#[derive(Clone)]
pub(super) struct Watching {
    state: watch::Receiver<State>,
}

impl Watching {
    pub(super) const fn new(state: watch::Receiver<State>) -> Self {
        Self { state }
    }

    /// Starts a watch. It ends when it is dropped or the server drains.
    pub(super) async fn watch(
        &self,
        app: &Arc<App>,
        caller: Caller,
        account: AccountName,
    ) -> Result<Watcher, Refused> {
        let changes = app
            .watch(&caller, account.clone())
            .await
            .map_err(Refused::from)?;
        Ok(Watcher {
            app: Arc::clone(app),
            caller,
            account,
            changes,
            state: self.state.clone(),
            sent_version: None,
        })
    }
}

/// A watch of a balance.
pub(super) struct Watcher {
    app: Arc<App>,
    caller: Caller,
    account: AccountName,
    changes: watch::Receiver<()>,
    state: watch::Receiver<State>,
    /// The version that was sent last.
    sent_version: Option<i64>,
}

impl Watcher {
    /// The balance, when it is another one than before. None where the server drains or the
    /// store has ended.
    async fn next(&mut self) -> Option<Item> {
        loop {
            if self.sent_version.is_some() {
                tokio::select! {
                    changed = self.changes.changed() => changed.ok()?,
                    _ = self.state.wait_for(State::has_ended) => return None,
                    () = ended_by(self.app.access(), &self.caller) => return Some(Err(caller_ended())),
                }
            }
            self.changes.mark_unchanged();
            let account = Some(self.account.clone());
            let balance =
                self.app
                    .balance_again(&self.caller, account, None, FieldViolations::new());
            match balance.await {
                // The change moved no credits: a hold was extended, or settings were set.
                Ok(balance) if self.sent_version == Some(balance.version) => {}
                Ok(balance) => {
                    self.sent_version = Some(balance.version);
                    let balance = Some(balance_to_pb(&balance));
                    return Some(Ok(pb::WatchBalanceResponse { balance }));
                }
                Err(error) => return Some(Err(Refused::from(error).into_status())),
            }
        }
    }

    /// The balances as messages.
    pub(super) fn balances(self) -> impl Stream<Item = Item> {
        stream::unfold(Some(self), |watcher| async move {
            let mut watcher = watcher?;
            let item = watcher.next().await?;
            let goes_on = item.is_ok();
            Some((item, goes_on.then_some(watcher)))
        })
    }

    /// The balances as the body of a reply to a call that holds this.
    pub(super) fn into_body(self, held: Reservation, compress: bool) -> Body {
        let sending = Sending {
            watcher: self,
            held,
            compress,
            one_at_a_time: Arc::new(Semaphore::new(1)),
        };
        let frames = stream::unfold(Some(sending), |sending| async move {
            let mut sending = sending?;
            let frame = match sending.next().await {
                Ok(piece) => Frame::data(piece),
                Err(end) => return Some((Ok(Frame::trailers(end)), None)),
            };
            Some((Ok::<_, Status>(frame), Some(sending)))
        });
        Body::new(StreamBody::new(frames))
    }
}

/// A watch on its way through a connection.
struct Sending {
    watcher: Watcher,
    held: Reservation,
    compress: bool,
    /// Its permit is with the balance that is on its way.
    one_at_a_time: Arc<Semaphore>,
}

impl Sending {
    /// The next message, or the trailers of the stream.
    async fn next(&mut self) -> Result<Bytes, HeaderMap> {
        let permit = self.room().await?;
        let message = self.watcher.next().await.ok_or_else(ended)?;
        let reply = message.map(|message| EncodedReply::of(&message));
        let reply = reply.map_err(|status| refused(&status))?;
        let room = self.held.room(reply.frame_bytes());
        let room = room.map_err(|refusal| refused(&Refused::from(refusal).into_status()))?;
        let (reply, is_compressed) = reply.compressed_if(self.compress).await;
        Ok(room.with(reply.into_vec(is_compressed), permit))
    }

    /// Waits until the balance before has left. The trailers where the stream ends before.
    async fn room(&mut self) -> Result<OwnedSemaphorePermit, HeaderMap> {
        let permit = Arc::clone(&self.one_at_a_time).acquire_owned();
        let watcher = &mut self.watcher;
        tokio::select! {
            permit = permit => permit.map_err(|_| ended()),
            _ = watcher.state.wait_for(State::has_ended) => Err(ended()),
            () = ended_by(watcher.app.access(), &watcher.caller) => Err(refused(&caller_ended())),
        }
    }
}

/// Waits until the caller of a watch is not valid any more.
async fn ended_by(access: &Access, caller: &Caller) {
    let mut changes = access.changes();
    while access.is_valid(caller) {
        let wait = access.expires_in(caller).map(|wait| {
            // The clock may be set meanwhile.
            wait.clamp(Duration::from_millis(1), EXPIRY_CHECK_INTERVAL)
        });
        tokio::select! {
            // It lives as long as the use cases.
            _ = changes.changed() => {}
            () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
        }
    }
}

/// The key of a watch was revoked, or has expired.
fn caller_ended() -> Status {
    Refused::from(RpcRefusal::KeyInvalid).into_status()
}

fn ended() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS.clone(), HeaderValue::from_static("0"));
    trailers
}

fn refused(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // What it says can be said in headers.
    let _ = status.add_header(&mut trailers);
    trailers
}
