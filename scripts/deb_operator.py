"""What an operator types on a machine with the package, and reads in the pages."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable

from machine import REPO, SECONDS_MAX, Machine

DATA = "/var/lib/creditd/creditd.db"
KEY = "/etc/creditd/admin.key"
CONFIGURATION = "/etc/creditd/creditd.toml"
SOCKET = "unix:/run/creditd/creditd.sock"


def snippet(page: str, having: str) -> str:
    """The one block of commands of a page that has these words."""
    text = (REPO / "docs" / page).read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    found = [block for block in blocks if having in block]
    assert len(found) == 1, f"{page} has {len(found)} blocks of commands with {having!r}"
    return str(found[0])


class Operator:
    """What an operator types on the machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def ok(self, *command: str) -> str:
        done = self.machine.call(*command)
        assert done.returncode == 0, f"{' '.join(command)}: status {done.returncode}\n{done.stdout}"
        return done.stdout

    def until(self, what: str, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + SECONDS_MAX
        while not holds():
            if time.monotonic() > end:
                raise AssertionError(f"not {what} within {SECONDS_MAX} s\n{self.journal()}")
            time.sleep(0.05)

    def journal(self) -> str:
        return self.machine.run("journalctl", "--no-pager", "-n", "30", "-u", "creditd")

    def serves(self) -> bool:
        return self.machine.call("creditd", "health").returncode == 0

    def lets_in(self, key: str) -> bool:
        return self.machine.call("creditd", "balance", "team-a", "--key-file", key).returncode == 0

    def shown(self, what: str) -> str:
        """A property of the service."""
        return self.machine.run("systemctl", "show", "creditd", "--value", "-p", what).strip()

    def pid(self) -> int:
        return int(self.shown("MainPID"))

    def creditd(self, *words: str, key: str = KEY) -> dict[str, object]:
        answer = json.loads(self.ok("creditd", *words, "--key-file", key, "--json"))
        assert isinstance(answer, dict)
        return answer

    def available(self, account: str) -> str:
        balance = self.creditd("balance", account)
        return str(balance.get("available") or balance["balance"]["available"])  # type: ignore[index]

    def charge(self, request_id: str) -> dict[str, object]:
        return self.creditd("charge", "team-a", "--credits", "1", "--request-id", request_id)

    def write(self, path: str, text: str) -> None:
        done = self.machine.call("sh", "-ec", f"mkdir -p $(dirname {path}); cat >{path}", text=text)
        assert done.returncode == 0, done.stdout

    def shell(self, script: str) -> str:
        """What a block of commands prints."""
        return self.ok("bash", "-c", script)

    def creditd_user(self, *command: str) -> str:
        """What a command prints to the user creditd."""
        return self.ok("runuser", "-u", "creditd", "--", *command)

    def is_followed(self, data: str = DATA) -> None:
        """The continuous copy comes to have all that the ledger has."""
        head = self.creditd_user("creditd", "audit", "--data", data, "--head")
        restore = (
            "rm -f /tmp/restored.db*; creditd restore /var/backups/creditd/follow --to /tmp/restored.db >/dev/null"
        )
        proof = f"{restore} && creditd audit --data /tmp/restored.db --head"
        self.until(
            "a copy of all", lambda: self.machine.run("runuser", "-u", "creditd", "--", "sh", "-c", proof) == head
        )
        assert self.ok("systemctl", "is-active", "creditd-backup").strip() == "active"

    def state(self, *paths: str) -> str:
        """Mode and owners, a line for each."""
        return self.ok("stat", "-c", "%n %a %U %G", *paths)

    def append(self, path: str, text: str) -> None:
        self.write(path, self.ok("cat", path) + text)
