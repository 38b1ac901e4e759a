"""Tables against a backward pass for each logit, and their answers against those of the prediction itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segscope import (
    CannotExplain,
    InvalidInput,
    Prediction,
    PredictionClosed,
    Region,
    SegmentationModel,
    Table,
    Target,
    UnknownName,
    directional,
    errors,
    rerun,
)
from segscope.forward_pass import ForwardPass
from segscope.methods import all_methods
from tests.networks import ZOO, Case
from tests.test_untouched import assert_same, state, used

EVERY_CASE = pytest.mark.parametrize("case", ZOO, ids=[case.name for case in ZOO])
METHODS = ("grad-cam", "xgrad-cam")


def some_layers(prediction: Prediction, count: int = 3) -> list[str]:
    names = list(prediction.layers)
    return [*names[:: max(1, len(names) // count)], "input"]


def by_hand(prediction: Prediction, layer: str, method: str, logits: list[tuple[int, int, int]]) -> Tensor:
    """Weights for a few logits, each by a backward pass through the kept graph and loops over channels: C×N."""
    forward_pass: ForwardPass = prediction._open_pass()
    captured = forward_pass.capture.get(layer)
    output = captured.output if captured else forward_pass.input
    columns = []
    for class_index, row, column in logits:
        score = forward_pass.logits[0, class_index, row, column]
        gradient = torch.autograd.grad(score, output, retain_graph=True)[0].double()
        activation = output.detach().double()
        if captured:
            gradient, activation = (captured.to_map(each, forward_pass.input_size) for each in (gradient, activation))
        column_of_weights = []
        for channel in range(gradient.shape[1]):
            total = 0.0
            for each, value in zip(gradient[0, channel].flatten(), activation[0, channel].flatten(), strict=True):
                total += float(each * value) if method == "xgrad-cam" else float(each) / gradient[0, channel].numel()
            column_of_weights.append(total)
        columns.append(column_of_weights)
    return torch.tensor(columns).T


@EVERY_CASE
@pytest.mark.parametrize("method", METHODS)
def test_table_equals_one_backward_pass_a_logit(case: Case, method: Any) -> None:
    with SegmentationModel(case.build().double(), output=case.read).predict(case.input()) as prediction:
        classes, height, width = prediction.logits.shape
        asked = [(0, 0, 0), (classes - 1, height - 1, width // 2), (1, height // 2, width - 1)]
        served = 0
        for layer in some_layers(prediction):
            table = prediction.table(layer, method=method)
            assert table.values.dtype == torch.float32
            found = torch.stack([table.values[:, each, row, column] for each, row, column in asked], 1)
            expected = by_hand(prediction, layer, method, asked).float()
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(table.values.abs().max()))
            served += table.way == "forward"
        assert served == len(some_layers(prediction)) or case.name == "list in place"


TARGETS = (
    Target(1, Region.pixel(5, 6)),
    Target(0, Region.box(2, 1, 9, 8)),
    Target(1, Region.box(2, 1, 9, 8) | Region.pixel(0, 0), against=0),
    Target(1, Region.everywhere(), score="probability"),
    Target(0, Region.pixel(3, 3), against=1, score="probability"),
)


@EVERY_CASE
@pytest.mark.parametrize("method", METHODS)
def test_answers_equal_those_of_the_prediction(case: Case, method: Any) -> None:
    if method not in all_methods():
        pytest.skip("the method itself isn't there")
    with SegmentationModel(case.build(), output=case.read).predict(case.input()) as prediction:
        for layer in some_layers(prediction, 2):
            table = prediction.table(layer, method=method)
            for relu in (True, False):
                found = table.explain_many(TARGETS, relu=relu)
                for target, attribution in zip(TARGETS, found, strict=True):
                    expected = prediction.explain(target, layer=layer, method=method, relu=relu)
                    signed = prediction.explain(target, layer=layer, method=method, relu=False)
                    scale = float(np.abs(signed.map).max())
                    np.testing.assert_allclose(attribution.map, expected.map, rtol=0, atol=1e-5 * scale)
                    one = table.explain(target, relu=relu)
                    np.testing.assert_allclose(one.map, attribution.map, rtol=0, atol=1e-6 * scale)
                    assert attribution.provenance == expected.provenance
                    assert np.array_equal(attribution.region_weights, expected.region_weights)
                    assert attribution.cost.passes == 0


def test_predicted_region_and_parts_of_a_target(prediction: Prediction) -> None:
    table = prediction.table("1")
    for against in (None, "background"):
        expected = prediction.explain("leaf", layer="1", against=against).map
        found = table.explain("leaf", against=against).map
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * expected.max())
    with pytest.raises(errors.EmptyRegion, match="No pixel of the image is predicted as 'root'"):
        table.explain("root")
    with pytest.raises(InvalidInput, match="set against itself"):
        table.weights("leaf", against="leaf")


def test_weights_follow_the_definition_of_each_method(prediction: Prediction) -> None:
    """Weights from the gradient of the score: its mean, or activation times gradient over the activation's sum."""
    question, _ = prediction.question(Target("leaf"))
    pair = prediction.activations_and_gradients(question, ["0"])["0"]
    assert not isinstance(pair, CannotExplain)
    activation, gradient = pair
    for method, expected in (
        ("grad-cam", gradient.mean((1, 2))),
        ("xgrad-cam", (gradient * activation).sum((1, 2)) / activation.sum((1, 2))),
    ):
        found = prediction.table("0", method=method).weights("leaf")  # type: ignore[arg-type] # one of two
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


class Dead(nn.Sequential):
    """One of its channels is zero everywhere."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1))
        self.get_parameter("0.bias").data[1] = -99


def test_dead_channel_has_a_grad_cam_weight_and_no_xgrad_cam_weight() -> None:
    with SegmentationModel(Dead()).predict(torch.rand(3, 8, 9)) as prediction:
        assert prediction.table("1").values[1].any()
        table = prediction.table("1", method="xgrad-cam")
        assert not table.values[1].any()
        weights = table.weights(1, Region.everywhere())
        assert bool(torch.isfinite(weights).all())
        assert float(weights[1]) == 0


def test_little_memory_gives_the_same_table(image: Any, network: nn.Module) -> None:
    told: dict[int, list[float]] = {2**29: [], 300_000: []}
    tables = {}
    for memory, shares in told.items():
        with SegmentationModel(network, memory=memory).predict(image) as prediction:
            tables[memory] = prediction.table("0", progress=shares.append).values
    torch.testing.assert_close(*tables.values())
    large, small = told.values()
    assert len(small) > len(large)
    for shares in told.values():
        assert shares == sorted(shares)
        assert shares[-1] == 1


@pytest.mark.parametrize(
    ("case", "layer", "inplace"),
    [(ZOO[0], "0", False), (ZOO[2], "layer1.0.conv2", True), (ZOO[6], "patches", False)],
    ids=["plain", "resnet", "transformer"],
)
def test_written_down_steps_give_the_same_table(case: Case, layer: str, inplace: bool, monkeypatch: Any) -> None:
    """Where many chunks are needed the network's steps are written down once; where it works in place they aren't."""
    calls: list[object] = []
    with SegmentationModel(case.build(), output=case.read).predict(case.input()) as prediction:
        direct = prediction.table(layer)
        prediction.model.network.register_forward_pre_hook(lambda *arguments: calls.append(arguments))
        monkeypatch.setattr(rerun, "_MOST_DIRECTIONS", 1)
        monkeypatch.setattr(directional, "_WORTHWHILE", 0)
        written = prediction.table(layer)
    # Writing down takes two passes, and comparing one; without it there is one more for each channel.
    assert len(calls) == 3 + (len(direct.values) if inplace else 0)
    assert written.way == direct.way == "forward"
    scale = float(direct.values.abs().max())
    torch.testing.assert_close(written.values, direct.values, rtol=0, atol=1e-5 * scale)


def test_table_larger_than_the_memory_is_refused(image: Any, network: nn.Module) -> None:
    with (
        SegmentationModel(network, memory=10_000).predict(image) as prediction,
        pytest.raises(CannotExplain, match=r"would hold 6×4×40×56 numbers, 0 MiB, and the model's memory is 0 MiB"),
    ):
        prediction.table("0")


class OwnFunction(torch.autograd.Function):
    """Has a backward pass only."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        context.save_for_backward(values)
        return values.square()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return 2 * context.saved_tensors[0] * gradient


class WrongForward(torch.autograd.Function):
    """Its forward formula isn't that of its backward pass."""

    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor) -> Tensor:
        return values.square()

    @staticmethod
    def setup_context(context: Any, inputs: tuple[Tensor], _output: Tensor) -> None:
        context.save_for_backward(*inputs)
        context.save_for_forward(*inputs)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return 2 * context.saved_tensors[0] * gradient

    @staticmethod
    def jvp(context: Any, direction: Tensor) -> Tensor:
        return 3 * context.saved_tensors[0] * direction


class Applying(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.first, self.head, self.function = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 1), function

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.function(self.first(images)))


def noisy(values: Tensor) -> Tensor:
    return values + torch.rand(1)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (OwnFunction.apply, "An operation of the network has no forward mode"),
        (WrongForward.apply, "Forward mode gives other derivatives than the backward pass"),
        (noisy, "The network gives other logits when it is run again"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_without_forward_mode_it_goes_backward_and_says_so(function: Any, reason: str, method: Any) -> None:
    network = Applying(function)
    before = state(network)
    told: list[float] = []
    with SegmentationModel(network).predict(torch.rand(3, 5, 6)) as prediction:
        before["random"]["torch"] = torch.get_rng_state()
        table = prediction.table("first", method=method, progress=told.append)
        assert table.way == "backward"
        assert table.reason.startswith(reason)
        asked = [(each, row, column) for each in range(2) for row in range(5) for column in range(6)]
        expected = by_hand(prediction, "first", method, asked).float().reshape(table.values.shape)
        torch.testing.assert_close(table.values, expected)
        assert told == sorted(told)
        assert told[-1] == 1
    if function is not noisy:
        assert_same(before, state(network))


class Enough(Exception):
    pass


@pytest.mark.parametrize("function", [torch.tanh, OwnFunction.apply])
@pytest.mark.parametrize("stop", [1, 2, 3])
def test_cancelling_leaves_nothing_behind(function: Any, stop: int) -> None:
    network = used(Applying(function))
    before = state(network)
    calls = 0

    def tell(_share: float) -> None:
        nonlocal calls
        calls += 1
        if calls == stop:
            raise Enough

    with SegmentationModel(network, memory=1000).predict(torch.rand(3, 5, 6)) as prediction:
        with pytest.raises(Enough, match="^$"):
            prediction.table("first", progress=tell)
        before["random"]["torch"] = torch.get_rng_state()
        assert_same(before, state(network))
        assert prediction.table("first").values.any()


@EVERY_CASE
def test_network_is_untouched(case: Case) -> None:
    network = used(case.build())
    with SegmentationModel(network).predict(case.input()) as prediction:
        before = state(network)
        prediction.table(next(iter(prediction.layers))).explain(0, Region.everywhere())
        assert_same(before, state(network))


@pytest.fixture
def table(prediction: Prediction) -> Table:
    return prediction.table("1")


def test_answers_when_the_prediction_is_closed(prediction: Prediction, table: Table) -> None:
    expected = prediction.explain("leaf", layer="1").map
    prediction.close()
    np.testing.assert_allclose(table.explain("leaf").map, expected, rtol=0, atol=1e-5 * expected.max())
    with pytest.raises(PredictionClosed, match="was closed"):
        prediction.table("1")


def test_maps_are_those_of_the_attributions(table: Table) -> None:
    targets = [Target(each, region) for region in (Region.pixel(1, 2), Region.everywhere()) for each in (0, 1, 2)]
    maps = table.maps(targets)
    for attribution, single in zip(table.explain_many(targets), maps, strict=True):
        assert np.array_equal(attribution.map, single.numpy())
    assert table.maps([]).shape == (0, *maps.shape[1:])
    assert table.explain_many([]) == []


def test_saved_table_comes_back(prediction: Prediction, table: Table, tmp_path: Any) -> None:
    path = table.save(tmp_path / "leaf.npz")
    loaded = Table.load(path, prediction)
    assert torch.equal(loaded.values, table.values)
    assert loaded.provenance == table.provenance
    assert (loaded.layer, loaded.method, loaded.way, loaded.reason) == ("1", "grad-cam", "forward", "")
    assert np.array_equal(loaded.explain("leaf").map, table.explain("leaf").map)
    assert [each.name for each in tmp_path.iterdir()] == ["leaf.npz"]
    with pytest.raises(InvalidInput, match=r"ends with '.txt'; expected .npz"):
        table.save(tmp_path / "leaf.txt")


def test_table_of_something_else_is_refused(
    prediction: Prediction, table: Table, model: SegmentationModel, image: Any, tmp_path: Any
) -> None:
    path = table.save(tmp_path / "leaf.npz")
    with model.predict(image[::-1].copy()) as other, pytest.raises(InvalidInput, match="the network's logits differ"):
        Table.load(path, other)
    with model.predict(image[:32]) as other, pytest.raises(InvalidInput, match="an image of 40×56 pixels, not 32×56"):
        Table.load(path, other)
    stranger = SegmentationModel(nn.Conv2d(3, 4, 1))
    with stranger.predict(image) as other, pytest.raises(InvalidInput, match="the layer '1', which this network"):
        Table.load(path, other)
    wider = SegmentationModel(nn.Sequential(nn.Identity(), nn.Conv2d(3, 5, 1)))
    with wider.predict(image) as other, pytest.raises(InvalidInput, match="the size 8×4×40×56 in place of 5×5×40×56"):
        Table.load(path, other)
    with pytest.raises(InvalidInput, match="can't be read as a table: No such file"):
        Table.load(tmp_path / "none.npz", prediction)
    for content in (b"", b"not a table", path.read_bytes()[:500]):
        (tmp_path / "broken.npz").write_bytes(content)
        with pytest.raises(InvalidInput, match="expected an NPZ file that Table.save wrote"):
            Table.load(tmp_path / "broken.npz", prediction)
    prediction.explain("leaf").save(tmp_path / "map.npz")
    with pytest.raises(InvalidInput, match="expected an NPZ file that Table.save wrote"):
        Table.load(tmp_path / "map.npz", prediction)


def test_half_the_space_keeps_three_digits(table: Table) -> None:
    tiny = Table(table._prediction, table.layer, "grad-cam", table.values * 1e-9)
    for each in (table, tiny):
        values, scale = each.to_float16()
        assert values.dtype == np.float16
        assert float(np.log2(scale)).is_integer()
        np.testing.assert_allclose(
            values / np.float64(scale), each.values, rtol=1e-3, atol=1e-6 * float(each.values.abs().max())
        )
    empty = Table(table._prediction, table.layer, "grad-cam", torch.zeros_like(table.values))
    assert empty.to_float16().scale == 1
    with pytest.raises(CannotExplain, match="doesn't influence this score"):
        empty.explain("leaf")


def test_what_cannot_be_asked_is_said(prediction: Prediction, table: Table) -> None:
    with pytest.raises(UnknownName, match="no method with a table 'layer-cam'"):
        prediction.table("1", method="layer-cam")  # type: ignore[arg-type] # the mistake
    with pytest.raises(UnknownName, match="There is no layer 'nowhere'"):
        prediction.table("nowhere")
    with pytest.raises(InvalidInput, match=r"has the shape 1×4×40×56; the layer '1' and the logits need 8×4×40×56"):
        Table(prediction, "1", "grad-cam", table.values[:1])
    assert repr(table) == "Table('1', method='grad-cam', values=8×4×40×56, way='forward')"
    assert table.nbytes == 4 * 8 * (4 + 1) * 40 * 56


def test_layer_without_influence_is_refused() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.side, self.head = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(images) + 0 * self.side(images)

    with (
        SegmentationModel(Idle()).predict(torch.rand(3, 4, 5)) as prediction,
        pytest.raises(CannotExplain, match="The layer 'side' doesn't influence"),
    ):
        prediction.table("side")
