"""TLS to a server that speaks it, by files."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest
import trustme

from creditd import Client, CreditdError, Tls
from tests.conftest import Connect
from tests.support.server import running_server

NAME = "credits.example"


class Served(NamedTuple):
    """A server that speaks TLS, and the files around it."""

    address: str
    directory: Path

    def file(self, name: str) -> Path:
        """One of the files."""
        return self.directory / name


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The server."""
    directory = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    pair = authority.issue_cert("127.0.0.1", NAME)
    authority.cert_pem.write_to_path(directory / "ca.pem")
    trustme.CA().cert_pem.write_to_path(directory / "other.pem")
    pair.cert_chain_pems[0].write_to_path(directory / "cert.pem")
    pair.private_key_pem.write_to_path(directory / "key.pem")
    (directory / "empty.pem").write_text("")
    cert, key = str(directory / "cert.pem"), str(directory / "key.pem")
    options = ("--tls-cert", cert, "--tls-key", key)
    with running_server(directory, "127.0.0.1:0", *options) as address:
        yield Served(address, directory)


@pytest.mark.parametrize(
    ("server_name", "with_certificate"), [(None, False), (NAME, False), (None, True)]
)
def test_who_knows_its_issuer_gets_through(
    server_name: str | None, with_certificate: bool, served: Served, connect: Connect
) -> None:
    tls = Tls(
        ca_file=served.file("ca.pem"),
        cert_file=served.file("cert.pem") if with_certificate else None,
        key_file=str(served.file("key.pem")) if with_certificate else None,
        server_name=server_name,
    )
    driver = connect(served.address, tls=tls)
    assert driver.call("estimate", "ai_scripts", count=3).credits > 0


@pytest.mark.parametrize(
    ("ca_file", "server_name"),
    [("other.pem", None), (None, None), ("ca.pem", "elsewhere.example")],
)
def test_others_do_not(
    ca_file: str | None, server_name: str | None, served: Served, connect: Connect
) -> None:
    tls = Tls(ca_file=ca_file and served.file(ca_file), server_name=server_name)
    driver = connect(served.address, tls=tls, timeout=1)
    with pytest.raises(CreditdError) as caught:
        driver.call("estimate", "ai_scripts", count=3)
    assert caught.value.code in {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }


def test_plaintext_does_not_get_through(served: Served, connect: Connect) -> None:
    with pytest.raises(CreditdError):
        connect(served.address, timeout=1).call("estimate", "ai_scripts", count=3)


def test_files_that_cannot_be_used(served: Served) -> None:
    for tls, problem in [
        (Tls(ca_file=served.file("empty.pem")), "ca_file: no certificate is in "),
        (Tls(cert_file=served.file("cert.pem")), "cert_file and key_file need each other"),
        (Tls(key_file=served.file("key.pem")), "cert_file and key_file need each other"),
    ]:
        with pytest.raises(ValueError, match=problem):
            Client(served.address, tls=tls)
    with pytest.raises(FileNotFoundError, match="missing"):
        Client(served.address, tls=Tls(ca_file=served.file("missing.pem")))


def test_it_excludes_other_credentials(connect: Connect) -> None:
    with pytest.raises(ValueError, match="tls excludes insecure and credentials"):
        connect("127.0.0.1:1", tls=Tls(), insecure=True)
    with pytest.raises(ValueError, match="tls excludes insecure and credentials"):
        connect("127.0.0.1:1", tls=Tls(), credentials=grpc.ssl_channel_credentials())
