"""Panels about the ledger: what it does for accounts, and how it does it."""

from panels.panel import Kind, Panel, halves, rate


def by_service(name: str) -> str:
    """Credits an hour by service and rate card, the 20 that are most; an amount of the caller's own has neither."""
    most = f"topk(20, {rate(name, 'service, rate_card')}) * 3600"
    return f'label_replace({most}, "service", "(amount)", "service", "")'


CREDITS = [
    Panel(
        "Credits spent, an hour",
        "Credits of charges and settled holds, by service and rate card; the 20 that are most. A service that stops here"
        " has stopped charging.",
        [(by_service("creditd_credits_spent_total"), "{{service}} {{rate_card}}")],
        width=12,
        stacked=True,
    ),
    Panel(
        "Credits granted, an hour",
        "By the service that the grant is for.",
        [(f"topk(20, {rate('creditd_credits_granted_total', 'service')}) * 3600", "for {{service}}")],
        width=6,
        stacked=True,
    ),
    Panel(
        "Credits refunded and expired, an hour",
        "What came back by refunds, by service and rate card, and what expired or was revoked unspent.",
        [
            (by_service("creditd_credits_refunded_total"), "refunded {{service}} {{rate_card}}"),
            (f"{rate('creditd_credits_expired_total', 'instance')} * 3600", "{{instance}} expired"),
        ],
        width=6,
    ),
    Panel(
        "Entries by kind",
        "Entries of the ledger that were written, a second.",
        [(rate("creditd_entries_total", "kind"), "{{kind}}")],
        unit="ops",
        width=8,
        stacked=True,
    ),
    Panel(
        "Open holds",
        "Holds that are neither settled, released nor expired. A line that only rises is work that never settles.",
        [("creditd_holds_open{INSTANCE}", "{{instance}}")],
        unit="none",
    ),
    Panel(
        "Replays",
        "Writes a second that were answered again for a request_id that is known. Many are clients that send again"
        " without need, or after timeouts.",
        [(rate("creditd_replays_total", "instance"), "{{instance}}")],
        unit="ops",
    ),
]

LEDGER = [
    Panel(
        "Commands in the queue",
        "Writes and reads that wait for the writer. Single writes beyond 12,288 are refused.",
        [("creditd_store_queue_commands{INSTANCE}", "{{instance}}")],
        unit="none",
        width=6,
    ),
    Panel(
        "Time in the queue",
        "How long a command waited for its group. From 100 ms that last, the ledger counts as overloaded and refuses.",
        halves("creditd_store_queue_seconds"),
        unit="s",
        width=6,
        limits=(0.05,),
    ),
    Panel(
        "Commands in a commit",
        "How many commands shared a commit. Larger groups under load are as it should be: they share one sync.",
        halves("creditd_store_group_commands"),
        unit="none",
        width=6,
    ),
    Panel(
        "Commits",
        "Groups a second that were made durable, and groups that could not be.",
        [
            (rate("creditd_store_commit_seconds_count", "instance"), "{{instance}}"),
            (rate("creditd_store_failed_commits_total", "instance"), "{{instance}} failed"),
        ],
        unit="ops",
        width=6,
    ),
    Panel(
        "Making and writing rows",
        "Of a group, before its COMMIT: mostly processor time.",
        halves("creditd_store_write_seconds"),
        unit="s",
        width=6,
    ),
    Panel(
        "COMMIT",
        "With its sync: how slow the disk is.",
        halves("creditd_store_commit_seconds"),
        unit="s",
        width=6,
        limits=(0.1,),
    ),
    Panel(
        "Checkpoints",
        "How long the pages of the WAL take into the file. Nobody waits for them.",
        halves("creditd_store_checkpoint_seconds"),
        unit="s",
        width=6,
    ),
    Panel(
        "WAL",
        "What is not in the data file itself yet. Beyond 256 MiB a reader, such as a backup, or a slow disk keeps"
        " checkpoints from ending.",
        [("creditd_store_wal_bytes{INSTANCE}", "{{instance}}")],
        unit="bytes",
        width=6,
        limits=(268435456,),
    ),
    Panel(
        "Data file",
        "It only grows: entries are never deleted.",
        [("creditd_store_file_bytes{INSTANCE}", "{{instance}}")],
        unit="bytes",
        width=6,
    ),
    Panel(
        "Disk free",
        "Where the data file is. Without room, writes are refused.",
        [("creditd_store_disk_free_bytes{INSTANCE}", "{{instance}}")],
        unit="bytes",
        width=6,
        limits=(1073741824,),
        less_is_worse=True,
    ),
    Panel(
        "Accounts",
        "In the ledger, and in memory (--accounts-in-memory-max).",
        [
            ("creditd_accounts{INSTANCE}", "{{instance}} in the ledger"),
            ("creditd_accounts_in_memory{INSTANCE}", "{{instance}} in memory"),
            ("creditd_accounts_in_memory_max{INSTANCE}", "{{instance}} in memory, at most"),
        ],
        unit="none",
        width=6,
    ),
    Panel(
        "Accounts found in memory",
        "Share of looked up accounts that were in memory; others are read from the file, each by some reads of the disk.",
        [
            (
                "{hits} / ({hits} + {misses})".format(
                    hits=rate("creditd_account_cache_hits_total", "instance"),
                    misses=rate("creditd_account_cache_misses_total", "instance"),
                ),
                "{{instance}}",
            )
        ],
        unit="percentunit",
        width=6,
        maximum=1,
    ),
    Panel(
        "Memory for request_ids",
        "For finding request_ids (--request-id-memory-mib-max). At the limit the oldest are looked up in the file: slower,"
        " and the same answer.",
        [
            ("creditd_request_id_memory_bytes{INSTANCE}", "{{instance}}"),
            ("creditd_request_id_memory_max_bytes{INSTANCE}", "{{instance}}, at most"),
        ],
        unit="bytes",
        width=12,
    ),
    Panel(
        "The file can be written",
        "No: the disk is full or fails, another program locks the file, or it was taken away. The log says which;"
        " docs/data-file.md says what to do.",
        [("creditd_store_writable{INSTANCE}", "{{instance}}")],
        kind=Kind.STATES,
        unit="none",
        width=12,
        yes_no=True,
        limits=(1,),
        less_is_worse=True,
    ),
]
