"""An explanation for users whose client spoke TLS to a server that does not."""

import grpc

from creditd.errors import CreditdError

_NO_TLS = "WRONG_VERSION_NUMBER"
_HANDSHAKE = "handshake"


def explain_handshake(error: CreditdError, target: str) -> bool:
    """Adds the explanation to an error of a client that speaks TLS by default.

    Returns:
        Whether retries are of no use, since the server does not speak TLS.
    """
    if error.code is not grpc.StatusCode.UNAVAILABLE or _HANDSHAKE not in error.message.lower():
        return False
    error.message += (
        f"; {target} is not on this machine, so it is spoken to by TLS: "
        "insecure=True asks for plaintext, credentials= for another TLS"
    )
    error.args = (error.message,)
    return _NO_TLS in error.message
