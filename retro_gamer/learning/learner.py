"""The learner: trains the network on batches, publishes its weights, and keeps its state for checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from retro_gamer.features.extractor import FeatureBatch
from retro_gamer.features.spec import NetworkSpec
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.learning import tiny_numbers_are_zero
from retro_gamer.learning.cuda_graph_step import CudaGraphStep
from retro_gamer.learning.inference import Weights
from retro_gamer.learning.networks import make_network
from retro_gamer.learning.networks.base import QNetwork, grow_tensor
from retro_gamer.learning.optimizer import MOMENTS, FlatAdam, FlatParameters, WeightAverage, join
from retro_gamer.learning.step import EagerStep, UpdateContext, UpdateResult
from retro_gamer.replay.transitions import Batch

NETWORKS = ("model_state_dict", "online_state_dict", "target_state_dict")


class Learner:
    """Double DQN with n-step returns, a target network and Adam over one flat vector of parameters.

    An update whose loss or gradient is not finite is skipped and changes no weight. A checkpoint plays by an average of
    the weights over many updates, actors by the latest weights.
    """

    def __init__(
        self, spec: NetworkSpec, settings: Hyperparameters, characters: tuple[str, ...], device: str = "cpu"
    ) -> None:
        self._settings = settings
        self._device = torch.device(device)
        torch.manual_seed(settings.seed)
        self.characters = characters
        self.total_updates = 0
        self.skipped_updates = 0
        self._install(make_network(spec))
        self._target.vector.data.copy_(self._online.vector.data)

    def _install(self, network: QNetwork) -> None:
        self.spec = network.spec
        self.network = network.to(self._device)
        self.target_network = make_network(network.spec).to(self._device)
        self.target_network.requires_grad_(False)
        self._online = FlatParameters(self.network)
        self._target = FlatParameters(self.target_network)
        self._optimizer = FlatAdam(self._online.vector, self._settings.learning_rate)
        self._average = WeightAverage(self._online.vector, self._settings.weight_averaging)
        context = UpdateContext(
            network=self.network,
            target_network=self.target_network,
            online=self._online,
            optimizer=self._optimizer,
            max_gradient_norm=self._settings.max_gradient_norm,
        )
        is_recorded = self._device.type == "cuda" and self.network.has_fixed_shapes
        self._step: CudaGraphStep | EagerStep = CudaGraphStep(context) if is_recorded else EagerStep(context)

    @property
    def is_finite(self) -> bool:
        """Whether every weight is a finite number."""
        return bool(torch.isfinite(self._online.vector).all())

    def set_learning_rate(self, learning_rate: float) -> None:
        """Set the learning rate of the next updates."""
        self._optimizer.learning_rate = learning_rate

    @tiny_numbers_are_zero()
    def update(self, batch: Batch | FeatureBatch) -> UpdateResult:
        """Do one gradient step on a batch of B transitions.

        1. The replay buffer sampled the batch (`replay.buffer.ReplayBuffer.sample`), uniformly or by priority.
        2. Boards become features (`FeatureExtractor.extract_batch`), if the replay service did not do it already.
        3. The networks compute the Q-values of both ends (`QNetwork.forward_both`).
        4. n-step double-DQN targets give the errors (`step.double_q_errors`), and the weighted Huber loss the gradient
           (`step.huber_gradient`), which goes back through the network (`QNetwork.backward`).
        5. The gradient is clipped to `max_gradient_norm`, and Adam changes the weights (`optimizer.FlatAdam.step`).
        6. Every `target_update_freq` updates the target network becomes a copy; the weight average follows.
        """
        features = batch if isinstance(batch, FeatureBatch) else self.network.extractor.extract_batch(batch)
        result = self._step(features)
        if result.skipped:
            self.skipped_updates += 1
            return result
        self.total_updates += 1
        self._average.update(self._online.vector, self.total_updates)
        if self.total_updates % self._settings.target_update_freq == 0:
            self._target.vector.data.copy_(self._online.vector.data)
        return result

    def publish(self) -> Weights:
        """Return a copy of the current weights, their version the number of updates done."""
        values = self._online.vector.detach().cpu().numpy().copy()
        return Weights(version=self.total_updates, values=values, characters=self.characters)

    def extend(self, characters: tuple[str, ...]) -> None:
        """Grow networks and moments for a character set that begins with the present one; nothing learned is lost."""
        if characters[: len(self.characters)] != self.characters:
            raise ValueError("the new character set must continue the old one")
        old = self.get_state()
        grown = grow_learner_state(old, self.network, len(self.characters), len(characters))
        learning_rate = self._optimizer.learning_rate
        generator = torch.get_rng_state()
        self._install(make_network(self.spec.with_characters(len(characters))))
        torch.set_rng_state(generator)
        self.characters = characters
        self.set_state(grown)
        self.set_learning_rate(learning_rate)

    def get_state(self) -> dict[str, Any]:
        """Return everything that later updates depend on, as tensors on the CPU and plain types.

        "model_state_dict" is the average, to play by; "online_state_dict" the network that learns.
        """
        adam = self._optimizer
        optimizer: dict[str, Any] = {name: self._copy(moment) for name, moment in adam.moments.items()}
        optimizer["step"] = adam.steps.to("cpu", copy=True)
        optimizer["learning_rate"] = adam.learning_rate
        return {
            "model_state_dict": self._copy(self._average.vector),
            "online_state_dict": self._copy(self._online.vector),
            "target_state_dict": self._copy(self._target.vector),
            "optimizer_state_dict": optimizer,
            "total_steps": self.total_updates,
            "skipped_updates": self.skipped_updates,
            "torch_generator": torch.get_rng_state(),
        }

    def _copy(self, vector: torch.Tensor) -> dict[str, torch.Tensor]:
        kept = vector.detach().cpu()
        return {name: value.clone() for name, value in self._online.views(kept).items()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from what `get_state` returned, in this version or before there was an average.

        Raises:
            KeyError, RuntimeError: if the state is of another network.
        """
        model = state["model_state_dict"]
        self.network.load_state_dict(model)
        self._average.vector.copy_(self._online.vector.detach())
        self.network.load_state_dict(state.get("online_state_dict", model))
        self.target_network.load_state_dict(state["target_state_dict"])
        optimizer = state["optimizer_state_dict"]
        moments = {name: join({key: optimizer[name][key] for key in model}) for name in MOMENTS}
        self._optimizer.set_state(optimizer["step"], moments)
        self.set_learning_rate(optimizer["learning_rate"])
        self.total_updates = state["total_steps"]
        self.skipped_updates = state["skipped_updates"]
        torch.set_rng_state(state["torch_generator"])


def grow_learner_state(state: Mapping[str, Any], network: QNetwork, n_old: int, n_new: int) -> dict[str, Any]:
    """Return a learner's state with room for n_new characters, the new ones' weights and moments zero."""
    axes = network.character_axes()

    def grow(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {
            name: grow_tensor(tensor, axes[name], n_old, n_new) if name in axes else tensor
            for name, tensor in tensors.items()
        }

    optimizer = dict(state["optimizer_state_dict"])
    optimizer.update({name: grow(optimizer[name]) for name in MOMENTS})
    networks = {name: grow(state[name]) for name in NETWORKS if name in state}
    return {**state, **networks, "optimizer_state_dict": optimizer}
