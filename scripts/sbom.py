#!/usr/bin/env python3
"""Writes what the program is made of, as a CycloneDX SBOM.

    cargo metadata --format-version 1 --locked --filter-platform TARGET | scripts/sbom.py EPOCH >FILE

All crates that are linked in or build it are in it, by Cargo.lock, with their checksums and
licenses; what only tests need is not. C libraries that crates bring are components of theirs.
The same input makes the same bytes; EPOCH is the time that it states, in seconds.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

REPO = Path(__file__).resolve().parent.parent
LICENSES = LicenseFactory()
# A package of Cargo.lock that comes from a registry.
CHECKSUM = re.compile(r'^name = "(.*)"\nversion = "(.*)"\nsource = ".*"\nchecksum = "(.*)"$', re.MULTILINE)

# What crates bring in C: the crate, the library, the file that has its version, and how it says it.
BUNDLED = [
    ("libsqlite3-sys", "sqlite", "sqlite3/sqlite3.h", r'#define SQLITE_VERSION\s+"([^"]+)"', "blessing"),
]


def crates(metadata: dict[str, Any]) -> dict[str, list[str]]:
    """Those that creditd needs, tests apart, each with those that it needs."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    needed: dict[str, list[str]] = {}
    waiting = [root]
    while waiting:
        crate = waiting.pop()
        if crate in needed:
            continue
        needed[crate] = [
            dependency["pkg"]
            for dependency in nodes[crate]["deps"]
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"])
        ]
        waiting += needed[crate]
    return needed


def bundled(package: dict[str, Any]) -> list[Component]:
    found = []
    for crate, name, file, pattern, license_ in BUNDLED:
        if package["name"] == crate:
            text = (Path(package["manifest_path"]).parent / file).read_text()
            version = re.search(pattern, text)
            assert version, f"{file} of {crate} says no version"
            purl = PackageURL("generic", name=name, version=version[1])
            found.append(
                Component(
                    name=name,
                    version=version[1],
                    licenses=[LICENSES.make_from_string(license_)],
                    purl=purl,
                    bom_ref=str(purl),
                )
            )
    return found


def component(package: dict[str, Any], checksums: dict[tuple[str, str], str], kind: ComponentType) -> Component:
    purl = PackageURL("cargo", name=package["name"], version=package["version"])
    checksum = checksums.get((package["name"], package["version"]))
    # Older crates write MIT/Apache-2.0.
    license_ = (package["license"] or "").replace("/", " OR ")
    return Component(
        name=package["name"],
        version=package["version"],
        type=kind,
        description=(package["description"] or "").strip() or None,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=checksum)] if checksum else None,
        licenses=[LICENSES.make_from_string(license_)] if license_ else None,
        purl=purl,
        bom_ref=str(purl),
        components=bundled(package),
    )


def sbom(metadata: dict[str, Any], seconds: int) -> str:
    lock = (REPO / "Cargo.lock").read_text()
    checksums = {(name, version): checksum for name, version, checksum in CHECKSUM.findall(lock)}
    packages = {package["id"]: package for package in metadata["packages"]}
    needed = crates(metadata)
    root = metadata["resolve"]["root"]
    made = {
        crate: component(
            packages[crate], checksums, ComponentType.APPLICATION if crate == root else ComponentType.LIBRARY
        )
        for crate in sorted(needed)
    }
    bom = Bom(components=[part for crate, part in made.items() if crate != root])
    bom.metadata.component = made[root]
    bom.metadata.timestamp = datetime.fromtimestamp(seconds, tz=timezone.utc)
    # A name of its contents, so that the same program has the same SBOM.
    contents = "\n".join(sorted(f"{part.purl}" for part in made.values()))
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, contents)
    for crate, depends_on in needed.items():
        bom.register_dependency(made[crate], [made[other] for other in sorted(depends_on)])
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert wrong is None, wrong
    # Of what is nested the output keeps no order.
    return json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(sbom(json.load(sys.stdin), int(sys.argv[1])))
