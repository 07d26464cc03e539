//! Who makes a call, on its way to the method.

use tonic::Request;

use crate::app::access::Caller;
use crate::rpc::layer::Reservation;

/// Who makes the call that holds this.
pub(in crate::rpc) fn caller_of(held: Option<&Reservation>) -> Caller {
    held.map_or_else(Caller::default, |held| held.caller().clone())
}

/// A request by whoever makes the call that holds this.
pub(in crate::rpc) fn request_of<M>(message: M, held: Option<&Reservation>) -> Request<M> {
    let mut request = Request::new(message);
    if let Some(held) = held
        && held.caller().is_known()
    {
        request.extensions_mut().insert(held.caller().clone());
    }
    request
}

/// Who makes a request.
pub(in crate::rpc) fn caller_of_request<M>(request: &Request<M>) -> Caller {
    let caller = request.extensions().get::<Caller>();
    caller.cloned().unwrap_or_default()
}
