//! A load over the wire: callers, each of whom waits for an answer or comes by the clock.

mod book;
mod connection;
mod frames;
mod job;
pub mod requests;
mod run;
mod spread;

pub use book::{Book, Whom};
pub use job::Job;
pub use run::{Seen, Shape, run_all, run_for};
pub use spread::Spread;

/// More callers share connections.
pub const CONNECTIONS_MAX: usize = 16;

/// Callers who wait for their answers, over as many connections as they usually get.
pub fn callers(number: usize) -> Shape {
    Shape::closed(number, CONNECTIONS_MAX)
}
