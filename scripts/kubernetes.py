#!/usr/bin/env python3
"""Checks deploy/kubernetes and deploy/docker, for which there is no cluster and no image here.

    scripts/kubernetes.py            schemas, and the fields that matter
    scripts/kubernetes.py --run      and the container's command, by the manifest: its user, its
                                     environment, its files, a root that is read-only; needs root

The schemas are those of Kubernetes, which kubernetes-validate brings.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

REPO = Path(__file__).resolve().parent.parent
FOLDER = REPO / "deploy" / "kubernetes"
DOCKERFILE = REPO / "deploy" / "docker" / "Dockerfile"
PROGRAM = Path(os.environ.get("CREDITD_BIN", str(REPO / "target" / "debug" / "creditd")))
SECONDS_MAX = 60


def documents() -> list[dict[str, Any]]:
    return [
        document
        for file in sorted(FOLDER.glob("*.yaml"))
        if file.name != "kustomization.yaml"
        for document in yaml.safe_load_all(file.read_text())
    ]


def one(kind: str, name: str) -> dict[str, Any]:
    found = [d for d in documents() if d["kind"] == kind and d["metadata"]["name"] == name]
    assert len(found) == 1, f"{kind} {name}: {len(found)}"
    return found[0]


def has_the_schema() -> None:
    """Every document is what Kubernetes takes, with no field that it does not know."""
    for document in documents():
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def is_whole() -> None:
    """kustomization.yaml has every file but the example, and what is named is there."""
    listed = set(yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"])
    assert listed == {file.name for file in FOLDER.glob("*.yaml")} - {"kustomization.yaml", "secret-example.yaml"}
    pod = one("StatefulSet", "creditd")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    for volume in pod["volumes"]:
        if "configMap" in volume:
            one("ConfigMap", volume["configMap"]["name"])
        else:
            one("Secret", volume["secret"]["secretName"])
    claims = [claim["metadata"]["name"] for claim in one("StatefulSet", "creditd")["spec"]["volumeClaimTemplates"]]
    volumes = [volume["name"] for volume in pod["volumes"]]
    assert sorted(mount["name"] for mount in container["volumeMounts"]) == sorted(volumes + claims)
    ports = {port["name"] for port in container["ports"]}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] in ports, probe
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    service = one("Service", "creditd")["spec"]
    assert {port["targetPort"] for port in service["ports"]} == ports
    labels = one("StatefulSet", "creditd")["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()


def is_confined() -> None:
    """A pod has no more rights than a process of the unit of systemd, and there is one of it."""
    spec = one("StatefulSet", "creditd")["spec"]
    assert spec["replicas"] == 1
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    for claim in spec["volumeClaimTemplates"]:
        assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
    (drain_ms_max,) = re.findall(r"^drain_ms_max = (\d+)$", configuration(), re.MULTILINE)
    assert pod["terminationGracePeriodSeconds"] * 1000 >= int(drain_ms_max) + 50_000, drain_ms_max
    assert "PodDisruptionBudget" not in {document["kind"] for document in documents()}


def builds_the_same() -> None:
    """The image has the manifest's user, and the Rust that the build says; its build gets all sources."""
    text = DOCKERFILE.read_text()
    user = one("StatefulSet", "creditd")["spec"]["template"]["spec"]["securityContext"]
    assert f"\nUSER {user['runAsUser']}:{user['runAsGroup']}\n" in text
    cargo = (REPO / "Cargo.toml").read_text()
    (rust,) = re.findall(r'^rust-version = "(.*)"$', cargo, re.MULTILINE)
    assert f"\nFROM rust:{rust}-" in text, rust
    wanted = {line[1:] for line in Path(f"{DOCKERFILE}.dockerignore").read_text().splitlines() if line.startswith("!")}
    for name in wanted:
        assert (REPO / name).exists(), name
    for name in {path.split("/")[0] for path in re.findall(r'^path = "([^"]+)"', cargo, re.MULTILINE)} - {"tests"}:
        assert name in wanted, name
    # How C is built, where the program reads files that are compiled in.
    outside = {
        found[1].split("/")[0]
        for file in (REPO / "src").rglob("*.rs")
        for found in re.finditer(r'include_(?:str|bytes)!\("(?:\.\./)+([^"]+)"', file.read_text())
        if (REPO / found[1]).exists()
    }
    assert outside and outside | {".cargo", "build.rs"} <= wanted, outside - wanted


def configuration() -> str:
    text = one("ConfigMap", "creditd")["data"]["creditd.toml"]
    assert isinstance(text, str)
    return text


def runs() -> None:
    """The container's command serves, with a key and by TLS, and stops in order."""
    pod = one("StatefulSet", "creditd")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    user, group = pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]
    with tempfile.TemporaryDirectory() as made:
        root = Path(made) / "root"
        etc = ("etc/creditd/config", "etc/creditd/keys", "etc/creditd/tls")
        for folder in ("usr/bin", "var/lib/creditd", "proc", *etc):
            (root / folder).mkdir(parents=True)
        shutil.copy(PROGRAM, root / "usr/bin/creditd")
        libraries = subprocess.run(["ldd", PROGRAM], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"(/\S+)", libraries):
            (root / library[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, root / library[1:])
        (root / "etc/creditd/config/creditd.toml").write_text(configuration())
        (root / "etc/creditd/keys/admin.key").write_text("k" * 32)
        tls = root / "etc/creditd/tls"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
            + ["-subj", "/CN=creditd", "-keyout", tls / "tls.key", "-out", tls / "tls.crt"],
            check=True,
            capture_output=True,
        )
        # As fsGroup and defaultMode make them.
        for path in (root / "etc/creditd").rglob("*"):
            os.chown(path, 0, group)
            path.chmod(0o750 if path.is_dir() else 0o440)
        os.chown(root / "var/lib/creditd", user, group)
        inside = ["env", "-i", *(f"{entry['name']}={entry['value']}" for entry in container["env"])]
        inside += ["/usr/bin/setpriv", "--no-new-privs", "/usr/sbin/chroot", f"--userspec={user}:{group}", "--groups=", str(root)]
        mounts = (
            "set -e; mount --bind {root} {root}; mount -t proc proc {root}/proc; "
            "mount --bind {root}/var/lib/creditd {root}/var/lib/creditd; mount -o remount,bind,ro {root}; "
        ).format(root=shlex.quote(str(root)))
        command = [*inside, "/usr/bin/creditd", *container["args"]]
        log = Path(made) / "log"
        with log.open("wb") as out:
            server = subprocess.Popen(
                ["unshare", "--mount", "--net", "sh", "-c", f"{mounts} exec {shlex.join(command)}"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        try:
            calls(server, root / "var/lib/creditd/creditd.sock", log)
        finally:
            server.terminate()
            assert server.wait(timeout=SECONDS_MAX) == 0, log.read_text()


def calls(server: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    environment = {"CREDITD_ADDR": f"unix:{socket}", "CREDITD_KEY": "k" * 32}
    end = time.monotonic() + SECONDS_MAX
    while subprocess.run([PROGRAM, "health"], env=environment, capture_output=True, check=False).returncode != 0:
        assert server.poll() is None and time.monotonic() < end, log.read_text()
        time.sleep(0.05)
    for words in (["grant", "team-a", "2"], ["charge", "team-a", "--credits", "1"]):
        done = subprocess.run([PROGRAM, *words], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{server.pid}/status").read_text().splitlines())
    assert status["Uid"].split()[0] != "0" and int(status["CapEff"], 16) == 0, status
    text = log.read_text()
    assert "0.0.0.0:50051" in text, text


def main(words: list[str]) -> int:
    checks = [has_the_schema, is_whole, is_confined, builds_the_same]
    if words == ["--run"]:
        checks = [runs]
    elif words:
        print(__doc__, file=sys.stderr)
        return 2
    passed = failed = 0
    for check in checks:
        try:
            check()
            passed += 1
        except (AssertionError, kubernetes_validate.ValidationError) as error:
            failed += 1
            print(f"{check.__doc__}\n{str(error).splitlines()[:1]}")
    print(f"{passed} checks of manifests passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
