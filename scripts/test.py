#!/usr/bin/env python3
"""Runs everything that must pass, step by step, and counts.

It says which step runs, shows what the step prints, goes on after a step that
failed, and ends with one line that counts what passed and failed. Steps can be
chosen by name: scripts/test.py rust go. What takes long runs only when it is
named: scripts/test.py setup long

A few steps run beside those that follow them, at the lowest priority, until a step
needs them: what downloads or compiles on one core beside tests that wait.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
VENV = REPO / ".tools" / "venv" / "bin"
TOOLS = REPO / ".tools" / "bin"

# What tests are told by the environment; everything else of that name would be for a server.
FOR_TESTS = {"CREDITD_BYTES", "CREDITD_KILLS", "CREDITD_MODEL_OPERATIONS", "CREDITD_MODEL_SEED", "CREDITD_SEED"}

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("CREDITD_") or name in FOR_TESTS},
    "PATH": f"{VENV}:{TOOLS}:{os.environ['PATH']}",
    "CARGO_TERM_COLOR": "never",
    "CREDITD_BIN": str(REPO / "target" / "debug" / "creditd"),
    "GOFLAGS": "-mod=readonly",
}


@dataclass(frozen=True)
class Step:
    """One thing that must pass."""

    group: str
    title: str
    command: str
    folder: str = "."
    # Finds how many tests passed and failed; without it the step itself counts one.
    passed: str = ""
    failed: str = ""
    # Set for this step alone.
    environment: tuple[tuple[str, str], ...] = ()
    # Steps of these groups that follow do not wait for its end.
    beside: tuple[str, ...] = ()


RUST_COUNTS = {"passed": r"^test result: .*? (\d+) passed", "failed": r"^test result: .*? (\d+) failed"}

# Tests and subtests are counted; only what failed is shown whole.
GO_TEST = (
    'log=$(mktemp); go test -count=1 -v ./... >"$log" 2>&1; status=$?; '
    "grep -v -e '^=== ' -e '^ *--- PASS' -e '^{' \"$log\"; "
    'echo "$(grep -c -e "--- PASS" "$log") passed, $(grep -c -e "--- FAIL" "$log") failed"; '
    'rm "$log"; exit $status'
)
GO_COUNTS = {"passed": r"^(\d+) passed", "failed": r"passed, (\d+) failed"}

STEPS = [
    Step("setup", "install what the tests need", "scripts/setup.sh", beside=("build", "check")),
    Step("build", "Rust tests are built", "cargo test --quiet --no-run"),
    Step("check", "Rust is formatted", "cargo fmt --check && cargo fmt --check --manifest-path fuzz/Cargo.toml"),
    Step("check", "clippy has no complaint", "cargo clippy --quiet --workspace --all-targets -- -D warnings"),
    Step("check", "nor of a build without traces", "cargo clippy --quiet --no-default-features -- -D warnings"),
    Step("schema", "buf lint", "buf lint"),
    Step("schema", "buf breaking, against what was released", "buf breaking --against proto/released.binpb"),
    Step("rust", "Rust tests", "cargo test --quiet --no-fail-fast", **RUST_COUNTS),
    # The server for the clients' tests is that of the Rust tests.
    Step(
        "release",
        "a release build",
        "cargo build --quiet --release",
        beside=("clients", "python", "go", "languages", "site", "install", "operations"),
    ),
    Step("clients", "generated code is what the schema generates", "scripts/check-generated.sh"),
    Step("python", "ruff", "ruff check . && ruff format --check .", "clients/python"),
    Step("python", "mypy", "mypy", "clients/python"),
    Step(
        "python",
        "Python client",
        "pytest -q",
        "clients/python",
        passed=r"(\d+) passed",
        failed=r"(\d+) (?:failed|error)",
    ),
    Step(
        "python",
        "Python client with the newest grpcio",
        # The scenarios are about the server, and passed above.
        "../../.tools/venv-newest/bin/pytest -q --ignore tests/test_scenarios.py --ignore tests/test_scenario_format.py",
        "clients/python",
        passed=r"(\d+) passed",
        failed=r"(\d+) (?:failed|error)",
    ),
    Step("go", "gofmt", 'test -z "$(gofmt -l . | tee /dev/stderr)"', "clients/go"),
    Step("go", "go vet", "go vet ./... && go vet -tags long ./...", "clients/go"),
    Step("go", "staticcheck", "staticcheck ./...", "clients/go"),
    Step("go", "Go client", GO_TEST, "clients/go", **GO_COUNTS),
    Step(
        "go",
        "Go client under interceptors and OpenTelemetry",
        f"go vet ./... && staticcheck ./... && {{ {GO_TEST}; }}",
        "clients/go/instrumented",
        **GO_COUNTS,
    ),
    Step(
        "languages",
        "docs/other-languages.md shows what really happens",
        "python scripts/languages.py",
        passed=r"^(\d+) programs passed",
        failed=r"programs passed, (\d+) failed",
    ),
    Step("site", "docs/ is a site, and every link leads somewhere", "scripts/site.sh"),
    Step("install", "systemd-analyze, which reads units", "scripts/debian.sh install systemd-analyze=systemd"),
    Step("install", "units of systemd have no fault, and are confined", "scripts/units.sh"),
    Step(
        "install",
        "manifests of Kubernetes are what it takes",
        ".tools/venv-build/bin/python scripts/kubernetes.py",
        passed=r"^(\d+) checks of manifests passed",
        failed=r"checks of manifests passed, (\d+) failed",
    ),
    Step(
        "operations",
        "restore drills, and new certificates, as docs/operations.md says",
        "python scripts/operations.py",
        passed=r"^(\d+) checks of operations passed",
        failed=r"checks of operations passed, (\d+) failed",
    ),
    Step("instructions", "valgrind, which counts them", "scripts/valgrind.sh"),
    Step(
        "instructions",
        "no call takes more instructions than it did",
        "python scripts/instructions.py",
        passed=r"^(\d+) counts passed",
        failed=r"counts passed, (\d+) failed",
    ),
    Step("observe", "prometheus and promtool", "scripts/prometheus.sh"),
    Step(
        "observe",
        "dashboard, alerts and their pages are about what a server under load shows",
        "python scripts/observe.py",
        passed=r"^(\d+) checks passed",
        failed=r"checks passed, (\d+) failed",
    ),
    Step("readme", "README.md shows what really happens", "python scripts/readme.py", passed=r"^(\d+) blocks passed"),
]

# The same promises for longer: before a release, or after a change of what they are about.
LONG_STEPS = [
    Step(
        "long",
        "1,000 kills under load, 1,000,000 random operations over every store, every byte of a data file",
        "cargo test --release --no-fail-fast --test it -- kills ledger::random chain::bytes",
        **RUST_COUNTS,
        environment=(("CREDITD_KILLS", "1000"), ("CREDITD_MODEL_OPERATIONS", "1000000"), ("CREDITD_BYTES", "1")),
    ),
    Step("long", "a release build", "cargo build --quiet --release"),
    Step("long", "h2spec", "scripts/h2spec.sh"),
    Step(
        "long",
        "HTTP/2 by its specification",
        "python scripts/h2spec.py",
        passed=r"^h2spec: (\d+) as known",
        failed=r"as known, (\d+) otherwise",
    ),
    Step(
        "long",
        "what the package's test needs",
        "scripts/debian.sh deb debootstrap lintian dpkg-shlibdeps=dpkg-dev nsenter=util-linux",
    ),
    Step(
        "long",
        "the Debian package on a fresh Debian with systemd, upgraded from that of the commit before",
        "python scripts/deb.py --previous-commit HEAD~1",
        passed=r"^(\d+) checks of the package passed",
        failed=r"checks of the package passed, (\d+) failed",
    ),
    Step("long", "the server for the clients' tests", "cargo build --quiet"),
    Step(
        "long",
        "a release, and what its users do with it",
        "python scripts/release.py",
        passed=r"^(\d+) checks of the release passed",
        failed=r"checks of the release passed, (\d+) failed",
    ),
    Step(
        "long",
        "a container's command, by the manifest",
        ".tools/venv-build/bin/python scripts/kubernetes.py --run",
        passed=r"^(\d+) checks of manifests passed",
        failed=r"checks of manifests passed, (\d+) failed",
    ),
    Step("long", "haproxy and nginx", "scripts/debian.sh proxies haproxy nginx=nginx-light"),
    Step(
        "long",
        "calls by TLS through the proxies of docs/operations.md",
        "python scripts/proxies.py",
        passed=r"^(\d+) checks of proxies passed",
        failed=r"checks of proxies passed, (\d+) failed",
    ),
    Step(
        "long",
        "Python: silent connections in real time",
        "pytest -q -m long",
        "clients/python",
        passed=r"(\d+) passed",
        failed=r"(\d+) (?:failed|error)",
    ),
    Step(
        "long",
        "Go: silent connections in real time",
        "go test -count=1 -tags long -run Silent -timeout 20m .",
        "clients/go",
    ),
]


class Running:
    """A step that has begun."""

    def __init__(self, number: str, step: Step) -> None:
        self.step = step
        self.title = f"[{number}] {step.group}: {step.title}"
        self.is_beside = bool(step.beside)
        # A pipe that nobody reads would stop it.
        self.kept = tempfile.TemporaryFile("w+", errors="replace") if self.is_beside else None  # noqa: SIM115
        self.begin = time.monotonic()
        self.process = subprocess.Popen(
            [*(["nice", "-n", "19"] if self.is_beside else []), "bash", "-c", step.command],
            cwd=REPO / step.folder,
            env={**ENVIRONMENT, **dict(step.environment)},
            stdin=subprocess.DEVNULL,
            stdout=self.kept or subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        print(self.title + (", beside the next ones" if self.is_beside else ""), flush=True)

    def finish(self) -> tuple[int, int]:
        """Waits for its end; how many tests passed and failed."""
        if self.kept:
            print(f"{self.title}, to its end", flush=True)
            self.process.wait()
            self.kept.seek(0)
        lines = []
        for line in self.kept or self.process.stdout or []:
            lines.append(line)
            print(f"    {line}", end="", flush=True)
        good = self.process.wait() == 0
        passed, failed = self.counts(good, "".join(lines))
        print(f"    {'FAILED' if failed else 'ok'}, {time.monotonic() - self.begin:.0f} s", flush=True)
        return passed, failed

    def counts(self, good: bool, output: str) -> tuple[int, int]:
        def count(pattern: str) -> int:
            return sum(int(found) for found in re.findall(pattern, output, re.MULTILINE)) if pattern else 0

        passed, failed = count(self.step.passed), count(self.step.failed)
        if not self.step.passed:
            passed = int(good)
        if good and passed == 0:
            print("    no test ran")
            return 0, 1
        # A step that failed without saying of which test counts one.
        return passed, failed or int(not good)


def main(groups: list[str]) -> int:
    known = list(dict.fromkeys(step.group for step in STEPS + LONG_STEPS))
    for group in groups:
        if group not in known:
            print(f"no steps {group!r}; there are: {', '.join(known)}", file=sys.stderr)
            return 2
    chosen = [step for step in STEPS + LONG_STEPS if step.group in groups] if groups else STEPS
    total_passed = total_failed = 0
    broken = []
    beside: list[Running] = []

    def finish(running: Running) -> None:
        nonlocal total_passed, total_failed
        passed, failed = running.finish()
        total_passed += passed
        total_failed += failed
        if failed:
            broken.append(running.step.title)

    begin = time.monotonic()
    for number, step in enumerate(chosen, 1):
        for running in [running for running in beside if step.group not in running.step.beside]:
            beside.remove(running)
            finish(running)
        if STEPS[0].title in broken:
            break
        running = Running(f"{number}/{len(chosen)}", step)
        beside.append(running) if running.is_beside else finish(running)
    for running in beside:
        finish(running)
    for title in broken:
        print(f"failed: {title}")
    print(f"{total_passed} passed, {total_failed} failed, in {time.monotonic() - begin:.0f} s")
    return 1 if total_failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
