"""The examples of README.md run, in their order, and print what stands below them."""

import io
import re
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.server import ADMIN_KEY, running_server, running_server_with_keys

README = Path(__file__).resolve().parents[1] / "README.md"
ADDRESS = "127.0.0.1:50051"
# Its examples run on a server that asks for keys.
SECTION_WITH_KEYS = "Keys"

_EXAMPLE = re.compile(
    r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE
)

_SECTION = re.compile(r"^## (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """One block of code and what it prints."""

    section: str
    line: int
    code: str
    output: str


def _examples(text: str) -> list[Example]:
    return [
        Example(
            ["", *_SECTION.findall(text, 0, match.start())][-1],
            text.count("\n", 0, match.start(1)),
            match[1],
            match[2] or "",
        )
        for match in _EXAMPLE.finditer(text)
    ]


def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = _examples(README.read_text())
    assert examples, "README.md has no examples"
    with_keys = tmp_path / "keys"
    with_keys.mkdir()
    (tmp_path / "key").write_text(f"{ADMIN_KEY}\n")
    monkeypatch.setenv("CREDITD_ADMIN_KEY", ADMIN_KEY)
    monkeypatch.setenv("CREDITD_KEY_FILE", str(tmp_path / "key"))
    with running_server(tmp_path) as open_to_all, running_server_with_keys(with_keys) as asking:
        assert any(example.section == SECTION_WITH_KEYS for example in examples)
        for example in examples:
            address = asking if example.section == SECTION_WITH_KEYS else open_to_all
            assert ADDRESS in example.code, "an example names the address, so that it runs here"
            # Empty lines, so that a traceback has the lines of README.md.
            source = "\n" * example.line + example.code.replace(ADDRESS, address)
            printed = io.StringIO()
            with redirect_stdout(printed):
                exec(compile(source, README, "exec"), {"__name__": "__main__"})  # noqa: S102
            assert printed.getvalue() == example.output, f"README.md, line {example.line}"
