#!/usr/bin/env python3
"""Runs every snippet of README.md and compares what it prints with the page.

Blocks run in their order, against one server that a block of them starts, on a
free port and with a data file of its own, on a terminal. `console` blocks hold commands
after "$ " and what they print; a `python` or `go` block is followed by a `text` block
with its output. Times, the port and the folder are not compared, nor is how
JSON is spaced.
"""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
SERVER = REPO / "target" / "release" / "creditd"
ADDRESS = "127.0.0.1:50051"
SECONDS_MAX = 120
# What is no snippet: it makes what the others run, or runs all of them.
NOT_TRIED = {"cargo build --release", "make test"}


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and content of each fenced block."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(block: str) -> list[tuple[str, str]]:
    """Each command of a console block, and what it prints."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    found = []
    for part in parts:
        lines = part.splitlines()
        end = 1
        # A command goes on after a backslash, and until its quotes are closed.
        while lines[end - 1].endswith("\\") or "\n".join(lines[:end]).count("'") % 2:
            end += 1
        found.append(("\n".join(lines[:end]), "\n".join(lines[end:])))
    return found


class Page:
    """The page while it is being tried."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"127.0.0.1:{free_port()}"
        self.server: subprocess.Popen[str] | None = None
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("CREDITD_")},
            "CREDITD_LISTEN": self.address,
            "CREDITD_ADDR": self.address,
        }

    def same(self, text: str) -> str:
        """A text without what may differ between two runs."""
        text = text.replace(self.address, ADDRESS).replace(str(self.folder), "/home/you/creditd")
        text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
        # The head of a data file has times in it.
        text = re.sub(r"(-[0-9a-z]{4}){8}\b", "-HEAD", text)
        return "\n".join(re.sub(r"\s+", " ", line).strip() for line in text.strip().splitlines())

    def run(self, command: list[str], folder: Path, without: str = "") -> str:
        done = subprocess.run(
            command,
            cwd=folder,
            env={name: value for name, value in self.environment.items() if name != without},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        return done.stdout

    def serve(self, lines: int) -> str:
        """Starts the server on a terminal; its first lines there."""
        terminal, its_end = pty.openpty()
        with (self.folder / "log").open("w") as log:
            self.server = subprocess.Popen(
                [SERVER, "serve"],
                cwd=self.folder,
                env=self.environment,
                stdout=its_end,
                stderr=log,
            )
        os.close(its_end)
        self.terminal = os.fdopen(terminal)
        return "".join(self.terminal.readline() for _ in range(lines))

    def console(self, command: str, expected: str) -> str:
        if command == "target/release/creditd serve":
            return self.serve(len(expected.splitlines()))
        # The page's server is the default one's address; prices are asked for where it says so.
        without = "CREDITD_ADDR" if re.search(r"creditd (estimate|rates)\b", command) else ""
        command = command.replace(ADDRESS, self.address).replace("target/release/creditd", str(SERVER))
        return self.run(["bash", "-c", command], self.folder, without)

    def python(self, code: str) -> str:
        return self.run([sys.executable, "-c", code.replace(ADDRESS, self.address)], self.folder)

    def go(self, code: str) -> str:
        # Inside the client's module, in a folder that no pattern matches.
        folder = REPO / "clients" / "go" / "_readme"
        folder.mkdir(exist_ok=True)
        try:
            (folder / "main.go").write_text(code.replace(ADDRESS, self.address))
            return self.run(["go", "run", "./_readme/main.go"], folder.parent)
        finally:
            shutil.rmtree(folder)

    def stop(self) -> None:
        if self.server is not None:
            self.server.send_signal(signal.SIGTERM)
            self.server.wait(timeout=SECONDS_MAX)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    if not SERVER.exists():
        print(f"no {SERVER.relative_to(REPO)}: run cargo build --release", file=sys.stderr)
        return 1
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        page = Page(Path(folder).resolve())
        try:
            found = blocks((REPO / "README.md").read_text())
            for at, (language, content) in enumerate(found):
                if language == "console":
                    tried = [(c, e, page.console(c, e)) for c, e in commands(content)]
                elif language in ("python", "go"):
                    follower, expected = found[at + 1]
                    assert follower == "text", f"a {language} block without its output"
                    run = page.python if language == "python" else page.go
                    tried = [(f"the {language} block", expected, run(content))]
                elif language == "text":
                    continue
                else:
                    assert content.strip() in NOT_TRIED, f"a {language} block that is not tried"
                    continue
                wrong = [(c, e, a) for c, e, a in tried if page.same(e) != page.same(a)]
                for command, expected, actual in wrong:
                    print(f"README.md: {command}\n--- the page\n{expected}\n--- in fact\n{actual}")
                passed += not wrong
                failed += bool(wrong)
        finally:
            page.stop()
    print(f"{passed} blocks passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
