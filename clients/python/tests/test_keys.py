"""Keys of the real server, through both clients."""

import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
import trustme

import creditd
from creditd import CreateKeyResult, RetryPolicy, Tls
from tests.conftest import Connect
from tests.support.drivers import Driver
from tests.support.server import ADMIN_KEY, running_server_with_keys

WAIT_S_MAX = 20


@pytest.fixture
def admin(connect: Connect, server_with_keys: str) -> Driver:
    return connect(server_with_keys, key=ADMIN_KEY)


def create(admin: Driver, *scopes: str, **options: Any) -> CreateKeyResult:
    made: CreateKeyResult = admin.call("create_key", scopes, **options)
    return made


def until_refused(driver: Driver) -> creditd.CreditdError | None:
    """What a call is refused with, of many one after the other."""
    end_s = time.monotonic() + WAIT_S_MAX
    try:
        while time.monotonic() < end_s:
            driver.call("estimate", "ai_scripts")
    except creditd.CreditdError as error:
        return error
    return None


def account_of(admin: Driver) -> str:
    account = f"keys-{uuid4()}"
    admin.call("grant", account, 5)
    return account


@pytest.mark.parametrize(
    ("key", "reason"),
    [(None, "KEY_REQUIRED"), ("x", "KEY_INVALID"), (ADMIN_KEY[:-1], "KEY_INVALID")],
)
def test_without_a_key_that_is_valid(
    key: str | None, reason: str, connect: Connect, server_with_keys: str
) -> None:
    driver = connect(server_with_keys, key=key)
    with pytest.raises(creditd.UnauthenticatedError) as caught:
        driver.call("estimate", "ai_scripts")
    assert caught.value.reason == reason
    with pytest.raises(creditd.UnauthenticatedError) as caught:
        next(driver.iterate("watch_balance", "team-a"))
    assert caught.value.reason == reason


def test_a_secret_is_hidden_and_is_a_key(
    admin: Driver, connect: Connect, server_with_keys: str
) -> None:
    account = account_of(admin)
    until = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(hours=1)
    made = create(admin, "charge", "read", title="renderer", accounts=[account], expire_time=until)
    assert made.secret.startswith("creditd_")
    assert made.secret not in repr(made) + str(made)
    assert (made.key.title, made.key.accounts, made.key.expire_time) == (
        "renderer",
        (account,),
        until,
    )
    driver = connect(server_with_keys, key=made.secret)
    assert driver.call("charge", account, credits=1).entry.key_id == made.key.key_id
    by_it = driver.iterate("list_entries", account, key_id=made.key.key_id)
    assert [entry.kind for entry in by_it] == [creditd.EntryKind.CHARGE]
    for scope, method, argument, more in [
        ("grant", "grant", account, {"credits": 1}),
        ("read", "get_balance", "somebody-else", {}),
        ("admin", "revoke_key", made.key.key_id, {}),
    ]:
        with pytest.raises(creditd.NotAllowedError) as caught:
            driver.call(method, argument, **more)
        assert (caught.value.scope, caught.value.attempts) == (scope, 1)


def test_revoking_ends_calls_and_watches(
    admin: Driver, connect: Connect, server_with_keys: str
) -> None:
    account = account_of(admin)
    made = create(admin, "read")
    driver = connect(server_with_keys, key=made.secret)
    watch = driver.iterate("watch_balance", account)
    assert next(watch).available == 5
    revoked = admin.call("revoke_key", made.key.key_id)
    assert revoked.revoke_time is not None
    assert admin.call("revoke_key", made.key.key_id) == revoked
    with pytest.raises(creditd.UnauthenticatedError) as caught:
        next(watch)
    assert caught.value.reason == creditd.Reason.KEY_INVALID
    with pytest.raises(creditd.UnauthenticatedError):
        driver.call("get_balance", account)


def test_a_rotated_key_is_asked_for(admin: Driver, connect: Connect, server_with_keys: str) -> None:
    account = account_of(admin)
    keys = [create(admin, "read"), create(admin, "read")]
    # It is behind: the key is exchanged between the question and the call.
    answers = iter([keys[0].secret, keys[0].secret, keys[1].secret, keys[1].secret])
    driver = connect(server_with_keys, key=answers.__next__)
    assert driver.call("get_balance", account).available == 5
    admin.call("revoke_key", keys[0].key.key_id)
    assert driver.call("get_balance", account).available == 5
    watch = driver.iterate("watch_balance", account)
    assert next(watch).available == 5
    assert list(answers) == []


def test_what_is_rate_limited_is_sent_when_it_may(
    admin: Driver, connect: Connect, server_with_keys: str
) -> None:
    made = create(admin, "price", calls_per_second_max=2)
    once = connect(server_with_keys, key=made.secret, retry=RetryPolicy(max_attempts=1))
    limited = until_refused(once)
    assert isinstance(limited, creditd.RateLimitedError)
    assert (limited.limit, limited.of) == (2, "key")
    assert limited.retry_after is not None
    patient = connect(server_with_keys, key=made.secret)
    begun_s = time.monotonic()
    for _ in range(3):
        patient.call("estimate", "ai_scripts", timeout=WAIT_S_MAX)
    assert time.monotonic() - begun_s > 0.5


def test_lists_of_keys_and_of_what_was_done(admin: Driver) -> None:
    made = [create(admin, "read", title=f"key {number}").key for number in range(3)]
    ids = [key.key_id for key in made]
    admin.call("revoke_key", ids[1])

    def listed(**options: Any) -> list[creditd.Key]:
        return [
            key for key in admin.iterate("list_keys", page_size=2, **options) if key.key_id in ids
        ]

    assert [key.key_id for key in listed()] == [ids[0], ids[2]]
    assert [key.key_id for key in listed(show_revoked=True)] == ids
    page = admin.call("list_keys_page", page_size=1)
    assert len(page.keys) == 1
    assert page.next_page_token
    events = [
        (event.action, event.subject, event.title, event.key_id)
        for event in admin.iterate("list_admin_events", page_size=3)
        if event.subject in ids
    ]
    assert events == [
        ("revoke_key", ids[1], "key 1", "admin"),
        ("create_key", ids[2], "key 2", "admin"),
        ("create_key", ids[1], "key 1", "admin"),
        ("create_key", ids[0], "key 0", "admin"),
    ]


def test_an_expired_key(admin: Driver, connect: Connect, server_with_keys: str) -> None:
    soon = datetime.now(timezone.utc) + timedelta(seconds=1)
    driver = connect(server_with_keys, key=create(admin, "price", expire_time=soon).secret)
    assert isinstance(until_refused(driver), creditd.UnauthenticatedError)
    assert datetime.now(timezone.utc) >= soon


def test_a_key_goes_by_tls(connect: Connect, tmp_path: Path) -> None:
    authority = trustme.CA()
    pair = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    pair.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    pair.private_key_pem.write_to_path(tmp_path / "key.pem")
    options = ("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"))
    with running_server_with_keys(tmp_path, *options) as address:
        driver = connect(address, tls=Tls(ca_file=tmp_path / "ca.pem"), key=ADMIN_KEY)
        driver.call("grant", "team-a", 5)
        assert next(driver.iterate("watch_balance", "team-a")).available == 5
        with pytest.raises(creditd.CreditdError) as caught:
            connect(address, key=ADMIN_KEY, timeout=1).call("get_balance", "team-a")
        assert caught.value.code in {
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.DEADLINE_EXCEEDED,
        }
