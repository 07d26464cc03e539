"""Runs the real server: the binary that `cargo build` made, on a port of its own."""

import os
import queue
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).resolve().parents[4]

# Of the servers that ask for a key; `${admin_key}` of the scenarios.
ADMIN_KEY = "admin-key-of-the-tests-0123456789"

_START_S_MAX = 30
_STOP_S_MAX = 30
# The line may be of JSON.
_ADDRESS = re.compile(r'listens on ([^\s"]+)')


def server_binary() -> Path:
    """$CREDITD_BIN, otherwise what cargo built here."""
    given = os.environ.get("CREDITD_BIN")
    candidates = (
        [Path(given)]
        if given
        else [REPOSITORY / "target" / profile / "creditd" for profile in ("debug", "release")]
    )
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    looked_at = " and ".join(str(candidate) for candidate in candidates)
    raise RuntimeError(
        f"these tests need the server and there is none at {looked_at}; "
        "run `cargo build` at the top of the repository first"
    )


@contextmanager
def running_server(directory: Path, listen: str = "127.0.0.1:0", *options: str) -> Iterator[str]:
    """A server with an empty ledger in `directory`; gives its address, ends it afterwards."""
    command = [str(server_binary()), "serve", "--listen", listen]
    command += ["--data", str(directory / "creditd.db"), *options]
    for card in ("rate-cards/jogg-api-v2.toml", "tests/data/cards/models.toml"):
        command += ["--rate-card-file", str(REPOSITORY / card)]
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("CREDITD_")
    }
    stderr_path = directory / "stderr.txt"
    with (
        stderr_path.open("w") as stderr,
        subprocess.Popen(  # noqa: S603 - our own binary
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, text=True
        ) as process,
    ):
        assert process.stderr is not None
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        drain = threading.Thread(target=_drain, args=(process.stderr, stderr, lines), daemon=True)
        drain.start()
        try:
            yield _address(lines, stderr_path)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            drain.join(_STOP_S_MAX)


def _drain(printed: IO[str], log: IO[str], lines: "queue.SimpleQueue[str]") -> None:
    for line in printed:
        log.write(line)
        log.flush()
        lines.put(line)
    lines.put("")


def _address(lines: "queue.SimpleQueue[str]", stderr_path: Path) -> str:
    # Lines of its log may come before.
    while True:
        try:
            line = lines.get(timeout=_START_S_MAX)
        except queue.Empty:
            line = ""
        match = _ADDRESS.search(line)
        if match is not None:
            return match[1]
        if not line:
            raise RuntimeError(
                f"the server does not say where it listens; its stderr: {stderr_path.read_text()}"
            )


@contextmanager
def running_server_with_keys(directory: Path, *options: str) -> Iterator[str]:
    """The same, of a server that asks for a key and knows ADMIN_KEY."""
    keys = directory / "admin-keys"
    keys.write_text(f"{ADMIN_KEY}\n")
    with running_server(
        directory, "127.0.0.1:0", "--admin-key-file", str(keys), *options
    ) as address:
        yield address
