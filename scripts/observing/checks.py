"""Counts what holds and what does not, and says so."""

from __future__ import annotations

from collections.abc import Mapping


class Checks:
    """What was checked so far."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def check(self, what: str, wrong: object = "") -> bool:
        """Counts a check: `wrong` is empty where it holds, and otherwise says what is not as it should be."""
        if not wrong:
            self.passed += 1
            return True
        self.failed += 1
        print(f"wrong: {what}:")
        lines = [str(line) for line in wrong] if isinstance(wrong, (list, set, tuple)) else [str(wrong)]
        for line in lines:
            print(f"    {line}")
        return False

    def same(self, what: str, is_so: Mapping[str, object], expected: Mapping[str, object]) -> bool:
        """Counts a check that two tables are the same."""
        keys = sorted(is_so.keys() | expected.keys())
        wrong = [
            f"{key}: {is_so.get(key, 'nothing')}, not {expected.get(key, 'nothing')}"
            for key in keys
            if is_so.get(key) != expected.get(key)
        ]
        return self.check(what, wrong)
