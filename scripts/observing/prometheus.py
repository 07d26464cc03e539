"""Runs a real Prometheus against the server, with the rules, and asks it as Grafana would."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from observing import pages
from observing.server import STOP_S_MAX, wait

TOOLS = pages.REPO / ".tools" / "prometheus"
PROMTOOL = TOOLS / "promtool"
START_S_MAX = 30
# A quarter of a rate's window, as Grafana has it at least.
SCRAPE_MS = 500
RATE_WINDOW = "2s"

CONFIGURATION = """\
global: {{scrape_interval: {scrape}ms, scrape_timeout: {scrape}ms, evaluation_interval: {scrape}ms}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: creditd
    static_configs: [{{targets: ["{target}"]}}]
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Prometheus:
    """A Prometheus of its own, in a folder of its own."""

    def __init__(self, folder: Path, target: str) -> None:
        self.target = target
        self.start_time = time.time()
        configuration = folder / "prometheus.yml"
        configuration.write_text(CONFIGURATION.format(scrape=SCRAPE_MS, rules=pages.RULES, target=target))
        address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{address}"
        self.log = folder / "prometheus.log"
        command: list[str | Path] = [TOOLS / "prometheus", f"--config.file={configuration}"]
        command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={address}"]
        # Debian has these apart; nobody looks at them here.
        command += [f"--web.console.templates={folder}", f"--web.console.libraries={folder}"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env=dict(os.environ), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            wait(f"Prometheus is ready; {self.log} has why it is not", self._ready, START_S_MAX)
        except BaseException:
            self.stop()
            raise

    def _ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    def ask(self, path: str, **parameters: object) -> Any:
        """The data of an answer of its HTTP API."""
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=10) as reply:
                answer = json.load(reply)
        except urllib.error.HTTPError as error:
            answer = json.load(error)
        if answer["status"] != "success":
            raise ValueError(answer.get("error", answer))
        return answer["data"]

    def as_grafana(self, expression: str) -> str:
        """An expression of the dashboard with what Grafana puts in."""
        chosen = self.target.replace(".", "\\\\.")
        return expression.replace("$__rate_interval", RATE_WINDOW).replace("$instance", chosen)

    def series(self, expression: str) -> list[dict[str, Any]]:
        """What an expression gave from the start until now."""
        data = self.ask("query_range", query=expression, start=self.start_time, end=time.time(), step=0.5)
        result: list[dict[str, Any]] = data["result"]
        return result

    def now(self, expression: str) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return result

    def problem(self, expression: str) -> str:
        """Why an expression has nothing to show; "" where it has."""
        try:
            found = self.series(expression)
        except ValueError as error:
            return f"{error}: {expression}"
        values = [value for series in found for _, value in series["values"]]
        if any(math.isfinite(float(value)) for value in values):
            return ""
        return f"{'no data' if not values else 'no number'}: {expression}"

    def wait_for(self, name: str) -> None:
        """Waits until it has scraped a metric of that name."""
        try:
            wait("", lambda: bool(self.now(name)), START_S_MAX)
        except AssertionError as error:
            states = [target["lastError"] for target in self.ask("targets")["activeTargets"]]
            raise AssertionError(f"Prometheus has no {name} within {START_S_MAX} s: {states}") from error

    def rules(self) -> list[dict[str, Any]]:
        """All rules, as they were evaluated last."""
        return [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_S_MAX)
