#!/usr/bin/env python3
"""Runs the programs of docs/other-languages.md and compares what they print with the page.

The blocks of a language below its heading are one program, and the `text` blocks
below the same heading what it prints. All run against one server, on a free port
and a Unix socket. Languages can be chosen by name: scripts/languages.py java

What they need is installed by scripts/setup.sh; for Java, which is run only where
it is named, by Maven.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
PAGE = REPO / "docs" / "other-languages.md"
NODE = REPO / ".tools" / "node"
MAVEN = REPO / ".tools" / "maven"
PYTHON = REPO / ".tools" / "venv" / "bin" / "python"
ADDRESS = "127.0.0.1:50051"
SOCKET = "/run/creditd/creditd.sock"
SECONDS_MAX = 180

GRPC_JAVA = "1.71.0"
PROTOBUF_JAVA = "4.29.3"


def run(command: list[str | Path], folder: Path, **environment: str) -> str:
    """What a program prints; its errors too where it fails."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{command[0]} did not end within {SECONDS_MAX} s\n"
    return done.stdout + (done.stderr if done.returncode else "")


def program(heading: str, language: str) -> tuple[str, str]:
    """The program below a heading, and what it prints."""
    below = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert below is not None, f"{PAGE.name} has no heading {heading!r}"
    found = re.findall(r"^```(\w+)\n(.*?)^```$", below[1], re.MULTILINE | re.DOTALL)
    code = "\n".join(content for kind, content in found if kind == language)
    assert code, f"{PAGE.name} has no {language} below {heading!r}"
    return code, "".join(content for kind, content in found if kind == "text")


def node(code: str, folder: Path) -> str:
    # Beside its modules, and in the folder from which the page names proto/.
    with tempfile.TemporaryDirectory(dir=NODE) as beside:
        file = Path(beside) / "page.js"
        file.write_text(code)
        return run(["node", file], REPO)


def python(code: str, folder: Path) -> str:
    return run([PYTHON, "-c", code], folder)


def subset(language: str) -> str:
    """buf.gen.yaml with the plugins of one language; a comment that names it begins each."""
    head, *plugins = re.split(r"^  # (?=\S+: )", (REPO / "buf.gen.yaml").read_text(), flags=re.MULTILINE)
    chosen = [plugin for plugin in plugins if plugin.startswith(f"{language}: ")]
    assert chosen, f"buf.gen.yaml has no plugin for {language}"
    return head + "".join(f"  # {plugin}" for plugin in chosen)


def generate(language: str, folder: Path, plugins: Path, *options: str) -> None:
    template = folder / "buf.gen.yaml"
    template.write_text(subset(language))
    command = [PYTHON.parent / "buf", "generate", *options, "--template", template, "-o", folder]
    said = run(command, REPO, PATH=f"{plugins}:{os.environ['PATH']}")
    assert not said, said


def typescript(code: str, folder: Path) -> str:
    binaries = NODE / "node_modules" / ".bin"
    generate("TypeScript", folder, binaries)
    generate("TypeScript", folder, binaries, "proto", "--path", "proto/google")
    (folder / "node_modules").symlink_to(NODE / "node_modules")
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "page.ts").write_text(code)
    options = ["--strict", "--target", "es2022", "--module", "nodenext", "--outDir", "out"]
    said = run([binaries / "tsc", *options, "page.ts"], folder)
    return said or run(["node", "out/page.js"], folder)


def java(code: str, folder: Path) -> str:
    maven(folder)
    generate("Java", folder, MAVEN / "bin")
    (folder / "Example.java").write_text(code)
    jars = f"{MAVEN / 'jars'}/*"
    sources = sorted(folder.glob("gen/java/**/*.java"))
    said = run(["javac", "-cp", jars, "-d", folder / "classes", folder / "Example.java", *sources], folder)
    return said or run(["java", "-cp", f"{folder / 'classes'}:{jars}", "Example"], folder)


def maven(folder: Path) -> None:
    """Fetches the jars and the two programs that generate, unless they are there."""
    stamp = MAVEN / f"{GRPC_JAVA}-{PROTOBUF_JAVA}"
    if stamp.exists():
        return
    shutil.rmtree(MAVEN, ignore_errors=True)
    dependencies = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>"
        for group, name, version in [
            ("io.grpc", "grpc-netty-shaded", GRPC_JAVA),
            ("io.grpc", "grpc-protobuf", GRPC_JAVA),
            ("io.grpc", "grpc-stub", GRPC_JAVA),
            ("com.google.protobuf", "protobuf-java", PROTOBUF_JAVA),
        ]
    )
    (folder / "pom.xml").write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>com.creditd</groupId><artifactId>other-languages</artifactId><version>0</version>"
        f"<dependencies>{dependencies}</dependencies></project>"
    )
    goals = [["copy-dependencies", f"-DoutputDirectory={MAVEN / 'jars'}"]]
    for artifact in (
        f"io.grpc:protoc-gen-grpc-java:{GRPC_JAVA}:exe:linux-x86_64",
        f"com.google.protobuf:protoc:{PROTOBUF_JAVA}:exe:linux-x86_64",
    ):
        goals.append(["copy", f"-Dartifact={artifact}", f"-DoutputDirectory={MAVEN}"])
    for goal, *options in goals:
        said = run(["mvn", "-q", "-B", f"dependency:{goal}", *options], folder)
        # It ends by setting the terminal's colours back, whatever it is told.
        said = said.replace("\x1b[0m", "")
        assert not said, said
    (MAVEN / "bin").mkdir()
    for made in MAVEN.glob("*.exe"):
        made.chmod(0o755)
        made.rename(MAVEN / "bin" / re.sub(r"-\d.*", "", made.name))
    stamp.touch()


# The heading of a program, the language of its blocks, and what runs it.
PROGRAMS: dict[str, tuple[str, str, Callable[[str, Path], str]]] = {
    "node": ("Node", "js", node),
    "typescript": ("TypeScript", "ts", typescript),
    "python": ("Bare stubs in Python", "python", python),
    "java": ("Java", "java", java),
}
USUAL = ["node", "typescript", "python"]


class Server:
    """A creditd with a data file of its own."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "creditd.sock"
        log = folder / "log"
        binary = os.environ.get("CREDITD_BIN", str(REPO / "target" / "debug" / "creditd"))
        options = ["--listen", "127.0.0.1:0", "--listen-unix", self.socket, "--data", folder / "creditd.db"]
        self.process = subprocess.Popen(
            [binary, "serve", *options],
            env={name: value for name, value in os.environ.items() if not name.startswith("CREDITD_")},
            stdout=log.open("w"),
            stderr=subprocess.STDOUT,
        )
        end = time.monotonic() + SECONDS_MAX
        while not (found := re.search(r"listens on (\d\S+)\s", log.read_text())):
            if self.process.poll() is not None or time.monotonic() > end:
                sys.exit(f"{binary} did not say where it listens:\n{log.read_text()}")
            time.sleep(0.05)
        self.address = found[1]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=SECONDS_MAX)


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in PROGRAMS]
    if unknown:
        print(f"no language {unknown[0]!r}; there are: {', '.join(PROGRAMS)}", file=sys.stderr)
        return 2
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        try:
            for name in names or USUAL:
                heading, language, runs = PROGRAMS[name]
                code, expected = program(heading, language)
                code = code.replace(ADDRESS, server.address).replace(SOCKET, str(server.socket))
                own = Path(folder) / name
                own.mkdir()
                actual = runs(code, own)
                if actual == expected:
                    passed += 1
                    continue
                failed += 1
                print(f"{PAGE.name}: {name}\n--- the page\n{expected}--- in fact\n{actual}")
        finally:
            server.stop()
    print(f"{passed} programs passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
