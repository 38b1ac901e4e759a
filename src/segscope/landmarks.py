"""The layers worth a look first, found by how the network is wired and never by names."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from torch import Tensor

from .graph import feeding
from .layers import INPUT, Layer
from .outputs import Logits

__all__ = ["Suggestion", "last_map", "suggested_layers"]

_LEVELS = 3
_MOST_JOINTS = 2
_MOST_STAGES = 8


@dataclass(frozen=True)
class Suggestion:
    """A layer worth a look, and why.

    Parameters
    ----------
    layer : str
        Its name.
    why : str
        A few words.
    """

    layer: str
    why: str


def last_map(layers: Mapping[str, Layer], outputs: Mapping[str, Tensor], scores: Logits) -> str:
    """Return the last map before the head: there the network has seen everything, and scored nothing yet.

    Parameters
    ----------
    layers : mapping of str to Layer
        In the order in which the network runs them.
    outputs : mapping of str to Tensor
        What each of them put out, with the autograd graph.
    scores : Logits
        The class scores, with theirs.

    Returns
    -------
    str
        Walking back from the scores, the first layer with other channels than one for each class, or for each query;
        layers that score some of the classes each are the head together. Of several it is the one made last, and where
        the network classifies masks one of the masks' size, since its queries read maps of every size. The last layer
        where there is none such; ``"input"`` where there are no layers.
    """
    counts = {scores.values.shape[1], scores.queries, 1 if scores.temperature > 1 else 0}
    passed: set[str] = set()
    found: set[str] = set()
    waiting = [scores.values]
    while waiting:
        feeds = feeding(waiting.pop(), outputs)
        shares = sum(layers[name].channels for name in feeds) in counts
        names = feeds - passed - found
        head = {name for name in names if shares or layers[name].channels in counts}
        passed |= head
        found |= names - head
        waiting.extend(outputs[name] for name in head)
    maps = [name for name in layers if name in found and _has_sides(layers[name])]
    size = tuple(scores.values.shape[2:])
    of_masks = [name for name in maps if scores.queries and (layers[name].height, layers[name].width) == size]
    return (of_masks or maps or list(layers) or [INPUT])[-1]


def suggested_layers(
    layers: Mapping[str, Layer],
    edges: Sequence[tuple[str, str]],
    joints: Mapping[str, Collection[str]],
    *,
    default: str,
) -> tuple[Suggestion, ...]:
    """Return the layers worth a look first.

    Parameters
    ----------
    layers : mapping of str to Layer
        In the order in which the network runs them.
    edges : sequence of (str, str)
        Which layer feeds which.
    joints : mapping of str to collection of str
        Which layers are added up or concatenated in which.
    default : str
        The last map before the head.

    Returns
    -------
    tuple of Suggestion
        The default layer; three or more parallel layers that meet in one, as pyramid levels do, and the layer that they
        are made of; what the decoder reads of the layers that everything passes on its way to the coarsest map, and the
        last of each resolution after that. Each layer once.
    """
    flow = _Flow(layers, edges)
    found = {default: "the last map before the head"}
    inside: list[str] = []
    for joint in [name for name in layers if flow.levels(joints.get(name, ()))][-_MOST_JOINTS:]:
        levels = flow.levels(joints[joint])
        found |= {level: f"a level that meets others in {joint}" for level in levels if level not in found}
        inside += [f"{level}." for level in levels]
        origin = flow.origin(levels)
        if origin is not None:
            found.setdefault(origin, f"what the levels that meet in {joint} are made of")
    for name, why in _stages(flow, flow.encoder(default)).items():
        if not name.startswith(tuple(inside)):
            found.setdefault(name, why)
    return tuple(Suggestion(name, why) for name, why in found.items() if name in layers)


class _Flow:
    """Layers and how they feed each other, to walk along."""

    def __init__(self, layers: Mapping[str, Layer], edges: Sequence[tuple[str, str]]) -> None:
        self.layers = layers
        self.edges = [(source, target) for source, target in edges if source in layers and target in layers]
        self.sources: dict[str, list[str]] = {name: [] for name in layers}
        for source, target in self.edges:
            self.sources[target].append(source)
        self.from_input = {target for source, target in edges if source == INPUT}
        # A container goes by the name that its last module's output has, which others may have used before it ended.
        self.order = tuple(TopologicalSorter(self.sources).static_order())
        self.before: dict[str, set[str]] = {}
        for name in self.order:
            self.before[name] = {each for source in self.sources[name] for each in (source, *self.before[source])}

    def levels(self, met: Collection[str]) -> list[str]:
        """Return those of which none is made of another, where they are three or more."""
        parallel = [
            name for name in self.layers if name in met and not any(name in self.before.get(other, ()) for other in met)
        ]
        return parallel if len(parallel) >= _LEVELS else []

    def origin(self, levels: Sequence[str]) -> str | None:
        """Return the layer that all of these are made of, where nothing but parts of them lies between."""
        common = [name for name in self.order if all(name in self.before[level] for level in levels)]
        own = all(name.startswith(f"{level}.") for level in levels for name in self.before[level] if name not in common)
        return common[-1] if common and own else None

    def encoder(self, end: str) -> list[str]:
        """Return the maps that everything passes on its way from the input to the coarsest map on the longest way."""
        maps = [name for name in self._longest_way(end) if _has_sides(self.layers[name])]
        if not maps:
            return []
        coarsest = max(maps, key=lambda name: (_octave(self.layers[name], self.layers[maps[0]]), maps.index(name)))
        passed: dict[str, set[str]] = {}
        for name in self.order:
            ways: list[set[str]] = [set()] * (name in self.from_input)
            ways += [passed[source] for source in self.sources[name]]
            passed[name] = {name}.union(set.intersection(*ways) if ways else ())
        return [name for name in self.order if name in passed[coarsest] and _has_sides(self.layers[name])]

    def _longest_way(self, end: str) -> list[str]:
        lengths: dict[str, int] = {}
        for name in self.order:
            lengths[name] = 1 + max((lengths[source] for source in self.sources[name]), default=0)
        way = [end] if end in self.layers else []
        while way and self.sources[way[-1]]:
            way.append(max(self.sources[way[-1]], key=lengths.__getitem__))
        return way[::-1]


def _stages(flow: _Flow, encoder: Sequence[str]) -> dict[str, str]:
    """Return why by name: what the decoder reads of an encoder, and the last of each resolution after that."""
    if not encoder:
        return {}
    inside = flow.before[encoder[-1]] | {encoder[-1]}
    handed_on = {source for source, target in flow.edges if source in inside and target not in inside}
    read = [name for name in encoder[:-1] if name in handed_on][:_MOST_STAGES]
    after = encoder[encoder.index(read[-1]) + 1 :] if len(read) > 1 else encoder
    why = {name: "the end of the stage" for name in _ends_of_resolutions(flow.layers, encoder) if name in after}
    why |= dict.fromkeys(read, "read by the decoder")
    return {name: f"{why[name]} at {_written(flow.layers[name])}" for name in encoder if name in why}


def _ends_of_resolutions(layers: Mapping[str, Layer], encoder: Sequence[str]) -> list[str]:
    """Return the last layer of each resolution; a whole block rather than a part of one."""
    stages: dict[int, list[str]] = defaultdict(list)
    for name in encoder:
        stages[_octave(layers[name], layers[encoder[0]])].append(name)
    holders = {name[:end] for name in layers for end, letter in enumerate(name) if letter == "."}
    ends = []
    for names in stages.values():
        blocks = [name for name in names if name in holders]
        end = _outermost(blocks or names)
        if end in blocks and not end[-1].isdigit():
            # A stem or the embeddings stand in fewer modules than the numbered blocks that follow them.
            following = blocks[blocks.index(end) + 1 :]
            end = _outermost([name for name in following if name.rpartition(".")[2].isdigit()] or [end])
        ends.append(end)
    return ends


def _outermost(names: Sequence[str]) -> str:
    """Return the last of those that stand in the fewest modules."""
    return min(reversed(names), key=lambda name: name.count("."))


def _octave(layer: Layer, first: Layer) -> int:
    """Return how often the sides were halved; padding by a few pixels doesn't count."""
    return round(math.log2(first.height * first.width / (layer.height * layer.width)) / 2)


def _has_sides(layer: Layer) -> bool:
    return layer.height > 1 and layer.width > 1


def _written(layer: Layer) -> str:
    return f"{layer.height}×{layer.width}"
