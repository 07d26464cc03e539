"""Construction of clients, channels, close; and that both clients have the same methods."""

import asyncio
import inspect
import subprocess
import sys
from enum import IntEnum
from typing import Any

import grpc
import pytest
from grpc import aio

import creditd
from creditd import (
    AsyncClient,
    AttributeSource,
    Client,
    EntryKind,
    HoldStatus,
    Overage,
    RateCardState,
    Reason,
)
from creditd.v1 import admin_pb2, error_reason_pb2, ledger_pb2, pricing_pb2
from tests.support.scenario_calls import client_method
from tests.support.schema import METHODS
from tests.support.scripted import ESTIMATE, scripted_server


def _methods(client: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(member)
        for name, member in inspect.getmembers(client, inspect.isfunction)
        if not name.startswith("_")
    }


def _blocking(signature: inspect.Signature) -> inspect.Signature:
    """The same signature in Client: names of asynchronous types begin with Async."""
    returns = signature.return_annotation
    return signature.replace(return_annotation=returns.removeprefix("Async"))


def test_both_clients_have_the_same_methods() -> None:
    methods = {name: _blocking(one) for name, one in _methods(AsyncClient).items()}
    assert methods == _methods(Client)
    assert "estimate" in methods


def test_every_method_of_the_api_is_offered() -> None:
    api = {client_method(method).removesuffix("_page") for method in METHODS}
    pages = {name for name in _methods(Client) if name.endswith("_page")}
    assert _methods(Client).keys() - pages - {"close"} == api
    assert {name.removesuffix("_page") for name in pages} < api


def test_every_public_name_exists() -> None:
    assert [name for name in creditd.__all__ if not hasattr(creditd, name)] == []


def test_reasons_are_those_of_the_api() -> None:
    here = {name: value for name, value in vars(Reason).items() if name.isupper()}
    names = {name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.keys()}  # noqa: SIM118
    assert here == {name: name for name in names - {"UNSPECIFIED"}}


@pytest.mark.parametrize(
    ("here", "prefix", "api"),
    [
        (EntryKind, "ENTRY_KIND_", ledger_pb2.EntryKind),
        (HoldStatus, "HOLD_STATUS_", ledger_pb2.HoldStatus),
        (Overage, "OVERAGE_", ledger_pb2.Overage),
        (AttributeSource, "ATTRIBUTE_SOURCE_", pricing_pb2.AttributeSource),
        (RateCardState, "RATE_CARD_STATE_", admin_pb2.RateCardState),
    ],
)
def test_enums_are_those_of_the_api(here: type[IntEnum], prefix: str, api: Any) -> None:
    assert {f"{prefix}{one.name}": one.value for one in here} == dict(api.items())


def test_a_given_channel_is_used_and_stays_open() -> None:
    with scripted_server(ESTIMATE) as server, grpc.insecure_channel(server.address) as channel:
        for _ in range(2):
            with Client(channel=channel) as client:
                client.estimate("ai_scripts")
        assert len(server.requests) == 2


def test_a_given_asynchronous_channel_is_used_and_stays_open() -> None:
    async def run(address: str) -> None:
        async with aio.insecure_channel(address) as channel:
            for _ in range(2):
                async with AsyncClient(channel=channel) as client:
                    await client.estimate("ai_scripts")

    with scripted_server(ESTIMATE) as server:
        asyncio.run(run(server.address))
        assert len(server.requests) == 2


def test_a_channel_of_its_own_is_closed() -> None:
    with scripted_server(ESTIMATE) as server:
        client = Client(server.address)
        client.estimate("ai_scripts")
        client.close()
        with pytest.raises(ValueError, match="this Client is closed"):
            client.estimate("ai_scripts")


def test_a_channel_has_its_own_credentials() -> None:
    credentials = grpc.ssl_channel_credentials()
    with grpc.insecure_channel("127.0.0.1:1") as channel, pytest.raises(ValueError, match="one of"):
        Client(channel=channel, credentials=credentials)


def test_credentials_are_not_sent_in_plain_text() -> None:
    with scripted_server(ESTIMATE) as server:
        retry = creditd.RetryPolicy(max_attempts=1)
        credentials = grpc.ssl_channel_credentials()
        with (
            Client(server.address, credentials=credentials, retry=retry) as client,
            pytest.raises(creditd.UnavailableError),
        ):
            client.estimate("ai_scripts")
        assert server.requests == []


def test_an_asynchronous_client_belongs_to_a_running_loop() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        AsyncClient("127.0.0.1:1")


def test_the_server_sees_who_calls_and_what_it_sends_along() -> None:
    with scripted_server(ESTIMATE) as server, Client(server.address) as client:
        client.estimate("ai_scripts", metadata=[("team", "a")], x_request_id="log-1")
    (sent,) = server.metadata
    assert sent["user-agent"].startswith("creditd-python/")
    assert (sent["team"], sent["x-request-id"]) == ("a", "log-1")


def test_a_client_that_nobody_closes_does_not_keep_the_process() -> None:
    script = (
        "from creditd import Client, CreditdError\n"
        "client = Client('127.0.0.1:1')\n"
        "try:\n    client.get_balance('x', timeout=0.5)\n"
        "except CreditdError as error:\n    print(error.code.name)\n"
    )
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    assert (ended.stdout, ended.stderr) == ("DEADLINE_EXCEEDED\n", "")
