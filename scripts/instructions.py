#!/usr/bin/env python3
"""Counts the server's instructions for one call and compares with benches/instructions.txt.

Wall time says little on a machine that has neighbours; instructions are the same there.
The release program runs under valgrind, once without calls and once with many, one after
another on one connection; the difference is what the calls cost. All of the server's
threads count, and nothing of the system below it.

Fails where a call takes over 5 % more than the file says, or 10 % where its answer comes from
another thread. UPDATE=1 writes the file anew.
"""

from __future__ import annotations

import enum
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc
import trustme
from creditd.v1 import ledger_pb2, ledger_pb2_grpc, pricing_pb2, pricing_pb2_grpc

REPO = Path(__file__).resolve().parent.parent
SERVER = REPO / "target" / "release" / "creditd"
# Of the first one is what is priced without a rate card's name.
CARDS = ["jogg-api-v2.toml", "examples/runway.toml", "examples/anthropic.toml"]
FILE = REPO / "benches" / "instructions.txt"
TOLERANCE = 0.05
# How often a thread sleeps and is woken for an answer of another thread differs between
# machines: the same program took from 64,374 to 69,012 for a GetBalance on four of them.
TOLERANCE_OF_WAITING = 0.10
ROUNDS_MAX = 4
SECONDS_MAX = 240
BATCH_LENGTH = 1_000

HEAD = """\
# Instructions of the server for one call, as valgrind counts them: all threads, the release
# program, one call after another on one connection. A charge by itself pays for a write to
# disk alone; in a batch, and under load, many share one.
#
# make test fails where a call takes over 5 % more, or 10 % where another thread answers it
# (Charge, GetBalance). After a change that is worth it:
# UPDATE=1 .tools/venv/bin/python scripts/instructions.py
"""


class Way(enum.Enum):
    """How calls come."""

    PLAIN = enum.auto()
    # With a key, over plaintext.
    KEY = enum.auto()
    # With a key, over TLS.
    TLS = enum.auto()


@dataclass(frozen=True)
class Case:
    """A kind of call, and how often it is made."""

    name: str
    calls: int
    call: Callable[[grpc.Channel, int], object]
    tolerance: float = TOLERANCE
    way: Way = Way.PLAIN


def usage() -> pricing_pb2.Usage:
    made = pricing_pb2.Usage(service="lip_sync_video")
    made.duration.seconds = 31
    return made


def charge(number: int) -> ledger_pb2.ChargeRequest:
    return ledger_pb2.ChargeRequest(request_id=f"charge-{number:09}", account="team-a", usage=usage())


def estimate(channel: grpc.Channel, _: int) -> object:
    return pricing_pb2_grpc.PricingServiceStub(channel).Estimate(pricing_pb2.EstimateRequest(usage=usage()))


def estimate_table(channel: grpc.Channel, _: int) -> object:
    made = pricing_pb2.Usage(service="video", attributes={"model": "gen4.5"})
    made.duration.seconds = 8
    return estimate_on(channel, "runway", made)


def estimate_five_meters(channel: grpc.Channel, _: int) -> object:
    meters = {
        "input_tokens": "2000",
        "cache_write_5m_tokens": "10000",
        "cache_write_1h_tokens": "300",
        "cache_hit_tokens": "125000",
        "output_tokens": "512",
    }
    attributes = {"model": "opus-5", "region": "us", "tier": "batch"}
    made = pricing_pb2.Usage(service="messages", meters=meters, attributes=attributes)
    return estimate_on(channel, "anthropic", made)


def estimate_on(channel: grpc.Channel, card: str, made: pricing_pb2.Usage) -> object:
    request = pricing_pb2.EstimateRequest(usage=made, prices=pricing_pb2.PriceSelector(rate_card=card))
    return pricing_pb2_grpc.PricingServiceStub(channel).Estimate(request)


def batch_estimate(channel: grpc.Channel, _: int) -> object:
    request = pricing_pb2.BatchEstimateRequest(usages=[usage()] * BATCH_LENGTH)
    reply = pricing_pb2_grpc.PricingServiceStub(channel).BatchEstimate(request)
    assert reply.failed_count == 0
    return reply


def one_charge(channel: grpc.Channel, number: int) -> object:
    return ledger_pb2_grpc.LedgerServiceStub(channel).Charge(charge(number))


def batch_charge(channel: grpc.Channel, number: int) -> object:
    first = number * BATCH_LENGTH
    request = ledger_pb2.BatchChargeRequest(charges=[charge(first + n) for n in range(BATCH_LENGTH)])
    reply = ledger_pb2_grpc.LedgerServiceStub(channel).BatchCharge(request)
    assert reply.failed_count == 0
    return reply


def balance(channel: grpc.Channel, _: int) -> object:
    request = ledger_pb2.GetBalanceRequest(account="team-a")
    return ledger_pb2_grpc.LedgerServiceStub(channel).GetBalance(request)


CASES = [
    Case("Estimate", 3_000, estimate),
    Case("Estimate, table by attribute", 3_000, estimate_table),
    Case("Estimate, five meters", 3_000, estimate_five_meters),
    Case("BatchEstimate of 1,000", 40, batch_estimate),
    Case("Charge", 1_000, one_charge, TOLERANCE_OF_WAITING),
    Case("BatchCharge of 1,000", 20, batch_charge),
    Case("GetBalance", 2_000, balance, TOLERANCE_OF_WAITING),
    Case("Estimate, with a key", 3_000, estimate, way=Way.KEY),
    Case("Charge, with a key", 1_000, one_charge, TOLERANCE_OF_WAITING, Way.KEY),
    Case("Estimate, with a key over TLS", 3_000, estimate, way=Way.TLS),
]
# Nothing but the start, the grant, and the end.
NOTHING = [Case(way.name, 0, estimate, way=way) for way in Way]
KEY = "a-key-of-this-measurement-alone"


class WithKey(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    """Sends the key with each call."""

    def intercept_unary_unary(self, continuation, details, request):  # type: ignore[no-untyped-def]
        return continuation(details._replace(metadata=[("authorization", f"Bearer {KEY}")]), request)


def count(case: Case) -> int:
    """Instructions of a server that lives for these calls."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "valgrind"
        env = {k: v for k, v in os.environ.items() if not k.startswith("CREDITD_")}
        arguments: list[str] = []
        ca = trustme.CA()
        if case.way is not Way.PLAIN:
            env["CREDITD_ADMIN_KEY"] = KEY
        if case.way is Way.TLS:
            pair = ca.issue_cert("127.0.0.1")
            pair.cert_chain_pems[0].write_to_path(f"{folder}/cert.pem")
            pair.private_key_pem.write_to_path(f"{folder}/key.pem")
            arguments = ["--tls-cert", "cert.pem", "--tls-key", "key.pem"]
        server = subprocess.Popen(
            ["valgrind", "--tool=cachegrind", "--cache-sim=no"]
            + ["--cachegrind-out-file=/dev/null", f"--log-file={log}"]
            + [str(SERVER), "serve", "--threads", "1", "--listen", "127.0.0.1:0", "--data", "creditd.db"]
            + [arg for card in CARDS for arg in ("--rate-card-file", str(REPO / "rate-cards" / card))]
            + arguments,
            cwd=folder,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stderr is not None
            lines = (re.search(r"listens on (\S+)", line) for line in server.stderr)
            found = next(filter(None, lines), None)
            if not found:
                raise SystemExit(f"the server did not start under valgrind: {log.read_text()}")
            # Probes of the bandwidth come when they like, and cost. Replies are not to be
            # compressed: that costs more than all else about a batch.
            options = [("grpc.http2.bdp_probe", 0), ("grpc.compression_enabled_algorithms_bitset", 1)]
            with ExitStack() as stack:
                address = found.group(1)
                if case.way is Way.TLS:
                    trusted = grpc.ssl_channel_credentials(ca.cert_pem.bytes())
                    channel = stack.enter_context(grpc.secure_channel(address, trusted, options))
                else:
                    channel = stack.enter_context(grpc.insecure_channel(address, options))
                if case.way is not Way.PLAIN:
                    channel = grpc.intercept_channel(channel, WithKey())
                ledger = ledger_pb2_grpc.LedgerServiceStub(channel)
                ledger.Grant(ledger_pb2.GrantRequest(request_id="g", account="team-a", credits="1000000"))
                for number in range(case.calls):
                    case.call(channel, number)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=SECONDS_MAX)
        total = re.search(r"I\s+refs:\s+([\d,]+)", log.read_text())
        if not total:
            raise SystemExit(f"valgrind counted nothing: {log.read_text()}")
        return int(total.group(1).replace(",", ""))


def read() -> dict[str, int]:
    """What the file says."""
    if not FILE.exists():
        return {}
    rows = [line.split("|") for line in FILE.read_text().splitlines() if "|" in line]
    return {name.strip(): int(number.replace(",", "")) for name, number in rows}


def count_all(cases: list[Case]) -> dict[str, int]:
    """Instructions of one call of each kind."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        counted = list(pool.map(count, [*NOTHING, *cases]))
    nothing = dict(zip(Way, counted, strict=False))
    totals = zip(cases, counted[len(Way) :], strict=True)
    return {case.name: (total - nothing[case.way]) // case.calls for case, total in totals}


def main() -> int:
    start = time.monotonic()
    known = read()
    update = bool(os.environ.get("UPDATE"))
    counted = count_all(CASES)
    # How often a thread polls what waits for another thread depends on time. So a call that took
    # too many is counted again, and the least counts.
    for _ in range(ROUNDS_MAX - 1):
        again = [case for case in CASES if update or counted[case.name] > known.get(case.name, 0) * (1 + case.tolerance)]
        if not again:
            break
        for name, number in count_all(again).items():
            counted[name] = min(counted[name], number)
    if update:
        width = max(map(len, counted))
        rows = [f"{name:{width}} | {number:>11,}\n" for name, number in counted.items()]
        FILE.write_text(HEAD + "\n" + "".join(rows))
    known = read()
    failed = 0
    for case in CASES:
        name, number = case.name, counted[case.name]
        allowed = known.get(name, 0)
        change = number / allowed - 1 if allowed else 1.0
        verdict = "ok"
        if change > case.tolerance:
            verdict = f"FAILED: over {case.tolerance:.0%} more; if it is worth it, write the file anew by UPDATE=1"
            failed += 1
        elif change < -case.tolerance:
            verdict = f"ok, and over {case.tolerance:.0%} less: write the file anew by UPDATE=1"
        print(f"{name:28} {number:>12,} of {allowed:>12,}  {change:+7.1%}  {verdict}")
    print(f"{len(counted) - failed} counts passed, {failed} failed, {time.monotonic() - start:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
