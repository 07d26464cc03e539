#!/usr/bin/env python3
"""Gives random bytes to every parser of outside bytes, by cargo-fuzz, for a bounded time.

scripts/fuzz.py                              every target for a minute each
scripts/fuzz.py requests cards --seconds 600 two of them, for ten minutes each
scripts/fuzz.py requests --keep              what reaches new code is added to fuzz/corpus

What a run finds is kept in fuzz/target/found, and the next run goes on from there. A target
that fails leaves its input in fuzz/artifacts: put it into the target's corpus under a name that
says what it is, see "cargo test --test it fuzz" fail, and mend what is wrong.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
FUZZ = REPO / "fuzz"
TARGETS = sorted(file.stem for file in (FUZZ / "fuzz_targets").glob("*.rs"))

INSTALL = "make fuzz needs a nightly compiler and cargo-fuzz: rustup toolchain install nightly; cargo install cargo-fuzz"
# Largest input, longest run of one, and most memory: of one allocation, and of the process.
LIMITS = ["-max_len=16384", "-timeout=20", "-malloc_limit_mb=512", "-rss_limit_mb=4096"]


def folders(target: str) -> list[Path]:
    """The target's own corpus, and what corpora.txt adds to it."""
    lines = (FUZZ / "corpora.txt").read_text().splitlines()
    added = [line.split(": ")[1].split() for line in lines if line.startswith(f"{target}: ")]
    return [FUZZ / "corpus" / target, *(REPO / folder for folders in added for folder in folders)]


def installed() -> bool:
    """Whether cargo-fuzz and a nightly compiler are here."""
    if not shutil.which("cargo-fuzz"):
        return False
    version = subprocess.run(["cargo", "+nightly", "--version"], capture_output=True, check=False)
    return version.returncode == 0


def fuzz(target: str, sanitizer: str, folders: list[Path], options: list[str]) -> int:
    """Runs a target over these folders; what it finds goes into the first."""
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    command = ["cargo", "+nightly", "fuzz", "run", "--sanitizer", sanitizer, target, *map(str, folders)]
    return subprocess.run([*command, "--", *LIMITS, *options], cwd=REPO, check=False).returncode


def keep(target: str, sanitizer: str, found: Path) -> int:
    """Adds to the target's corpus what was found and reaches code that nothing in it reaches."""
    own, *added = folders(target)
    # What is there is read first, so that nothing of it is added again.
    with_added = FUZZ / "target" / "merged" / target
    shutil.rmtree(with_added, ignore_errors=True)
    with_added.mkdir(parents=True)
    for folder in [own, *added]:
        for file in folder.rglob("*"):
            if file.is_file():
                shutil.copy(file, with_added / str(file.relative_to(REPO)).replace("/", "-"))
    known = set(with_added.glob("*"))
    # As few as reach all code that was found; how often they reach it does not count.
    status = fuzz(target, sanitizer, [with_added, found], ["-set_cover_merge=1", "-use_counters=0"])
    for file in set(with_added.glob("*")) - known:
        name = own / f"found-{file.name[:8]}"
        shutil.copy(file, name)
        print(f"kept {name.relative_to(REPO)}, {file.stat().st_size} bytes")
    return status


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the parsers of outside bytes.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"which; all: {' '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=60, help="how long each runs [default: 60]")
    parser.add_argument("--sanitizer", default="address", help="address, or none, which is faster [default: address]")
    parser.add_argument("--keep", action="store_true", help="add what reaches new code to fuzz/corpus")
    args = parser.parse_args()
    for target in args.targets:
        if target not in TARGETS:
            parser.error(f"no target {target}; there are: {' '.join(TARGETS)}")
    if not installed():
        print(INSTALL, file=sys.stderr)
        return 1
    failed = []
    for target in args.targets or TARGETS:
        print(f"{target}, {args.seconds} s", flush=True)
        found = FUZZ / "target" / "found" / target
        options = [f"-max_total_time={args.seconds}", "-print_final_stats=1"]
        status = fuzz(target, args.sanitizer, [found, *folders(target)], options)
        if status == 0 and args.keep:
            status = keep(target, args.sanitizer, found)
        if status != 0:
            failed.append(target)
    if failed:
        print(f"failed: {' '.join(failed)}; the inputs are in fuzz/artifacts", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
