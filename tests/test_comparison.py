"""Methods set side by side: the same maps as one by one, in one order, with their agreement and cost."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from scipy import stats  # type: ignore[import-untyped]
from torch import Tensor, nn

import segscope
from segscope import (
    Attribution,
    CannotExplain,
    Comparison,
    EmptyRegion,
    InvalidInput,
    MissingExtra,
    Region,
    UnknownName,
)
from segscope.measures import gini, share_on, spread
from segscope.methods import Parameter, Place, all_methods, base, place_method

QUICK = ["grad-cam", "hires-cam", "layer-cam", "saliency", "input-x-gradient"]
DESCRIPTION: dict[str, Any] = {
    "summary": "Scores with each row removed.",
    "citation": "Nobody 2000, Nothing",
    "url": "https://example.org/nothing",
    "cannot": "Be trusted.",
    "signed": True,
}


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> str:
    """A method that runs the network for every row of the input, and refuses layers."""
    monkeypatch.setattr(base, "_METHODS", dict(all_methods()))

    @place_method(
        name="rows",
        title="Rows",
        at="input",
        parameters=(Parameter(name="step", kind="int", default=4, description="Rows at once.", minimum=1, maximum=40),),
        **DESCRIPTION,
    )
    def rows(place: Place, *, step: int) -> Tensor:
        if place.name == "2":
            raise CannotExplain("Rows can't be removed here.")
        answer = torch.zeros(place.size)
        for start in range(0, place.size[0], step):
            changed = place.values.clone()
            changed[:, start : start + step] = 0
            answer[start : start + step] = place.score(torch.stack([place.values, changed])).diff().neg()
        return answer

    return "rows"


@pytest.fixture
def comparison(prediction: segscope.Prediction) -> Comparison:
    return prediction.compare(classes=["leaf", "stem"], methods=QUICK, layers=["0", "1", "input"])


def test_maps_are_those_of_one_by_one(prediction: segscope.Prediction, comparison: Comparison) -> None:
    assert len(comparison) == 2 * 5 * 3
    for class_, method, layer in comparison:
        expected = prediction.explain(class_, method=method, layer=layer)
        found = comparison[class_, method, layer]
        np.testing.assert_array_equal(found.map, expected.map)
        assert found.provenance == expected.provenance
    assert (comparison.classes, comparison.layers) == (("leaf", "stem"), ("0", "1", "input"))
    assert list(comparison.methods) == QUICK
    assert repr(comparison) == "Comparison(30 maps, 0 skipped, 0 to come)"


def test_question_is_that_of_explain(prediction: segscope.Prediction) -> None:
    region = Region.box(2, 3, 20, 30)
    found = prediction.compare("leaf", region, methods="hires-cam", layers="1", against=2, score="probability")
    expected = prediction.explain("leaf", region, method="hires-cam", layer="1", against=2, score="probability")
    np.testing.assert_array_equal(found["leaf", "hires-cam", "1"].values, expected.values)
    assert found["leaf", "hires-cam", "1"].provenance == expected.provenance


def test_quick_methods_at_their_usual_places_without_a_choice(prediction: segscope.Prediction) -> None:
    found = prediction.compare("leaf")
    quick = {name: method for name, method in all_methods().items() if method.quick}
    assert list(found.methods) == list(quick)
    for name, method in quick.items():
        place = "input" if method.at == "input" else prediction.default_layer
        assert ("leaf", name, place) in {*found, *found.skipped}
    assert found.usual_places


def test_all_methods_are_one_word(prediction: segscope.Prediction, slow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {name: method for name, method in all_methods().items() if name in (slow, "grad-cam")}
    monkeypatch.setattr(base, "_METHODS", kept)
    assert set(prediction.compare("leaf", methods="all").methods) == {slow, "grad-cam"}


def test_methods_of_one_class_share_a_backward_pass(
    prediction: segscope.Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, ...]] = []
    original = segscope.Prediction.activations_and_gradients

    def count(self: segscope.Prediction, question: Any, layers: Any) -> Any:
        calls.append(tuple(layers))
        return original(self, question, layers)

    monkeypatch.setattr(segscope.Prediction, "activations_and_gradients", count)
    prediction.compare(classes=["leaf", "stem"], methods=QUICK, layers=["0", "1"])
    assert calls == [("0", "1")] * 2
    calls.clear()
    prediction.compare("leaf", methods=QUICK)
    assert calls == [(prediction.default_layer,), ("input",)]


def test_cost_of_each_method(prediction: segscope.Prediction, slow: str) -> None:
    found = prediction.compare(classes=["leaf", "stem"], methods=["grad-cam", slow], layers=["0", "input"])
    assert found.costs["grad-cam"].passes == 2
    assert found.costs[slow].passes == 2 * 2 * 2 * 10
    assert all(cost.seconds > 0 for cost in found.costs.values())
    assert found["leaf", slow, "input"].cost.passes == 20


def test_what_cannot_be_explained_has_its_reason(prediction: segscope.Prediction, slow: str) -> None:
    found = prediction.compare("leaf", methods=["grad-cam", slow], layers=["1", "2"])
    assert found.skipped["leaf", slow, "2"] == "Rows can't be removed here."  # type: ignore[index] # a cell is a tuple
    assert ("leaf", slow, "2") not in found
    with pytest.raises(KeyError, match="Rows can't be removed"):
        found["leaf", slow, "2"]
    assert len(found) == 3


def test_missing_extra_is_a_reason(prediction: segscope.Prediction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_METHODS", dict(all_methods()))

    @place_method(name="absent", title="Absent", at="input", **DESCRIPTION)
    def absent(place: Place) -> Tensor:
        raise MissingExtra("Install it.")

    found = prediction.compare("leaf", methods=["absent", "saliency"])
    assert list(found.skipped.values()) == ["Install it."]
    assert [cell.method for cell in found] == ["saliency"]


def test_map_that_is_not_finite_has_its_reason(
    prediction: segscope.Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_METHODS", dict(all_methods()))
    segscope.methods.backward_method(name="endless", title="Endless", at="layer", **DESCRIPTION)(
        lambda activation, gradient: activation.sum(0) / 0
    )
    found = prediction.compare("leaf", methods=["endless"])
    assert "NaN or infinite" in next(iter(found.skipped.values()))
    assert isinstance(found.plot(), Figure)


def test_method_is_compared_with_itself(prediction: segscope.Prediction) -> None:
    found = prediction.compare(
        "leaf", methods=["grad-cam", ("grad-cam", {"relu": False}), ("grad-cam", {"relu": "yes"}), "saliency"]
    )
    assert found.methods == ("grad-cam", "grad-cam (relu=False)", "saliency")
    layer = prediction.default_layer
    assert found["leaf", "grad-cam (relu=False)", layer].parameters == {"relu": False}
    assert found["leaf", "grad-cam", layer].parameters == {"relu": True}
    mapped = prediction.compare("leaf", methods={"grad-cam": {"relu": False}, "saliency": {}})
    assert mapped.methods == ("grad-cam", "saliency")
    assert mapped["leaf", "grad-cam", layer].signed


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, InvalidInput, "No class is given"),
        ({"class_": "leaf", "classes": ["stem"]}, InvalidInput, "Both class_ and classes are given"),
        ({"classes": []}, InvalidInput, "list of classes is empty"),
        ({"class_": "leav"}, UnknownName, "'leaf'"),
        ({"class_": "root"}, EmptyRegion, "No pixel of the image is predicted as 'root'"),
        ({"class_": "leaf", "against": "leaf"}, InvalidInput, "against itself"),
        ({"class_": "leaf", "score": "odds"}, UnknownName, "odds"),
        ({"class_": "leaf", "layers": ["9"]}, UnknownName, "no layer '9'"),
        ({"class_": "leaf", "methods": "gradcam"}, UnknownName, "'grad-cam'"),
        ({"class_": "leaf", "methods": []}, InvalidInput, "no method to compare"),
        ({"class_": "leaf", "methods": 3}, InvalidInput, "The methods are 3"),
        ({"class_": "leaf", "methods": [3]}, InvalidInput, "One of the methods is 3"),
        ({"class_": "leaf", "methods": [("grad-cam", 3)]}, InvalidInput, "One of the methods is"),
        ({"class_": "leaf", "methods": {"grad-cam": {"relv": 1}}}, UnknownName, "'relu'"),
        ({"class_": "leaf", "methods": {"grad-cam": {"relu": "maybe"}}}, InvalidInput, "maybe"),
    ],
)
def test_what_cannot_be_compared(
    prediction: segscope.Prediction, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        prediction.compare(**options)


def test_closed_prediction_is_refused(prediction: segscope.Prediction) -> None:
    prediction.close()
    with pytest.raises(segscope.PredictionClosed, match="was closed"):
        prediction.compare("leaf")


def test_steps_come_quick_ones_first(prediction: segscope.Prediction, slow: str) -> None:
    found = prediction.compare(
        classes=["leaf", "stem"], methods=[slow, "grad-cam", "saliency"], layers=["0", "input"], run=False
    )
    assert len(found) == 0
    assert len(found.pending) == 12
    told: list[float] = []
    steps = list(found.steps(told.append))
    cells = [cell for cell, _ in steps]
    assert [cell.method for cell in cells] == ["grad-cam"] * 2 + ["saliency"] * 2 + ["grad-cam"] * 2 + [
        "saliency"
    ] * 2 + [slow] * 4
    assert [cell.class_ for cell in cells[-4:]] == ["leaf", "leaf", "stem", "stem"]
    assert sorted(cells) == sorted(found.cells)
    assert all(found[cell] is answer for cell, answer in steps)
    assert told == sorted(told)
    assert told[-1] == 1
    assert len(told) > 12
    assert list(found.steps()) == []


def test_interrupted_steps_go_on_where_they_stopped(prediction: segscope.Prediction, slow: str) -> None:
    found = prediction.compare("leaf", methods=["grad-cam", slow], layers=["0", "1"], run=False)
    kept: list[Any] = []

    def stop(share: float) -> None:
        if len(kept) == 2 and share > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # noqa: PT012, RUF100  # the loop is what is interrupted
        for cell, _ in found.steps(stop):
            kept.append(cell)
            if len(kept) == 3:
                pytest.fail("the progress should have ended it")
    assert [cell.method for cell in kept] == ["grad-cam"] * 2
    assert list(found) == kept
    assert [cell.method for cell, _ in found.steps()] == [slow] * 2
    assert found.pending == ()
    assert found.costs["grad-cam"].passes == 1


def test_agreement_is_the_rank_correlation_in_the_image(image: Any) -> None:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 2, 1))
    prediction = segscope.SegmentationModel(network, preprocess=segscope.Preprocess((32, 24))).predict(image)
    found = prediction.compare(0, Region.everywhere(), methods=["hires-cam", "saliency"], layers=["0", "input"])
    agreement = found.agreement()
    assert agreement.values.dtype == np.float64
    assert agreement.labels == tuple(found)
    for row, one in enumerate(agreement.labels):
        for column, two in enumerate(agreement.labels):
            expected = stats.spearmanr(found[one].values.ravel(), found[two].values.ravel()).statistic  # type: ignore[index] # cells
            assert agreement.values[row, column] == pytest.approx(expected)
    pearson = found.agreement("pearson").values
    np.testing.assert_allclose(pearson, np.corrcoef([each.values.ravel() for each in found.values()]), atol=1e-9)


def test_agreement_of_methods_and_layers_is_a_mean(comparison: Comparison) -> None:
    values, labels = comparison.agreement()
    at = {label: index for index, label in enumerate(labels)}
    methods = comparison.agreement(between="methods")
    layers = comparison.agreement(between="layers")
    assert methods.labels == comparison.methods
    assert layers.labels == comparison.layers
    pairs = [
        values[at[class_, "grad-cam", layer], at[class_, "saliency", layer]]
        for class_ in comparison.classes
        for layer in comparison.layers
    ]
    assert methods.values[0, 3] == methods.values[3, 0] == pytest.approx(np.nanmean(pairs))
    pairs = [
        values[at[class_, method, "0"], at[class_, method, "input"]]
        for class_ in comparison.classes
        for method in comparison.methods
    ]
    assert layers.values[0, 2] == pytest.approx(np.nanmean(pairs))


def test_methods_agree_across_their_usual_places(prediction: segscope.Prediction) -> None:
    found = prediction.compare("leaf", methods=["grad-cam", "saliency"])
    assert np.isfinite(found.agreement(between="methods").values).all()


def test_constant_map_agrees_with_none(image: Any) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Upsample(size=(40, 56)), nn.Conv2d(4, 2, 1))
    prediction = segscope.SegmentationModel(network).predict(image)
    found = prediction.compare(
        0, Region.everywhere(), methods={"hires-cam": {"relu": False}, "saliency": {}}, layers="1"
    )
    assert np.isnan(found.agreement().values).all()
    assert np.isnan(found.agreement(between="methods").values).all()
    assert found.sorted("agreement").methods == found.methods
    assert isinstance(found.plot(), Figure)


def test_agreement_of_large_images_is_that_of_a_grid(prediction: segscope.Prediction, monkeypatch: Any) -> None:
    found = prediction.compare("leaf", methods=["hires-cam", "saliency"], layers=["0"])
    monkeypatch.setattr("segscope.comparison._MOST_PIXELS", 600)
    maps = [each.values[::2, ::2].ravel() for each in found.values()]
    assert found.agreement().values[0, 1] == pytest.approx(stats.spearmanr(*maps).statistic)


@pytest.mark.parametrize("options", [{"kind": "kendall"}, {"between": "classes"}])
def test_agreement_of_another_kind_is_refused(comparison: Comparison, options: dict[str, Any]) -> None:
    with pytest.raises(UnknownName, match="agreement"):
        comparison.agreement(**options)


def test_share_is_that_on_the_predicted_class(prediction: segscope.Prediction, comparison: Comparison) -> None:
    for cell, share in comparison.share.items():
        on_class = prediction.mask == prediction.model.class_index(cell.class_)
        assert share == pytest.approx(share_on(comparison[cell].values, on_class), nan_ok=True)


def test_sorted_changes_the_order_alone(comparison: Comparison) -> None:
    before = comparison.methods
    by_name = comparison.sorted("name")
    assert list(by_name.methods) == sorted(QUICK)
    assert comparison.methods == before
    assert set(by_name) == set(comparison)
    assert all(by_name[cell] is comparison[cell] for cell in comparison)
    by_share = comparison.sorted("share")
    means = [np.mean([by_share.share[cell] for cell in by_share if cell.method == name]) for name in by_share.methods]
    assert means == sorted(means, reverse=True)
    by_agreement = comparison.sorted()
    matrix = by_agreement.agreement(between="methods").values
    means = [np.nanmean(np.delete(row, index)) for index, row in enumerate(matrix)]
    assert means == sorted(means, reverse=True)
    by_cost = comparison.sorted("cost")
    seconds = [by_cost.costs[name].seconds for name in by_cost.methods]
    assert seconds == sorted(seconds)
    with pytest.raises(UnknownName, match="no order 'beauty'"):
        comparison.sorted("beauty")  # type: ignore[arg-type] # as from outside


@pytest.mark.parametrize("by", ["agreement", "cost", "share"])
def test_methods_without_numbers_come_last(prediction: segscope.Prediction, slow: str, by: Any) -> None:
    found = prediction.compare("leaf", methods=[slow, "grad-cam", "hires-cam"], layers=["2"], run=False)
    list(zip(range(2), found.steps(), strict=False))
    assert found.sorted(by).methods[-1] == slow


def test_rows_hold_the_measures(comparison: Comparison) -> None:
    rows = comparison.rows()
    assert len(rows) == 30
    for row in rows:
        answer = comparison[row["class"], row["method"], row["layer"]]
        for name, measure in (("gini", gini), ("spread", spread)):
            expected = measure(answer.values)
            assert row[name] == (None if np.isnan(expected) else pytest.approx(expected))
        assert row["limit"] == answer.limit
        assert (row["seconds"], row["passes"]) == answer.cost
        assert row["reason"] == ""


def test_scales(comparison: Comparison) -> None:
    own = comparison.limits()
    assert all(own[cell] == comparison[cell].limit for cell in comparison)
    assert set(comparison.limits("shared").values()) == {max(own.values())}
    by_method = comparison.limits("method")
    for name in comparison.methods:
        ends = {by_method[cell] for cell in by_method if cell.method == name}
        assert ends == {max(own[cell] for cell in own if cell.method == name)}
    assert set(comparison.limits(3).values()) == {3.0}


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf"), True, "all", [1]])
def test_limit_that_cannot_be_used(comparison: Comparison, limit: Any, tmp_path: Path) -> None:
    for draw in (comparison.plot, lambda limit: comparison.save(tmp_path / "a.png", limit=limit)):
        with pytest.raises(InvalidInput, match="The limit is .*; expected a number above zero, 'method', 'shared'"):
            draw(limit=limit)
    assert list(tmp_path.iterdir()) == []


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]]


def test_figure_says_what_it_shows(prediction: segscope.Prediction, slow: str) -> None:
    found = prediction.compare("leaf", methods=["grad-cam", slow], layers=["1", "2"], against="stem")
    said = words(found.plot(limit=2))
    assert said[0] == "Importance for leaf, against stem"
    assert {"Grad-CAM", "Rows", "1", "2", "Agreement of methods", "Time"} <= set(said)
    assert any("Rows can't be" in each for each in said)
    assert [each for each in said if each.startswith("0 … 2")]
    assert [each for each in said if each.startswith("±2")]


def texts_overlap(figure: Figure) -> list[tuple[str, str]]:
    """Return pairs of texts that are drawn over each other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in figure.texts if text.get_text()]
    return [
        (one, two)
        for index, (one, box) in enumerate(boxes)
        for two, other in boxes[index + 1 :]
        if box.shrunk(0.95, 0.9).overlaps(other.shrunk(0.95, 0.9))
    ]


LONG = "a class with a very long name, which goes on and $on$"


@pytest.mark.parametrize(
    ("size", "layers", "classes", "methods"),
    [
        ((40, 56), None, ["leaf"], ["grad-cam"]),
        ((30, 300), None, ["leaf"], QUICK),
        ((300, 30), None, ["leaf", LONG], QUICK),
        ((300, 30), ["0", "1"], ["leaf"], ["grad-cam"]),
        ((30, 300), ["0", "1"], ["leaf", LONG], QUICK[2:]),
        ((40, 56), ["0", "input"], [LONG], QUICK),
    ],
)
def test_texts_of_the_figure_keep_apart(
    network: nn.Module, size: tuple[int, int], layers: list[str] | None, classes: list[str], methods: list[str]
) -> None:
    names = ("background", "leaf", LONG, "root")
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    with segscope.SegmentationModel(network, classes=names).predict(picture) as prediction:
        found = prediction.compare(classes=classes, region=Region.everywhere(), layers=layers, methods=methods)
        figure = found.plot()
        assert texts_overlap(figure) == []


@pytest.mark.parametrize("kind", ["PNG", "svg", "pdf"])
def test_figures_are_saved(prediction: segscope.Prediction, tmp_path: Path, kind: str) -> None:
    comparison = prediction.compare("leaf", methods=["grad-cam", "saliency"])
    path = comparison.save(str(tmp_path / f"a.{kind}"), limit="shared")
    start = path.read_bytes()[:300]
    assert {"png": b"\x89PNG", "svg": b"<svg", "pdf": b"%PDF"}[kind.lower()] in start or b"<?xml" in start
    if kind == "PNG":
        assert np.asarray(Image.open(path)).std() > 10
    assert [each.name for each in tmp_path.iterdir()] == [f"a.{kind}"]


def test_npz_holds_the_numbers(prediction: segscope.Prediction, comparison: Comparison, tmp_path: Path) -> None:
    comparison.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        provenance = json.loads(str(file["provenance"]))
        for index, answer in enumerate(comparison.values()):
            np.testing.assert_array_equal(file["values"][index], answer.values)
            np.testing.assert_array_equal(file[f"map_{index}"], answer.map)
            assert provenance[index] == answer.provenance
        np.testing.assert_array_equal(file["agreement"], comparison.agreement().values)
        np.testing.assert_array_equal(file["mask"], prediction.mask)
        assert json.loads(str(file["table"])) == comparison.rows()


def test_csv_holds_the_table(prediction: segscope.Prediction, slow: str, tmp_path: Path) -> None:
    found = prediction.compare("leaf", methods=["grad-cam", slow], layers=["2"])
    path = found.save(tmp_path / "a.csv")
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert [(row["method"], row["reason"]) for row in rows] == [("grad-cam", ""), (slow, "Rows can't be removed here.")]
    assert float(rows[0]["gini"]) == pytest.approx(found.rows()[0]["gini"])
    assert rows[1]["gini"] == ""


def test_empty_comparison_can_be_shown_and_saved(prediction: segscope.Prediction, tmp_path: Path) -> None:
    found = prediction.compare("leaf", methods=["grad-cam"], run=False)
    for kind in ("png", "npz", "csv"):
        assert found.save(tmp_path / f"a.{kind}").stat().st_size > 30
    assert found.agreement().values.shape == (0, 0)
    assert found.sorted("share").methods == ("grad-cam",)


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.npy", ""])
def test_other_endings_are_refused(comparison: Comparison, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match=r"expected .png, .svg, .pdf, .npz or .csv"):
        comparison.save(tmp_path / name)


def test_maps_outlive_the_prediction(prediction: segscope.Prediction) -> None:
    comparison = prediction.compare("leaf", methods=QUICK[:2])
    prediction.close()
    assert isinstance(comparison.plot(), Figure)
    assert isinstance(next(iter(comparison.values())), Attribution)
    assert len(comparison.rows()) == 2
