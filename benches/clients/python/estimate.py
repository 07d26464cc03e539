"""How fast Estimate is through the Python clients, beside the bare generated stub.

Both call the server at ADDRESS one call after the other, over a channel each, and both do what a
caller would: make the request, wait for the answer, read its credits. The runs of a pair are cut
into short turns, and the one that begins changes from turn to turn, so that what else the machine
does slows both. Of all pairs the one with the middle ratio is reported: a line of JSON on stdout
for each client, all pairs on stderr.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import grpc
from google.protobuf.duration_pb2 import Duration
from grpc import aio

from creditd import AsyncClient, Client
from creditd.v1 import pricing_pb2, pricing_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

GOAL = 0.9
SERVICE = "lip_sync_video"
SECONDS = 31
TURN_S = 0.05


@dataclass
class Run:
    """What was done in all turns together."""

    calls: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Calls a second."""
        return self.calls / self.seconds


class Pair(NamedTuple):
    """Runs that took turns."""

    client: Run
    stub: Run

    @property
    def seconds(self) -> float:
        """How long both took together."""
        return self.client.seconds + self.stub.seconds

    @property
    def ratio(self) -> float:
        """1 where the client is as fast as the stub."""
        return self.client.rate / self.stub.rate


def request() -> pricing_pb2.EstimateRequest:
    """What a caller of the stub writes; the clients' methods make the same message."""
    return pricing_pb2.EstimateRequest(
        usage=pricing_pb2.Usage(service=SERVICE, duration=Duration(seconds=SECONDS))
    )


def sync_pairs(address: str, run_s: float, pairs: int) -> list[Pair]:
    """Runs of Client and of the stub over a blocking channel."""
    with grpc.insecure_channel(address) as channel, Client(address) as client:
        rpc = pricing_pb2_grpc.PricingServiceStub(channel).Estimate

        def by_stub() -> object:
            return rpc(request()).estimate.credits

        def by_client() -> object:
            return client.estimate(SERVICE, duration=timedelta(seconds=SECONDS)).credits

        def take_turn(run: Run, call: Callable[[], object]) -> None:
            start = now = time.perf_counter()
            while now - start < TURN_S:
                call()
                run.calls += 1
                now = time.perf_counter()
            run.seconds += now - start

        check(by_client(), by_stub())
        found = [Pair(Run(), Run()) for _ in range(pairs)]
        for pair in found:
            while pair.seconds < 2 * run_s:
                take_turn(pair.stub, by_stub)
                take_turn(pair.client, by_client)
                take_turn(pair.client, by_client)
                take_turn(pair.stub, by_stub)
        return found


async def async_pairs(address: str, run_s: float, pairs: int) -> list[Pair]:
    """Runs of AsyncClient and of the stub over a channel of grpc.aio."""
    async with aio.insecure_channel(address) as channel, AsyncClient(address) as client:
        rpc = pricing_pb2_grpc.PricingServiceStub(channel).Estimate

        async def by_stub() -> object:
            return (await rpc(request())).estimate.credits

        async def by_client() -> object:
            return (await client.estimate(SERVICE, duration=timedelta(seconds=SECONDS))).credits

        async def take_turn(run: Run, call: Callable[[], Awaitable[object]]) -> None:
            start = now = time.perf_counter()
            while now - start < TURN_S:
                await call()
                run.calls += 1
                now = time.perf_counter()
            run.seconds += now - start

        check(await by_client(), await by_stub())
        found = [Pair(Run(), Run()) for _ in range(pairs)]
        for pair in found:
            while pair.seconds < 2 * run_s:
                await take_turn(pair.stub, by_stub)
                await take_turn(pair.client, by_client)
                await take_turn(pair.client, by_client)
                await take_turn(pair.stub, by_stub)
        return found


def check(by_client: object, by_stub: object) -> None:
    """Also the first call of each, which connects."""
    if str(by_client) != str(by_stub):
        sys.exit(f"the client says {by_client} credits and the stub {by_stub}")


def report(name: str, pairs: list[Pair]) -> None:
    """All pairs for people, the middle one for programs."""
    for pair in pairs:
        print(
            f"{name}: {pair.client.rate:.0f} calls/s, stub {pair.stub.rate:.0f}, "
            f"ratio {pair.ratio:.3f}",
            file=sys.stderr,
        )
    middle = sorted(pairs, key=lambda pair: pair.ratio)[len(pairs) // 2]
    row = {
        "name": name,
        "creditd": round(middle.client.rate, 1),
        "yardstick": round(middle.stub.rate, 1),
        "ratio": round(middle.ratio, 4),
        "goal": GOAL,
        "unit": "calls/s",
    }
    print(json.dumps(row), flush=True)


def main() -> None:
    """Reads the command line and measures both clients."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", help="of a running server, such as 127.0.0.1:50051")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run (default: 1)")
    parser.add_argument("--pairs", type=int, default=5, help="of runs (default: 5)")
    options = parser.parse_args()
    if options.seconds <= 0 or options.pairs < 1:
        parser.error("seconds must be more than 0, and pairs at least 1")
    arguments = (options.address, options.seconds, options.pairs)
    report("Estimate, Python client", sync_pairs(*arguments))
    report("Estimate, Python client, asyncio", asyncio.run(async_pairs(*arguments)))


if __name__ == "__main__":
    main()
