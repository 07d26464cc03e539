"""Fixtures of several files of tests."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.drivers import DRIVERS, Driver
from tests.support.server import running_server, running_server_with_keys

Connect = Callable[..., Driver]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server that all tests share."""
    with running_server(tmp_path_factory.mktemp("creditd")) as address:
        yield address


@pytest.fixture(scope="session")
def server_with_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server that asks for keys, which all tests share."""
    with running_server_with_keys(tmp_path_factory.mktemp("creditd-keys")) as address:
        yield address


@pytest.fixture(params=DRIVERS)
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Makes drivers, and closes them after the test, which runs once for each client."""
    with ExitStack() as stack:

        def make(target: str, **options: Any) -> Driver:
            driver: Driver = DRIVERS[request.param](target, **options)
            return stack.enter_context(driver)

        yield make
