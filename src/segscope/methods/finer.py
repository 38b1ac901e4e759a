"""A class activation map of what sets a class apart from those that are most like it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ..errors import CannotExplain
from .base import Answer, Method, Parameter, register
from .cam import RELU, grad_cam

if TYPE_CHECKING:
    from ..prediction import Prediction
    from ..progress import Progress
    from ..target import Question

__all__ = ["finer_cam", "finer_question"]


def finer_cam(
    prediction: Prediction,
    question: Question,
    layers: Sequence[str],
    parameters: Mapping[str, Any],
    progress: Progress,
) -> dict[str, Answer]:
    """Ask Grad-CAM what sets the class apart from those that are most like it; all layers share one backward pass.

    Parameters
    ----------
    prediction : Prediction
        The image.
    question : Question
        Class and region; a contrast class takes the place of the similar ones.
    layers : sequence of str
        Names of layers, or ``"input"``.
    parameters : mapping
        ``relu``, ``comparisons`` and ``strength``.
    progress : Progress
        Told of the backward pass.

    Returns
    -------
    dict
        For each layer the map (float32, h×w, in Grad-CAM's units; positive where the layer speaks for the class rather
        than for those like it), or the error that says why there is none.

    Notes
    -----
    The paper finds similar classes by their weights in a linear classifier; networks for segmentation may have none, so
    the similar classes are those with the highest mean logit over the region. Several classes count the same.
    """
    asked = finer_question(prediction, question, comparisons=parameters["comparisons"], strength=parameters["strength"])
    pairs = prediction.activations_and_gradients(asked, layers)
    progress.advance()
    return {
        layer: pair if isinstance(pair, CannotExplain) else grad_cam(*pair, relu=parameters["relu"])
        for layer, pair in pairs.items()
    }


def finer_question(prediction: Prediction, question: Question, *, comparisons: int, strength: float) -> Question:
    """Set a question's class against the classes that are most like it.

    Parameters
    ----------
    prediction : Prediction
        The image.
    question : Question
        Class and region. Its contrast class, if it has one, is the only one compared with.
    comparisons : int
        How many classes are compared with, from 1; all others where there are fewer.
    strength : float
        How much of their mean score is taken off, from 0.

    Returns
    -------
    Question
        The score of the class minus strength times the mean score of the others.
    """
    similar = [index for index, _ in question.contrast] or _similar(prediction, question, comparisons)
    return question.versus({index: strength / len(similar) for index in similar})


def _similar(prediction: Prediction, question: Question, count: int) -> list[int]:
    logits = torch.from_numpy(prediction.logits).to(question.weights.device)
    order = question.mean_logits(logits[None])[0].argsort(descending=True, stable=True).tolist()
    return [index for index in order if index != question.class_index][:count]


register(
    Method(
        name="finer-cam",
        family="cam",
        title="Finer-CAM",
        summary="Grad-CAM of the class's score less those of the most similar classes: what sets the class apart.",
        citation="Zhang et al. 2025, Finer-CAM: Spotting the difference reveals finer details for visual explanation",
        url="https://arxiv.org/abs/2501.11309",
        cannot="Leaves out evidence that similar classes share, and where their own gradient is larger shows that "
        "instead; a contrast class takes the similar classes' place, so that at strength 1 the map is then Grad-CAM's.",
        at="layer",
        signed=False,
        run=finer_cam,
        parameters=(
            RELU,
            Parameter(
                name="comparisons",
                kind="int",
                default=3,
                minimum=1,
                maximum=1000,
                step=1,
                unit="classes",
                description="How many similar classes are compared with: those with the highest mean logit over the "
                "region.",
            ),
            Parameter(
                name="strength",
                kind="float",
                default=0.6,
                minimum=0,
                maximum=2,
                step=0.1,
                description="How much of the similar classes' mean score is taken off; 0 is Grad-CAM.",
            ),
        ),
    )
)
