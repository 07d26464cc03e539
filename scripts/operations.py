#!/usr/bin/env python3
"""Does what docs/operations.md says to do with a running server: drills, and new certificates."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

import trustme
from polling import SECONDS_MAX, until

REPO = Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("CREDITD_BIN", str(REPO / "target" / "debug" / "creditd"))
DRILL = REPO / "deploy" / "restore-drill.sh"
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("CREDITD_")}


class Server:
    """A creditd with TLS, and a ledger with an account."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.ca.cert_pem.write_to_path(str(folder / "ca.pem"))
        self.certificate()
        self.key = folder / "admin.key"
        self.key.write_text("k" * 32)
        self.data = folder / "creditd.db"
        options = ["--listen", "127.0.0.1:0", "--data", self.data, "--admin-key-file", self.key]
        files = ["--tls-cert", folder / "fullchain.pem", "--tls-key", folder / "privkey.pem"]
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "serve", *options, *files],
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until("listening", lambda: "listens on" in self.log.read_text() or self.process.poll() is not None)
        found = re.search(r"listens on 127\.0\.0\.1:(\d+)", self.log.read_text())
        assert found, self.log.read_text()
        self.port = int(found[1])
        self.creditd("grant", "team-a", "10")

    def certificate(self) -> None:
        """As a tool that renews certificates does it: a file takes the place of the old one."""
        issued = self.ca.issue_cert("localhost")
        for name, content in (
            ("fullchain.pem", b"".join(part.bytes() for part in issued.cert_chain_pems)),
            ("privkey.pem", issued.private_key_pem.bytes()),
        ):
            new = self.folder / f"{name}.new"
            new.write_bytes(content)
            new.rename(self.folder / name)

    def shown(self) -> bytes:
        """The certificate that a new connection gets."""
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        context.set_alpn_protocols(["h2"])
        with (
            socket.create_connection(("127.0.0.1", self.port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            return secure.getpeercert(binary_form=True) or b""

    def creditd(self, *words: str) -> str:
        options = [
            "--addr",
            f"https://localhost:{self.port}",
            "--tls-ca",
            self.folder / "ca.pem",
            "--key-file",
            self.key,
        ]
        done = subprocess.run([PROGRAM, *words, *options], env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def drill(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [DRILL, *words],
            env={**ENVIRONMENT, "CREDITD": PROGRAM, "CREDITD_DATA": "/nowhere"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )


def drills(server: Server) -> None:
    """Two drills in a row, with the ledger in use; the second goes on from the first one's head."""
    head = server.folder / "head"
    for number in range(2):
        server.creditd("charge", "team-a", "--credits", "1")
        done = server.drill("--data", server.data, "--head", head)
        assert done.returncode == 0, done.stdout
        assert "proved again" in done.stdout, done.stdout
        assert head.read_text().startswith(f"{number + 2}-"), head.read_text()
    print(done.stdout, end="")
    assert "restore-drill" not in server.creditd("accounts")


def is_no_backup(server: Server) -> None:
    """The copy of a drill is deleted, so the last backup stays what it was, and none stays none."""
    noted = server.folder / "creditd.db-backup"
    assert server.drill("--data", server.data).returncode == 0
    assert not noted.exists()
    done = subprocess.run(
        [PROGRAM, "backup", server.folder / "last.db", "--data", server.data], env=ENVIRONMENT, check=False
    )
    assert done.returncode == 0
    before = noted.read_bytes(), noted.stat().st_mode
    assert server.drill("--data", server.data).returncode == 0
    assert (noted.read_bytes(), noted.stat().st_mode) == before


def needs_a_place_for_its_head(server: Server) -> None:
    """Where a head could not be written, the drill says so before it does anything."""
    done = server.drill("--data", server.data, "--head", server.folder / "none" / "head")
    assert done.returncode == 1 and "make the directory" in done.stdout, done.stdout
    assert "restored" not in done.stdout, done.stdout


def pages_have_heads(server: Server) -> None:
    """Heads that pages show are such as can be typed, and are those of other ledgers."""
    pages = [REPO / "README.md", *(REPO / "docs").glob("*.md")]
    heads = {head for page in pages for head in re.findall(r"\b\d+(?:-[0-9a-z]{4}){8}\b", page.read_text())}
    assert heads
    for head in heads:
        done = subprocess.run(
            [PROGRAM, "audit", "--data", server.data, "--since", head],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1, f"{head}: {done.stderr}"


def fails_of_damage(server: Server) -> None:
    """A drill fails where the copy is damaged, and where it is older than what is known."""
    copy, head = server.folder / "copy.db", server.folder / "head"
    done = subprocess.run(
        [PROGRAM, "backup", copy, "--data", server.data], env=ENVIRONMENT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert server.drill("--copy", copy).returncode == 0
    old = server.folder / "old.db"
    shutil.copy(copy, old)
    server.creditd("charge", "team-a", "--credits", "1")
    assert server.drill("--data", server.data, "--head", head).returncode == 0
    done = server.drill("--copy", old, "--head", head)
    assert done.returncode == 1 and "FAILED: it does not go on" in done.stdout, done.stdout
    with sqlite3.connect(copy) as file:
        assert file.execute("UPDATE entries SET available = available + 1 WHERE position = 2").rowcount == 1
    done = server.drill("--copy", copy)
    assert done.returncode == 1 and "FAILED" in done.stdout, done.stdout


def follows(server: Server) -> None:
    """A drill of a continuous copy."""
    folder = server.folder / "follow"
    folder.mkdir()
    follower = subprocess.Popen([PROGRAM, "backup", "--follow", folder, "--data", server.data], env=ENVIRONMENT)
    try:
        until("a drill of it succeeds", lambda: server.drill("--follow", folder).returncode == 0)
    finally:
        follower.terminate()
        follower.wait()


def renews(server: Server) -> None:
    """A new certificate is shown after SIGHUP, and connections that are there go on."""
    before = server.shown()
    watch = subprocess.Popen(
        [PROGRAM, "watch", "team-a", "--addr", f"https://localhost:{server.port}"]
        + ["--tls-ca", str(server.folder / "ca.pem"), "--key-file", str(server.key), "--json"],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watch.stdout is not None
    watch.stdout.readline()
    server.certificate()
    server.process.send_signal(signal.SIGHUP)
    until("showing the new certificate", lambda: server.shown() != before)
    server.creditd("charge", "team-a", "--credits", "1")
    assert watch.stdout.readline(), "the watch ended"
    watch.kill()
    watch.wait()


def main() -> int:
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        try:
            for check in (
                drills,
                is_no_backup,
                needs_a_place_for_its_head,
                pages_have_heads,
                fails_of_damage,
                follows,
                renews,
            ):
                try:
                    check(server)
                    passed += 1
                except AssertionError as error:
                    failed += 1
                    print(f"{check.__doc__}\n{error!r}")
        finally:
            server.process.terminate()
            server.process.wait()
    print(f"{passed} checks of operations passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
