"""Targets: which are refused, by TLS or in plaintext, by which authority."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

import creditd
from creditd import Client
from creditd._channel import channel_security
from creditd._target import authority, check_target, is_local
from creditd.v1 import pricing_pb2, pricing_pb2_grpc
from tests.conftest import Connect
from tests.support.scripted import ESTIMATE, scripted_server
from tests.support.server import running_server

REQUEST = pricing_pb2.EstimateRequest(usage=pricing_pb2.Usage(service="ai_scripts"))


@pytest.mark.parametrize(
    "target",
    [
        "localhost:50051",
        "localhost",
        "127.0.0.1:50051",
        "127.8.9.1",
        "[::1]:50051",
        "::1",
        "[::ffff:127.0.0.1]:50051",
        "unix:creditd.sock",
        "unix:///run/creditd.sock",
        "unix-abstract:creditd",
        "dns:localhost:50051",
        "dns:///localhost:50051",
        "ipv4:127.0.0.1:50051",
        "ipv4:127.0.0.1:50051,127.0.0.2:50051",
        "ipv6:[::1]:50051",
        "ipv6:%5B::1%5D:50051",
    ],
)
def test_what_stays_on_the_machine(target: str) -> None:
    assert is_local(target)
    assert channel_security(target, None, insecure=False).credentials is None


@pytest.mark.parametrize(
    "target",
    [
        "credits.example.com:50051",
        "localhost.example.com:50051",
        "127.0.0.1.example.com:50051",
        "10.0.0.1:50051",
        "[2001:db8::1]:50051",
        "0.0.0.0:50051",
        "dns:///credits.example.com:50051",
        "dns://8.8.8.8/localhost:50051",
        "ipv4:127.0.0.1:50051,10.0.0.1:50051",
        "xds:///localhost",
        ":50051",
        "localhost,credits.example.com",
    ],
)
def test_what_may_leave_the_machine_is_spoken_to_by_tls(target: str) -> None:
    assert not is_local(target)
    assert channel_security(target, None, insecure=False).credentials is not None
    assert channel_security(target, None, insecure=True).credentials is None


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("unix:/run/creditd.sock", "localhost"),
        ("unix:///run/creditd.sock", "localhost"),
        ("unix-abstract:creditd", "localhost"),
        ("ipv4:10.0.0.1:50051,10.0.0.2:50051", "10.0.0.1:50051"),
        ("ipv6:%5B::1%5D:50051", "[::1]:50051"),
        ("127.0.0.1:50051", None),
        ("dns:///credits.example.com", None),
    ],
)
def test_authorities(target: str, name: str | None) -> None:
    assert authority(target) == name


@pytest.mark.parametrize(
    ("target", "error", "says"),
    [
        ("", ValueError, "target is empty; write host and port"),
        ("  ", ValueError, "target is empty"),
        ("http://127.0.0.1:50051", ValueError, "is a URL; write host and port alone"),
        ("HTTPS://credits.example.com", ValueError, "is a URL"),
        ("grpc://localhost:1", ValueError, "is a URL"),
        (50051, TypeError, "target must be a str, not int"),
        (None, TypeError, "target must be a str, not NoneType"),
    ],
)
def test_targets_that_lead_nowhere(
    target: Any, error: type[Exception], says: str, connect: Connect
) -> None:
    with pytest.raises(error, match=says):
        check_target(target)
    with pytest.raises(error, match=says):
        connect(target)


def test_insecure_and_credentials_exclude_each_other(connect: Connect) -> None:
    with pytest.raises(ValueError, match="insecure and credentials exclude each other"):
        connect("127.0.0.1:1", credentials=grpc.ssl_channel_credentials(), insecure=True)


def test_a_server_without_tls_is_named(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("creditd._channel.is_local", lambda _: False)
    with scripted_server(ESTIMATE) as server:
        driver = connect(server.address)
        with pytest.raises(creditd.UnavailableError) as caught:
            driver.call("estimate", "ai_scripts")
        assert caught.value.attempts == 1
        assert "insecure=True asks for plaintext" in str(caught.value)
        assert server.requests == []
        connect(server.address, insecure=True).call("estimate", "ai_scripts")
        assert len(server.requests) == 1


@pytest.fixture(scope="module")
def sockets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A server at a Unix socket and at an address."""
    folder = tmp_path_factory.mktemp("socket")
    path = folder / "creditd.sock"
    with running_server(folder, "127.0.0.1:0", "--listen-unix", str(path)) as address:
        yield str(path), address


def _targets(sockets: tuple[str, str]) -> list[str]:
    path, address = sockets
    return [
        f"unix:{path}",
        f"unix://{path}",
        f"ipv4:{address}",
        f"ipv4:{address},127.0.0.1:1",
        f"dns:///{address.replace('127.0.0.1', 'localhost')}",
    ]


def test_a_unix_socket_and_the_like(sockets: tuple[str, str], connect: Connect) -> None:
    for target in _targets(sockets):
        driver = connect(target)
        driver.call("grant", "team-a", 5)
        assert driver.call("get_balance", "team-a").available > 0
        assert next(driver.iterate("watch_balance", "team-a")).available > 0


def test_a_bare_stub_names_its_authority(sockets: tuple[str, str]) -> None:
    """As README.md says."""
    options = [("grpc.default_authority", "localhost")]

    async def call(target: str) -> None:
        async with aio.insecure_channel(target, options) as channel:
            stub: Any = pricing_pb2_grpc.PricingServiceStub(channel)
            await stub.Estimate(REQUEST, timeout=10)

    for target in _targets(sockets):
        with grpc.insecure_channel(target, options) as channel:
            stub: Any = pricing_pb2_grpc.PricingServiceStub(channel)
            stub.Estimate(REQUEST, timeout=10)
        asyncio.run(call(target))


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy"])
def test_a_proxy_does_not_stand_before_this_machine(
    variable: str, connect: Connect, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    port = server.rpartition(":")[2]
    for target in (server, f"localhost:{port}", f"dns:///localhost:{port}"):
        assert connect(target).call("estimate", "ai_scripts", timeout=5).credits


def test_a_proxy_stands_before_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """As grpc has it: what is no loopback goes by the proxy, here one that is not there."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    retry = creditd.RetryPolicy(max_attempts=1)
    with (
        Client("credits.example.com:50051", insecure=True, retry=retry) as client,
        pytest.raises(creditd.UnavailableError, match=r"127\.0\.0\.1:1"),
    ):
        client.estimate("ai_scripts", timeout=20)


def test_the_wheel_says_who_and_where(tmp_path: Path) -> None:
    """The metadata of the installed package."""
    shown = subprocess.run(
        [sys.executable, "-m", "pip", "show", "--verbose", "creditd"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    ).stdout
    assert f"Version: {creditd.__version__}" in shown
    assert "The creditd authors" in shown
    for name in ("Homepage", "Documentation", "Changelog", "Source", "Issues"):
        assert f"{name}, https://github.com/creditd/creditd" in shown
