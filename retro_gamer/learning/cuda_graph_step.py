"""One gradient step on a GPU: recorded once as a CUDA graph, started as one piece from then on.

An update of a network for a terminal game is some hundred operations of two microseconds each: started one by one they
take many times as long.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from retro_gamer.features.extractor import FeatureBatch
from retro_gamer.learning import step as losses
from retro_gamer.learning.step import SQUEEZE, StepFigures, UpdateContext

WARM_STEPS = 3
"""Before recording: what is loaded or tuned at an operation's first use must not be recorded."""
ALIGNMENT = 16


class Staging:
    """Arrays of one layout side by side in one piece of memory, so that one copy takes them to the device."""

    def __init__(self, arrays: Sequence[np.ndarray], device: torch.device) -> None:
        self._layout = _layout_of(arrays)
        sizes = [-(-array.nbytes // ALIGNMENT) * ALIGNMENT for array in arrays]
        starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
        self._host = torch.empty(starts[-1], dtype=torch.uint8, pin_memory=device.type == "cuda")
        self._there = torch.empty(starts[-1], dtype=torch.uint8, device=device)
        self._places: list[np.ndarray] = []
        self.tensors: list[torch.Tensor] = []
        """The arrays on the device, after `send`."""
        for start, array in zip(starts, arrays, strict=False):
            piece = self._host[start : start + array.nbytes].numpy()
            self._places.append(piece.view(array.dtype).reshape(array.shape))
            kind = torch.from_numpy(np.empty(0, array.dtype)).dtype
            self.tensors.append(self._there[start : start + array.nbytes].view(kind).view(array.shape))

    def fits(self, arrays: Sequence[np.ndarray]) -> bool:
        """Return whether arrays have this layout."""
        return _layout_of(arrays) == self._layout

    def fill(self, arrays: Sequence[np.ndarray]) -> None:
        """Put the values of arrays into the memory that is copied from."""
        for place, array in zip(self._places, arrays, strict=True):
            np.copyto(place, array)

    def send(self) -> None:
        """Copy it to the device, when the device comes to it."""
        self._there.copy_(self._host, non_blocking=True)


def _layout_of(arrays: Sequence[np.ndarray]) -> list[tuple[np.dtype, tuple[int, ...]]]:
    return [(array.dtype, array.shape) for array in arrays]


class CudaGraphStep:
    """Does what `EagerStep` does, and asks the device for its figures once, at the end.

    On the CPU, which has no graphs, the operations are done one by one: so tests can hold it against `EagerStep`.
    """

    def __init__(self, trained: UpdateContext) -> None:
        self.trained = trained
        self._device = trained.online.vector.device
        self._staging: Staging | None = None
        self._figures = torch.empty(0)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._side = torch.cuda.Stream(self._device) if self._device.type == "cuda" else None

    def __call__(self, batch: FeatureBatch) -> StepFigures:
        """Do one step on a batch. The first of a size takes a second, for it is recorded."""
        arrays = (*batch.looked, batch.action, batch.returns, batch.discounts, batch.weights)
        if self._staging is None or not self._staging.fits(arrays):
            self._graph = self._staging = None
            self._staging = self._prepare(arrays)
        staging = self._staging
        staging.fill(arrays)
        if self._graph is None:
            self._compute(staging)
        else:
            self._graph.replay()
            torch.cuda.current_stream(self._device).synchronize()
        figures = self._figures.numpy()
        errors, largest_q, doubt = figures[:-2].copy(), figures[-2], figures[-1]
        with np.errstate(over="ignore", invalid="ignore"):
            return StepFigures(
                loss=losses.weighted_huber(errors, batch.weights),
                errors=errors,
                largest_q=float(losses.unsquash(largest_q)),
                is_finite=bool(np.isfinite(doubt)),
            )

    def _prepare(self, arrays: Sequence[np.ndarray]) -> Staging:
        """Make room for batches like this one and, on a GPU, record the step."""
        staging = Staging(arrays, self._device)
        staging.fill(arrays)
        self._figures = torch.empty(len(arrays[-1]) + 2, pin_memory=self._device.type == "cuda")
        if self._device.type == "cuda":
            self._graph = self._record(staging)
        return staging

    def _record(self, staging: Staging) -> torch.cuda.CUDAGraph:
        touched = [self.trained.online.vector.data, *self.trained.optimizer.tensors]
        kept = [tensor.clone() for tensor in touched]
        aside = torch.cuda.Stream(self._device)
        aside.wait_stream(torch.cuda.current_stream(self._device))
        try:
            with torch.cuda.stream(aside):
                for _ in range(WARM_STEPS):
                    self._compute(staging)
        finally:
            torch.cuda.current_stream(self._device).wait_stream(aside)
            for tensor, values in zip(touched, kept, strict=True):
                tensor.copy_(values)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._compute(staging)
        return graph

    def _compute(self, staging: Staging) -> None:
        """Do one step on what is staged, without a question to the device."""
        network, online = self.trained.network, self.trained.online
        staging.send()
        *looked, action, returns, discounts, weights = staging.tensors
        prepared = network.arrange(*looked)
        with torch.no_grad(), self._beside():
            q_t_target = self.trained.target_network.value(*network.halves(prepared)[1])
        valued = network.value_both(prepared)
        self._join()
        q = valued.q_tm1.detach()
        with torch.no_grad():
            errors = double_q_errors(q, action, returns, discounts, valued.q_t, q_t_target)
            gradient = huber_gradient(errors, weights, action, q.shape[1])
        online.zero_gradient()
        network.backpropagate(valued, gradient)
        with torch.no_grad():
            norm = online.gradient.norm()
            doubt = torch.dot(errors, weights) + norm  # finite if the loss and the gradient are
            self.trained.optimizer.step(
                divisor=(norm / self.trained.max_gradient_norm).clamp_(min=1.0),
                unless=(doubt - doubt).ne(0).float(),
            )
            self._figures.copy_(torch.cat([errors, torch.stack([q.abs().max(), doubt])]), non_blocking=True)

    @contextlib.contextmanager
    def _beside(self) -> Iterator[None]:
        """Let the GPU do what is begun in the block beside what comes after it, until `_join`."""
        if self._side is None:
            yield
            return
        self._side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._side):
            yield

    def _join(self) -> None:
        if self._side is not None:
            torch.cuda.current_stream(self._device).wait_stream(self._side)


def squash(value: torch.Tensor) -> torch.Tensor:
    """Return h(x) = sign(x) (sqrt(|x| + 1) - 1) + SQUEEZE x."""
    return torch.copysign((value.abs() + 1).sqrt() - 1, value).add(value, alpha=SQUEEZE)


def unsquash(value: torch.Tensor) -> torch.Tensor:
    """Return the inverse of `squash`."""
    shifted = value.abs() + (1 + SQUEEZE)
    root = (1 + (4 * SQUEEZE) * shifted).sqrt()
    return torch.copysign((2 * shifted / (root + 1)).square() - 1, value)


def double_q_errors(
    q_tm1: torch.Tensor,
    a_tm1: torch.Tensor,
    returns: torch.Tensor,
    discounts: torch.Tensor,
    q_t_online: torch.Tensor,
    q_t_target: torch.Tensor,
) -> torch.Tensor:
    """Return temporal-difference errors [B]: target minus estimate; q [B, A], int64 a_tm1 [B], the others [B]."""
    best = q_t_online.argmax(dim=1, keepdim=True)
    bootstrap = unsquash(q_t_target.gather(1, best).squeeze(1))
    return squash(returns + discounts * bootstrap) - q_tm1.gather(1, a_tm1[:, None]).squeeze(1)


def huber_gradient(errors: torch.Tensor, weights: torch.Tensor, a_tm1: torch.Tensor, n_actions: int) -> torch.Tensor:
    """Return the gradient [B, A] of the weighted Huber loss with respect to the Q-values whose errors these are."""
    gradient = errors.new_zeros(len(errors), n_actions)
    return gradient.scatter_(1, a_tm1[:, None], (errors.clamp(-1, 1) * weights / -len(errors))[:, None])
