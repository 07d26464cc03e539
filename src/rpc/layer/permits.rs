//! Permits: so many of something at once in the whole process. What finds none free is
//! refused and never waits.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::rpc::refused::{Load, Resource, RpcRefusal};

/// A semaphore that is never waited for.
#[derive(Debug)]
pub(super) struct Pool {
    semaphore: Arc<Semaphore>,
    /// How many permits there are.
    size: usize,
    resource: Resource,
}

impl Pool {
    pub(super) fn new(size: usize, resource: Resource) -> Self {
        let size = size.min(Semaphore::MAX_PERMITS);
        Self {
            semaphore: Arc::new(Semaphore::new(size)),
            size,
            resource,
        }
    }

    /// How many permits there are.
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// Takes so many, if they are free.
    pub(super) fn acquire(&self, count: usize) -> Result<OwnedSemaphorePermit, RpcRefusal> {
        let permits = u32::try_from(count).ok().and_then(|count| {
            Arc::clone(&self.semaphore)
                .try_acquire_many_owned(count)
                .ok()
        });
        permits.ok_or(RpcRefusal::Overloaded {
            limit: self.size,
            resource: self.resource,
            load: Load::default(),
        })
    }
}

/// Permits that were acquired, if any. They are released when this is dropped.
#[derive(Debug, Default)]
pub struct Permits(Option<OwnedSemaphorePermit>);

impl Permits {
    /// Acquires more, so that there are so many.
    pub(super) fn grow_to(&mut self, count: usize, pool: &Pool) -> Result<(), RpcRefusal> {
        let more = count.saturating_sub(self.count());
        if more > 0 {
            let more = pool.acquire(more)?;
            self.add(Self(Some(more)));
        }
        Ok(())
    }

    fn add(&mut self, other: Self) {
        match (&mut self.0, other.0) {
            (Some(own), Some(more)) => own.merge(more),
            (None, more) => self.0 = more,
            (Some(_), None) => {}
        }
    }

    fn count(&self) -> usize {
        self.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }
}

/// Where the permits of a batch are left when its request has come, for its reply.
#[derive(Clone, Debug, Default)]
pub(super) struct Handover(Arc<Mutex<Permits>>);

impl Handover {
    pub(super) fn put(&self, permits: Permits) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = permits;
    }

    /// Adds what was left to those that the call has.
    pub(super) fn take(&self, permits: &mut Permits) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        permits.add(std::mem::take(&mut *left));
    }
}

impl From<OwnedSemaphorePermit> for Permits {
    fn from(permit: OwnedSemaphorePermit) -> Self {
        Self(Some(permit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_acquired_is_released_and_no_more() {
        let pool = Pool::new(3, Resource::Calls);
        let mut first = Permits::default();
        first.grow_to(2, &pool).unwrap();
        assert!(first.grow_to(4, &pool).is_err() && first.count() == 2);
        assert!(pool.acquire(2).is_err());
        let third = pool.acquire(1).unwrap();
        drop(first);
        assert!(pool.acquire(2).is_ok());
        drop(third);
        assert!(pool.acquire(3).is_ok());
        assert_eq!(pool.semaphore.available_permits(), 3);
    }
}
