"""The format of ../scenarios: reading it, its variables, and comparing. Knows no client."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tests.support.server import REPOSITORY

DIRECTORY = REPOSITORY / "clients" / "scenarios"
CLIENT = "python"

_SCENARIO_KEYS = {"name", "steps", "only", "key"}
_STEP_KEYS = {"call", "request", "key", "reply", "refusal", "save"}
_TEXT_KEYS = {"text_of", "with"}
_REFUSAL_KEYS = {"code", "reason", "metadata", "fields"}
_VARIABLE = re.compile(r"\$\{(repeat:.*?:\d+|[^{}]+)\}", re.DOTALL)
_NOW = re.compile(r"now(?:([+-])((?:\d+(?:ms|s|m|h|d))+))?")
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class Scenario:
    """One scenario, as it stands in its file."""

    name: str
    path: Path
    steps: list[dict[str, Any]]
    key: str | None = None


@dataclass(frozen=True)
class Refusal:
    """A call or an item that was refused, in the terms of the format."""

    code: str
    reason: str
    metadata: Mapping[str, str]
    fields: list[str]


def read_scenarios(directory: Path = DIRECTORY) -> list[Scenario]:
    """All scenarios that run for this client, by file and place in it."""
    scenarios = []
    for path in sorted(directory.glob("*.json")):
        for entry in json.loads(path.read_text()):
            unknown = entry.keys() - _SCENARIO_KEYS
            assert not unknown, f"{path.name}: {entry['name']} has unknown keys {unknown}"
            keyed = any("key" in step for step in entry["steps"])
            assert "key" in entry or not keyed, f"{path.name}: {entry['name']} has no key itself"
            if CLIENT in entry.get("only", [CLIENT]):
                scenarios.append(Scenario(entry["name"], path, entry["steps"], entry.get("key")))
    return scenarios


def check_step_form(step: Mapping[str, Any]) -> None:
    """Fails on a step with unknown keys, so that a typing error is noticed."""
    assert not step.keys() - _STEP_KEYS, f"unknown keys {step.keys() - _STEP_KEYS}"
    assert ("reply" in step) != ("refusal" in step), "a step has one of reply and refusal"
    assert not step.get("refusal", {}).keys() - _REFUSAL_KEYS, "unknown keys in refusal"


@dataclass
class Variables:
    """The variables of one scenario: its account, times, values that steps saved."""

    account: str
    saved: dict[str, Any] = field(default_factory=dict)

    def fill(self, value: Any, now: datetime) -> Any:
        """`value` with all variables and repeated items written out."""
        if isinstance(value, str):
            return self._fill_text(value, now)
        if isinstance(value, list):
            return [item for entry in value for item in self._repeated(self.fill(entry, now))]
        if isinstance(value, dict) and "text_of" in value:
            return self._text_of_file(value, now)
        if isinstance(value, dict):
            return {self._fill_text(key, now): self.fill(one, now) for key, one in value.items()}
        return value

    def save(self, paths: Mapping[str, str], reply: Any) -> None:
        """Saves the values of the reply that `paths` names."""
        for name, path in paths.items():
            value = reply
            for part in path.split("."):
                value = value[int(part)] if isinstance(value, list) else value[part]
            self.saved[name] = value

    def _text_of_file(self, value: Mapping[str, Any], now: datetime) -> Any:
        assert not value.keys() - _TEXT_KEYS, f"unknown keys {value.keys() - _TEXT_KEYS}"
        given = self.fill(value.get("with", {}), now)
        text = (DIRECTORY / value["text_of"]).read_text()
        return Variables(self.account, self.saved | given).fill(text, now)

    @staticmethod
    def _repeated(item: Any) -> list[Any]:
        if isinstance(item, dict) and item.keys() == {"repeat", "item"}:
            return [item["item"]] * item["repeat"]
        return [item]

    def _fill_text(self, text: str, now: datetime) -> Any:
        whole = _VARIABLE.fullmatch(text)
        if whole:
            # Alone in its text, a saved number stays a number.
            return self._value(whole[1], now)
        return _VARIABLE.sub(lambda match: str(self._value(match[1], now)), text)

    def _value(self, name: str, now: datetime) -> Any:
        if name == "account":
            return self.account
        if name.startswith("repeat:"):
            text, _, times = name.removeprefix("repeat:").rpartition(":")
            return text * int(times)
        moved = _NOW.fullmatch(name)
        if moved:
            return _moved(now, moved[1], moved[2] or "")
        return self.saved[name]


def _moved(now: datetime, sign: str, by: str) -> str:
    parts = {_UNITS[unit]: int(number) for number, unit in re.findall(r"(\d+)([a-z]+)", by)}
    delta = timedelta(**parts)
    time = now - delta if sign == "-" else now + delta
    return time.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def mismatches(expected: Any, actual: Any, path: str) -> list[str]:
    """Where `actual` is not what a reply must be; empty where it is. Paths start with `path`."""
    if isinstance(expected, dict):
        return _object_mismatches(expected, actual, path)
    if isinstance(expected, list):
        have = [] if actual is None else actual
        if not isinstance(have, list) or len(have) != len(expected):
            return [f"{path}: want {len(expected)} elements, have {have!r}"]
        pairs = enumerate(zip(expected, have, strict=True))
        return [bad for n, (want, one) in pairs for bad in mismatches(want, one, f"{path}.{n}")]
    if expected == "*":
        return [] if actual else [f"{path}: want any value, have {actual!r}"]
    if actual is None and not expected:
        return []
    if type(actual) is type(expected) and actual == expected:
        return []
    return [f"{path}: want {expected!r}, have {actual!r}"]


def refusal_mismatches(expected: Mapping[str, Any], actual: Any, path: str) -> list[str]:
    """The same for a refusal."""
    if not isinstance(actual, Refusal):
        return [f"{path}: want the refusal {expected}, have {actual!r}"]
    bad = [
        f"{path}.{key}: want {expected[key]!r}, have {getattr(actual, key)!r}"
        for key in ("code", "reason")
        if key in expected and expected[key] != getattr(actual, key)
    ]
    bad += [
        f"{path}.metadata.{key}: want {value!r}, have {actual.metadata.get(key)!r}"
        for key, value in expected.get("metadata", {}).items()
        if not (actual.metadata.get(key) == value or (value == "*" and actual.metadata.get(key)))
    ]
    if "fields" in expected and sorted(expected["fields"]) != sorted(actual.fields):
        bad.append(f"{path}.fields: want {expected['fields']}, have {actual.fields}")
    return bad


def _object_mismatches(expected: Mapping[str, Any], actual: Any, path: str) -> list[str]:
    have = {} if actual is None else actual
    if not isinstance(have, Mapping):
        return [f"{path}: want an object, have {have!r}"]
    bad = []
    for key, want in expected.items():
        compare = refusal_mismatches if key == "refusal" else mismatches
        bad += compare(want, have.get(key), f"{path}.{key}")
    return bad
