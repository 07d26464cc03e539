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

_START_S_MAX = 30
_STOP_S_MAX = 30
_ADDRESS = re.compile(r"listens on (\S+)")


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
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("CREDITD_")
    }
    stderr_path = directory / "stderr.txt"
    with (
        stderr_path.open("wb") as stderr,
        subprocess.Popen(  # noqa: S603 - our own binary
            command, stdout=subprocess.PIPE, stderr=stderr, env=environment, text=True
        ) as process,
    ):
        assert process.stdout is not None
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        drain = threading.Thread(target=_drain, args=(process.stdout, lines), daemon=True)
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


def _drain(stdout: IO[str], lines: "queue.SimpleQueue[str]") -> None:
    for line in stdout:
        lines.put(line)
    lines.put("")


def _address(lines: "queue.SimpleQueue[str]", stderr_path: Path) -> str:
    try:
        first = lines.get(timeout=_START_S_MAX)
    except queue.Empty:
        first = ""
    found = _ADDRESS.search(first)
    if found is None:
        raise RuntimeError(
            f"the server's first line {first!r} does not say where it listens; "
            f"its stderr: {stderr_path.read_text()}"
        )
    return found[1]
