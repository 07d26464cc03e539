//! What one connection holds of the process's [`Budget`].

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::Response;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;

use super::budget::{Budget, Each, Refusal, Weight};
use crate::app::access::Caller;
use crate::rpc::peer::PeerAddress;
use crate::rpc::refused::{RpcRefusal, Shared};

/// Most pages of lists of one connection that are made, or wait to be sent, at a time.
pub const PAGES_AT_ONCE_MAX: usize = 4;

/// See the module. It is told once in the log that a connection wants more than its share.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    peer: Option<PeerAddress>,
    held: Each<AtomicUsize>,
    pages: Arc<Semaphore>,
    /// Large calls that hold memory for what they make.
    large_calls: AtomicUsize,
    /// Told when a large call gives memory back.
    given_back: Notify,
    is_logged: AtomicBool,
}

impl Share {
    pub(super) fn new(budget: &Arc<Budget>, peer: Option<PeerAddress>) -> Arc<Self> {
        Arc::new(Self {
            budget: Arc::clone(budget),
            peer,
            held: Each::default(),
            pages: Arc::new(Semaphore::new(PAGES_AT_ONCE_MAX)),
            large_calls: AtomicUsize::new(0),
            given_back: Notify::new(),
            is_logged: AtomicBool::new(false),
        })
    }

    pub(super) fn take(
        &self,
        shared: Shared,
        count: usize,
        weight: Weight,
    ) -> Result<(), RpcRefusal> {
        let taken = self
            .budget
            .pool(shared)
            .take(count, self.held(shared), weight);
        match taken {
            Ok(()) => {
                if shared != Shared::Memory {
                    self.budget.shed.take();
                }
                Ok(())
            }
            Err(Refusal::Full(refusal)) => Err(refusal),
            Err(Refusal::OverShare(refusal) | Refusal::OverKeyShare(refusal)) => {
                self.log(shared);
                Err(refusal)
            }
        }
    }

    /// The reply that refuses a call.
    pub(super) fn refuse(&self, refusal: RpcRefusal) -> Response<Body> {
        self.budget.shed.reply(refusal)
    }

    /// The reply to a call whose caller is not known. It says nothing of the load.
    pub(super) fn refuse_caller(&self, refusal: &RpcRefusal) -> Response<Body> {
        self.budget.shed.ready(refusal)
    }

    pub(super) fn take_anyway(&self, shared: Shared, count: usize) {
        let pool = self.budget.pool(shared);
        pool.take_anyway(count, self.held(shared));
    }

    pub(super) fn give_back(&self, shared: Shared, count: usize) {
        let pool = self.budget.pool(shared);
        pool.give_back(count, self.held(shared));
    }

    /// One of the pages that may be on their way at a time. It waits for others.
    pub(super) async fn page(&self) -> Page {
        // The semaphore is never closed.
        Page(Arc::clone(&self.pages).acquire_owned().await.ok())
    }

    /// Takes memory for what a large call makes. It waits while other large calls of this
    /// connection hold its share. One alone may take more than that: a batch of the largest size is
    /// done where the process has room.
    pub(super) async fn take_large(self: &Arc<Self>, bytes: usize) -> Result<Large, RpcRefusal> {
        loop {
            let given_back = self.given_back.notified();
            let pool = self.budget.pool(Shared::Memory);
            let alone = self.large_calls.load(Ordering::Relaxed) == 0;
            let taken = match pool.take(bytes, self.held(Shared::Memory), Weight::Large) {
                Err(Refusal::OverShare(_)) if alone => {
                    pool.take_of_all(bytes, self.held(Shared::Memory), Weight::Large)
                }
                taken => taken,
            };
            match taken {
                Ok(()) => {
                    self.large_calls.fetch_add(1, Ordering::Relaxed);
                    return Ok(Large(Arc::clone(self)));
                }
                Err(Refusal::OverShare(_)) => given_back.await,
                Err(Refusal::Full(refusal) | Refusal::OverKeyShare(refusal)) => {
                    return Err(refusal);
                }
            }
        }
    }

    /// Whether the calls of a key that hold so much may hold so much more.
    fn check_key(
        &self,
        (shared, count): (Shared, usize),
        held: usize,
        are_strangers: bool,
    ) -> Result<(), RpcRefusal> {
        let pool = self.budget.pool(shared);
        match pool.check_key(count, held, are_strangers) {
            Err(
                Refusal::OverKeyShare(refusal)
                | Refusal::OverShare(refusal)
                | Refusal::Full(refusal),
            ) => Err(refusal),
            Ok(()) => Ok(()),
        }
    }

    /// A large call has given memory back: those that wait for it look again.
    pub(super) fn tell_large_calls(&self) {
        self.given_back.notify_waiters();
    }

    const fn held(&self, shared: Shared) -> &AtomicUsize {
        self.held.of(shared)
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.held(Shared::Memory).load(Ordering::Relaxed)
    }

    #[cold]
    fn log(&self, shared: Shared) {
        if self.is_logged.swap(true, Ordering::Relaxed) {
            return;
        }
        let Some(left_out) = self.budget.permit_line() else {
            return;
        };
        let held = |shared| self.held(shared).load(Ordering::Relaxed);
        tracing::warn!(
            peer = self.peer.map(tracing::field::display),
            wants = %Wanted(shared),
            memory_kib = held(Shared::Memory).div_euclid(1_024),
            calls = held(Shared::Calls),
            balances = held(Shared::BalanceWatchers),
            left_out,
            "a connection holds its share: what it wants beyond that is refused",
        );
    }
}

/// Who takes of a connection's share: a call, and with it whoever makes it.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    share: Arc<Share>,
    caller: Caller,
}

impl Holder {
    pub(super) const fn new(share: Arc<Share>, caller: Caller) -> Self {
        Self { share, caller }
    }

    pub(super) const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// See [`Share::take`].
    pub(super) fn take(
        &self,
        shared: Shared,
        count: usize,
        weight: Weight,
    ) -> Result<(), RpcRefusal> {
        let of_key = self.caller.held(shared.number());
        if let Some(held) = of_key {
            let held = held.load(Ordering::Relaxed);
            let are_strangers = self.caller.is_stranger();
            self.share.check_key((shared, count), held, are_strangers)?;
        }
        self.share.take(shared, count, weight)?;
        if let Some(held) = of_key {
            held.fetch_add(count, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(super) fn take_anyway(&self, shared: Shared, count: usize) {
        self.share.take_anyway(shared, count);
        if let Some(held) = self.caller.held(shared.number()) {
            held.fetch_add(count, Ordering::Relaxed);
        }
    }

    pub(super) fn give_back(&self, shared: Shared, count: usize) {
        self.share.give_back(shared, count);
        if let Some(held) = self.caller.held(shared.number()) {
            held.fetch_sub(count, Ordering::Relaxed);
        }
    }

    /// See [`Share::take_large`]. It waits for no other connection of its key.
    pub(super) async fn take_large(&self, bytes: usize) -> Result<Large, RpcRefusal> {
        let of_key = self.caller.held(Shared::Memory.number());
        if let Some(held) = of_key {
            let held = held.load(Ordering::Relaxed);
            let are_strangers = self.caller.is_stranger();
            let taken = (Shared::Memory, bytes);
            self.share.check_key(taken, held, are_strangers)?;
        }
        let large = self.share.take_large(bytes).await?;
        if let Some(held) = of_key {
            held.fetch_add(bytes, Ordering::Relaxed);
        }
        Ok(large)
    }

    /// See [`Share::page`].
    pub(super) async fn page(&self) -> Page {
        self.share.page().await
    }

    pub(super) fn tell_large_calls(&self) {
        self.share.tell_large_calls();
    }

    /// Takes the memory of a call that a connection which holds nearly nothing has in any case.
    pub(super) fn take_first(&self, bytes: usize, floor_bytes: usize) -> bool {
        let held = self.share.held(Shared::Memory).load(Ordering::Relaxed);
        let is_first = held.saturating_add(bytes) <= floor_bytes;
        if is_first {
            self.take_anyway(Shared::Memory, bytes);
        }
        is_first
    }

    /// Whether whoever makes the call is still who it was when its headers came.
    pub(super) fn check_caller(&self) -> Result<(), RpcRefusal> {
        let Some(access) = &self.share.budget.access else {
            return Ok(());
        };
        match (access.is_valid(&self.caller), self.caller.is_known()) {
            (true, _) => Ok(()),
            (false, true) => Err(RpcRefusal::KeyInvalid),
            (false, false) => Err(RpcRefusal::KeyRequired),
        }
    }

    pub(super) fn refuse(&self, refusal: RpcRefusal) -> Response<Body> {
        match refusal {
            RpcRefusal::KeyInvalid | RpcRefusal::KeyRequired => self.share.refuse_caller(&refusal),
            refusal => self.share.refuse(refusal),
        }
    }
}

/// One of the pages of a connection.
#[derive(Debug)]
pub(super) struct Page(
    #[expect(dead_code, reason = "it is released")] Option<OwnedSemaphorePermit>,
);

/// Counts a large call of a connection.
#[derive(Debug)]
pub struct Large(Arc<Share>);

impl Drop for Large {
    fn drop(&mut self) {
        self.0.large_calls.fetch_sub(1, Ordering::Relaxed);
        self.0.tell_large_calls();
    }
}

/// What a connection has too much of.
struct Wanted(Shared);

impl fmt::Display for Wanted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.0 {
            Shared::Memory => "memory",
            Shared::Calls => "calls in flight",
            Shared::BalanceWatchers => "watches of balances",
            Shared::HealthWatchers => "watches of health",
            Shared::Reflections => "streams of reflection",
        })
    }
}
