"""Scrapes /metrics, and reads its text."""

from __future__ import annotations

import re
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

SECONDS_MAX = 10
# What a histogram has behind its name.
OF_HISTOGRAM = ("_bucket", "_sum", "_count")

Labels = tuple[tuple[str, str], ...]


@dataclass
class Scrape:
    """What a scrape had."""

    text: str
    # counter, gauge or histogram, by name.
    types: dict[str, str] = field(default_factory=dict)
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def names(self) -> set[str]:
        """Names that an expression can have."""
        return {name for name, _ in self.samples}

    def labels(self, family: str) -> set[str]:
        """Names of labels of a metric, but for that of buckets."""
        found = {
            label for name, labels in self.samples if self.family(name) == family for label, _ in labels if label != "le"
        }
        return found

    def family(self, name: str) -> str:
        """The metric that a sample belongs to."""
        for ending in OF_HISTOGRAM:
            base = name.removesuffix(ending)
            if base != name and self.types.get(base) == "histogram":
                return base
        return name

    def total(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels; 0 where there is none."""
        return sum(
            value
            for (found, having), value in self.samples.items()
            if found == name and labels.items() <= dict(having).items()
        )

    def by(self, name: str, *labels: str) -> dict[str, float]:
        """The sums of a metric by labels, without what is 0."""
        sums: dict[str, float] = {}
        for (found, having), value in self.samples.items():
            if found == name and value:
                key = " ".join(dict(having)[label] for label in labels)
                sums[key] = sums.get(key, 0) + value
        return sums


def read(text: str) -> Scrape:
    """Reads the text format of Prometheus."""
    scrape = Scrape(text)
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in scrape.types, f"{name} is there twice"
            scrape.types[name] = kind
        elif line and not line.startswith("#"):
            sample = re.fullmatch(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)", line)
            assert sample is not None, f"no sample: {line}"
            labels = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', sample[2] or "")
            key = sample[1], tuple(sorted(labels))
            assert key not in scrape.samples, f"twice: {line}"
            scrape.samples[key] = float(sample[3])
    return scrape


def get(url: str, accept: str = "") -> tuple[int, str, str]:
    """Status, content type and text."""
    request = urllib.request.Request(url, headers={"accept": accept} if accept else {})
    with urllib.request.urlopen(request, timeout=SECONDS_MAX) as reply:
        return reply.status, reply.headers["content-type"], reply.read().decode()


def scrape(url: str) -> Scrape:
    return read(get(url)[2])


@contextmanager
def all_the_while(url: str, scrapes: list[Scrape], pause_s: float = 0.05) -> Iterator[None]:
    """Scrapes again and again meanwhile."""
    over = threading.Event()
    failures: list[Exception] = []

    def look() -> None:
        while not over.wait(pause_s):
            try:
                scrapes.append(scrape(url))
            except Exception as error:  # noqa: BLE001 - it is raised below, by the thread that waits
                failures.append(error)
                return

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join(SECONDS_MAX)
    if failures:
        raise failures[0]
