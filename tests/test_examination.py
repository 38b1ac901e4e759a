"""What ``segscope doctor`` tells of a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from segscope import SegmentationModel, UnsupportedNetwork
from segscope.cli import main
from segscope.examination import examine
from tests.networks import ZOO

CASES = {case.name: case for case in ZOO}


@pytest.mark.parametrize("case", ZOO, ids=[case.name for case in ZOO])
def test_every_network_can_be_examined(case: Any) -> None:
    with SegmentationModel(case.build()).predict(case.input()) as prediction:
        found = examine(prediction)
        assert all(check.passed for check in found.checks), found.checks
        assert found.suggestions[0].layer == prediction.default_layer
        assert {each.layer for each in found.suggestions} <= set(prediction.layers)


class Own(nn.Module):
    def __init__(self, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)
        self.change = change

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.change(self.body(images)))


def test_what_cannot_be_explained_says_why() -> None:
    random = Own(lambda maps: nn.functional.dropout(maps, training=True))
    with SegmentationModel(random).predict(torch.rand(3, 8, 8)) as prediction:
        checks = examine(prediction).checks
    assert [check.passed for check in checks] == [True, True, False, False, True]
    assert "its forward is random" in checks[2].problem


def test_network_without_gradients() -> None:
    network = SegmentationModel(Own(torch.Tensor.detach))
    with (
        network.predict(torch.rand(3, 8, 8)) as prediction,
        pytest.raises(UnsupportedNetwork, match="Gradients don't flow"),
    ):
        examine(prediction)


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_command(more: list[str], tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.py").write_text(
        "import tests.networks\n\ndef make():\n    return tests.networks.ZOO[12].build()\n"
    )
    assert main(["doctor", f"{tmp_path / 'net.py'}:make", *more]) == 0
    printed = capsys.readouterr().out
    if more:
        answer = json.loads(printed)
        assert answer["input"]["channels"] == 12
        assert [check["problem"] for check in answer["checks"]] == [""] * 5
    else:
        assert "12 bands, 224×224" in printed
        assert "yes  gradients reach the input" in printed
        assert "layers worth a look first" in printed
