#!/usr/bin/env python3
"""Writes creditd.json, the dashboard for Grafana, from the table of panels in panels.py.

--check writes nothing, and fails where the file is another than it would be. No expression of
the dashboard needs the recording rules: it works with nothing but a scrape.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from panels import ROWS, Kind, Panel

FILE = Path(__file__).resolve().parent / "creditd.json"
SCHEMA_VERSION = 42
COLUMNS = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
PAGES = "https://github.com/creditd/creditd/blob/main/docs"

# What 0 and 1 say, where they are no numbers.
YES_NO = {"0": ("no", "red"), "1": ("yes", "green")}


def mappings(words: dict[str, tuple[str, str]]) -> list[dict[str, Any]]:
    options = {
        value: {"text": text, "color": color, "index": index} for index, (value, (text, color)) in enumerate(words.items())
    }
    return [{"type": "value", "options": options}]


def thresholds(panel: Panel) -> dict[str, Any]:
    """Green, and from each limit on another color; or the other way round where less is worse."""
    colors = ["green", "orange", "red"] if len(panel.limits) == 2 else ["green", "red"]
    limits: list[float] = sorted(panel.limits)
    if panel.less_is_worse:
        colors.reverse()
    steps: list[dict[str, Any]] = [{"color": colors[0], "value": None}]
    steps += [{"color": color, "value": limit} for color, limit in zip(colors[1:], limits, strict=False)]
    return {"mode": "absolute", "steps": steps}


def field_config(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "thresholds": thresholds(panel), "mappings": []}
    if panel.yes_no:
        defaults["mappings"] = mappings(YES_NO)
    if panel.no_value:
        defaults["noValue"] = panel.no_value
    if panel.minimum is not None:
        defaults["min"] = panel.minimum
    if panel.maximum is not None:
        defaults["max"] = panel.maximum
    if panel.kind is Kind.SERIES:
        defaults["color"] = {"mode": "palette-classic"}
        defaults["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 30 if panel.stacked else 5,
            "showPoints": "auto",
            "spanNulls": False,
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "scaleDistribution": {"type": "log", "log": 10} if panel.logarithmic else {"type": "linear"},
            "thresholdsStyle": {"mode": "dashed" if panel.limits else "off"},
        }
    if panel.kind in (Kind.STAT, Kind.STATES):
        defaults["color"] = {"mode": "thresholds"}
    if panel.kind is Kind.STATES:
        defaults["custom"] = {"fillOpacity": 70, "lineWidth": 0}
    return {"defaults": defaults, "overrides": []}


def options(panel: Panel) -> dict[str, Any]:
    match panel.kind:
        case Kind.SERIES:
            legend = {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]}
            return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
        case Kind.STAT:
            return {
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
                "colorMode": "background",
                "graphMode": "none" if panel.yes_no else "area",
                "justifyMode": "auto",
                "orientation": "auto",
                "textMode": "value",
                "wideLayout": True,
                "showPercentChange": False,
                "percentChangeColorMode": "standard",
            }
        case Kind.STATES:
            legend = {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []}
            tooltip = {"mode": "single", "sort": "none"}
            return {"showValue": "never", "mergeValues": True, "rowHeight": 0.8, "legend": legend, "tooltip": tooltip}
        case Kind.HEAT:
            color = {"mode": "scheme", "scheme": "Oranges", "fill": "dark-orange", "steps": 64, "reverse": False}
            color |= {"scale": "exponential", "exponent": 0.5}
            return {
                "calculate": False,
                "cellGap": 1,
                "color": color,
                "showValue": "never",
                "exemplars": {"color": "rgba(255,0,255,0.7)"},
                "filterValues": {"le": 1e-9},
                "legend": {"show": True},
                "rowsFrame": {"layout": "auto"},
                "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": False},
                "yAxis": {"axisPlacement": "left", "reverse": False, "unit": panel.unit},
            }
        case Kind.TABLE:
            return {"showHeader": True, "cellHeight": "sm", "frameIndex": 0}


def targets(panel: Panel) -> list[dict[str, Any]]:
    made = []
    for index, (expression, legend) in enumerate(panel.queries):
        made.append(
            {
                "refId": chr(ord("A") + index),
                "datasource": DATASOURCE,
                "expr": expression.replace("INSTANCE", 'instance=~"$instance"'),
                "legendFormat": legend,
                "editorMode": "code",
                "format": {Kind.HEAT: "heatmap", Kind.TABLE: "table"}.get(panel.kind, "time_series"),
                "instant": panel.kind is Kind.TABLE,
                "range": panel.kind is not Kind.TABLE,
            }
        )
    return made


def panel_json(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    made = {
        "id": number,
        "type": panel.kind.value,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
        "targets": targets(panel),
        "fieldConfig": field_config(panel),
        "options": options(panel),
    }
    if panel.kind is Kind.TABLE:
        # A column for each label that says something; one without a value is not shown.
        hidden = dict.fromkeys(["Time", "__name__", "job", "Value"], True)
        made["transformations"] = [{"id": "organize", "options": {"excludeByName": hidden}}]
    return made


def panels() -> list[dict[str, Any]]:
    """All rows and their panels, from left to right and from top to bottom."""
    made: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS:
        grid = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        made.append({"id": len(made) + 1, "type": "row", "title": title, "collapsed": False, "gridPos": grid, "panels": []})
        x, y, height = 0, y + 1, 0
        for panel in row:
            if x + panel.width > COLUMNS:
                x, y, height = 0, y + height, 0
            made.append(panel_json(panel, len(made) + 1, x, y))
            x, height = x + panel.width, max(height, panel.height)
        y += height
    return made


def variables() -> list[dict[str, Any]]:
    return [
        {
            "name": "datasource",
            "label": "Data source",
            "type": "datasource",
            "query": "prometheus",
            "refresh": 1,
            "regex": "",
            "hide": 0,
            "multi": False,
            "includeAll": False,
            "current": {"text": "", "value": ""},
            "options": [],
        },
        {
            "name": "instance",
            "label": "Instance",
            "type": "query",
            "datasource": DATASOURCE,
            "definition": "label_values(creditd_build_info, instance)",
            "query": {"query": "label_values(creditd_build_info, instance)", "refId": "instances"},
            # At each change of the time range: of a server that is down, earlier times know.
            "refresh": 2,
            "regex": "",
            "sort": 1,
            "hide": 0,
            "multi": True,
            "includeAll": True,
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
            "options": [],
        },
    ]


def starts() -> list[dict[str, Any]]:
    """A line where a server started."""
    return [
        {
            "name": "Starts",
            "datasource": DATASOURCE,
            "enable": True,
            "hide": False,
            "iconColor": "purple",
            "expr": 'process_start_time_seconds{instance=~"$instance"} * 1000',
            "useValueForTime": True,
            "titleFormat": "Start",
            "textFormat": "{{instance}}",
            "step": "60s",
        }
    ]


def links() -> list[dict[str, Any]]:
    pages = {"Alerts, and what to do": "alerts.md", "All metrics": "metrics.md", "Limits": "limits.md"}
    common = {"type": "link", "icon": "doc", "tooltip": "", "tags": [], "targetBlank": True}
    common |= {"asDropdown": False, "includeVars": False, "keepTime": False}
    return [{"title": title, "url": f"{PAGES}/{page}", **common} for title, page in pages.items()]


def dashboard() -> dict[str, Any]:
    return {
        "uid": "creditd",
        "title": "creditd",
        "description": "What somebody on call asks of creditd, from its own /metrics.",
        "tags": ["creditd"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        # The crosshair is shared by all panels.
        "graphTooltip": 1,
        "fiscalYearStartMonth": 0,
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "refresh": "30s",
        "links": links(),
        "annotations": {"list": starts()},
        "templating": {"list": variables()},
        "panels": panels(),
    }


def main(arguments: list[str]) -> int:
    text = json.dumps(dashboard(), indent=1) + "\n"
    if arguments == ["--check"]:
        if FILE.read_text() == text:
            return 0
        print(f"{FILE.name} is not what {Path(__file__).name} writes; run it, and commit both", file=sys.stderr)
        return 1
    if arguments:
        print(f"usage: {Path(__file__).name} [--check]", file=sys.stderr)
        return 2
    FILE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
