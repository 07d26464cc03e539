"""What a reload of a server's configuration took."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ConfigChange", "ReloadConfigResult"]


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """Something that is another than before; an empty `before` or `after` means none."""

    what: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class ReloadConfigResult:
    """What changed, and which options of the file only a restart takes."""

    changes: tuple[ConfigChange, ...]
    need_restart: tuple[ConfigChange, ...]
