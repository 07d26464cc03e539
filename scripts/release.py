#!/usr/bin/env python3
"""Makes a release by scripts/dist.py, twice, and uses each part of it as its users do.

    scripts/release.py [--program FILE]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path

import dist

SECONDS_MAX = 300
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("CREDITD_", "PYTHON", "GO"))}

PYTHON = """
from creditd import Client
with Client("{address}") as client:
    client.grant("python", 2)
    print(client.charge("python", credits=1).available, client.estimate("ai_scripts").credits)
"""

# By OpenTelemetry's API alone.
TRACED = """
from creditd import Client
from opentelemetry import trace
span = trace.NonRecordingSpan(trace.SpanContext({trace_id}, 1, False))
with Client("{address}") as client, trace.use_span(span):
    client.estimate("ai_scripts")
"""

GO = """package main

import (
	"context"
	"fmt"
	"log"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
)

func main() {
	client, err := creditd.New("{address}")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	estimate, err := client.Estimate(context.Background(), creditd.EstimateParams{
		Usage: creditd.Duration("lip_sync_video", 31*time.Second),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(estimate.Credits)
}
"""


def run(command: list[str | Path], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**CLEAN, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}"
    return done.stdout


class Release:
    """What scripts/dist.py made, and a server of its archive."""

    def __init__(self, program: Path, work: Path) -> None:
        self.work = work
        self.program = program.resolve()
        self.version = dist.version()
        self.into, self.again = work / "dist", work / "somewhere" / "else"
        for into in (self.into, self.again):
            dist.dist(program, into)
        self.server: subprocess.Popen[bytes] | None = None
        self.address = ""
        self.log = work / "log"

    def one(self, pattern: str) -> Path:
        found = list(self.into.glob(pattern))
        assert len(found) == 1, f"{pattern}: {found}"
        return found[0]

    def serve(self, program: Path) -> None:
        log = self.log
        with log.open("wb") as out:
            self.server = subprocess.Popen(
                [program, "serve", "--listen", "127.0.0.1:0", "--data", self.work / "creditd.db", "--log-calls"],
                env=CLEAN,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        end = time.monotonic() + SECONDS_MAX
        while not (found := re.search(r"listens on (\S+)", log.read_text())):
            assert self.server.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        self.address = found[1]

    def stop(self) -> None:
        if self.server is not None:
            self.server.send_signal(signal.SIGTERM)
            self.server.wait(timeout=SECONDS_MAX)


def is_summed(release: Release) -> None:
    """SHA256SUMS has every file, and is right."""
    said = run(["sha256sum", "--check", "--strict", "SHA256SUMS"], release.into)
    files = [path for path in release.into.rglob("*") if path.is_file() and path.name != "SHA256SUMS"]
    assert said.count(": OK") == len(files) >= 10, said


def is_reproducible(release: Release) -> None:
    """Made again elsewhere it has the same bytes, the sdist apart."""
    for path in release.into.rglob("*"):
        if path.is_file() and path.name != "SHA256SUMS" and path.parent.name + path.suffix != "python.gz":
            other = release.again / path.relative_to(release.into)
            sums = [hashlib.sha256(file.read_bytes()).hexdigest() for file in (path, other)]
            assert sums[0] == sums[1], f"{path.name} differs"


def is_unpacked(release: Release) -> None:
    """The archive has one folder, with a program that serves and a manual."""
    folder = release.work / "unpacked"
    with tarfile.open(release.one("creditd-*-linux-*.tar.gz")) as tar:
        tar.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    assert f"creditd {release.version}" in run([top / "bin" / "creditd", "version"], folder)
    for name in ("share/man/man1/creditd.1.gz", "lib/systemd/system/creditd.service", "LICENSE", "etc/creditd/creditd.toml"):
        assert (top / name).is_file(), name
    assert "=/usr/local/bin/creditd serve" in (top / "lib/systemd/system/creditd.service").read_text()
    release.serve(top / "bin" / "creditd")
    run([top / "bin" / "creditd", "health", "--addr", release.address], folder)


def has_sources(release: Release) -> None:
    """The source has what a build needs."""
    with tarfile.open(release.one("creditd-*-source.tar.gz")) as tar:
        names = set(tar.getnames())
    for name in ("Cargo.toml", "Cargo.lock", "build.rs", "src/main.rs", "proto/creditd/v1", "LICENSE", "deploy/install.sh"):
        assert f"creditd-{release.version}/{name}" in names, name


def has_an_sbom(release: Release) -> None:
    """It has what is linked in, with license and checksum, and nothing that tests alone need."""
    bom = json.loads(release.one("*.cdx.json").read_text())
    parts = {part["name"]: part for part in bom["components"]}
    section = (dist.REPO / "Cargo.toml").read_text().split("[dependencies]\n")[1].split("\n[")[0]
    wanted = set(re.findall(r"^([\w-]+) =", section, re.MULTILINE))
    assert len(wanted) > 30 and wanted <= parts.keys(), wanted - parts.keys()
    assert not {"proptest", "allocation-counter"} & parts.keys()
    without = [name for name, part in parts.items() if not part.get("licenses") or not part.get("hashes")]
    assert not without, without
    assert [part["name"] for part in parts["libsqlite3-sys"]["components"]] == ["sqlite"]
    assert bom["metadata"]["component"]["version"] == release.version


def serves_python(release: Release) -> None:
    """Wheel and sdist are what PyPI takes, and the wheel works in a clean environment."""
    files = sorted((release.into / "python").iterdir())
    assert len(files) == 2, files
    run([dist.PYTHON, "-m", "twine", "check", "--strict", *files], release.work)
    home = release.work / "venv"
    venv.create(home, with_pip=True)
    run([home / "bin" / "pip", "install", "--quiet", release.one("python/*.whl")], release.work)
    said = run([home / "bin" / "python", "-c", PYTHON.format(address=release.address)], release.work)
    assert said == "1 0.2\n", said
    run([home / "bin" / "pip", "install", "--quiet", f"{release.one('python/*.whl')}[otel]"], release.work)
    trace_id = 0x4BF92F3577B34DA6A3CE929D0E0E4736
    run([home / "bin" / "python", "-c", TRACED.format(address=release.address, trace_id=trace_id)], release.work)
    end = time.monotonic() + SECONDS_MAX
    while f"{trace_id:032x}" not in release.log.read_text():
        assert time.monotonic() < end, release.log.read_text()
        time.sleep(0.05)


def serves_go(release: Release) -> None:
    """A module that has never seen the repository gets the client from a proxy, and calls."""
    consumer = release.work / "consumer"
    consumer.mkdir()
    (consumer / "main.go").write_text(GO.replace("{address}", release.address))
    # Everything else comes from what this machine has, or from where Go gets it usually.
    cache, usual = (run(["go", "env", name], consumer).strip() for name in ("GOMODCACHE", "GOPROXY"))
    environment = {
        "GOPROXY": f"file://{release.into / 'go'},file://{cache}/cache/download,{usual}",
        "GOMODCACHE": str(release.work / "modules"),
        # The sum database knows what is published.
        "GONOSUMDB": dist.GO_MODULE,
        "GOFLAGS": "-modcacherw",
    }
    run(["go", "mod", "init", "example.com/consumer"], consumer, **environment)
    run(["go", "get", f"{dist.GO_MODULE}@v{release.version}"], consumer, **environment)
    run(["go", "mod", "tidy"], consumer, **environment)
    said = run(["go", "run", "."], consumer, **environment)
    assert said == "0.248\n", said


def installs(release: Release) -> None:
    """make install again leaves the configuration, and units name the program where it is."""
    root = release.work / "root"
    command: list[str | Path] = [dist.REPO / "deploy" / "install.sh", release.program, root, "/opt/creditd", "/etc"]
    run(command, release.work)
    configuration = root / "etc/creditd/creditd.toml"
    configuration.write_text("# ours\n")
    run(command, release.work)
    assert configuration.read_text() == "# ours\n"
    unit = (root / "opt/creditd/lib/systemd/system/creditd.service").read_text()
    assert "\nExecStart=/opt/creditd/bin/creditd serve\n" in unit, unit


CHECKS: list[Callable[[Release], None]] = [
    is_summed,
    is_reproducible,
    installs,
    is_unpacked,
    has_sources,
    has_an_sbom,
    serves_python,
    serves_go,
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=dist.REPO / "target" / "release" / "creditd")
    chosen = parser.parse_args()
    passed = failed = 0
    with tempfile.TemporaryDirectory() as work:
        release = Release(chosen.program, Path(work))
        try:
            for check in CHECKS:
                try:
                    check(release)
                    passed += 1
                except AssertionError as error:
                    failed += 1
                    print(f"{check.__doc__}\n{error}", flush=True)
        finally:
            release.stop()
    print(f"{passed} checks of the release passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
