#!/usr/bin/env python3
"""Calls a server in every way, scrapes it, and compares with what is written about its metrics.

It checks the rules by promtool; that dashboard, rules, docs/metrics.md and docs/alerts.md name
what a scrape has, and nothing else; that every metric of the dashboard moves under load; that
counts of calls, refusals, entries and credits are exactly what was called; that no label has an
account or a key; and by a real Prometheus that each panel and each rule has something to show.

The server is target/release/creditd, or the program that is given: scripts/observe.py PROGRAM
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from observing import pages
from observing.checks import Checks
from observing.load import LEDGER, PRIVATE, Load
from observing.prometheus import PROMTOOL, SCRAPE_MS, Prometheus
from observing.scrape import Scrape, all_the_while, get, scrape
from observing.server import ADMIN_KEY, FULL_DISK, SLOW_DISK, Server, wait

SERVER = pages.REPO / "target" / "release" / "creditd"
GENERATE = pages.REPO / "deploy" / "grafana" / "generate.py"

# What the dashboard names and may stand still, and why. Everything else has to move.
MAY_STAND_STILL = {
    "creditd_accounts_in_memory_max": "an option",
    "creditd_build_info": "the version",
    "creditd_call_memory_max_bytes": "an option",
    "creditd_calls_max": "an option",
    "creditd_clock_believed": "nobody sets the clock of this machine; tests/it/clock/ does, for one process",
    "creditd_connections_max": "an option",
    "creditd_log_lines_dropped_total": "65,536 lines have to wait first",
    "creditd_request_id_memory_bytes": "the first filter is made after a million request_ids",
    "creditd_request_id_memory_max_bytes": "an option",
    "creditd_trace_spans_dropped_total": "this server has no collector; tests/it/traces/ has one",
    "creditd_trace_spans_sent_total": "the same",
    "creditd_watchers_max": "an option",
    "process_max_fds": "a limit of the system",
    "process_start_time_seconds": "the server starts once",
}
# What a rule asks for that no test can bring about, and why.
MAY_BE_MISSING = {
    'creditd_refusals_total{reason="INTERNAL"}': "it takes a defect",
}
# What fires within seconds here, and has to: the reload that was refused, the disk that was full, the
# certificate for a day.
HAVE_TO_FIRE = {"CreditdReloadRefused", "CreditdCommitsFail", "CreditdCertificateExpiresSoon"}


def promtool(checks: Checks, what: str, *arguments: str | Path, given: str | None = None) -> None:
    done = subprocess.run([PROMTOOL, *arguments], input=given, capture_output=True, text=True, timeout=120, check=False)
    checks.check(f"promtool: {what}", done.stdout + done.stderr if done.returncode else "")


def files(checks: Checks) -> None:
    """What can be checked without a server."""
    promtool(checks, "the rules", "check", "rules", pages.RULES)
    promtool(checks, "the example", "check", "config", pages.PROMETHEUS / "prometheus.yml")
    promtool(checks, "every alert fires, and none where all is well", "test", "rules", pages.RULE_TESTS)
    done = subprocess.run([sys.executable, GENERATE, "--check"], capture_output=True, text=True, timeout=60, check=False)
    checks.check("the dashboard is what its table of panels makes", done.stderr)
    checks.check("rules, their tests and docs/alerts.md agree", pages.wrong_alerts())


def observe(checks: Checks, server: Server, load: Load, prometheus: Prometheus, url: str) -> list[Scrape]:
    """Scrapes before the load, all the while, and after it."""
    scrapes = [scrape(url)]
    with all_the_while(url, scrapes):
        load.run()
        server.command("backup", server.folder / "copy.db", "--data", server.data)
        server.command("audit", "--data", server.data)
        fail(server, load, url)
        try:
            reload(server, url)
        except AssertionError as error:
            checks.check("reloads are counted", error)
    expected = {key: float(calls) for key, calls in load.counts.handled.items()}

    def counted() -> bool:
        scrapes.append(scrape(url))
        return handled(scrapes[-1]) == expected

    # A watch that its caller has closed ends a moment later. Counts that differ are reported below.
    with suppress(AssertionError):
        wait("all calls are counted", counted)
    # Rates need two scrapes of each value.
    until = time.time() + 3 * SCRAPE_MS / 1_000
    wait("Prometheus has scraped", lambda: time.time() > until)
    return scrapes


def handled(scraped: Scrape) -> dict[str, float]:
    return scraped.by("grpc_server_handled_total", "grpc_service", "grpc_method", "grpc_code")


def fail(server: Server, load: Load, url: str) -> None:
    """The disk is slow, and then full."""
    counts, account = load.counts, load.account(0)
    with load.client(ADMIN_KEY) as client:
        with server.disk(SLOW_DISK):
            load.overload(client)
        with server.disk(FULL_DISK):
            counts.refuse(LEDGER, "Charge", "STORE_UNAVAILABLE", lambda: client.charge(account, credits=1))
        wait("the file can be written", lambda: scrape(url).total("creditd_store_writable") == 1)
        paid = counts.call(LEDGER, "Charge", lambda: client.charge(account, credits=1))
        counts.written("charge", paid.entry.spent)


def reload(server: Server, url: str) -> None:
    """A reload is refused, and another one taken, which has a new certificate."""

    def reloads(outcome: str) -> float:
        return scrape(url).total("creditd_reloads_total", outcome=outcome)

    server.damage_card()
    server.reload()
    wait("a reload is refused", lambda: reloads("refused") == 1)
    server.mend_card()
    server.issue(days=90)
    server.reload()
    wait("a reload is taken", lambda: reloads("taken") == 1)


def compare_names(checks: Checks, last: Scrape) -> None:
    """What is written names what a scrape has, and the other way round."""
    page = pages.metrics()
    found = {name: (kind, sorted(last.labels(name))) for name, kind in last.types.items()}
    written = {name: (metric.kind, sorted(metric.labels)) for name, metric in page.items()}
    checks.same("docs/metrics.md has the metrics of a scrape", found, written)
    empty = [name for name in last.types if not any(last.family(sample) == name for sample in last.names())]
    checks.check("every metric has a value under load", empty)
    expressions = [query.expression for query in pages.queries()] + [pages.starts()]
    checks.check("the dashboard names what a scrape has", set().union(*map(pages.names, expressions)) - last.names())
    checks.check("so do the rules", pages.names(pages.RULES.read_text()) - last.names())
    checks.check(
        "every metric is on the dashboard",
        page.keys() - {last.family(name) for expression in expressions for name in pages.names(expression)},
    )


def compare_movement(checks: Checks, scrapes: list[Scrape]) -> None:
    """Every metric of the dashboard moved, unless it may stand still."""
    named = set().union(*(pages.names(query.expression) for query in pages.queries()))
    first, *others = scrapes
    still = {
        name
        for name in named
        if not any(
            first.samples.get(key) != value for other in others for key, value in other.samples.items() if key[0] == name
        )
    }
    checks.check("every metric of the dashboard moves", still - MAY_STAND_STILL.keys())
    checks.check("what may stand still is on the dashboard", MAY_STAND_STILL.keys() - named)
    counters = {name for name, kind in first.types.items() if kind == "counter"}
    fell = {
        key[0]
        for before, after in zip(scrapes, others, strict=False)
        for key, value in before.samples.items()
        if key[0] in counters and after.samples.get(key, 0) < value
    }
    checks.check("no counter falls", fell)


def compare_counts(checks: Checks, load: Load, last: Scrape) -> None:
    """What the server counted is what was called."""
    counts = load.counts

    def floats(expected: object) -> dict[str, object]:
        assert isinstance(expected, dict)
        return {key: float(value) for key, value in expected.items()}

    def by(name: str, *labels: str) -> dict[str, object]:
        return dict(last.by(name, *labels))

    method = ("grpc_service", "grpc_method")
    checks.same("calls that ended", by("grpc_server_handled_total", *method, "grpc_code"), floats(counts.handled))
    methods: dict[str, float] = {}
    for key, calls in counts.handled.items():
        name = key.rpartition(" ")[0]
        methods[name] = methods.get(name, 0) + calls
    checks.same("calls that came in", by("grpc_server_started_total", *method), floats(methods))
    checks.same("durations of calls", by("grpc_server_handling_seconds_count", *method), floats(methods))
    checks.same("refusals", by("creditd_refusals_total", "reason"), floats(counts.refusals))
    checks.same("entries", by("creditd_entries_total", "kind"), floats(counts.entries))
    spent = {
        key: round(credits, 9) for key, credits in last.by("creditd_credits_spent_total", "service", "rate_card").items()
    }
    checks.same("credits spent", dict(spent), floats(counts.spent))
    checks.same("replays", {"all": last.total("creditd_replays_total")}, {"all": float(counts.replays)})


def compare_privacy(checks: Checks, load: Load, scrapes: list[Scrape]) -> None:
    """No scrape has an account, a request_id, a key or a label of an entry."""
    secrets = load.secrets | {PRIVATE}
    shown = {secret for scraped in scrapes for secret in secrets if secret in scraped.text}
    checks.check("no label has an account, a request_id or a key", shown)


def compare_prometheus(checks: Checks, prometheus: Prometheus) -> None:
    """Each panel and each rule has something to show."""
    for query in pages.queries():
        expression = prometheus.as_grafana(query.expression)
        checks.check(f"panel {query.panel!r}", prometheus.problem(expression))
    checks.check("the line where a server starts", prometheus.problem(prometheus.as_grafana(pages.starts())))
    instances = prometheus.ask("label/instance/values", **{"match[]": "creditd_build_info"})
    checks.check("the variable of instances", "" if instances == [prometheus.target] else instances)
    fired = set()
    for rule in prometheus.rules():
        name = rule["name"]
        wrong = [] if rule["health"] == "ok" else [f"{rule['health']}: {rule.get('lastError', '')}"]
        if rule["type"] == "recording":
            wrong += filter(None, [prometheus.problem(name)])
        for selector in pages.selectors(rule["query"]) - MAY_BE_MISSING.keys():
            wrong += filter(None, [prometheus.problem(selector)])
        for alert in rule.get("alerts", []):
            texts = alert["annotations"].values()
            wrong += [text for text in texts if "error" in text and "expanding" in text]
        if prometheus.series(f'ALERTS{{alertname="{name}", alertstate="firing"}}'):
            fired.add(name)
        checks.check(f"rule {name}", wrong)
    checks.check(
        "alerts that fire", {f"{name} {'fires' if name in fired else 'does not'}" for name in fired ^ HAVE_TO_FIRE}
    )


def probes(checks: Checks, url: str) -> None:
    """What else the admin listener answers."""
    base = url.removesuffix("/metrics")
    for path in ("/livez", "/readyz"):
        status, _, text = get(base + path)
        checks.check(path, "" if (status, text.strip()) == (200, "ok") else f"{status} {text}")
    _, kind, text = get(url, "application/openmetrics-text; version=1.0.0")
    is_open = kind.startswith("application/openmetrics-text") and text.endswith("# EOF\n")
    checks.check("OpenMetrics is served to those who ask for it", "" if is_open else f"{kind}: {text[-40:]!r}")


def main(arguments: list[str]) -> int:
    if len(arguments) > 1:
        print("usage: scripts/observe.py [PROGRAM]", file=sys.stderr)
        return 2
    program = Path(arguments[0]).resolve() if arguments else SERVER
    start = time.monotonic()
    checks = Checks()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "prometheus").mkdir()
        server = Server(program, folder)
        stack.callback(server.stop)
        url = f"http://{server.admin}/metrics"
        prometheus = Prometheus(folder / "prometheus", server.admin)
        stack.callback(prometheus.stop)
        # Prometheus looks for what it is to scrape within 5 s; there is enough to do.
        files(checks)
        prometheus.wait_for("creditd_build_info")
        load = Load(server.address, server.authority, ADMIN_KEY)
        scrapes = observe(checks, server, load, prometheus, url)
        promtool(checks, "the scrape", "check", "metrics", given=scrapes[-1].text)
        probes(checks, url)
        compare_names(checks, scrapes[-1])
        compare_movement(checks, scrapes)
        compare_counts(checks, load, scrapes[-1])
        compare_privacy(checks, load, scrapes)
        compare_prometheus(checks, prometheus)
    print(f"{len(scrapes)} scrapes, {time.monotonic() - start:.0f} s")
    print(f"{checks.passed} checks passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
