"""What pages for operators say, done on a machine where the package was just installed."""

from __future__ import annotations

from deb_operator import CONFIGURATION, KEY, Operator, snippet


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


# In this order.
CHECKS = [reloads_what_is_right, waits_for_files]
