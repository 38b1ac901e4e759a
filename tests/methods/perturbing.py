"""What the tests of the perturbation methods share: small networks, and a score by loops in double precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segscope import Region, SegmentationModel
from segscope.methods import Place
from segscope.prediction import Prediction
from segscope.progress import Progress
from segscope.target import Target

Array = NDArray[np.float64]

SIZE = (9, 12)
BOX = (1, 2, 6, 8)
REGION = Region.box(*BOX)


class Small(nn.Module):
    """Curved, and with logits at every pixel, so that the score needs no resizing."""

    def __init__(self, *, curved: bool = True) -> None:
        super().__init__()
        self.curved = curved
        self.stem = nn.Conv2d(3, 5, 3, padding=1)
        self.head = nn.Conv2d(5, 3, 5, padding=2)

    def after_stem(self, maps: Tensor) -> Tensor:
        return self.head(torch.tanh(maps) if self.curved else maps)

    def forward(self, images: Tensor) -> Tensor:
        return self.after_stem(self.stem(images))


class Patchwork(nn.Module):
    """The first class's score everywhere is what one patch of the image shows, and a little of what is right there."""

    def __init__(self, rows: slice, columns: slice, *, here: float = 0.01) -> None:
        super().__init__()
        self.rows, self.columns, self.here = rows, columns, here
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        local = self.here * images.mean(dim=1)
        there = images[:, :, self.rows, self.columns].mean(dim=(1, 2, 3))
        return torch.stack([local + 3 * torch.tanh(there)[:, None, None], -local], dim=1)


def small(*, curved: bool = True) -> tuple[Small, Tensor]:
    """Return a network with fixed weights, and an image for it."""
    generator = torch.Generator().manual_seed(3)
    network = Small(curved=curved)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.4, generator=generator)
    # Blocks of colour, which superpixels can find.
    blocks = torch.randn(3, 3, 3, generator=generator).repeat_interleave(3, dim=1).repeat_interleave(4, dim=2)
    return network, blocks + 0.1 * torch.randn(3, *SIZE, generator=generator)


def place_of(prediction: Prediction, name: str = "input", *, against: int | None = None) -> Place:
    """Return a place for the score of class 1 over the box."""
    question, _ = prediction.question(Target(1, REGION, against=against))
    return Place(prediction, question, name, Progress())


@contextmanager
def small_place(name: str = "input", *, curved: bool = True, **options: Any) -> Iterator[Place]:
    network, image = small(curved=curved)
    with SegmentationModel(network, **options).predict(image) as prediction:
        yield place_of(prediction, name)


def slow_score(name: str, *, curved: bool = True) -> tuple[Callable[[Array], float], Array]:
    """Return the score of class 1 over the box as a function of one map in double precision, and what stands there."""
    network, image = small(curved=curved)
    exact = network.double()

    def score(values: Array) -> float:
        maps = torch.from_numpy(values)[None]
        with torch.no_grad():
            logits = (exact(maps) if name == "input" else exact.after_stem(maps))[0].numpy()
        top, left, bottom, right = BOX
        total = 0.0
        for row in range(top, bottom):
            for column in range(left, right):
                total += float(logits[1, row, column])
        return total / ((bottom - top) * (right - left))

    with torch.no_grad():
        values = image.double() if name == "input" else exact.stem(image.double()[None])[0]
    return score, values.numpy()


def slow_baseline(values: Array, kind: str) -> Array:
    """Return zeros or each channel's mean."""
    return (
        np.zeros_like(values) if kind == "zero" else np.broadcast_to(values.mean((1, 2), keepdims=True), values.shape)
    )


def slow_mix(values: Array, absent: Array, shares: Array) -> Array:
    """Blend place by place."""
    result = np.empty_like(values)
    for channel in range(values.shape[0]):
        for row in range(values.shape[1]):
            for column in range(values.shape[2]):
                share = shares[row, column]
                result[channel, row, column] = (
                    share * values[channel, row, column] + (1 - share) * absent[channel, row, column]
                )
    return result


def bilinear(grid: Array, size: tuple[int, int]) -> Array:
    """Enlarge by bilinear interpolation with cell centres at half-integers, from its definition."""
    result = np.zeros(size)
    for row in range(size[0]):
        for column in range(size[1]):
            y = min(max((row + 0.5) * grid.shape[0] / size[0] - 0.5, 0), grid.shape[0] - 1)
            x = min(max((column + 0.5) * grid.shape[1] / size[1] - 0.5, 0), grid.shape[1] - 1)
            for r in range(grid.shape[0]):
                for c in range(grid.shape[1]):
                    result[row, column] += max(0, 1 - abs(y - r)) * max(0, 1 - abs(x - c)) * grid[r, c]
    return result
