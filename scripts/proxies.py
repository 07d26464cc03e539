#!/usr/bin/env python3
"""Runs the proxies of docs/operations.md before a server, and calls it through them by TLS.

The blocks of the page are what runs: only addresses, and paths of certificates, are others.
Proxies can be chosen by name: scripts/proxies.py nginx
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import trustme
from polling import until

REPO = Path(__file__).resolve().parent.parent
PAGE = REPO / "docs" / "operations.md"
PROGRAM = os.environ.get("CREDITD_BIN", str(REPO / "target" / "debug" / "creditd"))
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("CREDITD_")},
    "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
}


def block(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"{PAGE.name} has {len(found)} blocks of {language}"
    return found[0]


def replaced(text: str, pairs: dict[str, str]) -> str:
    for old, new in pairs.items():
        assert text.count(old) == 1, f"{PAGE.name} has {old!r} {text.count(old)} times"
        text = text.replace(old, new)
    return text


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A creditd that asks for keys, and what answers probes for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.admin_port = free_port(), free_port()
        self.key = folder / "admin.key"
        self.key.write_text("k" * 32)
        self.key.chmod(0o600)
        self.process: subprocess.Popen[bytes] | None = None

    def healthy(self) -> bool:
        command = [PROGRAM, "health", "--addr", f"127.0.0.1:{self.port}", "--timeout", "2s"]
        return subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=False).returncode == 0

    def start(self) -> None:
        own = ["--admin-listen", f"127.0.0.1:{self.admin_port}"]
        options = ["--listen", f"127.0.0.1:{self.port}", "--data", self.folder / "creditd.db"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "serve", *options, "--admin-key-file", self.key, *own],
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until("serving", self.healthy)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class Caller:
    """Calls by TLS, through a proxy."""

    def __init__(self, port: int, ca: Path, key: Path) -> None:
        self.options = ["--addr", f"https://localhost:{port}", "--tls-ca", str(ca), "--key-file", str(key), "--json"]

    def call(self, *words: str) -> tuple[int, dict[str, object]]:
        done = subprocess.run(
            [PROGRAM, *words, *self.options], env=ENVIRONMENT, capture_output=True, text=True, check=False
        )
        text = done.stdout if done.returncode == 0 else done.stderr
        return done.returncode, json.loads(text) if text.strip() else {}

    def done(self, *words: str) -> dict[str, object]:
        status, answer = self.call(*words)
        assert status == 0, f"{words}: status {status}, {answer}"
        return answer

    def serves(self) -> bool:
        return self.call("health")[0] == 0

    def watch(self, account: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [PROGRAM, "watch", account, *self.options], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
        )


def haproxy(folder: Path, server: Server, ca: trustme.CA) -> tuple[list[str], int]:
    port = free_port()
    certificate = folder / "creditd.pem"
    ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    configuration = folder / "haproxy.cfg"
    changes = {
        "bind :443": f"bind 127.0.0.1:{port}",
        "/etc/haproxy/creditd.pem": str(certificate),
        "127.0.0.1:50051": f"127.0.0.1:{server.port}",
        "port 9464": f"port {server.admin_port}",
    }
    configuration.write_text(replaced(block("haproxy"), changes))
    return ["haproxy", "-db", "-f", str(configuration)], port


def nginx(folder: Path, server: Server, ca: trustme.CA) -> tuple[list[str], int]:
    port = free_port()
    issued = ca.issue_cert("localhost")
    chain, private = folder / "fullchain.pem", folder / "privkey.pem"
    chain.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(private))
    changes = {
        "listen 443": f"listen 127.0.0.1:{port}",
        "/etc/creditd/tls/fullchain.pem": str(chain),
        "/etc/creditd/tls/privkey.pem": str(private),
        "127.0.0.1:50051": f"127.0.0.1:{server.port}",
    }
    # What a distribution's nginx.conf has around it.
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    around = (
        f"daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log stderr;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}"
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(around + replaced(block("nginx"), changes) + "}\n")
    return ["nginx", "-c", str(configuration), "-e", "stderr"], port


def charges(caller: Caller, server: Server) -> None:
    """Credits move, once for each request_id."""
    caller.done("grant", "team-a", "10", "--request-id", "order-1")
    caller.done("charge", "team-a", "--credits", "1", "--request-id", "job-1")
    assert caller.done("charge", "team-a", "--credits", "1", "--request-id", "job-1")["replayed"] is True


def refuses(caller: Caller, server: Server) -> None:
    """A refusal has its reason, which stands in trailers."""
    status, answer = caller.call("charge", "team-a", "--credits", "1000")
    assert status == 3, answer
    assert answer["error"]["reason"] == "INSUFFICIENT_CREDITS", answer  # type: ignore[index]


def watches(caller: Caller, server: Server) -> None:
    """A change arrives while the call goes on."""
    watch = caller.watch("team-a")
    assert watch.stdout is not None
    try:
        first = watch.stdout.readline()
        caller.done("charge", "team-a", "--credits", "2", "--request-id", "job-2")
        second = watch.stdout.readline()
        assert '"9"' in first and '"7"' in second, (first, second)
    finally:
        watch.kill()
        watch.wait()


def fails(caller: Caller, server: Server) -> None:
    """While the server is down calls are UNAVAILABLE; afterwards they go on, with the same credits."""
    server.kill()
    status, answer = caller.call("balance", "team-a")
    assert status == 5, (status, answer)
    assert answer["error"]["code"] == "UNAVAILABLE", answer  # type: ignore[index]
    server.start()
    until("serving through the proxy", caller.serves)
    assert caller.done("charge", "team-a", "--credits", "2", "--request-id", "job-2")["replayed"] is True


PROXIES = {"haproxy": haproxy, "nginx": nginx}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in PROXIES]
    if unknown:
        print(f"no proxy {unknown[0]!r}; there are: {', '.join(PROXIES)}", file=sys.stderr)
        return 2
    passed = failed = 0
    ca = trustme.CA()
    for name in names or PROXIES:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            ca.cert_pem.write_to_path(str(folder / "ca.pem"))
            server = Server(folder)
            command, port = PROXIES[name](folder, server, ca)
            server.start()
            log = folder / "proxy.log"
            with log.open("wb") as out:
                proxy = subprocess.Popen(command, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            caller = Caller(port, folder / "ca.pem", server.key)
            try:
                until(f"serving through {name}", caller.serves)
                for check in (charges, refuses, watches, fails):
                    check(caller, server)
                    passed += 1
            except AssertionError as error:
                failed += 1
                print(f"{name}: {error!r}\n{log.read_text()}")
            finally:
                proxy.terminate()
                proxy.wait()
                server.kill()
    print(f"{passed} checks of proxies passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
