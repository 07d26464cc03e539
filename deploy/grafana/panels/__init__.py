"""The panels of the dashboard, row by row: what each asks, and what it tells somebody on call.

INSTANCE in an expression stands for the chosen servers. Limits are those of
../prometheus/creditd.rules.yml where there is an alert.
"""

from panels.calls import TRAFFIC, WELL
from panels.ledger import CREDITS, LEDGER
from panels.panel import Kind, Panel
from panels.server import LIMITS, PROCESS, UPKEEP

__all__ = ["ROWS", "Kind", "Panel"]

ROWS: list[tuple[str, list[Panel]]] = [
    ("Is it well?", WELL),
    ("Traffic", TRAFFIC),
    ("Credits", CREDITS),
    ("Ledger", LEDGER),
    ("Limits", LIMITS),
    ("Process", PROCESS),
    ("Backups, clock and certificates", UPKEEP),
]
