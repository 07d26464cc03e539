//! Pages of lists, written item by item, and the pace of work that takes milliseconds.

use std::time::{Duration, Instant};

use prost::Message;
use tokio::task::yield_now;

use super::EncodedReply;
use super::write::put_message;
use crate::app::BATCH_LENGTH_MAX;
use crate::rpc::MESSAGE_BYTES_MAX;
use crate::rpc::codec::count_items;
use crate::rpc::layer::Reservation;
use crate::rpc::refused::Refused;
use crate::rpc::reply::ITEM_OVERHEAD_BYTES;

/// Room for the list of a reply, below the limit of a message.
pub const LIST_BYTES_MAX: usize = MESSAGE_BYTES_MAX - 64 * 1_024;
/// What an item takes at most, but for the grants that paid for an entry: labels, attributes
/// and meters, sixteen of 320 bytes each, and names.
const ITEM_BYTES_MAX: usize = 18 * 1_024;
/// A generated message of a batch takes so many times its bytes: texts of some ten bytes are
/// strings of their own, in nodes of maps.
const DECODED_RATIO: usize = 8;
/// For how long other calls of a thread wait.
const SLICE: Duration = Duration::from_micros(500);
/// So many items are a small part of a slice.
const ITEMS_A_LOOK: usize = 16;

/// Lets other calls of the thread have their turn.
pub(in crate::rpc) struct Pace {
    items: usize,
    began: Instant,
}

impl Pace {
    pub(in crate::rpc) fn new() -> Self {
        Self {
            items: 0,
            began: Instant::now(),
        }
    }

    /// Before each item.
    pub(in crate::rpc) async fn step(&mut self) {
        self.items = self.items.wrapping_add(1);
        if self.items.is_multiple_of(ITEMS_A_LOOK) && self.began.elapsed() >= SLICE {
            yield_now().await;
            self.began = Instant::now();
        }
    }
}

/// What a batch is made of that is decoded as generated messages, where each item takes so much
/// beside its message.
pub(in crate::rpc) fn decoded_bytes(message: &[u8], item_bytes: usize) -> usize {
    let items = count_items(message).min(BATCH_LENGTH_MAX);
    let messages = message.len().saturating_mul(DECODED_RATIO);
    messages.saturating_add(items.saturating_mul(item_bytes))
}

/// Takes room for a page of so many items: for what it is made of, and for what is sent.
pub(in crate::rpc) async fn reserve_page(
    held: &Reservation,
    length_max: usize,
) -> Result<(), Refused> {
    let bytes = length_max.saturating_mul(ITEM_BYTES_MAX);
    let bytes = bytes.min(MESSAGE_BYTES_MAX).saturating_mul(2);
    Ok(held.reserve_page(bytes).await?)
}

/// The first items that a reply has room for, and the very first in any case, as field 1; and
/// how many they are.
pub(in crate::rpc) async fn page_of<T, M>(
    items: &[T],
    to_pb: impl Fn(&T) -> M,
) -> (EncodedReply, usize)
where
    M: Message,
{
    let mut reply = EncodedReply::with_capacity(0);
    let mut bytes = 0_usize;
    let mut pace = Pace::new();
    for (number, item) in items.iter().enumerate() {
        pace.step().await;
        let message = to_pb(item);
        let length = message.encoded_len();
        bytes = bytes
            .saturating_add(length)
            .saturating_add(ITEM_OVERHEAD_BYTES);
        if number == 0 {
            let expected = length.saturating_add(16).saturating_mul(items.len());
            reply.end().reserve(expected.min(LIST_BYTES_MAX));
        } else if bytes > LIST_BYTES_MAX {
            return (reply, number);
        }
        put_message(1, reply.end(), |into| {
            // A vector has room for everything.
            let _ = message.encode(into);
        });
    }
    (reply, items.len())
}
