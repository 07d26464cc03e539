"""Panels about calls: whether all is well, and what callers do."""

from panels.panel import Kind, Panel, quantile, rate, stat, yes

# Codes of calls that the server could not do. Other codes are the caller's own.
SERVER_ERRORS = "Unavailable|Internal|Unknown|DataLoss|DeadlineExceeded"
ERROR_RATIO = (
    f'(sum(rate(grpc_server_handled_total{{INSTANCE, grpc_code=~"{SERVER_ERRORS}"}}[$__rate_interval])) or vector(0))'
    " / (sum(rate(grpc_server_handled_total{INSTANCE}[$__rate_interval])) > 0)"
)
UNARY = 'grpc_type="unary"'
CHARGE = 'grpc_method="Charge"'

WELL = [
    stat(
        "Alerts that fire",
        "Those of deploy/prometheus/creditd.rules.yml. docs/alerts.md says what each means and what to do.",
        'count(ALERTS{alertname=~"Creditd.*", alertstate="firing", instance=~"$instance|"}) or vector(0)',
        unit="none",
        limits=(1,),
    ),
    yes("All are scraped", "Whether Prometheus reaches /metrics of every server.", "min(up{INSTANCE})"),
    yes(
        "Ledgers serve",
        "What health says of creditd.v1.LedgerService. No: the file cannot be written, or the clock is not believed;"
        " both have panels below. Prices go on.",
        'min(creditd_serving{INSTANCE, grpc_service="creditd.v1.LedgerService"})',
    ),
    stat(
        "Server errors",
        "Share of calls that ended by a code that is no fault of the caller: Unavailable, Internal, Unknown, DataLoss,"
        " DeadlineExceeded.",
        ERROR_RATIO,
        unit="percentunit",
        limits=(0.001, 0.01),
        no_value="no calls",
    ),
    stat(
        "Charge, p99",
        "How long 99 of 100 charges take at most, from their headers to the end of the reply, on disk included.",
        quantile(0.99, "grpc_server_handling_seconds", CHARGE, "grpc_method"),
        unit="s",
        limits=(0.1, 0.25),
        no_value="no charges",
    ),
    stat(
        "Calls",
        "Calls a second that ended, of all servers that are chosen.",
        "sum(rate(grpc_server_handled_total{INSTANCE}[$__rate_interval]))",
        unit="reqps",
    ),
    Panel(
        "Health of services",
        "What each service says of itself, as probes see it.",
        [("creditd_serving{INSTANCE}", "{{instance}} {{grpc_service}}")],
        kind=Kind.STATES,
        unit="none",
        width=12,
        yes_no=True,
        limits=(1,),
        less_is_worse=True,
    ),
    Panel(
        "Refusals by reason",
        "Refused calls and refused items of batches, a second. docs/errors.md explains each reason. SERVER_OVERLOADED,"
        " STORE_UNAVAILABLE, CLOCK_NOT_BELIEVED and INTERNAL are about the server; most others about callers.",
        [(rate("creditd_refusals_total", "reason"), "{{reason}}")],
        unit="reqps",
        width=12,
        stacked=True,
    ),
    Panel(
        "Server errors by code",
        "Share of all calls, by the code that they ended with.",
        [
            (
                rate("grpc_server_handled_total", "grpc_code", f'grpc_code=~"{SERVER_ERRORS}"')
                + " / ignoring(grpc_code) group_left() sum(rate(grpc_server_handled_total{INSTANCE}[$__rate_interval]))",
                "{{grpc_code}}",
            )
        ],
        unit="percentunit",
        stacked=True,
        limits=(0.01,),
    ),
    Panel(
        "p50 by method",
        "Median time of unary calls. A charge waits for the disk, an estimate for nothing.",
        [(quantile(0.5, "grpc_server_handling_seconds", UNARY, "grpc_method"), "{{grpc_method}}")],
        unit="s",
        logarithmic=True,
        minimum=None,
    ),
    Panel(
        "p99 by method",
        "How long 99 of 100 unary calls take at most. Where charges are slow, see Ledger: time in the queue says that"
        " there is too much to do, commits that the disk is slow.",
        [(quantile(0.99, "grpc_server_handling_seconds", UNARY, "grpc_method"), "{{grpc_method}}")],
        unit="s",
        logarithmic=True,
        limits=(0.25,),
        minimum=None,
    ),
]

TRAFFIC = [
    Panel(
        "Calls by method",
        "Calls a second that ended.",
        [(rate("grpc_server_handled_total", "grpc_method") + " > 0", "{{grpc_method}}")],
        unit="reqps",
        width=6,
        stacked=True,
    ),
    Panel(
        "Calls by code",
        "Calls a second by the code that they ended with. InvalidArgument, NotFound, FailedPrecondition and their kin are"
        " callers' mistakes, or too few credits.",
        [(rate("grpc_server_handled_total", "grpc_code"), "{{grpc_code}}")],
        unit="reqps",
        width=6,
        stacked=True,
    ),
    Panel(
        "Calls under way",
        "Calls that came in and have not ended, by method. Watches stay for as long as their callers want.",
        [
            (
                "sum by (grpc_method) (grpc_server_started_total{INSTANCE})"
                " - sum by (grpc_method) (grpc_server_handled_total{INSTANCE}) > 0",
                "{{grpc_method}}",
            )
        ],
        unit="none",
        width=6,
    ),
    Panel(
        "How long charges take",
        "Charges by how long they took; the darker, the more. Two bands are two kinds of charges, such as those that wait"
        " for a checkpoint.",
        [
            (
                f"sum by (le) (increase(grpc_server_handling_seconds_bucket{{INSTANCE, {CHARGE}}}[$__rate_interval]))",
                "{{le}}",
            )
        ],
        kind=Kind.HEAT,
        unit="s",
        width=6,
    ),
]
