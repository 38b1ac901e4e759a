"""What was found in a network: input, outputs, layers, what can be explained, and the layers worth a look first."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import SegscopeError
from .image import default_bands
from .inputs import SeveralInputs
from .layers import INPUT, Layer
from .region import Region

if TYPE_CHECKING:
    from .prediction import Prediction

__all__ = ["Check", "Examination", "Suggestion", "examine", "suggested_layers"]

_JOINED = 3
_MOST_STAGES = 6


@dataclass(frozen=True)
class Check:
    """Something that was tried.

    Parameters
    ----------
    what : str
        What can be asked where it went well.
    problem : str
        What went wrong; empty where nothing did.
    """

    what: str
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether it went well."""
        return not self.problem


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


@dataclass(frozen=True)
class Examination:
    """What was found in a network, by one prediction.

    Parameters
    ----------
    network : str
        The network's class.
    weights : int
        How many numbers it has learned.
    device, dtype : str
        Where they are, and their type.
    input : Layer
        The input's channels, height and width.
    inputs : mapping of str to int
        Names and channels of the inputs, where the network has several.
    shown_bands : tuple of int
        The bands of an image that people see as red, green and blue, or the one that they see as grey.
    preprocess : str
        How an image becomes the input.
    output : str
        What the network's numbers are, and their resolution.
    classes : tuple of str
        Their names, made up where nobody gave any.
    layers : int
        How many layers can be asked about.
    checks : tuple of Check
        What was tried.
    suggestions : tuple of Suggestion
        The layers worth a look first.
    """

    network: str
    weights: int
    device: str
    dtype: str
    input: Layer
    inputs: Mapping[str, int]
    shown_bands: tuple[int, ...]
    preprocess: str
    output: str
    classes: tuple[str, ...]
    layers: int
    checks: tuple[Check, ...]
    suggestions: tuple[Suggestion, ...]


def examine(prediction: Prediction) -> Examination:
    """Tell what was found in the network behind a prediction.

    Parameters
    ----------
    prediction : Prediction
        Of any image.

    Returns
    -------
    Examination
        Input, output, layers, what can be explained, and where to look first.

    Raises
    ------
    UnsupportedNetwork
        When gradients don't flow through the network, so that nothing can be explained.
    PredictionClosed
        When the prediction was closed.
    """
    model = prediction.model
    output = prediction.kept_pass.output
    classes, height, width = prediction.logits.shape
    kind = "probabilities" if output.reading.probabilities else "logits"
    kind = f"{output.queries} queries, joined to logits" if output.queries else kind
    last = ", channels last" if output.reading.channels_last else ""
    one = ", from one channel" if output.temperature != 1 else ""
    return Examination(
        network=type(model.network.network if isinstance(model.network, SeveralInputs) else model.network).__name__,
        weights=sum(parameter.numel() for parameter in model.network.parameters()),
        device=str(model.device),
        dtype=str(model.dtype).removeprefix("torch."),
        input=prediction.input,
        inputs=dict(model.inputs),
        shown_bands=model.shown_bands or default_bands(prediction.input.channels),
        preprocess=str(model.preprocess),
        output=f"{kind} of {classes} classes at {height}×{width}{one}{last}",
        classes=model.classes,
        layers=len(prediction.layers),
        checks=_checks(prediction),
        suggestions=suggested_layers(prediction.layers, prediction.edges, default=prediction.default_layer),
    )


def suggested_layers(
    layers: Mapping[str, Layer], edges: Sequence[tuple[str, str]], *, default: str
) -> tuple[Suggestion, ...]:
    """Return the layers worth a look first.

    Parameters
    ----------
    layers : mapping of str to Layer
        In the order in which the network runs them.
    edges : sequence of (str, str)
        Which layer feeds which.
    default : str
        The last spatial layer before the head.

    Returns
    -------
    tuple of Suggestion
        The default layer; layers of which three or more meet in one, as pyramid levels do; the last layer of each
        resolution on the way down. Each layer once.
    """
    found = {default: "the last map before the head"}
    sources: dict[str, list[str]] = defaultdict(list)
    for source, target in edges:
        sources[target].append(source)
    for target, levels in sources.items():
        if len(levels) >= _JOINED:
            found |= {level: f"a level that meets others in {target}" for level in levels if level not in found}
    for name in _ends_of_stages(layers):
        found.setdefault(name, f"the end of the stage at {layers[name].height}×{layers[name].width}")
    return tuple(Suggestion(name, why) for name, why in found.items() if name in layers)


def _ends_of_stages(layers: Mapping[str, Layer]) -> list[str]:
    """Return the last layer before each loss of resolution, until the coarsest map is reached."""
    maps = [layer for layer in layers.values() if layer.height > 1 and layer.width > 1]
    ends: list[str] = []
    finest = None
    for layer, following in itertools.pairwise(maps):
        area = layer.height * layer.width
        if following.height * following.width < area and (finest is None or area < finest):
            ends.append(layer.name)
            finest = area
    return ends[:_MOST_STAGES]


def _checks(prediction: Prediction) -> tuple[Check, ...]:
    default, class_, everywhere = prediction.default_layer, prediction.model.classes[0], Region.everywhere()
    tried: list[tuple[str, Callable[[], object]]] = [
        (
            f"gradients reach {default}: class activation maps",
            lambda: prediction.explain(class_, everywhere, layer=default),
        ),
        (
            "gradients reach the input: saliency, integrated gradients and their like",
            lambda: prediction.explain(class_, everywhere, method="saliency"),
        ),
        ("the network runs again with other images: occlusion, RISE and their like", lambda: prediction.rerun(INPUT)),
        (f"the network runs again from {default}: the same at layers", lambda: prediction.rerun(default)),
        ("the data flow is known: the architecture view", lambda: _flow(prediction)),
    ]
    return tuple(Check(what, _problem(attempt)) for what, attempt in tried)


def _problem(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except SegscopeError as error:
        return str(error)
    return ""


def _flow(prediction: Prediction) -> None:
    if not prediction.edges:
        raise SegscopeError("No layer is connected to another by gradients.")
