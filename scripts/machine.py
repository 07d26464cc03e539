"""A machine for tests: a fresh Debian with systemd, in namespaces of its own.

It has its own processes, mounts and loopback, and no other network. Everything of it is gone
once it is closed. It needs root, debootstrap, unshare and nsenter.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
# What a package of ours may depend on, and what an operator types: the machine has no network to fetch more.
PACKAGES = ["systemd-sysv", "ca-certificates", "openssl", "psmisc", "sudo"]
SECONDS_MAX = 120

# The second half of the start, inside of the namespaces. systemd wants an API of the kernel
# where it looks for it, and a root that is a mount.
START = r"""
set -eu
root=$1
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount -t sysfs sysfs sys
if [ -d /sys/fs/cgroup/unified ]; then
  mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
  mkdir sys/fs/cgroup/unified sys/fs/cgroup/systemd
  mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
  mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
else
  mount -t cgroup2 cgroup2 sys/fs/cgroup
fi
# sudo asks who this is.
echo "127.0.0.1 localhost $(uname -n)" >etc/hosts
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
  touch dev/$device
  mount --bind /dev/$device dev/$device
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
pivot_root . mnt
exec chroot . /bin/sh -c 'umount -l /mnt
exec env -i container=creditd-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=multi-user.target'
"""


def repository() -> tuple[str, str]:
    """Where this machine's apt gets Debian from: an address and a release."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages", "Origin: Debian"]
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        address, release = line.split()
        # Not bookworm-updates, whose packages stand upon those of bookworm.
        if "-" not in release:
            return address, release
    sys.exit("apt knows no release of Debian; run apt-get update")


def base() -> Path:
    """A root of Debian as debootstrap makes it, which is made once."""
    address, release = repository()
    made = REPO / ".tools" / "-".join(["debian", release, *PACKAGES])
    if not made.exists():
        print(f"machine: Debian {release} into .tools", flush=True)
        partial = made.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
        done = subprocess.run([*command, release, partial, address], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"debootstrap failed:\n{done.stdout[-2000:]}{done.stderr}")
        partial.rename(made)
    return made


class Machine:
    """It runs from its making to close()."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        subprocess.run(["cp", "-a", "--reflink=auto", base(), self.root], check=True)
        self.groups = [
            parent / f"creditd-test-{os.getpid()}"
            for parent in map(Path, ("/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup"))
            if (parent / "cgroup.procs").exists()
        ]
        for group in self.groups:
            group.mkdir()
        # Its processes stand in groups of their own, or systemd would take ours.
        enter = "".join(f"echo $$ >{group}/cgroup.procs\n" for group in self.groups)
        kinds = ["--fork", "--pid", "--kill-child", "--mount", "--uts", "--ipc", "--cgroup", "--net"]
        begin = f'{enter}exec unshare {" ".join(kinds)} --propagation private sh -c "$1" start "$2"'
        self.log = (folder / "machine.log").open("w")
        self.outer = subprocess.Popen(
            ["sh", "-c", begin, "begin", START, self.root],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        end = time.monotonic() + SECONDS_MAX
        self.init = 0
        while True:
            children = Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children").read_text().split()
            if children:
                self.init = int(children[0])
                if self.run("systemctl", "is-system-running").strip() in ("running", "degraded"):
                    return
            if self.outer.poll() is not None or time.monotonic() > end:
                self.close()
                sys.exit(f"systemd did not start:\n{Path(self.log.name).read_text()}")
            time.sleep(0.1)

    def call(self, *command: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Runs a command on the machine, as its root."""
        enter = ["nsenter", "-t", str(self.init), "-m", "-u", "-i", "-p", "-n", "-C", "-r", "-w"]
        return subprocess.run(
            [*enter, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", *command],
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )

    def run(self, *command: str) -> str:
        """What a command prints, errors too."""
        return self.call(*command).stdout

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        return self.call("sh", "-ec", script)

    def close(self) -> None:
        if self.init:
            try:
                os.kill(self.init, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.outer.kill()
        self.outer.wait()
        self.log.close()
        for group in self.groups:
            self.remove(group)

    def remove(self, group: Path) -> None:
        end = time.monotonic() + SECONDS_MAX
        while group.exists():
            try:
                for below in sorted(group.rglob("*/"), reverse=True):
                    below.rmdir()
                group.rmdir()
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
