"""An argument of a wrong type is refused with a message that names it; nothing is sent."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from creditd import (
    AsyncClient,
    Charge,
    Client,
    Entry,
    EntryKind,
    HoldStatus,
    Overage,
    Usage,
    model,
)
from tests.conftest import Connect
from tests.support.scripted import ESTIMATE, scripted_server

ACCOUNT = {"account": "team-a"}


@pytest.mark.parametrize(
    ("method", "arguments", "says"),
    [
        ("charge", {"account": 7}, "account must be a str, not int"),
        ("charge", {"account": None}, "account must be a str, not NoneType"),
        ("charge", {"account": b"team-a"}, "account must be a str, not bytes"),
        ("charge", ACCOUNT | {"request_id": 17}, "request_id must be a str, not int"),
        ("charge", ACCOUNT | {"labels": {"job": 7}}, "labels['job'] must be a str, not int"),
        ("charge", ACCOUNT | {"labels": {7: "job"}}, "a key of labels must be a str, not int"),
        ("charge", ACCOUNT | {"labels": ["job"]}, "labels must be a mapping, not list"),
        ("charge", ACCOUNT | {"rate_card": 1}, "rate_card must be a str, not int"),
        ("charge", ACCOUNT | {"revision": 1}, "revision must be a str, not int"),
        ("charge", ACCOUNT | {"prices_account": 1}, "prices_account must be a str, not int"),
        ("charge", ACCOUNT | {"usage": "ai_scripts"}, "usage must be a Usage, not str"),
        ("charge", ACCOUNT | {"usage": Usage(7)}, "usage.service must be a str, not int"),  # type: ignore[arg-type]
        ("charge", ACCOUNT | {"x_request_id": 7}, "x_request_id must be a str, not int"),
        ("charge", ACCOUNT | {"metadata": ["x"]}, "metadata must be pairs of a key and a value"),
        ("charge", ACCOUNT | {"metadata": [(1, "x")]}, "a key of metadata must be a str, not int"),
        ("charge", ACCOUNT | {"metadata": [("x", 1)]}, "metadata 'x' must be str, not int"),
        ("charge", ACCOUNT | {"metadata": [("x-bin", "y")]}, "metadata 'x-bin' must be bytes"),
        ("charge", ACCOUNT | {"metadata": [("X", "y")]}, "must be in lower case"),
        ("charge", ACCOUNT | {"timeout": "2"}, "timeout must be seconds as a number"),
        ("batch_charge", {"charges": "team-a"}, "charges must be several, not one str"),
        ("batch_charge", {"charges": Charge("a")}, "charges must be several, not one Charge"),
        ("batch_charge", {"charges": [Charge(7)]}, "charges[0].account must be a str, not int"),  # type: ignore[arg-type]
        (
            "batch_charge",
            {"charges": [Charge("a", labels={"job": 7})]},  # type: ignore[dict-item]
            "charges[0].labels['job'] must be a str, not int",
        ),
        ("refund", ACCOUNT | {"entry_id": 7}, "entry_id must be a str, not int"),
        ("revoke_grant", ACCOUNT | {"grant_id": None}, "grant_id must be a str, not NoneType"),
        ("grant", ACCOUNT | {"credits": 1, "priority": "1"}, "priority must be an int, not str"),
        ("grant", ACCOUNT | {"credits": 1, "priority": True}, "priority must be an int, not bool"),
        ("grant", ACCOUNT | {"credits": 1, "priority": 2**31}, "priority must be -2147483648 to "),
        ("grant", ACCOUNT | {"credits": 1, "source": 7}, "source must be a str, not int"),
        ("grant", ACCOUNT | {"credits": 1, "services": "x"}, "services must be several, not one"),
        ("grant", ACCOUNT | {"credits": 1, "services": [7]}, "services[0] must be a str, not int"),
        ("get_balance", {"account": 7}, "account must be a str, not int"),
        ("get_balance", ACCOUNT | {"as_of": "now"}, "as_of must be a datetime, not str"),
        ("watch_balance", {"account": 7}, "account must be a str, not int"),
        ("list_entries", {"account": 7}, "account must be a str, not int"),
        ("list_entries", ACCOUNT | {"kinds": "CHARGE"}, "kinds must be several, not one str"),
        ("list_entries", ACCOUNT | {"kinds": EntryKind.CHARGE}, "kinds must be several, not one"),
        (
            "list_entries",
            ACCOUNT | {"kinds": ["CHARGE"]},
            "kinds[0] must be one of EntryKind.GRANT, EntryKind.CHARGE,",
        ),
        ("list_entries", ACCOUNT | {"service": 7}, "service must be a str, not int"),
        ("list_entries", ACCOUNT | {"hold_id": 7}, "hold_id must be a str, not int"),
        ("list_entries", ACCOUNT | {"page_size": "7"}, "page_size must be an int, not str"),
        ("list_entries_page", ACCOUNT | {"page_token": None}, "page_token must be a str"),
        ("list_holds", ACCOUNT | {"page_size": 1.0}, "page_size must be an int, not float"),
        ("list_holds", ACCOUNT | {"request_id": 7}, "request_id must be a str, not int"),
        ("list_holds", ACCOUNT | {"labels": {"job": 7}}, "labels['job'] must be a str, not int"),
        ("list_holds", ACCOUNT | {"start_time": 7}, "start_time must be a datetime, not int"),
        ("hold", ACCOUNT | {"usage": 7}, "usage must be a Usage, not int"),
        ("get_hold", ACCOUNT | {"hold_id": 7}, "hold_id must be a str, not int"),
        ("release_hold", ACCOUNT | {"hold_id": 7}, "hold_id must be a str, not int"),
        ("extend_hold", ACCOUNT | {"hold_id": 7, "ttl": timedelta(1)}, "hold_id must be a str"),
        ("settle_hold", ACCOUNT | {"hold_id": "h", "keep_open": 1}, "keep_open must be a bool"),
        (
            "settle_hold",
            ACCOUNT | {"hold_id": "h", "overage": "REJECT"},
            "overage must be one of Overage.REJECT, Overage.FROM_AVAILABLE, not str",
        ),
        ("estimate", {"service": 7}, "usage.service must be a str, not int"),
        ("estimate", {"service": None}, "usage.service must be a str, not NoneType"),
        ("estimate", {"service": "s", "count": "3"}, "usage.count must be an int, not str"),
        ("estimate", {"service": "s", "count": 3.0}, "usage.count must be an int, not float"),
        ("estimate", {"service": "s", "count": 2**63}, "usage.count must be -9223372036854775808"),
        ("estimate", {"service": "s", "account": 7}, "account must be a str, not int"),
        ("estimate", {"service": "s", "explain": "yes"}, "explain must be a bool, not str"),
        ("estimate", {"service": "s", "check_balance": 1}, "check_balance must be a bool, not int"),
        (
            "estimate",
            {"service": "s", "attributes": {"quality": 4}},
            "usage.attributes['quality'] must be a str, not int",
        ),
        ("estimate", {"service": "s", "meters": [1]}, "usage.meters must be a mapping, not list"),
        (
            "estimate",
            {"service": "s", "meters": {"tokens": 0.5}},
            "usage.meters['tokens'] must be an int, a Decimal, a str or a timedelta, not float;",
        ),
        ("estimate", {"service": "s", "meters": {"tokens": True}}, "or a timedelta, not bool"),
        ("estimate", {"service": "s", "meters": {1: 1}}, "a key of usage.meters must be a str"),
        (
            "estimate",
            {"service": Usage("s"), "count": 3},
            "count stands in the Usage already; give one of the two",
        ),
        ("batch_estimate", {"usages": Usage("s")}, "usages must be several, not one Usage"),
        ("batch_estimate", {"usages": ["s"]}, "usages[0] must be a Usage, not str"),
        ("get_rate_card", {"rate_card": 7}, "rate_card must be a str, not int"),
        ("get_rate_card", {"services": "image"}, "services must be several, not one str"),
        ("get_rate_card", {"services": [7]}, "services[0] must be a str, not int"),
        ("get_rate_card_page", {"page_size": "7"}, "page_size must be an int, not str"),
        ("get_account", {"account": 7}, "account must be a str, not int"),
        ("list_accounts", {"prefix": None}, "prefix must be a str, not NoneType"),
        ("list_accounts", {"page_size": 1.0}, "page_size must be an int, not float"),
        ("list_accounts_page", {"page_token": None}, "page_token must be a str"),
        ("update_account", {"account": 7, "rate_card": "c"}, "account must be a str, not int"),
        ("update_account", ACCOUNT, "nothing to update; give one or more of rate_card, attrib"),
        ("update_account", ACCOUNT | {"request_id": "r"}, "nothing to update"),
        ("update_account", ACCOUNT | {"rate_card": 7}, "rate_card must be a str, not int"),
        ("update_account", ACCOUNT | {"labels": ["x"]}, "labels must be a mapping, not list"),
        (
            "update_account",
            ACCOUNT | {"attributes": {"plan": 7}},
            "attributes['plan'] must be a str, not int",
        ),
        (
            "update_account",
            ACCOUNT | {"rate_card": "", "allow_missing": 1},
            "allow_missing must be a bool, not int",
        ),
        ("publish_rate_card", {"toml": b"format = 1"}, "toml must be a str, not bytes"),
        ("publish_rate_card", {"toml": "", "validate_only": 1}, "validate_only must be a bool"),
        ("list_rate_cards", {"rate_card": 7}, "rate_card must be a str, not int"),
        ("list_rate_cards", {"with_toml": 1}, "with_toml must be a bool, not int"),
        ("list_rate_cards_page", {"page_token": 7}, "page_token must be a str, not int"),
        ("withdraw_rate_card", {"revision": 7}, "revision must be a str, not int"),
        ("list_entries", ACCOUNT | {"key_id": 7}, "key_id must be a str, not int"),
        ("create_key", {"scopes": "read"}, "scopes must be several, not one str"),
        ("create_key", {"scopes": [7]}, "scopes[0] must be a str, not int"),
        ("create_key", {"scopes": [], "title": 7}, "title must be a str, not int"),
        ("create_key", {"scopes": [], "accounts": "a*"}, "accounts must be several, not one str"),
        ("create_key", {"scopes": [], "expire_time": 7}, "expire_time must be a datetime, not int"),
        (
            "create_key",
            {"scopes": [], "calls_per_second_max": 1.5},
            "calls_per_second_max must be an int, not float",
        ),
        ("list_keys", {"show_revoked": 1}, "show_revoked must be a bool, not int"),
        ("list_keys_page", {"page_token": 7}, "page_token must be a str, not int"),
        ("revoke_key", {"key_id": 7}, "key_id must be a str, not int"),
        ("list_admin_events", {"key_id": 7}, "key_id must be a str, not int"),
        ("list_admin_events_page", {"page_size": "7"}, "page_size must be an int, not str"),
        ("charge", ACCOUNT | {"metadata": [("x y", "")]}, "'x y' of metadata must have only"),
        ("charge", ACCOUNT | {"metadata": [("x", "a\nb")]}, "not printable ASCII"),
        ("charge", ACCOUNT | {"x_request_id": "é"}, "not printable ASCII"),
    ],
)
def test_wrong_kinds(method: str, arguments: dict[str, Any], says: str, connect: Connect) -> None:
    with scripted_server(ESTIMATE) as server:
        driver = connect(server.address)
        # By the call itself, not when the first result is read.
        reads = method == "watch_balance" or (method.startswith("list_") and "_page" not in method)
        begin = driver.iterate if reads else driver.call
        with pytest.raises((TypeError, ValueError)) as caught:
            begin(method, **arguments)
        assert says in str(caught.value)
        assert server.requests == []


def test_a_usage_is_taken_by_every_method(connect: Connect, server: str) -> None:
    driver = connect(server)
    usage = Usage("lip_sync_video", duration=timedelta(seconds=31))
    driver.call("grant", "team-types", 10)
    assert driver.call("estimate", usage).credits == Decimal("0.248")
    assert driver.call("batch_estimate", [usage]).total_credits == Decimal("0.248")
    assert driver.call("charge", "team-types", usage).entry.spent == Decimal("0.248")
    batch = driver.call("batch_charge", [Charge("team-types", usage)])
    assert batch.results[0].entry.spent == Decimal("0.248")
    hold = driver.call("hold", "team-types", usage).hold
    settled = driver.call("settle_hold", "team-types", hold.hold_id, usage)
    assert settled.entry.spent == Decimal("0.248")


def test_usages_of_replies_can_be_sent_again(connect: Connect, server: str) -> None:
    driver = connect(server)
    driver.call("grant", "team-types", 10)
    entry: Entry = driver.call("charge", "team-types", Usage("ai_scripts", count=3)).entry
    assert driver.call("estimate", entry.usage).credits == entry.spent


def test_enums_are_printed_by_name() -> None:
    assert str(HoldStatus.OPEN) == f"{HoldStatus.OPEN}" == "OPEN"
    assert f"{EntryKind.CHARGE:>8}|{EntryKind.CHARGE:d}|{Overage.REJECT!s}" == "  CHARGE|2|REJECT"
    assert HoldStatus(1) == 1
    assert "%s %d" % (HoldStatus.SETTLED, HoldStatus.SETTLED) == "SETTLED 2"  # noqa: UP031


def test_two_event_loops_get_one_sentence() -> None:
    async def make(address: str) -> AsyncClient:
        return AsyncClient(address)

    async def use(client: AsyncClient) -> None:
        await client.estimate("ai_scripts")

    with scripted_server(ESTIMATE) as server:
        client = asyncio.run(make(server.address))
        for _ in range(2):
            with pytest.raises(RuntimeError, match="belongs to another event loop; make one"):
                asyncio.run(use(client))
        assert server.requests == []
    with pytest.raises(RuntimeError, match="inside of the event loop that uses it"):
        AsyncClient("127.0.0.1:1")


@pytest.mark.parametrize("name", [one for one in dir(Client) if not one.startswith("_")])
def test_docstrings_stand_alone(name: str) -> None:
    doc = getattr(Client, name).__doc__ or ""
    assert name == "close" or ("Returns:" in doc and "Raises:" in doc)
    assert getattr(AsyncClient, name).__doc__


def test_every_name_of_the_model_has_a_docstring() -> None:
    own = [one for one in vars(model).values() if getattr(one, "__module__", "") == model.__name__]
    assert own
    assert [one for one in own if not one.__doc__] == []
