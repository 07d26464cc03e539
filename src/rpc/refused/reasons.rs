//! Reasons beside a reply: who counts refusals does not read each reply again.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{Extensions, HeaderMap};
use tonic::Status;

use super::{REASON_PREFIX, error_info};
use crate::rpc::pb::creditd::v1::ErrorReason;

/// The reason of a status, as the status itself has it.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.as_str_name())]
struct Reason(ErrorReason);

/// Why items of a batch were refused, beside its reply.
#[derive(Clone, Debug, Default)]
pub struct ItemsRefused(BTreeMap<ErrorReason, u64>);

impl ItemsRefused {
    /// Counts an item.
    pub fn note(&mut self, reason: ErrorReason) {
        let items = self.0.entry(reason).or_default();
        *items = items.saturating_add(1);
    }

    /// Whether no item was refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many items were refused for each reason.
    pub fn iter(&self) -> impl Iterator<Item = (ErrorReason, u64)> {
        self.0.iter().map(|(reason, items)| (*reason, *items))
    }
}

/// Puts the reason into a status.
pub(super) fn set_reason(status: &mut Status, reason: ErrorReason) {
    status.set_source(Arc::new(Reason(reason)));
}

/// The reason of a reply that is a refusal, where one is beside it.
#[must_use]
pub fn reason_of(extensions: &Extensions) -> Option<ErrorReason> {
    let ready = extensions.get::<ErrorReason>().copied();
    ready.or_else(|| {
        let source = std::error::Error::source(extensions.get::<Status>()?)?;
        source
            .downcast_ref::<Reason>()
            .map(|Reason(reason)| *reason)
    })
}

/// The reason that trailers give.
#[must_use]
pub fn reason_in_trailers(trailers: &HeaderMap) -> Option<ErrorReason> {
    let status = Status::from_header_map(trailers)?;
    let info = error_info(status.details())?;
    ErrorReason::from_str_name(&format!("{REASON_PREFIX}{}", info.reason))
}
