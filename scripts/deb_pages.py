"""What pages for operators say, done on a machine where the package was just installed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from deb_operator import CONFIGURATION, DATA, KEY, SOCKET, Operator, snippet
from machine import REPO


def reloads_what_is_right(it: Operator) -> None:
    """systemctl reload takes a change, and fails where the configuration is wrong, with the reason in the journal."""
    change = snippet("operations.md", "systemctl reload creditd\nsudo journalctl")
    right, pid = it.ok("cat", CONFIGURATION), it.pid()
    it.write(CONFIGURATION, f"calls_max = 500\n{right}")
    assert 'changes="calls_max: 8192 -> 500"' in it.shell(change)
    for line, problem in [
        ("call_max = 500", 'unknown key "call_max"'),
        ('rate_card_file = ["/etc/creditd/none.toml"]', "rate card /etc/creditd/none.toml: No such file"),
    ]:
        it.write(CONFIGURATION, f"{line}\n{right}")
        check, reload, journal = change.splitlines()
        for command in check, reload:
            assert it.machine.call("bash", "-c", command).returncode != 0, command
        assert problem in it.shell(journal), it.journal()
        assert it.serves() and it.pid() == pid
    it.write(CONFIGURATION, right)
    assert 'changes="calls_max: 500 -> 8192"' in it.shell(change)
    # What the environment says is checked, too.
    environment = it.ok("cat", "/etc/default/creditd")
    it.append("/etc/default/creditd", "CREDITD_CALL_MAX=500\n")
    assert it.machine.call("systemctl", "reload", "creditd").returncode != 0
    assert "did you mean CREDITD_CALLS_MAX" in it.journal(), it.journal()
    it.write("/etc/default/creditd", environment)
    it.ok("systemctl", "reload", "creditd")


def waits_for_files(it: Operator) -> None:
    """A file that is missing ends the service with status 1, and it serves once the file is there."""
    it.ok("mv", KEY, "/root/admin.key")
    assert it.machine.call("systemctl", "restart", "creditd").returncode != 0
    it.until("tried again", lambda: it.shown("NRestarts") not in ("", "0"))
    it.until("ended with status 1", lambda: it.shown("ExecMainStatus") == "1")
    own = [line for line in it.shell("journalctl -u creditd -n 20 --no-pager").splitlines() if " creditd[" in line]
    assert KEY in own[-1], own
    it.ok("mv", "/root/admin.key", KEY)
    it.until("serving", it.serves)


def speaks_tls(it: Operator) -> None:
    """What the page says about certificates and upgrades, also where the server speaks TLS."""
    right = it.ok("cat", CONFIGURATION)
    make = (
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days {} -keyout privkey.pem -out fullchain.pem"
    )
    install = snippet("operations.md", "privkey.pem /etc/creditd/tls/")
    it.shell(f"{make.format(30)} 2>/dev/null; {install.splitlines()[0]}")
    it.write(CONFIGURATION, right.replace("# tls_", "tls_"))
    it.ok("systemctl", "restart", "creditd")
    assert not it.serves(), "it speaks no TLS"
    look = snippet("operations.md", "creditd health --addr unix:")
    it.until("serving", lambda: it.machine.call("bash", "-c", look).returncode == 0)
    assert "SERVING" in it.shell(look) and "INFO serving" in it.shell(look)
    before = it.shell(install.splitlines()[-1])
    after = it.shell(f"{make.format(60)} 2>/dev/null; {install}").splitlines()[-1]
    assert after.startswith("notAfter=") and after != before, (before, after)
    assert "available" in it.shell(f"sudo creditd balance team-a --addr {SOCKET} --key-file {KEY}")
    it.write(CONFIGURATION, right)
    it.ok("systemctl", "restart", "creditd")
    it.until("serving", it.serves)


def audits(it: Operator) -> None:
    """The package audits at once and each week, and a file that is not sound fails the unit."""
    assert it.ok("systemctl", "is-enabled", "creditd-audit.timer").strip() == "enabled"
    assert it.ok("systemctl", "is-active", "creditd-audit.timer").strip() == "active"
    it.until("audited", lambda: it.machine.call("test", "-e", f"{DATA}-audit").returncode == 0)
    before = it.ok("cat", f"{DATA}-audit")
    printed = it.shell(snippet("operations.md", "list-timers creditd-audit"))
    assert "creditd-audit.service" in printed and "head " in printed, printed
    assert it.ok("cat", f"{DATA}-audit") > before
    drop_in = "/etc/systemd/system/creditd-audit.service.d/damaged.conf"
    it.write(drop_in, "[Service]\nEnvironment=CREDITD_DATA=/etc/hosts\n")
    it.ok("systemctl", "daemon-reload")
    assert it.machine.call("systemctl", "start", "creditd-audit").returncode != 0
    it.ok("rm", drop_in)
    it.ok("systemctl", "daemon-reload")
    it.ok("systemctl", "reset-failed", "creditd-audit")


def drills(it: Operator) -> None:
    """The drill of the page, twice; the second goes on from the first one's head."""
    it.ok("systemctl", "enable", "--now", "creditd-backup")
    it.is_followed()
    drill = snippet("operations.md", "restore-drill.sh")
    heads = set()
    for number in range(2):
        it.charge(f"drill-{number}")
        it.is_followed()
        assert "proved again" in it.shell(drill)
        heads.add(it.ok("cat", "/var/lib/creditd-drill/head"))
    assert len(heads) == 2, heads


def rescues(it: Operator) -> None:
    """The file of a running server is deleted; what the log and the page say brings it back with all entries."""
    it.charge("before-the-loss")
    before = it.available("team-a")
    it.shell(f"rm {DATA} {DATA}-wal {DATA}-shm")
    command = re.compile(r"cp /proc/\d+/fd/\d+ rescued\.db && cp /proc/\d+/fd/\d+ rescued\.db-wal")
    it.until("naming the command", lambda: command.search(it.journal()) is not None)
    found = command.search(it.journal())
    assert found
    it.shell(f"{found[0]} && creditd audit --data rescued.db")
    it.shell(snippet("data-file.md", "install -o creditd -g creditd -m 600 rescued.db "))
    it.until("serving", it.serves)
    assert it.available("team-a") == before


def lives_elsewhere(it: Operator) -> None:
    """The ledger goes on in another directory, with all three units."""
    before = it.available("team-a")
    it.shell(snippet("operations.md", "ReadWritePaths=/srv/creditd"))
    it.until("serving", it.serves)
    assert it.available("team-a") == before
    it.charge("elsewhere")
    elsewhere = "/srv/creditd/creditd.db"
    it.ok("test", "!", "-e", DATA, "-a", "-e", elsewhere)
    it.ok("systemctl", "start", "creditd-audit")
    it.ok("test", "-e", f"{elsewhere}-audit")
    it.is_followed(elsewhere)
    it.ok("systemctl", "disable", "--now", "creditd-backup")
    back = "systemctl stop creditd; mv /srv/creditd/* /var/lib/creditd/; sed -i /^CREDITD_DATA/d /etc/default/creditd"
    it.shell(f"{back}; systemctl start creditd")
    it.until("serving", it.serves)


def answers_nobody(it: Operator) -> None:
    """What docs/alerts.md says of a server without a free connection, and of one without a free file."""
    right = it.ok("cat", CONFIGURATION)
    it.write(CONFIGURATION, f"connections_max = 1\n{right}")
    it.ok("systemctl", "restart", "creditd")
    watch = f"creditd watch team-a --key-file {KEY}"
    it.ok("systemd-run", "--quiet", "--unit=watch", *watch.split())
    by_call = ("creditd", "reload", "--key-file", KEY)
    it.until("full", lambda: it.machine.call(*by_call).returncode == 5)
    it.write(CONFIGURATION, right)
    assert it.machine.call(*by_call).returncode == 5
    it.ok("systemctl", "reload", "creditd")
    it.until("serving", it.serves)
    it.ok("systemctl", "stop", "watch")
    limit = "/etc/systemd/system/creditd.service.d/files.conf"
    it.write(limit, "[Service]\nLimitNOFILE=64\n")
    it.shell("systemctl daemon-reload; systemctl restart creditd")
    watches = f"for number in $(seq 60); do {watch} & done; wait"
    it.ok("systemd-run", "--quiet", "--unit=watches", "sh", "-c", watches)
    compare = snippet("alerts.md", "LimitNOFILE")
    it.until("without a free file", lambda: it.shell(compare).split() == ["64", "LimitNOFILE=64"])
    silent = it.machine.call("creditd", "health", "--timeout", "1s", "--addr", SOCKET)
    assert silent.returncode == 5 and "did not answer" in silent.stdout, silent.stdout
    assert it.ok("systemctl", "is-active", "creditd").strip() == "active"
    assert "Too many open files" in it.journal(), it.journal()
    it.ok("systemctl", "stop", "watches")
    it.ok("rm", limit)
    it.shell("systemctl daemon-reload; systemctl restart creditd")
    it.until("serving", it.serves)


def has_pages(it: Operator) -> None:
    """Each page that a message of the program can name is there, and what alerts.md names too."""
    for page in sorted((REPO / "docs").glob("*.md")):
        it.shell(f"zgrep -q . /usr/share/doc/creditd/{page.name}*")
    it.ok("test", "-e", "/usr/share/doc/creditd/examples/prometheus/tests.yml")


def is_purged(it: Operator) -> None:
    """purge deletes what the page says, and keeps what it says."""
    commands = snippet("operations.md", "apt purge creditd").replace("apt ", "dpkg --").splitlines()
    for command in commands:
        it.shell(command)
    gone = [CONFIGURATION, "/etc/default/creditd", KEY]
    there = ["/etc/creditd/tls/privkey.pem", DATA, "/var/backups/creditd/follow"]
    for paths, status in (gone, 1), (there, 0):
        for path in paths:
            assert it.machine.call("test", "-e", path).returncode == status, path
    it.ok("id", "creditd")
    assert it.machine.call("systemctl", "is-active", "creditd-audit.timer").returncode != 0


def installs_elsewhere(it: Operator) -> None:
    """What make install installs serves and is audited, after the commands of the page."""
    it.ok("dpkg-deb", "-x", "/root/new.deb", "/root/unpacked")
    root = it.machine.root
    install: list[str | Path] = [
        REPO / "deploy" / "install.sh",
        root / "root/unpacked/usr/bin/creditd",
        root,
        "/usr/local",
        "/etc",
    ]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    commands = snippet("operations.md", "sudo make install").splitlines()
    made = [number for number, command in enumerate(commands) if "make install" in command]
    it.shell("\n".join(["set -e", "rm -f /var/lib/creditd/creditd.db*", *commands[made[0] + 1 :]]))
    it.until("serving", lambda: it.machine.call("/usr/local/bin/creditd", "health").returncode == 0)
    it.ok("test", "-e", f"{DATA}-audit")
    it.ok("systemctl", "reload", "creditd")


# In this order.
CHECKS = [
    audits,
    reloads_what_is_right,
    waits_for_files,
    speaks_tls,
    drills,
    rescues,
    lives_elsewhere,
    answers_nobody,
    has_pages,
    is_purged,
    installs_elsewhere,
]
