"""What a user has to know whose client spoke TLS to a server that does not."""

import grpc

from creditd.errors import CreditdError

_NO_TLS = "WRONG_VERSION_NUMBER"
_HANDSHAKE = "handshake"


def explain_handshake(error: CreditdError, target: str) -> bool:
    """Adds to an error of a client that speaks TLS without having been told to.

    Returns:
        Whether it is of no use to try again: a server that does not answer in TLS now will not do
        so later.
    """
    if error.code is not grpc.StatusCode.UNAVAILABLE or _HANDSHAKE not in error.message.lower():
        return False
    error.message += (
        f"; {target} is not on this machine, so it is spoken to by TLS: "
        "insecure=True asks for plaintext, credentials= for another TLS"
    )
    error.args = (error.message,)
    return _NO_TLS in error.message
