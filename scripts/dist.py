#!/usr/bin/env python3
"""Makes what a release has, in target/dist.

    scripts/dist.py [--program FILE] [--into DIRECTORY]

- creditd-VERSION-linux-ARCHITECTURE.tar.gz: the program with its manual, units, examples;
- creditd_VERSION_ARCHITECTURE.deb: the same as a Debian package;
- creditd-VERSION-source.tar.gz: the last commit;
- creditd-VERSION.cdx.json: what the program is made of, as a CycloneDX SBOM;
- python/: wheel and sdist of the Python client;
- go/: the Go client as a module proxy serves it;
- SHA256SUMS of all of them.

The same commit and the same program make the same bytes, at any time and in any directory,
the sdist apart. Times in it are SOURCE_DATE_EPOCH, or that of the last commit.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
PYTHON = REPO / ".tools" / "venv-build" / "bin" / "python"
GO_MODULE = "github.com/creditd/creditd/clients/go"


def run(command: list[str | Path], folder: Path = REPO, **environment: str) -> bytes:
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, check=True, stdout=subprocess.PIPE
    ).stdout


def version() -> str:
    found = re.search(r'^version = "(.*)"$', (REPO / "Cargo.toml").read_text(), re.MULTILINE)
    assert found
    return found[1]


def archive(folder: Path, name: str, into: Path, seconds: int) -> None:
    """A folder as a .tar.gz below one name, in the order of names, of nobody, at one time."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in [folder, *sorted(folder.rglob("*"))]:
            entry = tar.gettarinfo(path, arcname=str(Path(name) / path.relative_to(folder)))
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = "root"
            entry.mtime = seconds
            entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
            if entry.isfile():
                with path.open("rb") as content:
                    tar.addfile(entry, content)
            else:
                tar.addfile(entry)
    # The header has no name and no time.
    into.write_bytes(gzip.compress(packed.getvalue(), 9, mtime=0))


def programs(program: Path, release: str, architecture: str, into: Path, seconds: int) -> None:
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "creditd"
        run([REPO / "deploy" / "install.sh", program, folder, "", "/etc"])
        # Where it is unpacked to is for the operator to say: units are for /usr/local.
        for unit in folder.glob("lib/systemd/system/*.service"):
            unit.write_text(unit.read_text().replace("=/bin/creditd ", "=/usr/local/bin/creditd "))
        run(["strip", "--strip-unneeded", folder / "bin" / "creditd"])
        for page in ("LICENSE", "README.md", "CHANGELOG.md"):
            shutil.copy(REPO / page, folder / page)
        name = f"creditd-{release}-linux-{architecture}"
        archive(folder, name, into / f"{name}.tar.gz", seconds)
    run([REPO / "deploy" / "debian" / "build.sh", "--program", program, "--into", into], SOURCE_DATE_EPOCH=str(seconds))


def source(release: str, into: Path) -> None:
    tar = run(["git", "archive", "--format=tar", f"--prefix=creditd-{release}/", "HEAD"])
    (into / f"creditd-{release}-source.tar.gz").write_bytes(gzip.compress(tar, 9, mtime=0))


def sbom(release: str, into: Path, seconds: int) -> None:
    host = next(line.split()[1] for line in run(["rustc", "-vV"]).decode().splitlines() if line.startswith("host:"))
    metadata = run(["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", host])
    made = subprocess.run(
        [PYTHON, REPO / "scripts" / "sbom.py", str(seconds)], input=metadata, check=True, stdout=subprocess.PIPE
    )
    (into / f"creditd-{release}.cdx.json").write_bytes(made.stdout)


def python(into: Path, seconds: int) -> None:
    # In a copy: the build leaves files beside its sources.
    with tempfile.TemporaryDirectory() as work:
        client = Path(work) / "python"
        ignored = shutil.ignore_patterns("*.egg-info", "build", "__pycache__", ".*_cache")
        shutil.copytree(REPO / "clients" / "python", client, ignore=ignored)
        run([PYTHON, "-m", "build", "--no-isolation", "--outdir", into / "python", client], SOURCE_DATE_EPOCH=str(seconds))


def go(release: str, into: Path) -> None:
    # What packs it wants a repository that is no worktree.
    with tempfile.TemporaryDirectory() as work:
        clone = Path(work) / "clone"
        run(["git", "clone", "--quiet", "--shared", REPO, clone])
        packs = ["go", "run", ".", clone, "clients/go", GO_MODULE, f"v{release}", into / "go"]
        run(packs, REPO / "scripts" / "gomodule")


def dist(program: Path, into: Path) -> None:
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or run(["git", "log", "-1", "--format=%ct"]))
    release = version()
    architecture = run(["dpkg", "--print-architecture"]).decode().strip()
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    into = into.resolve()
    programs(program.resolve(), release, architecture, into, seconds)
    source(release, into)
    sbom(release, into, seconds)
    python(into, seconds)
    go(release, into)
    files = sorted(path for path in into.rglob("*") if path.is_file())
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(into)}\n" for path in files]
    (into / "SHA256SUMS").write_text("".join(lines))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=REPO / "target" / "release" / "creditd")
    parser.add_argument("--into", type=Path, default=REPO / "target" / "dist")
    chosen = parser.parse_args()
    dist(chosen.program, chosen.into)
