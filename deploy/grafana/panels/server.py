"""Panels about the server: its limits, its process, its upkeep."""

from panels.panel import Kind, Panel, rate, share

LIMITS = [
    Panel(
        "Use of limits",
        "As shares of --calls-max, --call-memory-mib-max, --connections-max, --watchers-max and of open files. At 1, what"
        " comes is refused.",
        [
            (share("calls"), "{{instance}} calls"),
            (
                "creditd_call_memory_bytes{INSTANCE} / creditd_call_memory_max_bytes{INSTANCE}",
                "{{instance}} memory of calls",
            ),
            (share("connections"), "{{instance}} connections"),
            (share("watchers"), "{{instance}} watchers"),
            (
                "process_open_fds{INSTANCE} / process_max_fds{INSTANCE}",
                "{{instance}} file descriptors",
            ),
        ],
        unit="percentunit",
        width=24,
        limits=(0.8, 0.95),
        maximum=1,
    ),
    Panel("Calls in flight", "Permits in use.", [("creditd_calls{INSTANCE}", "{{instance}}")], unit="none", width=6),
    Panel(
        "Memory of calls",
        "Of requests and replies that are under way.",
        [("creditd_call_memory_bytes{INSTANCE}", "{{instance}}")],
        unit="bytes",
        width=6,
    ),
    Panel("Connections", "That are open.", [("creditd_connections{INSTANCE}", "{{instance}}")], unit="none", width=6),
    Panel(
        "Watched balances", "WatchBalance calls.", [("creditd_watchers{INSTANCE}", "{{instance}}")], unit="none", width=6
    ),
]

PROCESS = [
    Panel(
        "Processor",
        "Cores in use. The ledger's writer is one thread: a ledger that needs more than a core is at its end.",
        [("rate(process_cpu_seconds_total{INSTANCE}[$__rate_interval])", "{{instance}}")],
        unit="none",
        width=6,
    ),
    Panel(
        "Resident memory",
        "Accounts in memory, filters of request_ids, calls.",
        [("process_resident_memory_bytes{INSTANCE}", "{{instance}}")],
        unit="bytes",
        width=6,
    ),
    Panel(
        "File descriptors",
        "One for each connection, and some for files.",
        [
            ("process_open_fds{INSTANCE}", "{{instance}}"),
            ("process_max_fds{INSTANCE}", "{{instance}}, at most"),
        ],
        unit="none",
        width=6,
        logarithmic=True,
        minimum=None,
    ),
    Panel(
        "Threads",
        "A few, and as many as before.",
        [("process_threads{INSTANCE}", "{{instance}}")],
        unit="none",
        width=6,
    ),
    Panel(
        "Time since the start",
        "A saw is a server that ends and is started again: its log has the reason.",
        [("time() - process_start_time_seconds{INSTANCE}", "{{instance}}")],
        unit="s",
        width=8,
    ),
    Panel(
        "Address space",
        "Mapped files are in it: it says little about memory.",
        [("process_virtual_memory_bytes{INSTANCE}", "{{instance}}")],
        unit="bytes",
        width=8,
    ),
    Panel(
        "Versions",
        "Which creditd runs where.",
        [("creditd_build_info{INSTANCE}", "")],
        kind=Kind.TABLE,
        unit="none",
        width=8,
    ),
]

UPKEEP = [
    Panel(
        "Since the last backup",
        "Nothing is shown where there never was one.",
        [("time() - (creditd_last_backup_timestamp_seconds{INSTANCE} > 0)", "{{instance}}")],
        unit="s",
        limits=(93600,),
        no_value="never",
    ),
    Panel(
        "Since the last audit",
        "Nothing is shown where there never was one.",
        [("time() - (creditd_last_audit_timestamp_seconds{INSTANCE} > 0)", "{{instance}}")],
        unit="s",
        limits=(691200,),
        no_value="never",
    ),
    Panel(
        "Until the certificate expires",
        "Of the certificate that the server shows. Nothing is shown without TLS.",
        [("creditd_tls_certificate_expiry_timestamp_seconds{INSTANCE} - time()", "{{instance}}")],
        unit="s",
        limits=(172800, 1209600),
        less_is_worse=True,
        no_value="no TLS",
        minimum=None,
    ),
    Panel(
        "The clock is believed",
        "No: wall time and the time since boot have come apart, and nothing is written. docs/clock.md says what to do.",
        [("creditd_clock_believed{INSTANCE}", "{{instance}}")],
        kind=Kind.STATES,
        unit="none",
        yes_no=True,
        limits=(1,),
        less_is_worse=True,
    ),
    Panel(
        "Reloads",
        "By SIGHUP; of one that was refused the log says why, and what was in force stays.",
        [
            (
                "sum by (instance, outcome) (increase(creditd_reloads_total{INSTANCE}[$__rate_interval]))",
                "{{instance}} {{outcome}}",
            )
        ],
        unit="none",
    ),
    Panel(
        "Lines of the log that were dropped",
        "A second: who reads the log is slower than it is written.",
        [(rate("creditd_log_lines_dropped_total", "instance"), "{{instance}}")],
        unit="ops",
        limits=(0.001,),
    ),
    Panel(
        "Spans of traces",
        "A second: what the collector took, and what it did not take in time. The log has the cause.",
        [
            (rate("creditd_trace_spans_sent_total", "instance"), "{{instance}} sent"),
            (rate("creditd_trace_spans_dropped_total", "instance"), "{{instance}} dropped"),
        ],
        unit="ops",
    ),
]
