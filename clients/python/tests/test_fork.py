"""A process that forks: the child works and ends, and the parent is unharmed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import forking

PROGRAM = Path(forking.__file__)
END_S_MAX = 120
ALL_WELL = [*(f"child {number}" for number in range(forking.CHILDREN)), "parent"]


def run(address: str, *modes: str, **environment: str) -> list[str]:
    done = subprocess.run(  # noqa: S603
        [sys.executable, str(PROGRAM), address, *modes],
        capture_output=True,
        text=True,
        timeout=END_S_MAX,
        check=False,
        env={**os.environ, **environment},
    )
    # grpc logs to stderr whether its fork handlers ran.
    assert "skipping fork() handlers" not in done.stderr or "asyncio" in modes[0]
    return [*done.stdout.splitlines(), *([] if done.returncode == 0 else [done.stderr])]


@pytest.mark.parametrize("how", ["plain", "multiprocessing"])
@pytest.mark.parametrize("busy", [(), ("watch",), ("calls",), ("watch", "calls")])
def test_a_client_that_is_busy(how: str, busy: tuple[str, ...], server: str) -> None:
    assert sorted(run(server, how, *busy)) == ALL_WELL


def test_with_the_fork_support_of_grpc(server: str) -> None:
    lines = run(server, "plain", "watch", "calls", GRPC_ENABLE_FORK_SUPPORT="1")
    assert sorted(lines) == ALL_WELL


def test_workers_that_fork_again(server: str) -> None:
    assert run(server, "prefork") == ALL_WELL


def test_after_an_asynchronous_client_was_closed(server: str) -> None:
    assert run(server, "after-asyncio") == ALL_WELL


def test_beside_an_open_asynchronous_client(server: str) -> None:
    error, error_again, parent = run(server, "beside-asyncio")
    # A Client in the child too: the parent's event loop would crash over what grpc writes there.
    assert error_again == error
    assert error.startswith("this process was forked while an AsyncClient was open")
    assert 'get_context("spawn")' in error
    assert parent == "parent"
