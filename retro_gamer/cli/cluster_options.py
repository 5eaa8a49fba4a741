"""Options of the commands that use a cluster."""

from __future__ import annotations

from typing import Annotated

import typer

RETRIES = 3
WAIT_SECONDS = 300.0

Retries = Annotated[
    int,
    typer.Option("--retries", metavar="N", min=0, help="How often a learner that was lost on a cluster is replaced."),
]
LearnerCpus = Annotated[
    int | None,
    typer.Option(
        "--learner-cpus", metavar="N", min=1, show_default=False,
        help="CPUs reserved for the learner on a cluster. Default: half of the largest node, at most 4; 1 with --gpus.",
    ),
]  # fmt: skip
Gpus = Annotated[int, typer.Option("--gpus", metavar="N", min=0, max=1, help="GPUs reserved for the learner.")]
WaitSeconds = Annotated[
    float,
    typer.Option("--wait-seconds", metavar="S", min=1, help="How long to wait for a node with room for the learner."),
]
StorageUri = Annotated[
    str | None,
    typer.Option(
        "--storage", metavar="URI", show_default=False,
        help="Keep a copy of the run there as it grows: a shared folder, s3://bucket/path, or what else fsspec knows.",
    ),
]  # fmt: skip
JobAddress = Annotated[
    str,
    typer.Option(
        "--address", metavar="URL", show_default=False, help="The cluster's dashboard, such as http://HEAD:8265."
    ),
]
