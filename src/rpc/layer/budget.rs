//! What all calls of the process share: memory in bytes, permits, watches, streams. Each has a
//! limit for the process, and a share of it for each connection.
//!
//! The share follows what is free (the dynamic threshold of Choudhury and Hahne, as switches
//! with shared memory have it): a connection may take more while it holds less than a fraction
//! of what is free now. One connection alone can hold much, and each further greedy one leaves
//! less for all of them, but always something for the next. All connections of one key have a
//! share together, by a larger fraction.
//!
//! Nothing here waits: what finds no room is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::call_limits::Limit;
use super::shed::Shed;
use crate::app::access::Access;
use crate::line_rate::LineRate;
use crate::rpc::refused::{Load, Resource, RpcRefusal, Shared};

/// A connection may hold a quarter of what is free.
const SHARE_DIVISOR: usize = 4;
/// All calls of one key may hold four times what they leave free: a key alone has four fifths, two
/// that want all have four ninths each.
const KEY_FACTOR: usize = 4;
/// And this much memory, also where less is free: some tens of small calls.
pub const MEMORY_FLOOR_BYTES: usize = 256 * 1_024;
/// So many permits, also where fewer are free.
pub const CALLS_FLOOR: usize = 8;
/// The same of balances: those of a program that watches a few accounts.
pub const BALANCE_WATCHES_FLOOR: usize = 8;
/// The same of watches of health.
pub const HEALTH_WATCHES_FLOOR: usize = 8;
/// The same of streams of reflection.
pub const REFLECTIONS_FLOOR: usize = 2;
/// Large calls leave an eighth to small ones, of all and of their connection's share.
const SMALL_DIVISOR: usize = 8;

/// Most watches of health.
pub const HEALTH_WATCHES_MAX: usize = 1_024;
/// Most streams of reflection.
pub const REFLECTIONS_MAX: usize = 64;

const KIB: usize = 1_024;
const MIB: usize = 1_024 * KIB;

/// Whether a call can take megabytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    Small,
    Large,
}

impl Weight {
    /// What calls of this weight leave to small ones.
    const fn left_to_small(self, all: usize) -> usize {
        match self {
            Self::Small => 0,
            Self::Large => all.div_euclid(SMALL_DIVISOR),
        }
    }
}

/// So much of something in the whole process.
#[derive(Debug)]
pub(super) struct Pool {
    shared: Shared,
    limit: Limit,
    used: AtomicUsize,
    floor: usize,
}

/// Why something is not to be had.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// The process has no more.
    Full(RpcRefusal),
    /// The connection holds its share.
    OverShare(RpcRefusal),
    /// The calls of the key do.
    OverKeyShare(RpcRefusal),
}

impl Pool {
    fn new(shared: Shared, limit: impl Into<Limit>, floor: usize) -> Self {
        Self {
            shared,
            limit: limit.into(),
            used: AtomicUsize::new(0),
            floor,
        }
    }

    /// Takes so much for a connection that holds `held`.
    pub(super) fn take(
        &self,
        count: usize,
        held: &AtomicUsize,
        weight: Weight,
    ) -> Result<(), Refusal> {
        let used = self.used.load(Ordering::Relaxed);
        let share = self.share(used);
        let share = share.saturating_sub(weight.left_to_small(share));
        if held.load(Ordering::Relaxed).saturating_add(count) > share {
            let resource = Resource::OfConnection(self.shared);
            return Err(Refusal::OverShare(self.over_share(share, resource)));
        }
        self.take_of_all(count, held, weight)
    }

    /// The same, whatever the connection holds.
    pub(super) fn take_of_all(
        &self,
        count: usize,
        held: &AtomicUsize,
        weight: Weight,
    ) -> Result<(), Refusal> {
        let limit = self.limit.get();
        let room = limit.saturating_sub(weight.left_to_small(limit));
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(count).filter(|used| *used <= room)
            });
        match taken {
            Ok(_) => {
                held.fetch_add(count, Ordering::Relaxed);
                Ok(())
            }
            Err(_) => Err(Refusal::Full(self.full())),
        }
    }

    /// Whether the calls of a key, or of all who have none, that hold so much may hold so much
    /// more.
    pub(super) fn check_key(
        &self,
        count: usize,
        held: usize,
        are_strangers: bool,
    ) -> Result<(), Refusal> {
        let free = self
            .limit
            .get()
            .saturating_sub(self.used.load(Ordering::Relaxed));
        let (share, resource) = match are_strangers {
            false => (
                free.saturating_mul(KEY_FACTOR),
                Resource::OfKey(self.shared),
            ),
            true => (free.div_euclid(SHARE_DIVISOR), Resource::WithoutKey),
        };
        let share = share.max(self.floor);
        match held.saturating_add(count) > share {
            true => Err(Refusal::OverKeyShare(self.over_share(share, resource))),
            false => Ok(()),
        }
    }

    /// Takes so much, whether there is room or not.
    pub(super) fn take_anyway(&self, count: usize, held: &AtomicUsize) {
        self.used.fetch_add(count, Ordering::Relaxed);
        held.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn give_back(&self, count: usize, held: &AtomicUsize) {
        self.used.fetch_sub(count, Ordering::Relaxed);
        held.fetch_sub(count, Ordering::Relaxed);
    }

    /// What one connection may hold while so much is used.
    fn share(&self, used: usize) -> usize {
        let free = self.limit.get().saturating_sub(used);
        free.div_euclid(SHARE_DIVISOR).max(self.floor)
    }

    fn over_share(&self, share: usize, resource: Resource) -> RpcRefusal {
        let limit = match self.shared {
            Shared::Memory => share.div_euclid(KIB),
            _ => share,
        };
        RpcRefusal::Overloaded {
            // The share is another one each time. Of few limits the replies are ready.
            limit: limit.checked_ilog2().map_or(0, |power| 1_usize << power),
            resource,
            load: Load::default(),
        }
    }

    fn full(&self) -> RpcRefusal {
        let limit = self.limit.get();
        let resource = match self.shared {
            Shared::BalanceWatchers => return RpcRefusal::TooManyWatchers { limit },
            Shared::Memory => {
                return RpcRefusal::Overloaded {
                    limit: limit.div_euclid(MIB),
                    resource: Resource::CallMemory,
                    load: Load::default(),
                };
            }
            Shared::Calls => Resource::Calls,
            Shared::HealthWatchers => Resource::HealthWatchers,
            Shared::Reflections => Resource::Reflections,
        };
        RpcRefusal::Overloaded {
            limit,
            resource,
            load: Load::default(),
        }
    }
}

/// One of each that is shared.
#[derive(Debug, Default)]
pub(super) struct Each<T> {
    memory: T,
    calls: T,
    balance_watches: T,
    health_watches: T,
    reflections: T,
}

impl<T> Each<T> {
    pub(super) const fn of(&self, shared: Shared) -> &T {
        match shared {
            Shared::Memory => &self.memory,
            Shared::Calls => &self.calls,
            Shared::BalanceWatchers => &self.balance_watches,
            Shared::HealthWatchers => &self.health_watches,
            Shared::Reflections => &self.reflections,
        }
    }
}

/// What is used of what is shared, each beside its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InUse {
    /// Calls in flight.
    pub calls: [usize; 2],
    /// Memory for requests and replies.
    pub memory_bytes: [usize; 2],
    /// Watched balances.
    pub balance_watches: [usize; 2],
}

/// All that is shared.
#[derive(Debug)]
pub struct Budget {
    pools: Each<Pool>,
    /// Refuses what finds no room.
    pub(super) shed: Shed,
    /// Who may call; None: nobody is asked.
    pub(super) access: Option<Arc<Access>>,
    start: Instant,
    /// Of lines about connections that hold their share.
    line_rate: LineRate,
}

impl Budget {
    pub(super) fn new(
        bytes_max: impl Into<Limit>,
        calls_max: impl Into<Limit>,
        watchers_max: impl Into<Limit>,
    ) -> Self {
        let pools = Each {
            memory: Pool::new(Shared::Memory, bytes_max, MEMORY_FLOOR_BYTES),
            calls: Pool::new(Shared::Calls, calls_max, CALLS_FLOOR),
            balance_watches: Pool::new(
                Shared::BalanceWatchers,
                watchers_max,
                BALANCE_WATCHES_FLOOR,
            ),
            health_watches: Pool::new(
                Shared::HealthWatchers,
                HEALTH_WATCHES_MAX,
                HEALTH_WATCHES_FLOOR,
            ),
            reflections: Pool::new(Shared::Reflections, REFLECTIONS_MAX, REFLECTIONS_FLOOR),
        };
        Self {
            pools,
            shed: Shed::new(Instant::now()),
            access: None,
            start: Instant::now(),
            line_rate: LineRate::default(),
        }
    }

    /// Without limits.
    pub(super) fn unlimited() -> Self {
        // A limit that sums of what is held cannot pass.
        const MOST: usize = usize::MAX.div_euclid(4);
        Self::new(MOST, MOST, MOST)
    }

    /// What is used of it, each beside its limit.
    #[must_use]
    pub fn in_use(&self) -> InUse {
        let of = |shared| {
            let pool = self.pool(shared);
            [pool.used.load(Ordering::Relaxed), pool.limit.get()]
        };
        InUse {
            calls: of(Shared::Calls),
            memory_bytes: of(Shared::Memory),
            balance_watches: of(Shared::BalanceWatchers),
        }
    }

    /// Whether a line is written now about a connection that holds its share, and how many were
    /// not before it.
    pub(super) fn permit_line(&self) -> Option<u64> {
        let permitted = self.line_rate.permit(self.start, Instant::now());
        permitted.then(|| self.line_rate.take_left_out())
    }

    pub(super) const fn pool(&self, shared: Shared) -> &Pool {
        self.pools.of(shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(limit: usize, floor: usize) -> Pool {
        Pool::new(Shared::Memory, limit, floor)
    }

    /// Takes one after the other until it is refused.
    fn take_all(pool: &Pool, held: &AtomicUsize) -> usize {
        while pool.take(1, held, Weight::Small).is_ok() {}
        held.load(Ordering::Relaxed)
    }

    #[test]
    fn each_greedy_connection_leaves_room_for_the_next() {
        // Each takes a fifth of what it finds: a quarter of what is then left.
        let pool = pool(100_000, 0);
        let mut free = 100_000;
        for number in 1..=20 {
            let taken = take_all(&pool, &AtomicUsize::new(0));
            assert!(taken.abs_diff(free / 5) <= 1, "{number}: {taken} of {free}");
            free -= taken;
        }
        // Twenty of them leave a hundredth.
        assert!(free > 1_000, "{free}");
    }

    #[test]
    fn a_connection_may_always_hold_the_floor_while_there_is_any() {
        let pool = pool(10, 6);
        let (first, second) = (AtomicUsize::new(0), AtomicUsize::new(0));
        assert_eq!(take_all(&pool, &first), 6);
        // Not by its share: the process has no more.
        assert_eq!(take_all(&pool, &second), 4);
        assert!(matches!(
            pool.take(1, &second, Weight::Small),
            Err(Refusal::Full(_))
        ));
        assert!(matches!(
            pool.take(1, &first, Weight::Small),
            Err(Refusal::OverShare(_))
        ));
        pool.give_back(6, &first);
        assert_eq!(take_all(&pool, &second), 6);
    }

    #[test]
    fn large_calls_leave_an_eighth() {
        let pool = pool(80, 80);
        let held = AtomicUsize::new(0);
        pool.take(70, &held, Weight::Large).unwrap();
        assert!(pool.take(1, &held, Weight::Large).is_err());
        pool.take(10, &held, Weight::Small).unwrap();
        pool.give_back(80, &held);
        assert_eq!(pool.used.load(Ordering::Relaxed), 0);
    }
}
