"""Measure tables of weights beside one backward pass a logit, and answers from a table beside explaining anew."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import TypeVar

import torch
from rich.progress import Progress
from torch import Tensor

from segscope import Prediction, Region, Table, Target
from segscope.demo import demo_images, load_demo

from .report import Figure

__all__ = ["add_options", "measure"]

_Found = TypeVar("_Found")

# The bars: how many times as fast as backward passes for all logits.
_AT_LEAST = {"block5_conv3": 12.0, "block1_conv2": 60.0}
_SMALLEST = "psp_level1_conv"
_TARGETS = 1000
_PRECISION = 1e-5


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this part to a parser."""
    parser.add_argument("--table-layers", nargs="+", metavar="LAYER", default=list(_AT_LEAST), help="or: all")
    parser.add_argument("--table-sample", type=int, default=40, help="backward passes and explain calls to time")


def measure(options: argparse.Namespace, progress: Progress) -> list[Figure]:
    """Return all figures of this part, of the shipped network at its own input size.

    Parameters
    ----------
    options : Namespace
        Those of :func:`add_options`.
    progress : Progress
        Where to show how far the work is.

    Returns
    -------
    list of Figure
        With their bars.
    """
    with load_demo().predict(demo_images()[0]) as prediction:
        layers = options.table_layers
        if layers == ["all"]:
            layers = [name for name in prediction.layers if name != "classifier"]
        bar = progress.add_task("table", total=len(layers))
        # The first table of all pays for what PyTorch loads once.
        prediction.table(_SMALLEST)
        figures = []
        for layer in layers:
            progress.update(bar, description=f"table: {layer}")
            found, table = _table(prediction, layer, options.table_sample)
            figures += [*found, *_answers(prediction, table, options.table_sample)]
            progress.advance(bar)
        return figures


def _table(prediction: Prediction, layer: str, sample: int) -> tuple[list[Figure], Table]:
    """Time a table between the two halves of a sample of backward passes."""
    logits, activation = _by_hand(prediction, layer)
    count = logits.numel()
    generator = torch.Generator().manual_seed(0)
    places = torch.randperm(count, generator=generator)[:sample].tolist()

    def backward(place: int) -> Tensor:
        gradient = torch.autograd.grad(logits.flatten()[place], activation, retain_graph=True)[0]
        return gradient[0].mean((1, 2))

    backward(places[0])  # what is set up once
    before = [_timed(backward, place) for place in places[: sample // 2]]
    seconds, table = _timed(prediction.table, layer)
    after = [_timed(backward, place) for place in places[sample // 2 :]]
    weights = torch.stack([found for _, found in before + after], dim=1)
    # The mean, not the median: all backward passes together would take so many times the mean.
    once = statistics.mean(took for took, _ in before + after)
    error = (table.values.flatten(1)[:, places] - weights).abs().max() / weights.abs().max()
    note = (
        f"{len(table.values)} channels by {table.way} mode in {seconds:.2f} s; {sample} of {count} backward passes "
        f"timed, {once * 1000:.1f} ms each, {once * count:.0f} s for all by extrapolation"
    )
    figures = [
        Figure(f"{layer}: table, times as fast", once * count / seconds, "×", at_least=_AT_LEAST.get(layer), note=note),
        Figure(f"{layer}: weights' error", float(error), "of the largest", at_most=_PRECISION),
    ]
    return figures, table


def _answers(prediction: Prediction, table: Table, sample: int) -> list[Figure]:
    """Time maps of superpixels and classes from a table, between two halves of a sample of explain calls."""
    labels = prediction.superpixels(_TARGETS // len(prediction.model.classes))
    regions = [Region.mask(labels == label) for label in range(labels.max() + 1)]
    targets = [Target(class_, region) for region in regions for class_ in prediction.model.classes][:_TARGETS]

    def explain(target: Target) -> Tensor:
        return torch.from_numpy(prediction.explain(target, layer=table.layer).map)

    chosen = targets[:: max(1, len(targets) // sample)][:sample]
    explain(chosen[0])
    before = [_timed(explain, target) for target in chosen[: sample // 2]]
    seconds, attributions = min((_timed(table.explain_many, targets) for _ in range(3)), key=lambda each: each[0])
    after = [_timed(explain, target) for target in chosen[sample // 2 :]]
    once = statistics.mean(took for took, _ in before + after)
    found = {id(target): attribution.map for target, attribution in zip(targets, attributions, strict=True)}
    errors = [
        float((torch.from_numpy(found[id(target)]) - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
        for target, (_, expected) in zip(chosen, before + after, strict=True)
    ]
    note = (
        f"{len(targets)} targets from the table in {seconds:.3f} s, the best of 3; {len(chosen)} explain calls timed, "
        f"{once * 1000:.1f} ms each"
    )
    return [
        Figure(
            f"{table.layer}: maps from the table, times as fast",
            once * len(targets) / seconds,
            "×",
            at_least=50.0,
            note=note,
        ),
        Figure(f"{table.layer}: maps' error, median", statistics.median(errors), "of the largest", at_most=_PRECISION),
    ]


def _by_hand(prediction: Prediction, layer: str) -> tuple[Tensor, Tensor]:
    """Run the network with nothing but a hook on the layer, so that backward passes end there."""
    kept: list[Tensor] = []
    network = prediction.model.network

    def keep(_module: torch.nn.Module, _inputs: object, output: Tensor) -> Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[0]

    handle = network.get_submodule(layer).register_forward_hook(keep)
    try:
        with prediction.model.at_rest():
            logits: Tensor = network(prediction.activation("input")[None])
    finally:
        handle.remove()
    return logits, kept[0]


def _timed(function: Callable[..., _Found], *arguments: object) -> tuple[float, _Found]:
    start = time.perf_counter()
    found = function(*arguments)
    return time.perf_counter() - start, found
