//! Refuses what is too much, by replies that are ready.

use std::time::Instant;

use http::Response;
use tonic::body::Body;

use super::load::LoadMeter;
use crate::rpc::refused::{ReadyReplies, RpcRefusal};

/// See the module.
#[derive(Debug)]
pub(super) struct Shed {
    load: LoadMeter,
    replies: ReadyReplies,
}

impl Shed {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            load: LoadMeter::new(start),
            replies: ReadyReplies::default(),
        }
    }

    /// A call was taken on.
    pub(super) fn take(&self) {
        self.load.take();
    }

    pub(super) fn reply(&self, refusal: RpcRefusal) -> Response<Body> {
        let load = self.load.refuse(Instant::now());
        self.replies.reply(&refusal.under(load))
    }

    /// A reply to what is not refused for the load.
    pub(super) fn ready(&self, refusal: &RpcRefusal) -> Response<Body> {
        self.replies.reply(refusal)
    }
}

/// A request is not read on, since there is no room for it. The layer of limits answers it,
/// whatever the service says.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no room for the request")]
pub struct NoRoom;
