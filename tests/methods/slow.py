"""Small networks and a slow score and gradient, for references written from papers in double precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from segscope import Region

Array = NDArray[np.float64]
Network = TypeVar("Network", bound=nn.Module)

CLASS = 1
BOX = (1, 1, 5, 4)
REGION = Region.box(*BOX)


class Smooth(nn.Module):
    """Smooth everywhere, so that finite differences are exact; logits at the input's size."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh())
        self.body = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Conv2d(4, 3, 1)
        enlarge(self)

    def after_stem(self, maps: Tensor) -> Tensor:
        return self.head(torch.sigmoid(2 * self.body(maps)) ** 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.after_stem(self.stem(images))


class Rectified(nn.Module):
    """Modules only, none in place and none used twice, as other libraries need it; smaller logits than the input."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(4, 5, 3, padding=1)
        self.norm = nn.BatchNorm2d(5)
        self.relu2 = nn.ReLU()
        self.head = nn.Conv2d(5, 3, 1)
        enlarge(self)
        self.norm.running_mean = torch.linspace(-0.5, 0.5, 5)
        self.norm.running_var = torch.linspace(0.5, 1.5, 5)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        maps = self.pool(self.relu1(self.conv1(images)))
        return self.head(self.relu2(self.norm(self.conv2(maps))))


class Functional(Rectified):
    """The same without activation modules, and in place wherever that can be."""

    def forward(self, images: Tensor) -> Tensor:
        maps = functional.max_pool2d(self.conv1(images).relu_(), 2)
        return self.head(self.norm(self.conv2(maps)).clamp_(min=0))


class Linear(nn.Module):
    """A network whose score is linear in the image, but for a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.head = nn.Conv2d(4, 3, 3, padding=1)
        enlarge(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.first(images))


class Scored(nn.Module):
    """The score of a network, as a network that other libraries take."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return score(self.network, images)


def enlarge(network: nn.Module) -> None:
    """Give a network weights and biases that matter."""
    generator = torch.Generator().manual_seed(3)
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * (0.5 if parameter.ndim > 1 else 0.3)


def image(height: int = 6, width: int = 6) -> Tensor:
    return torch.randn(2, height, width, generator=torch.Generator().manual_seed(4)) + 0.2


def score(function: Callable[[Tensor], Tensor], maps: Tensor) -> Tensor:
    """The mean logit over the box; smaller logits are brought to the image's size first."""
    logits = function(maps)
    if logits.shape[-1] != 6:
        logits = functional.interpolate(logits, (6, 6), mode="bilinear", align_corners=False)
    return logits[:, CLASS, BOX[0] : BOX[2], BOX[1] : BOX[3]].mean((1, 2))


def exact(network: Network) -> Network:
    """The same network in double precision."""
    copy = type(network)().double()
    copy.load_state_dict(network.state_dict())
    return copy.eval()


def slow_gradient(function: Callable[[Tensor], Tensor], values: Array, step: float = 1e-5) -> Array:
    """The score's gradient by central differences in double precision."""
    point = torch.from_numpy(values)[None]
    units = torch.eye(point.numel(), dtype=torch.float64).reshape(-1, *values.shape) * step
    with torch.no_grad():
        change = score(function, point + units) - score(function, point - units)
    return (change / (2 * step)).reshape(values.shape).numpy()


def slow_score(function: Callable[[Tensor], Tensor], values: Array) -> float:
    with torch.no_grad():
        return float(score(function, torch.from_numpy(values)[None]))
