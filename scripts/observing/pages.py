"""Reads what is compared: the dashboard, the rules, and the pages about metrics and alerts."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
DASHBOARD = REPO / "deploy" / "grafana" / "creditd.json"
PROMETHEUS = REPO / "deploy" / "prometheus"
RULES = PROMETHEUS / "creditd.rules.yml"
RULE_TESTS = PROMETHEUS / "tests.yml"
METRICS_PAGE = REPO / "docs" / "metrics.md"
ALERTS_PAGE = REPO / "docs" / "alerts.md"

# What Prometheus has of its own.
OF_PROMETHEUS = {"ALERTS", "up"}
SELECTOR = re.compile(r"(?<![\w:])((?:creditd|grpc_server|process)_\w+)(\{[^}]*\})?")


@dataclass(frozen=True)
class Query:
    """An expression of a panel."""

    panel: str
    expression: str
    # Asked for now alone, and not for a span of time.
    instant: bool


def queries() -> list[Query]:
    """All expressions of the dashboard."""
    found = []
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            found.append(Query(panel["title"], target["expr"], target["instant"]))
    return found


def starts() -> str:
    """The expression of the dashboard's annotation."""
    [annotation] = json.loads(DASHBOARD.read_text())["annotations"]["list"]
    expression: str = annotation["expr"]
    return expression


def names(expression: str) -> set[str]:
    """Names of metrics in an expression."""
    return {found[0] for found in SELECTOR.findall(expression)}


def selectors(expression: str) -> set[str]:
    """What an expression selects, each for itself."""
    return {found[0] + found[1] for found in SELECTOR.findall(expression)}


@dataclass(frozen=True)
class Metric:
    """A row of the page about metrics."""

    kind: str
    labels: frozenset[str]


def metrics() -> dict[str, Metric]:
    """The rows of the page about metrics, by name."""
    found: dict[str, Metric] = {}
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\| [^|]+ \|$", METRICS_PAGE.read_text(), re.MULTILINE)
    for name, kind, labels in rows:
        assert name not in found, f"{METRICS_PAGE.name} has {name} twice"
        found[name] = Metric(kind, frozenset(re.findall(r"`(\w+)`", labels)))
    return found


def wrong_alerts() -> list[str]:
    """What the page about alerts, the rules and their tests do not agree on."""
    page = ALERTS_PAGE.read_text()
    tests = RULE_TESTS.read_text()
    wrong = []
    rows = re.findall(r"^\| \[(\w+)\]\(#(\w+)\) \| (\w+) \|", page, re.MULTILINE)
    headings = re.findall(r"^## (Creditd\w+)$", page, re.MULTILINE)
    alerts = {}
    for rule in re.split(r"^ *- alert: ", RULES.read_text(), flags=re.MULTILINE)[1:]:
        name = rule.split("\n")[0]
        severity = re.search(r"severity: (\w+)", rule)
        alerts[name] = severity[1] if severity else "none"
        if f"docs/alerts.md#{name.lower()}\n" not in rule:
            wrong.append(f"{name}: its runbook_url leads somewhere else")
        if not re.search(rf"alertname(?:: |=\"){name}\b", tests):
            wrong.append(f"{name}: no test makes it fire")
    if [name for name, _, _ in rows] != headings:
        wrong.append(f"{ALERTS_PAGE.name}: its table and its headings are not the same, in one order")
    for name, anchor, severity in rows:
        if anchor != name.lower():
            wrong.append(f"{name}: the table links to {anchor}")
        if alerts.get(name) != severity:
            wrong.append(f"{name}: {severity} in the table, {alerts.get(name, 'missing')} in the rules")
    wrong += [f"{name}: not in the table of {ALERTS_PAGE.name}" for name in alerts if name not in {row[0] for row in rows}]
    return wrong
