"""Files that torch.export.save wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from segscope import InvalidInput, SegmentationModel
from tests.matrix import Cell, check, tensor_of
from tests.networks import ZOO

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

CASES = {case.name: case for case in ZOO}


def export(network: nn.Module, image: torch.Tensor, file: Path, **options: Any) -> None:
    torch.export.save(torch.export.export(network.eval(), (image[None],), **options), file)


@pytest.mark.parametrize("name", ["plain", "unet", "resnet", "dict with auxiliary head", "channel last", "one channel"])
def test_file_works(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    export(case.build(), case.input(), tmp_path / "net.pt2")

    def read(raw: Any) -> torch.Tensor:
        logits = tensor_of(raw["out"] if isinstance(raw, dict) else raw)
        return logits.permute(0, 3, 1, 2) if name == "channel last" else logits

    check(Cell(name, lambda: SegmentationModel.load(f"export:{tmp_path / 'net.pt2'}"), read, size=case.size))


def test_modules_keep_their_names(tmp_path: Path) -> None:
    case = CASES["unet"]
    export(case.build(), case.input(), tmp_path / "net.pt2")
    with SegmentationModel.load(f"export:{tmp_path / 'net.pt2'}").predict(case.input()) as prediction:
        assert {"down1", "down2.0", "bottom", "up2", "head"} <= set(prediction.layers)


def test_free_sizes_take_any_image(tmp_path: Path, image: np.ndarray) -> None:
    case = CASES["plain"]
    free = {2: torch.export.Dim("height", min=8, max=512), 3: torch.export.Dim("width", min=8, max=512)}
    export(case.build(), case.input(), tmp_path / "free.pt2", dynamic_shapes=(free,))
    with SegmentationModel.load(f"export:{tmp_path / 'free.pt2'}").predict(image) as prediction:
        assert (prediction.input.height, prediction.input.width) == (40, 56)
    export(case.build(), case.input(), tmp_path / "fixed.pt2")
    with SegmentationModel.load(f"export:{tmp_path / 'fixed.pt2'}").predict(image) as prediction:
        assert (prediction.input.height, prediction.input.width) == (32, 32)


def test_weights_of_ones_own(tmp_path: Path) -> None:
    case = CASES["plain"]
    network = case.build()
    export(network, case.input(), tmp_path / "net.pt2")
    for parameter in network.parameters():
        parameter.data.mul_(0.5)
    torch.save(network.state_dict(), tmp_path / "w.pt")
    model = SegmentationModel.load(f"export:{tmp_path / 'net.pt2'}", weights=tmp_path / "w.pt")
    expected = network(case.input()[None])[0].detach()
    np.testing.assert_allclose(model.predict(case.input()).logits, expected, atol=1e-6)


def test_program_with_two_inputs(tmp_path: Path) -> None:
    class Pair(nn.Module):
        def forward(self, image: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
            return image + depth

    images = (torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8))
    torch.export.save(torch.export.export(Pair(), images), tmp_path / "pair.pt2")
    with pytest.raises(InvalidInput, match=r"takes 2 inputs \(image, depth\); expected one"):
        SegmentationModel.load(f"export:{tmp_path / 'pair.pt2'}")


def test_file_that_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "net.pt2").write_text("nothing")
    with pytest.raises(InvalidInput, match="failed: "):
        SegmentationModel.load(f"export:{tmp_path / 'net.pt2'}")
