"""What was found in a network: input, outputs, layers, what can be explained, and the layers worth a look first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import SegscopeError
from .graph import meeting
from .image import default_bands
from .inputs import SeveralInputs
from .landmarks import Suggestion, suggested_layers
from .layers import INPUT, Layer
from .region import Region

if TYPE_CHECKING:
    from .prediction import Prediction

__all__ = ["Check", "Examination", "examine"]


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
    output = prediction.kept_pass.scores
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
        suggestions=suggested_layers(
            prediction.layers, prediction.edges, _joints(prediction), default=prediction.default_layer
        ),
    )


def _joints(prediction: Prediction) -> dict[str, set[str]]:
    capture = prediction.kept_pass.capture
    return meeting({name: capture[name].output for name in prediction.layers})


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
