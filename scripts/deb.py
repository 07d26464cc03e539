#!/usr/bin/env python3
"""Installs the Debian package on a fresh Debian with systemd, and does there what an operator does.

    scripts/deb.py [--program FILE] [--package FILE] [--previous FILE | --previous-commit REVISION] [--type exec]

It installs the package that was released before, upgrades to the one of this program, removes
it, and in between charges, reloads, backs up, kills, restores. On what is installed then it does
what pages for operators say. --previous-commit builds that
package of that commit, program and scripts; without it and without --previous it is made of this
same program with a lower version: what the maintainer's scripts do is tested so, and what
another version of the program does is not. Without --package it is made of the program.
`--type exec` is for a program that tells systemd nothing: the unit then runs with Type=exec, and
no watchdog.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import deb_pages
from deb_operator import CONFIGURATION, DATA, KEY, Operator, snippet
from machine import REPO, Machine

BUILD = REPO / "deploy" / "debian" / "build.sh"
DROP_IN = "/etc/systemd/system/creditd.service.d/type.conf"
WATCHDOG = "/etc/systemd/system/creditd.service.d/watchdog.conf"
NEWER_FILE = "use the newer creditd that wrote it"


def run(*command: str | Path, cwd: Path = REPO, **environment: str) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=os.environ | environment)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def build(program: Path, version: str | None, into: Path, script: Path = BUILD) -> Path:
    run(script, "--program", program, "--into", into, *(["--version", version] if version else []))
    return next(into.glob("*.deb"))


def build_commit(revision: str, into: Path) -> Path:
    """The package of a commit, by its own scripts. Its version is lower than that of any release."""
    commit = run("git", "rev-parse", "--short", f"{revision}^{{commit}}")
    tree = into / "tree"
    run("git", "worktree", "add", "--detach", tree, commit)
    try:
        target = REPO / "target" / "previous"
        run("cargo", "build", "--quiet", "--release", "--locked", cwd=tree, CARGO_TARGET_DIR=str(target))
        script = tree / BUILD.relative_to(REPO)
        return build(target / "release" / "creditd", f"0.0.1~{commit}", into / "package", script)
    finally:
        run("git", "worktree", "remove", "--force", tree)


def is_clean(it: Operator, package: str) -> None:
    """lintian has no complaint, not even a warning."""
    command = ["lintian", "--allow-root", "--fail-on", "error,warning", f"{it.machine.root}{package}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def installs(it: Operator, package: str) -> None:
    """dpkg -i makes user, directories and a first key, and starts the service."""
    it.ok("dpkg", "-i", package)
    it.until("serving", it.serves)
    assert it.ok("systemctl", "is-enabled", "creditd").strip() == "enabled"
    state = it.state("/etc/creditd", KEY, "/var/lib/creditd", DATA, "/var/backups/creditd")
    assert state.splitlines() == [
        "/etc/creditd 750 root creditd",
        f"{KEY} 640 root creditd",
        "/var/lib/creditd 750 creditd creditd",
        f"{DATA} 600 creditd creditd",
        "/var/backups/creditd 750 creditd creditd",
    ], state


def confines(it: Operator) -> None:
    """The server has no capability, cannot get one, and is another user."""
    status = dict(line.split(":\t", 1) for line in it.ok("cat", f"/proc/{it.pid()}/status").splitlines())
    user = it.ok("id", "-u", "creditd").strip()
    assert status["Uid"].split()[0] == user, status["Uid"]
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0, status
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2"), status


def charges(it: Operator) -> None:
    """Nobody gets in without a key; with it credits move."""
    refused = it.machine.call("creditd", "grant", "team-a", "100")
    assert refused.returncode != 0 and "KEY" in refused.stdout, refused.stdout
    it.creditd("grant", "team-a", "100", "--request-id", "order-1")
    it.charge("job-1")
    assert it.available("team-a") == "99"


def reloads(it: Operator) -> None:
    """What the page says takes another admin key, and the old one out, with no call refused."""
    pid = it.pid()
    before = it.state(KEY)
    # A key that was put there by hand may end without a newline.
    old = it.ok("cat", KEY).strip()
    it.write("/root/old.key", old)
    it.write(KEY, old)
    it.shell(snippet("operations.md", "tee -a /etc/creditd/admin.key"))
    keys = it.ok("cat", KEY).split()
    assert len(keys) == 2 and keys[0] == old, keys
    it.write("/root/new.key", keys[1])
    it.until("taking the new key", lambda: it.lets_in("/root/new.key"))
    assert it.lets_in("/root/old.key")
    it.shell(snippet("operations.md", "sed -i 1d /etc/creditd/admin.key"))
    it.until("refusing the old key", lambda: not it.lets_in("/root/old.key"))
    assert it.lets_in("/root/new.key")
    assert it.available("team-a") == "99"
    assert it.state(KEY) == before
    assert it.pid() == pid


def is_killed(it: Operator) -> None:
    """After kill -9 systemd starts it again, and what was answered is there."""
    it.charge("job-2")
    pid = it.pid()
    it.ok("systemctl", "kill", "--signal=KILL", "creditd")
    it.until("serving again", lambda: it.pid() not in (0, pid) and it.serves())
    assert it.charge("job-2")["replayed"] is True
    assert it.available("team-a") == "98"


def hangs(it: Operator) -> None:
    """A server that says nothing for WatchdogSec is ended and started again."""
    it.write(WATCHDOG, "[Service]\nWatchdogSec=2s\n")
    it.ok("systemctl", "daemon-reload")
    it.ok("systemctl", "restart", "creditd")
    pid = it.pid()
    it.ok("systemctl", "kill", "--signal=STOP", "creditd")
    it.until("serving again", lambda: it.pid() not in (0, pid) and it.serves())
    assert it.shown("NRestarts") == "1"
    assert "atchdog timeout" in it.journal(), it.journal()
    it.ok("rm", WATCHDOG)
    it.ok("systemctl", "daemon-reload")
    it.ok("systemctl", "restart", "creditd")


def follows(it: Operator) -> None:
    """creditd-backup.service has all that the ledger has."""
    it.ok("systemctl", "enable", "--now", "creditd-backup")
    it.charge("job-3")
    it.is_followed()


def is_restored(it: Operator) -> None:
    """What the page says puts a copy in the ledger's place, twice, and loses neither of those that were there."""
    copy = "/var/backups/creditd/copy.db"
    it.creditd_user("creditd", "backup", copy, "--data", DATA)
    head = it.creditd_user("creditd", "audit", "--data", copy, "--head").strip()
    before = it.available("team-a")
    restore = snippet("operations.md", "COPY.db")
    for number in range(2):
        it.charge(f"after-the-copy-{number}")
        it.shell(restore.replace("COPY.db", "copy.db"))
        it.until("serving", it.serves)
        assert it.available("team-a") == before
        it.charge("after-the-restore")
        it.creditd_user("creditd", "audit", "--data", DATA, "--since", head)
        it.is_followed()
    folders = it.ok("find", "/var/lib/creditd", "-name", "damaged-*").split()
    assert len(folders) == 2, folders
    for folder in folders:
        it.creditd_user("creditd", "audit", "--data", f"{folder}/creditd.db", "--since", head)
    wrong = it.machine.call("bash", "-c", restore)
    assert wrong.returncode != 0 and it.serves(), wrong.stdout
    it.ok("systemctl", "disable", "--now", "creditd-backup")


def refuses(it: Operator) -> None:
    """An option that is wrong ends the service, which says why and does not try again."""
    configuration = it.ok("cat", CONFIGURATION)
    it.append(CONFIGURATION, "\nlisten_on = 5\n")
    assert it.machine.call("systemctl", "restart", "creditd").returncode != 0 or not it.serves()
    it.until("failed", lambda: it.machine.run("systemctl", "is-failed", "creditd").strip() == "failed")
    assert "listen_on" in it.journal(), it.journal()
    assert it.shown("NRestarts") == "0"
    it.write(CONFIGURATION, configuration + "# ours\n")
    it.ok("systemctl", "restart", "creditd")
    it.until("serving", it.serves)


def upgrades(it: Operator, package: str) -> None:
    """An upgrade restarts the service, and leaves ledger, key and configuration."""
    before = it.available("team-a"), it.pid(), it.ok("cat", KEY)
    it.ok("dpkg", "-i", "--force-confold", package)
    it.until("serving", it.serves)
    assert (it.available("team-a"), it.ok("cat", KEY)) == (before[0], before[2])
    assert it.pid() != before[1]
    assert it.ok("cat", CONFIGURATION).endswith("# ours\n")
    assert it.machine.run("systemctl", "is-active", "creditd-audit.timer").strip() == "active"


def downgrades(it: Operator, older: str, newer: str) -> None:
    """The older package takes the data file over, or refuses its newer version in a sentence."""
    before = it.available("team-a")
    it.ok("dpkg", "-i", "--force-confold", older)
    it.until("serving or refusing", lambda: it.serves() or NEWER_FILE in it.journal())
    if it.serves():
        assert it.available("team-a") == before
    it.ok("dpkg", "-i", "--force-confold", newer)
    it.until("serving", it.serves)


def is_removed(it: Operator, package: str) -> None:
    """remove leaves configuration and ledger, purge the ledger; another install has it."""
    before = it.available("team-a")
    it.ok("dpkg", "--remove", "creditd")
    assert it.machine.call("systemctl", "is-active", "creditd").returncode != 0
    it.ok("test", "-e", CONFIGURATION, "-a", "-e", KEY, "-a", "-e", DATA)
    it.ok("dpkg", "--purge", "creditd")
    it.ok("test", "!", "-e", "/etc/creditd", "-a", "!", "-e", "/etc/default/creditd", "-a", "-e", DATA)
    assert it.machine.run("dpkg", "-l", "creditd").count("creditd") <= 1
    it.ok("dpkg", "-i", package)
    it.until("serving", it.serves)
    assert it.available("team-a") == before
    assert it.ok("cat", KEY).endswith("\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=REPO / "target" / "release" / "creditd")
    parser.add_argument("--package", type=Path)
    older = parser.add_mutually_exclusive_group()
    older.add_argument("--previous", type=Path)
    older.add_argument("--previous-commit", metavar="REVISION")
    parser.add_argument("--type", choices=["notify", "exec"], default="notify")
    chosen = parser.parse_args()
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        package = chosen.package or build(chosen.program, None, Path(folder) / "new")
        if chosen.previous_commit:
            previous = build_commit(chosen.previous_commit, Path(folder) / "old")
        else:
            previous = chosen.previous or build(chosen.program, "0.0.1~before", Path(folder) / "old")
        machine = Machine(Path(folder))
        try:
            it = Operator(machine)
            for name, file in (("new.deb", package), ("old.deb", previous)):
                (machine.root / "root" / name).write_bytes(file.read_bytes())
            if chosen.type == "exec":
                it.write(DROP_IN, "[Service]\nType=exec\nWatchdogSec=0\n")
            for step, words in [
                (is_clean, ["/root/new.deb"]),
                (installs, ["/root/old.deb"]),
                (confines, []),
                (charges, []),
                (reloads, []),
                (is_killed, []),
                *([(hangs, [])] if chosen.type == "notify" else []),
                (follows, []),
                (is_restored, []),
                (refuses, []),
                (upgrades, ["/root/new.deb"]),
                (downgrades, ["/root/old.deb", "/root/new.deb"]),
                (is_removed, ["/root/new.deb"]),
                *((check, []) for check in deb_pages.CHECKS),
            ]:
                start = time.monotonic()
                try:
                    step(it, *words)
                    passed += 1
                    print(f"{step.__name__}: {time.monotonic() - start:.1f} s", flush=True)
                except AssertionError as error:
                    failed += 1
                    print(f"{step.__doc__}\n{error}\n{it.journal()}", flush=True)
        finally:
            machine.close()
    print(f"{passed} checks of the package passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
