"""One gradient step on a GPU: recorded once as a CUDA graph, launched as a whole from then on.

An update of a network for a terminal game is some hundred operations of two microseconds each. Launched one by one they
take 2.0 ms, as a graph 0.38 ms (docs/performance.md). torch records graphs; staging the batch, the second stream and
reading the result once are ours. `EagerStep` does the same operation by operation, and tests compare the two.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from retro_gamer.features.extractor import FeatureBatch
from retro_gamer.learning import step
from retro_gamer.learning.step import SQUEEZE, UpdateContext, UpdateResult

WARM_STEPS = 3
"""Steps before recording: what an operation loads or tunes at its first use must not be recorded."""
ALIGNMENT = 16


class Staging:
    """Arrays of one layout side by side in one piece of memory, so that one copy takes them to the device."""

    def __init__(self, arrays: Sequence[np.ndarray], device: torch.device) -> None:
        self._layout = _layout_of(arrays)
        sizes = [-(-array.nbytes // ALIGNMENT) * ALIGNMENT for array in arrays]
        starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
        self._host = torch.empty(starts[-1], dtype=torch.uint8, pin_memory=device.type == "cuda")
        self._device = torch.empty(starts[-1], dtype=torch.uint8, device=device)
        self._places: list[np.ndarray] = []
        self.tensors: list[torch.Tensor] = []
        """The arrays on the device, after `send`."""
        for start, array in zip(starts, arrays, strict=False):
            piece = self._host[start : start + array.nbytes].numpy()
            self._places.append(piece.view(array.dtype).reshape(array.shape))
            kind = torch.from_numpy(np.empty(0, array.dtype)).dtype
            self.tensors.append(self._device[start : start + array.nbytes].view(kind).view(array.shape))

    def fits(self, arrays: Sequence[np.ndarray]) -> bool:
        """Return whether arrays have this layout."""
        return _layout_of(arrays) == self._layout

    def fill(self, arrays: Sequence[np.ndarray]) -> None:
        """Write arrays to the memory that `send` copies from."""
        for place, array in zip(self._places, arrays, strict=True):
            np.copyto(place, array)

    def send(self) -> None:
        """Queue the copy to the device."""
        self._device.copy_(self._host, non_blocking=True)


def _layout_of(arrays: Sequence[np.ndarray]) -> list[tuple[np.dtype, tuple[int, ...]]]:
    return [(array.dtype, array.shape) for array in arrays]


class CudaGraphStep:
    """Does what `EagerStep` does, and reads from the device once, at the end.

    On the CPU, which has no graphs, it does the operations one by one: so tests can compare it with `EagerStep`.
    """

    def __init__(self, context: UpdateContext) -> None:
        self.context = context
        self._device = context.online.vector.device
        self._staging: Staging | None = None
        self._outputs = torch.empty(0)
        """Errors [B], the largest |Q| squashed, and a number that is finite if the update is."""
        self._graph: torch.cuda.CUDAGraph | None = None
        self._side = torch.cuda.Stream(self._device) if self._device.type == "cuda" else None

    def __call__(self, batch: FeatureBatch) -> UpdateResult:
        """Do one step on a batch. The first of each size takes a second: it is recorded."""
        arrays = (*batch.features, batch.action, batch.returns, batch.discounts, batch.weights)
        if self._staging is None or not self._staging.fits(arrays):
            self._graph = self._staging = None
            self._staging = self._allocate(arrays)
        staging = self._staging
        staging.fill(arrays)
        if self._graph is None:
            self._compute(staging)
        else:
            self._graph.replay()
            torch.cuda.current_stream(self._device).synchronize()
        outputs = self._outputs.numpy()
        errors, largest_q, finite = outputs[:-2].copy(), outputs[-2], outputs[-1]
        if not np.isfinite(finite):
            return UpdateResult.make_skipped(len(batch))
        with np.errstate(over="ignore", invalid="ignore"):
            return UpdateResult(
                loss=step.weighted_huber(errors, batch.weights),
                errors=errors,
                skipped=False,
                largest_q=float(step.unsquash(largest_q)),
            )

    def _allocate(self, arrays: Sequence[np.ndarray]) -> Staging:
        """Allocate memory for batches like this one and, on a GPU, record the step."""
        staging = Staging(arrays, self._device)
        staging.fill(arrays)
        self._outputs = torch.empty(len(arrays[-1]) + 2, pin_memory=self._device.type == "cuda")
        if self._device.type == "cuda":
            self._graph = self._record(staging)
        return staging

    def _record(self, staging: Staging) -> torch.cuda.CUDAGraph:
        """Return the recorded step. The steps that warm up are undone."""
        changed = [self.context.online.vector.data, *self.context.optimizer.tensors]
        before = [tensor.clone() for tensor in changed]
        warming = torch.cuda.Stream(self._device)
        warming.wait_stream(torch.cuda.current_stream(self._device))
        try:
            with torch.cuda.stream(warming):
                for _ in range(WARM_STEPS):
                    self._compute(staging)
        finally:
            torch.cuda.current_stream(self._device).wait_stream(warming)
            for tensor, values in zip(changed, before, strict=True):
                tensor.copy_(values)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._compute(staging)
        return graph

    def _compute(self, staging: Staging) -> None:
        """Do one step on the staged arrays without reading from the device."""
        network, online = self.context.network, self.context.online
        staging.send()
        *features, action, returns, discounts, weights = staging.tensors
        passed = network.forward_both(tuple(features), self.context.target_network, self._on_side_stream())
        self._join()
        q_tm1 = passed.q_tm1.detach()
        with torch.no_grad():
            errors = double_q_errors(q_tm1, action, returns, discounts, passed.q_t, passed.q_t_target)
            gradient = huber_gradient(errors, weights, action, q_tm1.shape[1])
        online.zero_gradient()
        network.backward(passed, gradient)
        with torch.no_grad():
            norm = online.gradient.norm()
            finite = torch.dot(errors, weights) + norm  # finite if the loss and the gradient are
            self.context.optimizer.step(
                divisor=(norm / self.context.max_gradient_norm).clamp_(min=1.0), unless=(finite - finite).ne(0).float()
            )
            self._outputs.copy_(torch.cat([errors, torch.stack([q_tm1.abs().max(), finite])]), non_blocking=True)

    @contextlib.contextmanager
    def _on_side_stream(self) -> Iterator[None]:
        """Let the GPU run the operations of the block in parallel with those after it, until `_join`."""
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
