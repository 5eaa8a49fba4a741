"""One cluster for all tests of this folder: a head without processors and two workers, asking for a token.

Beside it an S3 server, to which the nodes have the right.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer

from tests.cluster.nodes import Cluster, running_cluster


@pytest.fixture(scope="package")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory, s3_endpoint: str) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("home"), s3_endpoint) as made:
        for number, name in enumerate(("one", "two"), start=1):
            made.start_worker(name, n_cpus=2)
            made.wait_for_nodes(number + 1)
        yield made
