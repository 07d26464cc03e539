"""Runs a server to be observed, and does to it what no call can: signals, files, a disk that fails."""

from __future__ import annotations

import datetime
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from observing.load import CALLS_MAX

REPO = Path(__file__).resolve().parents[2]
START_S_MAX = 30
STOP_S_MAX = 30
WAIT_S_MAX = 10
# So few that some are read from the file.
ACCOUNTS_IN_MEMORY_MAX = 8
SHIM = REPO / "tests" / "shim" / "failing_disk.c"
FULL_DISK = "write ENOSPC creditd.db-wal"
SLOW_DISK = "sync 300000us creditd.db-wal"
ADMIN_KEY = "admin-key-of-the-observer-0123456789"


def wait(what: str, condition: Callable[[], bool], seconds_max: float = WAIT_S_MAX) -> None:
    """Waits until it is so."""
    end = time.monotonic() + seconds_max
    while not condition():
        assert time.monotonic() < end, f"not within {seconds_max} s: {what}"
        time.sleep(0.05)


class Server:
    """A server with TLS, keys, a rate card from a file, and /metrics."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.program = program
        self.folder = folder
        self.data = folder / "creditd.db"
        self.card = folder / "card.toml"
        self.certificate = folder / "server.pem"
        self.private_key = folder / "server.key"
        self.authority = folder / "authority.pem"
        self.log = folder / "log.txt"
        self._issuer = trustme.CA()
        self._issuer.cert_pem.write_to_path(self.authority)
        self.issue(days=1)
        self.card.write_text((REPO / "rate-cards" / "jogg-api-v2.toml").read_text())
        keys = folder / "admin.key"
        keys.write_text(f"{ADMIN_KEY}\n")
        keys.chmod(0o600)
        self._fault = folder / "fault"
        self._set_fault("")
        shim = folder / "failing_disk.so"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", shim, SHIM, "-ldl"], check=True, timeout=60)
        command: list[str | Path] = [program, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
        command += ["--data", self.data, "--rate-card-file", self.card, "--admin-key-file", keys]
        command += ["--tls-cert", self.certificate, "--tls-key", self.private_key]
        command += ["--accounts-in-memory-max", str(ACCOUNTS_IN_MEMORY_MAX)]
        command += ["--calls-max", str(CALLS_MAX)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CREDITD_")}
        environment |= {"LD_PRELOAD": str(shim), "FAILING_DISK": str(self._fault)}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            self.address = self._said(r"listens on (\S+)")
            self.admin = self._said(r"http://(\S+)/metrics")
        except BaseException:
            self.stop()
            raise

    def _said(self, pattern: str) -> str:
        found: list[str] = []

        def said() -> bool:
            assert self.process.poll() is None, f"the server ended: {self.log.read_text()}"
            found[:] = re.findall(pattern, self.log.read_text())
            return bool(found)

        wait(f"{pattern} in {self.log}", said, START_S_MAX)
        return found[0]

    def issue(self, days: int) -> None:
        """A certificate for so many days; the files are replaced."""
        expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
        issued = self._issuer.issue_cert("127.0.0.1", not_after=expires)
        issued.private_key_pem.write_to_path(self.private_key)
        self.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def damage_card(self) -> None:
        """Makes the rate card wrong."""
        self.card.write_text(self.card.read_text().replace("format = ", "formats = "))

    def mend_card(self) -> None:
        self.card.write_text(self.card.read_text().replace("formats = ", "format = "))

    @contextmanager
    def disk(self, fault: str) -> Iterator[None]:
        """The disk fails, or is slow, meanwhile."""
        self._set_fault(fault)
        yield
        self._set_fault("")

    def _set_fault(self, fault: str) -> None:
        # Replaced whole: the shim reads the file at each call.
        written = self._fault.with_suffix(".new")
        written.write_text(fault)
        written.rename(self._fault)

    def command(self, *arguments: str | Path) -> str:
        """What another creditd prints."""
        done = subprocess.run(
            [self.program, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_S_MAX)
            raise
