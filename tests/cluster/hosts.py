"""Hosts with addresses of their own on this machine: network namespaces, joined by a link that can be cut.

The addresses exist within the namespaces only; nothing of this machine's own network is touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.cluster.nodes import Cluster

NEAR, FAR = "10.213.0.1", "10.213.0.2"
NEAR_CPUS = 3
QUICKER = {"RAY_health_check_timeout_ms": "1000"}
"""A question that is lost with the link counts as unanswered after a second, not ten."""
ASK = """
import sys, urllib.request
request = urllib.request.Request(sys.argv[1], headers={"Authorization": "Bearer " + open(sys.argv[2]).read()})
sys.stdout.write(urllib.request.urlopen(request, timeout=10).read().decode())
"""


class Link:
    """Two namespaces and the pair of interfaces between them."""

    def __init__(self) -> None:
        self.near, self.far = f"rg-near-{os.getpid()}", f"rg-far-{os.getpid()}"

    def make(self) -> None:
        """Make both hosts and join them.

        Raises:
            OSError: if this machine does not let us, or has no `ip`; what was made is gone again.
        """
        if shutil.which("ip") is None:
            raise FileNotFoundError("there is no 'ip' (iproute2) here")
        try:
            for host in (self.near, self.far):
                _ip("netns", "add", host)
                _ip("-n", host, "link", "set", "lo", "up")
            _ip("-n", self.near, "link", "add", "far", "type", "veth", "peer", "name", "near", "netns", self.far)
            for host, address, interface in ((self.near, NEAR, "far"), (self.far, FAR, "near")):
                _ip("-n", host, "address", "add", f"{address}/24", "dev", interface)
                _ip("-n", host, "link", "set", interface, "up")
        except OSError:
            self.remove()
            raise

    def cut(self) -> None:
        _ip("-n", self.far, "link", "set", "near", "down")

    def restore(self) -> None:
        _ip("-n", self.far, "link", "set", "near", "up")

    def remove(self) -> None:
        for host in (self.far, self.near):
            with contextlib.suppress(OSError):  # it was not made
                _ip("netns", "delete", host)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=30)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def why_not() -> str | None:
    """Return why this machine can have no such hosts, None if it can: they are made and removed."""
    link = Link()
    try:
        link.make()
    except OSError as error:
        return str(error)
    link.remove()
    return None


class TwoHosts(Cluster):
    """A head with processors on one host, one worker on the other; commands are typed on the head's."""

    def __init__(self, home: Path, link: Link) -> None:
        super().__init__(home, s3_endpoint="")
        self.link = link

    @property
    def address(self) -> str:
        return f"{NEAR}:{self.port}"

    @property
    def dashboard(self) -> str:
        return f"http://{NEAR}:{self.dashboard_port}"

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **QUICKER}

    def host_of(self, name: str) -> list[str]:
        return ["ip", "netns", "exec", self.link.far if name == "far" else self.link.near]

    def start_head(self, **extra: str) -> None:
        self._start(
            "head", "--head", "--node-ip-address", NEAR, "--port", str(self.port), "--dashboard-host", NEAR,
            "--dashboard-port", str(self.dashboard_port), "--num-cpus", str(NEAR_CPUS), extra=extra,
        )  # fmt: skip

    def start_worker(self, name: str, n_cpus: int, **extra: str) -> None:
        self.n_cpus[name] = n_cpus
        where = ("--address", self.address, "--node-ip-address", FAR)
        self._start(name, *where, "--num-cpus", str(n_cpus), extra=extra)

    def ask(self, path: str) -> Any:
        command = [*self.host_of("head"), sys.executable, "-S", "-c", ASK, self.dashboard + path, str(self.token_file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        return json.loads(done.stdout) if done.returncode == 0 else None


@contextlib.contextmanager
def two_hosts(home: Path) -> Iterator[TwoHosts]:
    """Run a cluster over two hosts: room for the learner, replay and one actor near, for one actor far."""
    link = Link()
    link.make()
    try:
        hosts = TwoHosts(home, link)
        try:
            hosts.start_head()
            hosts.wait_for_job_server()
            hosts.start_worker("far", n_cpus=1)
            hosts.wait_for_nodes(2)
            yield hosts
        finally:
            hosts.stop()
    finally:
        link.remove()
