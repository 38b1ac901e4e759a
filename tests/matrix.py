"""What has to work on every network, whoever built it: one cell of the matrix is one network."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from segscope import AttributionGrid, Prediction, Region, SegmentationModel, SegscopeError, UnknownName
from tests import works
from tests.test_untouched import assert_same, state


def plain(raw: Any) -> Tensor:
    return raw


def joined(raw: Any) -> Tensor:
    """Query by query, as the papers on mask classification write it; its logarithm."""
    classes, masks = raw.class_queries_logits[0].softmax(-1), raw.masks_queries_logits[0].sigmoid()
    total = torch.zeros(classes.shape[1] - 1, *masks.shape[1:])
    for query in range(len(classes)):
        total = total + classes[query, :-1, None, None] * masks[query]
    return total.log()[None]


@dataclass(frozen=True)
class Cell:
    """A network to try: how it is made, how its output is read by hand, and the size of the input."""

    name: str
    make: Callable[[], SegmentationModel | nn.Module]
    read: Callable[[Any], Tensor] = plain
    size: tuple[int, int] = (64, 64)
    channels: int = 3
    exact: bool = True
    """Whether numbers come in the same order as in a bare run, so that they agree to the last bit."""
    precision: float = 1e-4
    """How far a map may be from the plain one's, as a share of that one's largest value."""
    label: int | None = None
    """The class that is explained; the commonest one otherwise."""

    def __str__(self) -> str:
        return self.name


def in_use(network: nn.Module) -> nn.Module:
    """A network in the middle of its owner's work: in training mode, one weight frozen, one with a gradient."""
    network.train()
    parameters = [parameter for parameter in network.parameters() if parameter.is_floating_point()]
    if len(parameters) > 1:
        parameters[0].requires_grad_(False)
        parameters[1].grad = torch.full_like(parameters[1], 3.0)
    return network


class Row(NamedTuple):
    """What was found out about one network, for the table of what works."""

    network: str
    predictions: str
    layers: int
    first: str

    def __str__(self) -> str:
        return f"| {self.network} | {self.predictions} | {self.layers} | `{self.first}` |"


def check(cell: Cell) -> Row:
    """Hold one network to everything that is promised."""
    torch.manual_seed(5)
    made = cell.make()
    model = made if isinstance(made, SegmentationModel) else SegmentationModel(made)
    image = torch.randn(cell.channels, *cell.size, generator=torch.Generator().manual_seed(3))
    network = in_use(model.network)
    with torch.no_grad():
        # Some prepare themselves when they are first run.
        model.network.eval()(image[None].to(model.dtype, copy=True))
    network.train()
    before = state(network)
    with model.predict(image) as prediction:
        assert prediction.mask.shape == cell.size
        assert prediction.probabilities.shape == (len(model.classes), *cell.size)
        names = three(list(prediction.layers), prediction.default_layer)
        label, logits, expected = plain_maps(cell, model, image, prediction.layers, names)
        if cell.exact:
            np.testing.assert_array_equal(prediction.logits, logits)
        else:
            np.testing.assert_allclose(prediction.logits, logits, rtol=1e-4, atol=1e-5 * np.abs(logits).max())
        found = prediction.explain_all([label], names, relu=False)
        for name in names:
            limit = np.abs(expected[name]).max()
            assert limit > 0, name
            np.testing.assert_allclose(
                found[model.classes[label], name].map,
                expected[name],
                rtol=0,
                atol=cell.precision * limit,
                err_msg=name,
            )
        other = (label + 1) % len(model.classes)
        pixel = Region.pixel(cell.size[0] // 2, cell.size[1] // 3)
        everywhere = Region.everywhere()
        for asked in (
            prediction.explain(label, method="saliency"),
            prediction.explain(label, pixel, layer=names[-1]),
            prediction.explain(label, everywhere, against=other, layer=names[1], relu=False),
            prediction.explain(label, everywhere, method="integrated-gradients", steps=4),
        ):
            assert np.isfinite(asked.values).all()
            assert asked.values.shape == cell.size
        sources, targets = zip(*prediction.edges, strict=True)
        assert "input" in sources
        assert set(sources) | set(targets) <= {"input", *prediction.layers}
        check_threads(model, image, prediction, label, names)
        check_mistakes(model, image, prediction, label)
        row = Row(
            cell.name, "bit for bit" if cell.exact else "to 1e-4", len(prediction.layers), prediction.default_layer
        )
    assert_same(before, state(network))
    works.note(str(row))
    return row


def check_threads(
    model: SegmentationModel, image: Tensor, prediction: Prediction, label: int, names: list[str]
) -> None:
    """Two threads that explain at once find what one does: in the same prediction, and in two of the same model."""
    asked = Region.everywhere()
    expected = prediction.explain_all([label], names, region=asked)
    together = threading.Barrier(2, timeout=60)

    def same_prediction() -> AttributionGrid:
        together.wait()
        return prediction.explain_all([label], names, region=asked)

    def another_prediction() -> AttributionGrid:
        together.wait()
        with model.predict(image) as another:
            return another.explain_all([label], names, region=asked)

    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(each) for each in (same_prediction, another_prediction)]
        for found in [each.result() for each in running]:
            assert found.keys() == expected.keys()
            for key, attribution in found.items():
                limit = np.abs(expected[key].map).max()
                np.testing.assert_allclose(attribution.map, expected[key].map, rtol=0, atol=1e-5 * limit)


class Stopped(Exception):
    """The user has had enough."""


def stop(_share: float) -> None:
    raise Stopped


def check_mistakes(model: SegmentationModel, image: Tensor, prediction: Prediction, label: int) -> None:
    """What can't be answered is told, and work that is stopped half-way ends; the network is looked at afterwards."""
    with pytest.raises(UnknownName, match="nowhere"):
        prediction.explain(label, layer="nowhere")
    with pytest.raises(SegscopeError, match=r"."):
        model.predict(torch.cat([image, image]))
    with pytest.raises(Stopped):
        prediction.explain(label, Region.everywhere(), method="integrated-gradients", steps=4, progress=stop)


def three(names: list[str], default: str) -> list[str]:
    """An early layer, one in the middle, and the one that is explained by default."""
    assert len(names) >= 3, names
    return list(dict.fromkeys([names[0], names[len(names) // 2], default]))


def plain_maps(
    cell: Cell, model: SegmentationModel, image: Tensor, layers: Any, names: list[str]
) -> tuple[int, np.ndarray, dict[str, np.ndarray]]:
    """Grad-CAM without ReLU over the pixels predicted as the commonest class: hooks, retain_grad and backward()."""
    network = model.network
    outputs: dict[str, list[Any]] = defaultdict(list)

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
            tensor = tensor_of(output)
            if tensor.requires_grad:
                tensor.retain_grad()
            outputs[name].append(tensor)
            # What comes next may write over it.
            return output.clone() if isinstance(output, Tensor) else None

        return hook

    modules = dict(network.named_modules())
    modes = {module: module.training for module in modules.values()}
    required = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    handles = [modules[name].register_forward_hook(keep(name)) for name in {name.split("#")[0] for name in names}]
    try:
        for module in modes:
            module.training = False
        for parameter, _ in required:
            # Some operations have other kernels, which round differently, where weights need a gradient.
            parameter.requires_grad_(False)
        low = cell.read(network(image[None].to(model.dtype, copy=True).requires_grad_().clone())).float()
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes.items():
            module.training = training
        for parameter, requires_grad in required:
            parameter.requires_grad_(requires_grad)
    low = torch.cat([-low, low], 1) if low.shape[1] == 1 else low
    shrinks = low.shape[2] > cell.size[0]
    logits = functional.interpolate(low, cell.size, mode="bilinear", align_corners=False, antialias=shrinks)
    labels = logits[0].argmax(0)
    label = int(labels.flatten().bincount().argmax()) if cell.label is None else cell.label
    kept = [tensor for name in names for tensor in outputs[name.split("#")[0]] if tensor.requires_grad]
    gradients = torch.autograd.grad(logits[0, label][labels == label].mean(), kept, allow_unused=True)
    by_tensor = dict(zip(map(id, kept), gradients, strict=True))
    maps = {}
    for name in names:
        module_name, _, call = name.partition("#")
        tensor = outputs[module_name][int(call or 1) - 1]
        activation, gradient = (unfolded(values, layers[name]).float() for values in (tensor, by_tensor[id(tensor)]))
        maps[name] = (gradient.mean((1, 2))[:, None, None] * activation).sum(0).detach().float().numpy()
    return label, low[0].detach().numpy(), maps


def tensor_of(output: Any) -> Tensor:
    while not isinstance(output, Tensor):
        output = next(iter(output.values() if hasattr(output, "values") else output))
    return output


def unfolded(values: Tensor, layer: Any) -> Tensor:
    """Lay a layer's numbers out as channels, height and width."""
    size = (layer.channels, layer.height, layer.width)
    values = values[0]
    if values.ndim == 2:
        return values[-layer.height * layer.width :].T.reshape(size)
    return values if values.shape == size else values.permute(2, 0, 1)
