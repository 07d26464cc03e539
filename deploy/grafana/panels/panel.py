"""A panel of the dashboard, and expressions that several panels have."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    """Grafana's own kinds of panels, by their names there."""

    STAT = "stat"
    SERIES = "timeseries"
    STATES = "state-timeline"
    HEAT = "heatmap"
    TABLE = "table"


@dataclass(frozen=True)
class Panel:
    """One panel: its queries with the legend of each."""

    title: str
    description: str
    queries: list[tuple[str, str]]
    kind: Kind = Kind.SERIES
    unit: str = "short"
    width: int = 8
    height: int = 8
    stacked: bool = False
    logarithmic: bool = False
    # Where the color changes: one for bad, two for warning and bad.
    limits: tuple[float, ...] = ()
    less_is_worse: bool = False
    # 0 and 1 are shown as no and yes.
    yes_no: bool = False
    no_value: str = ""
    minimum: float | None = 0
    maximum: float | None = None


def quantile(share: float, name: str, labels: str = "", by: str = "instance") -> str:
    """An estimate of a quantile from a histogram's buckets; nothing, and not NaN, where there was nothing to measure."""
    selected = f"INSTANCE, {labels}" if labels else "INSTANCE"
    return f"histogram_quantile({share}, sum by (le, {by}) (rate({name}_bucket{{{selected}}}[$__rate_interval]))) > 0"


def halves(name: str) -> list[tuple[str, str]]:
    """Median and 99th percentile of a histogram, for each server."""
    return [(quantile(0.5, name), "{{instance}} p50"), (quantile(0.99, name), "{{instance}} p99")]


def rate(name: str, by: str, labels: str = "") -> str:
    selected = f"INSTANCE, {labels}" if labels else "INSTANCE"
    return f"sum by ({by}) (rate({name}{{{selected}}}[$__rate_interval]))"


def stat(title: str, description: str, expression: str, **more: object) -> Panel:
    return Panel(title, description, [(expression, "")], kind=Kind.STAT, width=4, height=4, **more)  # type: ignore[arg-type]


def yes(title: str, description: str, expression: str) -> Panel:
    return stat(title, description, expression, unit="none", yes_no=True, limits=(1,), less_is_worse=True, maximum=1)


def share(name: str) -> str:
    return f"creditd_{name}{{INSTANCE}} / creditd_{name}_max{{INSTANCE}}"
