"""A program that forks in the middle of its work; see test_fork.py.

Usage: forking.py ADDRESS MODE..., in a process of its own: the tests have servers of grpc in
theirs, whose threads a fork does not like.

It prints "child N" for each child that did its work and ended well, and "parent" where the parent
was unharmed; what went wrong stands in a line of its own.
"""

import asyncio
import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

from creditd import AsyncClient, Client

CHILDREN = 4
WAIT_S_MAX = 20


def child_work(client: Client, address: str, account: str) -> None:
    """Calls by the client of the parent, and by one of its own."""
    client.charge(account, credits=1, timeout=WAIT_S_MAX)
    with Client(address) as own, own.watch_balance(account) as watch:
        next(watch)


def fork(work: Callable[[], None]) -> int:
    """Forks; the child ends by sys.exit, which runs its exit handlers."""
    child = os.fork()
    if child == 0:
        work()
        sys.exit(0)
    return child


def ended_well(child: int) -> bool:
    end_s = time.monotonic() + WAIT_S_MAX
    while time.monotonic() < end_s:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            if code != 0:
                print("it ended with", code, flush=True)
            return code == 0
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    print("it did not end")
    return False


class Parent:
    """A process that watches and calls while it forks."""

    def __init__(self, address: str, modes: set[str]) -> None:
        self.account = f"fork-{uuid4()}"
        self.client = Client(address, timeout=WAIT_S_MAX)
        self.client.grant(self.account, 1000)
        self.balances: list[Decimal] = []
        self.calls = 0
        self.over = threading.Event()
        self.counting = threading.Lock()
        self.watch = self.client.watch_balance(self.account) if "watch" in modes else None
        self.watching = [self._start(self._watch)] if self.watch is not None else []
        self.calling = [self._start(self._call) for _ in range(4) if "calls" in modes]
        self._until(lambda: bool(self.balances) or not self.watching)
        self._until(lambda: self.calls > 0 or not self.calling)

    @staticmethod
    def _start(work: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - printed, and then the thread ends
                traceback.print_exc()
                print(f"parent: {error!r}", flush=True)

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        return thread

    def _watch(self) -> None:
        assert self.watch is not None
        for balance in self.watch:
            self.balances.append(balance.available)

    def _call(self) -> None:
        while not self.over.is_set():
            self.client.charge(self.account, credits="0.001")
            with self.counting:
                self.calls += 1

    @staticmethod
    def _until(condition: Callable[[], bool]) -> None:
        end_s = time.monotonic() + WAIT_S_MAX
        while not condition():
            assert time.monotonic() < end_s, "it takes too long"
            time.sleep(0.01)

    def check(self, children: int) -> None:
        """Every call was done once, and the watch yielded the last balance."""
        before = self.calls
        self._until(lambda: self.calls > before or not self.calling)
        self.over.set()
        for thread in self.calling:
            thread.join(WAIT_S_MAX)
        left = self.client.get_balance(self.account).available
        spent = children + self.calls * Decimal("0.001")
        assert left == 1000 - spent, f"{left} are left after {spent}"
        self._until(lambda: not self.watching or self.balances[-1] == left)
        if self.watch is not None:
            self.watch.close()
            self.watching[0].join(WAIT_S_MAX)


def plain(address: str, modes: set[str]) -> None:
    parent = Parent(address, modes)
    # The thread that forks has a watch too, which the child goes on reading.
    with parent.client.watch_balance(parent.account) as watch:
        next(watch)

        def work() -> None:
            child_work(parent.client, address, parent.account)
            next(watch)

        children = [fork(work) for _ in range(CHILDREN)]
        for number, child in enumerate(children):
            if ended_well(child):
                print("child", number, flush=True)
        next(watch)
    parent.check(CHILDREN)


def with_multiprocessing(address: str, modes: set[str]) -> None:
    parent = Parent(address, modes)
    context = multiprocessing.get_context("fork")
    children = [
        context.Process(target=child_work, args=(parent.client, address, parent.account))
        for _ in range(CHILDREN)
    ]
    for child in children:
        child.start()
    for number, child in enumerate(children):
        child.join(WAIT_S_MAX)
        if child.exitcode == 0:
            print("child", number, flush=True)
        else:
            print("exit code", child.exitcode)
            child.kill()
    parent.check(CHILDREN)


def prefork(address: str, _: set[str]) -> None:
    """A server that makes its client and then its workers, which fork again."""
    client = Client(address, timeout=WAIT_S_MAX)
    account = f"fork-{uuid4()}"
    client.grant(account, 1000)

    def work() -> None:
        child_work(client, address, account)
        again = fork(lambda: child_work(client, address, account))
        assert ended_well(again)

    children = [fork(work) for _ in range(CHILDREN)]
    for number, child in enumerate(children):
        if ended_well(child):
            print("child", number, flush=True)
    assert client.get_balance(account).available == 1000 - 2 * CHILDREN


def after_asyncio(address: str, _: set[str]) -> None:
    """An AsyncClient that is closed before the fork; the child makes its own."""
    account = f"fork-{uuid4()}"

    async def call() -> None:
        async with AsyncClient(address) as client:
            await client.grant(account, 5)

    asyncio.run(call())
    children = [fork(lambda: asyncio.run(call())) for _ in range(CHILDREN)]
    for number, child in enumerate(children):
        if ended_well(child):
            print("child", number, flush=True)
    asyncio.run(call())


def beside_asyncio(address: str, _: set[str]) -> None:
    """An AsyncClient that is open at the fork: the child gets an error that says what to do."""

    def work() -> None:
        try:
            asyncio.run(use())
        except RuntimeError as error:
            print(error, flush=True)
        try:
            Client(address).get_rate_card()
        except RuntimeError as error:
            print(error, flush=True)
        # The parent's event loop is still on the stack, and must not run on.
        os._exit(0)

    async def use() -> None:
        AsyncClient(address)

    async def main() -> None:
        async with AsyncClient(address) as client:
            await client.get_rate_card()
            child = os.fork()
            if child == 0:
                asyncio.events._set_running_loop(None)  # noqa: SLF001
                work()
            assert ended_well(child)
            await client.get_rate_card()

    asyncio.run(main())


MODES: dict[str, Any] = {
    "plain": plain,
    "multiprocessing": with_multiprocessing,
    "prefork": prefork,
    "after-asyncio": after_asyncio,
    "beside-asyncio": beside_asyncio,
}

if __name__ == "__main__":
    MODES[sys.argv[2]](sys.argv[1], set(sys.argv[3:]))
    print("parent", flush=True)
