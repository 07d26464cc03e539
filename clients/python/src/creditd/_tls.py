"""TLS by files, and an explanation for users whose client spoke TLS to a server that does not."""

from os import PathLike
from pathlib import Path
from typing import NamedTuple, TypeAlias

import grpc

from creditd.errors import CreditdError

_NO_TLS = "WRONG_VERSION_NUMBER"
_HANDSHAKE = "handshake"
_BEGIN_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


File: TypeAlias = str | PathLike[str]


class Tls(NamedTuple):
    """How a connection speaks TLS, by PEM files. They are read when the client is made.

    `ca_file` has the certificates of who may have issued the server's; None: whom gRPC trusts.
    `cert_file` and `key_file` are a certificate to show to the server and its private key.
    `server_name` is the name that the server's certificate is for; None: that of the target.
    """

    ca_file: File | None = None
    cert_file: File | None = None
    key_file: File | None = None
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """What a channel takes."""
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file need each other")
        ca = _read(self.ca_file)
        if ca is not None and _BEGIN_CERTIFICATE not in ca:
            raise ValueError(f"ca_file: no certificate is in {self.ca_file}; write it as PEM")
        return grpc.ssl_channel_credentials(
            root_certificates=ca,
            private_key=_read(self.key_file),
            certificate_chain=_read(self.cert_file),
        )


def _read(file: File | None) -> bytes | None:
    return None if file is None else Path(file).read_bytes()


def explain_handshake(error: CreditdError, target: str, *, with_key: bool) -> bool:
    """Adds the explanation to an error of a client that speaks TLS by default.

    Returns:
        Whether retries are of no use, since the server does not speak TLS.
    """
    if error.code is not grpc.StatusCode.UNAVAILABLE or _HANDSHAKE not in error.message.lower():
        return False
    error.message += (
        f"; {target} is not on this machine, so it is spoken to by TLS: "
        + ("" if with_key else "insecure=True asks for plaintext, ")
        + "tls= asks for another TLS"
    )
    error.args = (error.message,)
    return _NO_TLS in error.message
