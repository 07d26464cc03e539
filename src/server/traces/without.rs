//! Traces of a program that was built without them: there are none.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::SpanCounts;
use crate::rpc::layer::Tracer;
use crate::server::config::Config;
use crate::server::start_error::StartError;

/// There is no value of it.
pub(in crate::server) enum Traces {}

impl Traces {
    #[expect(clippy::unnecessary_wraps, reason = "the other one can fail")]
    pub(in crate::server) const fn start(
        _: &Config,
        _: Option<SocketAddr>,
    ) -> Result<Option<Self>, StartError> {
        Ok(None)
    }

    pub(in crate::server) fn tracer(&self) -> Arc<dyn Tracer> {
        match *self {}
    }

    pub(in crate::server) fn counts(&self) -> Arc<SpanCounts> {
        match *self {}
    }

    #[expect(clippy::unused_async, reason = "the other one waits")]
    pub(in crate::server) async fn stop(self, _: Duration) {
        match self {}
    }
}
