"""The edges between layers, read from the forward pass."""

import itertools

import torch

import segscope
from segscope.demo.pspnet import PSPNetVGG16


def test_edges_of_the_example_network_follow_its_architecture():
    network = PSPNetVGG16(width=1 / 16)
    names = [name for name, _ in network.named_children() if name != "dropout"]
    prediction = segscope.SegmentationModel(network, layers=names).predict(torch.rand(3, 64, 64))

    levels = [f"psp_level{bins}_conv" for bins in (1, 2, 3, 6)]
    backbone = names[: names.index("psp_level1_conv")]
    expected = {("input", "block1_conv1"), *itertools.pairwise(backbone)}
    expected |= {("block5_conv3", level) for level in levels} | {(level, "aggregation_conv") for level in levels}
    expected |= {("block5_conv3", "aggregation_conv"), ("aggregation_conv", "classifier")}
    assert set(prediction.edges) == expected


class Skip(torch.nn.Module):
    """A block whose output is used twice, and one that is called twice."""

    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 4, 1)
        self.shared = torch.nn.Conv2d(4, 4, 1)
        self.head = torch.nn.Conv2d(8, 2, 1)

    def forward(self, image):
        stem = self.stem(image)
        twice = self.shared(torch.relu(self.shared(stem)))
        return self.head(torch.cat([stem, twice], dim=1))


def test_edges_tell_skips_and_calls_apart():
    prediction = segscope.SegmentationModel(Skip()).predict(torch.rand(3, 8, 8))
    assert prediction.edges == (
        ("input", "stem"),
        ("stem", "shared"),
        ("stem", "head"),
        ("shared", "shared#2"),
        ("shared#2", "head"),
    )
