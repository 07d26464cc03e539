//! Values that all threads share, held so that the threads do not disturb each other.
//!
//! Each copy of an `Arc` is counted, and a count that two threads change in turn costs each
//! of them as much as a hundred other instructions. A connection makes a copy of its own
//! of what stands around it, with a count of its own; what its calls copy is counted there.

use std::ops::Deref;
use std::sync::Arc;

/// A shared value. Copies are counted together with that which they were made of.
#[derive(Debug)]
pub struct Near<T: ?Sized>(Arc<Arc<T>>);

impl<T: ?Sized> Near<T> {
    /// The value, counted anew.
    #[must_use]
    pub fn new(value: Arc<T>) -> Self {
        Self(Arc::new(value))
    }

    /// A copy that is counted by itself: for another thread.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self::new(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> Clone for Near<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> Deref for Near<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
