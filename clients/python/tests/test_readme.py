"""The examples of README.md run, in their order, and print what stands below them."""

import io
import re
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from tests.support.server import running_server

README = Path(__file__).resolve().parents[1] / "README.md"
ADDRESS = "127.0.0.1:50051"

_EXAMPLE = re.compile(
    r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Example:
    """One block of code and what it prints."""

    line: int
    code: str
    output: str


def _examples(text: str) -> list[Example]:
    return [
        Example(text.count("\n", 0, match.start(1)), match[1], match[2] or "")
        for match in _EXAMPLE.finditer(text)
    ]


def test_examples(tmp_path: Path) -> None:
    examples = _examples(README.read_text())
    assert examples, "README.md has no examples"
    with running_server(tmp_path) as address:
        for example in examples:
            assert ADDRESS in example.code, "an example names the address, so that it runs here"
            # Empty lines, so that a traceback has the lines of README.md.
            source = "\n" * example.line + example.code.replace(ADDRESS, address)
            printed = io.StringIO()
            with redirect_stdout(printed):
                exec(compile(source, README, "exec"), {"__name__": "__main__"})  # noqa: S102
            assert printed.getvalue() == example.output, f"README.md, line {example.line}"
