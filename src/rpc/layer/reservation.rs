//! What one call holds of its connection's [`Share`], from its headers to the last byte of its
//! reply: memory, and a permit, a watch or a stream. All that has a part in the call has a
//! clone, and what it holds is given back with the last of them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http::Response;
use tonic::body::Body;

use super::budget::{Budget, Weight};
use super::share::{Holder, Large, Page, Share};
use super::shed::NoRoom;
use crate::app::access::Caller;
use crate::rpc::MESSAGE_BYTES_MAX;
use crate::rpc::method::Kind;
use crate::rpc::refused::{RpcRefusal, Shared};

/// What a call takes beside its metadata and its messages: streams of HTTP/2, futures, what
/// the layers keep. Measured as resident memory: see the limits' page.
pub const CALL_BYTES: usize = 9 * 1_024;
/// So much of a request and of a reply is counted among these.
const MESSAGE_BYTES_FREE: usize = 1_024;
/// What a stream of reflection takes beyond: replies of files of the schema, of which one is
/// read, one is encoded and one is on its way.
const REFLECTION_BYTES: usize = 512 * 1_024;
/// Longest request about health, gRPC's prefix included: it has the name of a service.
pub const HEALTH_REQUEST_BYTES_MAX: usize = 1_024;
/// A connection that holds no more has its checks of health answered, whatever others hold.
pub const CHECKS_FLOOR_BYTES: usize = 32 * 1_024;
/// A call that holds no more is a small one.
const SMALL_CALL_BYTES: usize = 64 * 1_024;
/// Deflate makes at most so much of a byte.
const INFLATED_RATIO_MAX: usize = 1_032;

/// See the module.
#[derive(Clone, Debug)]
pub struct Reservation(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    share: Holder,
    weight: Weight,
    bytes: AtomicUsize,
    /// Longest request that is read here; tonic and gzip have limits for messages.
    request_bytes_max: usize,
    /// What the call has without any message.
    base_bytes: usize,
    /// What it counts as, beside its memory.
    counts: Option<Shared>,
    is_counted: AtomicBool,
    /// Why the request is not read to its end.
    no_room: OnceLock<RpcRefusal>,
    /// When the request had come whole, where it was waited for.
    read: OnceLock<Instant>,
    /// What a large call has while it is made and until its reply has left.
    large: Mutex<Option<(Large, Option<Page>)>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.share.give_back(Shared::Memory, *self.bytes.get_mut());
        if *self.is_counted.get_mut()
            && let Some(shared) = self.counts
        {
            self.share.give_back(shared, 1);
        }
    }
}

/// What a service is called with that nobody limits.
impl Default for Reservation {
    fn default() -> Self {
        let share = Share::new(&Arc::new(Budget::unlimited()), None);
        Self::new(
            &share,
            Weight::Small,
            (0, usize::MAX),
            None,
            Caller::default(),
        )
    }
}

impl Reservation {
    fn new(
        share: &Arc<Share>,
        weight: Weight,
        (base_bytes, request_bytes_max): (usize, usize),
        counts: Option<Shared>,
        caller: Caller,
    ) -> Self {
        Self(Arc::new(Inner {
            share: Holder::new(Arc::clone(share), caller),
            weight,
            bytes: AtomicUsize::new(0),
            request_bytes_max,
            base_bytes,
            counts,
            is_counted: AtomicBool::new(false),
            no_room: OnceLock::new(),
            read: OnceLock::new(),
            large: Mutex::new(None),
        }))
    }

    /// For a call whose headers have come.
    pub(super) fn begin(
        share: &Arc<Share>,
        kind: Kind,
        metadata_bytes: usize,
        caller: Caller,
    ) -> Result<Self, RpcRefusal> {
        let counts = match kind {
            Kind::Unary | Kind::Batch | Kind::List => Some(Shared::Calls),
            Kind::BalanceWatch => Some(Shared::BalanceWatchers),
            Kind::HealthWatch => Some(Shared::HealthWatchers),
            Kind::Reflection => Some(Shared::Reflections),
            // It is always answered: a server that is busy is not ill.
            Kind::HealthCheck => None,
        };
        let weight = match kind.is_large() {
            true => Weight::Large,
            false => Weight::Small,
        };
        let request_bytes_max = match kind {
            Kind::HealthCheck | Kind::HealthWatch => HEALTH_REQUEST_BYTES_MAX,
            _ => usize::MAX,
        };
        // It is decoded beside the frames in which it came.
        let metadata_bytes = metadata_bytes.saturating_mul(2);
        let bytes = CALL_BYTES.saturating_add(metadata_bytes);
        let held = Self::new(share, weight, (bytes, request_bytes_max), counts, caller);
        let is_check = kind == Kind::HealthCheck;
        if !(is_check && held.0.share.take_first(bytes, CHECKS_FLOOR_BYTES)) {
            // Also a large call begins small.
            held.0.share.take(Shared::Memory, bytes, Weight::Small)?;
        }
        held.0.bytes.store(bytes, Ordering::Relaxed);
        if kind == Kind::Reflection {
            held.reserve(REFLECTION_BYTES)?;
        }
        if kind.streams() {
            held.count()?;
        }
        Ok(held)
    }

    /// Who makes the call.
    pub(in crate::rpc) fn caller(&self) -> &Caller {
        self.0.share.caller()
    }

    /// The request is not read on.
    pub(super) fn refuse_request(&self, refusal: RpcRefusal) -> NoRoom {
        let _ = self.0.no_room.set(refusal);
        NoRoom
    }

    /// The request has come whole, after it was waited for.
    pub(super) fn note_read(&self) {
        let _ = self.0.read.set(Instant::now());
    }

    /// When the request had come whole; None: with its headers.
    pub(super) fn read_at(&self) -> Option<Instant> {
        self.0.read.get().copied()
    }

    /// Why it is not.
    pub(super) fn no_room(&self) -> Option<&RpcRefusal> {
        self.0.no_room.get()
    }

    /// The reply that refuses the call.
    pub(super) fn refuse(&self, refusal: RpcRefusal) -> Response<Body> {
        self.0.share.refuse(refusal)
    }

    fn count(&self) -> Result<(), RpcRefusal> {
        let Some(shared) = self.0.counts else {
            return Ok(());
        };
        self.0.share.take(shared, 1, self.0.weight)?;
        self.0.is_counted.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// More of the request has come: so much, after so much before.
    pub(super) fn read(&self, before: usize, more: usize) -> Result<(), RpcRefusal> {
        let limit_bytes = self.0.request_bytes_max;
        if before.saturating_add(more) > limit_bytes {
            return Err(RpcRefusal::MessageTooLarge { limit_bytes });
        }
        let beyond = |bytes: usize| bytes.saturating_sub(MESSAGE_BYTES_FREE);
        let after = before.saturating_add(more);
        self.reserve(beyond(after).saturating_sub(beyond(before)))
    }

    /// The request has come whole: the call is in flight from now on, and takes a permit.
    ///
    /// Its caller is looked at again: a key that was revoked since its headers came does nothing
    /// any more.
    pub(super) fn whole(&self) -> Result<(), RpcRefusal> {
        self.0.share.check_caller()?;
        match self.0.is_counted.load(Ordering::Relaxed) {
            true => Ok(()),
            false => self.count(),
        }
    }

    /// Takes room for what a compressed message can become. It waits while large calls of the
    /// connection hold its share.
    pub(in crate::rpc) async fn inflating(
        &self,
        compressed_bytes: usize,
    ) -> Result<Inflating, RpcRefusal> {
        let bytes = compressed_bytes
            .saturating_mul(INFLATED_RATIO_MAX)
            .min(MESSAGE_BYTES_MAX);
        let large = self.0.share.take_large(bytes).await?;
        let share = self.0.share.clone();
        Ok(Inflating {
            room: Room { share, bytes },
            _large: large,
        })
    }

    /// The message that was inflated takes so much of its room.
    pub(in crate::rpc) fn inflated(&self, inflating: Inflating, message_bytes: usize) {
        let Inflating { mut room, _large } = inflating;
        let bytes = message_bytes.min(room.bytes);
        room.bytes = room.bytes.saturating_sub(bytes);
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes so much more.
    pub(in crate::rpc) fn reserve(&self, bytes: usize) -> Result<(), RpcRefusal> {
        if bytes == 0 {
            return Ok(());
        }
        let before = self.0.bytes.load(Ordering::Relaxed);
        let weight = match before.saturating_add(bytes) <= SMALL_CALL_BYTES {
            true => Weight::Small,
            false => Weight::Large,
        };
        self.0.share.take(Shared::Memory, bytes, weight)?;
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Takes room for what a batch is made of. It waits while other large calls of the
    /// connection hold its share.
    pub(in crate::rpc) async fn reserve_batch(&self, bytes: usize) -> Result<(), RpcRefusal> {
        self.reserve_large(bytes, None).await
    }

    /// The same for a page of a list, of which a few can be on their way at a time.
    pub(in crate::rpc) async fn reserve_page(&self, bytes: usize) -> Result<(), RpcRefusal> {
        let page = self.0.share.page().await;
        self.reserve_large(bytes, Some(page)).await
    }

    fn large(&self) -> MutexGuard<'_, Option<(Large, Option<Page>)>> {
        self.0.large.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn reserve_large(&self, bytes: usize, page: Option<Page>) -> Result<(), RpcRefusal> {
        if self.large().is_some() {
            // It would wait for itself.
            return self.reserve(bytes);
        }
        let taken = self.0.share.take_large(bytes).await?;
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        *self.large() = Some((taken, page));
        Ok(())
    }

    /// From now on it holds its reply alone, or nothing where the reply is too large for what
    /// is free.
    pub(super) fn reply(&self, reply_bytes: usize) -> Result<(), RpcRefusal> {
        let beyond = reply_bytes.saturating_sub(MESSAGE_BYTES_FREE);
        let bytes = self.0.base_bytes.saturating_add(beyond);
        let more = bytes.saturating_sub(self.0.bytes.load(Ordering::Relaxed));
        if more == 0 {
            self.shrink_to(bytes);
            return Ok(());
        }
        if bytes > SMALL_CALL_BYTES {
            return self.reserve(more);
        }
        self.0.share.take_anyway(Shared::Memory, more);
        self.0.bytes.fetch_add(more, Ordering::Relaxed);
        Ok(())
    }

    fn shrink_to(&self, bytes: usize) {
        let before = self.0.bytes.load(Ordering::Relaxed);
        let less = before.saturating_sub(bytes);
        if less > 0 {
            self.0.bytes.fetch_sub(less, Ordering::Relaxed);
            self.0.share.give_back(Shared::Memory, less);
            if self.0.weight == Weight::Large {
                self.0.share.tell_large_calls();
            }
        }
    }

    /// Its reply of so many bytes is compressed before it is sent. A small one is at once.
    pub(in crate::rpc) fn compressing(&self, reply_bytes: usize) -> Result<(), RpcRefusal> {
        match reply_bytes <= SMALL_CALL_BYTES || self.0.weight == Weight::Large {
            // A large call has taken room for both.
            true => Ok(()),
            false => self.reserve(reply_bytes),
        }
    }

    /// Takes room for a message of a stream.
    pub(in crate::rpc) fn room(&self, bytes: usize) -> Result<Room, RpcRefusal> {
        let weight = match bytes <= SMALL_CALL_BYTES {
            true => Weight::Small,
            false => Weight::Large,
        };
        let share = self.0.share.clone();
        share.take(Shared::Memory, bytes, weight)?;
        Ok(Room { share, bytes })
    }
}

/// Room for a message that is being inflated.
pub(in crate::rpc) struct Inflating {
    room: Room,
    _large: Large,
}

/// Memory of a connection that is given back when this is dropped.
pub(in crate::rpc) struct Room {
    share: Holder,
    bytes: usize,
}

impl Room {
    /// A message that has room until it has left, `with` something else that is dropped then.
    pub(in crate::rpc) fn with<W: Send + 'static>(mut self, message: Vec<u8>, with: W) -> Bytes {
        let less = self.bytes.saturating_sub(message.capacity());
        self.share.give_back(Shared::Memory, less);
        self.bytes = self.bytes.saturating_sub(less);
        Bytes::from_owner(Piece {
            message,
            _room: self,
            _with: with,
        })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.share.give_back(Shared::Memory, self.bytes);
    }
}

struct Piece<W> {
    message: Vec<u8>,
    _room: Room,
    _with: W,
}

impl<W> AsRef<[u8]> for Piece<W> {
    fn as_ref(&self) -> &[u8] {
        &self.message
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::app::access::{Principal, Rights, SHARED_KINDS};
    use crate::domain::keys::KeyId;

    const MIB: usize = 1_024 * 1_024;

    fn connections(bytes_max: usize) -> [Arc<Share>; 2] {
        let budget = Arc::new(Budget::new(bytes_max, 8, 8));
        [0, 1].map(|_| Share::new(&budget, None))
    }

    fn begin(share: &Arc<Share>, kind: Kind) -> Reservation {
        Reservation::begin(share, kind, 0, Caller::default()).unwrap()
    }

    #[test]
    fn a_call_gives_back_all_that_it_took() {
        let [share, _] = connections(64 * MIB);
        for kind in [Kind::Unary, Kind::Batch, Kind::BalanceWatch] {
            let held = begin(&share, kind);
            for piece in 0..100 {
                held.read(piece * 50_000, 50_000).unwrap();
            }
            held.whole().unwrap();
            let clone = held.clone();
            let inflating = held.inflating(100_000).now_or_never().unwrap().unwrap();
            held.inflated(inflating, 3_000_000);
            held.reply(3 * MIB).unwrap();
            drop(held);
            assert!(share.memory() > 3 * MIB);
            drop(clone);
            assert_eq!(share.memory(), 0);
        }
        let held = begin(&share, Kind::BalanceWatch);
        let message = held.room(1_000).unwrap().with(Vec::with_capacity(500), ());
        drop(held);
        assert_eq!(share.memory(), 500);
        drop(message);
        assert_eq!(share.memory(), 0);
    }

    /// Connections of one key have a share together, and leave a fifth to others.
    #[test]
    fn a_key_with_many_connections_leaves_room_for_others() {
        let budget = Arc::new(Budget::new(64 * MIB, 1_000, 8));
        let key = |id: &str| {
            let id = KeyId::new(id).unwrap();
            Caller::known(Principal::new(id, Rights::default()))
        };
        let fill = |caller: &Caller| {
            let mut calls = Vec::new();
            // Each connection takes what its share allows.
            for _ in 0..100 {
                let share = Share::new(&budget, None);
                loop {
                    let begun = Reservation::begin(&share, Kind::Unary, 0, caller.clone());
                    match begun.and_then(|held| held.whole().map(|()| held)) {
                        Ok(held) => calls.push(held),
                        Err(_) => break,
                    }
                }
            }
            calls
        };
        let [greedy, other] = [key("greedy"), key("other")];
        let greedy_calls = fill(&greedy);
        assert_eq!(greedy_calls.len(), 800);
        // Whoever comes without a key has what is left.
        let other_calls = fill(&other);
        assert!(
            (150..=200).contains(&other_calls.len()),
            "{}",
            other_calls.len()
        );
        drop((greedy_calls, other_calls));
        for caller in [greedy, other] {
            for kind in 0..SHARED_KINDS {
                let held = caller.held(kind).unwrap();
                assert_eq!(held.load(Ordering::Relaxed), 0, "{kind}");
            }
        }
    }

    #[test]
    fn large_calls_wait_for_others_of_their_connection_alone() {
        let [share, other] = connections(64 * MIB);
        let [first, second] = [0, 1].map(|_| begin(&share, Kind::Batch));
        first
            .reserve_batch(10 * MIB)
            .now_or_never()
            .unwrap()
            .unwrap();
        let mut waits = Box::pin(second.reserve_batch(10 * MIB));
        assert!(waits.as_mut().now_or_never().is_none());
        // Another connection takes its own, where a call is alone more than a share, and is refused
        // what the process does not have.
        let third = begin(&other, Kind::Batch);
        assert!(
            third
                .reserve_batch(50 * MIB)
                .now_or_never()
                .unwrap()
                .is_err()
        );
        third
            .reserve_batch(20 * MIB)
            .now_or_never()
            .unwrap()
            .unwrap();
        // It would wait for itself.
        assert!(
            third
                .reserve_batch(30 * MIB)
                .now_or_never()
                .unwrap()
                .is_err()
        );
        drop(first);
        waits.now_or_never().unwrap().unwrap();
    }
}
