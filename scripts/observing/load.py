"""Calls a server in every way, and counts what it should have counted."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from creditd import Charge, Client, CreateKeyResult, CreditdError, RetryPolicy, Tls, Usage

REPO = Path(__file__).resolve().parents[2]
# Begins everything that no label may have: accounts, request_ids, labels of entries, titles of keys.
PRIVATE = "observed-"
# Rates are made of what Prometheus scrapes: it takes a few of them.
STEADY_S = 4
ROUND = 80
CALLERS = 8
BATCHES = 3
BATCH = 800
# Labels of this many bytes each, so that there is enough to write for a checkpoint of the WAL.
LABELS = 8
LABEL_BYTES = 250
# More at once than a connection may have of so few calls.
BURST = 48
CALLS_MAX = 64
ACCOUNTS = 24
WATCHES = 5
SERVICE = "lip_sync_video"
CLIP = Usage(SERVICE, duration=timedelta(seconds=31))

PRICING = "creditd.v1.PricingService"
LEDGER = "creditd.v1.LedgerService"
ADMIN = "creditd.v1.AdminService"

Result = TypeVar("Result")


def code_name(code: str) -> str:
    """A gRPC code as grpc_code has it: FAILED_PRECONDITION is FailedPrecondition."""
    return code if code == "OK" else "".join(word.capitalize() for word in code.split("_"))


class Counts:
    """What the server should have counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # By service, method and code.
        self.handled: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.entries: Counter[str] = Counter()
        # By service and rate card.
        self.spent: dict[str, Decimal] = {}
        self.replays = 0

    def ended(self, service: str, method: str, code: str = "OK") -> None:
        with self._lock:
            self.handled[f"{service} {method} {code}"] += 1

    def refused(self, reason: str, times: int = 1) -> None:
        with self._lock:
            self.refusals[reason] += times

    def written(self, kind: str, spent: Decimal = Decimal(0), priced_by: str = " ") -> None:
        with self._lock:
            self.entries[kind] += 1
            if spent:
                self.spent[priced_by] = self.spent.get(priced_by, Decimal(0)) + spent

    def call(self, service: str, method: str, function: Callable[[], Result]) -> Result:
        """A call that is done."""
        result = function()
        self.ended(service, method)
        return result

    def refuse(self, service: str, method: str, reason: str, function: Callable[[], object]) -> None:
        """A call that is refused for this reason."""
        try:
            function()
        except CreditdError as error:
            assert error.reason == reason, f"{method} was refused as {error.reason}, not {reason}: {error}"
            self.ended(service, method, code_name(error.code.name))
            self.refused(reason)
        else:
            raise AssertionError(f"{method} was not refused as {reason}")


class Load:
    """Everything that can be called, against one server."""

    def __init__(self, address: str, authority: Path, admin_key: str) -> None:
        self.address = address
        self.authority = authority
        self.admin_key = admin_key
        self.counts = Counts()
        # What no label may have, beside everything that begins with PRIVATE.
        self.secrets = {admin_key}
        card = (REPO / "rate-cards" / "jogg-api-v2.toml").read_text()
        [self.card] = re.findall(r'^name = "(.+)"$', card, re.MULTILINE)[:1]

    def client(self, key: str) -> Client:
        """A client that sends each call once."""
        tls = Tls(ca_file=self.authority)
        return Client(self.address, key=key, tls=tls, retry=RetryPolicy(max_attempts=1), timeout=30)

    def account(self, number: int) -> str:
        return f"{PRIVATE}account-{number % ACCOUNTS:02}"

    def request_id(self, of: str) -> str:
        return f"{PRIVATE}request-{of}"

    def run(self) -> None:
        """All of it, once."""
        with self.client(self.admin_key) as client:
            self.open_accounts(client)
            with self.watches(client):
                self.go_on(client)
            self.charge_in_batches(client)
            self.price(client)
            self.hold(client)
            self.read(client)
            self.refuse(client)
            self.administer(client)

    def open_accounts(self, client: Client) -> None:
        counts = self.counts
        for number in range(ACCOUNTS):
            services = [SERVICE] if number % 2 else []
            counts.call(LEDGER, "Grant", lambda n=number, s=services: client.grant(self.account(n), 1_000, services=s))  # type: ignore[misc]
            counts.written("grant")
        granted = counts.call(LEDGER, "Grant", lambda: client.grant(self.account(0), 5))
        counts.written("grant")
        counts.call(LEDGER, "RevokeGrant", lambda: client.revoke_grant(self.account(0), granted.entry.grant_id))
        counts.written("revoke")
        counts.call(LEDGER, "UpdateAccount", lambda: client.update_account(self.account(0), labels={"crm": f"{PRIVATE}42"}))
        counts.written("update")

    @contextmanager
    def watches(self, client: Client) -> Iterator[None]:
        """Some balances are watched meanwhile."""
        watches = [client.watch_balance(self.account(number)) for number in range(WATCHES)]
        for watch in watches:
            next(watch)
        yield
        for watch in watches:
            watch.close()
            self.counts.ended(LEDGER, "WatchBalance", "Cancelled")

    def charge(self, client: Client, number: int) -> None:
        labels = {"job": f"{PRIVATE}job-{number}"}
        request_id = self.request_id(f"charge-{number}")
        account = self.account(number)
        charged = client.charge(account, CLIP, request_id=request_id, labels=labels)
        self.counts.ended(LEDGER, "Charge")
        self.counts.written("charge", charged.entry.spent, f"{SERVICE} {self.card}")

    def go_on(self, client: Client) -> None:
        """Charges and estimates for a while, several at a time."""
        end, first = time.monotonic() + STEADY_S, 0
        with ThreadPoolExecutor(CALLERS) as callers:
            while time.monotonic() < end:
                done = [callers.submit(self.charge, client, number) for number in range(first, first + ROUND)]
                done += [callers.submit(self.estimate, client) for _ in range(ROUND)]
                for call in done:
                    call.result()
                first += ROUND

    def estimate(self, client: Client) -> None:
        self.counts.call(PRICING, "Estimate", lambda: client.estimate(SERVICE, duration=timedelta(seconds=31)))

    def charge_in_batches(self, client: Client) -> None:
        counts = self.counts
        again = counts.call(
            LEDGER,
            "Charge",
            lambda: client.charge(
                self.account(0),
                CLIP,
                request_id=self.request_id("charge-0"),
                labels={"job": f"{PRIVATE}job-0"},
            ),
        )
        assert again.replayed
        counts.replays += 1
        labels = {f"label-{number}": PRIVATE.ljust(LABEL_BYTES, "x") for number in range(LABELS)}
        for _ in range(BATCHES):
            charges = [Charge(self.account(0), CLIP, labels=labels) for _ in range(BATCH)]
            charges.append(Charge(self.account(0), Usage("lip_sink_video", count=1)))
            batch = counts.call(LEDGER, "BatchCharge", lambda charges=charges: client.batch_charge(charges))  # type: ignore[misc]
            counts.refused("UNKNOWN_SERVICE")
            for item in batch.results[:-1]:
                assert not isinstance(item, CreditdError), item
                counts.written("charge", item.entry.spent, f"{SERVICE} {self.card}")
        # An amount of the caller's has neither service nor rate card.
        paid = counts.call(LEDGER, "Charge", lambda: client.charge(self.account(0), credits=2))
        counts.written("charge", paid.entry.spent)
        refund = counts.call(LEDGER, "Refund", lambda: client.refund(self.account(0), paid.entry.entry_id))
        assert refund.entry.credits == 2
        counts.written("refund")

    def price(self, client: Client) -> None:
        counts = self.counts
        batch = counts.call(
            PRICING, "BatchEstimate", lambda: client.batch_estimate([CLIP, Usage("lip_sink_video", count=1)])
        )
        assert batch.failed_count == 1
        counts.refused("UNKNOWN_SERVICE")
        counts.call(PRICING, "GetRateCard", client.get_rate_card)

    def hold(self, client: Client) -> None:
        counts = self.counts
        account = self.account(0)

        def hold() -> str:
            made = counts.call(LEDGER, "Hold", lambda: client.hold(account, CLIP))
            counts.written("hold")
            return made.hold.hold_id

        settled, released, left = hold(), hold(), hold()
        counts.call(LEDGER, "ExtendHold", lambda: client.extend_hold(account, settled, ttl=timedelta(hours=2)))
        counts.written("extend")
        paid = counts.call(LEDGER, "SettleHold", lambda: client.settle_hold(account, settled, CLIP))
        counts.written("settle", paid.entry.spent, f"{SERVICE} {self.card}")
        counts.call(LEDGER, "ReleaseHold", lambda: client.release_hold(account, released))
        counts.written("release")
        counts.call(LEDGER, "GetHold", lambda: client.get_hold(account, left))
        counts.call(LEDGER, "ListHolds", lambda: client.list_holds_page(account))

    def read(self, client: Client) -> None:
        counts = self.counts
        for number in range(ACCOUNTS):
            counts.call(LEDGER, "GetBalance", lambda n=number: client.get_balance(self.account(n)))  # type: ignore[misc]
        counts.call(LEDGER, "ListEntries", lambda: client.list_entries_page(self.account(0)))
        counts.call(LEDGER, "GetAccount", lambda: client.get_account(self.account(0)))
        counts.call(LEDGER, "ListAccounts", client.list_accounts_page)

    def refuse(self, client: Client) -> None:
        refuse = self.counts.refuse
        dear = Usage("motion_3_0", count=1_000_000)
        refuse(LEDGER, "Charge", "INSUFFICIENT_CREDITS", lambda: client.charge(self.account(0), dear))
        refuse(LEDGER, "GetBalance", "ACCOUNT_NOT_FOUND", lambda: client.get_balance(f"{PRIVATE}nobody"))
        refuse(PRICING, "Estimate", "UNKNOWN_SERVICE", lambda: client.estimate("lip_sink_video", count=1))
        refuse(LEDGER, "Charge", "REQUEST_ID_REUSED", lambda: self.reuse(client))
        with self.client("creditd_none-of-the-servers-000000000") as stranger:
            refuse(LEDGER, "GetBalance", "KEY_INVALID", lambda: stranger.get_balance(self.account(0)))

    def reuse(self, client: Client) -> object:
        return client.charge(self.account(0), credits=1, request_id=self.request_id("charge-0"))

    def administer(self, client: Client) -> None:
        counts = self.counts

        def create(limit: int) -> CreateKeyResult:
            title = f"{PRIVATE}key"
            made = client.create_key(["price"], title=title, calls_per_second_max=limit)
            counts.ended(ADMIN, "CreateKey")
            self.secrets.update({made.key.key_id, made.secret})
            return made

        slow, bound = create(1), create(0)
        with self.client(slow.secret) as limited:
            counts.call(PRICING, "GetRateCard", limited.get_rate_card_page)
            counts.refuse(PRICING, "GetRateCard", "RATE_LIMITED", limited.get_rate_card_page)
        with self.client(bound.secret) as pricing:
            counts.refuse(LEDGER, "GetBalance", "NOT_ALLOWED", lambda: pricing.get_balance(self.account(0)))
        counts.call(ADMIN, "RevokeKey", lambda: client.revoke_key(slow.key.key_id))
        counts.call(ADMIN, "ListKeys", client.list_keys_page)
        counts.call(ADMIN, "ListAdminEvents", client.list_admin_events_page)
        counts.call(ADMIN, "ListRateCards", client.list_rate_cards_page)

    def overload(self, client: Client) -> None:
        """Charges at once, more than the server takes; the disk has to be slow meanwhile."""

        def charge() -> bool:
            try:
                paid = client.charge(self.account(0), credits=1)
            except CreditdError as error:
                assert error.reason == "SERVER_OVERLOADED", error
                self.counts.ended(LEDGER, "Charge", "Unavailable")
                self.counts.refused(error.reason)
                return True
            self.counts.ended(LEDGER, "Charge")
            self.counts.written("charge", paid.entry.spent)
            return False

        with ThreadPoolExecutor(BURST) as callers:
            refused = [call.result() for call in [callers.submit(charge) for _ in range(BURST)]]
        assert any(refused), "nothing was refused"
