"""Predictions: what was found, what can be asked, and what is refused."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

import segscope
from segscope import (
    CannotExplain,
    InvalidInput,
    PredictionClosed,
    Preprocess,
    Region,
    SegmentationModel,
    Target,
    UnknownName,
)
from tests.networks import ZOO


def test_mask_and_probabilities(prediction: segscope.Prediction) -> None:
    logits = torch.from_numpy(prediction.logits)
    assert prediction.logits.dtype == prediction.probabilities.dtype == np.float32
    assert prediction.mask.dtype == np.int32
    np.testing.assert_array_equal(prediction.mask, logits.argmax(0))
    np.testing.assert_allclose(prediction.probabilities, logits.softmax(0), atol=1e-6)
    assert prediction.size == (40, 56)
    assert prediction.truth is None


def test_confidence_is_the_probability_of_the_predicted_class(prediction: segscope.Prediction) -> None:
    before = prediction.logits.copy()
    assert prediction.confidence.dtype == np.float32
    np.testing.assert_allclose(prediction.confidence, prediction.probabilities.max(axis=0), atol=1e-6)
    np.testing.assert_array_equal(prediction.logits, before)


def test_low_resolution_logits_are_brought_to_the_input_and_then_to_the_image(image: NDArray[np.uint8]) -> None:
    network = nn.Conv2d(3, 3, 3, stride=4, padding=1)
    prediction = SegmentationModel(network, preprocess=Preprocess((32, 24))).predict(image)
    assert prediction.logits.shape == (3, 8, 6)
    whole = functional.interpolate(torch.from_numpy(prediction.logits)[None], (32, 24), mode="bilinear")
    expected = functional.interpolate(whole, (40, 56), mode="bilinear", antialias=True)[0]
    np.testing.assert_allclose(prediction.probabilities, expected.softmax(0), atol=1e-5)
    np.testing.assert_array_equal(prediction.mask, expected.argmax(0))


def test_truth_is_kept(model: SegmentationModel, image: NDArray[np.uint8]) -> None:
    truth = np.random.default_rng(0).integers(0, 4, image.shape[:2])
    prediction = model.predict(image, truth=truth)
    np.testing.assert_array_equal(prediction.truth, truth)
    truth[:] = 9
    assert prediction.truth is not None
    assert prediction.truth.max() < 4
    assert prediction.explain("leaf", Region.errors("leaf")).region_weights.any()


def test_no_region_means_the_pixels_predicted_as_the_class(prediction: segscope.Prediction) -> None:
    class_ = int(np.bincount(prediction.mask.ravel()).argmax())
    found = prediction.explain(class_)
    np.testing.assert_array_equal(found.region_weights, prediction.mask == class_)
    np.testing.assert_array_equal(found.map, prediction.explain(class_, Region.predicted(class_)).map)
    assert found.score == pytest.approx(float(prediction.logits[class_][prediction.mask == class_].mean()), rel=1e-5)


def test_contrast_is_the_difference(prediction: segscope.Prediction) -> None:
    region = Region.box(2, 3, 20, 30)
    options: dict[str, Any] = {"layer": "0", "method": "hires-cam", "relu": False}
    one, other = (prediction.explain(class_, region, **options) for class_ in ("leaf", "root"))
    both = prediction.explain("leaf", region, against="root", **options)
    np.testing.assert_allclose(both.map, one.map - other.map, rtol=1e-4, atol=1e-7)
    assert both.score == pytest.approx(one.score - other.score, rel=1e-4)
    assert both.against == "root"
    swapped = prediction.explain("root", region, against="leaf", **options)
    np.testing.assert_allclose(swapped.map, -both.map, rtol=1e-4, atol=1e-7)


def test_region_weights_are_averaged(prediction: segscope.Prediction) -> None:
    options: dict[str, Any] = {"layer": "0", "method": "hires-cam", "relu": False}
    one, other = (prediction.explain(1, Region.pixel(*at), **options) for at in ((3, 4), (30, 40)))
    both = prediction.explain(1, Region.pixel(3, 4) | Region.pixel(30, 40), **options)
    np.testing.assert_allclose(both.map, (one.map + other.map) / 2, rtol=1e-4, atol=1e-7)
    halved = prediction.explain(1, Region.mask(Region.everywhere().weights(prediction) * 0.5), **options)
    np.testing.assert_allclose(
        halved.map, prediction.explain(1, Region.everywhere(), **options).map, rtol=1e-4, atol=1e-7
    )


def test_target_says_it_all(prediction: segscope.Prediction) -> None:
    region = Region.box(2, 3, 20, 30)
    whole = prediction.explain(Target("leaf", region, against="root", score="probability"), layer="0")
    parts = prediction.explain("leaf", region, against="root", score="probability", layer="0")
    np.testing.assert_array_equal(whole.map, parts.map)
    for extra in ({"region": region}, {"against": "root"}, {"score": "probability"}):
        with pytest.raises(InvalidInput, match="say them in the Target alone"):
            prediction.explain(Target("leaf"), **extra)


def test_class_against_itself(prediction: segscope.Prediction) -> None:
    with pytest.raises(InvalidInput, match="'leaf' is set against itself"):
        prediction.explain("leaf", Region.everywhere(), against=1)


@pytest.mark.parametrize("score", ["loss", "logits", None, 3, []])
def test_unknown_score(prediction: segscope.Prediction, score: Any) -> None:
    with pytest.raises(UnknownName, match="There is no kind of score"):
        prediction.explain("leaf", Region.everywhere(), score=score)


def test_explain_all(prediction: segscope.Prediction) -> None:
    grid = prediction.explain_all(region=Region.everywhere())
    assert grid.classes == prediction.model.classes
    assert grid.layers == tuple(prediction.layers)
    assert len(grid) == len(grid.classes) * len(grid.layers)
    assert grid["leaf", "0"].class_ == "leaf"
    one = prediction.explain_all("leaf", "0", region=Region.everywhere())
    assert list(one) == [("leaf", "0")]
    twice = prediction.explain_all(["leaf", 1, "leaf"], ["0", "0"], region=Region.everywhere())
    assert list(twice) == [("leaf", "0")]
    assert list(prediction.explain_all([], region=Region.everywhere())) == []


def test_explain_all_against_a_class_leaves_that_class_out(prediction: segscope.Prediction) -> None:
    assert "stem" not in prediction.explain_all(against="stem", region=Region.everywhere()).classes
    with pytest.raises(InvalidInput, match="set against itself"):
        prediction.explain_all(["stem"], against="stem", region=Region.everywhere())


def test_closed_prediction(model: SegmentationModel, image: NDArray[np.uint8]) -> None:
    with model.predict(image) as prediction:
        kept = prediction.explain("leaf", Region.everywhere(), layer="0")
        expected = kept.score
        assert not prediction.closed
        assert prediction.nbytes > 0
    assert prediction.closed
    assert prediction.nbytes == 0
    prediction.close()
    questions: list[Any] = [
        lambda: prediction.explain("leaf", Region.everywhere()),
        prediction.explain_all,
        lambda: prediction.activations_and_gradients(prediction.question(Target(1, Region.everywhere()))[0], ["0"]),
    ]
    for ask in questions:
        with pytest.raises(PredictionClosed, match="predict the image again"):
            ask()
    assert prediction.mask.shape == prediction.size
    assert prediction.probabilities.shape == (4, *prediction.size)
    assert prediction.logits.shape == (4, *prediction.size)
    assert kept.values.shape == prediction.size
    assert kept.score == expected
    assert kept.provenance["class"] == "leaf"


def test_weights_that_changed_meanwhile_are_noticed(network: nn.Module, image: NDArray[np.uint8]) -> None:
    prediction = SegmentationModel(network).predict(image)
    with torch.no_grad():
        next(network.parameters()).add_(1)
    with pytest.raises(segscope.UnsupportedNetwork, match="weights were changed after this prediction"):
        prediction.explain(1, Region.everywhere(), layer="input", method="saliency")


def test_map_that_is_not_finite_is_refused(image: NDArray[np.uint8]) -> None:
    class Infinite(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.head = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(torch.sqrt(self.stem(images) * 0))

    with pytest.raises(segscope.CannotExplain, match="'stem' holds NaN or infinite values"):
        SegmentationModel(Infinite()).predict(image).explain(0, Region.everywhere(), layer="stem")


@pytest.mark.parametrize("case", ZOO, ids=[case.name for case in ZOO])
def test_nbytes_is_what_autograd_saved_and_layers_put_out(case: Any) -> None:
    network, image = case.build(), case.input()
    SegmentationModel(network).predict(image).close()
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        kept.append(tensor)
        return tensor

    kept: list[Tensor] = []
    model = SegmentationModel(network)
    prediction = model.predict(image)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network.requires_grad_(False)(image[None].requires_grad_())
    weights = {tensor.untyped_storage().data_ptr() for tensor in (*network.parameters(), *network.buffers())}
    graph = sum(size for address, size in saved.items() if address not in weights)
    forward_pass = prediction._pass
    assert forward_pass is not None
    outputs = sum(captured.output.untyped_storage().nbytes() for captured in forward_pass.capture.outputs.values())
    found = prediction.nbytes - prediction.image.nbytes
    # Every tensor that the graph keeps is counted, and nothing but outputs, input and logits beside it.
    assert 0.9 * graph <= found <= graph + outputs + 4 * image.nbytes + 4 * prediction.logits.nbytes


def test_nbytes_counts_pictures_once_they_are_there(prediction: segscope.Prediction) -> None:
    before = prediction.nbytes
    probabilities = prediction.probabilities
    assert prediction.nbytes == before + probabilities.nbytes
    confidence = prediction.confidence
    assert prediction.nbytes == before + probabilities.nbytes + confidence.nbytes


def tensors_of(prediction: segscope.Prediction) -> list[weakref.ref[Tensor]]:
    assert prediction._pass is not None
    return [weakref.ref(captured.output) for captured in prediction._pass.capture.outputs.values()]


@pytest.mark.parametrize("case", ZOO, ids=[case.name for case in ZOO])
def test_closing_frees_the_graph(case: Any) -> None:
    gc.collect()
    gc.disable()
    try:
        prediction = SegmentationModel(case.build()).predict(case.input())
        attribution = prediction.explain(0, Region.everywhere(), layer="input", method="saliency")
        assert prediction.nbytes
        watched = tensors_of(prediction)
        prediction.close()
        assert [reference() for reference in watched if reference() is not None] == []
        assert attribution.values.shape == prediction.size
    finally:
        gc.enable()


@pytest.mark.parametrize("case", ZOO, ids=[case.name for case in ZOO])
def test_forgetting_frees_the_graph_without_the_garbage_collector(case: Any) -> None:
    gc.collect()
    gc.disable()
    try:
        model = SegmentationModel(case.build())
        prediction = model.predict(case.input())
        grid = prediction.explain_all(region=Region.everywhere())
        assert prediction.nbytes
        assert prediction.mask is not None
        watched: list[weakref.ref[Any]] = [*tensors_of(prediction), weakref.ref(prediction)]
        del prediction, grid
        assert [reference() for reference in watched if reference() is not None] == []
    finally:
        gc.enable()


def test_failed_prediction_leaves_nothing_behind(network: nn.Module, image: NDArray[np.uint8]) -> None:
    seen: list[weakref.ref[Tensor]] = []
    network.get_submodule("0").register_forward_hook(lambda _module, _inputs, output: seen.append(weakref.ref(output)))
    model = SegmentationModel(network, classes=("one", "two"))
    with pytest.raises(segscope.UnsupportedNetwork, match="puts out 4 classes"):
        model.predict(image)
    gc.collect()
    assert len(seen) >= 1
    assert all(reference() is None for reference in seen)


def test_threads_agree_with_one(model: SegmentationModel, image: NDArray[np.uint8]) -> None:
    images = [image, image[::-1].copy(), image[:, ::-1].copy()]
    shared = [model.predict(each) for each in images]
    questions = [(index, class_, layer) for index in range(3) for class_ in range(4) for layer in ("0", "1", "input")]
    expected = {
        question: shared[question[0]].explain(question[1], Region.everywhere(), layer=question[2]).map
        for question in questions
    }
    found: dict[Any, Any] = {}
    failures: list[BaseException] = []

    def work(which: int) -> None:
        try:
            own = [model.predict(each) for each in images]
            for question in questions[which::2] + questions:
                index, class_, layer = question
                for place, predictions in (("shared", shared), ("own", own)):
                    found[place, which, question] = (
                        predictions[index].explain(class_, Region.everywhere(), layer=layer).map
                    )
        except BaseException as error:  # noqa: BLE001 # reported below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(which,)) for which in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(found) == 2 * 4 * len(questions)
    for (_, _, question), values in found.items():
        np.testing.assert_array_equal(values, expected[question])


def test_closing_while_others_explain_is_safe(model: SegmentationModel, image: NDArray[np.uint8]) -> None:
    wrong: list[BaseException] = []
    for _ in range(5):
        prediction = model.predict(image)

        def work(prediction: segscope.Prediction = prediction) -> None:
            try:
                for _ in range(20):
                    prediction.explain(1, Region.everywhere(), layer="0")
            except PredictionClosed:
                pass
            except BaseException as error:  # noqa: BLE001 # reported below
                wrong.append(error)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        prediction.close()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_only_offered_layers_are_kept_and_others_come_by_another_pass() -> None:
    case = ZOO[0]
    network = case.build(inplace=False)
    calls = [0]
    network.register_forward_pre_hook(lambda *_: calls.__setitem__(0, calls[0] + 1))
    model = SegmentationModel(network, layers=["1"])
    with model.predict(case.input()) as prediction, SegmentationModel(network).predict(case.input()) as whole:
        calls[0] = 0
        assert prediction.nbytes < whole.nbytes
        prediction.explain(0, Region.everywhere(), layer="1")
        assert calls[0] == 0
        small = prediction.nbytes
        both = prediction.explain_all([0], ["0.1", "1"], region=Region.everywhere())
        assert calls[0] == 1
        assert prediction.nbytes > small
        for layer in ("0.1", "1"):
            theirs = whole.explain(0, Region.everywhere(), layer=layer)
            np.testing.assert_array_equal(both[model.classes[0], layer].map, theirs.map)
        assert prediction.layers.keys() == {"1"}


def test_pass_that_cannot_be_repeated_says_so() -> None:
    class Random(nn.Sequential):
        def forward(self, images: Tensor) -> Tensor:
            found: Tensor = super().forward(images + torch.rand(()))
            return found

    network = Random(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1))
    with SegmentationModel(network, layers=["0"]).predict(torch.rand(3, 8, 8)) as prediction:
        prediction.explain(0, Region.everywhere(), layer="0")
        with pytest.raises(CannotExplain, match="run again"):
            prediction.explain(0, Region.everywhere(), layer="1")


@pytest.mark.parametrize("ask", ["activation", "table", "reasons", "rerun"])
def test_layer_that_is_not_offered_is_answered_all_the_same(ask: str) -> None:
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 6, 1), torch.nn.Conv2d(6, 3, 1)
    )
    with (
        segscope.SegmentationModel(network, layers=["2"]).predict(torch.rand(3, 8, 9)) as some,
        segscope.SegmentationModel(network).predict(torch.rand(3, 8, 9)) as whole,
    ):
        assert list(some.layers) == ["2"]
        assert type(getattr(some, ask)("0")) is type(getattr(whole, ask)("0"))
