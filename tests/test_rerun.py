"""Running the network again with other numbers at one place, on networks of every build."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segscope import CannotExplain, Region, SegmentationModel
from segscope.layers import first_tensor
from segscope.methods import Place
from segscope.prediction import Prediction
from segscope.progress import Progress
from segscope.target import Target

from .networks import ZOO, Case

CASES = pytest.mark.parametrize("case", ZOO, ids=lambda case: case.name)


def place_of(prediction: Prediction, name: str) -> Place:
    question, _ = prediction.question(Target(1, Region.box(2, 1, 9, 8)))
    return Place(prediction, question, name, Progress())


@CASES
def test_kept_values_give_the_kept_score_and_gradient(case: Case) -> None:
    with SegmentationModel(case.build(), output="logits").predict(case.input()) as prediction:
        served = 0
        for name in ["input", *prediction.layers]:
            try:
                place = place_of(prediction, name)
            except CannotExplain:
                continue
            served += 1
            score = place.question.score(torch.from_numpy(prediction.logits)[None])
            maps = torch.stack([place.values, place.values])
            torch.testing.assert_close(place.score(maps), score.expand(2), rtol=1e-4, atol=1e-5)
            if (case.name, name) == ("list in place", "backbone"):
                # What it puts out went into the second map as well, before it was handed on.
                continue
            scale = float(place.gradient.abs().max())
            torch.testing.assert_close(place.gradients(maps)[1], place.gradient, rtol=0, atol=1e-4 * scale)
        assert served > len(prediction.layers) / 2


@CASES
def test_other_values_give_what_the_network_makes_of_them(case: Case) -> None:
    """Against a hook that sets the layer's output on one image at a time."""
    network = case.build()
    with SegmentationModel(network, output="logits").predict(case.input()) as prediction:
        for name in list(prediction.layers)[:: max(1, len(prediction.layers) // 4)]:
            try:
                place = place_of(prediction, name)
            except CannotExplain:
                continue
            maps = torch.stack([place.values * factor for factor in (0.5, -1.0, 0.0)])
            found = place.score(maps)
            expected = [place.question.score(by_hand(network, case, prediction, name, single)[None]) for single in maps]
            torch.testing.assert_close(found, torch.cat(expected), rtol=1e-4, atol=1e-4)


def by_hand(network: nn.Module, case: Case, prediction: Prediction, name: str, values: Tensor) -> Tensor:
    """Return the logits with one map in a layer's place, set number by number into what the layer puts out."""
    captured = prediction._pass.capture[name]
    module, call = prediction._pass.capture.origin(name)
    calls = 0

    def replace(_module: nn.Module, _arguments: object, output: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != call:
            return None
        tensor = first_tensor(output)
        with torch.no_grad():
            changed = captured.to_map(tensor.clone(), prediction._pass.input_size)
            other = tensor.clone()
            layout = captured.layout(prediction._pass.input_size)
            for row in range(changed.shape[2]):
                for column in range(changed.shape[3]):
                    if other.ndim == 3:
                        other[0, layout.extra + row * changed.shape[3] + column] = values[:, row, column]
                    elif layout.channels_last:
                        other[0, row, column] = values[:, row, column]
                    else:
                        other[0, :, row, column] = values[:, row, column]
        if isinstance(output, Tensor):
            return other
        return (
            {key: other if part is tensor else part for key, part in output.items()}
            if isinstance(output, dict)
            else type(output)(other if part is tensor else part for part in output)
        )

    handle = network.get_submodule(module).register_forward_hook(replace)
    with torch.no_grad():
        logits = case.read(network(case.input()[None].clone()))
    handle.remove()
    return logits[0]


class OneImage(nn.Module):
    """Takes one image at a time, and says so by its shapes alone."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.body(images).reshape(4, images.shape[2], images.shape[3])
        return self.head(maps[None])


def test_network_of_one_image_at_a_time_is_run_one_by_one() -> None:
    torch.manual_seed(0)
    with SegmentationModel(OneImage(), output="logits").predict(torch.randn(3, 10, 12)) as prediction:
        place = place_of(prediction, "body")
        maps = torch.randn(3, *place.values.shape)
        one_by_one = torch.cat([place.score(single[None]) for single in maps])
        torch.testing.assert_close(place.score(maps), one_by_one)


class Forgetful(nn.Module):
    """Gives other logits at each run."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(images) + torch.randn(1)


def test_random_network_is_refused() -> None:
    torch.manual_seed(0)
    with (
        SegmentationModel(Forgetful(), output="logits").predict(torch.randn(3, 10, 12)) as prediction,
        pytest.raises(CannotExplain, match="other logits when it is run again from 'input'"),
    ):
        place_of(prediction, "input")


def test_chunks_stay_within_the_memory_and_tell_the_progress() -> None:
    told: list[float] = []
    model = SegmentationModel(ZOO[0].build(), output="logits", memory=1)
    with model.predict(ZOO[0].input()) as prediction:
        question, _ = prediction.question(Target(1, Region.everywhere()))
        progress = Progress(told.append)
        place = Place(prediction, question, "input", progress)
        assert place.batch == 1
        for chunk in place.chunks(4):
            place.score(torch.zeros(chunk.stop - chunk.start, *place.values.shape))
    assert told == [0.25, 0.5, 0.75, 1.0]
    assert progress.passes == 4


def test_who_waits_can_end_the_work() -> None:
    class Gone(Exception):
        pass

    def tell(share: float) -> None:
        if share > 0.5:
            raise Gone

    model = SegmentationModel(ZOO[0].build(), output="logits")
    with model.predict(ZOO[0].input()) as prediction:
        question, _ = prediction.question(Target(1, Region.everywhere()))
        place = Place(prediction, question, "input", Progress(tell))
        place.progress.expect(2)
        place.score(place.values[None])
        with pytest.raises(Gone):
            place.score(place.values[None])
        assert not any(module._forward_hooks for module in model.network.modules())


@pytest.mark.parametrize("kind", ["zero", "mean", "blur", "noise"])
def test_baselines_lie_within_the_channels_range(kind: str) -> None:
    with SegmentationModel(ZOO[0].build(), output="logits").predict(ZOO[0].input()) as prediction:
        place = place_of(prediction, "input")
        baseline = place.baseline(kind, seed=3)
        assert baseline.shape == place.values.shape
        low, high = place.values.amin((1, 2)), place.values.amax((1, 2))
        assert bool(((baseline.amin((1, 2)) >= low - 1e-5) & (baseline.amax((1, 2)) <= high + 1e-5)).all())
        assert torch.equal(baseline, place.baseline(kind, seed=3))
        if kind == "mean":
            torch.testing.assert_close(baseline.mean((1, 2)), place.values.mean((1, 2)))


def test_superpixels_at_a_layer_are_those_of_the_image_below_its_cells() -> None:
    image = np.zeros((40, 60, 3), dtype=np.uint8)
    image[:, 30:] = 255
    with SegmentationModel(ZOO[0].build(), output="logits").predict(image) as prediction:
        labels = prediction.superpixels(2)
        for name in ("input", list(prediction.layers)[-1]):
            place = place_of(prediction, name)
            found = place.superpixels(2)
            step = labels.shape[0] / place.size[0]
            rows = [int((row + 0.5) * step) for row in range(place.size[0])]
            columns = [int((column + 0.5) * step) for column in range(place.size[1])]
            assert torch.equal(found, torch.from_numpy(labels[np.ix_(rows, columns)]).long())


def test_who_waits_is_told_while_work_in_one_piece_goes_on() -> None:
    told = threading.Event()
    progress = Progress(lambda share: told.set() if share == 0 else None)
    assert progress.meanwhile(lambda: told.wait(20)) is True
    assert Progress().meanwhile(threading.get_ident) == threading.get_ident()


def test_work_in_one_piece_hands_on_what_it_raises_and_ends_before_it_is_cancelled() -> None:
    def fail() -> None:
        raise ValueError("the work")

    with pytest.raises(ValueError, match="the work"):
        Progress(lambda share: None).meanwhile(fail)
    told, ended = threading.Event(), threading.Event()

    def cancel(share: float) -> None:
        told.set()
        raise KeyboardInterrupt("nobody waits")

    def work() -> None:
        told.wait(20)
        ended.set()

    with pytest.raises(KeyboardInterrupt, match="nobody waits"):
        Progress(cancel).meanwhile(work)
    assert ended.is_set()
