"""The state of a training, and the step that changes it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn

from .augment import augment
from .dataset import LabelledImages
from .losses import class_weights, segmentation_loss
from .pspnet import ConvBNReLU, PSPNetVGG16, normalise
from .recipe import Recipe

__all__ = ["Trainer"]


class Trainer:
    """A network in training, with its optimiser, its running average and a count of the steps.

    All randomness of a step follows from the seed and the step's number, so that a training continued from a
    checkpoint takes the same course as one that never stopped.

    Parameters
    ----------
    recipe : Recipe
        Hyper-parameters.
    data : LabelledImages
        What to train on.
    """

    def __init__(self, recipe: Recipe, data: LabelledImages) -> None:
        self.recipe = recipe
        self.data = data
        self.step = 0
        self.weights = class_weights(data.masks, classes=recipe.classes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.network = PSPNetVGG16(recipe.classes, width=recipe.width)
            self.auxiliary = _auxiliary_head(self.network.get_submodule("block4_conv3"), recipe.classes)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimizer = _optimizer(self.network, self.auxiliary, recipe)

    def advance(self, position: float) -> float:
        """Take one step.

        Parameters
        ----------
        position : float
            How much of the training is done, 0..1.

        Returns
        -------
        float
            The loss before the step.
        """
        generator = Generator().manual_seed(self.recipe.seed * 1_000_003 + self.step)
        chosen = self._batch(self.step)
        size = self.recipe.size_at(position)
        images, masks = augment(self.data.images[chosen], self.data.masks[chosen], size=size, generator=generator)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate_at(position)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
            loss = self._loss(normalise(images), masks)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.step += 1
        self._update_average()
        return float(loss.detach())

    def _batch(self, step: int) -> Tensor:
        """Return which images the step uses; each image comes once an epoch, epochs follow without a gap."""
        places = torch.arange(step * self.recipe.batch_size, (step + 1) * self.recipe.batch_size)
        epochs = sorted({int(place) // len(self.data) for place in places})
        orders = {
            epoch: torch.randperm(len(self.data), generator=Generator().manual_seed(self.recipe.seed * 7919 + epoch))
            for epoch in epochs
        }
        return torch.stack([orders[int(place) // len(self.data)][int(place) % len(self.data)] for place in places])

    def _loss(self, inputs: Tensor, masks: Tensor) -> Tensor:
        self.network.train()
        self.auxiliary.train()
        *_, block4, block5 = self.network.blocks(inputs)
        overlap = self.recipe.overlap_weight
        loss = segmentation_loss(self.network.head(block5), masks, weights=self.weights, overlap=overlap)
        auxiliary = segmentation_loss(self.auxiliary(block4), masks, weights=self.weights, overlap=overlap)
        return loss + self.recipe.auxiliary_weight * auxiliary

    @torch.no_grad()
    def _update_average(self) -> None:
        # Early on the average follows quickly, or it would remember the random initial weights.
        decay = min(self.recipe.average_decay, (1 + self.step) / (10 + self.step))
        for average, current in zip(
            self.average.state_dict().values(), self.network.state_dict().values(), strict=True
        ):
            if average.is_floating_point():
                average.lerp_(current, 1 - decay)
            else:
                average.copy_(current)

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes with a step, as ``torch.load(weights_only=True)`` can read it."""
        return {
            "step": self.step,
            "network": self.network.state_dict(),
            "auxiliary": self.auxiliary.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to the state that `state_dict` described.

        Parameters
        ----------
        state : mapping
            From a trainer of the same recipe.
        """
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self.auxiliary.load_state_dict(state["auxiliary"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])


def _auxiliary_head(layer: nn.Module, classes: int) -> nn.Sequential:
    channels: int = layer.get_submodule("convolution").out_channels  # type: ignore[assignment]
    hidden = max(1, channels // 4)
    return nn.Sequential(ConvBNReLU(channels, hidden, kernel=3), nn.Conv2d(hidden, classes, 1))


def _optimizer(network: nn.Module, auxiliary: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    parameters = [*network.parameters(), *auxiliary.parameters()]
    groups = [
        {"params": [value for value in parameters if value.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [value for value in parameters if value.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)
