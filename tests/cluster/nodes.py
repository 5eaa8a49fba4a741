"""A real Ray cluster on this machine: a head and workers in processes of their own, with their own ports and token."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).parents[2]
START_SECONDS = 120
OBJECT_STORE_BYTES = 80 * 1024 * 1024
RAY = str(Path(sys.executable).with_name("ray"))
S3_SECRET = "a-secret-of-the-test"
NODE_PORTS = (
    "--dashboard-agent-listen-port", "--dashboard-agent-grpc-port", "--metrics-export-port",
    "--runtime-env-agent-port", "--node-manager-port", "--object-manager-port",
)  # fmt: skip
FILL = """
import sys
import numpy as np, ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="error")

@ray.remote(num_cpus=0)
class Filler:
    def fill(self, n_bytes, piece=4_000_000):
        self.kept = []
        while n_bytes >= piece:
            reference = ray.put(np.ones(piece, np.uint8))
            self.kept.append((reference, ray.get(reference)))  # read where it lies, so that it cannot be moved out
            n_bytes -= piece

fillers = [Filler.options(resources={node: 0.01}).remote() for node in sys.argv[3:]]
ray.get([filler.fill.remote(int(sys.argv[2])) for filler in fillers])
print("full", flush=True)
sys.stdin.read()
"""
"""Fills the object stores of nodes until its input is closed."""
QUICK_TO_NOTICE = {"RAY_health_check_period_ms": "1000", "RAY_health_check_failure_threshold": "5"}


_given_ports: set[int] = set()


def free_port() -> int:
    """Return a port that nothing listens on and that was not returned before."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in _given_ports:
            _given_ports.add(port)
            return port


class Cluster:
    """Head and worker nodes. Each is one `ray start --block`, whose end ends its node."""

    def __init__(self, home: Path, s3_endpoint: str) -> None:
        self.home = home
        self.s3_endpoint = s3_endpoint
        # Sockets live below it, and their paths may be no longer than 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="rg", dir="/tmp"))
        self.port, self.dashboard_port = free_port(), free_port()
        self.token_file = home / "token"
        self.token_file.touch(mode=0o600)
        self.token_file.write_text(secrets.token_hex(16))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.n_cpus: dict[str, int] = {}

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def dashboard(self) -> str:
        return f"http://127.0.0.1:{self.dashboard_port}"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        return {
            **kept,
            **QUICK_TO_NOTICE,
            "AWS_ENDPOINT_URL": self.s3_endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": S3_SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "HOME": str(self.home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # an environment that was activated
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token_file),
            "RAY_USAGE_STATS_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
        }

    def host_of(self, name: str) -> list[str]:
        """Return what a command begins with that runs on the host of that node: nothing where all share one."""
        return []

    def start_head(self, **extra: str) -> None:
        self._start(
            "head", "--head", "--node-ip-address", "127.0.0.1", "--port", str(self.port), "--dashboard-host",
            "127.0.0.1", "--dashboard-port", str(self.dashboard_port), "--num-cpus", "0", extra=extra,
        )  # fmt: skip

    def start_worker(self, name: str, n_cpus: int, **extra: str) -> None:
        self.n_cpus[name] = n_cpus
        self._start(name, "--address", self.address, "--num-cpus", str(n_cpus), extra=extra)

    def _start(self, name: str, *arguments: str, extra: dict[str, str]) -> None:
        folder = self.folder / name
        command = [*self.host_of(name), RAY, "start", *arguments, "--block", "--disable-usage-stats"]
        command += ["--object-store-memory", str(OBJECT_STORE_BYTES), "--resources", f'{{"{name}": 1}}']
        # Nodes usually have a machine to themselves; here each needs ports of its own.
        command += [part for option in NODE_PORTS for part in (option, str(free_port()))]
        # Hosts share no folder: what one unpacks is not the other's.
        command += ["--temp-dir", str(folder)]
        with open(self.home / f"{name}.log", "wb") as log:
            self.processes[name] = subprocess.Popen(
                command, env={**self.environment, **extra}, stdout=log, stderr=subprocess.STDOUT, cwd=self.home,
                start_new_session=True,
            )  # fmt: skip

    def ask(self, path: str) -> Any:
        """Return the dashboard's answer, None while there is none."""
        headers = {"Authorization": f"Bearer {self.token_file.read_text()}"}
        try:
            response = requests.get(self.dashboard + path, headers=headers, timeout=10)
        except requests.RequestException:
            return None
        return response.json() if response.status_code == 200 else None

    def scrape(self) -> str:
        """Return what a Prometheus that is shown Ray's list of targets reads from all nodes."""
        listed = self.folder / "head" / "prom_metrics_service_discovery.json"
        targets = [target for group in json.loads(listed.read_text()) for target in group["targets"]]
        texts = []
        for target in targets:
            with contextlib.suppress(requests.RequestException):  # a node that was killed is listed for a while
                texts.append(requests.get(f"http://{target}/metrics", timeout=10).text)
        return "".join(texts)

    def node_of(self, class_name: str) -> str | None:
        """Return the name of the node on which an actor of that class lives, None if there is none."""
        return next(iter(self.nodes_of(class_name)), None)

    def nodes_of(self, class_name: str) -> list[str]:
        """Return the names of the nodes on which actors of that class live, sorted."""
        actors = self.ask("/api/v0/actors?detail=1&limit=1000")
        nodes = self.ask("/api/v0/nodes?detail=1")
        if not actors or not nodes:
            return []
        homes = {
            actor["node_id"]
            for actor in actors["data"]["result"]["result"]
            if actor["class_name"] == class_name and actor["state"] == "ALIVE"
        }
        return sorted(
            next(name for name in node["resources_total"] if name in self.processes)
            for node in nodes["data"]["result"]["result"]
            if node["node_id"] in homes
        )

    def count_nodes(self) -> int:
        """Return the nodes that the head knows to live."""
        answer = self.ask("/api/v0/nodes?filter_keys=state&filter_predicates=%3D&filter_values=ALIVE")
        return len(answer["data"]["result"]["result"]) if answer else 0

    def wait_for_nodes(self, count: int) -> None:
        """Wait for so many nodes; one that gave up starting on a busy machine is started again."""
        wait_until(f"{count} nodes", lambda: self._restart_those_ended() or self.count_nodes() == count, every=0.5)

    def _restart_those_ended(self) -> bool:
        for name, process in list(self.processes.items()):
            if process.poll() is not None and name != "head":
                self.start_worker(name, self.n_cpus[name])
        return False

    def run(self, *arguments: str, seconds: float = 240, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command line from a folder of its own, as a user of this cluster does."""
        return subprocess.run(
            [sys.executable, "-m", "retro_gamer", *arguments], cwd=ROOT, capture_output=True, text=True,
            timeout=seconds, env={**self.environment, **environment},
        )  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the command line and leave it running."""
        return subprocess.Popen(
            [*self.host_of("head"), sys.executable, "-m", "retro_gamer", *arguments], cwd=ROOT, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, env=self.environment, start_new_session=True,
        )  # fmt: skip

    def wait_for_job_server(self) -> None:
        """Wait for the head's job server.

        Raises:
            AssertionError: with what the head said, if it ended or does not answer.
        """
        try:
            wait_until("the job server", lambda: self._head_ended() or self.ask("/api/version") is not None, every=0.5)
            assert not self._head_ended(), "the head ended"
        except AssertionError as error:
            raise AssertionError(f"{error}; it said:\n{(self.home / 'head.log').read_text()}") from None

    def _head_ended(self) -> bool:
        return self.processes["head"].poll() is not None

    @contextlib.contextmanager
    def full_object_stores(self) -> Iterator[None]:
        """Leave no room in the object stores of the workers: what is in them is in use."""
        nodes = [name for name in self.processes if name != "head"]
        with subprocess.Popen(
            [sys.executable, "-c", FILL, self.address, str(OBJECT_STORE_BYTES), *nodes], env=self.environment,
            cwd=self.home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as filler:  # fmt: skip
            assert filler.stdout is not None
            assert filler.stdout.readline() == "full\n"
            yield
            filler.communicate()

    def kill_node(self, name: str) -> None:
        """End a node as a power cut does: all its processes at once."""
        process = self.processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            for pid in [*_descendants(process.pid), process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        process.wait(timeout=30)

    def stop(self) -> None:
        for name in reversed(list(self.processes)):
            self.kill_node(name)
        shutil.rmtree(self.folder, ignore_errors=True)


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        todo += (below := children.get(todo.pop(), []))
        found += below
    return found


def wait_until(what: str, is_so: Callable[[], bool], seconds: float = START_SECONDS, every: float = 0.2) -> None:
    """Wait until the condition holds. How long that takes is not part of any test."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not is_so():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} seconds for {what}"
        pause.wait(every)


@contextlib.contextmanager
def running_cluster(home: Path, s3_endpoint: str) -> Iterator[Cluster]:
    cluster = Cluster(home, s3_endpoint)
    try:
        cluster.start_head()
        cluster.wait_for_job_server()
        yield cluster
    finally:
        cluster.stop()
