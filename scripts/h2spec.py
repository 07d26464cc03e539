#!/usr/bin/env python3
"""Runs h2spec, the conformance tests of HTTP/2, against the release server, and compares what
fails with tests/data/h2spec.txt, which says why.

Some of its tests race: they expect that the server finds an error before it has answered, and
it answers at once, because h2spec sends no gRPC. So it runs some rounds. What the file has as
"always" must fail in all of them, what it has as "sometimes" may, and nothing else may.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

REPO = Path(__file__).resolve().parent.parent
SERVER = REPO / "target" / "release" / "creditd"
H2SPEC = REPO / ".tools" / "bin" / "h2spec"
FILE = REPO / "tests" / "data" / "h2spec.txt"
ROUNDS = 3
SECONDS_MAX = 300


def known() -> dict[str, str]:
    """Which tests may fail, and how often."""
    tests = {}
    for line in FILE.read_text().splitlines():
        if line and not line.startswith("#"):
            how, test, reason = (part.strip() for part in line.split("|"))
            assert how in ("always", "sometimes") and reason, line
            tests[test] = how
    return tests


def serve(folder: str) -> tuple[subprocess.Popen[bytes], str]:
    """A server on a free port, and its port."""
    log = Path(folder) / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [SERVER, "serve", "--listen", "127.0.0.1:0", "--data", f"{folder}/creditd.db"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    start = time.monotonic()
    while time.monotonic() - start < 20 and server.poll() is None:
        if found := re.search(r"listens on 127\.0\.0\.1:(\d+)", log.read_text()):
            return server, found[1]
        time.sleep(0.05)
    server.kill()
    raise RuntimeError(f"the server did not start: {log.read_text()}")


def one_round(port: str, report: Path) -> tuple[set[str], set[str]]:
    """All tests that ran, and those that failed."""
    subprocess.run(
        [H2SPEC, "--strict", "--port", port, "--junit-report", report],
        stdout=subprocess.DEVNULL,
        timeout=SECONDS_MAX,
        check=False,
    )
    ran, failed = set(), set()
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = f"{case.get('package')} {case.get('classname')}"
        if case.find("skipped") is None:
            ran.add(name)
        if case.find("failure") is not None or case.find("error") is not None:
            failed.add(name)
    return ran, failed


def main() -> int:
    tests = known()
    with tempfile.TemporaryDirectory() as folder:
        server, port = serve(folder)
        try:
            rounds = [one_round(port, Path(folder) / "report.xml") for _ in range(ROUNDS)]
            died = server.poll() is not None
        finally:
            server.terminate()
            server.wait()
    ran = set.union(*(ran for ran, _ in rounds))
    failed = set.union(*(failed for _, failed in rounds))
    wrong = [f"{test}: it fails, and {FILE.name} does not know it" for test in sorted(failed - tests.keys())]
    for test, how in tests.items():
        if how == "always" and not all(test in failed for _, failed in rounds):
            wrong.append(f"{test}: it passes, and {FILE.name} says that it never does")
        if test not in ran:
            wrong.append(f"{test}: h2spec has no such test")
    if died:
        wrong.append("the server ended")
    print("\n".join(wrong), end="\n" if wrong else "")
    print(f"{len(ran) - len(failed)} tests passed, {len(failed & tests.keys())} failed as they are known to")
    print(f"h2spec: {len(ran) - len(wrong)} as known, {len(wrong)} otherwise")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
