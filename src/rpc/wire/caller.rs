//! What a call holds, and so who makes it, on its way to the method.

use tonic::Request;

use crate::rpc::layer::Reservation;

/// A request of the call that holds this.
pub(in crate::rpc) fn request_of<M>(message: M, held: Option<&Reservation>) -> Request<M> {
    let mut request = Request::new(message);
    if let Some(held) = held {
        request.extensions_mut().insert(held.clone());
    }
    request
}

/// What the call of a request holds; nothing that is limited, and anybody's, where nothing is
/// known of it.
pub(in crate::rpc) fn held_of<M>(request: &Request<M>) -> Reservation {
    let held = request.extensions().get::<Reservation>();
    held.cloned().unwrap_or_default()
}
