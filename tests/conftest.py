"""What many tests use."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import hypothesis
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import segscope
from tests import works
from tests.networks import ZOO
from tests.standin import import_zennit

# Where PyTorch is one that no torchvision is made for, relevance propagation is tested all the same.
import_zennit()

# The networks are tiny: threads would only wait for each other.
torch.set_num_threads(1)

# A shell starts background jobs with this signal ignored, and the programs under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says nothing on a shared machine.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--works", action="store_true", help="write the networks that pass into docs/what-works.md")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if session.config.getoption("--works"):
        works.write()


CLASSES = ("background", "leaf", "stem", "root")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def image() -> NDArray[np.uint8]:
    """A picture of 40 rows and 56 columns: smooth colours and some noise."""
    rows, columns = np.mgrid[0:40, 0:56]
    waves = np.stack([np.sin(rows / 7 + shift) + np.cos(columns / (5 + shift)) for shift in range(3)], axis=2)
    noise = np.random.default_rng(0).normal(0, 0.2, waves.shape)
    return np.clip((waves + noise + 2) * 64, 0, 255).astype(np.uint8)


@pytest.fixture
def network(image: NDArray[np.uint8]) -> torch.nn.Module:
    """A network that predicts the first three classes somewhere in the image, and the last one nowhere."""
    network = ZOO[0].build()
    with torch.no_grad():
        logits = network(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)
        network.get_submodule("3").bias -= logits.mean((0, 2, 3)) + torch.tensor([0, 0, 0, 99])
    return network


@pytest.fixture
def model(network: torch.nn.Module) -> segscope.SegmentationModel:
    return segscope.SegmentationModel(network, classes=CLASSES)


@pytest.fixture
def prediction(model: segscope.SegmentationModel, image: NDArray[np.uint8]) -> Iterator[segscope.Prediction]:
    with model.predict(image) as prediction:
        yield prediction
